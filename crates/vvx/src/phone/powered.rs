//! Everything that is lost with the power: the parts of a phone, booting or running.

use std::sync::Arc;

use net::tls::{NameCheck, Trust};
use net::{Disk, Input, Note, Outbox, Random, StreamEvent, Time, WallClock};

use crate::boot::{Boot, BootParts, Booted, Clock};
use crate::call::{CallError, CallRef, Calls, Hands};
use crate::config::{Config, Source};
use crate::events;
use crate::fetch::Fetcher;
use crate::flash::{Flash, WriteId};
use crate::log::{Level, Log};
use crate::resolver::Resolver;
use crate::screen::Screen;
use crate::setup::PhoneSetup;
use crate::sign_in::web_code::Shown;

use super::account;
use super::running::Running;
use super::view::PhoneState;

/// What a person's press may ask of the phone as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    #[default]
    None,
    /// Start again.
    Restart,
    /// Erase everything and start again.
    FactoryReset,
}

/// The parts that booting and running share.
#[derive(Debug)]
pub struct Parts {
    pub setup: Arc<PhoneSetup>,
    pub random: Random,
    pub flash: Flash,
    pub config: Config,
    pub clock: Clock,
    pub log: Log,
    pub resolver: Resolver,
    /// For everybody whom the built-in roots vouch for.
    pub fetcher: Fetcher,
    /// For the pool, whose own root may vouch for it.
    pub pool_fetcher: Fetcher,
    pub built_in: Trust,
    pub pool_trust: Trust,
    pub wish: Wish,
    /// The web interface changed settings; whoever lives by them looks again.
    pub has_new_settings: bool,
    /// Packets received and sent since power-on.
    pub traffic: (u64, u64),
    /// The highest batch that is safe in flash.
    pub safe: Option<WriteId>,
}

/// Boot, then life.
#[derive(Debug)]
enum Life {
    Booting(Box<Boot>),
    Running(Box<Running>),
}

/// A phone with power.
#[derive(Debug)]
pub struct Powered {
    parts: Parts,
    life: Life,
}

impl Parts {
    /// As boot and network upkeep want them.
    pub fn boot(&mut self) -> BootParts<'_> {
        BootParts {
            flash: &mut self.flash,
            config: &mut self.config,
            clock: &mut self.clock,
            random: &mut self.random,
            log: &mut self.log,
            resolver: &mut self.resolver,
            fetcher: &mut self.fetcher,
            trust: &self.built_in,
            model: self.setup.model,
            firmware: &self.setup.firmware,
            mac: self.setup.mac,
            name: &self.setup.name,
        }
    }

    /// Whether names in the pool's certificates count.
    pub fn names(&self) -> NameCheck {
        if self.config.text("sec.TLS.SIP.strictCertCommonNameValidation") == "0" {
            NameCheck::Lax
        } else {
            NameCheck::Strict
        }
    }

    /// Writes a line into the phone's log.
    pub fn say(&mut self, now: Time, comp: &str, level: Level, text: &str, out: &mut Outbox) {
        self.log.line(now, comp, level, text, out);
    }

    /// Tells an event about this phone.
    pub fn event(&self, name: &'static str, of: &str, text: impl Into<String>, out: &mut Outbox) {
        out.note(Note::event(name, of.to_owned(), text));
    }

    /// Takes the pinned roots from flash into what is trusted.
    pub fn trust_roots(&mut self) {
        let pinned = account::roots(&self.flash);
        self.pool_trust = Trust::new(self.setup.public_roots.iter().chain(&pinned));
    }
}

impl Powered {
    /// Power came; this is what the disk still says.
    pub fn on(setup: Arc<PhoneSetup>, random: Random, disk: &Disk, now: Time, out: &mut Outbox) -> Powered {
        let (flash, damage) = Flash::read(disk);
        let mut power = Powered::restarted(setup, random, flash, now, out);
        for damage in damage {
            power.parts.say(now, "cfg", Level::Major, &damage.to_string(), out);
        }
        power
    }

