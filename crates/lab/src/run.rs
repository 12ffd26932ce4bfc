//! `lab run`: stories told over all cores, and what came of them in the order in which they were named.

mod on_wire;
mod outcomes;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use scenario::World;
use scenario::actor::Actor;
use scenario::director::Told;
use scenario::language::{Reading, Story, read_story};
use scenario::mistakes::Colour;
use scenario::report::{Detail, Outcome, ladder, tale};

use self::outcomes::{Printer, junit};
use crate::arguments::{Run, Seeds};
use crate::files::{self, DiskLibrary, stories};
use crate::{BROKEN, FAILED, PASSED, terminal};

/// One telling: a case of a story with a seed.
#[derive(Clone, Copy, Debug)]
struct Job {
    story: usize,
    case: usize,
    seed: Option<u64>,
}

/// What is kept of a telling beside its outcome.
#[derive(Clone, Copy, Debug)]
struct Reports {
    ladder: bool,
    tale: bool,
    logs: bool,
}

impl Reports {
    fn wanted(arguments: &Run) -> Reports {
        Reports {
            ladder: arguments.ladder || arguments.report.is_some(),
            tale: arguments.tale || arguments.report.is_some(),
            logs: arguments.report.is_some(),
        }
    }
}

/// What came of a telling, with what it cost.
#[derive(Debug)]
struct Done {
    outcome: Outcome,
    /// CPU time.
    took: Duration,
    ladder: Option<String>,
    tale: Option<String>,
    /// The phones' own logs, by phone.
    logs: Vec<(String, String)>,
    /// Pictures of displays as PNG files, by name.
    pictures: Vec<(String, Vec<u8>)>,
}

/// Tells the stories.
pub fn run(arguments: &Run) -> u8 {
    let colour = terminal::colour();
    let read = match read_all(arguments, colour) {
        Ok(read) => read,
        Err(status) => return status,
    };
    // What is made once for all stories is start-up, and no story's cost.
    scenario::run::prepare();
    let jobs = jobs(&read, arguments);
    if let Err(why) = one_trace(&read, &jobs, arguments) {
        eprintln!("lab: {why}");
        return BROKEN;
    }
    let mut printer = Printer::new(arguments, colour);
    let done = match arguments.wire {
        false => tell_all(&read, &jobs, arguments, colour, &mut printer),
        true => on_wire::tell_all(&read, &jobs, arguments, colour, &mut printer),
    };
    let mut broken = false;
    if let Some(path) = &arguments.junit {
        broken |= complain(files::write(path, junit(&done).as_bytes()));
    }
    if let Some(folder) = &arguments.report {
        for one in &done {
            broken |= complain(write_report(folder, one));
        }
    }
    printer.finish(&done);
    let failed = done.iter().any(|one| one.outcome.failure.is_some());
    match (broken || printer.is_broken(), failed) {
        (true, _) => BROKEN,
        (false, true) => FAILED,
        (false, false) => PASSED,
    }
}

fn complain(result: Result<(), String>) -> bool {
    match result {
        Ok(()) => false,
        Err(why) => {
            eprintln!("lab: {why}");
            true
        }
    }
}

fn read_all(arguments: &Run, colour: Colour) -> Result<Vec<Story>, u8> {
    let paths = stories(&arguments.paths).map_err(|why| {
        eprintln!("lab: {why}");
        BROKEN
    })?;
    let lab = arguments.lab.display().to_string();
    let reading = Reading { library: &DiskLibrary, vocabulary: scenario::run::vocabulary(), lab: &lab };
    let mut read = Vec::new();
    let mut printed = std::collections::BTreeSet::new();
    for path in paths {
        match read_story(&path.display().to_string(), reading) {
            Ok(story) => read.push(story),
            Err(mistakes) => {
                let text = mistakes.render(colour);
                if printed.insert(text.clone()) {
                    eprint!("{text}");
                }
            }
        }
    }
    if printed.is_empty() { Ok(read) } else { Err(BROKEN) }
}

fn jobs(read: &[Story], arguments: &Run) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (story, of) in read.iter().enumerate() {
        for case in 0..of.cases.len() {
            match arguments.seeds {
                Some(Seeds { first, last }) => {
                    jobs.extend((first..=last).map(|seed| Job { story, case, seed: Some(seed) }));
                }
                None => jobs.push(Job { story, case, seed: arguments.seed }),
            }
        }
    }
    jobs
}

