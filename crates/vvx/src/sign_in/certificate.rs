//! Step 15: a certificate for this user on this phone (MS-OCAUTHWS GetAndPublishCert).
//!
//! The phone makes a key pair, sends the public half as a PKCS#10 request under its web ticket, proves by an
//! HMAC that it holds the ticket's key, and gets an X.509 certificate back. It takes no certificate that is not
//! for its own key, not for its user, or about to end: a pool that gave such a one would be asked again and
//! again.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use net::{Crypto, Random, Wall};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha1::{Digest as _, Sha1};

use crate::sign_in::ask::{Answer, Ask};
use crate::sign_in::soap::{self, WSU};
use crate::sign_in::ticket::WebTicket;
use crate::sign_in::web_code::spell_failure;
use crate::sign_in::xml;

const ACTION: &str = "http://schemas.microsoft.com/OCS/AuthWebServices/GetAndPublishCert";
/// The least remaining life that makes a certificate worth having.
pub const LEAST_LIFE: Duration = Duration::from_secs(3600);

/// A certificate and its key.
#[derive(Debug)]
pub struct Enrolled {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its private key, PKCS#8. Prints as dots.
    pub key: PrivateKeyDer<'static>,
    /// Its first moment.
    pub not_before: Wall,
    /// Its last moment.
    pub not_after: Wall,
}

impl Clone for Enrolled {
    fn clone(&self) -> Enrolled {
        Enrolled {
            certificate: self.certificate.clone(),
            key: self.key.clone_key(),
            not_before: self.not_before,
            not_after: self.not_after,
        }
    }
}

impl Enrolled {
    /// Reads a certificate and a key that were kept together.
    ///
    /// # Errors
    ///
    /// In words, if it is no certificate, or not that of the key or the user.
    pub fn read(
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
        address: &str,
    ) -> Result<Enrolled, String> {
        let read = pki::Certificate::read(&certificate).map_err(|why| why.to_string())?;
        let ours = net::crypto::P256SigningKey::from_pkcs8(key.secret_der())?;
        if read.public_key_info != ours.public_key_info() {
            return Err("it is for another key".to_owned());
        }
        let is_named = read.common_name.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(address));
        if !is_named && !read.is_for_user(&format!("sip:{address}")) {
            return Err("it is for somebody else".to_owned());
        }
        Ok(Enrolled { not_before: read.not_before, not_after: read.not_after, certificate, key })
    }

    /// Whether it has enough life left at `now`, and has begun.
    pub fn is_good_at(&self, now: Wall) -> bool {
        self.not_before <= now && now.plus(LEAST_LIFE) <= self.not_after
    }

    /// Whether a third of its life is over: time for a new one, while there is no hurry. Waiting longer would let
    /// the refresh token die of disuse first, which such services allow for 90 days. The share is a guess.
    pub fn is_ripe_at(&self, now: Wall) -> bool {
        let life = i128::from(self.not_after.unix_nanos()) - i128::from(self.not_before.unix_nanos());
        let used = i128::from(now.unix_nanos()) - i128::from(self.not_before.unix_nanos());
        used * 3 >= life
    }

    /// Whether it is over at `now`, as opposed to not begun because the clock stands in 1970.
    pub fn is_over_at(&self, now: Wall) -> bool {
        now.plus(LEAST_LIFE) > self.not_after
    }
}

/// One request for a certificate.
#[derive(Debug)]
pub struct Certificate {
    address: String,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    /// Makes a key pair and asks for its certificate. `device_id` names the phone, in braces.
    ///
    /// # Errors
    ///
    /// In words, if the ticket cannot be used.
    pub fn start(
        ticket: &WebTicket,
        address: &str,
        device_id: &str,
        crypto: Crypto,
        random: &mut Random,
    ) -> Result<(Certificate, Ask), String> {
        let key = crypto.p256_key(random);
        let request = pki::make_request(&key, address).map_err(|why| why.to_string())?;
        let message_id = random.uuid();
        let header = security_header(ticket, &message_id);
        let body = format!(
            "<GetAndPublishCert xmlns=\"http://schemas.microsoft.com/OCS/AuthWebServices/\" \
             xmlns:wst=\"http://docs.oasis-open.org/ws-sx/ws-trust/200512/\" \
             xmlns:wstep=\"http://schemas.microsoft.com/windows/pki/2009/01/enrollment\" \
             DeviceId=\"{device}\" Entity=\"{address}\"><wst:RequestSecurityToken>\
             <wst:TokenType>http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3\
             </wst:TokenType>\
             <wst:RequestType>http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue</wst:RequestType>\
             <wsse:BinarySecurityToken ValueType=\"http://schemas.microsoft.com/OCS/AuthWebServices.xsd#PKCS10\" \
             EncodingType=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd#Base64Binary\">\
             {request}</wsse:BinarySecurityToken>\
             <wstep:RequestID>{id}</wstep:RequestID></wst:RequestSecurityToken></GetAndPublishCert>",
            device = xml::escape(device_id),
            address = xml::escape(address),
            request = STANDARD.encode(request),
            id = random.uuid(),
        );
        let ask = Ask::soap(
            ticket.service.clone(),
            ACTION,
            soap::envelope(&header, &body),
            "ask for a certificate",
        );
        Ok((Certificate { address: address.to_owned(), key }, ask))
    }

