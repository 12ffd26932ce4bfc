//! Refusals: every way the pool says no, with its status and the diagnostics that clients show or act on.
//!
//! Codes are those of MS-OCER (and MS-SIPREGE 3.1.2.5.1 where a status is given there); the reason texts are the
//! pool's own. What is safe to show to a person goes into `ms-diagnostics-public`, the rest into `ms-diagnostics`.

use sip::Draft;

/// Why a request is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The account is homed on another pool; the client is sent there.
    HomedElsewhere {
        /// The other pool's host name.
        host: String,
    },
    /// Neither an endpoint identifier nor an instance id.
    NoEndpoint,
    /// An endpoint identifier of more than [`EPID_MAX`](sip::endpoint::EPID_MAX) characters.
    EpidTooLong,
    /// The instance id does not derive from the endpoint identifier (MS-SIPAE 3.3.5.2; the status is a guess).
    ForeignInstance,
    /// A GRUU that was issued to another endpoint (MS-SIPAE 3.3.5.2; the status is a guess).
    ForeignGruu,
    /// No Contact that can be bound, or more than one.
    BadContact(&'static str),
    /// More Contacts in one request than an address may have endpoints.
    TooManyContacts,
    /// A flow of the client's own through a proxy that does not keep it (RFC 5626 §6).
    FirstHopLacksOutbound,
    /// Digest credentials that cannot be read, or that are for another address than the request.
    BadCredentials,
    /// An address of a kind that leads nowhere from here.
    UnsupportedScheme,
    /// No hops are left.
    TooManyHops,
    /// The request has been here before, just as it is now (RFC 3261 §16.3).
    Loop,
    /// Nobody can be reached at that address now.
    NotRegistered,
    /// The way to a client broke (RFC 5626 §5.3).
    FlowFailed,
    /// An address, Call-ID or tag of more octets than the pool remembers.
    TooLarge,
    /// A body that is not the document it should be.
    BadBody,
    /// The Event header of a REGISTER names something else than `registration`.
    NotRegistrationEvent,
    /// An event package that nobody serves here.
    UnknownEvent,
    /// `msrtc-event-categories` without `gruu-10`.
    NeedsGruu,
    /// Extensions that are not known here.
    BadExtension(String),
    /// The address is known and may not sign in.
    Disabled,
    /// The address in From is not that of the certificate.
    ForeignFrom,
    /// No such address.
    UnknownUser,
    /// Somebody or something that is not served here.
    NoSuchDestination,
    /// The method has no meaning here.
    MethodNotAllowed,
    /// No dialog or subscription fits.
    NoSuchDialog,
    /// A registration shorter than the pool grants.
    TooBrief {
        /// The shortest that it grants, in seconds.
        min_s: u64,
    },
    /// An older request after a newer one (RFC 3261 §10.3).
    OutOfOrder,
    /// Too much is asked at once.
    Busy {
        /// When to come back, in seconds.
        retry_after_s: u32,
    },
    /// The way is cut further on.
    Unreachable,
    /// A status that a story asked for and that has no meaning of its own here.
    AsTold(u16),
}

/// What the pool serves besides REGISTER.
pub const ALLOW: &str = "REGISTER, SUBSCRIBE, SERVICE, OPTIONS, INVITE, ACK, CANCEL, BYE";
/// What the pool itself serves to ordinary user agents; it puts every other method through.
pub const ALLOW_PLAIN: &str = "REGISTER, OPTIONS, INVITE, ACK, CANCEL, BYE";
/// The event packages one may subscribe to, written without blanks: some clients read only up to the first one.
pub const ALLOW_EVENTS: &str =
    "vnd-microsoft-roaming-contacts,vnd-microsoft-roaming-self,vnd-microsoft-provisioning-v2";

/// The reason phrase of a status (RFC 3261 §21). Others come only from stories.
pub fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        423 => "Interval Too Brief",
        430 => "Flow Failed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        486 => "Busy Here",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        439 => "First Hop Lacks Outbound Support",
        100..=199 | 407 | 487 => sip::print::reason_phrase(status),
        _ => "As Told",
    }
}

/// How long a client is asked to stay away when nothing better is known.
const RETRY_AFTER_S: u32 = 30;

