//! What the phone's own web server may see of the phone and do to it.
//!
//! The server knows nothing of views, machines or flash: it looks and acts through a [`Desk`], which lives for one
//! request.

mod calls;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use net::tls::{Credentials, ServerTls};
use net::{Input, Outbox, Time};
use time::macros::format_description;

use crate::boot::Clock;
use crate::boot::Granted;
use crate::config::{Config, Source};
use crate::log::{Level, Log, LogKind};
use crate::model::{Firmware, Mac, Model};
use crate::registration::Registration;
use crate::screen::Screen;
use crate::setup::PhoneSetup;
use crate::sign_in::Method;
use crate::sign_in::tokens::Secret;
use crate::web_server::listening::Ports;
use crate::web_server::push::Message;
use crate::web_server::routes::{self, Reply};

use super::powered::{Parts, Wish};
use super::running::{Running, Tail};
use super::view::{PhoneState, View};

/// Who makes the phones, as their certificates say it.
const MAKER: &str = "Polycom Inc.";

/// Notifications under way at a time.
const POSTS_LIMIT: usize = 16;

/// How the phone starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With everything it knows.
    Again,
    /// As it came from the factory.
    Factory,
}

/// One line, as the web server tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u32,
    /// Its address, or the phone's own name.
    pub user: String,
    /// What stands beside its key.
    pub label: String,
    /// Whether it is registered.
    pub is_registered: bool,
    /// The registrar; empty if there is none.
    pub proxy: String,
    /// Its port.
    pub port: u16,
    /// The transport.
    pub transport: String,
}

fn plain_line(line: &crate::line::registration::Line) -> Line {
    let settings = line.settings();
    let at = line.binding().map_or(0, |binding| binding.server);
    let place = settings.servers.get(at).map(|server| &server.place);
    Line {
        number: settings.number.into(),
        user: line.address(),
        label: settings.label.clone(),
        is_registered: line.is_registered(),
        proxy: place.map(|place| place.host.clone()).unwrap_or_default(),
        port: place.and_then(|place| place.port).unwrap_or(5060),
        transport: place.map(|place| format!("{:?}", place.transport)).unwrap_or_default(),
    }
}

/// The phone, as a request sees it.
pub struct Desk<'a> {
    running: &'a mut Running,
    parts: &'a mut Parts,
    now: Time,
    out: &'a mut Outbox,
}

/// The certificate that the phone was born with. It comes from the phone's own chance alone, so that it is the same
/// after every start and every reset.
pub(super) fn device_credentials(setup: &PhoneSetup) -> Option<Credentials> {
    let mut random = setup.random.clone().fork("device certificate");
    let address = setup.mac.to_string().to_ascii_uppercase();
    pki::device_credentials(&address, MAKER, setup.crypto, &mut random).ok()
}

impl Running {
    /// Listens where the settings say.
    pub(super) fn listen_for_web(&mut self, parts: &mut Parts, out: &mut Outbox) {
        let wanted = Ports::wanted(&parts.config, &parts.setup.firmware);
        let Parts { setup, random, .. } = parts;
        let credentials =
            || device_credentials(setup).map(|credentials| Arc::new(ServerTls::new(credentials)));
        self.web.listen(wanted, credentials, || random.fork("web server"), out);
    }

    /// Takes in what happened to the server's streams, and answers what can be answered.
    pub(super) fn serve(&mut self, now: Time, input: &Input, parts: &mut Parts, out: &mut Outbox) {
        // A server that listens no more may still owe answers, or a restart.
        if !self.web.is_listening() && self.web.wake_at().is_none() {
            return;
        }
        if let Input::Stream(id, event) = input
            && self.web.is_for(*id, event)
        {
            self.web.stream(*id, event.clone(), now, out);
        }
        // The server stands aside while it acts on the phone that it is a part of.
        let mut web = std::mem::take(&mut self.web);
        while let Some(asked) = web.next_request(out) {
            match routes::serve(&mut web, &asked, &mut Desk { running: self, parts, now, out }) {
                Reply::Now(response) => web.answer(asked.stream, response, now, out),
                Reply::Later(wait) => web.pending.wait(asked.stream, wait),
            }
        }
        routes::go_on(&mut web, &mut Desk { running: self, parts, now, out });
        web.woken(now, out);
        self.web = web;
        // A request may have moved the ports.
        self.listen_for_web(parts, out);
    }

