//! The actor: one desk phone, from power-on to power-off, and what a person can do to it.
//!
//! [`Phone`] routes what happens to its machines and shows what they say. Everything between power-on and
//! power-off lives in one [`Powered`], so that losing power is dropping it. People act through
//! [`Phone::press`] and [`Phone::type_text`]; what they see is [`Phone::screen`].

pub mod account;
pub mod view;

mod acting;
mod asking;
mod calling;
mod calling_screens;
mod display;
mod lines;
mod powered;
mod registering;
mod running;
pub(crate) mod serving;
mod signing;
mod tail;
mod verbs;
mod web;

use std::sync::Arc;

use net::{Input, Node, Note, Outbox, Random, Time, WallClock};

use crate::events;
use crate::keys::{ActError, PressError, TypeError};
use crate::log::LogKind;
use crate::screen::Screen;
use crate::setup::PhoneSetup;

use powered::Powered;
use running::Running;
pub use view::PhoneState;

/// One phone.
#[derive(Debug)]
pub struct Phone {
    setup: Arc<PhoneSetup>,
    random: Random,
    power: Option<Box<Powered>>,
    /// The screen that the journal knows, so that it is told changes only.
    told: String,
}

impl Phone {
    /// A phone without power.
    pub fn new(setup: PhoneSetup) -> Phone {
        let random = setup.random.clone();
        Phone { setup: Arc::new(setup), random, power: None, told: String::new() }
    }

    /// What stories call it.
    pub fn name(&self) -> &str {
        &self.setup.name
    }

    /// What it is made of.
    pub fn setup(&self) -> &PhoneSetup {
        &self.setup
    }

    /// What is on its display at `now`.
    pub fn screen(&self, now: Time) -> Screen {
        match &self.power {
            None => Screen::new("off", ""),
            Some(power) => power.screen(now),
        }
    }

    /// What it is, in one word.
    pub fn state(&self) -> PhoneState {
        self.power.as_ref().map_or(PhoneState::Off, |power| power.state())
    }

    /// The address of whoever is signed in (`alice@contoso.example`), or is being signed in and known.
    pub fn account(&self) -> Option<&str> {
        self.power.as_ref()?.account_address()
    }

    /// The code that is on the display, to be typed into a browser.
    pub fn user_code(&self) -> Option<&str> {
        Some(&self.power.as_ref()?.shown()?.user_code)
    }

    /// The page that the display names for that code: the administrators' portal for a common-area sign-in.
    pub fn sign_in_page(&self) -> Option<&str> {
        self.power.as_ref()?.page()
    }

    /// Whether the display asks for a new lock code.
    pub fn asks_for_lock_code(&self) -> bool {
        let running = self.power.as_ref().and_then(|power| power.running());
        running.is_some_and(Running::asks_for_lock_code)
    }

    /// The phone's own log since power-on, oldest line first.
    pub fn log(&self) -> Vec<String> {
        let Some(power) = &self.power else {
            return Vec::new();
        };
        let lines = |kind| power.log().lines(kind).map(str::to_owned);
        lines(LogKind::Boot).chain(lines(LogKind::Application)).collect()
    }