    /// The answer. `now` is what the phone's clock says.
    ///
    /// # Errors
    ///
    /// Why there is no certificate to use.
    pub fn answered(self, answer: Answer, now: Wall) -> Result<Enrolled, NoCertificate> {
        let answer = answer.map_err(|why| NoCertificate { why: spell_failure(&why), is_refusal: false })?;
        let refused = |why: String| NoCertificate { why, is_refusal: true };
        let body = soap::body_of(&answer).map_err(|why| NoCertificate {
            why: format!("The pool gives no certificate: {why}."),
            is_refusal: !soap::is_trouble(&answer),
        })?;
        let unreadable = |why: &str| refused(format!("The pool gave a certificate of no use: {why}."));
        let path = ["RequestSecurityTokenResponse", "RequestedSecurityToken", "BinarySecurityToken"];
        let token = body.at(&path).ok_or_else(|| unreadable("it is missing"))?;
        let text: String = token.text.split_whitespace().collect();
        let der = STANDARD.decode(text).map_err(|_| unreadable("it is not base64"))?;
        let enrolled = Enrolled::read(CertificateDer::from(der), self.key, &self.address)
            .map_err(|why| unreadable(&why))?;
        if !enrolled.is_good_at(now) {
            // One of the two clocks is wrong, and it may well be the phone's: nothing is thrown away for that.
            let why =
                "The pool gave a certificate that is not valid now, or not for an hour more.".to_owned();
            return Err(NoCertificate { why, is_refusal: false });
        }
        Ok(enrolled)
    }
}

/// Why there is no certificate to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCertificate {
    /// In words for the screen.
    pub why: String,
    /// Whether the pool said no, so that asking again is of no use.
    pub is_refusal: bool,
}

/// Addressing, the ticket, and the proof that the phone holds its key. What is signed is written in the form that
/// exclusive canonicalization gives, so that it verifies with and without an XML processor on the other side.
fn security_header(ticket: &WebTicket, message_id: &str) -> String {
    let timestamp = format!(
        "<wsu:Timestamp xmlns:wsu=\"{WSU}\" wsu:Id=\"timestamp\"><wsu:Created>{}</wsu:Created>\
         <wsu:Expires>{}</wsu:Expires></wsu:Timestamp>",
        ticket.created, ticket.expires
    );
    let proof =
        ticket.proof_key.map(|key| signature(&timestamp, &ticket.assertion_id, &key)).unwrap_or_default();
    format!(
        "<wsa:To>{to}</wsa:To>\
         <wsa:ReplyTo><wsa:Address>http://www.w3.org/2005/08/addressing/anonymous</wsa:Address></wsa:ReplyTo>\
         <wsa:MessageID>uuid:{message_id}</wsa:MessageID><wsa:Action>{ACTION}</wsa:Action>\
         <wsse:Security>{timestamp}{assertion}{proof}</wsse:Security>",
        to = xml::escape(ticket.service.as_str()),
        assertion = ticket.assertion.expose(),
    )
}

fn signature(timestamp: &str, assertion_id: &str, key: &[u8; 32]) -> String {
    const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
    const C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
    let digest = STANDARD.encode(Sha1::digest(timestamp.as_bytes()));
    let signed_info = format!(
        "<SignedInfo xmlns=\"{DSIG}\"><CanonicalizationMethod Algorithm=\"{C14N}\"></CanonicalizationMethod>\
         <SignatureMethod Algorithm=\"{DSIG}hmac-sha1\"></SignatureMethod>\
         <Reference URI=\"#timestamp\"><Transforms><Transform Algorithm=\"{C14N}\"></Transform></Transforms>\
         <DigestMethod Algorithm=\"{DSIG}sha1\"></DigestMethod><DigestValue>{digest}</DigestValue></Reference>\
         </SignedInfo>"
    );
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(signed_info.as_bytes());
    let value = STANDARD.encode(mac.finalize().into_bytes());
    format!(
        "<Signature xmlns=\"{DSIG}\">{signed_info}<SignatureValue>{value}</SignatureValue><KeyInfo>\
         <wsse:SecurityTokenReference \
         wsse:TokenType=\"http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLV1.1\">\
         <wsse:KeyIdentifier \
         ValueType=\"http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.0#SAMLAssertionID\">{id}\
         </wsse:KeyIdentifier></wsse:SecurityTokenReference></KeyInfo></Signature>",
        id = xml::escape(assertion_id)
    )
}
