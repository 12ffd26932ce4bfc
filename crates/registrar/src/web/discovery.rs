//! Autodiscover (MS-OCDISCWS): where a user is homed, and the 401 that sends a client to the web ticket service.

use bytes::Bytes;
use net::http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::site::{Service, Site};
use super::soap::Refusal;
use super::xml::escape;
use crate::accounts::{Account, Home};

/// The media type of the documents; clients look at how it begins.
const MEDIA_TYPE: &str = "application/vnd.microsoft.rtc.autodiscover+xml; v=1";
/// The longest `sipuri` that is repeated in a link.
const SIP_URI_LIMIT: usize = 256;
/// The principal of this kind of server as a resource of the identity service.
const RESOURCE: &str = "00000004-0000-0ff1-ce00-000000000000";

/// The `sipuri` of a query, without scheme, if it looks like an address.
pub fn sip_uri(query: Option<&str>) -> Option<String> {
    let query = query.unwrap_or("");
    let (_, value) = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name.eq_ignore_ascii_case("sipuri"))?;
    // A query's `+` is a blank to a form and a letter to an address.
    let address = crate::accounts::normal(&value.replace(' ', "+"));
    let is_good = address.contains('@') && address.len() <= SIP_URI_LIMIT;
    (is_good && !address.chars().any(|c| c.is_control() || c.is_whitespace())).then_some(address)
}

fn location(host: Option<&str>) -> &'static str {
    let is_internal = host.is_some_and(|host| host.to_ascii_lowercase().starts_with("lyncdiscoverinternal."));
    if is_internal { "Internal" } else { "External" }
}

fn document(location: &str, inner: &str) -> Response<Bytes> {
    let body = format!("<AutodiscoverResponse AccessLocation=\"{location}\">{inner}</AutodiscoverResponse>");
    let mut answer = Response::new(Bytes::from(body));
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

fn link(token: &str, href: &str) -> String {
    format!("<Link token=\"{token}\" href=\"{}\"/>", escape(href))
}

fn with_user(url: String, user: Option<&str>) -> String {
    let Some(user) = user else { return url };
    let encoded: String = user
        .bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                char::from(b).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("{url}?sipuri={encoded}")
}

/// The root over plain HTTP: nothing but the way to the root over HTTPS (MS-OCDISCWS 3.1.5.2).
pub fn plain_root(site: &Site, host: Option<&str>, user: Option<&str>) -> Response<Bytes> {
    let href = with_user(site.url(Service::Root), user);
    document(location(host), &format!("<Root>{}</Root>", link("Redirect", &href)))
}

/// The root over HTTPS.
pub fn root(site: &Site, host: Option<&str>, user: Option<&str>) -> Response<Bytes> {
    let mut links = link("Domain", &site.url(Service::Domain));
    links.push_str(&link("User", &with_user(site.url(Service::User), user)));
    if site.modern_auth.is_some() {
        links.push_str(&link("OAuth", &site.ticket_service()));
    }
    document(location(host), &format!("<Root>{links}</Root>"))
}

fn servers(site: &Site) -> String {
    let (host, port) = (escape(&site.host), site.sip_port);
    [
        "SipServerInternalAccess",
        "SipClientInternalAccess",
        "SipServerExternalAccess",
        "SipClientExternalAccess",
    ]
    .map(|name| format!("<{name} fqdn=\"{host}\" port=\"{port}\"/>"))
    .concat()
}

/// The document of the domain: its servers.
pub fn domain(site: &Site, host: Option<&str>) -> Response<Bytes> {
    document(location(host), &format!("<Domain>{}</Domain>", servers(site)))
}

/// The document of a user who has proved who they are (MS-OCDISCWS 3.1.5.3).
pub fn user(site: &Site, host: Option<&str>, account: Option<&Account>) -> Response<Bytes> {
    let Some(account) = account else {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = StatusCode::NOT_FOUND;
        return answer;
    };
    let inner = match &account.home {
        Home::Pool(elsewhere) => {
            // To its root, not to its document of the user: clients read what a redirect leads to without a ticket.
            let url = format!("https://{elsewhere}{}", site.path(Service::Root));
            link("Redirect", &with_user(url, Some(&account.address)))
        }
        Home::Here => {
            let root = site.url(Service::Root);
            let broker = format!("https://{}/Reach/sip.svc", site.host);
            let mut inner = servers(site);
            for side in ["Internal", "External"] {
                inner.push_str(&link(&format!("{side}/Autodiscover"), &root));
                inner.push_str(&link(&format!("{side}/AuthBroker"), &broker));
            }
            inner
        }
    };
    document(location(host), &format!("<User>{inner}</User>"))
}

/// The 401 that sends a client to the web ticket service and, with modern authentication, names the identity
/// service. The exact text of the modern challenge is a guess from what clients are known to read.
pub fn unauthorized(site: &Site, issuers: &[String], refusal: Option<&Refusal>) -> Response<Bytes> {
    let mut answer = match refusal {
        Some(refusal) => refusal.bare(&site.host),
        None => Response::new(Bytes::new()),
    };
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = answer.headers_mut();
    let text = |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    headers.insert(HeaderName::from_static("x-ms-webticketurl"), text(&site.ticket_service()));
    headers.insert(HeaderName::from_static("x-ms-webticketsupported"), HeaderValue::from_static("cwt,saml"));
    headers.insert(HeaderName::from_static("x-ms-server-fqdn"), text(&site.host));
    if let Some(authorization_uri) = &site.modern_auth {
        let issuers = issuers.iter().map(|issuer| format!("{RESOURCE}@{issuer}"));
        let issuers: Vec<String> = issuers.collect();
        headers.insert(header::WWW_AUTHENTICATE, text(&bearer_challenge(authorization_uri, &issuers)));
    }
    answer
}

/// The challenge for an access token.
pub fn bearer_challenge(authorization_uri: &str, issuers: &[String]) -> String {
    let clean = |text: &str| text.replace(['"', '\\'], "");
    format!(
        "Bearer trusted_issuers=\"{}\", client_id=\"{RESOURCE}\", authorization_uri=\"{}\"",
        clean(&issuers.join(",")),
        clean(authorization_uri)
    )
}
