//! What a phone says to the pool's web services, written as a foreign product would: text in, text cut out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use net::http::Response;
use net::{Crypto, Random};
use sha1::{Digest as _, Sha1};

use crate::harness::{Pool, body};

pub const DEVICE: &str = "90d996f0-7299-5868-a49b-0ead64bc43e3";
pub const BASIC: &str = "https://fe.contoso.example/WebTicket/WebTicketService.svc/Auth";
pub const OAUTH: &str = "https://fe.contoso.example/WebTicket/WebTicketService.svc/oauth";
pub const CERTIFICATE: &str =
    "https://fe.contoso.example/CertProv/CertProvisioningService.svc/WebTicket_Proof_SHA1";
pub const USER: &str = "https://fe.contoso.example/Autodiscover/AutodiscoverService.svc/root/user";
pub const ENTROPY: [u8; 32] = [0x5a; 32];

const NAMESPACES: &str = "xmlns:saml=\"urn:oasis:names:tc:SAML:1.0:assertion\" \
    xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:wst=\"http://docs.oasis-open.org/ws-sx/ws-trust/200512\" \
    xmlns:auth=\"http://schemas.xmlsoap.org/ws/2006/12/authorization\" \
    xmlns:wsa=\"http://www.w3.org/2005/08/addressing\" \
    xmlns:wsp=\"http://schemas.xmlsoap.org/ws/2004/09/policy\" \
    xmlns:wsse=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\" \
    xmlns:wsu=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd\"";

/// A request for a web ticket.
pub fn rst(user: &str, device: &str, applies_to: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\r\n<soap:Envelope {NAMESPACES}><soap:Body>\
         <wst:RequestSecurityToken Context=\"{device}\">\
         <wst:TokenType>http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLV1.1</wst:TokenType>\
         <wst:RequestType>http://schemas.xmlsoap.org/ws/2005/02/trust/Issue</wst:RequestType>\
         <wsp:AppliesTo><wsa:EndpointReference><wsa:Address>{applies_to}</wsa:Address></wsa:EndpointReference>\
         </wsp:AppliesTo><wst:Claims Dialect=\"urn:component:Microsoft.Rtc.WebAuthentication.2010:authclaims\">\
         <auth:ClaimType Uri=\"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/uri\" Optional=\"false\">\
         <auth:Value>sip:{user}</auth:Value></auth:ClaimType></wst:Claims>\
         <wst:Entropy><wst:BinarySecret>{}</wst:BinarySecret></wst:Entropy>\
         <wst:KeyType>http://docs.oasis-open.org/ws-sx/ws-trust/200512/SymmetricKey</wst:KeyType>\
         </wst:RequestSecurityToken></soap:Body></soap:Envelope>",
        STANDARD.encode(ENTROPY)
    )
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// Cuts an element out of raw text the way pidgin-sipe does: the first `<name`, else the first `:name`, up to
/// its end tag. Returns the whole element and what is between its tags.
pub fn cut<'a>(text: &'a str, name: &str) -> (&'a str, &'a str) {
    let start = match text.find(&format!("<{name}")) {
        Some(start) => start,
        None => {
            let colon = text.find(&format!(":{name}")).unwrap_or_else(|| panic!("no {name} in {text}"));
            text[..colon].rfind('<').unwrap()
        }
    };
    let tag: String = text[start + 1..].chars().take_while(|c| !matches!(c, ' ' | '>' | '/')).collect();
    let end = start + text[start..].find(&format!("</{tag}>")).unwrap();
    let inner = start + text[start..].find('>').unwrap() + 1;
    (&text[start..end + tag.len() + 3], &text[inner..end])
}

pub fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// A web ticket as a phone holds it.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub assertion: String,
    pub lifetime: String,
    pub proof_key: Vec<u8>,
}

impl Ticket {
    pub fn of(answer: &Response<Bytes>) -> Ticket {
        assert_eq!(answer.status(), 200, "{}", body(answer));
        let text = body(answer);
        let server = STANDARD.decode(cut(text, "BinarySecret").1).unwrap();
        let a1 = hmac_sha1(&ENTROPY, &server);
        let a2 = hmac_sha1(&ENTROPY, &a1);
        let mut proof_key = hmac_sha1(&ENTROPY, &[&a1[..], &server].concat()).to_vec();
        proof_key.extend_from_slice(&hmac_sha1(&ENTROPY, &[&a2[..], &server].concat())[..12]);
        Ticket {
            assertion: cut(text, "Assertion").0.to_owned(),
            lifetime: cut(text, "Lifetime").1.to_owned(),
            proof_key,
        }
    }

