//! Answers: what a response copies from its request, and what a server writes into the Via.

use std::net::SocketAddr;

use sha2::{Digest as _, Sha256};

use super::{Message, full_name};
use crate::print::Draft;
use crate::uri::host_ip;

impl Message {
    /// Starts a response: Via, From, To, Call-ID and CSeq copied, the To tag of `tag` added if there is none yet
    /// (RFC 3261 §8.2.6). A 100 goes without.
    pub fn reply_tagged(&self, status: u16, reason: &str, tag: Option<&str>) -> Draft {
        let mut draft = Draft::response(status, reason);
        for (name, value) in self.all_headers() {
            let name = full_name(name);
            match name {
                "Via" | "From" | "Call-ID" | "CSeq" => draft.push(name, value),
                // A 100 says when the request was sent, so that the sender can tell the round trip.
                _ if status == 100 && name.eq_ignore_ascii_case("Timestamp") => draft.push(name, value),
                "To" => match tag {
                    Some(tag) if status != 100 && self.to().tag().is_none() => {
                        draft.push(name, &format!("{value};tag={tag}"));
                    }
                    _ => draft.push(name, value),
                },
                _ => {}
            }
        }
        draft
    }

    /// As [`Message::reply_tagged`], with a tag made of the request itself: a server without state answers a
    /// retransmission the same way (RFC 3261 §8.2.7).
    pub fn reply(&self, status: u16, reason: &str) -> Draft {
        let tag = stateless_tag(self);
        self.reply_tagged(status, reason, Some(&tag))
    }

    /// The request as a server hands it on: the topmost Via notes where it really came from (RFC 3261 §18.2.1,
    /// RFC 3581 §4). `None` if it already says the truth.
    pub fn top_via_received_from(&self, peer: SocketAddr) -> Option<String> {
        let via = self.via();
        let wants_port = via.params.get("rport") == Some("");
        let is_true = host_ip(via.host) == Some(peer.ip());
        if is_true && !wants_port {
            return None;
        }
        use std::fmt::Write as _;
        let text = self.top_via();
        let mut out = String::with_capacity(text.len() + 64);
        // Writing to a text cannot fail.
        let _ = match (wants_port, text.find(";rport")) {
            (true, Some(at)) => {
                let (before, after) = text.split_at(at + ";rport".len());
                write!(out, "{before}={}{after};received={}", peer.port(), peer.ip())
            }
            _ => write!(out, "{text};received={}", peer.ip()),
        };
        Some(out)
    }
}

/// A To tag that depends on nothing but the request, so that a retransmission gets the same one.
fn stateless_tag(message: &Message) -> String {
    let mut hash = Sha256::new();
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        hash.update(message.header(name).unwrap_or("").as_bytes());
        hash.update([0]);
    }
    hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
}
