//! What the lines of the generic profile say, done; and what strangers at the SIP port get.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use net::tls::Trust;
use net::{Input, Note, Outbox, Time};
use rustls::pki_types::CertificateDer;
use sip::{Draft, Message};

use crate::boot::Revisit;
use crate::config::Source;
use crate::events;
use crate::fetch::Fetched;
use crate::line::messages::host;
use crate::line::observed::{Asks, Identity};
use crate::line::registration::News;
use crate::line::{Flow, Lines, Said, Setting};
use crate::log::Level;
use crate::registration::Registration;
use crate::resolver::Resolved;
use crate::syslog::Syslog;

use super::powered::{Parts, Wish};
use super::running::Running;
use super::view::PhoneState;

/// How long the banner about wrong credentials stays, as documented.
const BANNER: Duration = Duration::from_secs(10);
/// The banner's words, as documented.
const LOGIN_FAILED: [&str; 2] =
    ["Login Credentials have failed", "Please update them if information is incorrect"];
/// The most roots that the configuration adds: six of the application, two of the platform.
const CUSTOM_ROOTS: [&str; 8] = [
    "sec.TLS.customCaCert.1",
    "sec.TLS.customCaCert.2",
    "sec.TLS.customCaCert.3",
    "sec.TLS.customCaCert.4",
    "sec.TLS.customCaCert.5",
    "sec.TLS.customCaCert.6",
    "device.sec.TLS.customCaCert1",
    "device.sec.TLS.customCaCert2",
];

/// Settings as they were before a visit to the provisioning server.
pub type Before = Vec<BTreeMap<String, String>>;

/// Whom the lines trust, and what they say they are: made once for each configuration.
#[derive(Debug)]
pub struct Plain {
    /// Whether the phone runs in the generic profile; a change counts from the next start.
    pub(super) is_generic: bool,
    trust: Trust,
    user_agent: String,
    /// The first line's address of record; empty without lines.
    address: String,
    /// Words over Home that pass by themselves.
    banner_until: Option<Time>,
}

impl Plain {
    /// As the configuration wants it.
    pub fn new(parts: &Parts) -> Plain {
        let config = &parts.config;
        let mut roots = parts.setup.public_roots.clone();
        roots.extend(CUSTOM_ROOTS.iter().flat_map(|name| certificates(config.text(name))));
        let tag = config.is_on("sec.tagSerialNo").then_some(parts.setup.mac);
        let (model, firmware) = (parts.setup.model, &parts.setup.firmware);
        let user_agent = match config.is_generic() {
            true => firmware.generic_sip_agent(model, tag),
            false => firmware.sip_agent(model, tag),
        };
        let is_generic = config.is_generic();
        Plain {
            is_generic,
            trust: Trust::new(&roots),
            user_agent,
            address: String::new(),
            banner_until: None,
        }
    }

    /// What the lines say they are.
    pub(super) fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// When the banner passes.
    pub fn wake_at(&self) -> Option<Time> {
        self.banner_until
    }

    /// The first line's address, if there is one.
    pub fn address(&self) -> Option<&str> {
        Some(self.address.as_str()).filter(|address| !address.is_empty())
    }
}

/// The certificates in a parameter: PEM, whatever became of its line ends, or bare base64.
fn certificates(text: &str) -> Vec<CertificateDer<'static>> {
    let bare = text.replace("-----BEGIN CERTIFICATE-----", "|").replace("-----END CERTIFICATE-----", "|");
    let decode = |piece: &str| {
        let digits: String = piece.split_whitespace().collect();
        STANDARD.decode(digits).ok().filter(|der| !der.is_empty()).map(CertificateDer::from)
    };
    bare.split('|').filter_map(decode).collect()
}

