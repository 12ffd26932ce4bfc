//! The tale of a run: who did what with whom, in the words of the phone room.
//!
//! Where the ladder has a line for each message, the tale has one for each thing that people would tell: talk between
//! the same two is one line, and so is one screen after the other; look-ups and answers in good order are left out, and
//! what was refused is not.

mod words;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use net::{Entry, NodeId, Note, Time, World};

use self::words::{HAPPENINGS, LEFT_OUT, PAGES, PASSING_SCREENS, REQUESTS, SCREENS, STARTING};
use crate::actor::Actor;
use crate::cast::Cast;

/// Where the second and the third column begin, and how wide the third one is.
const WHO_AT: usize = 10;
const WHAT_AT: usize = 34;
const WHAT_WIDTH: usize = 84;

/// Which lines of the tale grow: talk goes on, and so does showing one thing after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Talk,
    Showing,
    Happening,
}

/// One line of the tale, while it grows.
#[derive(Debug)]
struct Told {
    at: Time,
    kind: Kind,
    who: String,
    what: Vec<(String, u32)>,
}

/// The run so far, told for people who know phones and no programs.
pub fn tale<W: World<Actor>>(cast: &Cast<W>) -> String {
    let mut lines: Vec<Told> = Vec::new();
    let mut starting: BTreeSet<NodeId> = BTreeSet::new();
    for entry in cast.world.journal().entries() {
        if let (Some(who), Note::Screen { id, .. }) = (entry.who, &entry.note) {
            let is_starting = id == STARTING.0;
            let was_starting = if is_starting { !starting.insert(who) } else { starting.remove(&who) };
            if is_starting && was_starting {
                continue;
            }
        }
        let Some((kind, who, what)) = told(cast, entry) else { continue };
        match lines.last_mut() {
            Some(line) if kind != Kind::Happening && line.kind == kind && line.who == who => {
                match line.what.iter_mut().find(|(said, _)| *said == what) {
                    Some((_, times)) => *times += 1,
                    None => line.what.push((what, 1)),
                }
            }
            _ => lines.push(Told { at: entry.at, kind, who, what: vec![(what, 1)] }),
        }
    }
    lines.iter().map(print).collect()
}

/// Who an entry is about, alone or with somebody, and what there is to tell; `None` if there is nothing.
fn told<W: World<Actor>>(cast: &Cast<W>, entry: &Entry) -> Option<(Kind, String, String)> {
    let Some(who) = entry.who else {
        let Note::Stage(text) = &entry.note else { return None };
        return Some((Kind::Happening, "story".to_owned(), text.clone()));
    };
    let who = cast.world.journal().name(who);
    let is_phone = cast.phone(who).is_some();
    let speaks = is_phone || cast.person(who).is_some();
    let with = |peer: &str, sign: &str| format!("{who} {sign} {peer}");
    let alone = || who.to_owned();
    match (&entry.note, entry.peer.as_deref()) {
        (Note::Sent { text, .. }, Some(peer)) if is_phone => {
            Some((Kind::Talk, with(peer, "↔"), request(text)?))
        }
        (Note::Sent { text, .. }, Some(peer)) if cast.phone(peer).is_some() => {
            Some((Kind::Talk, format!("{peer} ↔ {who}"), answer(text)?))
        }
        (Note::Broken { text, with: address }, peer) if speaks => {
            let peer = peer.map_or_else(|| address.to_string(), str::to_owned);
            Some((Kind::Talk, with(&peer, "✗"), trouble(text)))
        }
        (Note::Screen { id, .. }, _) if id == STARTING.0 => {
            Some((Kind::Happening, alone(), STARTING.1.to_owned()))
        }
        (Note::Screen { id, .. }, _) if is_phone => {
            let is_passing = PASSING_SCREENS.contains(&id.as_str());
            (!is_passing).then(|| (Kind::Showing, alone(), screen(id)))
        }
        (Note::Screen { id, .. }, _) => Some((Kind::Showing, alone(), page(id))),
        (Note::Event { name, of, text }, _) => {
            Some((Kind::Happening, alone(), happening(is_phone, name, of, text)?))
        }
        // Services have power from the beginning.
        (Note::Stage(text), _) if is_phone || entry.at > Time::ZERO => {
            Some((Kind::Happening, alone(), text.clone()))
        }
        (
            Note::Sent { .. } | Note::Received { .. } | Note::Broken { .. } | Note::Log(_) | Note::Stage(_),
            _,
        ) => None,
    }
}

