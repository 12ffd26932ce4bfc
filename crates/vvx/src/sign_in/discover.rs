//! Step 14: find the pool that serves an address.
//!
//! Autodiscover first (MS-OCDISCWS): the inside name, then the outside name, each without and with TLS, because
//! the answer without TLS only says where the real one is. Its document leads to the user's own, which the pool
//! shows only to the holder of a web ticket. Where that leads nowhere: the registrar that DHCP named (option
//! 120), then DNS service records, then well-known names. The order between the last three is that of the same
//! family of clients, taken over for this phone.

use bytes::Bytes;
use net::http::Response;
use url::Url;

use crate::sign_in::ask::{Answer, Ask, Failure, Vouching, header};
use crate::sign_in::ticket::{WebTicket, https};
use crate::sign_in::xml::{self, Element};

const MEDIA_TYPE: &str = "application/vnd.microsoft.rtc.autodiscover+xml";
/// How many documents may be followed from one name before it counts as a ring.
const HOPS_MAX: u8 = 8;
/// How many registrars are kept.
const SERVERS_MAX: usize = 8;
/// How many service records of one answer are taken.
const RECORDS_MAX: usize = 4;

/// What DHCP said to phones of this kind (options 43 and 120).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// The registrar's name.
    pub registrar: Option<String>,
    /// The certificate service, put together from option 43.
    pub certificate_service: Option<Url>,
}

/// A registrar that may serve the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name, to be proven by its certificate.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// What the pool says to somebody without a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Where tickets are issued.
    pub issuer: Url,
    /// What the ticket must be for.
    pub resource: Url,
    /// Whether the pool takes tokens of an identity service, and of which one if it says so.
    pub tokens: Option<Option<Url>>,
}

/// What a step came to.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing to do.
    Wait,
    /// Make this request and bring the answer to [`Discover::answered`].
    Ask(Ask),
    /// Look this service up and bring the answer to [`Discover::looked_up`].
    LookUp(String),
    /// Get a ticket and bring it to [`Discover::ticketed`].
    Challenged(Challenge),
    /// These registrars, in this order.
    Found(Vec<Server>),
    /// Nobody; in words for the screen.
    Failed(String),
}

/// One search.
#[derive(Debug)]
pub struct Discover {
    address: String,
    domain: String,
    hints: Hints,
    /// Which of the first names is being tried.
    name: usize,
    hops: u8,
    stage: Stage,
    /// The most telling failure so far.
    trouble: Option<Failure>,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// A document of the way to the user's own.
    Root,
    /// The user's own, without a ticket.
    User(Url),
    /// Waiting for a ticket for it.
    Ticket(Url),
    /// The user's own, with a ticket.
    Ticketed,
    /// Service records, of which kind.
    Services(usize),
    Over,
}

/// The names of the service records, in order.
const SERVICES: [&str; 2] = ["_sipinternaltls._tcp", "_sip._tls"];
/// The first names, in order.
const FIRST: [(&str, &str); 4] = [
    ("http", "lyncdiscoverinternal"),
    ("https", "lyncdiscoverinternal"),
    ("http", "lyncdiscover"),
    ("https", "lyncdiscover"),
];

impl Discover {
    /// Starts the search for `address` (`alice@contoso.example`).
    pub fn start(address: &str, hints: Hints) -> (Discover, Outcome) {
        let domain = address.split_once('@').map(|(_, domain)| domain).unwrap_or_default();
        let mut discover = Discover {
            address: address.to_owned(),
            domain: domain.to_ascii_lowercase(),
            hints,
            name: 0,
            hops: 0,
            stage: Stage::Root,
            trouble: None,
        };
        let first = discover.try_name();
        (discover, first)
    }

    /// The certificate service that DHCP named.
    pub fn hinted_certificate_service(&self) -> Option<&Url> {
        self.hints.certificate_service.as_ref()
    }

    /// The answer to the last request.
    pub fn answered(&mut self, answer: Answer) -> Outcome {
        match (std::mem::replace(&mut self.stage, Stage::Root), answer) {
            (Stage::Root, Ok(answer)) => match document(&answer) {
                Some(document) => self.read_root(&document),
                None => self.next_name(),
            },
            (Stage::User(url), Ok(answer)) if answer.status() == 401 => self.challenged(url, &answer),
            (Stage::User(_) | Stage::Ticketed, Ok(answer)) => match document(&answer) {
                Some(document) => self.read_user(&document),
                None => self.next_name(),
            },
            (Stage::Root | Stage::User(_) | Stage::Ticketed, Err(why)) => {
                // A certificate says more than a missing name.
                let is_telling = |why: &Failure| !matches!(why, Failure::NoAddress { .. });
                if !self.trouble.as_ref().is_some_and(is_telling) {
                    self.trouble = Some(why);
                }
                self.next_name()
            }
            (stage, _) => {
                self.stage = stage;
                Outcome::Wait
            }
        }
    }