    /// The phone starts again with what its flash holds.
    pub fn restarted(
        setup: Arc<PhoneSetup>,
        mut random: Random,
        mut flash: Flash,
        now: Time,
        out: &mut Outbox,
    ) -> Powered {
        let mut log = Log::new(now, out);
        let mut config = Config::read(&flash);
        for (name, value) in &setup.parameters {
            let layer = if name.starts_with("device.") { Source::Device } else { Source::Local };
            if config.layer(layer).any(|(known, _)| known == name) {
                continue;
            }
            if let Err(why) = config.set(Source::Local, name, Some(value), &mut flash, out) {
                log.line(now, "cfg", Level::Major, &format!("{name}: {why}"), out);
            }
        }
        let built_in = Trust::new(&setup.public_roots);
        let boot = Boot::new(&setup.boot, now);
        let mut parts = Parts {
            random: random.fork("life"),
            clock: Clock::factory_default(now).drifting(setup.clock_drift_ppm),
            log,
            resolver: Resolver::new(),
            fetcher: Fetcher::keeping(setup.link_idle),
            pool_fetcher: Fetcher::keeping(setup.link_idle),
            pool_trust: built_in.clone(),
            built_in,
            flash,
            config,
            setup,
            wish: Wish::None,
            has_new_settings: false,
            traffic: (0, 0),
            safe: None,
        };
        parts.trust_roots();
        Powered { parts, life: Life::Booting(Box::new(boot)) }
    }

    /// The flash, for the next start; every stream is closed.
    pub fn shut_down(mut self, out: &mut Outbox) -> Flash {
        if let Life::Running(running) = &mut self.life {
            running.hang_up(&mut self.parts, out);
        }
        out.address(None);
        self.parts.flash
    }

    /// Something happened.
    pub fn handle(&mut self, now: Time, input: &Input, out: &mut Outbox) {
        if let Input::Kept(record) = input
            && let Some(write) = self.parts.flash.kept(*record)
        {
            self.parts.safe = Some(write);
        }
        match &mut self.life {
            Life::Booting(boot) => {
                let booted = boot.handle(now, input, &mut self.parts.boot(), out);
                if let Some(booted) = booted {
                    self.run(booted, now, out);
                }
            }
            Life::Running(running) => running.handle(now, input, &mut self.parts, out),
        }
        let is_packet = matches!(input, Input::Datagram(_) | Input::Stream(_, StreamEvent::Received(_)));
        self.parts.traffic.0 += u64::from(is_packet);
        self.parts.traffic.1 += out.packets();
    }

    fn run(&mut self, booted: Booted, now: Time, out: &mut Outbox) {
        let name = self.parts.setup.name.clone();
        self.parts.event(events::PHONE_BOOTED, &name, format!("address {}", booted.address), out);
        let running = Running::start(booted, now, &mut self.parts, out);
        self.life = Life::Running(Box::new(running));
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        match &self.life {
            Life::Booting(boot) => boot.wake_at(&self.parts.resolver, &self.parts.fetcher),
            Life::Running(running) => running.wake_at(&self.parts),
        }
    }

    /// What is on the display.
    pub fn screen(&self, now: Time) -> Screen {
        match &self.life {
            Life::Booting(boot) => super::display::booting(boot.phase(now)),
            Life::Running(running) => running.screen(now, &self.parts),
        }
    }

    /// What it is, in one word.
    pub fn state(&self) -> PhoneState {
        match &self.life {
            Life::Booting(_) => PhoneState::Booting,
            Life::Running(running) => running.state(),
        }
    }

    /// Whose phone it is.
    pub fn account_address(&self) -> Option<&str> {
        match &self.life {
            Life::Booting(_) => None,
            Life::Running(running) => running.account_address(),
        }
    }

    /// The code on the display.
    pub fn shown(&self) -> Option<&Shown> {
        match &self.life {
            Life::Booting(_) => None,
            Life::Running(running) => running.shown(),
        }
    }

