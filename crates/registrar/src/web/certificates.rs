//! The certificate provisioning service (MS-OCAUTHWS): a client certificate for a web ticket and a request, and
//! the root chain for anybody.
//!
//! Of the request only the public key counts. Ticket, `Entity` and `DeviceId` must name the same user and device.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use net::http::{Response, StatusCode};
use net::{Outbox, Wall};
use pki::{CertificateRequest, Digests, Holder, Validity};

use super::keys;
use super::site::{Service, Site};
use super::soap::{AUTH_SERVICES, ENVELOPE, Refusal, SECURITY, answer, operation};
use super::ticket::device;
use super::tickets::{Ticket, Tickets, check_proof};
use super::xml::{Document, Node, escape};
use crate::accounts::{Account, Accounts, normal};
use crate::ledger::WriteId;
use crate::published::Certificate;
use crate::registrar::Parts;

/// The shortest life of a certificate that a client may ask for, and the shortest that is given at all: clients
/// ask again and again for one that is about to end.
pub const LIFE_MIN: Duration = Duration::from_secs(8 * 3600);
/// The longest life of a certificate that a client may ask for.
pub const LIFE_MAX: Duration = Duration::from_secs(8760 * 3600);
/// The most octets of a certificate request.
const REQUEST_LIMIT: usize = 16 << 10;
/// The most characters of ids that are repeated.
const ID_LIMIT: usize = 128;

const ACTION: &str = "http://schemas.microsoft.com/OCS/AuthWebServices/GetAndPublishCert";
const X509: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3";
const BASE64: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#Base64Binary";

/// A certificate that was issued; its answer may be sent once `write` is on the disk.
#[derive(Debug)]
pub struct Issued {
    /// Whose it is.
    pub user: String,
    /// What notes say of it.
    pub text: String,
    /// What must be kept first; `None` if it was kept before.
    pub write: Option<WriteId>,
    /// The answer.
    pub answer: Response<Bytes>,
}

/// A refused request, and whose it was as far as that was proved.
#[derive(Debug)]
pub struct Refused {
    /// The account, if the ticket was good.
    pub user: Option<String>,
    /// Why.
    pub refusal: Refusal,
}

/// Answers GetAndPublishCert.
///
/// # Errors
///
/// If the ticket, the proof, the names or the certificate request are not what they must be.
pub fn get_and_publish(
    body: &[u8],
    site: &Site,
    now: Wall,
    tickets: &mut Tickets,
    parts: &mut Parts<'_>,
    out: &mut Outbox,
) -> Result<Issued, Refused> {
    let anonymous = |refusal| Refused { user: None, refusal };
    let document = Document::read(body).map_err(|why| anonymous(Refusal::unreadable(why)))?;
    let call = operation(&document, "GetAndPublishCert").map_err(anonymous)?;
    let ticket = ticket_of(&document, site, now, tickets).map_err(anonymous)?;
    let refused = |refusal| Refused { user: Some(ticket.user.clone()), refusal };
    let account = may_sign_in(parts.accounts, &ticket.user).map_err(refused)?;
    let asked = Asked::read(call, &ticket, site).map_err(refused)?;
    tickets.bind(&ticket.id, &asked.device);

    // The same key asked for again with the same ticket is a repetition: it gets what it got.
    let key = asked.request.public_key_info();
    let repeated = parts.published.of(&ticket.user).find(|known| {
        known.device == asked.device
            && known.issued >= ticket.issued
            && now.plus(LIFE_MIN / 2) < known.not_after
            && pki::Certificate::read(&known.der.clone().into()).is_ok_and(|read| read.public_key_info == key)
    });
    if let Some(known) = repeated {
        return Ok(Issued {
            user: ticket.user.clone(),
            text: "the same once more".to_owned(),
            write: None,
            answer: asked.answer(&known.der),
        });
    }
    let holder = Holder::new(&account.address);
    let validity = Validity { from: now, life: asked.life(site) };
    let internal = |why: &dyn std::fmt::Display| {
        refused(Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, id: 0, reason: why.to_string() })
    };
    let der = parts.authority.issue_user(&asked.request, &holder, validity).map_err(|why| internal(&why))?;
    let read = pki::Certificate::read(&der).map_err(|why| internal(&why))?;
    if read.not_after < now.plus(LIFE_MIN) {
        return Err(internal(&"the authority's own certificate is about to end"));
    }
    let certificate = Certificate {
        user: ticket.user.clone(),
        device: asked.device.clone(),
        der: der.to_vec(),
        not_before: read.not_before,
        not_after: read.not_after,
        issued: now,
    };
    let text = format!("for device {} until {}", asked.device, read.not_after);
    let write = parts.published.publish(certificate, out);
    Ok(Issued { user: ticket.user.clone(), text, write: Some(write), answer: asked.answer(&der) })
}

