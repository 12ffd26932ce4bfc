//! Web tickets: SAML 1.1 assertions that this pool signed, and the proof keys that belong to them.
//!
//! The signature is XML-Signature with HMAC-SHA256 under a key that the pool draws when it gets power. The pool
//! writes its assertions in their canonical form (exclusive XML canonicalization), so that the text is what is
//! signed, and takes back nothing but that very text: what was parsed and printed anew, extended or wrapped is
//! refused. A ticket from before a restart is refused as well, and clients ask for a new one.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use net::{Random, Wall};
use subtle::ConstantTimeEq as _;

use super::keys;
use super::xml::{Node, escape};
use crate::accounts::normal;

/// The most tickets that are remembered; the oldest makes room.
pub const TICKETS_LIMIT: usize = 100_000;
/// The most tickets of one user that are remembered; that user's oldest makes room.
pub const USER_TICKETS_LIMIT: usize = 32;

/// What a ticket says.
#[derive(Clone)]
pub struct Ticket {
    /// The assertion's id.
    pub id: String,
    /// The account's address.
    pub user: String,
    /// The device: the `Context` of the request, without braces, lower case; `None` until it is known.
    pub device: Option<String>,
    /// The URL that the ticket is for.
    pub audience: String,
    /// When it was issued.
    pub issued: Wall,
    /// When it ends.
    pub expires: Wall,
    /// The key that the holder signs with; a bearer ticket has none.
    pub proof_key: Option<Vec<u8>>,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("user", &self.user)
            .field("device", &self.device)
            .field("audience", &self.audience)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// How its holder proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By a password over HTTP Basic.
    Password,
    /// By an access token.
    Token,
}

impl Method {
    fn uri(self) -> &'static str {
        match self {
            Method::Password => "urn:oasis:names:tc:SAML:1.0:am:password",
            Method::Token => "urn:oasis:names:tc:SAML:1.0:am:unspecified",
        }
    }
}

/// Why a ticket is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// The text is not one that this pool wrote since it was switched on.
    #[error("web ticket was not signed by this pool")]
    NotOurs,
    /// It was taken back, or made room for others.
    #[error("web ticket is no longer known")]
    Unknown,
    /// Its time is over, or has not come.
    #[error("web ticket is outside its validity")]
    OutsideValidity,
}

/// The tickets of a pool.
pub struct Tickets {
    key: [u8; 32],
    issuer: String,
    issued: BTreeMap<u64, Ticket>,
    numbers: BTreeMap<String, u64>,
    by_user: BTreeMap<String, Vec<u64>>,
    next: u64,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("count", &self.issued.len()).finish_non_exhaustive()
    }
}

impl Tickets {
    /// No tickets, and a fresh signing key.
    pub fn new(host: &str, random: &mut Random) -> Tickets {
        Tickets {
            key: random.bytes(),
            issuer: format!("https://{host}/WebTicket/WebTicketService.svc"),
            issued: BTreeMap::new(),
            numbers: BTreeMap::new(),
            by_user: BTreeMap::new(),
            next: 1,
        }
    }

    /// A fresh assertion id.
    pub fn fresh_id(random: &mut Random) -> String {
        format!("SamlSecurityToken-{}", random.uuid())
    }

    /// Remembers a ticket and writes its assertion.
    pub fn issue(&mut self, ticket: Ticket, method: Method) -> String {
        let assertion = self.sign(&ticket, method);
        let number = self.next;
        self.next += 1;
        let mut crowded = None;
        let of_user = self.by_user.entry(ticket.user.clone()).or_default();
        of_user.push(number);
        if of_user.len() > USER_TICKETS_LIMIT {
            crowded = of_user.first().copied();
        }
        self.numbers.insert(ticket.id.clone(), number);
        self.issued.insert(number, ticket);
        if self.issued.len() > TICKETS_LIMIT {
            crowded = crowded.or_else(|| self.issued.first_key_value().map(|(number, _)| *number));
        }
        if let Some(number) = crowded {
            self.forget(number);
        }
        assertion
    }

