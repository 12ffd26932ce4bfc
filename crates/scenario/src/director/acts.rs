//! Steps that act: hands on phones, people at browsers, the administration.

use std::time::Duration;

use net::{NodeId, World as _};

use super::{Director, Failure, PERSON_PATIENCE, Wait};
use crate::language::{Capture, LockCode, Party, Password, SecondFactor, Step, Verb};
use crate::mistakes::Place;
use crate::person::{Answer, SignInScript};

/// How long a phone stays dark when it restarts in good order.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

impl<'s> Director<'s> {
    pub(super) fn act_on_phone(&mut self, step: &'s Step) -> Result<Wait<'s>, Failure> {
        let place = step.place;
        match &step.verb {
            Verb::PowerOn(on) => {
                let who = self.phone_id(on.phone.as_str(), place)?;
                self.cast.sim.power_on(who);
            }
            Verb::Reboot(on) => {
                let who = self.phone_id(on.phone.as_str(), place)?;
                self.cast.sim.act(who, |actor, now, out| {
                    if let Some(phone) = actor.phone_mut() {
                        phone.shut_down(now, out);
                    }
                });
                // What the phone had handed to its flash is written before the lights go out.
                let on_at = self.cast.sim.now() + RESTART_PAUSE;
                while self.cast.sim.step(on_at) == net::Step::Happened {}
                self.cast.sim.power_off(who);
                return Ok(Wait::Restart { who, on_at: on_at + RESTART_PAUSE });
            }
            Verb::Press(press) => self.press(press.phone.as_str(), press.key.as_str(), place)?,
            Verb::Type(typed) => {
                let text = self.fill(&typed.text, place)?;
                self.type_text(typed.phone.as_str(), typed.field.as_deref(), &text, place)?;
            }
            Verb::SetLockCode(code) => self.set_lock_code(code, place)?,
            Verb::Unlock(code) => self.unlock(code, place)?,
            Verb::Configure(configure) => {
                let who = self.phone_id(configure.phone.as_str(), place)?;
                let mut parameters = Vec::new();
                for (name, value) in &configure.parameters {
                    parameters.push((name.clone(), self.fill(value, place)?));
                }
                self.cast.sim.act(who, |actor, now, out| {
                    if let Some(phone) = actor.phone_mut() {
                        phone.configure(&parameters, now, out);
                    }
                });
            }
            Verb::FactoryReset(on) => {
                let who = self.phone_id(on.phone.as_str(), place)?;
                self.cast.sim.act(who, |actor, now, out| {
                    if let Some(phone) = actor.phone_mut() {
                        phone.factory_reset(now, out);
                    }
                });
                let on_at = self.cast.sim.now() + RESTART_PAUSE;
                while self.cast.sim.step(on_at) == net::Step::Happened {}
                self.cast.sim.power_off(who);
                return Ok(Wait::Restart { who, on_at: on_at + RESTART_PAUSE });
            }
            _ => {}
        }
        Ok(Wait::Nothing)
    }

    fn phone_id(&self, name: &str, place: Place) -> Result<NodeId, Failure> {
        self.cast.node(name).ok_or_else(|| self.cannot(place, name, "there is no such phone"))
    }

    fn press(&mut self, name: &str, key: &str, place: Place) -> Result<(), Failure> {
        let who = self.phone_id(name, place)?;
        let pressed = self.cast.sim.act(who, |actor, now, out| {
            actor.phone_mut().map(|phone| phone.press(key, now, out).map_err(|why| why.to_string()))
        });
        match pressed {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(self.cannot(place, name, why)),
            None => Err(self.cannot(place, name, "is no phone")),
        }
    }

    fn type_text(&mut self, name: &str, field: Option<&str>, text: &str, place: Place) -> Result<(), Failure> {
        let who = self.phone_id(name, place)?;
        let typed = self.cast.sim.act(who, |actor, now, out| {
            let phone = actor.phone_mut()?;
            Some(phone.type_text(field, text, now, out).map_err(|why| why.to_string()))
        });
        match typed {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(self.cannot(place, name, why)),
            None => Err(self.cannot(place, name, "is no phone")),
        }
    }

    /// Types the code where the phone asks for a new one, and again where it asks to confirm.
    fn set_lock_code(&mut self, code: &LockCode, place: Place) -> Result<(), Failure> {
        let name = code.phone.as_str();
        let digits = self.fill(&code.digits, place)?;
        for screen in ["new-lock-code", "confirm-lock-code"] {
            self.wants_screen(name, screen, place)?;
            self.type_text(name, None, &digits, place)?;
            self.press_first(name, &["Submit", "Enter", "OK", "Select"], place)?;
        }
        Ok(())
    }

    fn unlock(&mut self, code: &LockCode, place: Place) -> Result<(), Failure> {
        let name = code.phone.as_str();
        let digits = self.fill(&code.digits, place)?;
        if self.cast.phone(name).is_some_and(|phone| phone.screen().id == "locked") {
            self.press(name, "Unlock", place)?;
        }
        self.wants_screen(name, "unlock", place)?;
        self.type_text(name, None, &digits, place)?;
        self.press_first(name, &["Submit", "Unlock", "Enter", "OK", "Select"], place)
    }

    fn wants_screen(&self, name: &str, wanted: &str, place: Place) -> Result<(), Failure> {
        let shown = self.cast.phone(name).map_or("off", |phone| phone.screen().id);
        if shown == wanted {
            return Ok(());
        }
        Err(self.cannot(place, name, format!("shows screen `{shown}`, not `{wanted}`")))
    }

    /// Presses the first of these keys that the screen offers.
    fn press_first(&mut self, name: &str, keys: &[&str], place: Place) -> Result<(), Failure> {
        let screen = self.cast.phone(name).map(|phone| phone.screen());
        let offered = |key: &&&str| screen.as_ref().is_some_and(|screen| screen.offers(key));
        let key = keys.iter().find(offered).unwrap_or(&keys[0]);
        self.press(name, key, place)
    }

    pub(super) fn capture(&mut self, capture: &Capture, place: Place) -> Result<(), Failure> {
        for (name, source) in &capture.0 {
            let fact = source.fact.as_str();
            let value = match &source.of {
                Party::Phone(phone) => self.cast.phone(phone.as_str()).and_then(|phone| match fact {
                    "user-code" => phone.user_code(),
                    "sign-in-page" => phone.sign_in_page(),
                    "account" => phone.account(),
                    "screen" => Some(phone.screen().id.to_owned()),
                    _ => None,
                }),
                Party::Person(person) => {
                    self.cast.person(person.as_str()).and_then(|person| match fact {
                        "page" => person.page().map(|page| page.id.clone()),
                        "address" => person.page().map(|page| page.url.to_string()),
                        "second-factor" => person.second_factor_code(self.cast.sim.now()),
                        _ => None,
                    })
                }
                Party::Service(_) | Party::Site(_) => None,
            };
            let Some(value) = value else {
                let subject = source.of.as_str().to_owned();
                return Err(self.cannot(place, &subject, format!("has no `{fact}` at the moment")));
            };
            self.captured.insert(name.clone(), value);
        }
        Ok(())
    }

    pub(super) fn act_as_person(&mut self, step: &'s Step) -> Result<Wait<'s>, Failure> {
        let place = step.place;
        match &step.verb {
            Verb::Browse(browse) => {
                let address = self.fill(&browse.to, place)?;
                self.with_person(browse.person.as_str(), place, |person, now, out| {
                    person.browse(&address, now, out)
                })
            }
            Verb::Submit(submit) => {
                let mut fields = Vec::new();
                if let Some(code) = &submit.code {
                    fields.push((String::new(), self.fill(code, place)?));
                }
                for (field, value) in &submit.fields {
                    fields.push((field.clone(), self.fill(value, place)?));
                }
                self.with_person(submit.person.as_str(), place, |person, now, out| {
                    person.submit(&fields, now, out)
                })
            }
            Verb::Click(click) => {
                let label = self.fill(&click.button, place)?;
                self.with_person(click.person.as_str(), place, |person, now, out| {
                    person.click(&label, now, out)
                })
            }
            Verb::SignIn(sign_in) => {
                let account = sign_in.account.as_ref().and_then(|name| self.cast.upn(name.as_str()));
                // The right password is that of the account that is used.
                let owner = sign_in.account.as_ref().unwrap_or(&sign_in.person);
                let password = match &sign_in.password {
                    Password::Right => match self.cast.password(owner.as_str()) {
                        Some(password) => Answer::Text(password),
                        None => return Err(self.cannot(place, owner.as_str(), "has no password that is known")),
                    },
                    Password::Wrong => Answer::Wrong,
                    Password::Text(text) => Answer::Text(self.fill(text, place)?),
                };
                let second_factor = match &sign_in.second_factor {
                    SecondFactor::Right => match self.cast.second_factor_code(owner.as_str()) {
                        Some(_) if owner == &sign_in.person => Answer::Right,
                        Some(code) => Answer::Text(code),
                        None => Answer::Stop,
                    },
                    SecondFactor::Wrong => Answer::Wrong,
                    SecondFactor::None => Answer::Stop,
                    SecondFactor::Text(text) => Answer::Text(self.fill(text, place)?),
                };
                let stays_signed_in = sign_in.stay_signed_in;
                let script = SignInScript { account, password, second_factor, stays_signed_in };
                self.with_person(sign_in.person.as_str(), place, |person, now, out| {
                    person.sign_in(script, now, out)
                })
            }
            Verb::CloseBrowser(close) => self.with_person(close.person.as_str(), place, |person, _, out| {
                person.close_browser(out);
                Ok(())
            }),
            Verb::Provision(provision) => {
                let code = self.fill(&provision.code, place)?;
                self.provision(provision.person.as_str(), provision.account.as_str(), &code, place)
            }
            _ => Ok(Wait::Nothing),
        }
    }

    fn with_person(
        &mut self,
        name: &str,
        place: Place,
        act: impl FnOnce(
            &mut crate::person::Person,
            net::Time,
            &mut net::Outbox,
        ) -> Result<(), crate::person::PersonError>,
    ) -> Result<Wait<'s>, Failure> {
        let Some(who) = self.cast.node(name) else {
            return Err(self.cannot(place, name, "there is no such person"));
        };
        let done = self.cast.sim.act(who, |actor, now, out| {
            actor.person_mut().map(|person| act(person, now, out).map_err(|why| why.to_string()))
        });
        match done {
            Some(Ok(())) => {
                let until = self.cast.sim.now() + PERSON_PATIENCE;
                Ok(Wait::Person { who, until })
            }
            Some(Err(why)) => Err(self.cannot(place, name, why)),
            None => Err(self.cannot(place, name, "is no person")),
        }
    }

    /// The portal, page by page, as an administrator walks it.
    fn provision(&mut self, person: &str, account: &str, code: &str, place: Place) -> Result<Wait<'s>, Failure> {
        let upn = self.cast.upn(account).unwrap_or_else(|| account.to_owned());
        let portal = self.cast.portal_address();
        let browse = self.with_person(person, place, |p, now, out| p.browse(&portal, now, out))?;
        self.sit_out(browse);
        if self.page_of(person) != "portal-search" && self.page_of(person) != "portal-home" {
            let script = SignInScript {
                account: None,
                password: Answer::Right,
                second_factor: Answer::Right,
                stays_signed_in: false,
            };
            let wait = self.with_person(person, place, |p, now, out| p.sign_in(script, now, out))?;
            self.sit_out(wait);
        }
        let search = self.cast.search_words(account);
        let fields = [("search".to_owned(), search), ("common_area_only".to_owned(), "no".to_owned())];
        let known: Vec<(String, String)> = fields
            .into_iter()
            .filter(|(name, _)| self.page_has_field(person, name))
            .collect();
        let wait = self.with_person(person, place, |p, now, out| p.submit(&known, now, out))?;
        self.sit_out(wait);
        let choose = format!("Provision {upn}");
        let wait = self.with_person(person, place, |p, now, out| p.click(&choose, now, out))?;
        self.sit_out(wait);
        let fields = [(String::new(), code.to_owned())];
        self.with_person(person, place, |p, now, out| p.submit(&fields, now, out))
    }