    /// Tells whoever wants to know what is new.
    pub(super) fn notify(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        if !crate::notify::is_on(&parts.config) {
            return;
        }
        let mut notifier = std::mem::take(&mut self.notifier);
        notifier.look(&mut Desk { running: self, parts, now, out });
        self.notifier = notifier;
    }

    /// Posts a document. Only so many are under way at a time; more are lost, as they are on a phone whose server does
    /// not answer.
    fn post(&mut self, url: url::Url, document: String, now: Time, parts: &mut Parts, out: &mut Outbox) {
        if self.posts.len() >= POSTS_LIMIT {
            return;
        }
        let agent = parts.setup.firmware.product_agent(parts.setup.model);
        let mut request = crate::fetch::Request::get(url, "notification");
        request.method = net::http::Method::POST;
        request.body = document.into();
        for (name, value) in
            [("content-type", "application/x-com-polycom-spipx"), ("user-agent", agent.as_str())]
        {
            if let Ok(value) = net::http::HeaderValue::from_str(value) {
                request.headers.insert(name, value);
            }
        }
        let (names, clock) = (parts.names(), parts.clock.wall());
        let Parts { resolver, random, built_in, fetcher, .. } = parts;
        let mut with = crate::fetch::FetchParts { resolver, random, clock, trust: built_in, names };
        self.posts.push(fetcher.start(request, now, &mut with, out));
    }
}

