//! Steps that act: hands on phones, people at browsers, the administration.

use std::time::Duration;

use net::{NodeId, World};

use super::{Director, Failure, PERSON_PATIENCE, Wait};
use crate::actor::Actor;
use crate::language::{Capture, LockCode, Party, Password, SecondFactor, Step, Verb};
use crate::mistakes::Place;
use crate::person::{Answer, SignInScript};

/// Screens that pass by themselves.
const PASSING: &[&str] = &["keeping-lock-code", "lock-code-note"];

/// How long a person sits such a screen out.
const NOTE_PATIENCE: Duration = Duration::from_secs(60);

impl<W: World<Actor>> Director<W> {
    pub(super) fn act_on_phone(&mut self, step: &Step) -> Result<Wait, Failure> {
        let place = step.place;
        match &step.verb {
            Verb::PowerOn(on) => {
                let who = self.phone_id(on.phone.as_str(), place)?;
                self.cast.world.power_on(who);
            }
            Verb::Reboot(on) => {
                let who = self.phone_id(on.phone.as_str(), place)?;
                self.cast.world.act(who, |actor, now, out| {
                    if let Some(phone) = actor.phone_mut() {
                        phone.restart(now, out);
                    }
                });
            }
            Verb::Press(press) => {
                let offers =
                    self.cast.screen(press.phone.as_str()).is_some_and(|s| s.offers(press.key.as_str()));
                if !offers && self.passes_by_itself(press.phone.as_str()) {
                    return Ok(Wait::Key {
                        press: press.clone(),
                        place,
                        until: self.cast.world.now() + NOTE_PATIENCE,
                    });
                }
                self.press(press.phone.as_str(), press.key.as_str(), place)?;
            }
            Verb::Type(typed) => {
                let text = self.fill(&typed.text, place)?;
                self.type_text(
                    typed.phone.as_str(),
                    typed.field.as_ref().map(|field| field.as_str()),
                    &text,
                    place,
                )?;
            }
            Verb::SetLockCode(code) => self.set_lock_code(code, place)?,
            Verb::Unlock(code) => self.unlock(code, place)?,
            Verb::Configure(configure) => {
                let who = self.phone_id(configure.phone.as_str(), place)?;
                let mut parameters = Vec::new();
                for (name, value) in &configure.parameters {
                    parameters.push((name.clone(), self.fill(value, place)?));
                }
                self.on_phone(who, configure.phone.as_str(), place, |phone, now, out| {
                    phone.configure(&parameters, now, out).map_err(|why| why.to_string())
                })?;
            }
            Verb::FactoryReset(on) => {
                let who = self.phone_id(on.phone.as_str(), place)?;
                self.cast.world.act(who, |actor, now, out| {
                    if let Some(phone) = actor.phone_mut() {
                        phone.factory_reset(now, out);
                    }
                });
            }
            Verb::Screenshot(shot) => {
                let name = self.fill(&shot.to, place)?;
                self.cast.picture_taken(shot.phone.as_str(), &name);
            }
            _ => {}
        }
        Ok(Wait::Nothing)
    }

    pub(super) fn phone_id(&self, name: &str, place: Place) -> Result<NodeId, Failure> {
        self.cast.node(name).ok_or_else(|| self.cannot(place, name, "there is no such phone"))
    }

    /// Does something to a phone; what the phone says against it fails the step.
    pub(super) fn on_phone(
        &mut self,
        who: NodeId,
        name: &str,
        place: Place,
        act: impl FnOnce(&mut vvx::phone::Phone, net::Time, &mut net::Outbox) -> Result<(), String>,
    ) -> Result<(), Failure> {
        let done = self.cast.world.act(who, |actor, now, out| match actor.phone_mut() {
            Some(phone) => act(phone, now, out),
            None => Err("is no phone".to_owned()),
        });
        done.map_err(|why| self.cannot(place, name, why))
    }

    /// Whether a phone shows something that a person sits out: it goes away without a key.
    pub(super) fn passes_by_itself(&self, name: &str) -> bool {
        self.cast.screen(name).is_some_and(|screen| PASSING.contains(&screen.id))
    }

    pub(super) fn press(&mut self, name: &str, key: &str, place: Place) -> Result<(), Failure> {
        let who = self.phone_id(name, place)?;
        self.on_phone(who, name, place, |phone, now, out| {
            phone.press(key, now, out).map_err(|why| why.to_string())
        })
    }

