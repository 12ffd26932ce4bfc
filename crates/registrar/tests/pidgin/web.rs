//! What pidgin-sipe asks the pool's web services, and what it cuts out of their answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};

use crate::desk::{AGENT, Desk, HOST, INSTANCE};

const NAMESPACES: &str = "xmlns:saml=\"urn:oasis:names:tc:SAML:1.0:assertion\" \
    xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:wst=\"http://docs.oasis-open.org/ws-sx/ws-trust/200512\" \
    xmlns:auth=\"http://schemas.xmlsoap.org/ws/2006/12/authorization\" \
    xmlns:wsa=\"http://www.w3.org/2005/08/addressing\" \
    xmlns:wsp=\"http://schemas.xmlsoap.org/ws/2004/09/policy\" \
    xmlns:wsse=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\" \
    xmlns:wsu=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd\" ";

/// An answer over HTTP.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Desk {
    /// Asks over the one HTTPS connection, or over plain HTTP on one of its own. The Host never has a port.
    pub fn http(&mut self, url: &str, headers: &str, body: Option<&str>) -> Page {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let host = host.split(':').next().unwrap().to_lowercase();
        let stream = match (scheme, self.web) {
            ("http", _) => self.dial(80),
            (_, Some(stream)) => stream,
            (_, None) => self.dial(443),
        };
        if scheme == "https" {
            self.web = Some(stream);
        }
        let basic = self.basic.as_ref().map_or(String::new(), |basic| format!("Authorization: {basic}\r\n"));
        let verb = if body.is_some() { "POST" } else { "GET" };
        let length = body.map_or(String::new(), |body| {
            format!("Content-Length: {}\r\nContent-Type: text/xml\r\n", body.len())
        });
        let text = format!(
            "{verb} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\n{basic}{headers}{length}\r\n{}",
            body.unwrap_or("")
        );
        self.act(|_, out| out.write(stream, text.into_bytes()));
        let answer = String::from_utf8(self.read(stream)).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Page { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// A web ticket for `service`: the metadata of its issuer, then a request without and one with a password.
    pub fn ticket(&mut self, issuer: &str, service: &str, password: &str) -> Result<Ticket, Page> {
        let metadata = self.http(&format!("{issuer}/mex"), "", None);
        assert_eq!(metadata.status, 200);
        assert!(!metadata.body.contains("WsFedBearer"), "it would ask a federation on the internet");
        let door = port(&metadata.body, "WebTicketServiceWinNegotiate");
        let entropy = self.random.bytes::<32>();
        let request = format!(
            "<?xml version=\"1.0\"?>\r\n<soap:Envelope {NAMESPACES}> <soap:Body><wst:RequestSecurityToken \
             Context=\"{INSTANCE}\"> <wst:TokenType>http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.1\
             #SAMLV1.1</wst:TokenType> <wst:RequestType>http://schemas.xmlsoap.org/ws/2005/02/trust/Issue\
             </wst:RequestType> <wsp:AppliesTo>  <wsa:EndpointReference>   <wsa:Address>{service}</wsa:Address>  \
             </wsa:EndpointReference> </wsp:AppliesTo> <wst:Claims \
             Dialect=\"urn:component:Microsoft.Rtc.WebAuthentication.2010:authclaims\">  <auth:ClaimType \
             Uri=\"http://schemas.xmlsoap.org/ws/2005/05/identity/claims/uri\" Optional=\"false\">   \
             <auth:Value>sip:{}</auth:Value>  </auth:ClaimType> </wst:Claims> <wst:Entropy>  <wst:BinarySecret>{}\
             </wst:BinarySecret> </wst:Entropy> <wst:KeyType>http://docs.oasis-open.org/ws-sx/ws-trust/200512/\
             SymmetricKey</wst:KeyType></wst:RequestSecurityToken></soap:Body></soap:Envelope>",
            self.user,
            STANDARD.encode(entropy)
        );
        let action = "SOAPAction: \"http://docs.oasis-open.org/ws-sx/ws-trust/200512/RST/Issue\"\r\n";
        if self.basic.is_none() {
            let refused = self.http(&door, action, Some(&request));
            assert_eq!(refused.status, 401);
            let challenges: Vec<&str> =
                refused.head.lines().filter(|line| line.starts_with("www-authenticate")).collect();
            assert_eq!(challenges, [format!("www-authenticate: basic realm=\"{HOST}\"")], "and no other");
            self.basic = Some(format!("Basic {}", STANDARD.encode(format!("{}:{password}", self.user))));
        }
        let page = self.http(&door, action, Some(&request));
        if page.status != 200 {
            return Err(page);
        }
        Ok(Ticket::cut(&page.body, &entropy))
    }

    /// Everything up to the certificate, from the URL in the SIP challenge on.
    pub fn enrol(&mut self, sts_uri: &str, password: &str) -> Result<(), Page> {
        let metadata = self.http(&format!("{sts_uri}/mex"), "", None);
        assert_eq!(metadata.status, 200);
        let service = port(&metadata.body, "CertProvisioningServiceWebTicketProof_SHA1");
        let issuer = cut(&metadata.body, "Address").1.to_owned();
        let ticket = self.ticket(&issuer, &service, password)?;
        let entity = self.user;
        let page = self.publish(&service, &ticket, entity);
        if page.status != 200 {
            return Err(page);
        }
        self.client.certificate = STANDARD.decode(cut(&page.body, "BinarySecurityToken").1).unwrap();
        Ok(())
    }

    /// GetAndPublishCert for `entity`.
    pub fn publish(&mut self, service: &str, ticket: &Ticket, entity: &str) -> Page {
        let action = "http://schemas.microsoft.com/OCS/AuthWebServices/GetAndPublishCert";
        let request = STANDARD.encode(self.client.request(entity));
        let lines: Vec<&str> =
            request.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let body = format!(
            "<?xml version=\"1.0\"?>\r\n<soap:Envelope {NAMESPACES}><soap:Header> <wsa:To>{service}</wsa:To> \
             <wsa:ReplyTo>  <wsa:Address>http://www.w3.org/2005/08/addressing/anonymous</wsa:Address> </wsa:ReplyTo> \
             <wsa:MessageID>uuid:18c30f6a-afa2-51e2-828b-edda126f5b57</wsa:MessageID> <wsa:Action>{action}\
             </wsa:Action> <wsse:Security>{}</wsse:Security></soap:Header> <soap:Body><GetAndPublishCert \
             xmlns=\"http://schemas.microsoft.com/OCS/AuthWebServices/\" \
             xmlns:wst=\"http://docs.oasis-open.org/ws-sx/ws-trust/200512/\" \
             xmlns:wstep=\"http://schemas.microsoft.com/windows/pki/2009/01/enrollment\" \
             DeviceId=\"{{{INSTANCE}}}\" Entity=\"{entity}\"> <wst:RequestSecurityToken>  <wst:TokenType>\
             http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0#X509v3</wst:TokenType>  \
             <wst:RequestType>http://docs.oasis-open.org/ws-sx/ws-trust/200512/Issue</wst:RequestType>  \
             <wsse:BinarySecurityToken   ValueType=\"http://schemas.microsoft.com/OCS/AuthWebServices.xsd#PKCS10\"   \
             EncodingType=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\
             #Base64Binary\">\r\n{}\r\n  </wsse:BinarySecurityToken>  <wstep:RequestID>\
             10adcf87-6894-5bd2-8f41-fa28c051b898</wstep:RequestID> </wst:RequestSecurityToken></GetAndPublishCert>\
             </soap:Body></soap:Envelope>",
            ticket.security(),
            lines.join("\r\n")
        );
        self.http(service, &format!("SOAPAction: \"{action}\"\r\n"), Some(&body))
    }
}

/// A web ticket as the client holds it.
pub struct Ticket {
    assertion: String,
    lifetime: String,
    proof_key: Vec<u8>,
}

impl Ticket {
    fn cut(text: &str, entropy: &[u8]) -> Ticket {
        let theirs = STANDARD.decode(cut(text, "BinarySecret").1).unwrap();
        let (mut a, mut proof_key) = (theirs.clone(), Vec::new());
        for _ in 0..2 {
            a = hmac(entropy, &a);
            proof_key.extend(hmac(entropy, &[&a[..], &theirs].concat()));
        }
        proof_key.truncate(entropy.len());
        let (assertion, lifetime) = (cut(text, "Assertion").0.to_owned(), cut(text, "Lifetime").1.to_owned());
        Ticket { assertion, lifetime, proof_key }
    }

    /// As resources take it over HTTP.
    pub fn header(&self) -> String {
        format!("X-MS-WebTicket: opaque={}\r\n", STANDARD.encode(&self.assertion))
    }

    fn security(&self) -> String {
        let id = self.assertion.split_once("AssertionID=\"").unwrap().1.split_once('"').unwrap().0;
        let timestamp = format!(
            "<wsu:Timestamp xmlns:wsu=\"http://docs.oasis-open.org/wss/2004/01/\
             oasis-200401-wss-wssecurity-utility-1.0.xsd\" wsu:Id=\"timestamp\">{}</wsu:Timestamp>",
            self.lifetime
        );
        let digest = STANDARD.encode(Sha1::digest(&timestamp));
        let signed_info = format!(
            "<SignedInfo xmlns=\"http://www.w3.org/2000/09/xmldsig#\"><CanonicalizationMethod \
             Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></CanonicalizationMethod><SignatureMethod \
             Algorithm=\"http://www.w3.org/2000/09/xmldsig#hmac-sha1\"></SignatureMethod><Reference \
             URI=\"#timestamp\"><Transforms><Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\">\
             </Transform></Transforms><DigestMethod Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\">\
             </DigestMethod><DigestValue>{digest}</DigestValue></Reference></SignedInfo>"
        );
        let value = STANDARD.encode(hmac(&self.proof_key, signed_info.as_bytes()));
        format!(
            "{timestamp}{}<Signature xmlns=\"http://www.w3.org/2000/09/xmldsig#\"> {signed_info} <SignatureValue>\
             {value}</SignatureValue> <KeyInfo>  <wsse:SecurityTokenReference wsse:TokenType=\"http://docs.\
             oasis-open.org/wss/oasis-wss-saml-token-profile-1.1#SAMLV1.1\">   <wsse:KeyIdentifier \
             ValueType=\"http://docs.oasis-open.org/wss/oasis-wss-saml-token-profile-1.0#SAMLAssertionID\">{id}\
             </wsse:KeyIdentifier>  </wsse:SecurityTokenReference> </KeyInfo></Signature>",
            self.assertion
        )
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// An element out of raw text: the first `<name`, else the first `:name`, to its end tag; whole, and what is inside.
pub fn cut<'a>(text: &'a str, name: &str) -> (&'a str, &'a str) {
    let plain = text.find(&format!("<{name}"));
    let start = plain.or_else(|| text[..text.find(&format!(":{name}"))?].rfind('<')).expect(name);
    let tag: String = text[start + 1..].chars().take_while(|c| !matches!(c, ' ' | '>')).collect();
    let inner = start + text[start..].find('>').unwrap() + 1;
    let end = inner + text[inner..].find(&format!("</{tag}>")).unwrap();
    (&text[start..end + tag.len() + 3], &text[inner..end])
}

/// The location of a port in a WSDL document.
fn port(document: &str, name: &str) -> String {
    let (_, rest) = document.split_once(&format!("<wsdl:port name=\"{name}\"")).expect(name);
    let (_, rest) = rest.split_once("location=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}
