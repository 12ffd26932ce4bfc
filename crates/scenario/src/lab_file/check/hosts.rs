//! Host names: well formed, and none of a real service.

use super::*;

/// Services that a lab must not pretend to be: people would hand it real passwords.
const REAL_SERVICES: &[&str] = &[
    "aka.ms",
    "azure.com",
    "azure.net",
    "live.com",
    "lync.com",
    "microsoft.com",
    "microsoftonline-p.com",
    "microsoftonline.cn",
    "microsoftonline.com",
    "microsoftonline.de",
    "microsoftonline.us",
    "microsoftazuread-sso.com",
    "msauth.net",
    "office.com",
    "office.net",
    "office365.com",
    "onmicrosoft.com",
    "outlook.com",
    "partner.lync.cn",
    "sharepoint.com",
    "skype.com",
    "skypeforbusiness.us",
    "windows.net",
];

/// Checks a host name; `what` says whose it is.
pub(super) fn check(host: &str, place: Place, what: &str, reader: &mut Reader) -> Option<()> {
    let lower = host.to_lowercase();
    if let Some(real) = real_service(&lower) {
        let title = format!("{what} cannot be `{}`: {real} is a real service", brief(host));
        let mistake = Mistake::new(place, title);
        reader.wrong(mistake.help("use a domain that nobody owns, such as `contoso.example` (RFC 2606)"));
        return None;
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if lower.len() > 200 || !lower.contains('.') || !lower.split('.').all(label) {
        let title = format!("`{}` is not a host name", brief(host));
        reader.wrong(Mistake::new(place, title).label("for example `fe.contoso.example`"));
        return None;
    }
    Some(())
}

/// The real service that `host` (in small letters) belongs to.
pub(super) fn real_service(host: &str) -> Option<&'static str> {
    let host = host.trim_end_matches('.');
    REAL_SERVICES
        .iter()
        .find(|real| host == **real || host.strip_suffix(**real).is_some_and(|front| front.ends_with('.')))
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_service_is_known_by_its_domain_and_not_by_its_ending() {
        assert_eq!(real_service("login.microsoftonline.com"), Some("microsoftonline.com"));
        assert_eq!(real_service("microsoftonline.com."), Some("microsoftonline.com"));
        assert_eq!(real_service("notmicrosoft.com"), None);
        assert_eq!(real_service("login.contoso.example"), None);
    }
}
