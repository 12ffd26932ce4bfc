//! Who offers the load, as written.

use std::net::Ipv4Addr;
use std::time::Duration;

use scenario::mistakes::Mistake;
use scenario::schema::Shapes;
use scenario::yaml::{Located, Node, Reader, Share, Value};
use scenario::{record, words};
use serde_json::{Value as Json, json};

use super::sentence::Sentence;
use super::units::Count;

/// The most phones of a plan.
pub const PHONES_MAX: u32 = 10_000_000;
/// Most UDP sockets that a part may share its phones over.
const SHARED_MAX: u32 = 1_024;

/// A password: printed as `•••`.
#[derive(Clone, PartialEq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("•••")
    }
}

impl Value for Password {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        String::read(node, reader).map(Password)
    }

    fn shape(shapes: &mut Shapes) -> Json {
        String::shape(shapes)
    }
}

/// How phones share UDP sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketsWritten {
    /// So many for each core.
    Shared(u32),
    /// One each.
    OneEach,
}

impl Value for SocketsWritten {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "`one-each`, or a number of sockets that the phones of a core share", |text| {
            match text.parse::<u32>() {
                Ok(count @ 1..=SHARED_MAX) => Ok(SocketsWritten::Shared(count)),
                Ok(_) => Err(format!("1 to {SHARED_MAX}")),
                Err(_) if text == "one-each" => Ok(SocketsWritten::OneEach),
                Err(_) => Err(String::new()),
            }
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "anyOf": [{ "const": "one-each" }, { "type": "integer", "minimum": 1, "maximum": SHARED_MAX }] })
    }
}

words! {
    /// A sign of life.
    "`crlf` or `options`" pub enum SignOfLife {
        /// Two line ends (RFC 5626).
        "crlf" Crlf,
        /// OPTIONS; any final answer will do.
        "options" Options,
    }
}

record! {
    /// Signs of life between registrations: `crlf every 30s`.
    "a sign of life" pub struct KeepAliveWritten {
        /// What they are.
        "by" by: SignOfLife,
        /// How often.
        "every" every: Duration => at_least_a_second,
    }
}

record! {
    /// Who offers the load. In `user` and `password`, `{n}` stands for the phone's number from 0, `{n:05}` for the same with
    /// five digits.
    "phones" pub struct PhonesWritten {
        /// How many.
        "count" count: Count => count_is_right,
        /// The user part of their addresses, and their names for digest.
        "user" user: Option<Located<String>> => user_is_right,
        /// Their passwords.
        "password" password: Option<Located<Password>>,
        /// Instead of `user` and `password`: a CSV file with a line for each account: user, password, and the name for
        /// digest if it is another one.
        "accounts" accounts: Option<Located<String>>,
        /// The first of their source addresses.
        "from" from: Option<Located<Ipv4Addr>>,
        /// How many source addresses they are spread over; as many as they need if not written.
        "addresses" addresses: Option<u32>,
        /// Over UDP: `one-each`, or how many sockets the phones of a core share.
        "sockets" sockets: SocketsWritten = SocketsWritten::Shared(1),
        /// The lifetime of a registration that they ask for.
        "expires" expires: Duration = Duration::from_secs(3600) => at_least_a_second,
        /// When they refresh by themselves, as a share of the lifetime that they were granted: `90%`. If not written, they
        /// register only when the profile says so.
        "refresh" refresh: Option<Share> => refresh_is_right,
        /// Signs of life between registrations.
        "keep-alive" keep_alive: Option<Sentence<KeepAliveWritten>>,
    }
    check whole_is_right
}

fn at_least_a_second(span: &Duration, node: &Node, reader: &mut Reader) -> Option<()> {
    if *span >= Duration::from_secs(1) {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, "at least a second is wanted here"));
    None
}

fn refresh_is_right(share: &Option<Share>, node: &Node, reader: &mut Reader) -> Option<()> {
    if share.is_none_or(|share| (0.05..=0.99).contains(&share.0)) {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, "phones refresh at 5% to 99% of what they were granted"));
    None
}

fn count_is_right(count: &Count, node: &Node, reader: &mut Reader) -> Option<()> {
    if (1..=PHONES_MAX).contains(&count.0) {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, format!("a plan has 1 to {PHONES_MAX} phones")));
    None
}

fn user_is_right(user: &Option<Located<String>>, node: &Node, reader: &mut Reader) -> Option<()> {
    let Some(user) = user else { return Some(()) };
    match user_can_be(&user.value) {
        Ok(()) => Some(()),
        Err(why) => {
            reader.wrong(Mistake::new(node.place, why));
            None
        }
    }
}

/// Whether a text can be the user part of a SIP address without escapes (RFC 3261 §25.1), the pattern's braces included.
pub fn user_can_be(user: &str) -> Result<(), String> {
    let plain = user.replace("{n}", "0");
    let plain =
        match plain.split_once("{n:0").and_then(|(before, after)| Some((before, after.split_once('}')?))) {
            Some((before, (digits, after))) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                format!("{before}0{after}")
            }
            _ => plain,
        };
    let is_right = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/".contains(c);
    match plain.chars().find(|c| !is_right(*c)) {
        Some('@') => {
            Err("only the part before the `@` is wanted; the domain stands under `target`".to_owned())
        }
        Some(c) => Err(format!("`{c}` cannot be in the user part of a SIP address")),
        None if plain.is_empty() || plain.len() > 128 => {
            Err("1 to 128 characters are wanted here".to_owned())
        }
        None => Ok(()),
    }
}

fn whole_is_right(phones: &PhonesWritten, _: &Node, reader: &mut Reader) -> Option<()> {
    let before = reader.mistakes.len();
    if let Some(accounts) = &phones.accounts {
        let others = [phones.user.as_ref().map(|it| it.place), phones.password.as_ref().map(|it| it.place)];
        for place in others.into_iter().flatten() {
            let mistake = Mistake::new(place, "accounts come from a file here, and from a pattern there");
            reader.wrong(mistake.related(accounts.place, "the file"));
        }
    }
    if let Some(user) = &phones.user
        && phones.count.0 > 1
        && scenario::lab_file::numbered(&user.value, 0) == scenario::lab_file::numbered(&user.value, 1)
    {
        let mistake = Mistake::new(user.place, "all phones would have one account");
        reader.wrong(mistake.help("write `{n}` where the phone's number goes"));
    }
    (reader.mistakes.len() == before).then_some(())
}