    /// The ticket whose assertion this is.
    ///
    /// # Errors
    ///
    /// If the text is not exactly one that this pool wrote, or does not count at `now`.
    pub fn check(&self, assertion: &str, now: Wall) -> Result<&Ticket, TicketError> {
        // The body is what stands before the signature; the whole must be what we would write around it.
        let body = assertion.find(SIGNATURE_START).map(|at| &assertion[..at]).ok_or(TicketError::NotOurs)?;
        let id = body
            .strip_prefix(ASSERTION_START)
            .and_then(|rest| rest.split_once('"'))
            .map(|(id, _)| id)
            .ok_or(TicketError::NotOurs)?;
        let whole = self.close(body, id);
        if !bool::from(whole.as_bytes().ct_eq(assertion.as_bytes())) {
            return Err(TicketError::NotOurs);
        }
        let number = self.numbers.get(id).ok_or(TicketError::Unknown)?;
        let ticket = self.issued.get(number).ok_or(TicketError::Unknown)?;
        if now < ticket.issued.minus(SKEW) || now >= ticket.expires {
            return Err(TicketError::OutsideValidity);
        }
        Ok(ticket)
    }

    /// Binds a ticket to the device that showed it first.
    pub fn bind(&mut self, id: &str, device: &str) {
        if let Some(ticket) = self.numbers.get(id).and_then(|number| self.issued.get_mut(number)) {
            ticket.device.get_or_insert_with(|| device.to_owned());
        }
    }

