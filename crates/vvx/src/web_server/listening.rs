//! On which ports the phone listens: what its settings, its profile and its firmware say together.

use crate::config::Config;
use crate::model::{Feature, Firmware};

/// The ports in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Without TLS; 80 unless configured otherwise.
    pub plain: Option<u16>,
    /// With TLS; 443 unless configured otherwise.
    pub secure: Option<u16>,
}

impl Ports {
    /// What the settings want.
    ///
    /// `httpd.enabled` is the switch of everything; the Skype for Business profile comes with it off. Without TLS the
    /// phone listens unless `httpd.cfg.secureTunnelRequired` is on or the firmware answers HTTPS only (from 5.9.8); with
    /// TLS, unless `httpd.cfg.secureTunnelEnabled` is off, which such firmware does not allow.
    pub fn wanted(config: &Config, firmware: &Firmware) -> Ports {
        if !config.is_on("httpd.enabled") {
            return Ports::default();
        }
        let port = |name: &str, usual: u16| {
            let number = config.number(name).and_then(|number| u16::try_from(number).ok());
            number.filter(|port| *port != 0).unwrap_or(usual)
        };
        let is_secure_only = firmware.has(Feature::HttpsOnlyWebUi);
        let secure = is_secure_only
            || config.is_on("httpd.cfg.secureTunnelEnabled")
            || config.is_on("httpd.cfg.secureTunnelRequired");
        let secure = secure.then(|| port("httpd.cfg.secureTunnelPort", 443));
        let plain = !is_secure_only && !config.is_on("httpd.cfg.secureTunnelRequired");
        let plain = plain.then(|| port("httpd.cfg.port", 80)).filter(|port| Some(*port) != secure);
        Ports { plain, secure }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.plain.is_none() && self.secure.is_none()
    }

    /// Whether `port` is one of them.
    pub fn has(&self, port: u16) -> bool {
        self.plain == Some(port) || self.secure == Some(port)
    }

    /// Every one of them.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        self.plain.into_iter().chain(self.secure)
    }
}

#[cfg(test)]
mod tests {
    use net::Outbox;

    use super::*;
    use crate::config::Source;
    use crate::flash::Flash;

    fn wanted(firmware: &str, settings: &[(&str, &str)]) -> Ports {
        let (mut config, mut flash, mut out) = (Config::default(), Flash::default(), Outbox::new());
        for (name, value) in settings {
            config.set(Source::Web, name, Some(value), &mut flash, &mut out).expect("room");
        }
        Ports::wanted(&config, &Firmware::parse(firmware).expect("a release"))
    }

    const ON: (&str, &str) = ("httpd.enabled", "1");
    const BOTH: (&str, &str) = ("httpd.cfg.secureTunnelRequired", "0");

    #[test]
    fn the_service_profile_listens_nowhere_until_it_is_switched_on() {
        assert!(wanted("5.9.6.2327", &[]).is_empty());
        assert_eq!(wanted("5.9.6.2327", &[ON]), Ports { plain: None, secure: Some(443) });
        assert_eq!(wanted("5.9.6.2327", &[ON, BOTH]), Ports { plain: Some(80), secure: Some(443) });
        let generic = [("device.baseProfile", "Generic")];
        assert_eq!(wanted("5.9.6.2327", &generic), Ports { plain: Some(80), secure: Some(443) });
    }

    #[test]
    fn late_firmware_answers_with_tls_only_whatever_is_configured() {
        let open = [ON, BOTH, ("httpd.cfg.secureTunnelEnabled", "0")];
        assert_eq!(wanted("5.9.8.5760", &open), Ports { plain: None, secure: Some(443) });
        assert_eq!(wanted("5.9.7.3480", &open), Ports { plain: Some(80), secure: None });
    }

    #[test]
    fn a_port_that_is_none_is_the_usual_one() {
        for (text, port) in [("8080", 8080), ("0", 80), ("70000", 80), ("x", 80)] {
            let settings = [ON, BOTH, ("httpd.cfg.port", text)];
            assert_eq!(wanted("5.9.6.2327", &settings).plain, Some(port), "{text}");
        }
    }
}
