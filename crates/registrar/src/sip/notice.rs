//! Notices: requests that the pool sends on its own, inside what a client has subscribed to.
//!
//! A BENOTIFY wants no answer (MS-SIP 2.2.1); a NOTIFY gets one, which changes nothing here. Both leave signed.

use sip::Draft;

/// Where a subscription's notices go: the half of a dialog (RFC 3261 §12) that the pool needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialog {
    /// The subscriber's Contact.
    pub target: String,
    /// Its Call-ID.
    pub call_id: String,
    /// The address that was subscribed to, with its scheme.
    pub local_uri: String,
    /// The pool's tag.
    pub local_tag: String,
    /// The subscriber's address, with its scheme.
    pub remote_uri: String,
    /// The subscriber's tag.
    pub remote_tag: String,
    /// The subscriber's endpoint identifier, if it has one.
    pub remote_epid: Option<String>,
    /// The number of the last notice.
    pub cseq: u32,
}

/// Why a pool takes a registration away (the event-specific text of MS-SIPREGE's deregistration notices).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deregistration {
    /// The endpoint was signed out, or made room for another one.
    Unregistered,
    /// The account may not sign in any more.
    Rejected,
    /// The account is homed elsewhere now.
    Deactivated,
}

impl Deregistration {
    /// Its name in the notice's body.
    pub const fn name(self) -> &'static str {
        match self {
            Deregistration::Unregistered => "unregistered",
            Deregistration::Rejected => "rejected",
            Deregistration::Deactivated => "deactivated",
        }
    }

    /// The diagnostics that go with it. The text of 4140 is a guess.
    const fn diagnostics(self) -> Option<&'static str> {
        match self {
            Deregistration::Unregistered => None,
            Deregistration::Rejected => Some("4141;reason=\"User disabled\""),
            Deregistration::Deactivated => Some("4140;reason=\"User moved\""),
        }
    }
}

/// Begins the next notice of a dialog. `sent_by` is the pool's host name and port, `branch` names the transaction.
pub fn begin(method: &str, dialog: &mut Dialog, sent_by: &str, branch: &str) -> Draft {
    dialog.cseq = dialog.cseq.saturating_add(1);
    let epid = dialog.remote_epid.as_ref().map_or(String::new(), |epid| format!(";epid={epid}"));
    Draft::request(method, &dialog.target)
        .with("Via", format!("SIP/2.0/TLS {sent_by};branch=z9hG4bK{branch}"))
        .with("Max-Forwards", "70")
        .with("From", format!("<{}>;tag={}", dialog.local_uri, dialog.local_tag))
        .with("To", format!("<{}>;tag={}{epid}", dialog.remote_uri, dialog.remote_tag))
        .with("Call-ID", &dialog.call_id)
        .with("CSeq", format!("{} {method}", dialog.cseq))
}

/// The last notice of a registration's own subscription.
pub fn deregistered(why: Deregistration, dialog: &mut Dialog, sent_by: &str, branch: &str) -> Draft {
    let mut draft = begin("BENOTIFY", dialog, sent_by, branch)
        .with("Event", "registration-notify")
        .with("subscription-state", "terminated;expires=0");
    if let Some(diagnostics) = why.diagnostics() {
        draft.push("ms-diagnostics-public", diagnostics);
    }
    draft.body("text/registration-event", format!("deregistered;event={}", why.name()))
}
