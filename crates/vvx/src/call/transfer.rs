//! Transfer: asking the other end to call somebody else (REFER, RFC 3515), being asked to, and calls that take
//! another's place (Replaces, RFC 3891).

use std::time::Duration;

use net::Time;
use sip::dialog::DialogId;
use sip::{Message, NameAddr, Uri};

use super::incoming::{Reply, reply};
use super::one::{About, Call, Phase};
use super::way::Hands;
use super::{CallRef, Then, address};
use crate::events;

/// How long the other end may take to tell what came of it.
const PATIENCE: Duration = Duration::from_secs(60);
/// The media type of what it tells.
const FRAGMENT: &str = "message/sipfrag";

/// A transfer that this end asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    /// To whom, in words.
    pub to: String,
    /// The other call, whose place the new one takes.
    pub with: Option<CallRef>,
    /// When it is given up.
    pub until: Time,
}

impl Transfer {
    pub(super) fn wake_at(&self) -> Option<Time> {
        Some(self.until)
    }
}

impl Call {
    /// Asks the other end to call `to`, an address that may say whose place the call takes.
    pub(super) fn refer(&mut self, to: &str, shown: &str, with: Option<CallRef>, hands: &mut Hands<'_>) {
        let Some((draft, toward)) = self.inside("REFER", hands) else { return };
        let Some(way) = hands.way else { return };
        let draft = draft
            .with("Contact", &way.contact)
            .with("Refer-To", format!("<{to}>"))
            .with("Referred-By", format!("<{}>", self.local.address));
        self.transfer = Some(Transfer { to: shown.to_owned(), with, until: hands.now + PATIENCE });
        self.ask(draft, About::Refer, toward, hands);
    }

    /// The answer to that REFER.
    pub(super) fn refer_answered(&mut self, status: u16, hands: &mut Hands<'_>) {
        if status >= 300 {
            self.transfer_failed(&format!("the other end answers {status}"), hands);
        }
    }

    pub(super) fn transfer_failed(&mut self, why: &str, hands: &mut Hands<'_>) {
        if let Some(transfer) = self.transfer.take() {
            hands.event(events::CALL_TRANSFER_FAILED, format!("to {}: {why}", transfer.to));
            hands.acts.push(super::Act::Attention);
        }
    }

    /// A NOTIFY about the REFER: what came of it.
    pub(super) fn noticed(&mut self, request: &Message, hands: &mut Hands<'_>) -> Reply {
        let is_refer = request
            .header("Event")
            .is_some_and(|event| event.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("refer"));
        if !is_refer {
            return reply(request, 489, &self.tag);
        }
        let status = request.body_text().filter(|_| request.is_content(FRAGMENT)).and_then(|text| {
            let mut words = text.split_ascii_whitespace();
            let is_sip = words.next().is_some_and(|word| word.eq_ignore_ascii_case("SIP/2.0"));
            words.next().filter(|_| is_sip)?.parse::<u16>().ok()
        });
        match status {
            Some(200..=299) => {
                if let Some(transfer) = self.transfer.take() {
                    hands.event(events::CALL_TRANSFERRED, format!("to {}", transfer.to));
                    self.bye(hands);
                    self.end("Transferred", hands);
                    hands.then.extend(transfer.with.map(Then::HangUp));
                }
            }
            Some(status @ 300..) => self.transfer_failed(&format!("{status}"), hands),
            Some(_) | None => {}
        }
        reply(request, 200, &self.tag)
    }

    /// The other end asks this one to call somebody.
    pub(super) fn referred(&mut self, request: &Message, hands: &mut Hands<'_>) -> Reply {
        if !matches!(self.phase, Phase::Talking) {
            return reply(request, 481, &self.tag);
        }
        let Some(wanted) = request.header("Refer-To").and_then(wanted) else {
            return reply(request, 400, &self.tag);
        };
        hands.event(events::CALL_REFERRED, format!("to {}", wanted.shown));
        let by = request.header("Referred-By").unwrap_or("").to_owned();
        let mut answer = reply(request, 202, &self.tag);
        if let Some(way) = hands.way {
            answer.draft.push("Contact", &way.contact);
        }
        hands.then.push(Then::Refer { by: self.reference, wanted, referrer: by });
        answer
    }

    /// Tells whoever asked for another call how that one stands.
    pub(super) fn notify(&mut self, status: u16, hands: &mut Hands<'_>) {
        if self.is_over() {
            return;
        }
        let Some((draft, toward)) = self.inside("NOTIFY", hands) else { return };
        let Some(way) = hands.way else { return };
        let state = if status < 200 { "active;expires=60" } else { "terminated;reason=noresource" };
        let fragment = format!("SIP/2.0 {status} {}\r\n", sip::print::reason_phrase(status));
        let draft = draft
            .with("Contact", &way.contact)
            .with("Event", "refer")
            .with("Subscription-State", state)
            .body(FRAGMENT, fragment);
        self.ask(draft, About::Notice, toward, hands);
    }

