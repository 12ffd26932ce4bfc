//! `lab load`: a plan is read, a server found or started, load made, and what came of it shown and written.

mod compare;
mod complete;
mod live;
mod metrics;
mod own_pool;
mod written;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ::load::conduct::{Row, Sample, Series, Watcher, conduct};
use ::load::engine::{EngineError, enough_files};
use ::load::language::{Reading, read_plan};
use ::load::local::Local;
use ::load::machine::{self, Machine, Watch};
use ::load::outcome::result::{Facts, Outcome, ServerFacts};
use ::load::outcome::summary;
use ::load::plan::{Plan, Server, Target, Transport};
use ::load::workers::{Broker, Gathering, Workers, gather};
use ::load::{Beat, Counts, Crew};

use self::complete::Complete;
use self::live::Live;
use self::metrics::Metrics;
use self::own_pool::OwnPool;
use self::written::Written;
use crate::arguments::{Format, Load, LoadOther};
use crate::files::DiskLibrary;
use crate::signals::Signals;
use crate::{status, terminal};

/// Exit status of a program that was killed by Ctrl-C.
const KILLED: i32 = 130;

/// Offers load, or compares.
pub fn load(arguments: &Load) -> u8 {
    if let Some(LoadOther::Compare(compared)) = &arguments.other {
        return compare::compare(compared);
    }
    status(run(arguments))
}

fn run(arguments: &Load) -> Result<bool, String> {
    let path = arguments.plan.as_deref().unwrap_or(Path::new("")).display().to_string();
    let reading = Reading { library: &DiskLibrary, anywhere: arguments.anywhere, overrides: &arguments.set };
    let mut plan = read_plan(&path, reading)
        .map_err(|mistakes| mistakes.render(terminal::colour()).trim_end().to_owned())?;
    if let Some(cores) = arguments.cores {
        plan.cores = Some(cores.get());
    }
    ::load::engine::check(&plan).map_err(|why| format!("{path}: {why}"))?;
    let plan = Arc::new(plan);
    let theatre = Theatre {
        arguments,
        plan: plan.clone(),
        written: arguments.out.as_deref().map(Written::begin).transpose()?,
        metrics: arguments.listen_metrics.map(Metrics::serve).transpose()?,
        asked: asked_to_stop()?,
        machine: Machine::this(),
    };
    if plan.is_for_complete_phones() {
        let lab = match (&plan.target, &arguments.workers) {
            (Target::Lab { file: Some(lab), .. }, None) => lab,
            // Whoever read the plan saw to it that there is a lab.
            _ => return Err(format!("{path}: {}", EngineError::Complete)),
        };
        if !arguments.quiet {
            eprintln!("lab: {} complete phones of {lab} get ready", plan.phones.count);
        }
        let Complete { mut crew, services } = complete::start(&plan, lab, own_pool::network())?;
        return theatre.play(&mut crew, format!("the lab's own services ({lab})"), services, || None);
    }
    let mut own_pool = None;
    let server = match &plan.target {
        Target::Server(server) => server.clone(),
        Target::Lab { file, transport, digest } => {
            let pool = OwnPool::start(file.as_deref(), *digest, &plan.phones)?;
            own_pool.insert(pool).server(*transport)?
        }
    };
    let cores = theatre.machine.cores;
    let parts = plan.cores.unwrap_or(match own_pool {
        // The pool works on one thread, and needs it.
        Some(_) => cores.saturating_sub(1).max(1),
        None => cores,
    });
    let pid = own_pool.as_ref().map(OwnPool::pid).or(arguments.watch);
    let what = in_words(&server, own_pool.is_some());
    let said = || own_pool.and_then(OwnPool::stop);
    match &arguments.workers {
        None => {
            enough_files(&plan, server.transport, parts).map_err(|why| format!("{path}: {why}"))?;
            theatre.play(&mut Local::start(&plan, &server, parts), what, pid, said)
        }
        Some(broker) => {
            let mut workers = workers_of(arguments, broker, &plan, &server)?;
            theatre.play(&mut workers, what, pid, said)
        }
    }
}

/// Everything that a run needs besides those who do the work and those who bear it.
struct Theatre<'a> {
    arguments: &'a Load,
    plan: Arc<Plan>,
    written: Option<Written>,
    metrics: Option<Metrics>,
    asked: Arc<AtomicU32>,
    machine: Machine,
}

