//! `lab worker`: waits at a broker for load plans, and does its share of one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use load::workers::{Broker, Engine, Task, WorkerSetup, serve};

use crate::arguments::Worker;
use crate::signals::Signals;
use crate::status;

/// How many files a worker may open on a machine that has no limit.
const FILES_UNLIMITED: u64 = 1_000_000;

/// Works until it is asked to stop.
pub fn worker(arguments: &Worker) -> u8 {
    status(run(arguments).map(|()| true))
}

fn run(arguments: &Worker) -> Result<(), String> {
    let broker = Broker::new(&arguments.broker, &arguments.run).map_err(|why| why.to_string())?;
    let setup = WorkerSetup {
        broker,
        name: arguments.name.clone(),
        cores: arguments.cores.map(Into::into),
        files: wire::limits::raise_files().unwrap_or(FILES_UNLIMITED),
        anywhere: arguments.anywhere,
    };
    let stop = stopper()?;
    serve(setup, engine(), &stop, &mut |line| eprintln!("lab: {line}")).map_err(|why| why.to_string())
}

/// What a worker does for each part.
fn engine() -> Engine {
    Arc::new(|task: Task| {
        let Task { plan, server, part, start, orders, beats } = task;
        load::engine::run(&plan, &server, part, start, orders, beats).map_err(|why| why.to_string())
    })
}

/// Becomes true when somebody asks for an end. Who asks a second time does not want to wait.
fn stopper() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|why| format!("no event loop for signals: {why}"))?;
    let (ready, is_ready) = mpsc::channel();
    let flag = stop.clone();
    #[expect(clippy::disallowed_methods, reason = "a worker does not wait for signals")]
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let signals = Signals::new();
            let _ = ready.send(signals.is_ok());
            if let Ok(mut signals) = signals {
                signals.next().await;
                flag.store(true, Ordering::Relaxed);
                eprintln!("lab: tells what was done, and leaves; once more leaves at once");
                signals.next().await;
                std::process::exit(130);
            }
        });
    });
    match is_ready.recv() {
        Ok(true) => Ok(stop),
        _ => Err("this machine does not tell of Ctrl-C and TERM".to_owned()),
    }
}
