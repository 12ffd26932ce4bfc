//! A person at a computer: a browser that walks the same pages a human sees.
//!
//! The person knows their account, password and second factor, and has a computer of their own on the network: it
//! asks DNS, opens TLS with its own clock and trust, keeps cookies, follows redirects, reads HTML and fills in
//! forms. Nothing here knows the identity service but by its pages.

mod browser;
mod page;

use std::net::IpAddr;
use std::time::Duration;

use net::tls::Trust;
use net::{Input, Node, Note, Outbox, Random, Time, WallClock};
use totp_rs::{Builder, Totp};

pub use self::browser::BrowseError;
pub use self::page::{Form, Page};

use self::browser::{Browser, Loaded};

/// How many pages a sign-in may take before the person gives up: far more than any real one has.
const SIGN_IN_PAGES_MAX: u32 = 20;

/// What a person is made of.
#[derive(Debug)]
pub struct PersonSetup {
    /// What the story calls them.
    pub name: String,
    /// The address of their computer.
    pub address: IpAddr,
    /// Whom their computer asks for names.
    pub dns: IpAddr,
    /// Whom their browser trusts.
    pub trust: Trust,
    /// Their computer's clock.
    pub clock: WallClock,
    /// Their computer's chance.
    pub random: Random,
    /// The account that they use.
    pub account: String,
    /// Its password.
    pub password: String,
    /// The seed of their second factor (RFC 6238), if they have one.
    pub second_factor: Option<Vec<u8>>,
}

/// What a person types where the page asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What is right.
    Right,
    /// Something that looks right and is not.
    Wrong,
    /// This.
    Text(String),
    /// Nothing: they stop at this page.
    Stop,
}

/// How a person goes through the pages of a sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInScript {
    /// Another account than their own.
    pub account: Option<String>,
    /// What they type as password.
    pub password: Answer,
    /// What they type as second factor.
    pub second_factor: Answer,
    /// Whether they want to stay signed in.
    pub stays_signed_in: bool,
}