impl Theatre<'_> {
    /// Has a crew do the plan against `what`, whose process is looked at from outside and which is asked last what it has
    /// to say for itself; shows and writes what came of it. Whether all limits were kept.
    fn play(
        self,
        crew: &mut impl Crew,
        what: String,
        pid: Option<u32>,
        said: impl FnOnce() -> Option<serde_json::Value>,
    ) -> Result<bool, String> {
        let Theatre { arguments, plan, written, metrics, asked, machine } = self;
        let memory_before = pid.and_then(|pid| machine::memory(pid, "VmRSS"));
        let live = Live::new(&plan, &what, arguments.quiet);
        let mut desk = Desk { watch: Watch::new(pid), live, metrics, written, asked, heard: false };
        let started = written::now();
        let began = crate::certs::since_1970();
        let run = conduct(&plan, crew, &mut desk);
        let took = crate::certs::since_1970().saturating_sub(began);
        desk.live.clear();
        if !desk.heard {
            let why = run.lost.first().map_or("nobody did anything", |lost| &lost.why);
            return Err(format!("the load could not be made: {why}"));
        }
        let memory_peak = pid.and_then(|pid| machine::memory(pid, "VmHWM"));
        let server = ServerFacts { what, memory_before, memory_peak, said: said(), ..ServerFacts::default() };
        let outcome = Outcome::of(&plan, &run, Facts { started, took, machine, server });
        if let Some(written) = desk.written {
            written.finish(&outcome)?;
        }
        match (arguments.quiet, arguments.format) {
            (false, Format::Text) => terminal::print(&summary::text(&outcome)),
            (false, Format::Json) => {
                terminal::line(&serde_json::to_string(&summary::json(&outcome)).unwrap_or_default())
            }
            (true, _) => {
                for wrong in summary::wrong(&outcome) {
                    eprintln!("lab: {wrong}");
                }
            }
        }
        Ok(outcome.passed)
    }
}

/// The workers that wait at a broker.
fn workers_of(arguments: &Load, broker: &str, plan: &Plan, server: &Server) -> Result<Workers, String> {
    let broker = Broker::new(broker, &arguments.room).map_err(|why| why.to_string())?;
    let mut gathering = Gathering::new(broker);
    gathering.expect = arguments.expect.map(std::num::NonZeroUsize::get);
    let quiet = arguments.quiet;
    let mut say = |what: &str| {
        if !quiet {
            eprintln!("lab: {what}");
        }
    };
    gather(gathering, plan, server, &mut say).map_err(|why| why.to_string())
}

/// Who bears it, in words.
fn in_words(server: &Server, is_ours: bool) -> String {
    let transport = match server.transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    };
    let whose = if is_ours { "the lab's own pool" } else { "the server" };
    let trust = match &server.tls {
        Some(rules) if rules.roots.is_none() => ", whatever its certificate says",
        _ => "",
    };
    format!("{whose} at {} over {transport}{trust}", server.at)
}

/// Counts how often somebody has asked for an end. The second time is an order.
fn asked_to_stop() -> Result<Arc<AtomicU32>, String> {
    let asked = Arc::new(AtomicU32::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| format!("no event loop for signals: {why}"))?;
    let count = asked.clone();
    #[expect(clippy::disallowed_methods, reason = "load goes on while signals are awaited")]
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let Ok(mut signals) = Signals::new() else { return };
            loop {
                signals.next().await;
                if count.fetch_add(1, Ordering::AcqRel) > 0 {
                    std::process::exit(KILLED);
                }
            }
        });
    });
    Ok(asked)
}

/// Everybody who wants to know how it goes.
struct Desk {
    watch: Watch,
    live: Live,
    metrics: Option<Metrics>,
    written: Option<Written>,
    asked: Arc<AtomicU32>,
    /// Whether any part has said anything.
    heard: bool,
}

impl Watcher for Desk {
    fn beat(&mut self, beat: &Beat) {
        self.heard = true;
        if let Some(written) = &mut self.written {
            written.beat(beat);
        }
    }

    fn second(&mut self, row: &Row, counts: &Counts, series: &Series) {
        self.live.second(row, series);
        if let Some(metrics) = &self.metrics {
            metrics.second(row, counts);
        }
        if let Some(written) = &mut self.written {
            written.second(row, counts);
        }
    }

    fn news(&mut self, text: &str) {
        self.live.news(text);
    }

    fn sample(&mut self) -> Sample {
        self.watch.look()
    }

    fn is_stopped(&mut self) -> bool {
        self.asked.load(Ordering::Acquire) > 0
    }
}
