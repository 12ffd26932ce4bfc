//! The director tells a story to a cast: it lets time pass, has people and administrators act, lays faults over the
//! world, and watches what is claimed.
//!
//! A step that acts is done at once. A step that waits holds its line of steps up while the world goes on; `parallel`
//! lets several lines wait side by side. After everything that happens the director looks again.

mod acts;
mod calls;
mod faults;
mod told;

use std::collections::BTreeMap;
use std::time::Duration;

use net::{NodeId, Sim, Step as Happening, Time, World};

pub use self::told::{Failure, Told};

use crate::actor::Actor;
use crate::cast::Cast;
use crate::expectation::{self, Verdict};
use crate::language::{Expect, Never, Press, Since, Step, Steps, Text, Verb};
use crate::mistakes::Place;

/// How long a person's step waits for the pages that it leads to.
const PERSON_PATIENCE: Duration = Duration::from_secs(5 * 60);

/// How long the lab runs on after the last step, so that what the story forbids has a chance to show.
const AFTERMATH: Duration = Duration::from_secs(2);

/// How much may happen in one telling: far more than any story, so that a lab gone wild comes to an end.
const HAPPENINGS_MAX: u64 = 200_000_000;

/// What a line of steps waits for.
#[derive(Debug)]
enum Wait {
    /// Nothing: the next step is due.
    Nothing,
    /// A moment.
    Until(Time),
    /// A claim, at most until the moment.
    Claim { expect: Box<Expect>, place: Place, until: Time },
    /// A person's pages, at most until the moment.
    Person { who: NodeId, until: Time },
    /// A device whose power comes back at that moment.
    Restart { who: NodeId, on_at: Time },
    /// A key that will be offered once a screen has passed by itself, at most until the moment.
    Key { press: Press, place: Place, until: Time },
    /// The lines of a `parallel`.
    Lines(Vec<Line>),
}

/// Steps that are told one after the other, with where they have got to.
#[derive(Debug)]
struct Line {
    stack: Vec<Level>,
    wait: Wait,
}

#[derive(Debug)]
struct Level {
    steps: Steps,
    next: usize,
    rounds_left: u32,
}

impl Line {
    fn new(steps: &Steps) -> Line {
        let steps = steps.clone();
        Line { stack: vec![Level { steps, next: 0, rounds_left: 0 }], wait: Wait::Nothing }
    }

    /// The next step, if any is left: the list it stands in, and its place there.
    fn next_step(&mut self) -> Option<(Steps, usize)> {
        loop {
            let level = self.stack.last_mut()?;
            if level.next < level.steps.len() {
                level.next += 1;
                return Some((level.steps.clone(), level.next - 1));
            }
            if level.rounds_left > 0 {
                level.rounds_left -= 1;
                level.next = 0;
            } else {
                self.stack.pop();
            }
        }
    }

    /// The next moment at which this line has something to do if nothing happens before.
    fn wakes_at(&self) -> Option<Time> {
        match &self.wait {
            Wait::Nothing => None,
            Wait::Until(at)
            | Wait::Claim { until: at, .. }
            | Wait::Person { until: at, .. }
            | Wait::Key { until: at, .. }
            | Wait::Restart { on_at: at, .. } => Some(*at),
            Wait::Lines(lines) => lines.iter().filter_map(Line::wakes_at).min(),
        }
    }
}

/// A line of steps that was begun, among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineId(u64);

/// Something that is due later, whatever line of the story is told then.
#[derive(Debug)]
enum Due {
    PowerOn(NodeId),
    EndRule(String),
    RestoreLink { site: String, undo: faults::LinkBefore },
}

/// Something that may not come to hold.
#[derive(Debug)]
struct Forbidden {
    never: Box<Never>,
    place: Place,
    /// Journal entries before this one do not count.
    since: usize,
    /// Entries up to here were looked at.
    seen: usize,
}

/// Tells one case of a story.
pub struct Director<W = Sim<Actor>> {
    cast: Cast<W>,
    captured: BTreeMap<String, String>,
    agenda: Vec<(Time, Due)>,
    /// Devices whose power goes at a planned write, and how long it stays away.
    planned_cuts: Vec<(NodeId, Option<Duration>)>,
    forbidden: Vec<Forbidden>,
    /// For each verb told, how long the journal was at the last step of that verb.
    last_told: BTreeMap<&'static str, usize>,
    steps_told: u32,
    /// Lines that were begun and are not at their end.
    open: Vec<(LineId, Line)>,
    lines_begun: u64,
    rules_made: u32,
    /// The faults laid over packets: name, and the two sides as the story names them.
    rules: Vec<(String, Option<String>, Option<String>)>,
}