/// Why a person cannot do what the story wants of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PersonError {
    /// There is no page.
    #[error("no page is open")]
    NoPage,
    /// The page has no such button.
    #[error("the page `{page}` has no button `{wanted}`; it has: {known}")]
    NoButton {
        /// The page's id.
        page: String,
        /// What was wanted.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// The page has no such field.
    #[error("the page `{page}` has no field `{wanted}`; it has: {known}")]
    NoField {
        /// The page's id.
        page: String,
        /// What was wanted.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// The page has nothing to fill in.
    #[error("the page `{page}` has no form")]
    NoForm {
        /// The page's id.
        page: String,
    },
    /// The address is no address.
    #[error("`{0}` is not an address that a browser can open")]
    BadAddress(String),
    /// They have no second factor.
    #[error("{0} has no second factor to answer with")]
    NoSecondFactor(String),
}

/// A person with a computer.
#[derive(Debug)]
pub struct Person {
    name: String,
    clock: WallClock,
    account: String,
    password: String,
    second_factor: Option<Totp>,
    browser: Browser,
    page: Option<Page>,
    script: Option<(SignInScript, u32)>,
}

impl Person {
    /// A person who has not opened anything yet.
    pub fn new(setup: PersonSetup) -> Person {
        let second_factor = setup.second_factor.map(totp);
        Person {
            browser: Browser::new(setup.address, setup.dns, setup.trust, setup.random),
            name: setup.name,
            clock: setup.clock,
            account: setup.account,
            password: setup.password,
            second_factor,
            page: None,
            script: None,
        }
    }

    /// The page in front of them.
    pub fn page(&self) -> Option<&Page> {
        self.page.as_ref()
    }

    /// Why the last page did not open, if it did not.
    pub fn trouble(&self) -> Option<&BrowseError> {
        self.browser.trouble()
    }

    /// Whether a page is loading or a sign-in is under way.
    pub fn is_busy(&self) -> bool {
        self.browser.is_loading() || self.script.is_some()
    }

    /// The account that they use.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Their computer's clock, to be changed.
    pub fn clock_mut(&mut self) -> &mut WallClock {
        &mut self.clock
    }

    /// From now on they know this password.
    pub fn learn_password(&mut self, password: &str) {
        self.password = password.to_owned();
    }

    /// Somebody else sits down: from now on it is their account, password and second factor (RFC 6238).
    pub fn become_owner(&mut self, account: String, password: String, second_factor: Option<Vec<u8>>) {
        self.account = account;
        self.password = password;
        self.second_factor = second_factor.map(totp);
    }

    /// The six digits that their second factor shows at `now`.
    pub fn second_factor_code(&self, now: Time) -> Option<String> {
        let seconds = u64::try_from(self.clock.read(now).unix_secs()).unwrap_or(0);
        self.second_factor.as_ref().map(|totp| totp.generate(seconds).to_string())
    }

    /// Opens an address.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn browse(&mut self, address: &str, now: Time, out: &mut Outbox) -> Result<(), PersonError> {
        let with_scheme =
            if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
        let url = url::Url::parse(&with_scheme)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| PersonError::BadAddress(address.to_owned()))?;
        self.script = None;
        self.browser.open(url, self.clock, now, out);
        Ok(())
    }

    /// Fills in fields of the page's first form and sends it by its first button. An empty name means the
    /// first field that a person can type into.
    ///
    /// # Errors
    ///
    /// If there is no page, no form or no such field.
    pub fn submit(
        &mut self,
        fields: &[(String, String)],
        now: Time,
        out: &mut Outbox,
    ) -> Result<(), PersonError> {
        let page = self.page.as_ref().ok_or(PersonError::NoPage)?;
        let mut form =
            page.main_form().cloned().ok_or_else(|| PersonError::NoForm { page: page.id.clone() })?;
        for (name, value) in fields {
            form.fill(name, value).map_err(|known| PersonError::NoField {
                page: page.id.clone(),
                wanted: name.clone(),
                known,
            })?;
        }
        let body = form.body_for(None);
        self.send(&form, body, now, out);
        Ok(())
    }

    /// Presses a button of the page, or follows a link that reads so.
    ///
    /// # Errors
    ///
    /// If there is no page or no such button.
    pub fn click(&mut self, label: &str, now: Time, out: &mut Outbox) -> Result<(), PersonError> {
        let page = self.page.as_ref().ok_or(PersonError::NoPage)?;
        if let Some((form, button)) = page.button(label) {
            let (form, body) = (form.clone(), form.body_for(Some(button)));
            self.send(&form, body, now, out);
            return Ok(());
        }
        if let Some(target) = page.link(label) {
            self.browser.open(target, self.clock, now, out);
            return Ok(());
        }
        Err(PersonError::NoButton {
            page: page.id.clone(),
            wanted: label.to_owned(),
            known: page.offers().join(", "),
        })
    }

    /// Goes through the pages of a sign-in, one after the other as they come, and stops at the first page
    /// that is none of them or says that something was wrong.
    ///
    /// # Errors
    ///
    /// If there is no page, or the second factor is wanted of somebody who has none.
    pub fn sign_in(&mut self, script: SignInScript, now: Time, out: &mut Outbox) -> Result<(), PersonError> {
        if self.page.is_none() && !self.browser.is_loading() {
            return Err(PersonError::NoPage);
        }
        if script.second_factor == Answer::Wrong && self.second_factor.is_none() {
            return Err(PersonError::NoSecondFactor(self.name.clone()));
        }
        self.script = Some((script, SIGN_IN_PAGES_MAX));
        if !self.browser.is_loading() {
            self.go_on(now, out);
        }
        Ok(())
    }

    /// Closes the browser: no page, no cookies, no connections.
    pub fn close_browser(&mut self, out: &mut Outbox) {
        self.browser.close(out);
        self.page = None;
        self.script = None;
    }

    fn send(&mut self, form: &Form, body: String, now: Time, out: &mut Outbox) {
        if form.is_post {
            self.browser.post(form.action.clone(), body, self.clock, now, out);
        } else {
            let mut target = form.action.clone();
            target.set_query(Some(&body));
            self.browser.open(target, self.clock, now, out);
        }
    }

    /// Does what the sign-in wants of them on the page at hand.
    fn go_on(&mut self, now: Time, out: &mut Outbox) {
        let Some((script, left)) = self.script.take() else { return };
        let Some(page) = &self.page else { return };
        // A warning on the page they start from is what they answer; one that comes later stops them.
        let is_first = left == SIGN_IN_PAGES_MAX;
        if (page.alert.is_some() && !is_first) || left == 0 {
            return;
        }
        let typed = |field: &str, text: String| vec![(field.to_owned(), text)];
        let done = match page.id.as_str() {
            "pick-account" => {
                let account = script.account.clone().unwrap_or_else(|| self.account.clone());
                let offers = page.offers();
                let tile = offers.iter().find(|label| label.contains(&account));
                let other = offers.iter().find(|label| label.to_lowercase().contains("another account"));
                match tile.or(other).cloned() {
                    Some(label) => self.click(&label, now, out),
                    None => return,
                }
            }
            "username" => {
                let account = script.account.clone().unwrap_or_else(|| self.account.clone());
                self.submit(&typed("", account), now, out)
            }
            "password" => {
                let text = match &script.password {
                    Answer::Right => self.password.clone(),
                    Answer::Wrong => format!("{}-not", self.password),
                    Answer::Text(text) => text.clone(),
                    Answer::Stop => return,
                };
                self.submit(&typed("", text), now, out)
            }
            "second-factor" => {
                let code = self.second_factor_code(now);
                let text = match (&script.second_factor, code) {
                    (Answer::Right, Some(code)) => code,
                    (Answer::Wrong, Some(code)) => other_digits(&code),
                    (Answer::Text(text), _) => text.clone(),
                    (Answer::Stop, _) | (_, None) => return,
                };
                self.submit(&typed("", text), now, out)
            }
            "stay-signed-in" => {
                let wanted = if script.stays_signed_in { "Yes" } else { "No" };
                self.click(wanted, now, out)
            }
            "confirm-sign-in" => self.click("Continue", now, out),
            _ => return,
        };
        if done.is_ok() {
            self.script = Some((script, left - 1));
        }
    }
}

