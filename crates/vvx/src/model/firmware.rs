//! Firmware releases: what each can do, how long its boot takes, how it introduces itself.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::{Mac, Model};
use net::Random;

/// A release number: `5.9.6.2327`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
    /// The build.
    pub build: u32,
}

impl Version {
    /// Reads two to four numbers with dots between; missing ones are 0. `None` for anything else.
    pub fn parse(text: &str) -> Option<Version> {
        let numbers: Vec<u32> = text
            .split('.')
            .map(|part| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten())
            .collect::<Option<_>>()?;
        if !(2..=4).contains(&numbers.len()) {
            return None;
        }
        let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
        Some(Version { major: at(0), minor: at(1), patch: at(2), build: at(3) })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}.{}.{}", self.major, self.minor, self.patch, self.build))
    }
}

/// Something that a release can or cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// The SIP user agent starts with `Polycom/<version>` in the Lync profile.
    PolycomPrefix,
    /// Signing in with a code typed into a browser.
    WebSignIn,
    /// The lock code of Skype for Business instead of the vendor's own.
    PhoneLock,
    /// Common-area-phone mode.
    CommonAreaPhone,
    /// A guest on top of a signed-in phone.
    HotDesking,
    /// The REST interface.
    Rest,
    /// Touches of the display over REST.
    RestTouch,
    /// `device/info` and `callStatus` in their second shape: objects where there were texts.
    RestObjects,
    /// Keys and text over REST.
    RestKeys,
    /// The second version of the REST interface (`/api/v2`).
    RestSecond,
    /// The web interface wants a token with whatever changes something.
    RequestToken,
    /// The administrator's password must be changed before the web interface and REST are of use.
    NewPassword,
    /// The REST interface is documented.
    RestDocumented,
    /// May enter the Teams SIP gateway.
    SipGateway,
    /// The web interface answers HTTPS only.
    HttpsOnlyWebUi,
}

/// How long the parts of a boot take. All guesses, chosen for realism.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootTiming {
    /// Milliseconds from power to the updater.
    boot_block: u64,
    /// Milliseconds the updater needs to start.
    updater: u64,
    /// Milliseconds of the countdown that a person can interrupt.
    countdown: u64,
    /// Milliseconds from the countdown's end to the application's first request.
    application_start: u64,
    /// Milliseconds between one file of the provisioning server and the next.
    file: u64,
    /// How far a real duration may lie from its number, in percent, both ways.
    jitter_percent: u64,
}

impl BootTiming {
    /// From power to the updater.
    pub fn boot_block(&self, random: &mut Random) -> Duration {
        self.vary(self.boot_block, random)
    }

    /// The updater's own start.
    pub fn updater(&self, random: &mut Random) -> Duration {
        self.vary(self.updater, random)
    }

    /// The countdown that a person can interrupt; whole seconds, never varied.
    pub fn countdown(&self) -> Duration {
        Duration::from_millis(self.countdown)
    }

    /// From the countdown's end to the application's first request.
    pub fn application_start(&self, random: &mut Random) -> Duration {
        self.vary(self.application_start, random)
    }

    /// Between one file of the provisioning server and the next.
    pub fn file(&self, random: &mut Random) -> Duration {
        self.vary(self.file, random)
    }

    fn vary(&self, millis: u64, random: &mut Random) -> Duration {
        let span = millis * self.jitter_percent.min(100) / 100;
        Duration::from_millis(millis - span + random.below(2 * span + 1))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    line: String,
    example: String,
    #[serde(default)]
    updater: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Since {
    feature: Feature,
    since: String,
    #[expect(dead_code, reason = "read by people who look into the data")]
    sureness: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Releases {
    lines: Vec<Line>,
    features: Vec<Since>,
    #[expect(dead_code, reason = "read by people who look into the data")]
    timing_sureness: String,
    timing_ms: BootTiming,
}

static RELEASES: LazyLock<Releases> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/firmware.json"))
        .expect("the embedded releases are well formed")
});

/// A release that the lab does not know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no firmware `{name}`; known release lines are {known}")]
pub struct UnknownFirmware {
    /// What was asked for.
    pub name: String,
    /// The lines there are, each with one release of it.
    pub known: String,
}

/// Which half of the firmware speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// The small program that runs first and may replace the application.
    Updater,
    /// The phone itself.
    Application,
}

/// One release of the phone's software.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    version: Version,
    updater: Version,
}

