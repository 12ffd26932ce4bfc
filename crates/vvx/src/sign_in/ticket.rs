//! Step 14, second half: a web ticket from the pool (MS-OCAUTHWS), bought with a token or with a password.
//!
//! The services describe themselves (WSDL at `…/mex`); the phone asks the certificate service where tickets for
//! it are issued, asks that issuer which door fits what it has, and sends a WS-Trust request there. The ticket is
//! a SAML assertion that the phone passes on unread, and a proof key that both sides compute from each other's
//! entropy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use net::http::Response;
use sha1::Sha1;
use url::Url;

use crate::sign_in::ask::{Answer, Ask, Vouching};
use crate::sign_in::soap;
use crate::sign_in::tokens::Secret;
use crate::sign_in::web_code::spell_failure;
use crate::sign_in::xml::{self, Element};

/// The port of the certificate service that takes tickets with a proof of possession.
const CERTIFICATES_PORT: &str = "CertProvisioningServiceWebTicketProof_SHA1";
/// The port for HTTP credentials.
const PASSWORD_PORT: &str = "WebTicketServiceWinNegotiate";
/// The port for tokens. Its name is not in the published text; it is this project's guess.
const TOKEN_PORT: &str = "WebTicketServiceOAuth";
const ISSUE: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512/RST/Issue";
/// Octets of entropy and of the proof key.
const KEY_OCTETS: usize = 32;
/// The most octets of an assertion that are carried on.
const ASSERTION_MAX: usize = 24 << 10;

/// What the phone has to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A token of the identity service.
    Token(Secret),
    /// A user name and a password.
    Password {
        /// As it goes into HTTP Basic: an address, or `domain\user`.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebTicket {
    /// Where it is to be used.
    pub service: Url,
    /// The assertion as it came.
    pub assertion: Secret,
    /// Its id.
    pub assertion_id: String,
    /// The proof key, if the pool gave its half of it.
    pub proof_key: Option<[u8; KEY_OCTETS]>,
    /// When it was issued, as the pool wrote it.
    pub created: String,
    /// When it ends, as the pool wrote it.
    pub expires: String,
}

impl WebTicket {
    /// As HTTP resources take it: the value of `X-MS-WebTicket`.
    pub fn header_value(&self) -> String {
        format!("opaque={}", STANDARD.encode(self.assertion.expose()))
    }
}

/// What a step came to.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing to do.
    Wait,
    /// Make this request and bring the answer to [`Ticket::answered`].
    Ask(Ask),
    /// The pool issues tickets for tokens; a password alone will not do. Start again with a token of the
    /// authority that it names, or the phone's own.
    WantsToken(Option<Url>),
    /// Here it is.
    Issued(Box<WebTicket>),
    /// The pool refused what the phone showed (401, 403 or a fault); in words.
    Refused(String),
    /// It came to nothing; in words for the screen.
    Failed(String),
}

/// The way to one ticket.
#[derive(Debug)]
pub struct Ticket {
    /// The owner's address, without `sip:`.
    address: String,
    /// The device, as the request's context.
    device: String,
    proof: Proof,
    entropy: [u8; KEY_OCTETS],
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Asked the certificate service about itself.
    Service {
        url: Url,
    },
    /// Asked the issuer about itself.
    Issuer {
        service: Url,
    },
    /// Asked for the ticket.
    Issue {
        service: Url,
    },
    Over,
}

impl Ticket {
    /// A ticket for the certificate service at `url`.
    pub fn for_certificates(
        url: Url,
        address: &str,
        device: String,
        proof: Proof,
        entropy: [u8; KEY_OCTETS],
    ) -> (Ticket, Ask) {
        let ask = Ask::get(mex(&url), "what the certificate service offers", Vouching::Pool);
        let stage = Stage::Service { url };
        (Ticket { address: address.to_owned(), device, proof, entropy, stage }, ask)
    }

    /// A ticket for a web resource, from the issuer that the resource named.
    pub fn for_resource(
        issuer: &Url,
        resource: Url,
        address: &str,
        device: String,
        proof: Proof,
        entropy: [u8; KEY_OCTETS],
    ) -> (Ticket, Ask) {
        let ask = Ask::get(mex(issuer), "how tickets are issued", Vouching::Pool);
        let stage = Stage::Issuer { service: resource };
        (Ticket { address: address.to_owned(), device, proof, entropy, stage }, ask)
    }

