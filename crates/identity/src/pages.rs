//! The pages: HTML that works without script, by keyboard and by ear, at any width.
//!
//! Each page is one template in `templates/`; all share the frame in `base.html` and the one style sheet.
//! `data-page` on the body says which page it is and `data-error` which error it shows.

use askama::Template;

use crate::sessions::Guard;

/// The style sheet of every page.
pub(crate) const STYLE: &str = include_str!("../templates/style.css");
/// The icon of every page.
pub(crate) const ICON: &str = include_str!("../templates/icon.svg");

/// An error that a page shows beside its form.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// The number, or a word where the copied service has no number.
    pub(crate) code: String,
    pub(crate) text: String,
}

/// What all pages share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    pub(crate) error: Option<Shown>,
    pub(crate) guard: Guard,
    pub(crate) tenant: String,
    /// The tenant's main domain.
    pub(crate) domain: String,
    /// Whoever is signed in, on pages of the portal.
    pub(crate) visitor: String,
}

impl Frame {
    fn canary(&self) -> &str {
        self.guard.canary.expose()
    }

    fn flow_token(&self) -> &str {
        self.guard.flow_token.expose()
    }

    /// The error's code, or nothing.
    fn code(&self) -> &str {
        self.error.as_ref().map_or("", |error| &error.code)
    }
}

/// The device that a sign-in is for.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) application: String,
    pub(crate) user_code: String,
    pub(crate) address: String,
    pub(crate) asked: String,
}

/// An account to pick.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    pub(crate) oid: String,
    pub(crate) upn: String,
    pub(crate) name: String,
}

impl Tile {
    /// The letter in the circle.
    fn letter(&self) -> String {
        self.name.chars().next().unwrap_or('?').to_uppercase().collect()
    }
}

/// An account in the portal's list.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) tile: Tile,
    pub(crate) kind: &'static str,
    /// Why it cannot be provisioned, in words; empty if it can.
    pub(crate) obstacle: &'static str,
}

/// Declares a page: its template, its id and what it shows.
macro_rules! page {
    ($(#[$doc:meta])* $name:ident, $file:literal, $id:literal { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Template)]
        #[template(path = $file)]
        pub(crate) struct $name {
            pub(crate) frame: Frame,
            $(pub(crate) $field: $type,)*
        }

        impl $name {
            pub(crate) const ID: &'static str = $id;

            /// Templates reach constants through methods.
            fn id(&self) -> &'static str {
                Self::ID
            }
        }
    };
}

page!(/// Type the code.
    EnterCode, "enter_code.html", "enter-code" { typed: String });
page!(/// Is this the application?
    ConfirmApp, "confirm_app.html", "confirm-app" { device: Device });
page!(/// Which account?
    PickAccount, "pick_account.html", "pick-account" { device: Option<Device>, tiles: Vec<Tile> });
page!(/// Who?
    Username, "username.html", "username" { device: Option<Device>, upn: String });
page!(/// The password.
    Password, "password.html", "password" { device: Option<Device>, upn: String });
page!(/// A new password.
    NewPassword, "new_password.html", "new-password" { upn: String });
page!(/// The password was changed.
    PasswordChanged, "password_changed.html", "password-changed" { upn: String });
page!(/// The six digits.
    SecondFactor, "second_factor.html", "second-factor" { upn: String });
page!(/// Keep the session?
    StaySignedIn, "stay_signed_in.html", "stay-signed-in" { upn: String });
page!(/// The last question before a device is signed in.
    ConfirmSignIn, "confirm_sign_in.html", "confirm-sign-in" { device: Device, upn: String });
page!(/// Done.
    Finished, "finished.html", "finished" { application: String, upn: String });
page!(/// Declined.
    Cancelled, "cancelled.html", "cancelled" { application: String });
page!(/// It ends here.
    Failed, "error.html", "error" { title: String, advice: String, trace: String, correlation: String,
        stamp: String, again: &'static str });
page!(/// The portal's search.
    PortalHome, "portal_home.html", "portal-home" { name: String, common_only: bool });
page!(/// What the search found.
    PortalSearch, "portal_search.html", "portal-search" { name: String, common_only: bool, found: Vec<Found>,
        has_more: bool });
page!(/// The phone's code for the account chosen.
    PortalProvision, "portal_provision.html", "portal-provision" { account: Tile, typed: String });
page!(/// The phone has its account.
    PortalDone, "portal_done.html", "portal-done" { account: Tile, application: String });

/// Any page.
#[derive(Clone, Debug)]
pub(crate) enum View {
    EnterCode(EnterCode),
    ConfirmApp(ConfirmApp),
    PickAccount(PickAccount),
    Username(Username),
    Password(Password),
    NewPassword(NewPassword),
    PasswordChanged(PasswordChanged),
    SecondFactor(SecondFactor),
    StaySignedIn(StaySignedIn),
    ConfirmSignIn(ConfirmSignIn),
    Finished(Finished),
    Cancelled(Cancelled),
    Failed(Failed),
    PortalHome(PortalHome),
    PortalSearch(PortalSearch),
    PortalProvision(PortalProvision),
    PortalDone(PortalDone),
}

macro_rules! views {
    ($($name:ident),+) => {
        impl View {
            pub(crate) fn frame(&mut self) -> &mut Frame {
                match self { $(View::$name(page) => &mut page.frame),+ }
            }

            pub(crate) fn id(&self) -> &'static str {
                match self { $(View::$name(_) => $name::ID),+ }
            }

            pub(crate) fn html(&self) -> String {
                match self { $(View::$name(page) => page.render()),+ }
                    .expect("templates of plain text always render")
            }
        }
    };
}

views!(
    EnterCode,
    ConfirmApp,
    PickAccount,
    Username,
    Password,
    NewPassword,
    PasswordChanged,
    SecondFactor,
    StaySignedIn,
    ConfirmSignIn,
    Finished,
    Cancelled,
    Failed,
    PortalHome,
    PortalSearch,
    PortalProvision,
    PortalDone
);
