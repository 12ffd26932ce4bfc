//! Which provisioning server a phone goes to.

use std::fmt;
use std::time::Duration;

use url::Url;

use crate::boot::dhcp::Granted;
use crate::config::Config;

/// A provisioning server and how to deal with it.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::boot) struct Server {
    /// Where its files are; ends in a slash and bears no login.
    pub(in crate::boot) url: Url,
    pub(in crate::boot) user: String,
    pub(in crate::boot) password: String,
    /// How often it is asked before the phone goes on without it.
    pub(in crate::boot) attempts: u32,
    /// How long the phone waits in between.
    pub(in crate::boot) retry_span: Duration,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.url, self.user)
    }
}

impl Server {
    /// The server that DHCP or the device settings name; `None` if nobody names one.
    ///
    /// `device.dhcp.bootSrvUseOpt` says what counts: `Static` (2) the settings only, else option 160 before
    /// option 66 before the settings. A text without a scheme gets the one of `device.prov.serverType`. The lab
    /// has no FTP or TFTP servers: where those are named, HTTP is spoken in their place.
    ///
    /// # Errors
    ///
    /// If what is named is no URL; the text is handed back.
    pub(in crate::boot) fn choose(granted: &Granted, config: &Config) -> Result<Option<Server>, String> {
        let is_static = matches!(
            config.text("device.dhcp.bootSrvUseOpt").trim().to_ascii_lowercase().as_str(),
            "2" | "static"
        );
        let network = granted.custom_boot_server.as_deref().or(granted.boot_server.as_deref());
        let settings = Some(config.text("device.prov.serverName").trim()).filter(|name| !name.is_empty());
        let Some(named) = network.filter(|_| !is_static).or(settings) else {
            return Ok(None);
        };
        let is_tls = matches!(config.text("device.prov.serverType").trim(), "3" | "HTTPS" | "https");
        let mut url = parse(named, is_tls).ok_or_else(|| without_login(named))?;
        let (user, password) = match (url.username(), url.password()) {
            ("", _) => (config.text("device.prov.user"), config.text("device.prov.password")),
            (user, password) => (user, password.unwrap_or_default()),
        };
        let (user, password) = (user.to_owned(), password.to_owned());
        // Neither can fail: the URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let number = |name: &str, otherwise: i64| config.number(name).unwrap_or(otherwise);
        let attempts = number("device.prov.redunAttemptLimit", 3).clamp(1, 10);
        let pause = number("device.prov.redunInterAttemptDelay", 1).clamp(0, 300);
        Ok(Some(Server {
            url,
            user,
            password,
            attempts: u32::try_from(attempts).unwrap_or(1),
            retry_span: Duration::from_secs(pause.unsigned_abs()),
        }))
    }
}

fn parse(named: &str, is_tls: bool) -> Option<Url> {
    let (scheme, rest) = match named.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (if is_tls { "https" } else { "http" }.to_owned(), named),
    };
    let scheme = match scheme.as_str() {
        "https" => "https",
        "http" | "ftp" | "tftp" => "http",
        _ => return None,
    };
    Url::parse(&format!("{scheme}://{rest}")).ok().filter(|url| url.host().is_some())
}

/// What is named, fit to be logged: a login in it is cut off.
fn without_login(named: &str) -> String {
    match named.rsplit_once('@') {
        Some((_, host)) => format!("•••@{host}"),
        None => named.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use net::Outbox;

    use super::*;
    use crate::config::Source;
    use crate::flash::Flash;

    fn chosen(custom: Option<&str>, option_66: Option<&str>, settings: &[(&str, &str)]) -> Option<String> {
        let granted = Granted {
            custom_boot_server: custom.map(str::to_owned),
            boot_server: option_66.map(str::to_owned),
            ..Granted::default()
        };
        let (mut config, mut flash, mut out) = (Config::default(), Flash::default(), Outbox::new());
        for (name, text) in settings {
            config.set(Source::Local, name, Some(text), &mut flash, &mut out).expect("room");
        }
        Server::choose(&granted, &config).expect("a good name").map(|server| server.url.to_string())
    }

    #[test]
    fn option_160_counts_before_66_before_the_settings_unless_those_are_static() {
        let stored = [("device.prov.serverName", "old.example")];
        let fixed = [("device.prov.serverName", "old.example"), ("device.dhcp.bootSrvUseOpt", "2")];
        assert_eq!(chosen(None, None, &[]), None);
        assert_eq!(chosen(Some("http://a/x"), Some("b"), &stored).as_deref(), Some("http://a/x/"));
        assert_eq!(chosen(None, Some("b"), &stored).as_deref(), Some("http://b/"));
        assert_eq!(chosen(None, None, &stored).as_deref(), Some("http://old.example/"));
        assert_eq!(chosen(Some("http://a/"), Some("b"), &fixed).as_deref(), Some("http://old.example/"));
    }

    #[test]
    fn a_name_without_scheme_gets_the_configured_one_and_a_login_in_it_is_not_shown() {
        assert_eq!(
            chosen(Some("a"), None, &[("device.prov.serverType", "3")]).as_deref(),
            Some("https://a/")
        );
        assert_eq!(chosen(Some("ftp://a"), None, &[]).as_deref(), Some("http://a/"));
        let granted =
            Granted { custom_boot_server: Some("http://me:pw@a/b?c#d".to_owned()), ..Granted::default() };
        let server = Server::choose(&granted, &Config::default()).expect("good").expect("a server");
        assert_eq!(
            (server.url.as_str(), server.user.as_str(), server.password.as_str()),
            ("http://a/b/", "me", "pw")
        );
        assert!(!format!("{server:?}").contains("pw"));
    }

    #[test]
    fn nonsense_is_refused_and_handed_back_without_its_login() {
        for (text, shown) in [
            ("gopher://a", "gopher://a"),
            ("http://", "http://"),
            ("http://a b", "http://a b"),
            ("://", "://"),
            ("gopher://me:pw@a", "•••@a"),
        ] {
            let granted = Granted { custom_boot_server: Some(text.to_owned()), ..Granted::default() };
            assert_eq!(Server::choose(&granted, &Config::default()), Err(shown.to_owned()));
        }
    }
}