    /// The answer to the last request.
    pub fn answered(&mut self, answer: Answer) -> Outcome {
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                self.stage = Stage::Over;
                return Outcome::Failed(spell_failure(&why));
            }
        };
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Service { url } => self.service_told(&url, &answer),
            Stage::Issuer { service } => self.issuer_told(service, &answer),
            Stage::Issue { service } => self.issued(service, &answer),
            Stage::Over => Outcome::Wait,
        }
    }

    fn service_told(&mut self, url: &Url, answer: &Response<Bytes>) -> Outcome {
        let Some(document) = definitions(answer) else {
            return failed(format!(
                "The certificate service does not describe itself: {}",
                soap::reason(answer)
            ));
        };
        let policy = document.all("Policy").find(|policy| {
            let wanted = "CertProvisioningServiceWebTicketProof_SHA1_policy";
            policy.attribute("Id").is_some_and(|id| id.eq_ignore_ascii_case(wanted))
        });
        let issuer = policy.and_then(|policy| {
            let all = policy.at(&["ExactlyOne", "All"])?;
            let tokens = all.child("EndorsingSupportingTokens").or(all.child("SignedSupportingTokens"))?;
            tokens.at(&["Policy", "IssuedToken", "Issuer", "Address"])
        });
        let issuer = issuer.and_then(|issuer| https(issuer.trimmed()));
        let (Some(issuer), Some(service)) = (issuer, port(&document, CERTIFICATES_PORT)) else {
            return failed(format!("No way to a certificate is described at {}", url.path()));
        };
        self.stage = Stage::Issuer { service };
        Outcome::Ask(Ask::get(mex(&issuer), "how tickets are issued", Vouching::Pool))
    }

    fn issuer_told(&mut self, service: Url, answer: &Response<Bytes>) -> Outcome {
        let Some(document) = definitions(answer) else {
            return failed(format!("The ticket service does not describe itself: {}", soap::reason(answer)));
        };
        let (door, authorization) = match &self.proof {
            Proof::Token(token) => {
                let Some(door) = port(&document, TOKEN_PORT) else {
                    return failed("This pool takes no web sign-in".to_owned());
                };
                (door, format!("Bearer {}", token.expose()))
            }
            Proof::Password { user, password } => {
                if port(&document, TOKEN_PORT).is_some() {
                    let named = document.below("OAuth").and_then(|oauth| oauth.attribute("authorizationUri"));
                    return Outcome::WantsToken(named.and_then(https));
                }
                let Some(door) = port(&document, PASSWORD_PORT) else {
                    return failed("This pool takes no password".to_owned());
                };
                let pair = format!("{user}:{}", password.expose());
                (door, format!("Basic {}", STANDARD.encode(pair)))
            }
        };
        let envelope = self.request(&service);
        self.stage = Stage::Issue { service };
        Outcome::Ask(
            Ask::soap(door, ISSUE, envelope, "ask for a web ticket").header("authorization", authorization),
        )
    }

    /// The WS-Trust request: for whom, for where, and the phone's half of the proof key.
    fn request(&self, service: &Url) -> String {
        let body = format!(
            "<wst:RequestSecurityToken Context=\"{device}\">\
             <wst:TokenType>http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLV1.1</wst:TokenType>\
             <wst:RequestType>http://schemas.xmlsoap.org/ws/2005/02/trust/Issue</wst:RequestType>\
             <wsp:AppliesTo><wsa:EndpointReference><wsa:Address>{service}</wsa:Address></wsa:EndpointReference>\
             </wsp:AppliesTo>\
             <wst:Claims Dialect=\"urn:component:Microsoft.Rtc.WebAuthentication.2010:authclaims\">\
             <auth:ClaimType Uri=\"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/uri\" Optional=\"false\">\
             <auth:Value>sip:{address}</auth:Value></auth:ClaimType></wst:Claims>\
             <wst:Entropy><wst:BinarySecret>{entropy}</wst:BinarySecret></wst:Entropy>\
             <wst:KeyType>http://docs.oasis-open.org/ws-sx/ws-trust/200512/SymmetricKey</wst:KeyType>\
             </wst:RequestSecurityToken>",
            device = xml::escape(&self.device),
            service = xml::escape(service.as_str()),
            address = xml::escape(&self.address),
            entropy = STANDARD.encode(self.entropy),
        );
        soap::envelope("", &body)
    }

    fn issued(&mut self, service: Url, answer: &Response<Bytes>) -> Outcome {
        let body = match soap::body_of(answer) {
            Ok(body) => body,
            Err(why) if matches!(self.proof, Proof::Password { .. }) && answer.status() == 401 => {
                return Outcome::Refused(format!("User name or password is wrong: {why}."));
            }
            Err(why) if soap::is_trouble(answer) => {
                return Outcome::Failed(format!("The pool gives no ticket: {why}."));
            }
            Err(why) => return Outcome::Refused(format!("The pool gives no ticket: {why}.")),
        };
        match self.read_ticket(service, answer, &body) {
            Some(ticket) => Outcome::Issued(Box::new(ticket)),
            None => failed("The pool gave a ticket that this phone cannot read".to_owned()),
        }
    }

    fn read_ticket(&self, service: Url, answer: &Response<Bytes>, body: &Element) -> Option<WebTicket> {
        let document = std::str::from_utf8(answer.body()).ok()?.trim_start_matches('\u{feff}');
        let response = if body.name == "RequestSecurityTokenResponse" {
            body
        } else {
            body.below("RequestSecurityTokenResponse")?
        };
        let assertion = response.below("Assertion")?;
        let text = document.get(assertion.span.clone()).filter(|text| text.len() <= ASSERTION_MAX)?;
        let lifetime = response.below("Lifetime")?;
        let when = |name: &str| {
            let text = lifetime.child(name)?.trimmed();
            let is_date =
                text.len() <= 40 && text.bytes().all(|b| b.is_ascii_digit() || b"-:.+TZ".contains(&b));
            is_date.then(|| text.to_owned())
        };
        let secret = response.child("Entropy").and_then(|entropy| entropy.below("BinarySecret"));
        let proof_key = match secret {
            Some(secret) => {
                let theirs = STANDARD.decode(secret.trimmed()).ok().filter(|theirs| !theirs.is_empty())?;
                Some(p_sha1(&self.entropy, &theirs))
            }
            None => None,
        };
        Some(WebTicket {
            service,
            assertion: Secret::new(text),
            assertion_id: assertion.attribute("AssertionID")?.to_owned(),
            proof_key,
            created: when("Created").unwrap_or_default(),
            expires: when("Expires")?,
        })
    }
}