    /// Takes back every ticket of a user.
    pub fn revoke(&mut self, user: &str) {
        for number in self.by_user.get(&normal(user)).cloned().unwrap_or_default() {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(ticket) = self.issued.remove(&number) else { return };
        self.numbers.remove(&ticket.id);
        if let Some(of_user) = self.by_user.get_mut(&ticket.user) {
            of_user.retain(|known| *known != number);
            if of_user.is_empty() {
                self.by_user.remove(&ticket.user);
            }
        }
    }

    fn sign(&self, ticket: &Ticket, method: Method) -> String {
        let Ticket { id, issued, expires, .. } = ticket;
        let issuer = escape(&self.issuer);
        let audience = escape(&ticket.audience);
        let user = escape(&format!("sip:{}", ticket.user));
        let (method, confirmation) = (
            method.uri(),
            match ticket.proof_key {
                Some(_) => "urn:oasis:names:tc:SAML:1.0:cm:holder-of-key",
                None => "urn:oasis:names:tc:SAML:1.0:cm:bearer",
            },
        );
        let body = format!(
            "{ASSERTION_START}{id}\" IssueInstant=\"{issued}\" Issuer=\"{issuer}\" MajorVersion=\"1\" \
             MinorVersion=\"1\"><saml:Conditions NotBefore=\"{issued}\" NotOnOrAfter=\"{expires}\">\
             <saml:AudienceRestrictionCondition><saml:Audience>{audience}</saml:Audience>\
             </saml:AudienceRestrictionCondition></saml:Conditions><saml:AuthenticationStatement \
             AuthenticationInstant=\"{issued}\" AuthenticationMethod=\"{method}\"><saml:Subject>\
             <saml:NameIdentifier Format=\"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/uri\">{user}\
             </saml:NameIdentifier><saml:SubjectConfirmation><saml:ConfirmationMethod>{confirmation}\
             </saml:ConfirmationMethod></saml:SubjectConfirmation></saml:Subject>\
             </saml:AuthenticationStatement>"
        );
        self.close(&body, id)
    }

    /// The whole assertion around `body`, which lacks signature and end.
    fn close(&self, body: &str, id: &str) -> String {
        let digest = keys::to_base64(&keys::sha256(format!("{body}{ASSERTION_END}").as_bytes()));
        let signed_info = format!(
            "<SignedInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><CanonicalizationMethod \
             Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></CanonicalizationMethod><SignatureMethod \
             Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256\"></SignatureMethod><Reference \
             URI=\"#{id}\"><Transforms><Transform \
             Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></Transform><Transform \
             Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></Transform></Transforms><DigestMethod \
             Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"></DigestMethod><DigestValue>{digest}\
             </DigestValue></Reference></SignedInfo>"
        );
        let value = keys::to_base64(&keys::hmac_sha256(&self.key, signed_info.as_bytes()));
        format!(
            "{body}{SIGNATURE_START}{signed_info}<SignatureValue>{value}</SignatureValue></Signature>\
             {ASSERTION_END}"
        )
    }
}

/// How far a clock that reads a ticket may be behind the one that wrote it.
const SKEW: Duration = Duration::from_secs(300);

const ASSERTION_START: &str =
    "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:1.0:assertion\" AssertionID=\"";
const ASSERTION_END: &str = "</saml:Assertion>";
const SIGNATURE_START: &str = "<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\">";

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The security header lacks an element that a proof is made of, or has it twice.
    #[error("security header does not hold exactly one {0}")]
    NotOne(&'static str),
    /// It is signed by an algorithm that is not taken.
    #[error("unknown algorithm of {0}")]
    Algorithm(&'static str),
    /// The signature refers to something else than the timestamp and the ticket beside it.
    #[error("signature refers to another {0}")]
    Foreign(&'static str),
    /// The digest or the signature is wrong.
    #[error("wrong {0}")]
    Wrong(&'static str),
    /// The time stamp is over, not begun, or unreadable.
    #[error("timestamp is outside its validity")]
    Stale,
}

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const HMAC_SHA1: &str = "http://www.w3.org/2000/09/xmldsig#hmac-sha1";
const SHA1: &str = "http://www.w3.org/2000/09/xmldsig#sha1";
const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Checks the signature that proves that whoever shows a ticket holds its key: HMAC-SHA1 over `SignedInfo`, which
/// holds the SHA-1 of the timestamp. Both are taken as they were sent: clients send them in their canonical form.
///
/// # Errors
///
/// If anything is missing, double, foreign, wrong or stale.
pub fn check_proof(security: Node<'_>, ticket: &Ticket, key: &[u8], now: Wall) -> Result<(), ProofError> {
    let timestamp = security.child("Timestamp").ok_or(ProofError::NotOne("Timestamp"))?;
    let signature = security.child("Signature").ok_or(ProofError::NotOne("Signature"))?;
    let signed_info = signature.child("SignedInfo").ok_or(ProofError::NotOne("SignedInfo"))?;
    let reference = signed_info.child("Reference").ok_or(ProofError::NotOne("Reference"))?;
    if signature.namespace() != SIGNATURE || signed_info.namespace() != SIGNATURE {
        return Err(ProofError::NotOne("Signature"));
    }
    let algorithm = |node: Node<'_>, name: &'static str, wanted: &str| match node.child(name) {
        Some(method) if method.attribute("Algorithm") == Some(wanted) => Ok(()),
        Some(_) => Err(ProofError::Algorithm(name)),
        None => Err(ProofError::NotOne(name)),
    };
    algorithm(signed_info, "CanonicalizationMethod", EXCLUSIVE)?;
    algorithm(signed_info, "SignatureMethod", HMAC_SHA1)?;
    algorithm(reference, "DigestMethod", SHA1)?;
    if let Some(transforms) = reference.child("Transforms") {
        algorithm(transforms, "Transform", EXCLUSIVE)?;
    }
    let id = timestamp.attribute("Id").ok_or(ProofError::Foreign("timestamp"))?;
    if reference.attribute("URI").and_then(|uri| uri.strip_prefix('#')) != Some(id) {
        return Err(ProofError::Foreign("timestamp"));
    }
    let named = signature
        .path(&["KeyInfo", "SecurityTokenReference", "KeyIdentifier"])
        .ok_or(ProofError::NotOne("KeyIdentifier"))?;
    if named.text() != ticket.id {
        return Err(ProofError::Foreign("ticket"));
    }
    let equal = |node: Node<'_>, name: &'static str, wanted: &[u8]| {
        let said = node.child(name).ok_or(ProofError::NotOne(name))?;
        let said = keys::from_base64(said.text(), 64).ok_or(ProofError::Wrong(name))?;
        if bool::from(said.ct_eq(wanted)) { Ok(()) } else { Err(ProofError::Wrong(name)) }
    };
    equal(signature, "SignatureValue", &keys::hmac_sha1(key, signed_info.raw().as_bytes()))?;
    equal(reference, "DigestValue", &keys::sha1(timestamp.raw().as_bytes()))?;
    check_timestamp(timestamp, ticket, now)
}

/// Checks a security header's timestamp: it has begun, and ends after `now` but not after the ticket.
///
/// # Errors
///
/// [`ProofError::Stale`] otherwise.
pub fn check_timestamp(timestamp: Node<'_>, ticket: &Ticket, now: Wall) -> Result<(), ProofError> {
    let moment = |name| timestamp.child(name).and_then(|node| Wall::parse(node.text()));
    let created = moment("Created").ok_or(ProofError::Stale)?;
    let expires = moment("Expires").ok_or(ProofError::Stale)?;
    let is_good = created <= now.plus(SKEW) && now < expires && expires <= ticket.expires.plus(SKEW);
    if is_good { Ok(()) } else { Err(ProofError::Stale) }
}