    /// An address that calls this call's other end and takes this call's place there.
    pub(super) fn replaces(&self) -> Option<String> {
        let dialog = self.dialog.as_ref()?;
        let DialogId { call_id, local_tag, remote_tag } = dialog.id();
        // Seen from there, its own tag is the To tag.
        let value = format!("{call_id};to-tag={remote_tag};from-tag={local_tag}");
        // A GRUU leads to that very phone; other contacts lead there only by the routes of this dialog, so the user is
        // called, and the phone that has the dialog knows it.
        let contact = dialog.target();
        let is_gruu = Uri::parse(contact).is_ok_and(|uri| uri.params.has("gruu") || uri.params.has("gr"));
        let user = Uri::parse(&self.remote.address).ok().filter(Uri::is_sip).map(|uri| uri.as_str());
        let target = user.filter(|_| !is_gruu).unwrap_or(contact);
        Some(format!("{target}?Replaces={}", escape(&value)))
    }
}

/// Whom a REFER wants called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub address: String,
    pub shown: String,
    /// The Replaces header that the INVITE is to carry.
    pub replaces: Option<String>,
}

fn wanted(refer_to: &str) -> Option<Wanted> {
    let to = NameAddr::parse(refer_to).ok()?;
    if !to.uri.is_sip() {
        return None;
    }
    let text = to.uri.as_str();
    let address = text.split('?').next().unwrap_or(text).to_owned();
    let mut replaces = None;
    for pair in to.uri.headers.unwrap_or("").split('&') {
        if let Some((name, value)) = pair.split_once('=')
            && name.eq_ignore_ascii_case("Replaces")
        {
            replaces = Some(unescape(value)?);
        }
    }
    let shown = address::party(&to).shown();
    Some(Wanted { address, shown, replaces })
}

/// The dialog that a Replaces header means, seen from this end; and whether only an early one is meant.
pub(super) fn replaced(value: &str) -> Option<(DialogId, bool)> {
    let mut parts = value.split(';').map(str::trim);
    let call_id = parts.next().filter(|call_id| !call_id.is_empty())?.to_owned();
    let (mut to_tag, mut from_tag, mut is_early_only) = (None, None, false);
    for part in parts {
        match part.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("to-tag") => to_tag = Some(value),
            Some((name, value)) if name.eq_ignore_ascii_case("from-tag") => from_tag = Some(value),
            None if part.eq_ignore_ascii_case("early-only") => is_early_only = true,
            _ => {}
        }
    }
    // RFC 3891 §3: the To tag is that of whoever receives this.
    let id = DialogId { call_id, local_tag: to_tag?.to_owned(), remote_tag: from_tag?.to_owned() };
    Some((id, is_early_only))
}

fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn unescape(text: &str) -> Option<String> {
    let mut octets = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        if octet == b'%' {
            let two = [octets.next()?, octets.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&two).ok()?, 16).ok()?);
        } else {
            out.push(octet);
        }
    }
    // What comes out stands in a header: it must not end the line.
    String::from_utf8(out).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_is_read_from_the_receivers_side() {
        let (id, is_early_only) = replaced("c@x;to-tag=mine;from-tag=theirs").expect("it is one");
        assert_eq!(
            (id.call_id.as_str(), id.local_tag.as_str(), id.remote_tag.as_str()),
            ("c@x", "mine", "theirs")
        );
        assert!(!is_early_only);
        assert!(replaced("c;from-tag=a;to-tag=b;early-only").expect("it is one").1);
        for wrong in ["", "c", "c;to-tag=a", ";to-tag=a;from-tag=b"] {
            assert_eq!(replaced(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_refer_names_whom_to_call_and_whose_place_to_take() {
        let value = "c@x;to-tag=a;from-tag=b";
        let refer_to = format!("\"Bob\" <sip:bob@contoso.example?Replaces={}>", escape(value));
        let wanted = wanted(&refer_to).expect("it is one");
        assert_eq!((wanted.address.as_str(), wanted.shown.as_str()), ("sip:bob@contoso.example", "Bob"));
        assert_eq!(wanted.replaces.as_deref(), Some(value));
        for wrong in ["<tel:+15550100>", "nonsense", "<sip:bob@contoso.example?Replaces=a%0d%0aX:%20y>"] {
            assert_eq!(super::wanted(wrong), None, "{wrong}");
        }
    }
}
