//! What a person does: keys and text, and what each leads to.

use net::{Outbox, Time};

use crate::config::Source;
use crate::events;
use crate::keys::{HardKey, PressError, TypeError};
use crate::lock::Tried;
use crate::log::Level;
use crate::screen::{Place, Screen};
use crate::sign_in::Method;
use crate::sign_in::tokens::Secret;

use super::account;
use super::powered::{Parts, Wish};
use super::running::{Running, Tail};
use super::view::{Form, LockReason, Menu, View, WebMode};

/// The most characters of a sign-in address or user name that the device's form takes.
const ADDRESS_MAX: usize = 45;
/// The lab's own name for the switch of the common-area administrator mode; the device's is not known.
pub const ADMIN_MODE: &str = "lab.commonArea.adminMode";

/// Whether the display may be captured at all.
pub const CAPTURE_ALLOWED: &str = "up.screenCapture.enabled";
/// Whether whoever sits at the phone wants it captured.
pub const CAPTURE: &str = "up.screenCapture.value";

/// What a press means on the screen that it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// Something that the display offers, by its label as it is shown.
    Label(String),
    /// A key of the case.
    Key(HardKey),
}

/// Finds what `key` means on `screen`.
///
/// # Errors
///
/// If it means nothing there.
pub fn find(key: &str, screen: &Screen) -> Result<Pressed, PressError> {
    if let Some(offer) = screen.offers.iter().find(|offer| offer.label.eq_ignore_ascii_case(key.trim())) {
        return Ok(Pressed::Label(offer.label.clone()));
    }
    match HardKey::parse(key.trim()) {
        Some(HardKey::Soft(n)) => {
            let mut soft = screen.offers.iter().filter(|offer| offer.place == Place::SoftKey);
            soft.nth(n - 1)
                .map(|offer| Pressed::Label(offer.label.clone()))
                .ok_or_else(|| refused(key, screen))
        }
        Some(HardKey::Select) if screen.fields.is_empty() => {
            // The first tile or row is where the selection stands.
            let first = screen.offers.iter().find(|offer| offer.place != Place::SoftKey);
            Ok(first.map_or(Pressed::Key(HardKey::Select), |offer| Pressed::Label(offer.label.clone())))
        }
        Some(key) => Ok(Pressed::Key(key)),
        None => Err(refused(key, screen)),
    }
}

fn refused(key: &str, screen: &Screen) -> PressError {
    let offered = screen.labels().join(", ");
    let offered = if offered.is_empty() { "nothing".to_owned() } else { offered };
    PressError::NotOffered { key: key.to_owned(), screen: screen.id, offered }
}

impl Running {
    /// Text is typed into a field.
    pub fn typed(
        &mut self,
        field: Option<&str>,
        text: &str,
        screen: &'static str,
        now: Time,
    ) -> Result<(), TypeError> {
        self.touched(now);
        let form =
            self.view.form_mut().filter(|_| self.message.is_none()).ok_or(TypeError::NoField { screen })?;
        if let Some(field) = field {
            let is_it =
                |id: &str, label: &str| id.eq_ignore_ascii_case(field) || label.eq_ignore_ascii_case(field);
            let place = form.inputs.iter().position(|input| is_it(input.id, input.label));
            form.current = place.ok_or_else(|| TypeError::NoSuchField {
                field: field.to_owned(),
                screen,
                fields: form.inputs.iter().map(|input| input.id).collect::<Vec<_>>().join(", "),
            })?;
            form.clear();
        }
        form.add(text);
        Ok(())
    }

    /// A field is touched: what is typed goes there from now on.
    pub fn chosen(&mut self, field: &str, now: Time) {
        self.touched(now);
        if let Some(form) = self.view.form_mut()
            && let Some(place) = form.inputs.iter().position(|input| input.id == field)
        {
            form.current = place;
        }
    }

    /// A key is pressed.
    pub fn pressed(&mut self, pressed: &Pressed, now: Time, parts: &mut Parts, out: &mut Outbox) {
        self.touched(now);
        if self.message.is_some() {
            let puts_away = match pressed {
                Pressed::Label(label) => label == "OK",
                Pressed::Key(key) => matches!(key, HardKey::Home | HardKey::Back),
            };
            self.message.take_if(|_| puts_away);
            return;
        }
        match pressed {
            _ if self.pressed_about_calls(pressed, now, parts, out) => {}
            Pressed::Label(label) => self.pressed_label(label, now, parts, out),
            Pressed::Key(key) => self.pressed_key(*key),
        }
        self.settle(now, parts, out);
    }