/// A trace file has room for one telling.
fn one_trace(read: &[Story], jobs: &[Job], arguments: &Run) -> Result<(), String> {
    let Some(path) = &arguments.trace else { return Ok(()) };
    let path = path.display();
    let why = match (jobs, read) {
        ([_], _) => return Ok(()),
        ([], _) => return Err(format!("--trace {path}: there is nothing to tell")),
        (_, [_, _, ..]) => format!("{} stories; name one of them", read.len()),
        (_, [story]) if story.cases.len() > 1 => {
            format!("the {} rows of the table of {}", story.cases.len(), story.file)
        }
        _ => format!("{} seeds; give one with --seed", jobs.len()),
    };
    Err(format!("--trace {path}: one file cannot hold the captures of {why}"))
}

/// Tells every job, each on one core, and hands what came of them to the printer in the jobs' order.
fn tell_all(
    read: &[Story],
    jobs: &[Job],
    arguments: &Run,
    colour: Colour,
    printer: &mut Printer,
) -> Vec<Done> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = arguments.jobs.map_or(cores, usize::from).min(jobs.len()).max(1);
    let next = AtomicUsize::new(0);
    let waiting: Mutex<BTreeMap<usize, Result<Done, String>>> = Mutex::new(BTreeMap::new());
    let arrived = std::sync::Condvar::new();
    let reports = Reports::wanted(arguments);
    let mut all = Vec::with_capacity(jobs.len());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { return };
                    let done = tell_one(&read[job.story], *job, colour, reports, arguments.trace.as_deref());
                    let mut waiting = waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    waiting.insert(index, done);
                    arrived.notify_all();
                }
            });
        }
        for index in 0..jobs.len() {
            let mut guard = waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let done = loop {
                if let Some(done) = guard.remove(&index) {
                    break done;
                }
                guard = arrived.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner);
            };
            drop(guard);
            match done {
                Ok(done) => {
                    printer.print(&done);
                    all.push(done);
                }
                Err(why) => printer.broken(&read[jobs[index].story].file, &why),
            }
        }
    });
    all
}

fn tell_one(
    story: &Story,
    job: Job,
    colour: Colour,
    reports: Reports,
    trace: Option<&Path>,
) -> Result<Done, String> {
    let used_before = thread_cpu_time();
    let case = &story.cases[job.case];
    let (outcome, told) = match trace {
        None => scenario::run::tell(story, case, job.seed, colour)?,
        Some(path) => {
            let file = Box::new(files::open_secret(path)?);
            scenario::run::tell_traced(story, case, job.seed, colour, file)?
        }
    };
    let took = thread_cpu_time().saturating_sub(used_before);
    Ok(Done::new(outcome, took, &told, reports))
}

impl Done {
    fn new<W: World<Actor>>(outcome: Outcome, took: Duration, told: &Told<W>, reports: Reports) -> Done {
        let ladder = reports.ladder.then(|| ladder(told.cast.world.journal(), Detail::Told));
        let tale = reports.tale.then(|| tale(&told.cast));
        let logs = if reports.logs { told.cast.phone_logs() } else { Vec::new() };
        let drawn = told.cast.pictures().iter().filter(|_| reports.logs);
        let pictures = drawn.map(|picture| (picture.name.clone(), picture.png())).collect();
        Done { outcome, took, ladder, tale, logs, pictures }
    }
}

/// The CPU time that this thread has used: what a telling costs, whatever else the machine does. A story is told by
/// one thread from beginning to end.
fn thread_cpu_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let secs = u64::try_from(used.tv_sec).unwrap_or(0);
    Duration::new(secs, u32::try_from(used.tv_nsec).unwrap_or(0))
}

fn write_report(folder: &Path, done: &Done) -> Result<(), String> {
    let outcome = &done.outcome;
    let stem: String = format!("{} {} {}", outcome.file, outcome.name, outcome.seed)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let stem: Vec<&str> = stem.split('-').filter(|part| !part.is_empty()).collect();
    let stem = stem.join("-");
    if let Some(ladder) = &done.ladder {
        files::write(&folder.join(format!("{stem}.ladder.txt")), ladder.as_bytes())?;
    }
    if let Some(tale) = &done.tale {
        files::write(&folder.join(format!("{stem}.tale.txt")), tale.as_bytes())?;
    }
    for (phone, log) in &done.logs {
        files::write(&folder.join(format!("{stem}.{phone}.log")), log.as_bytes())?;
    }
    for (name, png) in &done.pictures {
        files::write(&folder.join(format!("{stem}.{name}.png")), png)?;
    }
    let json = format!("{:#}\n", outcomes::json(done));
    files::write(&folder.join(format!("{stem}.json")), json.as_bytes())
}