impl Firmware {
    /// The release called `text`: four numbers of a release line that the lab knows.
    ///
    /// # Errors
    ///
    /// If it is no version, or of no known line; the error names the known ones.
    pub fn parse(text: &str) -> Result<Firmware, UnknownFirmware> {
        let unknown = || UnknownFirmware {
            name: text.to_owned(),
            known: RELEASES
                .lines
                .iter()
                .map(|line| format!("{} ({})", line.line, line.example))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let version = Version::parse(text).filter(|_| text.split('.').count() == 4).ok_or_else(unknown)?;
        let name = format!("{}.{}", version.major, version.minor);
        let line = RELEASES.lines.iter().find(|line| line.line == name).ok_or_else(unknown)?;
        // Only a few pairs of updater and application were ever written down; elsewhere both share a number.
        let updater = line.updater.as_deref().and_then(Version::parse).unwrap_or(version);
        Ok(Firmware { version, updater })
    }

    /// The application's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The updater's version.
    pub fn updater(&self) -> Version {
        self.updater
    }

    /// Whether this release can do `feature`.
    pub fn has(&self, feature: Feature) -> bool {
        RELEASES.features.iter().any(|entry| {
            entry.feature == feature
                && Version::parse(&entry.since).is_some_and(|since| self.version >= since)
        })
    }

    /// Whether this release runs on `model` at all (a guess from when models appeared).
    pub fn runs_on(&self, model: &Model) -> bool {
        Version::parse(&model.oldest).is_none_or(|oldest| self.version >= oldest)
    }

    /// How long the parts of its boot take.
    pub fn timing(&self) -> &'static BootTiming {
        &RELEASES.timing_ms
    }

    /// The SIP User-Agent in the Lync profile; `tag` is set while `sec.tagSerialNo` is 1.
    pub fn sip_agent(&self, model: &Model, tag: Option<Mac>) -> String {
        let own = self.product(model, self.version, tag);
        if self.has(Feature::PolycomPrefix) { format!("Polycom/{} {own}", self.version) } else { own }
    }

    /// The SIP User-Agent in the generic profile; `tag` as in [`Firmware::sip_agent`].
    pub fn generic_sip_agent(&self, model: &Model, tag: Option<Mac>) -> String {
        self.product(model, self.version, tag)
    }

    /// The User-Agent of what the phone posts elsewhere.
    pub fn product_agent(&self, model: &Model) -> String {
        self.product(model, self.version, None)
    }

    /// The User-Agent of file transfers; `tag` is set while `device.prov.tagSerialNo` is 1.
    pub fn transfer_agent(&self, model: &Model, agent: Agent, tag: Option<Mac>) -> String {
        let (version, half) = match agent {
            Agent::Updater => (self.updater, "Updater"),
            Agent::Application => (self.version, "Application"),
        };
        format!("FileTransport {} Type/{half}", self.product(model, version, tag))
    }

    fn product(&self, model: &Model, version: Version, tag: Option<Mac>) -> String {
        let tag = tag.map(|mac| format!("_{mac}")).unwrap_or_default();
        format!("PolycomVVX-{}-UA/{version}{tag}", model.agent_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firmware(text: &str) -> Firmware {
        Firmware::parse(text).expect("a known release")
    }

    #[test]
    fn features_come_with_the_release_that_brought_them() {
        assert!(!firmware("5.4.0.10182").has(Feature::WebSignIn));
        assert!(firmware("5.5.0.1").has(Feature::WebSignIn));
        assert!(!firmware("5.5.0.23866").has(Feature::PhoneLock));
        assert!(firmware("5.5.1.11526").has(Feature::PhoneLock));
        assert!(!firmware("5.6.0.17325").has(Feature::CommonAreaPhone));
        assert!(firmware("5.7.0.11768").has(Feature::CommonAreaPhone));
    }

    #[test]
    fn an_unknown_release_is_refused_with_the_known_lines() {
        for text in ["4.9.0.1", "5.9", "5.9.6", "5.9.6.x", "5.9.6.2327.1", "", "5..6.1", "5.9.6.99999999999"]
        {
            let refused = Firmware::parse(text).expect_err(text).to_string();
            assert!(refused.contains("5.9 (5.9.6.2327)"), "{refused}");
        }
    }

    #[test]
    fn user_agents_look_as_they_were_seen() {
        let vvx500 = Model::find("vvx500").expect("a model");
        let vvx310 = Model::find("vvx310").expect("a model");
        assert_eq!(
            firmware("5.5.2.8571").sip_agent(vvx310, None),
            "Polycom/5.5.2.8571 PolycomVVX-VVX_310-UA/5.5.2.8571"
        );
        assert_eq!(firmware("5.3.0.12768").sip_agent(vvx310, None), "PolycomVVX-VVX_310-UA/5.3.0.12768");
        assert_eq!(
            firmware("5.9.7.4477").transfer_agent(vvx500, Agent::Application, None),
            "FileTransport PolycomVVX-VVX_500-UA/5.9.7.4477 Type/Application"
        );
        assert_eq!(
            firmware("5.3.0.1").sip_agent(vvx310, Mac::parse("0004f2abcdef")),
            "PolycomVVX-VVX_310-UA/5.3.0.1_0004f2abcdef"
        );
    }

    #[test]
    fn a_duration_stays_near_its_number() {
        let mut random = Random::named(1, "timing");
        for _ in 0..100 {
            let span = firmware("5.9.6.2327").timing().boot_block(&mut random);
            assert!((2850..=3150).contains(&span.as_millis()), "{span:?}");
        }
    }
}