impl Refusal {
    /// What a story's `answer` with this status means: the refusal that a real pool would give it for.
    pub fn told(status: u16, host: &str) -> Refusal {
        match status {
            301 => Refusal::HomedElsewhere { host: host.to_owned() },
            403 => Refusal::Disabled,
            404 => Refusal::UnknownUser,
            503 => Refusal::Busy { retry_after_s: RETRY_AFTER_S },
            504 => Refusal::Unreachable,
            other => Refusal::AsTold(other),
        }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::HomedElsewhere { .. } => 301,
            Refusal::NoEndpoint
            | Refusal::EpidTooLong
            | Refusal::ForeignInstance
            | Refusal::BadContact(_)
            | Refusal::TooLarge
            | Refusal::BadCredentials
            | Refusal::BadBody => 400,
            Refusal::ForeignGruu | Refusal::Disabled | Refusal::ForeignFrom | Refusal::TooManyContacts => 403,
            Refusal::UnknownUser | Refusal::NoSuchDestination => 404,
            Refusal::MethodNotAllowed => 405,
            Refusal::UnsupportedScheme => 416,
            Refusal::BadExtension(_) => 420,
            Refusal::NeedsGruu => 421,
            Refusal::TooBrief { .. } => 423,
            Refusal::FlowFailed => 430,
            Refusal::FirstHopLacksOutbound => 439,
            Refusal::NotRegistered => 480,
            Refusal::NoSuchDialog => 481,
            Refusal::Loop => 482,
            Refusal::TooManyHops => 483,
            Refusal::NotRegistrationEvent | Refusal::UnknownEvent => 489,
            Refusal::OutOfOrder => 500,
            Refusal::Busy { .. } => 503,
            Refusal::Unreachable => 504,
            Refusal::AsTold(status) => *status,
        }
    }

    /// The diagnostic number and text, and whether it is for everybody's eyes.
    fn diagnostic(&self) -> Option<(u16, &str, Audience)> {
        use Audience::{Client, Public};
        Some(match self {
            Refusal::NoEndpoint => (4010, "No endpoint identifier and no instance id", Client),
            Refusal::EpidTooLong => (4012, "The endpoint identifier is too long", Client),
            Refusal::ForeignInstance => (4010, "The instance id belongs to another endpoint", Client),
            Refusal::ForeignGruu => (4004, "The GRUU belongs to another endpoint", Public),
            Refusal::BadContact(why) => (4000, why, Client),
            Refusal::TooLarge => (4008, "An address, Call-ID or tag is too long", Client),
            Refusal::BadBody => (4001, "The body cannot be read", Client),
            Refusal::NotRegistrationEvent => (4055, "The event of a REGISTER is not registration", Client),
            Refusal::NeedsGruu => (2057, "Event categories need gruu-10", Client),
            Refusal::Disabled => (4003, "This user may not sign in", Public),
            Refusal::ForeignFrom => (4004, "The credentials belong to another user", Public),
            Refusal::UnknownUser => (4005, "No such user", Client),
            Refusal::NoSuchDestination => (1003, "No such destination", Client),
            Refusal::Busy { .. } => (1, "Service unavailable", Client),
            Refusal::Unreachable => (1007, "Temporarily no route", Client),
            Refusal::HomedElsewhere { .. }
            | Refusal::UnknownEvent
            | Refusal::BadExtension(_)
            | Refusal::TooManyContacts
            | Refusal::FirstHopLacksOutbound
            | Refusal::BadCredentials
            | Refusal::UnsupportedScheme
            | Refusal::TooManyHops
            | Refusal::Loop
            | Refusal::NotRegistered
            | Refusal::FlowFailed
            | Refusal::MethodNotAllowed
            | Refusal::NoSuchDialog
            | Refusal::TooBrief { .. }
            | Refusal::OutOfOrder
            | Refusal::AsTold(_) => return None,
        })
    }

    /// Adds to a response what this refusal has to say. `source` is the pool's host name.
    pub fn explain(&self, draft: &mut Draft, source: &str) {
        self.explain_plainly(draft);
        match self.diagnostic() {
            Some((code, reason, Audience::Public)) => {
                draft.push("ms-diagnostics-public", &format!("{code};reason=\"{reason}\""));
            }
            Some((code, reason, Audience::Client)) => {
                draft.push("ms-diagnostics", &format!("{code};reason=\"{reason}\";source=\"{source}\""));
            }
            None => {}
        }
    }

    /// Adds to a response what RFC 3261 wants of a refusal.
    pub fn explain_plainly(&self, draft: &mut Draft) {
        match self {
            Refusal::HomedElsewhere { host } => {
                draft.push("Contact", &format!("<sip:{host}:5061;transport=tls>"));
            }
            Refusal::MethodNotAllowed => draft.push("Allow", ALLOW),
            Refusal::UnknownEvent | Refusal::NotRegistrationEvent => draft.push("Allow-Events", ALLOW_EVENTS),
            Refusal::BadExtension(names) => draft.push("Unsupported", names),
            Refusal::NeedsGruu => draft.push("Require", "gruu-10"),
            Refusal::TooBrief { min_s } => draft.push("Min-Expires", &min_s.to_string()),
            Refusal::Busy { retry_after_s } => draft.push("Retry-After", &retry_after_s.to_string()),
            Refusal::NoEndpoint
            | Refusal::EpidTooLong
            | Refusal::ForeignInstance
            | Refusal::ForeignGruu
            | Refusal::BadContact(_)
            | Refusal::TooLarge
            | Refusal::BadBody
            | Refusal::TooManyContacts
            | Refusal::FirstHopLacksOutbound
            | Refusal::BadCredentials
            | Refusal::UnsupportedScheme
            | Refusal::TooManyHops
            | Refusal::Loop
            | Refusal::NotRegistered
            | Refusal::FlowFailed
            | Refusal::Disabled
            | Refusal::ForeignFrom
            | Refusal::UnknownUser
            | Refusal::NoSuchDestination
            | Refusal::NoSuchDialog
            | Refusal::OutOfOrder
            | Refusal::Unreachable
            | Refusal::AsTold(_) => {}
        }
    }

    /// The refusal in words, for the journal.
    pub fn in_words(&self) -> String {
        let status = self.status();
        match self.diagnostic() {
            Some((code, reason, _)) => format!("{status}, {code}: {reason}"),
            None => format!("{status} {}", phrase(status)),
        }
    }
}

/// Who may read a diagnostic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// The pool's own clients.
    Client,
    /// Everybody, people included.
    Public,
}