    /// The ticket that the last challenge asked for.
    pub fn ticketed(&mut self, ticket: &WebTicket) -> Outcome {
        let Stage::Ticket(url) = std::mem::replace(&mut self.stage, Stage::Ticketed) else {
            return Outcome::Wait;
        };
        let ask = fetch(url, "which registrar serves me").header("x-ms-webticket", ticket.header_value());
        Outcome::Ask(ask)
    }

    /// The service records that were looked up: host and port; empty if there are none.
    pub fn looked_up(&mut self, records: &[(String, u16)]) -> Outcome {
        let Stage::Services(kind) = self.stage else {
            return Outcome::Wait;
        };
        // A record that leads out of the domain could be anybody's: plain DNS is no proof.
        let own = records.iter().filter(|(host, _)| self.is_own(host)).take(RECORDS_MAX);
        let servers: Vec<Server> =
            own.map(|(host, port)| Server { host: host.to_ascii_lowercase(), port: *port }).collect();
        if !servers.is_empty() {
            return self.found(servers);
        }
        if kind + 1 < SERVICES.len() {
            return self.look_up(kind + 1);
        }
        let named = |prefix: &str, port| Server { host: format!("{prefix}.{}", self.domain), port };
        self.found(vec![named("sipinternal", 5061), named("sipexternal", 443), named("sip", 443)])
    }

    fn try_name(&mut self) -> Outcome {
        while let Some((scheme, host)) = FIRST.get(self.name) {
            let text = format!("{scheme}://{host}.{}/?sipuri={}", self.domain, self.address);
            if let Ok(url) = Url::parse(&text) {
                (self.hops, self.stage) = (0, Stage::Root);
                return Outcome::Ask(fetch(url, "where is autodiscover?"));
            }
            self.name += 1;
        }
        if let Some(registrar) = self.hints.registrar.clone() {
            return self.found(vec![Server { host: registrar.to_ascii_lowercase(), port: 5061 }]);
        }
        self.look_up(0)
    }

    fn next_name(&mut self) -> Outcome {
        self.name += 1;
        self.try_name()
    }

    fn look_up(&mut self, kind: usize) -> Outcome {
        // Where TLS found every certificate to be of the future, more servers will not help.
        if let Some(why) = self.trouble.take_if(|why| why.is_not_yet_valid()) {
            self.stage = Stage::Over;
            return Outcome::Failed(crate::sign_in::web_code::spell_failure(&why));
        }
        self.stage = Stage::Services(kind);
        Outcome::LookUp(format!("{}.{}", SERVICES[kind], self.domain))
    }

    fn found(&mut self, mut servers: Vec<Server>) -> Outcome {
        servers.truncate(SERVERS_MAX);
        self.stage = Stage::Over;
        Outcome::Found(servers)
    }

    fn follow(&mut self, url: Url, stage: Stage) -> Outcome {
        self.hops += 1;
        if self.hops > HOPS_MAX {
            return self.next_name();
        }
        self.stage = stage;
        Outcome::Ask(fetch(url, "autodiscover"))
    }

    fn read_root(&mut self, document: &Element) -> Outcome {
        for link in document.child("Root").into_iter().flat_map(|root| root.all("Link")) {
            let token = link.attribute("token").unwrap_or_default().to_ascii_lowercase();
            let href = link.attribute("href").unwrap_or_default();
            match token.as_str() {
                "redirect" => {
                    return match Url::parse(href).ok().filter(|url| url.scheme().starts_with("http")) {
                        Some(url) => self.follow(url, Stage::Root),
                        None => self.next_name(),
                    };
                }
                "user" => {
                    // The ticket goes there: never without TLS.
                    return match https(href) {
                        Some(url) => self.follow(url.clone(), Stage::User(url)),
                        None => self.next_name(),
                    };
                }
                _ => {}
            }
        }
        self.read_user(document)
    }