/// The second factor with that secret, with the parameters that every authenticator application uses.
fn totp(secret: Vec<u8>) -> Totp {
    Builder::new().with_secret(secret).with_skew(0).build_noncompliant()
}

/// Six digits that differ from the right ones in every place.
fn other_digits(code: &str) -> String {
    code.chars().map(|c| char::from(b'0' + (c as u8).wrapping_sub(b'0').wrapping_add(5) % 10)).collect()
}

impl Node for Person {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match &input {
            Input::PowerOn(_) => self.browser.power_on(out),
            Input::PowerOff => {
                self.page = None;
                self.script = None;
            }
            _ => {}
        }
        match self.browser.handle(now, input, out) {
            None => {}
            Some(Loaded::Page(page)) => {
                out.note(Note::Screen { id: page.id.clone(), text: page.text.clone() });
                self.page = Some(*page);
                self.go_on(now, out);
            }
            Some(Loaded::Failed) => {
                self.page = None;
                self.script = None;
            }
        }
    }

    fn wake_at(&self) -> Option<Time> {
        self.browser.wake_at()
    }
}

/// How long a browser waits for a page before it says that the server does not answer.
pub(crate) const PAGE_PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_code_is_wrong_in_every_place_and_still_six_digits() {
        let wrong = other_digits("049582");
        assert_eq!(wrong, "594037");
    }
}
