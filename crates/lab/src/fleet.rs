//! `lab fleet`: complete phones by the thousand on real sockets, in one program, against the lab's own services.
//!
//! The phones, their owners' browsers and the office network live in this program; identity service and pools live here
//! too, or in a program of their own that is started for the run. Stages follow each other; each says what came of it.

mod floor;
mod machine;
mod services;
mod stage;
mod told;

use std::sync::Arc;

use net::{Step, Time, World as _};
use scenario::actor::Actor;
use scenario::cast::certified::wanted;
use scenario::cast::{Cast, Ground, Part};
use scenario::fleet::{Ended, Fleet, Work};
use scenario::lab_file::Lab;
use scenario::language::{Reading, read_lab};
use wire::{Among, Wire};

use self::floor::SignIns;
use self::machine::Watch;
use self::services::Services;
use self::told::Told;
use crate::arguments::{Fleet as Arguments, Format, ServicesAt};
use crate::files::DiskLibrary;
use crate::{certs, status, terminal};

pub use self::stage::Stage;

/// A fleet in its world.
pub struct Room {
    cast: Cast<Wire<Actor>>,
    fleet: Fleet,
    services: Option<Services>,
    watch: Watch,
    /// What the last stage of sign-ins came to.
    sign_ins: Option<SignIns>,
}

/// Runs the stages.
pub fn fleet(arguments: &Arguments) -> u8 {
    status(run(arguments))
}

fn run(arguments: &Arguments) -> Result<bool, String> {
    let mut room = Room::open(arguments, None)?;
    let mut all_well = true;
    say(arguments, &room.told("cast", room.fleet.len() as u64));
    for stage in &arguments.stages {
        let told = stage.run(&mut room)?;
        all_well &= told.is_well();
        say(arguments, &told);
    }
    room.close();
    Ok(all_well)
}

fn say(arguments: &Arguments, told: &Told) {
    terminal::line(&match arguments.format {
        Format::Text => told.text(),
        Format::Json => told.json().to_string(),
    });
}

/// The fleet that is meant: the one that is named, or the only one.
fn fleet_name(lab: &Lab, arguments: &Arguments) -> Result<String, String> {
    let known: Vec<&str> = lab.fleets.keys().map(String::as_str).collect();
    match (&arguments.fleet, known.as_slice()) {
        (Some(name), _) if lab.fleets.contains_key(name) => Ok(name.clone()),
        (None, [only]) => Ok((*only).to_owned()),
        (_, []) => Err(format!(
            "{}: this lab has no fleet; `lab schema lab` says how to write one",
            arguments.lab.display()
        )),
        (Some(name), _) => Err(format!("the lab has no fleet `{name}`; it has {}", known.join(", "))),
        (None, _) => Err(format!("the lab has several fleets; say which by --fleet: {}", known.join(", "))),
    }
}

fn furnish(lab: &Lab, name: &str, arguments: &Arguments) -> Result<Room, String> {
    let watch = Watch::start();
    let network = wire::Ground::probe(arguments.ground.network, arguments.ground.port_offset)?;
    let mut ground = Ground::real(lab.seed, network.network);
    let wanted = wanted(lab, Some(ground.addresses));
    let ready = certs::ready(&arguments.certs, &wanted, None, lab.epoch)?;
    ground.certified = Some(Arc::new(ready.certified));
    let services = match arguments.services {
        ServicesAt::Here => None,
        ServicesAt::Child => {
            ground.part = Part::Office;
            Some(Services::start(arguments)?)
        }
        ServicesAt::Running => {
            ground.part = Part::Office;
            None
        }
    };
    let mut setup = wire::Setup::on(network);
    setup.seed = lab.seed;
    setup.journal = Some(0);
    setup.among = Among::Handed;
    let world = Wire::new(setup).map_err(|why| why.to_string())?;
    let mut cast = Cast::build_in(world, lab, &[name.to_owned()], &ground).map_err(|why| why.to_string())?;
    if let Some(problem) = cast.world.take_problems().first() {
        return Err(problem.clone());
    }
    let fleet = Fleet::new(&cast, name).ok_or("the fleet was not cast")?;
    for phone in fleet.nodes() {
        cast.world.never_dialled(phone);
    }
    Ok(Room { cast, fleet, services, watch, sign_ins: None })
}

impl Room {
    /// A lab's fleet, `count` phones of it if that is given, with the services that its phones need.
    ///
    /// # Errors
    ///
    /// If the lab cannot be read or has no such fleet, or something does not come up.
    pub fn open(arguments: &Arguments, count: Option<u32>) -> Result<Room, String> {
        let path = arguments.lab.display().to_string();
        let reading = Reading { library: &DiskLibrary, vocabulary: scenario::run::vocabulary(), lab: &path };
        let mut lab = read_lab(&path, reading)
            .map_err(|mistakes| mistakes.render(terminal::colour()).trim_end().to_owned())?;
        lab.epoch = certs::today();
        let name = fleet_name(&lab, arguments)?;
        if let (Some(count), Some(fleet)) = (count, lab.fleets.get_mut(&name)) {
            if count > fleet.value.count {
                return Err(format!(
                    "{path}: the fleet `{name}` has {} phones, not {count}",
                    fleet.value.count
                ));
            }
            fleet.value.count = count;
        }
        furnish(&lab, &name, arguments)
    }

    /// The process of the services, if they have one of their own.
    pub fn services(&self) -> Option<u32> {
        self.services.as_ref().map(Services::pid)
    }

    /// How many phones are signed in and idle.
    pub fn signed_in(&self) -> usize {
        self.fleet.standing().signed_in
    }

    /// Begins a piece of work that was due at `due`; what cannot be begun has ended at once.
    pub fn begin(&mut self, work: Work, due: Time) -> Option<Ended> {
        self.fleet.begin(work, due, &mut self.cast)
    }

    /// Lets the world go on, at most until `until`; returns what has ended.
    pub fn go_on(&mut self, until: Time) -> Vec<Ended> {
        while self.now() < until && self.cast.world.step(until) != Step::Stalled {}
        self.fleet.look(&mut self.cast)
    }

    /// Gives up whatever is under way: when each piece of it was due.
    pub fn give_up(&mut self) -> Vec<Time> {
        self.fleet.give_up(&mut self.cast).into_iter().map(|(_, due)| due).collect()
    }

    /// Stops the services in good order.
    pub fn close(&mut self) {
        if let Some(services) = self.services.take() {
            services.stop();
        }
    }

    /// What time it is.
    pub fn now(&self) -> Time {
        self.cast.world.now()
    }

    /// What a stage that begins now will have to say.
    fn told(&mut self, stage: &str, offered: u64) -> Told {
        let services = self.services();
        Told::begin(stage, offered, &mut self.watch, services)
    }
}