    fn read_user(&mut self, document: &Element) -> Outcome {
        let Some(user) = document.child("User") else {
            return self.next_name();
        };
        let is_redirect = |link: &&Element| {
            link.attribute("token").is_some_and(|token| token.eq_ignore_ascii_case("redirect"))
        };
        if let Some(link) = user.all("Link").find(is_redirect) {
            return match link.attribute("href").and_then(https) {
                Some(url) => self.follow(url, Stage::Root),
                None => self.next_name(),
            };
        }
        let location = document.attribute("AccessLocation").map(str::to_ascii_lowercase);
        let mut servers = Vec::new();
        for (place, element) in
            [("internal", "SipClientInternalAccess"), ("external", "SipClientExternalAccess")]
        {
            if location.as_deref().is_some_and(|location| location != place) {
                continue;
            }
            servers.extend(user.child(element).and_then(access));
        }
        if servers.is_empty() { self.next_name() } else { self.found(servers) }
    }

    fn challenged(&mut self, resource: Url, answer: &Response<Bytes>) -> Outcome {
        let Some(issuer) = header(answer.headers(), "x-ms-webticketurl").and_then(https) else {
            return self.next_name();
        };
        let tokens = answer
            .headers()
            .get_all("www-authenticate")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find(|value| value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer")))
            .filter(|value| value.contains("authorization_uri"))
            .map(|value| parameter(value, "authorization_uri").and_then(https));
        self.stage = Stage::Ticket(resource.clone());
        Outcome::Challenged(Challenge { issuer, resource, tokens })
    }

    fn is_own(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        host.strip_suffix(&self.domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

fn fetch(url: Url, what: &'static str) -> Ask {
    Ask::get(url, what, Vouching::Pool).header("accept", format!("{MEDIA_TYPE};v=1"))
}

fn document(answer: &Response<Bytes>) -> Option<Element> {
    let is_ours = header(answer.headers(), "content-type")
        .and_then(|kind| kind.get(..MEDIA_TYPE.len()))
        .is_some_and(|kind| kind.eq_ignore_ascii_case(MEDIA_TYPE));
    if answer.status() != 200 || !is_ours {
        return None;
    }
    xml::read(answer.body()).ok()
}

fn access(element: &Element) -> Option<Server> {
    let host = element.attribute("fqdn")?.trim();
    let port = element.attribute("port")?.trim().parse().ok().filter(|port| *port != 0)?;
    let is_name = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    is_name.then(|| Server { host: host.to_ascii_lowercase(), port })
}

/// A quoted parameter of a challenge.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign_in::tokens::Secret;
    use net::Closed;
    use net::tls::TlsError;
    use proptest::prelude::*;

    const USER: &str = "https://fe.contoso.example/Autodiscover/AutodiscoverService.svc/root/user?sipuri=alice@contoso.example";

    fn start(hints: Hints) -> (Discover, Outcome) {
        Discover::start("alice@contoso.example", hints)
    }

    fn told(body: &str) -> Answer {
        let kind = "application/vnd.microsoft.rtc.autodiscover+xml; v=1";
        Ok(Response::builder()
            .header("content-type", kind)
            .body(Bytes::from(body.to_owned()))
            .expect("a response"))
    }

    fn root(token: &str, href: &str) -> Answer {
        told(&format!(
            "<AutodiscoverResponse><Root><Link token='{token}' href='{href}'/></Root></AutodiscoverResponse>"
        ))
    }

    fn nobody() -> Answer {
        Err(Failure::NoAddress { host: "x".to_owned(), why: "no such name".to_owned() })
    }

    fn url(outcome: &Outcome) -> String {
        match outcome {
            Outcome::Ask(ask) => ask.url.to_string(),
            other => panic!("asks, not {other:?}"),
        }
    }

    fn ticket() -> WebTicket {
        WebTicket {
            service: Url::parse(USER).expect("a URL"),
            assertion: Secret::new("<Assertion/>"),
            assertion_id: "ID-1".to_owned(),
            proof_key: None,
            created: String::new(),
            expires: String::new(),
        }
    }

    #[test]
    fn the_way_leads_over_a_redirect_and_a_ticket_to_the_registrar() {
        let (mut discover, outcome) = start(Hints::default());
        assert_eq!(
            url(&outcome),
            "http://lyncdiscoverinternal.contoso.example/?sipuri=alice@contoso.example"
        );
        let outcome = discover.answered(root("Redirect", "https://fe.contoso.example/root"));
        assert_eq!(url(&outcome), "https://fe.contoso.example/root");
        let outcome = discover.answered(root("User", USER));
        assert_eq!(url(&outcome), USER);
        let refusal = Response::builder()
            .status(401)
            .header("x-ms-webticketurl", "https://fe.contoso.example/WebTicket/WebTicketService.svc")
            .header("www-authenticate", "Bearer trusted_issuers=\"\", client_id=\"x\", authorization_uri=\"https://login.contoso.example/common/oauth2/authorize\"")
            .body(Bytes::new())
            .expect("a response");
        let Outcome::Challenged(challenge) = discover.answered(Ok(refusal)) else { panic!("a challenge") };
        assert_eq!(challenge.issuer.path(), "/WebTicket/WebTicketService.svc");
        let authority = challenge.tokens.flatten().expect("modern authentication");
        assert_eq!(authority.as_str(), "https://login.contoso.example/common/oauth2/authorize");
        let Outcome::Ask(ask) = discover.ticketed(&ticket()) else { panic!("asks again") };
        assert!(
            ask.headers.iter().any(|(name, value)| *name == "x-ms-webticket" && value.starts_with("opaque="))
        );
        let outcome = discover.answered(told(
            "<AutodiscoverResponse AccessLocation='Internal'><User>\
             <SipClientInternalAccess fqdn='fe.contoso.example' port='5061'/>\
             <SipClientExternalAccess fqdn='sip.contoso.example' port='443'/></User></AutodiscoverResponse>",
        ));
        let Outcome::Found(servers) = outcome else { panic!("found") };
        assert_eq!(servers, [Server { host: "fe.contoso.example".to_owned(), port: 5061 }]);
    }

    #[test]
    fn a_web_page_in_autodiscovers_place_leads_to_the_next_name() {
        let (mut discover, _) = start(Hints::default());
        let page = Response::builder().header("content-type", "text/html").body(Bytes::from("<html/>"));
        let outcome = discover.answered(Ok(page.expect("a response")));
        assert!(url(&outcome).starts_with("https://lyncdiscoverinternal."));
    }

    #[test]
    fn without_autodiscover_dhcp_then_dns_then_known_names_are_asked() {
        let hinted = Hints { registrar: Some("fe.contoso.example".to_owned()), ..Hints::default() };
        let (mut discover, _) = start(hinted);
        (0..3).for_each(|_| drop(discover.answered(nobody())));
        assert!(matches!(discover.answered(nobody()), Outcome::Found(found) if found[0].port == 5061));

        let (mut discover, _) = start(Hints::default());
        (0..3).for_each(|_| drop(discover.answered(nobody())));
        assert!(
            matches!(discover.answered(nobody()), Outcome::LookUp(name) if name == "_sipinternaltls._tcp.contoso.example")
        );
        let stranger = [("sip.evil.example".to_owned(), 5061)];
        assert!(
            matches!(discover.looked_up(&stranger), Outcome::LookUp(name) if name == "_sip._tls.contoso.example")
        );
        let Outcome::Found(found) = discover.looked_up(&[]) else { panic!("known names") };
        assert_eq!(found[0].host, "sipinternal.contoso.example");
    }

    #[test]
    fn a_ring_of_redirects_ends() {
        let (mut discover, mut outcome) = start(Hints::default());
        for _ in 0..100 {
            if !matches!(outcome, Outcome::Ask(_)) {
                break;
            }
            outcome = discover.answered(root("Redirect", "https://fe.contoso.example/ring"));
        }
        assert!(matches!(outcome, Outcome::LookUp(_)));
    }

    #[test]
    fn a_clock_that_was_never_set_is_named_as_the_reason() {
        let (mut discover, _) = start(Hints::default());
        let early = TlsError::NotYetValid {
            not_before: net::Wall::from_unix_secs(1_500_000_000),
            now: net::Wall::UNIX_EPOCH,
        };
        let why = Failure::Broken { host: "fe".to_owned(), why: Closed::Tls(early) };
        drop(discover.answered(Err(why)));
        drop(discover.answered(nobody()));
        drop(discover.answered(nobody()));
        assert!(matches!(discover.answered(nobody()), Outcome::Failed(why) if why == "The time is not set."));
    }

    #[test]
    fn a_ticket_never_goes_to_a_user_document_without_tls() {
        let (mut discover, _) = start(Hints::default());
        let outcome = discover.answered(root("User", "http://fe.contoso.example/user"));
        assert!(url(&outcome).starts_with("https://lyncdiscoverinternal."), "the next name");
    }

    proptest! {
        #[test]
        fn no_document_makes_the_search_panic(body in ".{0,300}", location in "[A-Za-z]{0,9}", href in ".{0,60}") {
            let (mut discover, _) = start(Hints::default());
            let _ = discover.answered(told(&body));
            let href = xml::escape(&href);
            let _ = discover.answered(told(&format!("<a AccessLocation='{location}'><Root><Link token='User' href=\"{href}\"/></Root></a>")));
            let _ = discover.answered(told(&format!("<a AccessLocation='{location}'><User><SipClientInternalAccess fqdn=\"{href}\" port='{location}'/></User></a>")));
        }
    }
}