/// What an event says, in words.
fn happening(is_phone: bool, name: &str, of: &str, text: &str) -> Option<String> {
    // The pool tells who is registered, the phone who is signed in; the other's word adds nothing.
    let is_told_by_the_other = name == "registered" && is_phone || name == "signed-in" && !is_phone;
    if LEFT_OUT.contains(&name) || is_told_by_the_other {
        return None;
    }
    let person = of.split_once('@').map_or(of, |(person, _)| person);
    let words = match look_up(HAPPENINGS, name) {
        Some(words) => words.replace("{of}", person).replace("{}", &briefly(text)),
        None => format!("{name} {person}: {}", briefly(text)),
    };
    Some(words.trim_end_matches([' ', ':']).to_owned())
}

fn look_up<'w>(words: &'w [(&str, &str)], of: &str) -> Option<&'w str> {
    words.iter().find(|(known, _)| *known == of).map(|(_, words)| *words)
}

/// Facts as a person tells them: fingerprints and device numbers only as far as two are told apart, whole seconds.
fn briefly(text: &str) -> String {
    let word = |word: &str| {
        let is_long_number = word.len() > 24 && word.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
        if is_long_number {
            return format!("{}…", &word[..8]);
        }
        match word.split_once('.') {
            Some((secs, rest)) if is_number(secs) && rest.strip_suffix('s').is_some_and(is_number) => {
                format!("{secs}s")
            }
            _ => word.to_owned(),
        }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// What a phone asks for. It says so itself, in brackets behind the request.
fn request(text: &str) -> Option<String> {
    let method = text.split(' ').next().unwrap_or_default();
    if method == "REGISTER" {
        let is = |mark: &str| text.contains(mark);
        return Some(match (is("(handshake)"), is("(signed)")) {
            (true, _) => "proves who it is".to_owned(),
            (false, true) => "registers with that proof".to_owned(),
            (false, false) => "registers".to_owned(),
        });
    }
    // Look-ups, addresses, the time and files are told by what comes of them.
    let is_told_elsewhere = matches!(method, "DNS" | "DHCP" | "SNTP");
    let words = in_brackets(text).filter(|words| !is_told_elsewhere && !is_file(words))?;
    Some(look_up(REQUESTS, words).unwrap_or(words).to_owned())
}

fn is_file(words: &str) -> bool {
    ["file", "log", "overrides", "licence", "configuration"].iter().any(|end| words.ends_with(end))
}

/// What a service answers, if it is not what was asked for.
fn answer(text: &str) -> Option<String> {
    let (status, words) = text.split_once(' ')?;
    let status: u16 = status.parse().ok()?;
    let is_challenge = status == 401 && text.contains("REGISTER");
    let is_missing_file = status == 404 && words == "no such file";
    if status < 300 || is_challenge || is_missing_file {
        return None;
    }
    let (said, why) =
        words.split_once("  cseq ").map_or((words, None), |(said, _)| (said, in_brackets(text)));
    let why = why.map(|why| format!(", {why}")).unwrap_or_default();
    Some(format!("is told: {said}{why} ({status})"))
}

/// Why something broke, without the name of the protocol in front.
fn trouble(text: &str) -> String {
    text.strip_prefix("TLS: ").unwrap_or(text).to_owned()
}

/// What stands in the last brackets of a line.
fn in_brackets(text: &str) -> Option<&str> {
    let (_, words) = text.strip_suffix(')')?.rsplit_once('(')?;
    Some(words)
}

fn screen(id: &str) -> String {
    look_up(SCREENS, id)
        .map_or_else(|| format!("shows {}", look_up(vvx::screen::ALL, id).unwrap_or(id)), str::to_owned)
}

fn page(id: &str) -> String {
    look_up(PAGES, id).unwrap_or(id).to_owned()
}

/// `0:01:16  desk ↔ identity         asks for a code`, wrapped where it is long.
fn print(line: &Told) -> String {
    let secs = line.at.as_nanos() / 1_000_000_000;
    let at = format!("{}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60);
    let mut text = format!("{at:>8}  {:<width$}", line.who, width = WHAT_AT - WHO_AT);
    let mut column = 0;
    for (index, (what, times)) in line.what.iter().enumerate() {
        // A screen that changes under somebody's fingers is one screen.
        let again =
            if *times > 1 && line.kind == Kind::Talk { format!(" ({times} times)") } else { String::new() };
        let comma = if index + 1 < line.what.len() { "," } else { "" };
        for word in format!("{what}{again}{comma}").split(' ') {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > WHAT_WIDTH {
                let _ = write!(text, "\n{:WHAT_AT$}", "");
                column = 0;
            }
            if column > 0 {
                text.push(' ');
                column += 1;
            }
            text.push_str(word);
            column += length;
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[(&'static str, &'static str)]) -> Vec<&'static str> {
        of.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn every_event_that_an_actor_publishes_is_told_or_left_out_on_purpose() {
        let all = [vvx::events::ALL, identity::events::ALL, registrar::events::ALL, site::events::ALL];
        let published: Vec<&str> = all.into_iter().flat_map(names).collect();
        let mut known = names(HAPPENINGS);
        known.extend(LEFT_OUT);
        let unknown: Vec<&&str> = published.iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "the tale has no words for {unknown:?}");
        let gone: Vec<&&str> = known.iter().filter(|name| !published.contains(name)).collect();
        assert!(gone.is_empty(), "nobody publishes {gone:?}");
    }

    #[test]
    fn pages_and_screens_are_the_ones_that_there_are() {
        let (told, there) = (names(PAGES), names(crate::run::PAGES));
        assert_eq!(told, there);
        let screens = names(vvx::screen::ALL);
        let told = names(SCREENS).into_iter().chain(PASSING_SCREENS.iter().copied()).chain([STARTING.0]);
        let gone: Vec<&str> = told.filter(|name| !screens.contains(name)).collect();
        assert!(gone.is_empty(), "no phone shows {gone:?}");
    }

    #[test]
    fn a_request_is_told_in_the_words_behind_it() {
        let said = |text: &str| request(text);
        assert_eq!(said("POST /oauth2/devicecode (ask for a code)").as_deref(), Some("asks for a code"));
        assert_eq!(said("GET /new (something new)").as_deref(), Some("something new"));
        let handshake = "REGISTER sip:x cseq 4 (registration) (handshake)";
        assert_eq!(said(handshake).as_deref(), Some("proves who it is"));
        assert_eq!(said("GET /0004f2a1b2c3.cfg (master file)"), None);
        assert_eq!(said("DNS A prov.hq"), None);
    }

    #[test]
    fn an_answer_is_told_when_it_is_not_what_was_asked_for() {
        assert_eq!(answer("200 tokens"), None);
        assert_eq!(answer("401 Unauthorized  cseq 2 REGISTER  (a challenge)"), None);
        assert_eq!(answer("404 no such file"), None);
        assert_eq!(answer("503 overloaded").as_deref(), Some("is told: overloaded (503)"));
        let refused = "403 Forbidden  cseq 4 REGISTER  (not enabled)";
        assert_eq!(answer(refused).as_deref(), Some("is told: Forbidden, not enabled (403)"));
    }

    #[test]
    fn facts_are_told_as_far_as_people_want_them() {
        assert_eq!(briefly("for device ae867955-8531-51f0-8311-890640b13d35"), "for device ae867955…");
        assert_eq!(briefly("until 2h 01m 22.903s"), "until 2h 01m 22s");
        assert_eq!(
            briefly("until 2019-04-07T09:01:22Z at 10.20.2.0"),
            "until 2019-04-07T09:01:22Z at 10.20.2.0"
        );
    }
}
