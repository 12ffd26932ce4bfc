//! Somebody signs a phone of a fleet in by web code: the same keys and pages as in a story, without anybody telling it.

use std::time::Duration;

use net::{NodeId, World};
use vvx::phone::PhoneState;

use super::{Look, Member, look_at, on_phone};
use crate::actor::Actor;
use crate::cast::Cast;
use crate::person::{Answer, Person, PersonError, SignInScript};

/// How often phone and person are looked at while the one waits for the other.
const ROUND: Duration = Duration::from_millis(2);

/// How often the display is looked at while the phone works.
const DISPLAY_ROUND: Duration = Duration::from_millis(20);

/// The lock code that everybody takes.
const LOCK_CODE: &str = "135790246801357";

/// Where a sign-in stands.
#[derive(Debug)]
enum Stage {
    /// The phone fetches a code.
    Code,
    /// Somebody sits at a computer; the page that they wait for.
    Pages { seat: NodeId, then: Page },
    /// The person is done; the phone goes on by itself, but for the lock code.
    Phone,
}

/// A page that a person waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    EnterCode,
    ConfirmApp,
    Finished,
}

#[derive(Debug)]
pub(super) struct SignIn {
    phone: usize,
    stage: Stage,
}

impl SignIn {
    pub(super) fn begin<W: World<Actor>>(
        phone: usize,
        members: &[Member],
        cast: &mut Cast<W>,
    ) -> Result<SignIn, String> {
        on_phone(cast, members[phone].who, |phone, now, out| {
            // What an earlier failure left on the display is put away first.
            if phone.screen(now).id == "sign-in-failed" {
                phone.press("OK", now, out)?;
            }
            phone.press("Sign In", now, out)?;
            phone.press("Web Sign-in", now, out)
        })
        .map_err(|why| format!("step: key ({why})"))?;
        Ok(SignIn { phone, stage: Stage::Code })
    }

    pub(super) fn phone(&self) -> usize {
        self.phone
    }

    pub(super) fn look<W: World<Actor>>(&mut self, members: &[Member], cast: &mut Cast<W>) -> Look {
        let now = cast.world.now();
        let member = &members[self.phone];
        let looked = match &self.stage {
            Stage::Code => self.look_for_code(member, cast),
            Stage::Pages { seat, then } => {
                let (seat, then) = (*seat, *then);
                self.look_at_pages(member, seat, then, cast)
            }
            Stage::Phone => return look_at_phone(member, cast),
        };
        match looked {
            Ok(()) => Look::Later(now + ROUND),
            Err(why) => Look::Ended(Err(why)),
        }
    }

    fn look_for_code<W: World<Actor>>(&mut self, member: &Member, cast: &mut Cast<W>) -> Result<(), String> {
        let Some(phone) = look_at(cast, member.who) else { return Err("step: key".to_owned()) };
        let Some(page) = phone.user_code().and(phone.sign_in_page()).map(str::to_owned) else {
            return match phone.state() {
                PhoneState::SigningIn => Ok(()),
                _ => Err(failed_at("code", phone.screen(cast.world.now()).id)),
            };
        };
        let seat = cast.sit_down(&member.name).ok_or("generator: no seat")?;
        self.stage = Stage::Pages { seat, then: Page::EnterCode };
        with_person(cast, seat, |person, now, out| person.browse(&page, now, out))
    }

    fn look_at_pages<W: World<Actor>>(
        &mut self,
        member: &Member,
        seat: NodeId,
        then: Page,
        cast: &mut Cast<W>,
    ) -> Result<(), String> {
        let Some(person) = cast.world.look(seat).person() else {
            return Err("generator: no seat".to_owned());
        };
        if person.is_busy() {
            return Ok(());
        }
        let Some(page) = person.page() else {
            let why = person.trouble().map_or("no page", |_| "the browser could not open it");
            return Err(format!("step: page ({why})"));
        };
        let wanted = match then {
            Page::EnterCode => "enter-code",
            Page::ConfirmApp => "confirm-app",
            Page::Finished => "finished",
        };
        if page.id != wanted {
            return Err(failed_at("page", &page.id));
        }
        let next = match then {
            Page::EnterCode => {
                let code = look_at(cast, member.who).and_then(|phone| phone.user_code());
                let code = code.ok_or("step: page (the code has expired)")?.to_owned();
                let fields = [(String::new(), code)];
                with_person(cast, seat, |person, now, out| person.submit(&fields, now, out))?;
                Page::ConfirmApp
            }
            Page::ConfirmApp => {
                with_person(cast, seat, |person, now, out| {
                    person.click("Continue", now, out)?;
                    person.sign_in(SCRIPT, now, out)
                })?;
                Page::Finished
            }
            Page::Finished => {
                cast.stand_up(seat);
                self.stage = Stage::Phone;
                return Ok(());
            }
        };
        self.stage = Stage::Pages { seat, then: next };
        Ok(())
    }

    /// The sign-in has ended, one way or the other: the seat is free, and the phone at home if it is not signed in.
    pub(super) fn leave<W: World<Actor>>(self, members: &[Member], cast: &mut Cast<W>) {
        if let Stage::Pages { seat, .. } = self.stage {
            cast.stand_up(seat);
        }
        // Whatever the display shows is left by the key that leaves it; a phone that offers none stays where it is.
        let _ = on_phone(cast, members[self.phone].who, |phone, now, out| {
            let screen = phone.screen(now);
            let way_out = ["Skip", "OK", "Cancel"].into_iter().find(|key| screen.offers(key));
            way_out.map_or(Ok(()), |key| phone.press(key, now, out))
        });
    }
}

/// What everybody does on the pages: what is right.
const SCRIPT: SignInScript = SignInScript {
    account: None,
    password: Answer::Right,
    second_factor: Answer::Right,
    stays_signed_in: false,
};

fn look_at_phone<W: World<Actor>>(member: &Member, cast: &mut Cast<W>) -> Look {
    let now = cast.world.now();
    let Some(phone) = look_at(cast, member.who) else { return Look::Ended(Err("step: phone".to_owned())) };
    match phone.state() {
        PhoneState::SignedIn | PhoneState::Locked => return Look::Ended(Ok(())),
        PhoneState::SigningIn => {}
        _ => return Look::Ended(Err(failed_at("phone", phone.screen(now).id))),
    }
    if phone.asks_for_lock_code() {
        let made = on_phone(cast, member.who, |phone, now, out| {
            // As many digits as the longest policy wants.
            phone.set_lock_code(LOCK_CODE, now, out)
        });
        if let Err(why) = made {
            return Look::Ended(Err(format!("step: lock code ({why})")));
        }
    }
    Look::Later(now + DISPLAY_ROUND)
}

fn failed_at(step: &str, shown: &str) -> String {
    format!("step: {step} ({shown})")
}

fn with_person<W: World<Actor>>(
    cast: &mut Cast<W>,
    seat: NodeId,
    act: impl FnOnce(&mut Person, net::Time, &mut net::Outbox) -> Result<(), PersonError>,
) -> Result<(), String> {
    cast.world.act(seat, |actor, now, out| match actor.person_mut() {
        Some(person) => act(person, now, out).map_err(|why| format!("step: page ({why})")),
        None => Err("generator: no seat".to_owned()),
    })
}
