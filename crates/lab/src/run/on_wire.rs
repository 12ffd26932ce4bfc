//! `lab run --wire`: the same stories over real sockets, one after the other.

use scenario::cast::Ground;
use scenario::language::{Case, Story};
use scenario::mistakes::Colour;
use scenario::report::Outcome;
use wire::{Speed, Wire};

use super::outcomes::Printer;
use super::{Done, Job, Reports, thread_cpu_time};
use crate::arguments::Run;
use crate::files;

/// Tells every job, and hands what came of them to the printer.
pub fn tell_all(
    read: &[Story],
    jobs: &[Job],
    arguments: &Run,
    colour: Colour,
    printer: &mut Printer,
) -> Vec<Done> {
    let mut all = Vec::with_capacity(jobs.len());
    for job in jobs {
        let story = &read[job.story];
        match tell_one(story, &story.cases[job.case], job.seed, arguments, colour) {
            Ok(done) => {
                printer.print(&done);
                all.push(done);
            }
            Err(why) => printer.broken(&story.file, &why),
        }
    }
    all
}

fn tell_one(
    story: &Story,
    case: &Case,
    seed: Option<u64>,
    arguments: &Run,
    colour: Colour,
) -> Result<Done, String> {
    let seed = seed.unwrap_or(case.lab.seed);
    let used_before = thread_cpu_time();
    let ground = wire::Ground::probe(arguments.ground.network, arguments.ground.port_offset)?;
    let mut setup = wire::Setup::on(ground);
    setup.speed = arguments.speed.unwrap_or(Speed::REAL);
    setup.seed = seed;
    let mut world = Wire::new(setup).map_err(|why| why.to_string())?;
    if let Some(path) = &arguments.trace {
        world.start_capture(
            case.lab.epoch,
            &scenario::run::about(story, case, seed),
            Box::new(files::open_secret(path)?),
        );
    }
    let mut told = scenario::run::tell_case_in(world, case, &Ground::real(seed, ground.network))?;
    told.cast.world.finish_capture().map_err(|why| format!("the capture cannot be written: {why}"))?;
    let took = thread_cpu_time().saturating_sub(used_before);
    // A port that could not be had explains a failure better than what followed from it.
    if let Some(problem) = told.cast.world.take_problems().first() {
        return Err(problem.clone());
    }
    let outcome = Outcome::new(story, case.name.as_deref(), seed, &told, colour);
    Ok(Done::new(outcome, took, &told, Reports::wanted(arguments)))
}
