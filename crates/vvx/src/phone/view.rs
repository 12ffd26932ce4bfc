//! Where a person stands in the phone's screens, and what they have typed so far.

use net::Time;

use crate::call::CallRef;
use crate::sign_in::tokens::Secret;

/// What the phone is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneState {
    /// No power.
    Off,
    /// Between power and Home.
    Booting,
    /// Nobody is signed in.
    SignedOut,
    /// Somebody is being signed in, or a phone comes back by itself.
    SigningIn,
    /// Somebody is signed in and registered.
    SignedIn,
    /// Signed in, and the lock is closed.
    Locked,
    /// Signed in, but the pool has lost the phone, or the phone the pool.
    RegistrationLost,
    /// In the generic profile: every line is registered.
    Registered,
    /// In the generic profile: some line is not registered, or there is none.
    Unregistered,
}

impl PhoneState {
    /// As stories write it.
    pub fn name(self) -> &'static str {
        match self {
            PhoneState::Off => "off",
            PhoneState::Booting => "booting",
            PhoneState::SignedOut => "signed-out",
            PhoneState::SigningIn => "signing-in",
            PhoneState::SignedIn => "signed-in",
            PhoneState::Locked => "locked",
            PhoneState::RegistrationLost => "registration-lost",
            PhoneState::Registered => "registered",
            PhoneState::Unregistered => "unregistered",
        }
    }

    /// Every state as stories write it, and what it means.
    pub const ALL: &'static [(&'static str, &'static str)] = &[
        ("off", "no power"),
        ("booting", "between power and Home"),
        ("signed-out", "nobody is signed in"),
        ("signing-in", "somebody is being signed in, or the phone comes back by itself"),
        ("signed-in", "somebody is signed in and registered"),
        ("locked", "signed in, and the lock is closed"),
        ("registration-lost", "signed in, but not registered at the moment"),
        ("registered", "generic profile: every line is registered"),
        ("unregistered", "generic profile: some line is not registered, or there is none"),
    ];
}

/// A field with what was typed into it.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its id, as stories name it.
    pub id: &'static str,
    /// Its label.
    pub label: &'static str,
    /// What was typed. Held as a secret whether it is one or not.
    pub value: Secret,
    /// Whether the display shows dots.
    pub is_secret: bool,
    /// The most characters that fit.
    pub limit: usize,
}

/// A few fields, one of them the current one.
#[derive(Clone, Debug)]
pub struct Form {
    /// The fields.
    pub inputs: Vec<Input>,
    /// Which one is current.
    pub current: usize,
    /// What was wrong with the last try.
    pub complaint: Option<String>,
}

impl Form {
    /// A form of empty fields: id, label, whether it is a secret, the most characters.
    pub fn new(fields: &[(&'static str, &'static str, bool, usize)]) -> Form {
        let inputs = fields.iter().map(|(id, label, is_secret, limit)| Input {
            id,
            label,
            value: Secret::new(""),
            is_secret: *is_secret,
            limit: *limit,
        });
        Form { inputs: inputs.collect(), current: 0, complaint: None }
    }

    /// A form of one field for digits that nobody else may read.
    pub fn digits(label: &'static str) -> Form {
        Form::new(&[("code", label, true, crate::lock::DIGITS_MAX)])
    }

    /// What was typed into the field of that id.
    pub fn value(&self, id: &str) -> &str {
        self.inputs.iter().find(|input| input.id == id).map_or("", |input| input.value.expose())
    }

    /// Types into the current field; what does not fit is not taken.
    pub fn add(&mut self, text: &str) {
        if let Some(input) = self.inputs.get_mut(self.current) {
            let typed: String = input
                .value
                .expose()
                .chars()
                .chain(text.chars().filter(|c| !c.is_control()))
                .take(input.limit)
                .collect();
            input.value = Secret::new(typed);
        }
    }

    /// Takes the last character of the current field away.
    pub fn delete(&mut self) {
        if let Some(input) = self.inputs.get_mut(self.current) {
            let mut typed = input.value.expose().to_owned();
            typed.pop();
            input.value = Secret::new(typed);
        }
    }

    /// Empties the current field.
    pub fn clear(&mut self) {
        if let Some(input) = self.inputs.get_mut(self.current) {
            input.value = Secret::new("");
        }
    }

    /// The same form, empty, with a complaint.
    pub fn again(&self, complaint: impl Into<String>) -> Form {
        let mut form = self.clone();
        form.inputs.iter_mut().for_each(|input| input.value = Secret::new(""));
        form.current = 0;
        form.complaint = Some(complaint.into());
        form
    }
}

