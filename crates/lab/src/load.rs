//! `lab load`: a plan is read, a server found or started, load made, and what came of it shown and written.

mod compare;
mod live;
mod metrics;
mod own_pool;
mod written;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ::load::conduct::{Row, Sample, Series, Watcher, conduct};
use ::load::language::{Reading, read_plan};
use ::load::local::Local;
use ::load::machine::{self, Machine, Watch};
use ::load::outcome::result::{Facts, Outcome, ServerFacts};
use ::load::outcome::summary;
use ::load::plan::{Plan, Server, Target, Transport};
use ::load::workers::{Broker, Gathering, Workers, gather};
use ::load::{Beat, Counts};

use self::live::Live;
use self::metrics::Metrics;
use self::own_pool::OwnPool;
use self::written::Written;
use crate::arguments::{Format, Load, LoadOther};
use crate::files::DiskLibrary;
use crate::signals::Signals;
use crate::{BROKEN, FAILED, PASSED, terminal};

/// Exit status of a program that was killed by Ctrl-C.
const KILLED: i32 = 130;

/// Offers load, or compares.
pub fn load(arguments: &Load) -> u8 {
    if let Some(LoadOther::Compare(compared)) = &arguments.other {
        return compare::compare(compared);
    }
    match run(arguments) {
        Ok(true) => PASSED,
        Ok(false) => FAILED,
        Err(why) => {
            eprintln!("lab: {why}");
            BROKEN
        }
    }
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
    let written = match &arguments.out {
        Some(folder) => Some(Written::begin(folder)?),
        None => None,
    };
    let metrics = match arguments.listen_metrics {
        Some(at) => Some(Metrics::serve(at)?),
        None => None,
    };
    let asked = asked_to_stop()?;
    let machine = Machine::this();
    let mut own_pool = None;
    let server = match &plan.target {
        Target::Server(server) => server.clone(),
        Target::Lab { file, transport, digest } => {
            let pool = OwnPool::start(file.as_deref(), *digest, &plan.phones)?;
            own_pool.insert(pool).server(*transport)?
        }
    };
    let parts = plan.cores.unwrap_or(match own_pool {
        // The pool works on one thread, and needs it.
        Some(_) => machine.cores.saturating_sub(1).max(1),
        None => machine.cores,
    });
    let pid = own_pool.as_ref().map(OwnPool::pid).or(arguments.watch);
    let what = in_words(&server, own_pool.is_some());
    let memory_before = pid.and_then(|pid| machine::memory(pid, "VmRSS"));
    let live = Live::new(&plan, &what, arguments.quiet);
    let mut desk = Desk { watch: Watch::new(pid), live, metrics, written, asked, heard: false };
    let started = written::now();
    let began = crate::certs::since_1970();
    let plan = Arc::new(plan);
    let run = match &arguments.workers {
        None => conduct(&plan, &mut Local::start(&plan, &server, parts), &mut desk),
        Some(broker) => {
            let mut workers = workers_of(arguments, broker, &plan, &server)?;
            conduct(&plan, &mut workers, &mut desk)
        }
    };
    let took = crate::certs::since_1970().saturating_sub(began);
    desk.live.clear();
    if !desk.heard {
        let why = run.lost.first().map_or("nobody did anything", |lost| &lost.why);
        return Err(format!("the load could not be made: {why}"));
    }
    let memory_peak = pid.and_then(|pid| machine::memory(pid, "VmHWM"));
    let said = own_pool.map(OwnPool::stop);
    let server =
        ServerFacts { what, memory_before, memory_peak, said: said.flatten(), ..ServerFacts::default() };
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