    fn page_of(&self, person: &str) -> String {
        let page = self.cast.person(person).and_then(|person| person.page());
        page.map_or_else(String::new, |page| page.id.clone())
    }

    fn page_has_field(&self, person: &str, field: &str) -> bool {
        let page = self.cast.person(person).and_then(|person| person.page());
        page.and_then(|page| page.main_form()).is_some_and(|form| form.clone().fill(field, "no").is_ok())
    }

    /// Lets the lab run until a person's pages are there: for steps that walk through several.
    fn sit_out(&mut self, wait: Wait<'s>) {
        let Wait::Person { who, until } = wait else { return };
        while self.cast.sim.now() < until
            && self.cast.sim.look(who).person().is_some_and(|person| person.is_busy())
        {
            let _: net::Step = self.cast.sim.step(until);
        }
    }

    pub(super) fn administer(&mut self, step: &'s Step) -> Result<Wait<'s>, Failure> {
        let place = step.place;
        match &step.verb {
            Verb::ChangePassword(change) => {
                let password = self.fill(&change.to, place)?;
                self.cast.change_password(change.account.as_str(), &password);
            }
            Verb::Disable(of) => self.cast.set_enabled(of.account.as_str(), false),
            Verb::Enable(of) => self.cast.set_enabled(of.account.as_str(), true),
            Verb::RevokeSessions(of) => self.cast.revoke_sessions(of.account.as_str()),
            Verb::RevokeCertificate(of) => self.cast.revoke_certificates(of.account.as_str()),
            Verb::SetPolicy(policy) => self.cast.set_policy(policy),
            Verb::MoveUser(to) => {
                if let Err(why) = self.cast.move_user(to.account.as_str(), to.to.as_str()) {
                    return Err(self.cannot(place, to.account.as_str(), why));
                }
            }
            _ => {}
        }
        Ok(Wait::Nothing)
    }
}
