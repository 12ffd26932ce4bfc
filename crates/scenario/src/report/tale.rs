//! The tale of a run: who did what with whom, in the words of the phone room.
//!
//! Where the ladder has a line for each message, the tale has one for each thing that people would tell: talk between
//! the same two is one line, look-ups and answers in good order are left out, and what was refused is not.

use std::fmt::Write as _;

use net::{Entry, Note, Time, World as _};

use crate::cast::Cast;

/// Where the second and the third column begin, and how wide the third one is.
const WHO_AT: usize = 10;
const WHAT_AT: usize = 34;
const WHAT_WIDTH: usize = 84;

/// Screens that pass while something else is told.
const PASSING_SCREENS: &[&str] = &["off", "booting", "signing-in", "keeping-lock-code"];

/// What happened, in the words of the phone room: `{of}` is whom it concerns, `{}` the facts.
const HAPPENINGS: &[(&str, &str)] = &[
    // The phone.
    ("address-taken", "has the address {}"),
    ("address-lost", "has lost its address: {}"),
    ("provisioning-failed", "got nothing from its provisioning server: {}"),
    ("clock-set", "knows the time: {}"),
    ("phone-booted", "has started"),
    ("code-expired", "waited in vain: nobody used the code in time"),
    ("root-trusted", "trusts the pool's own root from now on: {}"),
    ("signing-in", "signs {of} in: {}"),
    ("certificate-stored", "keeps the certificate of {of}: {}"),
    ("policy-applied", "takes over the pool's policy: {}"),
    ("lock-code-set", "has a lock code: {}"),
    ("signed-in", "{of} is signed in: {}"),
    ("sign-in-failed", "the sign-in came to nothing: {}"),
    ("signed-out", "nobody is signed in any more: {}"),
    ("registration-lost", "has lost its registration: {}"),
    ("registration-restored", "is registered again: {}"),
    ("locked", "is locked: {}"),
    ("unlocked", "is unlocked: {}"),
    ("wrong-lock-code", "a wrong lock code was typed: {}"),
    ("factory-reset", "has forgotten everything: {}"),
    // The identity service.
    ("device-code-issued", "gives out a code for {of}: {}"),
    ("device-code-claimed", "the code was typed: {}"),
    ("device-code-approved", "{of} lets the phone sign in: {}"),
    ("device-code-declined", "the person said no: {}"),
    ("device-code-expired", "the code is over: {}"),
    ("user-code-refused", "a wrong code was typed: {}"),
    ("token-issued", "the phone may act for {of}: {}"),
    ("token-refreshed", "the phone may go on acting for {of}: {}"),
    ("token-refused", "the phone may not act for {of}: {}"),
    ("token-reused", "something that counts once was shown twice, for {of}: {}"),
    ("second-factor-failed", "wrong second factor of {of}: {}"),
    ("account-locked-out", "{of} is locked out: {}"),
    ("account-unlocked", "{of} is no longer locked out: {}"),
    ("account-enabled", "{of} may sign in again: {}"),
    ("account-disabled", "{of} may not sign in any more: {}"),
    ("account-provisioned", "the phone gets the account {of}: {}"),
    ("provisioning-refused", "the portal refused: {}"),
    ("password-changed", "{of} has a new password: {}"),
    ("password-expired", "the password of {of} is too old: {}"),
    ("sessions-revoked", "{of} must sign in anew everywhere: {}"),
    ("policy-changed", "new policies: {}"),
    ("keys-rolled", "signs with a new key: {}"),
    ("request-throttled", "too many requests from {of}: {}"),
    ("form-refused", "a form came without its guards: {}"),
    // The pool.
    ("web-ticket-refused", "refuses a web ticket for {of}: {}"),
    ("certificate-issued", "issues a certificate to {of}: {}"),
    ("certificate-refused", "refuses a certificate for {of}: {}"),
    ("certificate-revoked", "a certificate of {of} counts no longer: {}"),
    ("account-changed", "{of} was changed: {}"),
    ("handshake-failed", "{of} could not prove who speaks: {}"),
    ("request-refused", "refuses a request of {of}: {}"),
    ("registered", "{of} can be reached: {}"),
    ("registration-refreshed", "{of} stays reachable: {}"),
    ("registration-refused", "does not register {of}: {}"),
    ("deregistered", "{of} cannot be reached there any more: {}"),
    ("binding-expired", "{of} cannot be reached there any more: {}"),
    // The office network.
    ("lease-refused", "refuses {of} an address: {}"),
    ("lease-released", "takes the address of {of} back: {}"),
    ("lease-declined", "{of} found its address in use: {}"),
    ("pool-exhausted", "has no address left: {}"),
    ("name-not-found", "knows no {}"),
    ("name-refused", "refuses to look up {of}: {}"),
    ("time-refused", "refuses to tell the time: {}"),
    ("file-served", "hands out {of}"),
    ("file-uploaded", "keeps {of} for the phone"),
    ("file-refused", "refuses {of}: {}"),
];

