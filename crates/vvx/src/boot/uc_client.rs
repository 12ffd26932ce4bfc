//! What DHCP tells Skype for Business phones: options 43 and 120 of vendor class `MS-UC-Client`.
//!
//! The layout of option 43 is the one of Microsoft's deployment guide for Lync devices; option 120 is RFC 3361's.

use super::dhcp::{read_options, text};

/// The vendor class under which servers keep what these phones need.
pub(super) const UC_CLASS: &str = "MS-UC-Client";

/// What DHCP says to clients of class `MS-UC-Client` (options 43 and 120).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UcClient {
    /// The certificate provisioning service, put together from the parts below; `None` if one is missing or
    /// wrong. Without it the phone offers no PIN sign-in.
    pub sts_url: Option<String>,
    /// Sub-option 3: the web server's name.
    pub host: Option<String>,
    /// Sub-option 4: its port, sent as text.
    pub port: Option<u16>,
    /// Sub-option 5: the path of the service.
    pub path: Option<String>,
    /// Option 120 (RFC 3361): the registrar's name.
    pub registrar: Option<String>,
}

impl UcClient {
    /// Reads the values of both options; `None` if neither says anything.
    pub(super) fn read(vendor: &[u8], server: &[u8]) -> Option<UcClient> {
        let parts = read_options(vendor);
        let part = |code: u8| parts.get(&code).and_then(|octets| text(octets));
        let registrar = registrar(server);
        // Option 43 means something else to every vendor; only sub-option 1 tells whose it is.
        if part(1).as_deref() != Some(UC_CLASS) {
            let client = UcClient { registrar, ..UcClient::default() };
            return client.registrar.is_some().then_some(client);
        }
        let host = part(3).filter(|host| is_host(host));
        let port = part(4).and_then(|port| port.parse::<u16>().ok()).filter(|port| *port != 0);
        let path = part(5).filter(|path| path.starts_with('/'));
        let sts_url = match (part(2).as_deref(), &host, port, &path) {
            (Some(scheme @ ("https" | "http")), Some(host), Some(port), Some(path)) => {
                Some(format!("{scheme}://{host}:{port}{path}"))
            }
            _ => None,
        };
        Some(UcClient { sts_url, host, port, path, registrar })
    }
}

/// RFC 3361 §3.1: encoding 0, then a name in labels. Addresses (encoding 1) are no use here: the phone checks
/// the registrar's name in its certificate.
fn registrar(octets: &[u8]) -> Option<String> {
    let (0, mut rest) = octets.split_first().map(|(encoding, rest)| (*encoding, rest))? else {
        return None;
    };
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first()?;
        if *length == 0 {
            break;
        }
        let (label, after) = after.split_at_checked(usize::from(*length))?;
        labels.push(text(label)?);
        rest = after;
    }
    let name = labels.join(".");
    is_host(&name).then_some(name)
}

fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vendor(parts: &[(u8, &str)]) -> Vec<u8> {
        parts.iter().flat_map(|(code, text)| [&[*code, text.len() as u8], text.as_bytes()].concat()).collect()
    }

    const GOOD: [(u8, &str); 5] = [
        (1, "MS-UC-Client"),
        (2, "https"),
        (3, "fe.contoso.example"),
        (4, "443"),
        (5, "/CertProv/CertProvisioningService.svc"),
    ];

    #[test]
    fn option_43_and_120_give_service_and_registrar() {
        let server = [&[0, 2][..], b"fe", &[7], b"contoso", &[7], b"example", &[0]].concat();
        let client = UcClient::read(&vendor(&GOOD), &server).expect("a client");
        let url = "https://fe.contoso.example:443/CertProv/CertProvisioningService.svc";
        assert_eq!(client.sts_url.as_deref(), Some(url));
        assert_eq!(client.registrar.as_deref(), Some("fe.contoso.example"));
    }

    #[test]
    fn a_missing_or_wrong_part_leaves_no_service() {
        for (place, text) in [(1, "http s"), (2, "fe contoso"), (3, "70000"), (3, "0"), (4, "CertProv")] {
            let mut parts = GOOD;
            parts[place].1 = text;
            let client = UcClient::read(&vendor(&parts), &[]).expect("a client");
            assert_eq!(client.sts_url, None, "{text}");
        }
        let without_port: Vec<(u8, &str)> = GOOD.into_iter().filter(|(code, _)| *code != 4).collect();
        assert_eq!(UcClient::read(&vendor(&without_port), &[]).and_then(|client| client.sts_url), None);
        let mut foreign = GOOD;
        foreign[0].1 = "ms-uc-client";
        assert_eq!(UcClient::read(&vendor(&foreign), &[]), None, "letter by letter");
        assert_eq!(UcClient::read(&[], &[]), None);
    }

    proptest! {
        #[test]
        fn any_octets_say_something_or_nothing(
            vendor in proptest::collection::vec(any::<u8>(), 0..200),
            server in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = UcClient::read(&vendor, &server);
        }
    }
}
