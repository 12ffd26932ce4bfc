//! Complete phones under a plan: the lab's own fleet signs in and calls, as the plan says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use ::load::arrival::expected;
use ::load::engine::{Ended, Phones, run_complete};
use ::load::local::Local;
use ::load::plan::{Part, Plan, Stage as PlanStage, Work};
use ::load::{Cause, Kind};
use net::Time;
use scenario::fleet::{NO_IDLE_PHONE, Work as FleetWork};

use crate::arguments::{Fleet as Arguments, Format, GroundArguments, ServicesAt};
use crate::fleet::{Room, Stage};

/// How many phones a second get power before a plan begins, and how many are signed in where the plan has them call.
const BOOT_RATE: f64 = 100.0;
const SIGN_IN_RATE: f64 = 10.0;

/// How long after everybody is ready the plan begins.
const GET_READY: Duration = Duration::from_millis(300);

/// Complete phones that are ready to do a plan's work.
pub struct Complete {
    /// Who does the work.
    pub crew: Local,
    /// The program of the lab's services, which bear the load.
    pub services: Option<u32>,
}

/// Starts the lab's services and its phones, and waits until the phones stand where the plan wants them.
///
/// # Errors
///
/// A sentence if the lab has no fleet, or too few phones, or they do not come up.
pub fn start(plan: &Arc<Plan>, lab: &str, network: std::net::Ipv4Addr) -> Result<Complete, String> {
    enough_phones(plan)?;
    let (plan, lab) = (plan.clone(), PathBuf::from(lab));
    let (tell, ready) = channel();
    let work = move |_: Part, _, orders, beats| {
        // The world and all in it live and die on this thread.
        match Fleet::open(&plan, &lab, network) {
            Ok(mut fleet) => {
                let _ = tell.send(Ok(fleet.room.services()));
                fleet.start = fleet.room.now() + GET_READY;
                run_complete(&plan, &mut fleet, orders, beats);
                Ok(())
            }
            Err(why) => {
                let _ = tell.send(Err(why.clone()));
                Err(why)
            }
        }
    };
    let crew = Local::with(1, Arc::new(work));
    let services = ready.recv().map_err(|_| "the phones broke down before the plan began".to_owned())??;
    Ok(Complete { crew, services })
}

/// A phone is signed in once in a run.
fn enough_phones(plan: &Plan) -> Result<(), String> {
    let whole = |stage: &PlanStage| {
        expected(stage, Part { index: 0, of: 1 }, plan.phones.count, plan.seed, Duration::MAX)
    };
    let arrivals: u64 = plan.profile.iter().map(whole).sum();
    let weight_of = |is_meant: fn(&Work) -> bool| {
        plan.work.iter().filter(|it| is_meant(&it.work)).map(|it| u64::from(it.weight)).sum::<u64>()
    };
    let (sign_ins, all) = (weight_of(|work| matches!(work, Work::SignIn)), weight_of(|_| true));
    let wanted = (arrivals * sign_ins).div_ceil(all.max(1));
    let there = u64::from(plan.phones.count) - u64::from(signed_in_before(plan));
    if wanted > there {
        return Err(format!(
            "the plan has {wanted} sign-ins and {there} phones for them, each of which is signed in once: take more phones, \
             or fewer sign-ins"
        ));
    }
    Ok(())
}

/// How many phones are signed in before the plan begins: those that only call, or half of those that do both.
fn signed_in_before(plan: &Plan) -> u32 {
    let has = |is_meant: fn(&Work) -> bool| plan.work.iter().any(|it| is_meant(&it.work));
    match (has(|work| matches!(work, Work::Call { .. })), has(|work| matches!(work, Work::SignIn))) {
        (false, _) => 0,
        (true, false) => plan.phones.count,
        (true, true) => plan.phones.count / 2,
    }
}

/// A lab's fleet, at work.
struct Fleet {
    room: Room,
    start: Time,
    /// The folder of certificates and state, which goes when the run is over.
    folder: PathBuf,
}

impl Fleet {
    fn open(plan: &Plan, lab: &Path, network: std::net::Ipv4Addr) -> Result<Fleet, String> {
        let folder = std::env::temp_dir().join(format!("lab-load-phones-{}", std::process::id()));
        let arguments = Arguments {
            lab: lab.to_owned(),
            stages: Vec::new(),
            fleet: None,
            services: ServicesAt::Child,
            certs: folder.join("certs"),
            state: folder.join("state"),
            format: Format::Text,
            ground: GroundArguments { network, port_offset: 10_000 },
        };
        let room = Room::open(&arguments, Some(plan.phones.count));
        let room = room.inspect_err(|_| drop(std::fs::remove_dir_all(&folder)))?;
        let mut fleet = Fleet { start: room.now(), room, folder };
        let before = u64::from(signed_in_before(plan));
        fleet.ready(FleetWork::Boot, BOOT_RATE, u64::from(plan.phones.count), "booted")?;
        fleet.ready(FleetWork::SignIn, SIGN_IN_RATE, before, "were signed in")?;
        Ok(fleet)
    }

    /// Brings phones where the plan wants them.
    fn ready(&mut self, work: FleetWork, rate: f64, count: u64, what: &str) -> Result<(), String> {
        if count == 0 {
            return Ok(());
        }
        let told = Stage::Work { work, rate, count: Some(count) }.run(&mut self.room)?;
        match told.is_well() {
            true => Ok(()),
            false => Err(format!("not all of {count} phones {what} before the plan began: {}", told.text())),
        }
    }

    fn since_start(&self, at: Time) -> Duration {
        at.since(self.start)
    }

    fn told(&self, ended: &scenario::fleet::Ended) -> Ended {
        Ended {
            kind: match ended.work {
                FleetWork::Call { .. } => Kind::Call,
                FleetWork::Boot | FleetWork::SignIn => Kind::SignIn,
            },
            due: self.since_start(ended.due),
            took: ended.took(),
            result: ended.result.clone().map_err(|why| match why.as_str() {
                NO_IDLE_PHONE => Cause::NO_IDLE_PHONE,
                why => Cause::step(why),
            }),
        }
    }
}

impl Phones for Fleet {
    fn now(&self) -> Duration {
        self.since_start(self.room.now())
    }

    fn begin(&mut self, work: &Work, due: Duration) -> Option<Ended> {
        let work = match *work {
            Work::Call { ring, hold } => FleetWork::Call { ring, hold },
            // Whoever starts complete phones has looked that there is nothing else.
            _ => FleetWork::SignIn,
        };
        let ended = self.room.begin(work, self.start + due)?;
        Some(self.told(&ended))
    }

    fn go_on(&mut self, until: Duration) -> Vec<Ended> {
        let ended = self.room.go_on(self.start + until);
        ended.iter().map(|ended| self.told(ended)).collect()
    }

    fn give_up(&mut self) -> Vec<Duration> {
        let given_up = self.room.give_up();
        given_up.into_iter().map(|due| self.since_start(due)).collect()
    }

    fn registered(&self) -> u64 {
        self.room.signed_in() as u64
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.room.close();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