impl Running {
    /// Lets the lines act.
    pub(super) fn with_lines<T>(
        &mut self,
        parts: &mut Parts,
        act: impl FnOnce(&mut Lines, &mut Setting<'_>) -> T,
    ) -> T {
        let names = parts.names();
        let mut setting = Setting {
            config: &parts.config,
            resolver: &mut parts.resolver,
            random: &mut parts.random,
            clock: parts.clock.wall(),
            trust: &self.plain.trust,
            names,
            user_agent: &self.plain.user_agent,
        };
        act(&mut self.lines, &mut setting)
    }

    /// Lets the syslog sender act.
    pub(super) fn with_syslog(
        &mut self,
        parts: &mut Parts,
        act: impl FnOnce(&mut Syslog, &mut crate::syslog::Tools<'_>),
    ) {
        let names = parts.names();
        let mut tools = crate::syslog::Tools {
            log: &mut parts.log,
            clock: &parts.clock,
            address: self.network.lease.address(),
            mac: parts.setup.mac,
            resolver: &mut parts.resolver,
            random: &mut parts.random,
            trust: &self.plain.trust,
            names,
        };
        act(&mut self.syslog, &mut tools);
    }

    /// Sends what was logged since, if a syslog server is configured.
    pub fn pump_log(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        self.with_syslog(parts, |syslog, tools| syslog.pump(now, tools, out));
    }

    /// The phone has an address: the SIP port opens, and lines register.
    pub(super) fn start_lines(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let Some(address) = self.network.lease.address() else { return };
        let said = self.with_lines(parts, |lines, setting| lines.start(address, now, setting, out));
        self.lines_said(said, now, parts, out);
        self.look_at_lines();
    }

    /// The phone has no address any more.
    pub(super) fn stop_lines(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let said = self.with_lines(parts, |lines, setting| lines.network_lost(setting, out));
        self.lines_said(said, now, parts, out);
    }

    /// Settings may have changed.
    pub fn configured(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        self.syslog.configure(&parts.config, out);
        let banner_until = self.plain.banner_until;
        self.plain = Plain { banner_until, ..Plain::new(parts) };
        let said = self.with_lines(parts, |lines, setting| lines.configured(now, setting, out));
        self.lines_said(said, now, parts, out);
        self.look_at_lines();
    }

    /// Something happened, as far as it concerns the lines and the port.
    pub(super) fn lines_handle(
        &mut self,
        now: Time,
        input: &Input,
        resolved: &[Resolved],
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        let said = self.with_lines(parts, |lines, setting| lines.handle(now, input, resolved, setting, out));
        self.lines_said(said, now, parts, out);
        if self.plain.banner_until.is_some_and(|until| until <= now) {
            self.plain.banner_until = None;
        }
    }

    pub(super) fn lines_said(&mut self, said: Vec<Said>, now: Time, parts: &mut Parts, out: &mut Outbox) {
        for said in said {
            match said {
                Said::News { line, of, what } => self.line_news(line, &of, what, now, parts, out),
                Said::Request(flow, request) => {
                    if !self.call_at_port(&flow, &request, now, parts, out) {
                        self.stranger(&flow, &request, now, parts, out);
                    }
                }
                Said::Response(flow, response) => {
                    self.call_at_port(&flow, &response, now, parts, out);
                }
            }
        }
    }

    fn line_news(&mut self, line: u8, of: &str, what: News, now: Time, parts: &mut Parts, out: &mut Outbox) {
        match what {
            News::Registered { at, is_back } => {
                parts.say(now, "sip", Level::Minor, &format!("Line {line} registered at {at}."), out);
                parts.event(events::REGISTERED, of, format!("at {at}"), out);
                if is_back {
                    parts.event(events::REGISTRATION_RESTORED, of, format!("at {at}"), out);
                }
            }
            News::FailedOver(at) => parts.event(events::FAILED_OVER, of, format!("to {at}"), out),
            News::FailedBack(at) => parts.event(events::FAILED_BACK, of, format!("to {at}"), out),
            News::Lost(why) => {
                self.calls_lost_way(line.into(), now, parts, out);
                parts.event(events::REGISTRATION_LOST, of, why, out);
            }
            News::Failed(why) => parts.event(events::REGISTRATION_FAILED, of, why, out),
            News::LoginRefused => {
                self.plain.banner_until = Some(now + BANNER);
                parts.event(events::LOGIN_REFUSED, of, LOGIN_FAILED[0], out);
            }
            News::Log(level, text) => parts.say(now, "sip", level, &text, out),
        }
        self.look_at_lines();
    }

    /// The list of warnings, and whose phone it is, follow the lines.
    fn look_at_lines(&mut self) {
        let lines = self.lines.lines();
        self.plain.address = lines.first().map(|line| line.address()).unwrap_or_default();
        let lacking =
            |line: &&crate::line::registration::Line| !line.is_registered() && !line.why().is_empty();
        let unregistered: Vec<String> = lines
            .iter()
            .filter(lacking)
            .map(|line| format!("{} ({})", line.settings().label, line.why()))
            .collect();
        let is_refused = lines.iter().any(|line| line.is_login_refused());
        match unregistered.is_empty() {
            true => self.unwarn("line"),
            false => self.warn("line", format!("Line Unregistered: {}", unregistered.join(", "))),
        }
        match is_refused {
            true => self.warn("login", LOGIN_FAILED[0].to_owned()),
            false => self.unwarn("login"),
        }
    }

    /// The words over Home that pass by themselves.
    pub(super) fn banner(&self) -> &'static [&'static str] {
        if self.plain.banner_until.is_some() { &LOGIN_FAILED } else { &[] }
    }

    /// What the phone is in the generic profile: registered only if every line is.
    pub(super) fn lines_state(&self) -> PhoneState {
        let lines = self.lines.lines();
        match !lines.is_empty() && lines.iter().all(|line| line.is_registered()) {
            true => PhoneState::Registered,
            false => PhoneState::Unregistered,
        }
    }

    /// A request that no call took.
    fn stranger(&mut self, flow: &Flow, request: &Message, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let who = self.identity(flow, parts);
        let Running { observed, registration, lines, .. } = self;
        let sign = |draft: Draft| match registration {
            Some(registration) => registration.signed(draft),
            None => draft,
        };
        match observed.request((request, flow), &who, sign, lines, now, out) {
            Asks::Nothing => {}
            Asks::CheckSync => self.check_sync(now, parts, out),
        }
    }

    /// Who the phone is to strangers.
    fn identity(&self, flow: &Flow, parts: &Parts) -> Identity {
        let model: String = parts.setup.model.label.split_whitespace().collect();
        let mut who = Identity { model, user_agent: self.plain.user_agent.clone(), ..Identity::default() };
        if let Some(line) = self.lines.lines().first() {
            let user = &line.settings().user;
            who.contact = Some(format!("sip:{user}@{}", host(flow.local)));
            who.users = self.lines.lines().iter().map(|line| line.settings().user.clone()).collect();
        } else if let Some(address) = self.account_address()
            && let Some(contact) = self.registration.as_ref().and_then(Registration::contact)
        {
            let user = address.split('@').next().unwrap_or(address);
            who.contact = Some(contact);
            who.preferred = Some(format!("\"{user}\" <sip:{address}>"));
            who.users = vec![user.to_owned()];
        }
        who
    }

    /// `check-sync`: starts again, or looks for new settings and starts again if there are any.
    pub(super) fn check_sync(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        if parts.config.is_on("voIpProt.SIP.specialEvent.checkSync.alwaysReboot") {
            parts.say(now, "sip", Level::Always, "check-sync: the phone starts again.", out);
            out.note(Note::event(events::CHECK_SYNC, parts.setup.name.clone(), "starts again"));
            parts.wish = Wish::Restart;
            return;
        }
        if self.revisit.is_some() {
            return;
        }
        out.note(Note::event(events::CHECK_SYNC, parts.setup.name.clone(), "looks for new settings"));
        let before = settings(parts);
        let revisit = Revisit::begin(&self.network, now, &mut parts.boot(), out);
        self.revisit = revisit.map(|revisit| (revisit, before));
    }

    /// Goes on with a visit to the provisioning server.
    pub(super) fn revisit(&mut self, now: Time, fetched: Vec<Fetched>, parts: &mut Parts, out: &mut Outbox) {
        let Some((revisit, _)) = &mut self.revisit else { return };
        if !revisit.handle(now, fetched, &mut parts.boot(), out) {
            return;
        }
        let before = self.revisit.take().map(|(_, before)| before);
        if before != Some(settings(parts)) {
            parts.say(now, "cfg", Level::Always, "Settings have changed: the phone starts again.", out);
            parts.wish = Wish::Restart;
        }
    }
}

/// The layers that a visit may change.
fn settings(parts: &Parts) -> Before {
    let layer = |source| {
        let values = parts.config.layer(source);
        values.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
    };
    [Source::Files, Source::Device, Source::Web, Source::Local].map(layer).into()
}
