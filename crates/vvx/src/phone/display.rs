//! From where a person stands to what they see. The words are the lab's own, but for the few labels of the device
//! that are documented.

use std::time::Duration;

use net::{Time, Wall};
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use crate::boot::Phase;
use crate::model::Feature;
use crate::screen::{Field, Line, Screen, StatusBar};
use crate::sign_in::{Method, SignIn};

use super::acting::{ADMIN_MODE, CAPTURE, CAPTURE_ALLOWED};
use super::powered::Parts;
use super::running::{Running, Tail};
use super::tail::hides_lock;
use super::view::{Form, Menu, PhoneState, View};

/// The boot screens.
pub fn booting(phase: Phase) -> Screen {
    let screen = Screen::new("booting", "Starting").line(Line::Progress(phase.text()));
    match phase {
        Phase::Countdown(_) => screen.soft_keys(&["Cancel"]),
        Phase::Held => screen.soft_keys(&["Continue"]),
        _ => screen,
    }
}

impl Running {
    /// What is on the display at `now`.
    pub fn screen(&self, now: Time, parts: &Parts) -> Screen {
        if let Some(call) = self.shown_call(now) {
            let mut screen = self.call_screen(&call, now);
            screen.status_bar = Some(self.status_bar(now, parts));
            return screen;
        }
        let mut screen = match &self.view {
            View::Dialing(form) => {
                with_form(Screen::new("dialing", "New call"), form).soft_keys(&["Dial", "Cancel"])
            }
            View::TransferTo(form, _) => with_form(Screen::new("transfer", "Transfer to"), form)
                .soft_keys(&["Transfer", "Blind", "Cancel"]),
            View::Home => self.home(parts),
            View::Chooser => self.chooser(parts),
            View::ViaPc => Screen::new("via-pc", "Sign in from a PC")
                .text("Pairing with a PC is not part of this lab yet.")
                .soft_keys(&["Back"]),
            View::UserId(form) => {
                with_form(Screen::new("user-id", "User ID"), form).soft_keys(&["Sign In", "Cancel"])
            }
            View::WebCode => self.web_code(parts),
            View::WebCodeExpired => Screen::new("web-code-expired", "Web Sign-in")
                .line(Line::Error("The code has expired.".to_owned()))
                .soft_keys(&["Retry", "OK"]),
            View::SigningIn => {
                let progress = match (&self.sign_in, self.tail) {
                    (Some(sign_in), _) => sign_in.progress(),
                    (None, Tail::Policy) => "Fetching settings…",
                    (None, _) => "Authentication in progress…",
                };
                Screen::new("signing-in", "Signing in")
                    .line(Line::Progress(progress.to_owned()))
                    .soft_keys(&["Cancel"])
            }
            View::SignInFailed(why) => Screen::new("sign-in-failed", "Sign-in failed")
                .line(Line::Error(why.clone()))
                .soft_keys(&["OK"]),
            View::NewLockCode(form, ..) => {
                let digits = self.policy.least_digits;
                let screen = Screen::new("new-lock-code", "Create a lock code")
                    .text(format!("Choose {digits} to {} digits.", crate::lock::DIGITS_MAX));
                with_form(screen, form).soft_keys(&["Submit"])
            }
            View::ConfirmLockCode(form, ..) => {
                with_form(Screen::new("confirm-lock-code", "Confirm the lock code"), form)
                    .soft_keys(&["Submit"])
            }
            View::KeepingLockCode(_) => Screen::new("keeping-lock-code", "Lock code")
                .line(Line::Progress("Saving the code…".to_owned())),
            // The note lies over the optional step behind it, whose key shows already.
            View::LockCodeNote(_) => Screen::new("lock-code-note", "Lock code")
                .text("The code can be changed later in Settings > Basic > Device Lock > Change Lock Code.")
                .soft_keys(&["Skip"]),
            View::AfterSignIn => Screen::new("after-sign-in", "Nearly done")
                .text("More can be set up now or later.")
                .soft_keys(&["Skip"]),
            View::Locked => Screen::new("locked", "The phone is locked")
                .text("Authorized calls only")
                .soft_keys(&["Unlock"]),
            View::Unlock(form) => {
                with_form(Screen::new("unlock", "Unlock"), form).soft_keys(&["Submit", "Cancel"])
            }
            View::Menu(menu) => self.menu(*menu, parts),
            View::AdvancedPassword(form) => {
                with_form(Screen::new("advanced-password", "Advanced"), form).soft_keys(&["Enter", "Back"])
            }
            View::ChangeLockCode(form) => {
                with_form(Screen::new("change-lock-code", "Change Lock Code"), form)
                    .soft_keys(&["Submit", "Back"])
            }
            View::CommonArea { is_on, is_admin } => common_area(*is_on, *is_admin),
            View::WebServer { is_on, mode } => Screen::new("web-server", "Web Server Configuration")
                .text(format!("Web Server: {}", if *is_on { "Enabled" } else { "Disabled" }))
                .text(format!("Web Config Mode: {}", mode.label()))
                .items(&["Web Server", "Web Config Mode"])
                .soft_keys(&["Save Config", "Back"]),
            View::MyStatus => Screen::new("my-status", "My Status")
                .text(self.account_address().unwrap_or_default())
                .text("Available")
                .soft_keys(&["Back"]),
            View::Contacts => Screen::new("contacts", "Contacts").text("No contacts.").soft_keys(&["Back"]),
            View::Message(id, text) => Screen::new(id, "").text(text.clone()).soft_keys(&["OK"]),
        };
        if let Some(message) = &self.message {
            screen = Screen::new("message", message.title.clone()).soft_keys(&["OK"]);
            screen.lines = message.lines.iter().cloned().map(Line::Text).collect();
        }
        screen.status_bar = Some(self.status_bar(now, parts));
        screen
    }