    /// The page that goes with it.
    pub fn page(&self) -> Option<&str> {
        match &self.life {
            Life::Booting(_) => None,
            Life::Running(running) => running.page(&self.parts),
        }
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.parts.log
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The clock, for a story that sets it wrong.
    pub fn wall_mut(&mut self) -> &mut WallClock {
        self.parts.clock.wall_mut()
    }

    /// The clock.
    pub fn wall(&self) -> WallClock {
        self.parts.clock.wall()
    }

    /// Sends what was logged since, if a syslog server is configured.
    pub fn pump_log(&mut self, now: Time, out: &mut Outbox) {
        if let Life::Running(running) = &mut self.life {
            running.pump_log(now, &mut self.parts, out);
        }
    }

    /// What a press asked of the phone as a whole.
    pub fn take_wish(&mut self) -> Wish {
        std::mem::take(&mut self.parts.wish)
    }

    /// Sets parameters as if typed on the phone.
    pub fn configure(
        &mut self,
        parameters: &[(String, String)],
        now: Time,
        out: &mut Outbox,
    ) -> Result<(), String> {
        let was_generic = self.parts.config.is_generic();
        for (name, value) in parameters {
            let Parts { config, flash, .. } = &mut self.parts;
            config.set(Source::Local, name, Some(value), flash, out).map_err(|why| why.to_string())?;
        }
        self.parts.log.configure(&self.parts.config);
        if let Life::Running(running) = &mut self.life {
            running.touched(now);
            running.listen_for_web(&mut self.parts, out);
            if self.parts.config.is_generic() == was_generic {
                running.configured(now, &mut self.parts, out);
            } else {
                // Another base profile counts from the next start, which the phone does not put off.
                self.parts.wish = Wish::Restart;
            }
        }
        Ok(())
    }

    /// What files say comes into force, as provisioning does at boot.
    #[cfg(test)]
    pub fn provision(&mut self, values: std::collections::BTreeMap<String, String>, out: &mut Outbox) {
        let Parts { config, flash, .. } = &mut self.parts;
        config.replace(Source::Files, values, flash, out).expect("room");
    }

    /// Erases the whole flash.
    pub fn erase_all(&mut self, now: Time, out: &mut Outbox) {
        if let Err(why) = self.parts.flash.erase("", out) {
            self.parts.say(now, "cfg", Level::Fatal, &why.to_string(), out);
        }
    }

    /// A key is pressed.
    pub fn press(&mut self, key: &str, now: Time, out: &mut Outbox) -> Result<(), crate::keys::PressError> {
        let screen = self.screen(now);
        let pressed = super::acting::find(key, &screen)?;
        match &mut self.life {
            Life::Booting(boot) => {
                match &pressed {
                    super::acting::Pressed::Label(label) if label == "Cancel" => boot.hold(now),
                    super::acting::Pressed::Label(label) if label == "Continue" => boot.go_on(now),
                    _ => {}
                }
                Ok(())
            }
            Life::Running(running) => {
                running.pressed(&pressed, now, &mut self.parts, out);
                Ok(())
            }
        }
    }

    /// The phone, once it runs.
    pub(super) fn running(&self) -> Option<&Running> {
        match &self.life {
            Life::Booting(_) => None,
            Life::Running(running) => Some(running),
        }
    }

    /// The phone, once it runs.
    pub(super) fn running_mut(&mut self) -> Option<&mut Running> {
        match &mut self.life {
            Life::Booting(_) => None,
            Life::Running(running) => Some(running),
        }
    }

    /// Calls somebody from a line.
    pub(super) fn dial(
        &mut self,
        line: u32,
        to: &str,
        now: Time,
        out: &mut Outbox,
    ) -> Result<CallRef, CallError> {
        match &mut self.life {
            Life::Booting(_) => Err(CallError::NotRunning),
            Life::Running(running) => running.dial(line, to, now, &mut self.parts, out),
        }
    }

    /// Does something to the calls.
    pub(super) fn with_calls(
        &mut self,
        now: Time,
        out: &mut Outbox,
        verb: impl FnOnce(&mut Calls, &mut Hands<'_>) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        match &mut self.life {
            Life::Booting(_) => Err(CallError::NotRunning),
            Life::Running(running) => {
                running.touched(now);
                running.with_calls(now, &mut self.parts, out, verb)
            }
        }
    }

    /// Text is typed.
    pub fn type_text(
        &mut self,
        field: Option<&str>,
        text: &str,
        now: Time,
    ) -> Result<(), crate::keys::TypeError> {
        let screen = self.screen(now).id;
        match &mut self.life {
            Life::Booting(_) => Err(crate::keys::TypeError::NoField { screen }),
            Life::Running(running) => running.typed(field, text, screen, now),
        }
    }
}
