//! The command line: reads files and arguments, picks seeds, tells stories over all cores, prints.
//!
//! This is where the machine comes in: files, arguments, the terminal, the stopwatch. Everything below it is
//! given values.

mod arguments;
mod certs;
mod check;
mod files;
mod fleet;
mod load;
mod pool;
mod run;
mod signals;
mod terminal;
mod up;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Command};

/// Messages come and go by the ten thousand a second, and the system's own allocator takes a fifth of that time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// All passed.
const PASSED: u8 = 0;
/// A story failed, or `lab check` found mistakes.
const FAILED: u8 = 1;
/// A file is wrong, or the run could not start.
const BROKEN: u8 = 2;

/// The exit status of a command that went well, found something failing, or could not do its work and says why.
fn status(result: Result<bool, String>) -> u8 {
    match result {
        Ok(true) => PASSED,
        Ok(false) => FAILED,
        Err(why) => {
            eprintln!("lab: {why}");
            BROKEN
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ExitCode::from(match arguments.command {
        Command::Run(run) => run::run(&run),
        Command::Check(check) => check::check(&check),
        Command::Schema(schema) => check::schema(&schema),
        Command::Up(up) => up::up(&up),
        Command::Pool(pool) => pool::pool(&pool),
        Command::Worker(worker) => worker::worker(&worker),
        Command::Load(load) => load::load(&load),
        Command::Fleet(what) => fleet::fleet(&what),
        Command::Certs(certs) => certs::certs(&certs),
    })
}
