//! Fleets under load: complete phones that boot, sign in with a scripted person each, and call each other, many at a time.
//!
//! Whoever drives a fleet says when a piece of work is due; [`Fleet::begin`] begins it whether or not others are done, and
//! [`Fleet::look`] carries all of them on and gives back those that have ended. Each piece of work that was begun ends
//! exactly once: done, or failed by one cause in few words. Times count from when the work was due, not from when the
//! fleet got round to it.
//!
//! The fleet is looked at in rounds, since neither phones nor people call back; an end is seen at the first look after it.

mod boot;
mod call;
mod sign_in;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use net::{NodeId, Time, World};
use vvx::phone::{Phone, PhoneState};

use crate::actor::Actor;
use crate::cast::Cast;
use crate::lab_file;

use self::boot::Boot;
use self::call::Call;
use self::sign_in::SignIn;

/// How long any piece of work may take before it counts as failed: longer than every deadline of a phone or browser on
/// the way, so that the phone's own reason comes first where it has one.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// A piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A phone gets power; done when it is at home, or signed in again if it was.
    Boot,
    /// Somebody signs a phone in by web code; done when it is registered and asks for nothing more.
    SignIn,
    /// One signed-in phone calls another; done when both are idle again.
    Call {
        /// How long it rings before it is answered.
        ring: Duration,
        /// How long it is held before the caller ends it.
        hold: Duration,
    },
}

/// A piece of work that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What it was.
    pub work: Work,
    /// When it was due.
    pub due: Time,
    /// When it ended.
    pub at: Time,
    /// How: done, or the cause in words that are the same for the same cause.
    pub result: Result<(), String>,
}

impl Ended {
    /// How long it took since it was due; of a call, less the time that it was to ring and to be held.
    pub fn took(&self) -> Duration {
        let on_purpose = match self.work {
            Work::Call { ring, hold } => ring + hold,
            Work::Boot | Work::SignIn => Duration::ZERO,
        };
        self.at.since(self.due).saturating_sub(on_purpose)
    }
}

/// What a look at one piece of work came to.
#[derive(Debug)]
enum Look {
    /// It goes on; it is not worth looking before that moment.
    Later(Time),
    /// It has ended.
    Ended(Result<(), String>),
}

/// A phone of the fleet.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    who: NodeId,
}

#[derive(Debug)]
enum Underway {
    Boot(Boot),
    SignIn(SignIn),
    Call(Call),
}

#[derive(Debug)]
struct Piece {
    work: Work,
    due: Time,
    how: Underway,
}

/// How many phones are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Without power.
    pub off: usize,
    /// At home, nobody signed in.
    pub home: usize,
    /// Signed in and idle.
    pub signed_in: usize,
    /// In the middle of something.
    pub busy: usize,
}

/// The phones of a fleet, and what they are doing.
#[derive(Debug)]
pub struct Fleet {
    members: Vec<Member>,
    /// Numbers of phones by where they stand; work takes the one that has waited longest.
    off: VecDeque<usize>,
    home: VecDeque<usize>,
    signed_in: VecDeque<usize>,
    /// What is under way by its number, and when it is worth looking at.
    underway: BTreeMap<u64, Piece>,
    looks: BTreeSet<(Time, u64)>,
    begun: u64,
}

/// Nobody was free to do what was due: the generator's own fault.
pub const NO_IDLE_PHONE: &str = "generator: no idle phone";

/// The work took longer than [`PATIENCE`], and nobody on the way had a reason.
const TOO_LONG: &str = "took too long";

impl Fleet {
    /// The phones of the fleet called `name`, none of which has power; `None` if the lab has no such fleet.
    pub fn new<W: World<Actor>>(cast: &Cast<W>, name: &str) -> Option<Fleet> {
        let count = cast.lab().fleets.get(name)?.value.count;
        let member = |n| {
            let name = lab_file::Fleet::phone_name(name, n);
            cast.node(&name).map(|who| Member { name, who })
        };
        let members: Option<Vec<Member>> = (0..count).map(member).collect();
        let members = members?;
        Some(Fleet {
            off: (0..members.len()).collect(),
            home: VecDeque::new(),
            signed_in: VecDeque::new(),
            underway: BTreeMap::new(),
            looks: BTreeSet::new(),
            begun: 0,
            members,
        })
    }

