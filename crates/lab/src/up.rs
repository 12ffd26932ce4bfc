//! `lab up`: a lab on real sockets that stays, for phones, browsers and programs of other people.
//!
//! The lab lives on this thread: it lets one thing after the other happen, and between them does what was asked for through
//! the control API, which has a thread of its own. What the lab's actors keep is in the state folder and is there again
//! at the next start.

mod control;
mod desk;
mod state;
mod table;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use net::{Time, World as _};
use scenario::actor::Actor;
use scenario::cast::certified::wanted;
use scenario::cast::{Cast, Ground, Part};
use scenario::director::Director;
use scenario::lab_file::Lab;
use scenario::language::{Reading, read_lab};
use wire::{Speed, Store, Wire};

use self::control::Control;
use self::desk::Desk;
use self::state::State;
use crate::arguments::{Format, Only, Up};
use crate::files::DiskLibrary;
use crate::{certs, files, status, terminal};

/// How many entries of the journal can be looked at.
const JOURNAL_MAX: usize = 50_000;

/// The lab looks up at least this often, though nothing happens in it.
const LOOK_UP: Duration = Duration::from_secs(3600);

/// Who tells a lab on real sockets what to do.
type LabDirector = Director<Wire<Actor>>;

/// Runs the lab until it is stopped.
pub fn up(arguments: &Up) -> u8 {
    status(run(arguments).map(|()| true))
}

fn run(arguments: &Up) -> Result<(), String> {
    let started = stopwatch();
    let path = arguments.lab.display().to_string();
    let reading = Reading { library: &DiskLibrary, vocabulary: scenario::run::vocabulary(), lab: &path };
    let mut lab = read_lab(&path, reading)
        .map_err(|mistakes| mistakes.render(terminal::colour()).trim_end().to_owned())?;
    // Real clients look at real dates.
    lab.epoch = certs::today();
    let phones = match arguments.only {
        None => phones(&lab, arguments)?,
        Some(Only::Services) => Vec::new(),
    };
    let state = State::open(&arguments.state, arguments.fresh)?;
    let network = wire::Ground::probe(arguments.ground.network, arguments.ground.port_offset)?;
    let mut ground = Ground::real(state.seed, network.network);
    ground.signing_keys = Some(state.signing_keys()?);
    if let Some(Only::Services) = arguments.only {
        ground.part = Part::Services;
    }
    let wanted = wanted(&lab, Some(ground.addresses));
    let ready = certs::ready(&arguments.certs, &wanted, arguments.key.map(Into::into), lab.epoch)?;
    ground.certified = Some(Arc::new(ready.certified));
    let mut world = Wire::new(setup(arguments, &lab, network, &state)?).map_err(|why| why.to_string())?;
    if let Some(path) = &arguments.trace {
        let file = Box::new(files::open_secret(path)?);
        world.start_capture(lab.epoch, "lab up", file);
    }
    let mut cast = Cast::build_in(world, &lab, &phones, &ground).map_err(|why| why.to_string())?;
    for name in &phones {
        if let Some(who) = cast.node(name) {
            cast.world.power_on(who);
        }
    }
    let problems = cast.world.take_problems();
    if !problems.is_empty() {
        return Err(problems.join("\nlab: "));
    }
    let control = Control::start(arguments.control, &state, cast.world.poker())?;
    let table = table::Table::of(&cast, arguments, &state, &control);
    match arguments.format {
        Format::Text => terminal::line(&table.text(started())),
        Format::Json => terminal::line(&table.json(started()).to_string()),
    }
    let _ = std::io::stdout().flush();
    let mut desk = Desk::new(&lab, &path);
    live(Director::new(cast), &control, &mut desk)?;
    if arguments.format == Format::Text {
        terminal::line(&format!("stopped; the lab's state is kept in {}", arguments.state.display()));
    }
    Ok(())
}

/// Lets the lab live until it is asked to stop.
fn live(mut director: LabDirector, control: &Control, desk: &mut Desk) -> Result<(), String> {
    while !control.is_stopped() {
        let until = director.cast().world.now() + LOOK_UP;
        // Nothing is forbidden in a lab that nobody tells a story in.
        let _ = director.turn(until);
        while let Some(request) = control.next() {
            desk.take(request, &mut director);
        }
        desk.finish(&mut director);
        control.tell_length(director.cast().world.journal().length());
        for problem in director.cast_mut().world.take_problems() {
            eprintln!("lab: {problem}");
        }
    }
    // What was asked for just now is still answered; the store writes what it was handed before it closes.
    let world = &mut director.cast_mut().world;
    let quiet = world.now() + Duration::from_millis(20);
    while world.now() < quiet {
        world.step(quiet);
    }
    world.finish_capture().map_err(|why| format!("the capture cannot be written: {why}"))
}

fn phones(lab: &Lab, arguments: &Up) -> Result<Vec<String>, String> {
    let own: Vec<String> = lab.phones.keys().cloned().collect();
    let all: Vec<String> = own.iter().chain(lab.fleets.keys()).cloned().collect();
    match arguments.phones.as_deref() {
        None => Ok(own),
        Some("none") => Ok(Vec::new()),
        Some(list) => {
            let named: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
            match named.iter().find(|name| !all.contains(name)) {
                Some(unknown) => Err(format!("the lab has no phone `{unknown}`; it has {}", all.join(", "))),
                None => Ok(named),
            }
        }
    }
}

fn setup(arguments: &Up, lab: &Lab, ground: wire::Ground, state: &State) -> Result<wire::Setup, String> {
    let mut setup = wire::Setup::on(ground);
    setup.speed = arguments.speed.unwrap_or(Speed::REAL);
    setup.seed = state.seed;
    setup.store = Some(Store::open(&state.disks()).map_err(|why| why.to_string())?);
    setup.journal = Some(JOURNAL_MAX);
    if !arguments.no_ipv6 {
        let pools = lab.all_pools().into_iter().map(|(name, _)| name.to_owned());
        let services = ["dns", "identity"].map(str::to_owned).into_iter().chain(pools);
        setup.also = services.map(|name| (name, IpAddr::V6(std::net::Ipv6Addr::LOCALHOST))).collect();
    }
    Ok(setup)
}

/// Measures how long starting takes, for people.
#[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a stopwatch for people")]
fn stopwatch() -> impl Fn() -> Duration {
    let started = std::time::Instant::now();
    move || started.elapsed()
}

/// The facts of everybody in a lab that machines ask for.
type Facts = BTreeMap<String, serde_json::Value>;

/// When something happened, as machines read it: seconds since the lab opened.
fn seconds(at: Time) -> f64 {
    at.since_start().as_secs_f64()
}