/// The account behind a ticket, if it may sign in.
///
/// One that is homed elsewhere gets its certificate too: only who has proved who they are hears the 301 that leads
/// to its own pool (MS-SIPREGE 3.1), and without a certificate nobody can. That the pool which redirects issues it
/// itself, as a director does, is a guess.
///
/// # Errors
///
/// If it is unknown or disabled.
pub fn may_sign_in<'a>(accounts: &'a Accounts, user: &str) -> Result<Cow<'a, Account>, Refusal> {
    let account = accounts.find(user).ok_or_else(|| Refusal::account(4005, "user is not known"))?;
    if !account.enabled {
        return Err(Refusal::account(4003, "user is not enabled"));
    }
    Ok(account)
}

/// The ticket in the security header, whose proof is right.
fn ticket_of(document: &Document<'_>, site: &Site, now: Wall, tickets: &Tickets) -> Result<Ticket, Refusal> {
    let header = document.root().child("Header").ok_or_else(|| Refusal::token("no SOAP header"))?;
    let security = header.child("Security").ok_or_else(|| Refusal::token("not one security header"))?;
    // Signature wrapping moves signed elements to where nobody looks and puts others in their place: each of
    // these may stand in the whole message once, and in its place only.
    let place = |name, parent: Node<'_>| {
        let only = document.only(name).ok_or(())?;
        if parent.child(name).is_some_and(|found| found.is(only)) { Ok(only) } else { Err(()) }
    };
    let misplaced = |()| Refusal::token("ticket or timestamp are not where they must be, once");
    let assertion = place("Assertion", security).map_err(misplaced)?;
    place("Timestamp", security).map_err(misplaced)?;
    if document.all("Security").count() != 1
        || document.all("Signature").any(|signature| {
            !signature.is_within(assertion) && !security.child("Signature").is_some_and(|s| s.is(signature))
        })
    {
        return Err(misplaced(()));
    }
    let ticket = tickets.check(assertion.raw(), now).map_err(|why| Refusal::token(why.to_string()))?;
    if !site.is_url_of(&ticket.audience, Service::Certificate) {
        return Err(Refusal::token("web ticket is for another service"));
    }
    let key = ticket.proof_key.as_ref().ok_or_else(|| Refusal::token("web ticket has no proof key"))?;
    check_proof(security, ticket, key, now).map_err(|why| Refusal::token(why.to_string()))?;
    if header.child("To").is_some_and(|to| !site.is_url_of(to.text(), Service::Certificate)) {
        return Err(Refusal::forbidden("message is addressed to another service"));
    }
    if header.child("Action").is_some_and(|action| action.text() != ACTION) {
        return Err(Refusal::forbidden("message is for another action"));
    }
    Ok(ticket.clone())
}

/// What a client asked for, checked against its ticket.
struct Asked {
    device_id: String,
    entity: String,
    device: String,
    request_id: Option<String>,
    hours: Option<u64>,
    request: CertificateRequest,
}