/// What happens all the time in good order, or is told by the other side already.
const LEFT_OUT: &[&str] = &[
    "provisioned",
    "code-shown",
    "web-ticket-issued",
    "root-chain-downloaded",
    "challenged",
    "lease-offered",
    "lease-granted",
    "name-answered",
    "time-served",
    "file-missing",
];

/// One line of the tale, while it grows.
struct Told {
    at: Time,
    who: String,
    what: Vec<(String, u32)>,
}

/// The run so far, told for people who know phones and no programs.
pub fn tale(cast: &Cast) -> String {
    let mut lines: Vec<Told> = Vec::new();
    for entry in cast.sim.journal().entries() {
        let Some((who, what)) = told(cast, entry) else { continue };
        match lines.last_mut() {
            Some(line) if line.who == who => match line.what.iter_mut().find(|(said, _)| *said == what) {
                Some((_, times)) => *times += 1,
                None => line.what.push((what, 1)),
            },
            _ => lines.push(Told { at: entry.at, who, what: vec![(what, 1)] }),
        }
    }
    lines.iter().map(print).collect()
}

/// Who an entry is about, alone or with somebody, and what there is to tell; `None` if there is nothing.
fn told(cast: &Cast, entry: &Entry) -> Option<(String, String)> {
    let Some(who) = entry.who else {
        let Note::Stage(text) = &entry.note else { return None };
        return Some(("story".to_owned(), text.clone()));
    };
    let who = cast.sim.journal().name(who);
    let is_phone = cast.phone(who).is_some();
    let speaks = is_phone || cast.person(who).is_some();
    let with = |peer: &str, sign: &str| format!("{who} {sign} {peer}");
    match (&entry.note, entry.peer.as_deref()) {
        (Note::Sent { text, .. }, Some(peer)) if is_phone => Some((with(peer, "↔"), request(text)?)),
        (Note::Sent { text, .. }, Some(peer)) if cast.phone(peer).is_some() => {
            Some((format!("{peer} ↔ {who}"), answer(text)?))
        }
        (Note::Broken { text, .. }, Some(peer)) if speaks => Some((with(peer, "✗"), trouble(text))),
        (Note::Broken { with: address, text }, None) if speaks => {
            Some((with(&address.to_string(), "✗"), trouble(text)))
        }
        (Note::Screen { id, .. }, _) if is_phone => {
            let is_passing = PASSING_SCREENS.contains(&id.as_str());
            (!is_passing).then(|| (who.to_owned(), format!("shows {}", screen(id))))
        }
        (Note::Screen { id, .. }, _) => Some((who.to_owned(), format!("the page {}", page(id)))),
        (Note::Event { name, of, text }, _) => happening(cast, who, name, of, text),
        // Services have power from the beginning.
        (Note::Stage(text), _) if is_phone || entry.at > Time::ZERO => Some((who.to_owned(), text.clone())),
        (
            Note::Sent { .. } | Note::Received { .. } | Note::Broken { .. } | Note::Log(_) | Note::Stage(_),
            _,
        ) => None,
    }
}

/// What an event says, in words.
fn happening(cast: &Cast, who: &str, name: &str, of: &str, text: &str) -> Option<(String, String)> {
    // The pool tells of registrations; the phone's own word adds nothing.
    if LEFT_OUT.contains(&name) || name == "registered" && cast.phone(who).is_some() {
        return None;
    }
    if name == "signed-in" && cast.phone(who).is_none() {
        return None;
    }
    let person = of.split_once('@').map_or(of, |(person, _)| person);
    let words = match HAPPENINGS.iter().find(|(known, _)| *known == name) {
        Some((_, words)) => words.replace("{of}", person).replace("{}", &briefly(text)),
        None => format!("{name} {person}: {}", briefly(text)),
    };
    Some((who.to_owned(), words.trim_end_matches([' ', ':']).to_owned()))
}