fn failed(why: String) -> Outcome {
    Outcome::Failed(format!("{}.", why.trim_end_matches('.')))
}

fn definitions(answer: &Response<Bytes>) -> Option<Element> {
    if answer.status() != 200 {
        return None;
    }
    xml::read(answer.body()).ok().filter(|document| document.name == "definitions")
}

/// Where the service's port of that name is.
fn port(document: &Element, name: &str) -> Option<Url> {
    let ports = document.child("service")?;
    let port = ports
        .all("port")
        .find(|port| port.attribute("name").is_some_and(|known| known.eq_ignore_ascii_case(name)))?;
    https(port.child("address")?.attribute("location")?)
}

/// A URL that credentials may be sent to.
pub fn https(text: &str) -> Option<Url> {
    Url::parse(text.trim()).ok().filter(|url| url.scheme() == "https" && url.has_host())
}

fn mex(service: &Url) -> Url {
    let mut url = service.clone();
    let path = format!("{}/mex", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(None);
    url
}

/// P_SHA-1 (RFC 5246 §5, with SHA-1), cut to the length of the phone's entropy.
fn p_sha1(secret: &[u8; KEY_OCTETS], seed: &[u8]) -> [u8; KEY_OCTETS] {
    let mac = |parts: &[&[u8]]| -> Vec<u8> {
        let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().to_vec()
    };
    let mut key = Vec::new();
    let mut a = mac(&[seed]);
    while key.len() < KEY_OCTETS {
        key.extend(mac(&[&a, seed]));
        a = mac(&[&a]);
    }
    std::array::from_fn(|i| key[i])
}

#[cfg(test)]
mod tests;