    /// Whether a press was about calls, and done.
    fn pressed_about_calls(
        &mut self,
        pressed: &Pressed,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> bool {
        if let Pressed::Key(key) = pressed
            && self.pressed_anytime(*key, now, parts, out)
        {
            return true;
        }
        if let Some(call) = self.shown_call(now)
            && self.pressed_in_call(pressed, &call, now, parts, out)
        {
            return true;
        }
        match pressed {
            Pressed::Label(label) => self.pressed_dialing(label, now, parts, out),
            Pressed::Key(HardKey::Select) => self.pressed_dialing("Dial", now, parts, out),
            Pressed::Key(HardKey::Dial(digit)) => self.begins_to_dial(*digit),
            // Home, where calls are out of sight, brings them back.
            Pressed::Key(HardKey::Home) if matches!(self.view, View::Home | View::Locked) => {
                self.telephone.is_in_front = !self.call_views(now).is_empty();
                self.telephone.is_in_front
            }
            Pressed::Key(_) => false,
        }
    }

    fn pressed_key(&mut self, key: HardKey) {
        match key {
            HardKey::Home if self.may_leave() => self.view = View::Home,
            HardKey::Back if self.may_leave() => self.back(),
            HardKey::Home | HardKey::Back => {}
            HardKey::Dial(c) => {
                if let Some(form) = self.view.form_mut() {
                    form.add(&c.to_string());
                }
            }
            HardKey::Delete => {
                if let Some(form) = self.view.form_mut() {
                    form.delete();
                }
            }
            HardKey::Up => {
                if let Some(form) = self.view.form_mut() {
                    form.current = form.current.saturating_sub(1);
                }
            }
            HardKey::Down | HardKey::Select => {
                if let Some(form) = self.view.form_mut() {
                    form.current = (form.current + 1).min(form.inputs.len() - 1);
                }
            }
            HardKey::Soft(_)
            | HardKey::Sideways
            | HardKey::Hold
            | HardKey::Transfer
            | HardKey::MicMute
            | HardKey::Redial
            | HardKey::DoNotDisturb
            | HardKey::Handsfree => {}
        }
    }

    /// Whether Home and Back work here: not on a locked phone, nor where the phone insists on an answer.
    fn may_leave(&self) -> bool {
        !self.lock.is_locked()
            && !matches!(
                self.view,
                View::NewLockCode(..)
                    | View::ConfirmLockCode(..)
                    | View::KeepingLockCode(_)
                    | View::WebCode
                    | View::SigningIn
            )
    }

    fn back(&mut self) {
        self.view = match &self.view {
            View::UserId(_) | View::ViaPc | View::WebCodeExpired => View::Chooser,
            View::Menu(menu) => match menu {
                Menu::Settings => View::Home,
                Menu::Basic | Menu::Features | Menu::Advanced | Menu::Status => View::Menu(Menu::Settings),
                Menu::DeviceLock | Menu::Preferences => View::Menu(Menu::Basic),
                Menu::Service => View::Menu(Menu::Features),
                Menu::Credentials => View::Menu(Menu::Service),
                Menu::Administration => View::Menu(Menu::Advanced),
                Menu::Reset => View::Menu(Menu::Administration),
            },
            View::AdvancedPassword(_) => View::Menu(Menu::Settings),
            View::ChangeLockCode(_) => View::Menu(Menu::DeviceLock),
            View::CommonArea { .. } | View::WebServer { .. } => View::Menu(Menu::Administration),
            _ => View::Home,
        };
    }

    fn pressed_label(&mut self, label: &str, now: Time, parts: &mut Parts, out: &mut Outbox) {
        match (&self.view, label) {
            (View::WebCode, "Cancel") => {
                self.forget_sign_in(now, parts, out);
                self.view = View::Chooser;
            }
            (View::SigningIn, "Cancel") => self.cancel_sign_in(now, parts, out),
            (View::WebCodeExpired, "Retry") => {
                let method = self.sign_in.as_ref().map_or(Method::Web, |sign_in| sign_in.method());
                self.sign_in_by_code(method, now, parts, out);
            }
            (View::WebCodeExpired, "OK") => {
                self.forget_sign_in(now, parts, out);
                self.view = View::Chooser;
            }
            (View::UserId(_), "Cancel") => self.view = View::Chooser,
            (View::UserId(form), "Sign In") => {
                let form = form.clone();
                self.submit_user_id(&form, now, parts, out);
            }
            (View::Unlock(_), "Cancel") => self.view = View::Locked,
            (View::Unlock(form), "Submit") => {
                let digits = form.value("code").to_owned();
                self.submit_unlock(&digits, now, parts, out);
            }
            (View::NewLockCode(..) | View::ConfirmLockCode(..), "Submit") => {
                self.submit_new_code(now, parts, out);
            }
            (View::ChangeLockCode(_), "Submit") => self.submit_changed_code(now, parts, out),
            (View::AdvancedPassword(form), "Enter") => {
                let is_right = form.value("password") == admin_password(parts);
                let form = form.again("The password is wrong.");
                self.is_admin = is_right;
                self.view = if is_right { View::Menu(Menu::Advanced) } else { View::AdvancedPassword(form) };
            }
            (View::CommonArea { is_on, is_admin }, "CAP") => {
                self.view = View::CommonArea { is_on: !is_on, is_admin: *is_admin };
            }
            (View::CommonArea { is_on, is_admin }, "CAP Admin Mode") => {
                self.view = View::CommonArea { is_on: *is_on, is_admin: !is_admin };
            }
            (View::CommonArea { is_on, is_admin }, "Save Config") => {
                let (is_on, is_admin) = (*is_on, *is_admin);
                self.save_common_area(is_on, is_admin, now, parts, out);
            }
            (View::WebServer { is_on, mode }, "Web Server") => {
                self.view = View::WebServer { is_on: !is_on, mode: *mode };
            }
            (View::WebServer { is_on, mode }, "Web Config Mode") => {
                self.view = View::WebServer { is_on: *is_on, mode: mode.next() };
            }
            (View::WebServer { is_on, mode }, "Save Config") => {
                let (is_on, mode) = (*is_on, *mode);
                self.save_web_server(is_on, mode, now, parts, out);
            }
            (_, "Back") => self.back(),
            (_, "OK" | "Skip") => self.view = View::Home,
            (_, "Unlock") => self.view = View::Unlock(Form::digits("Code")),
            _ => self.pressed_anywhere(label, now, parts, out),
        }
    }

    /// Labels that mean the same wherever they are shown.
    fn pressed_anywhere(&mut self, label: &str, now: Time, parts: &mut Parts, out: &mut Outbox) {
        match label {
            "Sign In" => {
                self.unwarn("sign-in");
                self.view = View::Chooser;
            }
            "Sign Out" => self.sign_out(None, now, parts, out),
            "User ID" => self.view = View::UserId(user_id_form()),
            "via PC" => self.view = View::ViaPc,
            "Web Sign-in" => self.sign_in_by_code(Method::Web, now, parts, out),
            "Web Sign-in (CAP)" => self.sign_in_by_code(Method::CommonArea, now, parts, out),
            "Settings" => self.view = View::Menu(Menu::Settings),
            "Basic" => self.view = View::Menu(Menu::Basic),
            "Device Lock" => self.view = View::Menu(Menu::DeviceLock),
            "Preferences" => self.view = View::Menu(Menu::Preferences),
            "Screen Capture" => {
                let value = if parts.config.is_on(CAPTURE) { "0" } else { "1" };
                set_here(&[(CAPTURE, value)], now, parts, out);
            }
            "Web Server Configuration" => {
                let is_on = |name: &str| parts.config.is_on(name);
                let mode =
                    match (is_on("httpd.cfg.secureTunnelRequired"), is_on("httpd.cfg.secureTunnelEnabled")) {
                        (true, _) => WebMode::Secure,
                        (false, true) => WebMode::Both,
                        (false, false) => WebMode::Plain,
                    };
                self.view = View::WebServer { is_on: is_on("httpd.enabled"), mode };
            }
            "Lock Now" => self.lock_now("by the user", parts, out),
            "Change Lock Code" => self.view = View::ChangeLockCode(change_form()),
            "Create Lock Code" => {
                let until = now + parts.setup.lock_prompt;
                self.view = View::NewLockCode(Form::digits("New code"), LockReason::Change, until);
            }
            "Features" => self.view = View::Menu(Menu::Features),
            "Skype for Business" => self.view = View::Menu(Menu::Service),
            "User Credentials" => self.view = View::Menu(Menu::Credentials),
            "Status" => self.view = View::Menu(Menu::Status),
            "Advanced" if self.is_admin => self.view = View::Menu(Menu::Advanced),
            "Advanced" => {
                self.view = View::AdvancedPassword(Form::new(&[("password", "Password", true, 32)]));
            }
            "Administration Settings" => self.view = View::Menu(Menu::Administration),
            "Common Area Phone Settings" => {
                self.view = View::CommonArea {
                    is_on: parts.config.is_on("feature.CAP.enable"),
                    is_admin: parts.config.is_on(ADMIN_MODE),
                };
            }
            "Reset to Defaults" => self.view = View::Menu(Menu::Reset),
            "Reset to Factory" => parts.wish = Wish::FactoryReset,
            "Reboot" => parts.wish = Wish::Restart,
            "My Status" => self.view = View::MyStatus,
            "Contacts" => self.view = View::Contacts,
            _ => {}
        }
    }

    pub(super) fn cancel_sign_in(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        if self.account.is_some() {
            self.sign_out(None, now, parts, out);
        } else {
            self.forget_sign_in(now, parts, out);
            // What was on its way into flash must not sign the phone in at the next start.
            if let Err(why) = super::account::erase(&mut parts.flash, out) {
                parts.say(now, "cfg", Level::Fatal, &why.to_string(), out);
            }
        }
        self.tail = Tail::None;
        self.view = View::Home;
    }

    fn submit_user_id(&mut self, form: &Form, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let value = |id: &str| form.value(id).trim().to_owned();
        let (address, domain) = (value("sign-in-address"), value("domain"));
        // The form allows the address alone, a bare user, and a user of a domain.
        let user = match (value("user"), domain.is_empty()) {
            (user, true) if user.is_empty() => address.clone(),
            (user, true) => user,
            (user, false) => format!("{domain}\\{user}"),
        };
        let password = Secret::new(form.value("password"));
        if let Err(why) = self.sign_in_by_password(&address, user, password, now, parts, out) {
            let mut form = form.clone();
            form.complaint = Some(why);
            self.view = View::UserId(form);
        }
    }

    fn submit_unlock(&mut self, digits: &str, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let of = self.account_address().unwrap_or_default().to_owned();
        let wrong_before = self.lock.wrong();
        let tried = self.lock.try_code(digits, now);
        if self.lock.wrong() != wrong_before
            && let Err(why) = account::keep_wrong_codes(self.lock.wrong(), &mut parts.flash, out)
        {
            parts.say(now, "so", Level::Major, &why.to_string(), out);
        }
        match tried {
            Tried::Right => {
                parts.event(events::UNLOCKED, &of, "by its code", out);
                self.view = View::Home;
                if self.tail == Tail::LockCode {
                    self.tail = Tail::None;
                }
            }
            Tried::Wrong(left) => {
                parts.event(events::WRONG_LOCK_CODE, &of, format!("{left} tries left"), out);
                self.view =
                    View::Unlock(Form::digits("Code").again(format!("Wrong code. {left} tries left.")));
            }
            Tried::WrongForGood => {
                parts.event(events::WRONG_LOCK_CODE, &of, "no tries left", out);
                let why = "The lock code was wrong too often.";
                self.sign_out(Some(why), now, parts, out);
            }
        }
    }

    /// The device starts again with new settings of its web server.
    fn save_web_server(
        &mut self,
        is_on: bool,
        mode: WebMode,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        let values = [
            ("httpd.enabled", digit(is_on)),
            ("httpd.cfg.enabled", digit(is_on)),
            ("httpd.cfg.secureTunnelEnabled", digit(mode != WebMode::Plain)),
            ("httpd.cfg.secureTunnelRequired", digit(mode == WebMode::Secure)),
        ];
        set_here(&values, now, parts, out);
        parts.wish = Wish::Restart;
    }

    fn save_common_area(
        &mut self,
        is_on: bool,
        is_admin: bool,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        set_here(&[("feature.CAP.enable", digit(is_on)), (ADMIN_MODE, digit(is_admin))], now, parts, out);
        let text = if is_on { "Common Area Phone is enabled." } else { "Common Area Phone is disabled." };
        self.view = View::Message("common-area-saved", text.to_owned());
    }
}

/// Sets parameters in the menu's own layer; what cannot be kept is logged.
fn set_here(values: &[(&str, &str)], now: Time, parts: &mut Parts, out: &mut Outbox) {
    for (name, value) in values {
        let set = parts.config.set(Source::Local, name, Some(value), &mut parts.flash, out);
        if let Err(why) = set {
            parts.say(now, "cfg", Level::Major, &format!("{name}: {why}"), out);
        }
    }
}

fn digit(is: bool) -> &'static str {
    if is { "1" } else { "0" }
}

fn admin_password(parts: &Parts) -> &str {
    match parts.config.text("device.auth.localAdminPassword") {
        "" => "456",
        password => password,
    }
}

fn user_id_form() -> Form {
    Form::new(&[
        ("sign-in-address", "Sign-in address", false, ADDRESS_MAX),
        ("user", "User", false, ADDRESS_MAX),
        ("password", "Password", true, 128),
        ("domain", "Domain", false, ADDRESS_MAX),
    ])
}

fn change_form() -> Form {
    let digits = crate::lock::DIGITS_MAX;
    Form::new(&[
        ("old-code", "Old code", true, digits),
        ("new-code", "New code", true, digits),
        ("confirm-code", "Confirm code", true, digits),
    ])
}