/// Facts as a person tells them: fingerprints and device numbers only as far as two are told apart.
fn briefly(text: &str) -> String {
    let word = |word: &str| {
        let is_long_number = word.len() > 24 && word.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
        if is_long_number { format!("{}…", &word[..8]) } else { word.to_owned() }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// What a phone asks for. It says so itself, in brackets behind the request.
fn request(text: &str) -> Option<String> {
    let method = text.split(' ').next().unwrap_or_default();
    let words = match method {
        "REGISTER" if text.contains("(handshake)") => "prove who I am".to_owned(),
        "REGISTER" if text.contains("(signed)") => "register, signed".to_owned(),
        "REGISTER" => "register".to_owned(),
        // Look-ups, addresses, the time and files are told by what comes of them.
        "DNS" | "DHCP" | "SNTP" | "GET" | "PUT" | "HEAD" if in_brackets(text).is_none_or(is_file) => return None,
        _ => in_brackets(text)?.to_owned(),
    };
    Some(words)
}

fn is_file(words: &str) -> bool {
    ["file", "log", "overrides", "licence", "settings"].iter().any(|end| words.ends_with(end))
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
    let words = words.split("  cseq ").next().unwrap_or(words);
    let why = if text.contains("  cseq ") { in_brackets(text).map(|why| format!(" ({why})")) } else { None };
    Some(format!("→ {status} {words}{}", why.unwrap_or_default()))
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

fn screen(id: &str) -> &str {
    if id == "home" {
        return "Home";
    }
    vvx::screen::ALL.iter().find(|(known, _)| *known == id).map_or(id, |(_, what)| what)
}

fn page(id: &str) -> &str {
    crate::run::PAGES.iter().find(|(known, _)| *known == id).map_or(id, |(_, what)| what)
}

/// `0:01:16  desk ↔ identity         ask for a code`, wrapped where it is long.
fn print(line: &Told) -> String {
    let secs = line.at.as_nanos() / 1_000_000_000;
    let at = format!("{}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60);
    let mut text = format!("{at:>8}  {:<width$}", line.who, width = WHAT_AT - WHO_AT);
    let mut column = 0;
    for (index, (what, times)) in line.what.iter().enumerate() {
        let again = if *times > 1 { format!(" ({times} times)") } else { String::new() };
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

    #[test]
    fn every_event_that_an_actor_publishes_is_told_or_left_out_on_purpose() {
        let all = [vvx::events::ALL, identity::events::ALL, registrar::events::ALL, site::events::ALL];
        let names: Vec<&str> = all.iter().flat_map(|events| events.iter().map(|(name, _)| *name)).collect();
        let is_known = |name: &&str| LEFT_OUT.contains(name) || HAPPENINGS.iter().any(|(told, _)| told == name);
        let unknown: Vec<&&str> = names.iter().filter(|name| !is_known(name)).collect();
        assert!(unknown.is_empty(), "the tale has no words for {unknown:?}");
        let told = HAPPENINGS.iter().map(|(name, _)| *name).chain(LEFT_OUT.iter().copied());
        let gone: Vec<&str> = told.filter(|name| !names.contains(name)).collect();
        assert!(gone.is_empty(), "nobody publishes {gone:?}");
    }

    #[test]
    fn a_request_is_told_in_the_words_behind_it() {
        assert_eq!(request("POST /common/oauth2/devicecode (ask for a code)").as_deref(), Some("ask for a code"));
        assert_eq!(
            request("REGISTER sip:x cseq 4 (registration) (handshake)").as_deref(),
            Some("prove who I am")
        );
        assert_eq!(request("GET /0004f2a1b2c3.cfg (master file)"), None);
        assert_eq!(request("DNS A prov.hq"), None);
    }

    #[test]
    fn an_answer_is_told_when_it_is_not_what_was_asked_for() {
        assert_eq!(answer("200 tokens"), None);
        assert_eq!(answer("401 Unauthorized  cseq 2 REGISTER  (a challenge)"), None);
        assert_eq!(answer("404 no such file"), None);
        assert_eq!(answer("503 overloaded").as_deref(), Some("→ 503 overloaded"));
        assert_eq!(
            answer("403 Forbidden  cseq 4 REGISTER  (not enabled)").as_deref(),
            Some("→ 403 Forbidden (not enabled)")
        );
    }

    #[test]
    fn long_numbers_are_told_only_so_far_as_two_are_told_apart() {
        assert_eq!(briefly("for device ae867955-8531-51f0-8311-890640b13d35"), "for device ae867955…");
        assert_eq!(briefly("until 2019-04-07T09:01:22Z"), "until 2019-04-07T09:01:22Z");
    }
}
