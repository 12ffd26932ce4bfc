//! Signing in and out over the web interface: forms, and the words that tools poll for.

use std::time::Duration;

use bytes::Bytes;
use net::http::Response;
use serde_json::json;

use super::WebServer;
use super::access::Rules;
use super::answer::{json, text, xml};
use super::form::Form;
use super::markup::document;
use crate::phone::PhoneState;
use crate::phone::serving::Desk;
use crate::sign_in::Method;
use crate::sign_in::tokens::Secret;

/// How long the words for leaving a state show. A guess: real phones take a second or two.
const PASSING: Duration = Duration::from_secs(2);

/// Where the phone stands with its service, in the one word that `lyncSignInStatus` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Nobody is signed in.
    Unregistered,
    /// Somebody is being signed in, or the phone comes back by itself.
    SigningIn,
    /// Somebody is signed in.
    SignedIn,
    /// Somebody was just signed out.
    SigningOut,
    /// A sign-in was just given up.
    CancellingSignIn,
    /// The credentials that are kept are of no use any more.
    PassChanged,
}

impl Word {
    /// As it is said.
    pub fn spelled(self) -> &'static str {
        match self {
            Word::Unregistered => "UNREGISTERED",
            Word::SigningIn => "SIGNING_IN",
            Word::SignedIn => "SIGNED_IN",
            Word::SigningOut => "SIGNING_OUT",
            Word::CancellingSignIn => "CANCELLING_SIGNIN",
            Word::PassChanged => "PASS_CHANGED",
        }
    }
}

/// The word of this moment. A phone that is registered and waits for a new lock code counts as signed in (a guess).
pub fn word(web: &WebServer, desk: &Desk<'_>) -> Word {
    let passing = web.pending.passing.as_ref().filter(|(until, _)| desk.now() < *until);
    match (desk.state(), passing) {
        (PhoneState::Off | PhoneState::Booting | PhoneState::SignedOut, Some((_, word))) => *word,
        (PhoneState::Off | PhoneState::Booting | PhoneState::SignedOut, None) => Word::Unregistered,
        (PhoneState::SigningIn, _) if desk.waits_for_lock_code() => Word::SignedIn,
        (PhoneState::SigningIn, _) => Word::SigningIn,
        (PhoneState::SignedIn | PhoneState::Locked, _) => Word::SignedIn,
        (PhoneState::RegistrationLost, _) if desk.are_credentials_bad() => Word::PassChanged,
        // No line of the generic profile is signed in to this service.
        (PhoneState::Registered | PhoneState::Unregistered, _) => Word::Unregistered,
        (PhoneState::RegistrationLost, _) => Word::SigningIn,
    }
}

/// `POST /form-submit/Settings/lyncSignIn`: nothing if it is accepted, else a word.
pub fn sign_in(web: &mut WebServer, form: &Form, desk: &mut Desk<'_>) -> Response<Bytes> {
    if !matches!(desk.state(), PhoneState::SignedOut) {
        return text("ALREADY_SIGNED_IN");
    }
    web.pending.passing = None;
    match form.text("authType") {
        "2" => {
            let typed = Typed {
                address: form.text("address"),
                user: form.get("username").unwrap_or_else(|| form.text("user")),
                password: form.text("password"),
                domain: form.text("domain"),
            };
            match typed.sign_in(desk) {
                Ok(()) => text(""),
                Err(_) => text("INVALID_INPUT"),
            }
        }
        // The phone cannot show its extension and PIN to anybody yet.
        "3" => text("PIN_AUTH_NOT_SUPPORTED"),
        _ => text("INVALID_INPUT"),
    }
}

/// What somebody typed to sign in with a password.
#[derive(Clone, Copy)]
pub struct Typed<'a> {
    /// The sign-in address.
    pub address: &'a str,
    /// The user name; may be empty, or of the domain.
    pub user: &'a str,
    /// The password.
    pub password: &'a str,
    /// The domain; may be empty.
    pub domain: &'a str,
}

impl Typed<'_> {
    /// Signs in with it, as the form on the display would.
    ///
    /// # Errors
    ///
    /// In words, if what was typed can be nobody's.
    pub fn sign_in(&self, desk: &mut Desk<'_>) -> Result<(), String> {
        let (address, user, domain) = (self.address.trim(), self.user.trim(), self.domain.trim());
        let user = match (user.is_empty(), domain.is_empty()) {
            (true, true) => address.to_owned(),
            (false, true) => user.to_owned(),
            (_, false) => format!("{domain}\\{user}"),
        };
        desk.sign_in_by_password(address, user, Secret::new(self.password))
    }
}

/// `POST /form-submit/Settings/lyncSignOut`.
pub fn sign_out(web: &mut WebServer, desk: &mut Desk<'_>) -> Response<Bytes> {
    if desk.sign_out() {
        web.pending.passing = Some((desk.now() + PASSING, Word::SigningOut));
    }
    text("SIGNING_OUT")
}

/// `POST /form-submit/Settings/lyncCancelSignIn`: nothing, whether there was something to cancel or not.
pub fn cancel_sign_in(web: &mut WebServer, desk: &mut Desk<'_>) -> Response<Bytes> {
    if desk.cancel_sign_in() {
        web.pending.passing = Some((desk.now() + PASSING, Word::CancellingSignIn));
    }
    text("")
}

/// `GET /Settings/lyncCachedCredentials`: who is signed in, without any secret. Everything is text, the flag too.
pub fn cached_credentials(desk: &Desk<'_>) -> Response<Bytes> {
    let address = desk.account().unwrap_or_default();
    let (user, domain) = address.split_once('@').unwrap_or_default();
    let user = if desk.method() == Some(Method::UserId) { address } else { user };
    let credentials = json!({
        "isUsingCfg": "false",
        "address": address,
        "domain": domain,
        "user": user,
        "extension": "",
    });
    json(net::http::StatusCode::OK, &credentials)
}

/// `GET /Utilities/LyncStatusXml`: how the parts of the service are. The values are the lab's own words; the names of
/// the elements are the device's.
pub fn status(desk: &Desk<'_>) -> Response<Bytes> {
    let is_in = matches!(desk.state(), PhoneState::SignedIn | PhoneState::Locked);
    let word = |is: bool| if is { "Active" } else { "Inactive" }.to_owned();
    let is_by_token = matches!(desk.method(), Some(Method::Web | Method::CommonArea));
    xml(document(
        "LYNC_STATUS_INFO",
        &[
            ("BOSS_ADMIN", word(false)),
            ("CCCP", word(false)),
            ("EWS", word(false)),
            ("MOH", word(false)),
            ("LYNC_PARAMETERS", word(is_in)),
            ("O365", word(is_in && is_by_token)),
            ("QOE", word(false)),
            ("BTOEPCPAIRING", "Not paired".to_owned()),
        ],
    ))
}

/// `POST /form-submit/Settings/ChangePassword`.
pub fn change_password(web: &mut WebServer, form: &Form, desk: &mut Desk<'_>) -> Response<Bytes> {
    let (old, new) = (form.text("oldadminpswd"), form.text("newadminpswd"));
    let is_good = Rules::of(desk.config()).is_admin_password(old)
        && new == form.text("cnfmadminpswd")
        && !new.is_empty()
        && new != old
        && new.chars().count() <= 32
        && new.chars().all(|c| c.is_ascii_graphic());
    if !is_good || desk.set("device.auth.localAdminPassword", Some(new)).is_err() {
        return text("CONF_NO_CHANGE");
    }
    web.access.close_all();
    desk.audit("the administrator's password was changed");
    text("CONF_CHANGE")
}
