//! Service metadata: the WSDL documents of the web ticket and the certificate provisioning service.
//!
//! Clients read these by local names and first matches, so each document holds what is needed and nothing that
//! could be met before it.

use bytes::Bytes;
use net::http::{Response, StatusCode};

use super::site::{Service, Site};
use super::soap::{AUTH_SERVICES, UTILITY, answer};
use super::xml::escape;

/// The metadata of the web ticket service. Its policy names the identity service for modern authentication, as
/// clients look for it there (`OAuth` with `authorizationUri`); the names of port and policy for tokens are a
/// guess.
pub fn web_ticket(site: &Site) -> Response<Bytes> {
    let mut policies = String::new();
    let mut ports = String::new();
    if site.basic_auth {
        ports.push_str(&port("WebTicketServiceWinNegotiate", &site.url(Service::TicketByPassword)));
    }
    if let Some(authorization_uri) = &site.modern_auth {
        ports.push_str(&port("WebTicketServiceOAuth", &site.url(Service::TicketByToken)));
        policies = format!(
            "<wsp:Policy wsu:Id=\"WebTicketServiceOAuth_policy\"><wsp:ExactlyOne><wsp:All><af:OAuth \
             xmlns:af=\"urn:component:Microsoft.Rtc.WebAuthentication.2010\" af:authorizationUri=\"{}\"/>\
             </wsp:All></wsp:ExactlyOne></wsp:Policy>",
            escape(authorization_uri)
        );
    }
    definitions("WebTicketService", &policies, &ports)
}

/// The metadata of the certificate provisioning service: who issues the tickets it wants, and where it is.
pub fn certificate(site: &Site) -> Response<Bytes> {
    let policies = format!(
        "<wsp:Policy wsu:Id=\"CertProvisioningServiceWebTicketProof_SHA1_policy\"><wsp:ExactlyOne><wsp:All>\
         <sp:EndorsingSupportingTokens><wsp:Policy><sp:IssuedToken><sp:Issuer><wsa:Address>{}</wsa:Address>\
         </sp:Issuer></sp:IssuedToken></wsp:Policy></sp:EndorsingSupportingTokens></wsp:All></wsp:ExactlyOne>\
         </wsp:Policy>",
        escape(&site.ticket_service())
    );
    let ports = port("CertProvisioningServiceWebTicketProof_SHA1", &site.url(Service::Certificate));
    definitions("CertProvisioningService", &policies, &ports)
}

fn port(name: &str, location: &str) -> String {
    format!(
        "<wsdl:port name=\"{name}\" binding=\"tns:{name}\"><soap:address location=\"{}\"/></wsdl:port>",
        escape(location)
    )
}

fn definitions(name: &str, policies: &str, ports: &str) -> Response<Bytes> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<wsdl:definitions name=\"{name}\" \
         targetNamespace=\"{AUTH_SERVICES}\" xmlns:tns=\"{AUTH_SERVICES}\" \
         xmlns:wsdl=\"http://schemas.xmlsoap.org/wsdl/\" xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\" \
         xmlns:wsp=\"http://schemas.xmlsoap.org/ws/2004/09/policy\" \
         xmlns:wsa=\"http://www.w3.org/2005/08/addressing\" \
         xmlns:sp=\"http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702\" xmlns:wsu=\"{UTILITY}\">\
         {policies}<wsdl:service name=\"{name}\">{ports}</wsdl:service></wsdl:definitions>"
    );
    answer(StatusCode::OK, body)
}