    /// The certificate that the phone was born with and shows whoever connects to its web server by TLS.
    pub fn device_certificate(&self) -> Option<rustls::pki_types::CertificateDer<'static>> {
        serving::device_credentials(&self.setup)?.chain.into_iter().next()
    }

    /// What the phone believes the date is; `None` without power.
    pub fn wall_clock(&self) -> Option<WallClock> {
        self.power.as_ref().map(|power| power.wall())
    }

    /// The phone's clock, for a story that sets it wrong; `None` without power. The next answer of a time server puts
    /// it right again.
    pub fn clock_mut(&mut self) -> Option<&mut WallClock> {
        self.power.as_mut().map(|power| power.wall_mut())
    }

    /// The value that counts for a parameter, and whose it is; `None` if nobody knows the name, or it is a secret.
    pub fn parameter(&self, name: &str) -> Option<(String, &'static str)> {
        let value = self.power.as_ref()?.config().get(name)?;
        let text = if crate::config::is_secret(name) { "•••" } else { value.text };
        Some((text.to_owned(), value.source.label()))
    }

    /// Presses a key: a label of the display, or a key of the case ([`crate::keys`]).
    ///
    /// # Errors
    ///
    /// If the phone is off, or offers no such thing; the error lists what it offers.
    pub fn press(&mut self, key: &str, now: Time, out: &mut Outbox) -> Result<(), PressError> {
        let power = self.power.as_mut().ok_or(PressError::Off)?;
        let pressed = power.press(key, now, out);
        self.tell(now, out);
        pressed
    }

    /// Types text into the field of that id, or into the current one.
    ///
    /// # Errors
    ///
    /// If the phone is off, or the display has no such field; the error lists those that it has.
    pub fn type_text(
        &mut self,
        field: Option<&str>,
        text: &str,
        now: Time,
        out: &mut Outbox,
    ) -> Result<(), TypeError> {
        let power = self.power.as_mut().ok_or(TypeError::Off)?;
        let typed = power.type_text(field, text, now);
        self.tell(now, out);
        typed
    }

    /// Makes a lock code where the display asks for one: types it, submits it, and confirms it.
    ///
    /// # Errors
    ///
    /// If the display asks for no code, or the phone does not like it.
    pub fn set_lock_code(&mut self, digits: &str, now: Time, out: &mut Outbox) -> Result<(), ActError> {
        for screen in ["new-lock-code", "confirm-lock-code"] {
            let shown = self.screen(now);
            if shown.id != screen {
                let complaint = shown.lines.iter().find_map(|line| match line {
                    crate::screen::Line::Error(text) => Some(text.clone()),
                    _ => None,
                });
                let why = complaint.unwrap_or_else(|| format!("screen `{}` asks for no lock code", shown.id));
                return Err(ActError::Said(why));
            }
            self.type_text(None, digits, now, out)?;
            self.press("Submit", now, out)?;
        }
        Ok(())
    }

    /// Unlocks a locked phone: *Unlock*, the code, *Submit*. A wrong code is no error; the screen says so.
    ///
    /// # Errors
    ///
    /// If the phone is not locked.
    pub fn unlock(&mut self, digits: &str, now: Time, out: &mut Outbox) -> Result<(), ActError> {
        if self.screen(now).id == "locked" {
            self.press("Unlock", now, out)?;
        }
        let shown = self.screen(now);
        if shown.id != "unlock" {
            return Err(ActError::Said(format!("screen `{}` is not locked", shown.id)));
        }
        self.type_text(None, digits, now, out)?;
        self.press("Submit", now, out)?;
        Ok(())
    }

    /// Sets parameters as if typed on the phone.
    ///
    /// # Errors
    ///
    /// If the phone is off, or its flash does not take them; in words.
    pub fn configure(
        &mut self,
        parameters: &[(String, String)],
        now: Time,
        out: &mut Outbox,
    ) -> Result<(), ActError> {
        let power = self.power.as_mut().ok_or(ActError::Press(PressError::Off))?;
        let set = power.configure(parameters, now, out);
        self.tell(now, out);
        set.map_err(ActError::Said)
    }

    /// Starts the phone again, as its menu and `checkSync` do: like a power cut, but what was written is safe.
    pub fn restart(&mut self, now: Time, out: &mut Outbox) {
        if let Some(power) = self.power.take() {
            let flash = power.shut_down(out);
            self.power = Some(Box::new(Powered::restarted(
                self.setup.clone(),
                self.random.fork("restart"),
                flash,
                now,
                out,
            )));
            self.tell(now, out);
        }
    }

    /// Erases everything that the phone knows and starts it again.
    pub fn factory_reset(&mut self, now: Time, out: &mut Outbox) {
        if let Some(power) = &mut self.power {
            power.erase_all(now, out);
            out.note(Note::event(events::FACTORY_RESET, self.setup.name.clone(), "everything was erased"));
            self.restart(now, out);
        }
    }

    /// Tells the journal what is on the display, if that is news.
    fn tell(&mut self, now: Time, out: &mut Outbox) {
        if let Some(power) = &mut self.power {
            power.pump_log(now, out);
        }
        let wants = self.power.as_mut().map_or(powered::Wish::None, |power| power.take_wish());
        match wants {
            powered::Wish::None => {}
            powered::Wish::Restart => return self.restart(now, out),
            powered::Wish::FactoryReset => return self.factory_reset(now, out),
        }
        if !out.wants_notes() {
            return;
        }
        let screen = self.screen(now);
        let text = screen.told();
        let known = format!("{}\n{text}", screen.id);
        if known != self.told {
            self.told = known;
            out.note(Note::Screen { id: screen.id.to_owned(), text });
        }
    }
}

impl Node for Phone {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(disk) => {
                let random = self.random.fork("power");
                self.power = Some(Box::new(Powered::on(self.setup.clone(), random, &disk, now, out)));
            }
            Input::PowerOff => self.power = None,
            other => {
                if let Some(power) = &mut self.power {
                    power.handle(now, &other, out);
                }
            }
        }
        self.tell(now, out);
    }

    fn wake_at(&self) -> Option<Time> {
        self.power.as_ref()?.wake_at()
    }
}

#[cfg(test)]
mod tests;