    fn status_bar(&self, now: Time, parts: &Parts) -> StatusBar {
        let local = parts.clock.local(now);
        StatusBar {
            time: print(local, format_description!("[hour repr:12 padding:none]:[minute] [period]")),
            date: print(local, format_description!("[weekday], [month repr:long] [day padding:none]")),
            warnings: self.warnings.iter().map(|(_, text)| text.clone()).collect(),
        }
    }

    fn home(&self, parts: &Parts) -> Screen {
        let mut screen = Screen::new("home", "");
        match self.account_address().filter(|_| self.account.is_some()) {
            None => screen.title = parts.setup.model.label.clone(),
            Some(address) => screen.title = address.to_owned(),
        }
        if self.plain.is_generic {
            return self.lines_home(screen);
        }
        match self.state() {
            PhoneState::SigningIn => screen = screen.line(Line::Progress("Signing in again…".to_owned())),
            PhoneState::Off
            | PhoneState::Booting
            | PhoneState::SignedOut
            | PhoneState::SignedIn
            | PhoneState::Locked
            | PhoneState::RegistrationLost
            | PhoneState::Registered
            | PhoneState::Unregistered => {}
        }
        for (cause, text) in &self.warnings {
            if matches!(*cause, "sign-in" | "registration") {
                screen = screen.line(Line::Error(text.clone()));
            }
        }
        // A common-area phone shows neither key to passers-by.
        let is_public = parts.config.is_on("feature.CAP.enable") && !parts.config.is_on(ADMIN_MODE);
        let keys: &[&str] = match (self.account.is_some(), is_public) {
            (true, false) => &["My Status", "Contacts", "Sign Out", "Settings"],
            (true, true) => &["Contacts", "Settings"],
            (false, false) => &["Sign In", "Settings"],
            (false, true) => &["Settings"],
        };
        screen.soft_keys(keys)
    }

    /// Home in the generic profile: the lines, and whether they are registered.
    fn lines_home(&self, mut screen: Screen) -> Screen {
        for text in self.banner() {
            screen = screen.line(Line::Error((*text).to_owned()));
        }
        for line in self.lines.lines() {
            let label = &line.settings().label;
            screen = match (line.is_registered(), line.why().is_empty()) {
                (true, _) => screen.text(format!("{label}: registered")),
                (false, true) => screen.line(Line::Progress(format!("{label}: registering…"))),
                (false, false) => screen.line(Line::Error(format!("{label}: Line Unregistered"))),
            };
        }
        screen.soft_keys(&["Settings"])
    }

    fn chooser(&self, parts: &Parts) -> Screen {
        let screen =
            Screen::new("sign-in", "Sign In").text("Choose how to sign in.").tiles(&["User ID", "via PC"]);
        let screen = if parts.setup.firmware.has(Feature::WebSignIn) {
            screen.tiles(&["Web Sign-in"])
        } else {
            screen
        };
        screen.soft_keys(&["Back"])
    }