    fn type_text(
        &mut self,
        name: &str,
        field: Option<&str>,
        text: &str,
        place: Place,
    ) -> Result<(), Failure> {
        let who = self.phone_id(name, place)?;
        self.on_phone(who, name, place, |phone, now, out| {
            phone.type_text(field, text, now, out).map_err(|why| why.to_string())
        })
    }

    fn set_lock_code(&mut self, code: &LockCode, place: Place) -> Result<(), Failure> {
        let digits = self.fill(&code.digits, place)?;
        let name = code.phone.as_str();
        let who = self.phone_id(name, place)?;
        self.on_phone(who, name, place, |phone, now, out| {
            phone.set_lock_code(&digits, now, out).map_err(|why| why.to_string())
        })
    }

    fn unlock(&mut self, code: &LockCode, place: Place) -> Result<(), Failure> {
        let digits = self.fill(&code.digits, place)?;
        let name = code.phone.as_str();
        let who = self.phone_id(name, place)?;
        self.on_phone(who, name, place, |phone, now, out| {
            phone.unlock(&digits, now, out).map_err(|why| why.to_string())
        })
    }

    pub(super) fn capture(&mut self, capture: &Capture, place: Place) -> Result<(), Failure> {
        for (name, source) in &capture.0 {
            let fact = source.fact.as_str();
            let value = match &source.of {
                Party::Phone(phone) => self.cast.phone(phone.as_str()).and_then(|phone| match fact {
                    "user-code" => phone.user_code().map(str::to_owned),
                    "sign-in-page" => phone.sign_in_page().map(str::to_owned),
                    "account" => phone.account().map(str::to_owned),
                    "screen" => Some(phone.screen(self.cast.world.now()).id.to_owned()),
                    _ => None,
                }),
                Party::Person(person) => self.cast.person(person.as_str()).and_then(|person| match fact {
                    "page" => person.page().map(|page| page.id.clone()),
                    "address" => person.page().map(|page| page.url.to_string()),
                    "second-factor" => person.second_factor_code(self.cast.world.now()),
                    _ => None,
                }),
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

    pub(super) fn act_as_person(&mut self, step: &Step) -> Result<Wait, Failure> {
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
                        None => {
                            return Err(self.cannot(place, owner.as_str(), "has no password that is known"));
                        }
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
    ) -> Result<Wait, Failure> {
        let Some(who) = self.cast.node(name) else {
            return Err(self.cannot(place, name, "there is no such person"));
        };
        let done = self.cast.world.act(who, |actor, now, out| {
            actor.person_mut().map(|person| act(person, now, out).map_err(|why| why.to_string()))
        });
        match done {
            Some(Ok(())) => {
                let until = self.cast.world.now() + PERSON_PATIENCE;
                Ok(Wait::Person { who, until })
            }
            Some(Err(why)) => Err(self.cannot(place, name, why)),
            None => Err(self.cannot(place, name, "is no person")),
        }
    }

    /// The portal, page by page, as an administrator walks it.
    fn provision(&mut self, person: &str, account: &str, code: &str, place: Place) -> Result<Wait, Failure> {
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
        let choose = format!("Choose {search}");
        // The list may show common-area accounts only; an administrator who misses one looks at all.
        let fields = [("name".to_owned(), search), ("common".to_owned(), "no".to_owned())];
        let wait = self.with_person(person, place, |p, now, out| p.submit(&fields, now, out))?;
        self.sit_out(wait);
        let wait = self.with_person(person, place, |p, now, out| p.click(&choose, now, out))?;
        self.sit_out(wait);
        let fields = [(String::new(), code.to_owned())];
        self.with_person(person, place, |p, now, out| p.submit(&fields, now, out))
    }

    fn page_of(&self, person: &str) -> String {
        let page = self.cast.person(person).and_then(|person| person.page());
        page.map_or_else(String::new, |page| page.id.clone())
    }

    /// Lets the lab run until a person's pages are there: for steps that walk through several.
    fn sit_out(&mut self, wait: Wait) {
        let Wait::Person { who, until } = wait else { return };
        while self.cast.world.now() < until
            && self.cast.world.look(who).person().is_some_and(|person| person.is_busy())
        {
            let _: net::Step = self.cast.world.step(until);
        }
    }

    pub(super) fn administer(&mut self, step: &Step) -> Result<Wait, Failure> {
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