/// The menus below *Settings*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Menu {
    /// Settings.
    Settings,
    /// Settings > Basic.
    Basic,
    /// Settings > Basic > Preferences.
    Preferences,
    /// Settings > Basic > Device Lock.
    DeviceLock,
    /// Settings > Features.
    Features,
    /// Settings > Features > Skype for Business.
    Service,
    /// Settings > Features > Skype for Business > User Credentials.
    Credentials,
    /// Settings > Advanced, behind the password.
    Advanced,
    /// Settings > Advanced > Administration Settings.
    Administration,
    /// … > Reset to Defaults.
    Reset,
    /// Settings > Status.
    Status,
}

/// How the phone's own web server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebMode {
    /// With TLS and without.
    Both,
    /// With TLS only.
    Secure,
    /// Without TLS only.
    Plain,
}

impl WebMode {
    /// As the menu has it.
    pub fn label(self) -> &'static str {
        match self {
            WebMode::Both => "HTTP/HTTPS",
            WebMode::Secure => "HTTPS Only",
            WebMode::Plain => "HTTP Only",
        }
    }

    /// The one behind it.
    pub fn next(self) -> WebMode {
        match self {
            WebMode::Both => WebMode::Secure,
            WebMode::Secure => WebMode::Plain,
            WebMode::Plain => WebMode::Both,
        }
    }
}

/// Why a new lock code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockReason {
    /// A sign-in ends with it.
    SignIn,
    /// It is changed later.
    Change,
}

/// Where a person stands.
#[derive(Clone, Debug)]
pub enum View {
    /// Home, signed in or not.
    Home,
    /// The choice of how to sign in.
    Chooser,
    /// Signing in from a PC.
    ViaPc,
    /// Address, user, password, domain.
    UserId(Form),
    /// A code for the browser.
    WebCode,
    /// The code was not used in time.
    WebCodeExpired,
    /// The phone works on it.
    SigningIn,
    /// It came to nothing.
    SignInFailed(String),
    /// The new lock code, first time.
    NewLockCode(Form, LockReason, Time),
    /// The new lock code, second time; the first is held beside.
    ConfirmLockCode(Form, LockReason, Time, Secret),
    /// The code is being kept.
    KeepingLockCode(LockReason),
    /// How to change it later; passes by itself.
    LockCodeNote(Time),
    /// The optional step behind a sign-in.
    AfterSignIn,
    /// Locked.
    Locked,
    /// Unlocking.
    Unlock(Form),
    /// A menu.
    Menu(Menu),
    /// The password in front of the advanced settings.
    AdvancedPassword(Form),
    /// Old code, new code, new code again.
    ChangeLockCode(Form),
    /// Common-area phone on or off, administrator mode on or off; not saved yet.
    CommonArea {
        /// Common-area phone.
        is_on: bool,
        /// Its administrator mode.
        is_admin: bool,
    },
    /// The phone's own web server; not saved yet.
    WebServer {
        /// Whether it listens.
        is_on: bool,
        /// How.
        mode: WebMode,
    },
    /// The user's own state.
    MyStatus,
    /// Contacts.
    Contacts,
    /// A number is being dialled.
    Dialing(Form),
    /// Whom a call is to be transferred to.
    TransferTo(Form, CallRef),
    /// Something to read, with OK.
    Message(&'static str, String),
}

impl View {
    /// The fields on it, if any.
    pub fn form(&self) -> Option<&Form> {
        match self {
            View::UserId(form)
            | View::NewLockCode(form, ..)
            | View::ConfirmLockCode(form, ..)
            | View::Unlock(form)
            | View::AdvancedPassword(form)
            | View::ChangeLockCode(form)
            | View::Dialing(form)
            | View::TransferTo(form, _) => Some(form),
            _ => None,
        }
    }

    /// The fields on it, to type into.
    pub fn form_mut(&mut self) -> Option<&mut Form> {
        match self {
            View::UserId(form)
            | View::NewLockCode(form, ..)
            | View::ConfirmLockCode(form, ..)
            | View::Unlock(form)
            | View::AdvancedPassword(form)
            | View::ChangeLockCode(form)
            | View::Dialing(form)
            | View::TransferTo(form, _) => Some(form),
            _ => None,
        }
    }

    /// When it passes by itself.
    pub fn until(&self) -> Option<Time> {
        match self {
            View::NewLockCode(_, _, until)
            | View::ConfirmLockCode(_, _, until, _)
            | View::LockCodeNote(until) => Some(*until),
            _ => None,
        }
    }
}