impl Asked {
    fn read(call: Node<'_>, ticket: &Ticket, site: &Site) -> Result<Asked, Refusal> {
        let named = |name: &str| {
            let value = call.attribute(name).filter(|value| value.len() <= ID_LIMIT && !value.is_empty());
            value.ok_or_else(|| Refusal::unreadable(format!("no usable {name}")))
        };
        let (device_id, entity) = (named("DeviceId")?, named("Entity")?);
        if normal(entity) != ticket.user {
            return Err(Refusal::forbidden("entity is not the user of the web ticket"));
        }
        let device = device(device_id);
        if ticket.device.as_ref().is_some_and(|known| *known != device) {
            return Err(Refusal::forbidden("device is not that of the web ticket"));
        }
        let asked = call
            .child("RequestSecurityToken")
            .ok_or_else(|| Refusal::unreadable("not exactly one RequestSecurityToken"))?;
        let token = asked
            .child("BinarySecurityToken")
            .ok_or_else(|| Refusal::unreadable("not exactly one certificate request"))?;
        let der = keys::from_base64(token.text(), REQUEST_LIMIT)
            .ok_or_else(|| Refusal::unreadable("certificate request is not base64, or too long"))?;
        // Clients of that age sign their requests over SHA-1; a strict pool does not take it.
        let digests = if site.strict { Digests::Sha2 } else { Digests::Sha2AndSha1 };
        let request = CertificateRequest::parse_signed_over(&der, digests).map_err(Refusal::unreadable)?;
        let request_id = asked.child("RequestID").map(|id| id.text().to_owned());
        if request_id.as_ref().is_some_and(|id| id.len() > ID_LIMIT) {
            return Err(Refusal::unreadable("request id is too long"));
        }
        let hours = match call.attribute("ValidityPeriod") {
            Some(hours) => {
                Some(hours.parse().map_err(|_| Refusal::unreadable("validity period is not a number"))?)
            }
            None => None,
        };
        let (device_id, entity) = (device_id.to_owned(), entity.to_owned());
        Ok(Asked { device_id, entity, device, request_id, hours, request })
    }

    /// What the pool gives, or less if less was asked for.
    fn life(&self, site: &Site) -> Duration {
        let granted = site.certificate_life.clamp(LIFE_MIN, LIFE_MAX);
        match self.hours {
            Some(hours) => Duration::from_secs(hours.saturating_mul(3600)).clamp(LIFE_MIN, granted),
            None => granted,
        }
    }

    fn answer(&self, der: &[u8]) -> Response<Bytes> {
        let id = self.request_id.as_ref().map_or(String::new(), |id| {
            format!(
                "<RequestID xmlns=\"http://schemas.microsoft.com/windows/pki/2009/01/enrollment\">{}</RequestID>",
                escape(id)
            )
        });
        let body = format!(
            "<s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Body><GetAndPublishCertResponse xmlns=\"{AUTH_SERVICES}\" \
             DeviceId=\"{}\" Entity=\"{}\"><RequestSecurityTokenResponse \
             xmlns=\"http://docs.oasis-open.org/ws-sx/ws-trust/200512/\"><TokenType>{X509}</TokenType>\
             <RequestedSecurityToken><BinarySecurityToken xmlns=\"{SECURITY}\" ValueType=\"{X509}\" \
             EncodingType=\"{BASE64}\">{}</BinarySecurityToken></RequestedSecurityToken>{id}\
             </RequestSecurityTokenResponse></GetAndPublishCertResponse></s:Body></s:Envelope>",
            escape(&self.device_id),
            escape(&self.entity),
            keys::to_base64(der)
        );
        answer(StatusCode::OK, body)
    }
}

/// Answers GetRootCertChains, which anybody may ask over plain HTTP: a phone that trusts nobody yet takes the
/// root from here on first use. That the answer holds one `X509Certificate` for each certificate of the
/// authority, the root first, is a guess.
///
/// # Errors
///
/// If it is no such request.
pub fn root_chains(body: &[u8], authority: &pki::Authority) -> Result<Response<Bytes>, Refusal> {
    let document = Document::read(body).map_err(Refusal::unreadable)?;
    operation(&document, "GetRootCertChains")?;
    let chain = std::iter::once(authority.root()).chain(authority.issuers());
    let certificates: String =
        chain.map(|der| format!("<X509Certificate>{}</X509Certificate>", keys::to_base64(der))).collect();
    Ok(answer(
        StatusCode::OK,
        format!(
            "<s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Body><GetRootCertChainsResponse xmlns=\"{AUTH_SERVICES}\">\
             {certificates}</GetRootCertChainsResponse></s:Body></s:Envelope>"
        ),
    ))
}