impl<W: World<Actor>> Director<W> {
    /// A director for this cast, whose services have power and whose phones have not.
    pub fn new(cast: Cast<W>) -> Director<W> {
        Director {
            cast,
            captured: BTreeMap::new(),
            agenda: Vec::new(),
            planned_cuts: Vec::new(),
            forbidden: Vec::new(),
            last_told: BTreeMap::new(),
            steps_told: 0,
            open: Vec::new(),
            lines_begun: 0,
            rules_made: 0,
            rules: Vec::new(),
        }
    }

    /// Tells the steps to their end, or to the first that fails.
    pub fn tell(mut self, steps: &Steps) -> Told<W> {
        let mut line = Line::new(steps);
        let failure = self.run(&mut line).err();
        Told { failure, steps: self.steps_told, lab_time: self.cast.world.now(), cast: self.cast }
    }

    /// The cast, to look at.
    pub fn cast(&self) -> &Cast<W> {
        &self.cast
    }

    /// The cast, to be changed.
    pub fn cast_mut(&mut self) -> &mut Cast<W> {
        &mut self.cast
    }

    /// Begins to tell steps beside whatever is being told; [`Director::take_finished`] says how they ended. For a lab that
    /// runs on, and people who do one thing after the other.
    pub fn begin(&mut self, steps: &Steps) -> LineId {
        self.lines_begun += 1;
        let id = LineId(self.lines_begun);
        self.open.push((id, Line::new(steps)));
        id
    }

    /// Stops telling a line: nobody waits for its end any more.
    pub fn drop_line(&mut self, id: LineId) {
        self.open.retain(|(open, _)| *open != id);
    }

    /// Tells on every line that was begun, as far as it goes at this moment, and gives back how those ended that have.
    pub fn take_finished(&mut self) -> Vec<(LineId, Result<(), Failure>)> {
        let mut finished = Vec::new();
        for (id, mut line) in std::mem::take(&mut self.open) {
            match self.advance(&mut line) {
                Ok(false) => self.open.push((id, line)),
                Ok(true) => finished.push((id, Ok(()))),
                Err(failure) => finished.push((id, Err(failure))),
            }
        }
        finished
    }

    /// Lets the next thing happen, at most until `until`, and does what has become due.
    ///
    /// # Errors
    ///
    /// If something happened that was forbidden, or nothing can happen any more.
    pub fn turn(&mut self, until: Time) -> Result<(), Failure> {
        let wakes_at = self.open.iter().filter_map(|(_, line)| line.wakes_at()).min();
        self.let_time_pass(Some(wakes_at.unwrap_or(until).min(until)))
    }

    fn run(&mut self, line: &mut Line) -> Result<(), Failure> {
        let mut happenings = 0;
        loop {
            if self.advance(line)? {
                break;
            }
            self.let_time_pass(line.wakes_at())?;
            happenings += 1;
            if happenings > HAPPENINGS_MAX {
                return Err(self.failure(None, "the lab does not come to rest".to_owned(), None));
            }
        }
        let end = self.cast.world.now() + AFTERMATH;
        while self.cast.world.now() < end {
            self.let_time_pass(Some(end))?;
        }
        Ok(())
    }

    /// Lets the next thing happen, at most until `until`, and does what has become due.
    fn let_time_pass(&mut self, until: Option<Time>) -> Result<(), Failure> {
        let due = self.agenda.iter().map(|(at, _)| *at).min();
        let until = [until, due].into_iter().flatten().min().unwrap_or(Time::NEVER);
        if self.cast.world.now() < until || until == Time::NEVER {
            match self.cast.world.step(until) {
                Happening::Happened => {}
                // Nothing is to come, and nobody waits for a moment: the story would wait for ever.
                Happening::Quiet if until == Time::NEVER => {
                    return Err(self.failure(None, "nothing happens in the lab any more".to_owned(), None));
                }
                Happening::Quiet => {}
                Happening::Stalled => {
                    let title = "the lab is stalled: an actor is busy without letting time pass".to_owned();
                    return Err(self.failure(None, title, None));
                }
            }
        }
        self.watch_planned_cuts();
        self.do_what_is_due();
        self.watch_the_forbidden()
    }