    /// Its phones.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.members.iter().map(|member| member.who)
    }

    /// How many phones it has.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many pieces of work are under way.
    pub fn in_flight(&self) -> usize {
        self.underway.len()
    }

    /// Where the phones stand.
    pub fn standing(&self) -> Standing {
        let (off, home, signed_in) = (self.off.len(), self.home.len(), self.signed_in.len());
        Standing { off, home, signed_in, busy: self.members.len() - off - home - signed_in }
    }

    /// Begins a piece of work that was due at `due`; gives it back at once if it cannot be begun.
    pub fn begin<W: World<Actor>>(&mut self, work: Work, due: Time, cast: &mut Cast<W>) -> Option<Ended> {
        let how = match work {
            Work::Boot => {
                self.off.pop_front().map(|phone| Ok(Underway::Boot(Boot::begin(phone, &self.members, cast))))
            }
            Work::SignIn => self.home.pop_front().map(|phone| {
                let begun = SignIn::begin(phone, &self.members, cast).map(Underway::SignIn);
                begun.inspect_err(|_| self.home.push_back(phone))
            }),
            Work::Call { ring, hold } => self.pair().map(|(caller, called)| {
                let begun =
                    Call::begin([caller, called], ring, hold, &self.members, cast).map(Underway::Call);
                begun.inspect_err(|_| self.signed_in.extend([caller, called]))
            }),
        };
        let now = cast.world.now();
        match how.unwrap_or_else(|| Err(NO_IDLE_PHONE.to_owned())) {
            Ok(how) => {
                self.begun += 1;
                self.underway.insert(self.begun, Piece { work, due, how });
                self.looks.insert((now, self.begun));
                None
            }
            Err(why) => Some(Ended { work, due, at: now.max(due), result: Err(why) }),
        }
    }

    fn pair(&mut self) -> Option<(usize, usize)> {
        if self.signed_in.len() < 2 {
            return None;
        }
        Some((self.signed_in.pop_front()?, self.signed_in.pop_front()?))
    }

    /// Carries on whatever is under way, as far as it goes at this moment, and gives back what has ended.
    pub fn look<W: World<Actor>>(&mut self, cast: &mut Cast<W>) -> Vec<Ended> {
        let now = cast.world.now();
        let mut ended = Vec::new();
        let later = self.looks.split_off(&(now + Duration::from_nanos(1), 0));
        for (_, number) in std::mem::replace(&mut self.looks, later) {
            let Some(piece) = self.underway.get_mut(&number) else { continue };
            let look = match &mut piece.how {
                Underway::Boot(boot) => boot.look(&self.members, cast),
                Underway::SignIn(sign_in) => sign_in.look(&self.members, cast),
                Underway::Call(call) => call.look(&self.members, cast),
            };
            let result = match look {
                Look::Ended(result) => result,
                Look::Later(_) if now.since(piece.due) > PATIENCE + extra(piece.work) => {
                    Err(TOO_LONG.to_owned())
                }
                Look::Later(next) => {
                    self.looks.insert((next, number));
                    continue;
                }
            };
            let Some(piece) = self.underway.remove(&number) else { continue };
            self.put_back(piece.how, cast);
            ended.push(Ended { work: piece.work, due: piece.due, at: now, result });
        }
        ended
    }

    /// Gives up everything that is under way: the run is over. Gives back what it was, without a result.
    pub fn give_up<W: World<Actor>>(&mut self, cast: &mut Cast<W>) -> Vec<(Work, Time)> {
        let pieces: Vec<Piece> = std::mem::take(&mut self.underway).into_values().collect();
        self.looks.clear();
        let given_up = pieces.iter().map(|piece| (piece.work, piece.due)).collect();
        for piece in pieces {
            self.put_back(piece.how, cast);
        }
        given_up
    }

    /// The power goes, everywhere at once; whatever was under way must have ended or been given up.
    pub fn power_cut<W: World<Actor>>(&mut self, cast: &mut Cast<W>) {
        for phone in self.home.drain(..).chain(self.signed_in.drain(..)) {
            cast.world.power_off(self.members[phone].who);
            self.off.push_back(phone);
        }
    }

    /// Phones whose work has ended go where they stand now.
    fn put_back<W: World<Actor>>(&mut self, how: Underway, cast: &mut Cast<W>) {
        let phones = match how {
            Underway::Boot(boot) => vec![boot.phone()],
            Underway::SignIn(sign_in) => {
                let phone = sign_in.phone();
                sign_in.leave(&self.members, cast);
                vec![phone]
            }
            Underway::Call(call) => {
                let phones = call.phones().to_vec();
                call.leave(&self.members, cast);
                phones
            }
        };
        for phone in phones {
            let state = look_at(cast, self.members[phone].who).map_or(PhoneState::Off, Phone::state);
            match state {
                PhoneState::SignedIn | PhoneState::Locked | PhoneState::Registered => {
                    self.signed_in.push_back(phone);
                }
                PhoneState::SignedOut | PhoneState::SigningIn => self.home.push_back(phone),
                PhoneState::RegistrationLost | PhoneState::Unregistered => self.signed_in.push_back(phone),
                PhoneState::Off | PhoneState::Booting => {
                    cast.world.power_off(self.members[phone].who);
                    self.off.push_back(phone);
                }
            }
        }
    }
}

/// How much longer a piece of work may take by its own wish.
fn extra(work: Work) -> Duration {
    match work {
        Work::Call { ring, hold } => ring + hold,
        Work::Boot | Work::SignIn => Duration::ZERO,
    }
}

fn look_at<W: World<Actor>>(cast: &Cast<W>, who: NodeId) -> Option<&Phone> {
    cast.world.look(who).phone()
}

/// Does something to a phone; what the phone says against it is the cause of a failure.
fn on_phone<W: World<Actor>, R, E: std::fmt::Display>(
    cast: &mut Cast<W>,
    who: NodeId,
    act: impl FnOnce(&mut Phone, Time, &mut net::Outbox) -> Result<R, E>,
) -> Result<R, String> {
    cast.world.act(who, |actor, now, out| match actor.phone_mut() {
        Some(phone) => act(phone, now, out).map_err(|why| why.to_string()),
        None => Err("is no phone".to_owned()),
    })
}