impl Desk<'_> {
    /// The moment of the request.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Where effects go.
    pub fn out(&mut self) -> &mut Outbox {
        self.out
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The firmware.
    pub fn firmware(&self) -> &Firmware {
        &self.parts.setup.firmware
    }

    /// The model.
    pub fn model(&self) -> &'static Model {
        self.parts.setup.model
    }

    /// The hardware address.
    pub fn mac(&self) -> Mac {
        self.parts.setup.mac
    }

    /// The hardware part number. Where it is not known, one that is made of the model's number stands in.
    pub fn part(&self) -> String {
        let model = self.model();
        let number: String = model.name.chars().filter(char::is_ascii_digit).collect();
        model.part.clone().unwrap_or_else(|| format!("3111-00{number:0>3}-001"))
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.parts.log
    }

    /// Forgets the lines of a log.
    pub fn clear_log(&mut self, kind: LogKind) {
        self.parts.log.clear(kind);
    }

    /// Writes a line into the audit log: who did what, without secrets.
    pub fn audit(&mut self, text: &str) {
        let (clock, mac) = (self.parts.clock.clone(), self.parts.setup.mac);
        self.parts.log.audit(clock.local(self.now), mac, text);
    }

    /// How long the phone has been running.
    pub fn uptime(&self) -> Duration {
        self.now.since(self.parts.log.powered_at())
    }

    /// What is on the display.
    pub fn screen(&self) -> Screen {
        self.running.screen(self.now, self.parts)
    }

    /// What the phone is, in one word.
    pub fn state(&self) -> PhoneState {
        self.running.state()
    }

    /// Whose phone it is.
    pub fn account(&self) -> Option<&str> {
        self.running.account.as_ref().map(|account| account.address.as_str())
    }

    /// How whoever is signed in did it.
    pub fn method(&self) -> Option<Method> {
        self.running.account.as_ref().map(|account| account.method)
    }

    /// Whether somebody must make a lock code before the sign-in is complete.
    pub fn waits_for_lock_code(&self) -> bool {
        self.running.tail == Tail::LockCode
    }

    /// Whether what is kept to sign in with was refused.
    pub fn are_credentials_bad(&self) -> bool {
        self.running.warnings.iter().any(|(cause, _)| *cause == "credentials")
    }

    /// The phone's address.
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.running.network.lease.address()
    }

    /// Who granted the address.
    pub fn dhcp_server(&self) -> Option<Ipv4Addr> {
        self.running.network.lease.server()
    }

    /// What came with the address.
    pub fn granted(&self) -> &Granted {
        self.running.network.lease.granted()
    }

    /// The lines: those of the generic profile, else the one of whoever is signed in.
    pub fn lines(&self) -> Vec<Line> {
        let own = self.model().label.replace(' ', "");
        let plain: Vec<Line> = self.running.lines.lines().iter().map(plain_line).collect();
        if !plain.is_empty() {
            return plain;
        }
        let server = self.running.registration.as_ref().and_then(Registration::server);
        // A phone that nobody is signed in at calls itself by its model, without the space.
        let user = self.account().unwrap_or(&own).to_owned();
        let label = match self.config().text("reg.1.label") {
            "" => user.split('@').next().unwrap_or_default().to_owned(),
            label => label.to_owned(),
        };
        vec![Line {
            number: 1,
            user,
            label,
            is_registered: self.running.registration.as_ref().is_some_and(Registration::is_registered),
            proxy: server.map(|server| server.host.clone()).unwrap_or_default(),
            port: server.map_or(0, |server| server.port),
            transport: self.config().text("reg.1.server.1.transport").to_owned(),
        }]
    }

    /// Begins a sign-in by password.
    ///
    /// # Errors
    ///
    /// In words, if what was typed can be nobody's.
    pub fn sign_in_by_password(
        &mut self,
        address: &str,
        user: String,
        password: Secret,
    ) -> Result<(), String> {
        self.running.touched(self.now);
        self.running.sign_in_by_password(address, user, password, self.now, self.parts, self.out)?;
        self.running.settle(self.now, self.parts, self.out);
        Ok(())
    }

    /// Signs out; `false` if nobody was signed in.
    pub fn sign_out(&mut self) -> bool {
        let was_in = self.running.account.is_some();
        if was_in {
            self.running.sign_out(None, self.now, self.parts, self.out);
        }
        was_in
    }

    /// Gives a sign-in up; `false` if there is none.
    pub fn cancel_sign_in(&mut self) -> bool {
        let is_under_way = self.running.state() == PhoneState::SigningIn;
        if is_under_way {
            self.running.cancel_sign_in(self.now, self.parts, self.out);
        }
        is_under_way
    }

    /// Sets one parameter in the web interface's layer, or among the device settings; `None` removes it.
    ///
    /// # Errors
    ///
    /// In words, if it cannot be kept.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), String> {
        let Parts { config, flash, log, .. } = &mut *self.parts;
        config.set(Source::Web, name, value, flash, self.out).map_err(|why| why.to_string())?;
        log.configure(config);
        self.parts.has_new_settings = true;
        Ok(())
    }

    /// Sets many parameters at once, all or none.
    ///
    /// # Errors
    ///
    /// In words, if they cannot be kept.
    pub fn set_all(&mut self, changes: &[(String, String)]) -> Result<(), String> {
        let Parts { config, flash, log, .. } = &mut *self.parts;
        config.set_all(Source::Web, changes, flash, self.out).map_err(|why| why.to_string())?;
        log.configure(config);
        self.parts.has_new_settings = true;
        Ok(())
    }

    /// Writes a line into the application's log.
    pub fn say(&mut self, component: &str, level: Level, text: &str) {
        self.parts.say(self.now, component, level, text, self.out);
    }

    /// The phone as registrars know it: a UUID.
    pub fn instance(&self) -> String {
        super::signing::instance(self.parts)
    }

    /// A moment as the phone's own clock would tell it: `2018-10-09T11:35:00`.
    pub fn local_time(&self, at: Time) -> String {
        let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
        self.parts.clock.local(at).date_time().format(format).unwrap_or_default()
    }

    /// Packets received and sent since power-on.
    pub fn traffic(&self) -> (u64, u64) {
        self.parts.traffic
    }

    /// Forgets a whole layer of settings.
    ///
    /// # Errors
    ///
    /// In words, if the flash takes no more.
    pub fn clear_layer(&mut self, source: Source) -> Result<(), String> {
        let Parts { config, flash, .. } = &mut *self.parts;
        config.replace(source, Default::default(), flash, self.out).map_err(|why| why.to_string())?;
        Ok(())
    }

    /// Makes a lock code where one is asked for; `false` if the phone does not like it.
    pub fn give_lock_code(&mut self, digits: &str) -> bool {
        self.running.give_lock_code(digits, self.now, self.parts, self.out)
    }

    /// Whether a lock code is on its way into flash.
    pub fn is_keeping_lock_code(&self) -> bool {
        matches!(self.running.view, View::KeepingLockCode(_))
    }

    /// Whether a key of that name is on the case or on the display.
    pub fn is_key(&self, name: &str) -> bool {
        super::acting::find(name, &self.screen()).is_ok() || crate::keys::is_known(name)
    }

    /// Presses a key; `false` if it means nothing where the phone stands.
    pub fn press(&mut self, name: &str) -> bool {
        let Ok(pressed) = super::acting::find(name, &self.screen()) else { return false };
        self.running.pressed(&pressed, self.now, self.parts, self.out);
        true
    }

    /// Types text into the current field; `false` if there is none.
    pub fn type_text(&mut self, text: &str, replaces: bool) -> bool {
        let screen = self.screen();
        let current = screen.fields.iter().find(|field| field.is_current).map(|field| field.id);
        let field = current.filter(|_| replaces);
        self.running.typed(field, text, screen.id, self.now).is_ok()
    }

    /// Touches the display at a place: a key, a tile, a row, or a field.
    pub fn tap(&mut self, x: u16, y: u16) {
        let screen = self.screen();
        let Some(label) = crate::screen::paint::touched(&screen, self.model(), x, y) else { return };
        if !self.press(&label) {
            self.running.chosen(&label, self.now);
        }
    }

    /// Whether whoever is signed in is registered, too.
    pub fn is_signed_in(&self) -> bool {
        matches!(self.state(), PhoneState::SignedIn | PhoneState::Locked | PhoneState::RegistrationLost)
    }

    /// Whether the phone is in its generic profile.
    pub fn is_generic(&self) -> bool {
        self.parts.config.is_generic()
    }

    /// This moment as the phone's own documents write it: `2015-07-14T13:16:28-0600`.
    pub fn stamp(&self) -> String {
        let clock = &self.parts.clock;
        // Daylight saving counts, too.
        let offset = clock.local(self.now).unix_secs() - clock.read(self.now).unix_secs();
        let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs() / 60);
        format!("{}{sign}{:02}{:02}", self.local_time(self.now), minutes / 60, minutes % 60)
    }

    /// Shows a message over whatever is on the display.
    pub fn show(&mut self, message: Message) {
        let of = self.parts.setup.name.clone();
        self.parts.event(crate::events::MESSAGE_PUSHED, &of, "shown on the display", self.out);
        self.running.message = Some(message);
    }

    /// Fetches the provisioned files anew; the phone starts again if they say something else.
    pub fn update_configuration(&mut self) {
        self.running.check_sync(self.now, self.parts, self.out);
    }

    /// Posts an XML document somewhere, without waiting for what becomes of it.
    pub fn post(&mut self, url: &str, document: String) {
        let Ok(url) = url::Url::parse(url) else {
            self.say("app1", Level::Minor, "A URL for notifications is none.");
            return;
        };
        self.running.post(url, document, self.now, self.parts, self.out);
    }

    /// The phone starts again as soon as this input is dealt with.
    pub fn start_again(&mut self, start: Start) {
        self.parts.wish = match start {
            Start::Again => Wish::Restart,
            Start::Factory => Wish::FactoryReset,
        };
    }
}
