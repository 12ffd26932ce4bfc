//! SOAP 1.1 envelopes towards a pool, and its faults and diagnostics, read as a foreign product's.

use bytes::Bytes;
use net::http::Response;

use crate::sign_in::ask::header;
use crate::sign_in::tokens::cut;
use crate::sign_in::xml::{self, Element};

/// The name spaces that every envelope declares, so that pieces can be pasted from one into another.
const NAME_SPACES: &str = "xmlns:saml=\"urn:oasis:names:tc:SAML:1.0:assertion\" \
    xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
    xmlns:wst=\"http://docs.oasis-open.org/ws-sx/ws-trust/200512\" \
    xmlns:auth=\"http://schemas.xmlsoap.org/ws/2006/12/authorization\" \
    xmlns:wsa=\"http://www.w3.org/2005/08/addressing\" \
    xmlns:wsp=\"http://schemas.xmlsoap.org/ws/2004/09/policy\" \
    xmlns:wsse=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\" \
    xmlns:wsu=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd\"";

/// The utility name space, for elements that must carry their own declaration.
pub const WSU: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";

/// An envelope around a header (may be empty) and a body, both well-formed XML.
pub fn envelope(header: &str, body: &str) -> String {
    let header =
        if header.is_empty() { String::new() } else { format!("<soap:Header>{header}</soap:Header>") };
    format!(
        "<?xml version=\"1.0\"?>\r\n<soap:Envelope {NAME_SPACES}>{header}<soap:Body>{body}</soap:Body></soap:Envelope>"
    )
}

/// The first element of the body of a 200 answer.
///
/// # Errors
///
/// The pool's reason, in words for the screen, if it is anything else.
pub fn body_of(answer: &Response<Bytes>) -> Result<Element, String> {
    let document = xml::read(answer.body());
    if answer.status() != 200 {
        return Err(reason(answer));
    }
    let envelope = document.map_err(|why| format!("The pool answered nonsense ({why})."))?;
    let body = envelope.child("Body").and_then(|body| body.children.first());
    match body {
        Some(fault) if fault.name == "Fault" => Err(reason(answer)),
        Some(first) => Ok(first.clone()),
        None => Err("The pool answered an empty envelope.".to_owned()),
    }
}

/// Whether an answer tells of trouble rather than of a refusal: the service is overloaded, or broke. A fault says no
/// even with status 500, as SOAP 1.1 §6.2 has it.
pub fn is_trouble(answer: &Response<Bytes>) -> bool {
    match answer.status().as_u16() {
        408 | 429 | 502..=504 => true,
        500..=599 => {
            let is_told = header(answer.headers(), "x-ms-diagnostics").is_some();
            let has_fault = xml::read(answer.body()).is_ok_and(|document| document.below("Fault").is_some());
            !is_told && !has_fault
        }
        _ => false,
    }
}

/// Why a pool refused: its diagnostics header, else its fault's reason, else the bare status.
pub fn reason(answer: &Response<Bytes>) -> String {
    let status = answer.status().as_u16();
    if let Some(diagnostics) = header(answer.headers(), "x-ms-diagnostics") {
        let number = diagnostics.split(';').next().unwrap_or_default().trim();
        let text = diagnostics
            .split_once("reason=\"")
            .and_then(|(_, rest)| rest.split('"').next())
            .unwrap_or("no reason given");
        return format!("{} ({})", cut(text).trim_end_matches('.'), cut(number));
    }
    let told = xml::read(answer.body()).ok().and_then(|document| {
        let text = document.below("Reason").or(document.below("faultstring"))?.trimmed().to_owned();
        let number =
            document.below("ErrorId").map(|id| format!(" ({})", cut(id.trimmed()))).unwrap_or_default();
        Some(format!("{}{number}", cut(&text).trim_end_matches('.')))
    });
    told.unwrap_or_else(|| format!("HTTP status {status}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_service_is_trouble_and_a_fault_is_a_refusal() {
        let fault = "<s:Envelope xmlns:s='x'><s:Body><s:Fault><faultstring>no</faultstring></s:Fault></s:Body></s:Envelope>";
        for (status, diagnostics, body, is_so) in [
            (503, None, "", true),
            (429, None, "", true),
            (500, None, "", true),
            (500, None, fault, false),
            (500, Some("28020;reason=\"No valid security token.\""), "", false),
            (403, None, "", false),
            (200, None, fault, false),
        ] {
            assert_eq!(is_trouble(&answer(status, diagnostics, body)), is_so, "{status} {body}");
        }
    }

    fn answer(status: u16, diagnostics: Option<&str>, body: &str) -> Response<Bytes> {
        let mut answer = Response::builder().status(status);
        if let Some(diagnostics) = diagnostics {
            answer = answer.header("x-ms-diagnostics", diagnostics);
        }
        answer.body(Bytes::from(body.to_owned())).expect("a response")
    }

    #[test]
    fn a_refusal_is_told_in_the_pools_own_words() {
        let header = "28020;source=\"fe.contoso.example\";reason=\"No valid security token.\"";
        assert_eq!(reason(&answer(401, Some(header), "")), "No valid security token (28020)");
        let fault = "<s:Envelope xmlns:s='s'><s:Body><s:Fault><detail><OCSDiagnosticsFault>\
            <Ms-Diagnostics-Fault><ErrorId>28029</ErrorId><Reason>Not allowed.</Reason></Ms-Diagnostics-Fault>\
            </OCSDiagnosticsFault></detail></s:Fault></s:Body></s:Envelope>";
        assert_eq!(reason(&answer(500, None, fault)), "Not allowed (28029)");
        assert_eq!(body_of(&answer(200, None, fault)).expect_err("a fault"), "Not allowed (28029)");
        assert_eq!(reason(&answer(503, None, "")), "HTTP status 503");
    }

    #[test]
    fn an_envelope_is_xml_whatever_its_parts() {
        let document = xml::read(envelope("<wsa:To>x</wsa:To>", "<a/>").as_bytes()).expect("XML");
        assert!(document.at(&["Header", "To"]).is_some() && document.at(&["Body", "a"]).is_some());
    }
}