    pub fn id(&self) -> String {
        let (_, rest) = self.assertion.split_once("AssertionID=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }
}

/// A ticket for the certificate service, by password.
pub fn ticket(pool: &mut Pool, user: &str) -> Ticket {
    let answer = pool.post(
        443,
        BASIC,
        &[("authorization", &basic(user, "Passw0rd!")), ("content-type", "text/xml")],
        &rst(user, DEVICE, CERTIFICATE),
    );
    Ticket::of(&answer)
}

/// A request for a certificate, in parts that a test can spoil before it is printed.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    pub ticket: Ticket,
    pub to: String,
    pub entity: String,
    pub device: String,
    pub csr: Vec<u8>,
    pub attributes: String,
    pub named_assertion: String,
    /// Stands in the security header before the ticket.
    pub extra_header: String,
    /// Stands in the body before the call.
    pub extra_body: String,
}

impl CertificateRequest {
    pub fn new(ticket: &Ticket, user: &str) -> CertificateRequest {
        CertificateRequest {
            named_assertion: ticket.id(),
            ticket: ticket.clone(),
            to: CERTIFICATE.to_owned(),
            entity: user.to_owned(),
            device: format!("{{{DEVICE}}}"),
            csr: csr("phone key", user),
            attributes: String::new(),
            extra_header: String::new(),
            extra_body: String::new(),
        }
    }

    pub fn print(&self) -> String {
        let timestamp = format!(
            "<wsu:Timestamp xmlns:wsu=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-\
             utility-1.0.xsd\" wsu:Id=\"timestamp\">{}</wsu:Timestamp>",
            self.ticket.lifetime
        );
        let digest = STANDARD.encode(Sha1::digest(timestamp.as_bytes()));
        let signed_info = format!(
            "<SignedInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><CanonicalizationMethod \
             Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></CanonicalizationMethod><SignatureMethod \
             Algorithm=\"http://www.w3.org/2000/09/xmldsig#hmac-sha1\"></SignatureMethod><Reference \
             URI=\"#timestamp\"><Transforms><Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">\
             </Transform></Transforms><DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\">\
             </DigestMethod><DigestValue>{digest}</DigestValue></Reference></SignedInfo>"
        );
        let signature = STANDARD.encode(hmac_sha1(&self.ticket.proof_key, signed_info.as_bytes()));
        let Self {
            to, ticket, named_assertion, extra_header, extra_body, entity, device, attributes, ..
        } = self;
        let lines: Vec<String> = STANDARD
            .encode(&self.csr)
            .as_bytes()
            .chunks(76)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        format!(
            "<?xml version=\"1.0\"?>\r\n<soap:Envelope {NAMESPACES}><soap:Header><wsa:To>{to}</wsa:To>\
             <wsa:ReplyTo><wsa:Address>http://www.w3.org/2005/08/addressing/anonymous</wsa:Address>\
             </wsa:ReplyTo><wsa:MessageID>uuid:d7f848ef-d7c7-5f8c-934a-3be1d577d4cc</wsa:MessageID>\
             <wsa:Action>http://schemas.microsoft.com/OCS/AuthWebServices/GetAndPublishCert</wsa:Action>\
             <wsse:Security>{timestamp}{extra_header}{}<Signature \
             xmlns=\"http://www.w3.org/2000/09/xmldsig#\">{signed_info}<SignatureValue>{signature}\
             </SignatureValue><KeyInfo><wsse:SecurityTokenReference wsse:TokenType=\"http://docs.oasis-open.org\
             /wss/oasis-wss-saml-token-profile-1.1#SAMLV1.1\"><wsse:KeyIdentifier ValueType=\"http://docs.\
             oasis-open.org/wss/oasis-wss-saml-token-profile-1.0#SAMLAssertionID\">{named_assertion}\
             </wsse:KeyIdentifier></wsse:SecurityTokenReference></KeyInfo></Signature></wsse:Security>\
             </soap:Header><soap:Body>{extra_body}<GetAndPublishCert \
             xmlns=\"http://schemas.microsoft.com/OCS/AuthWebServices/\" \
             xmlns:wst=\"http://docs.oasis-open.org/ws-sx/ws-trust/200512/\" \
             xmlns:wstep=\"http://schemas.microsoft.com/windows/pki/2009/01/enrollment\" \
             DeviceId=\"{device}\" Entity=\"{entity}\"{attributes}><wst:RequestSecurityToken>\
             <wst:RequestType>http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue</wst:RequestType>\
             <wsse:BinarySecurityToken>\r\n{}\r\n</wsse:BinarySecurityToken>\
             <wstep:RequestID>10adcf87-6894-5bd2-8f41-fa28c051b898</wstep:RequestID>\
             </wst:RequestSecurityToken></GetAndPublishCert></soap:Body></soap:Envelope>",
            ticket.assertion,
            lines.join("\r\n")
        )
    }

    pub fn send(&self, pool: &mut Pool) -> Response<Bytes> {
        pool.post(443, CERTIFICATE, &[("content-type", "text/xml")], &self.print())
    }
}

/// A certificate request by the key called `name`.
pub fn csr(name: &str, common_name: &str) -> Vec<u8> {
    pki::make_request(&Crypto::Seeded.p256_key(&mut Random::named(9, name)), common_name).unwrap()
}

/// The certificate in an answer.
pub fn certificate(answer: &Response<Bytes>) -> Vec<u8> {
    assert_eq!(answer.status(), 200, "{}", body(answer));
    STANDARD.decode(cut(body(answer), "BinarySecurityToken").1).unwrap()
}

/// The error id and reason of a fault.
pub fn fault(answer: &Response<Bytes>) -> (u32, String) {
    assert_eq!(answer.status(), 500, "{}", body(answer));
    let id = cut(body(answer), "ErrorId").1.parse().unwrap();
    (id, cut(body(answer), "Reason").1.to_owned())
}