    fn watch_planned_cuts(&mut self) {
        let now = self.cast.world.now();
        let mut gone = Vec::new();
        self.planned_cuts.retain(|&(who, lasts)| {
            let is_on = self.cast.world.is_on(who);
            if !is_on {
                gone.push((who, lasts));
            }
            is_on
        });
        for (who, lasts) in gone {
            if let Some(lasts) = lasts {
                self.agenda.push((now + lasts, Due::PowerOn(who)));
            }
        }
    }

    fn do_what_is_due(&mut self) {
        let now = self.cast.world.now();
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.agenda).into_iter().partition(|(at, _)| *at <= now);
        self.agenda = later;
        for (_, what) in due {
            match what {
                Due::PowerOn(who) => self.cast.world.power_on(who),
                Due::EndRule(name) => {
                    self.cast.world.remove_rule(&name);
                }
                Due::RestoreLink { site, undo } => self.restore_link(&site, undo),
            }
        }
    }

    fn watch_the_forbidden(&mut self) -> Result<(), Failure> {
        let length = self.cast.world.journal().length();
        for index in 0..self.forbidden.len() {
            let Forbidden { never, place, since, seen } = &mut self.forbidden[index];
            if *seen == length {
                continue;
            }
            *seen = length;
            if expectation::judge(&self.cast, &never.claim, *since, &self.captured) == Verdict::Holds {
                let title = format!("{} happened, which it never may", expectation::title(&never.claim));
                let (place, subject) = (*place, expectation::subject(&never.claim));
                return Err(self.failure(Some(place), title, subject));
            }
        }
        Ok(())
    }

    /// Tells what can be told of `line` now; says whether it is at its end.
    fn advance(&mut self, line: &mut Line) -> Result<bool, Failure> {
        loop {
            match std::mem::replace(&mut line.wait, Wait::Nothing) {
                Wait::Nothing => {}
                wait => {
                    if let Some(wait) = self.still_waits(wait)? {
                        line.wait = wait;
                        return Ok(false);
                    }
                }
            }
            let Some((steps, index)) = line.next_step() else { return Ok(true) };
            let step = &steps[index];
            self.steps_told += 1;
            line.wait = self.take_step(line, step)?;
            self.last_told.insert(step.verb.name(), self.cast.world.journal().length());
        }
    }

    /// Looks whether a wait is over; gives it back if it is not.
    fn still_waits(&mut self, wait: Wait) -> Result<Option<Wait>, Failure> {
        let now = self.cast.world.now();
        match wait {
            Wait::Nothing => Ok(None),
            Wait::Until(at) => Ok((now < at).then_some(Wait::Until(at))),
            Wait::Claim { expect, place, until } => {
                match expectation::judge(&self.cast, &expect.claim, 0, &self.captured) {
                    Verdict::Holds => Ok(None),
                    Verdict::Not(_) if now < until => Ok(Some(Wait::Claim { expect, place, until })),
                    Verdict::Not(instead) => Err(self.unmet(&expect, place, &instead)),
                }
            }
            Wait::Person { who, until } => {
                let is_busy = self.cast.world.look(who).person().is_some_and(|person| person.is_busy());
                Ok((is_busy && now < until).then_some(Wait::Person { who, until }))
            }
            Wait::Restart { who, on_at } => {
                if now < on_at {
                    return Ok(Some(Wait::Restart { who, on_at }));
                }
                self.cast.world.power_on(who);
                Ok(None)
            }
            Wait::Key { press, place, until } => {
                if now < until && self.passes_by_itself(press.phone.as_str()) {
                    return Ok(Some(Wait::Key { press, place, until }));
                }
                self.press(press.phone.as_str(), press.key.as_str(), place)?;
                Ok(None)
            }
            Wait::Lines(mut lines) => {
                let mut all_done = true;
                for line in &mut lines {
                    all_done &= self.advance(line)?;
                }
                Ok((!all_done).then_some(Wait::Lines(lines)))
            }
        }
    }

    fn unmet(&self, expect: &Expect, place: Place, instead: &str) -> Failure {
        let mut title =
            format!("{} should {}", expectation::who(&expect.claim), expectation::wish(&expect.claim));
        if let Some(within) = expect.within {
            title.push_str(&format!(" within {}", net::time::spell(within)));
        }
        if !instead.is_empty() {
            title.push_str(&format!(", but {instead}"));
        }
        self.failure(Some(place), title, expectation::subject(&expect.claim))
    }

    fn failure(&self, place: Option<Place>, title: String, subject: Option<String>) -> Failure {
        Failure::new(&self.cast, place, title, subject)
    }

    /// A step that cannot be done.
    fn cannot(&self, place: Place, subject: &str, why: impl std::fmt::Display) -> Failure {
        self.failure(Some(place), format!("{subject}: {why}"), Some(subject.to_owned()))
    }

    fn fill(&self, text: &Text, place: Place) -> Result<String, Failure> {
        text.fill(&self.captured)
            .map_err(|name| self.failure(Some(place), format!("nothing was captured as `{name}` yet"), None))
    }

    fn take_step(&mut self, line: &mut Line, step: &Step) -> Result<Wait, Failure> {
        let now = self.cast.world.now();
        let place = step.place;
        match &step.verb {
            Verb::Wait(wait) => Ok(Wait::Until(now + wait.lasts)),
            Verb::At(at) => Ok(Wait::Until(self.cast.moment(&at.time))),
            Verb::Expect(expect) => {
                let until = now + expect.within.unwrap_or(Duration::ZERO);
                Ok(Wait::Claim { expect: expect.clone(), place, until })
            }
            Verb::Never(never) => {
                let length = self.cast.world.journal().length();
                let since = match &never.since {
                    Some(Since(verb)) => self.last_told.get(verb.as_str()).copied().unwrap_or(length),
                    None => length,
                };
                self.forbidden.push(Forbidden { never: never.clone(), place, since, seen: 0 });
                self.watch_the_forbidden()?;
                Ok(Wait::Nothing)
            }
            Verb::Capture(capture) => {
                self.capture(capture, place)?;
                Ok(Wait::Nothing)
            }
            Verb::Parallel(parallel) => {
                Ok(Wait::Lines(parallel.0.iter().map(|branch| Line::new(&branch.0)).collect()))
            }
            Verb::Repeat(repeat) => {
                let rounds_left = repeat.times.saturating_sub(1);
                line.stack.push(Level { steps: repeat.steps.clone(), next: 0, rounds_left });
                Ok(Wait::Nothing)
            }
            Verb::Include(include) => {
                line.stack.push(Level { steps: include.steps.clone(), next: 0, rounds_left: 0 });
                Ok(Wait::Nothing)
            }
            Verb::PowerOn(_)
            | Verb::Reboot(_)
            | Verb::Press(_)
            | Verb::Type(_)
            | Verb::SetLockCode(_)
            | Verb::Unlock(_)
            | Verb::Configure(_)
            | Verb::FactoryReset(_)
            | Verb::Screenshot(_) => self.act_on_phone(step),
            Verb::Dial(_)
            | Verb::PickUp(_)
            | Verb::Reject(_)
            | Verb::Hold(_)
            | Verb::Resume(_)
            | Verb::Transfer(_)
            | Verb::HangUp(_)
            | Verb::SendDigits(_)
            | Verb::Mute(_)
            | Verb::Unmute(_)
            | Verb::DoNotDisturb(_)
            | Verb::Disturb(_) => self.act_on_calls(step),
            Verb::Browse(_)
            | Verb::Submit(_)
            | Verb::Click(_)
            | Verb::SignIn(_)
            | Verb::CloseBrowser(_)
            | Verb::Provision(_) => self.act_as_person(step),
            Verb::ChangePassword(_)
            | Verb::Disable(_)
            | Verb::Enable(_)
            | Verb::RevokeSessions(_)
            | Verb::SetPolicy(_)
            | Verb::RevokeCertificate(_)
            | Verb::MoveUser(_) => self.administer(step),
            Verb::PowerCut(_)
            | Verb::Network(_)
            | Verb::Stop(_)
            | Verb::Start(_)
            | Verb::Answer(_)
            | Verb::Clock(_)
            | Verb::Dns(_) => self.lay_fault(step),
        }
    }
}