    fn web_code(&self, parts: &Parts) -> Screen {
        let is_common_area =
            self.sign_in.as_ref().is_some_and(|sign_in| sign_in.method() == Method::CommonArea);
        let (id, title, who, does) = if is_common_area {
            ("web-code-cap", "Web Sign-in (CAP)", "An administrator opens", "and gives the phone this code:")
        } else {
            ("web-code", "Web Sign-in", "In a browser, open", "and sign in with this code:")
        };
        let code = self.sign_in.as_ref().and_then(SignIn::shown);
        let code = code.map(|shown| shown.user_code.clone()).unwrap_or_default();
        Screen::new(id, title)
            .text(format!("{who} {}", self.page(parts).unwrap_or_default()))
            .text(does)
            .line(Line::Code(code))
            .soft_keys(&["Cancel"])
    }

    fn menu(&self, menu: Menu, parts: &Parts) -> Screen {
        let screen = match menu {
            Menu::Settings => {
                Screen::new("settings", "Settings").items(&["Basic", "Features", "Status", "Advanced"])
            }
            Menu::Basic => {
                let screen = Screen::new("settings-basic", "Basic");
                let screen = if hides_lock(parts) { screen } else { screen.items(&["Device Lock"]) };
                // There is nothing else to prefer on these phones.
                if parts.config.is_on(CAPTURE_ALLOWED) { screen.items(&["Preferences"]) } else { screen }
            }
            Menu::Preferences => {
                let is_on = parts.config.is_on(CAPTURE);
                Screen::new("preferences", "Preferences")
                    .text(format!("Screen Capture: {}", if is_on { "Enabled" } else { "Disabled" }))
                    .items(&["Screen Capture"])
            }
            Menu::DeviceLock => {
                let screen = Screen::new("device-lock", "Device Lock");
                match (self.account.is_some(), self.lock.has_code()) {
                    (true, true) => screen.items(&["Lock Now", "Change Lock Code"]),
                    (true, false) => screen.items(&["Create Lock Code"]),
                    (false, _) => screen.text("Nobody is signed in."),
                }
            }
            Menu::Features if parts.config.is_generic() => Screen::new("features", "Features"),
            Menu::Features => Screen::new("features", "Features").items(&["Skype for Business"]),
            Menu::Service => {
                let screen = Screen::new("features-service", "Skype for Business");
                let screen = if self.account.is_some() {
                    screen.items(&["Sign Out"])
                } else {
                    screen.items(&["Sign In"])
                };
                screen.items(&["User Credentials"])
            }
            Menu::Credentials => {
                let screen = Screen::new("user-credentials", "User Credentials");
                let may = parts.config.is_on("feature.CAP.enable")
                    && parts.setup.firmware.has(Feature::CommonAreaPhone)
                    && self.account.is_none();
                if may { screen.items(&["Web Sign-in (CAP)"]) } else { screen }
            }
            Menu::Advanced => {
                Screen::new("advanced", "Advanced").items(&["Administration Settings", "Reboot"])
            }
            Menu::Administration => {
                let screen = Screen::new("administration", "Administration Settings");
                let screen = if parts.setup.firmware.has(Feature::CommonAreaPhone) {
                    screen.items(&["Common Area Phone Settings"])
                } else {
                    screen
                };
                screen.items(&["Web Server Configuration", "Reset to Defaults"])
            }
            Menu::Reset => Screen::new("reset", "Reset to Defaults").items(&["Reset to Factory"]),
            Menu::Status => Screen::new("status", "Status")
                .text(format!("Model: {}", parts.setup.model.label))
                .text(format!("Software: {}", parts.setup.firmware.version()))
                .text(format!("MAC: {}", parts.setup.mac))
                .text(format!("Account: {}", self.account_address().unwrap_or("none"))),
        };
        screen.soft_keys(&["Back"])
    }
}

fn common_area(is_on: bool, is_admin: bool) -> Screen {
    let word = |is: bool| if is { "on" } else { "off" };
    Screen::new("common-area-phone", "Common Area Phone")
        .text(format!("CAP: {}", word(is_on)))
        .text(format!("CAP Admin Mode: {}", word(is_admin)))
        .items(&["CAP", "CAP Admin Mode"])
        .soft_keys(&["Save Config", "Back"])
}

fn with_form(mut screen: Screen, form: &Form) -> Screen {
    if let Some(complaint) = &form.complaint {
        screen = screen.line(Line::Error(complaint.clone()));
    }
    screen.fields = form
        .inputs
        .iter()
        .enumerate()
        .map(|(n, input)| Field {
            id: input.id,
            label: input.label.to_owned(),
            value: input.value.expose().to_owned(),
            is_secret: input.is_secret,
            is_current: n == form.current,
        })
        .collect();
    screen
}

fn print(reading: Wall, format: StaticFormatDescription) -> String {
    // The formats have only parts that every date has.
    reading.plus(Duration::ZERO).date_time().format(format).unwrap_or_default()
}
