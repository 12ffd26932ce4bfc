//! The pool's web site: its URLs, and which service answers at which path.

use std::time::Duration;

use net::Random;
use net::http::Method;

use crate::faults::Exchange;

/// What the web half is told at construction.
#[derive(Clone, Debug)]
pub struct Site {
    /// The pool's host name.
    pub host: String,
    /// Where modern authentication sends clients; `None` offers only HTTP Basic.
    pub modern_auth: Option<String>,
    /// Whether the HTTP Basic way is open.
    pub basic_auth: bool,
    /// How long a client certificate lives.
    pub certificate_life: Duration,
    /// How long a web ticket lives.
    pub ticket_life: Duration,
    /// The SIP over TLS port that discovery names.
    pub sip_port: u16,
    /// Whether clients are to be made honest: what they must read from metadata has other paths at each start.
    pub strict: bool,
    /// What stands behind those paths; empty unless `strict`.
    suffix: String,
}

/// A service of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The autodiscover root.
    Root,
    /// The autodiscover document of a domain.
    Domain,
    /// The autodiscover document of a user.
    User,
    /// The web ticket service's metadata.
    TicketMetadata,
    /// Web tickets for HTTP Basic.
    TicketByPassword,
    /// Web tickets for an access token.
    TicketByToken,
    /// The certificate provisioning service's metadata.
    CertificateMetadata,
    /// Client certificates.
    Certificate,
    /// The root chain, for anybody.
    RootChain,
}

impl Service {
    /// Every service, in the order in which a sign-in meets them.
    const ALL: [Service; 9] = [
        Service::Root,
        Service::Domain,
        Service::User,
        Service::TicketMetadata,
        Service::TicketByPassword,
        Service::TicketByToken,
        Service::CertificateMetadata,
        Service::Certificate,
        Service::RootChain,
    ];

    /// How notes call it.
    pub const fn title(self) -> &'static str {
        match self {
            Service::Root => "autodiscover root",
            Service::Domain => "autodiscover domain",
            Service::User => "autodiscover user",
            Service::TicketMetadata => "web ticket metadata",
            Service::TicketByPassword => "web ticket by password",
            Service::TicketByToken => "web ticket by token",
            Service::CertificateMetadata => "certificate provisioning metadata",
            Service::Certificate => "certificate request",
            Service::RootChain => "root chain download",
        }
    }

    /// The exchange that stories spoil.
    pub const fn exchange(self) -> Exchange {
        match self {
            Service::Root | Service::Domain | Service::User => Exchange::Discovery,
            Service::TicketMetadata | Service::CertificateMetadata => Exchange::Metadata,
            Service::TicketByPassword | Service::TicketByToken => Exchange::WebTicket,
            Service::Certificate => Exchange::Certificate,
            Service::RootChain => Exchange::RootChain,
        }
    }

    /// The one method it answers to.
    pub const fn method(self) -> Method {
        match self {
            Service::Root
            | Service::Domain
            | Service::User
            | Service::TicketMetadata
            | Service::CertificateMetadata => Method::GET,
            Service::TicketByPassword
            | Service::TicketByToken
            | Service::Certificate
            | Service::RootChain => Method::POST,
        }
    }

    /// Whether it answers over plain HTTP, where nothing may be secret or believed.
    pub const fn is_plain(self) -> bool {
        matches!(self, Service::Root | Service::RootChain)
    }
}

impl Site {
    /// The site of the pool called `host`.
    pub fn new(setup: &crate::setup::Setup, random: &mut Random) -> Site {
        Site {
            host: setup.host.clone(),
            modern_auth: setup.modern_auth.clone(),
            basic_auth: setup.basic_auth,
            certificate_life: setup.certificate_life,
            ticket_life: setup.ticket_life,
            sip_port: setup.sip_port,
            strict: setup.strict,
            suffix: if setup.strict { format!("-{}", random.hex(8)) } else { String::new() },
        }
    }

    /// The path of a service. Paths that clients know from elsewhere (autodiscover, DHCP, the SIP challenge) are
    /// fixed; those that metadata names are not.
    pub fn path(&self, service: Service) -> String {
        let suffix = &self.suffix;
        match service {
            Service::Root => "/Autodiscover/AutodiscoverService.svc/root".to_owned(),
            Service::Domain => "/Autodiscover/AutodiscoverService.svc/root/domain".to_owned(),
            Service::User => "/Autodiscover/AutodiscoverService.svc/root/user".to_owned(),
            Service::TicketMetadata => "/WebTicket/WebTicketService.svc/mex".to_owned(),
            Service::TicketByPassword => format!("/WebTicket/WebTicketService.svc/Auth{suffix}"),
            Service::TicketByToken => format!("/WebTicket/WebTicketService.svc/oauth{suffix}"),
            Service::CertificateMetadata => "/CertProv/CertProvisioningService.svc/mex".to_owned(),
            Service::Certificate => {
                format!("/CertProv/CertProvisioningService.svc/WebTicket_Proof_SHA1{suffix}")
            }
            Service::RootChain => "/CertProv/CertProvisioningService.svc/Anon".to_owned(),
        }
    }

    /// The HTTPS URL of a service.
    pub fn url(&self, service: Service) -> String {
        format!("https://{}{}", self.host, self.path(service))
    }

    /// The URL of the web ticket service, to which clients append `/mex`.
    pub fn ticket_service(&self) -> String {
        format!("https://{}/WebTicket/WebTicketService.svc", self.host)
    }

    /// The service at a path; letters count in either case, as on the servers that clients know.
    pub fn find(&self, path: &str) -> Option<Service> {
        if path == "/" {
            return Some(Service::Root);
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        Service::ALL.into_iter().find(|service| self.path(*service).eq_ignore_ascii_case(path))
    }

    /// Whether a URL names this service here, whatever its query and its default port.
    pub fn is_url_of(&self, url: &str, service: Service) -> bool {
        let Ok(url) = url::Url::parse(url) else { return false };
        url.scheme() == "https"
            && url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(&self.host))
            && url.port_or_known_default() == Some(443)
            && url.path().eq_ignore_ascii_case(&self.path(service))
    }
}
