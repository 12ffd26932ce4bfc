//! What this machine says: which it is, what a program uses, and what the neighbours do.

use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::conduct::Sample;

/// Which machine a run was made on: results of different ones cannot be compared without a warning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// What the processor calls itself.
    pub processor: String,
    /// How many cores this program may use.
    pub cores: u32,
    /// The kernel's name and release.
    pub kernel: String,
    /// Memory, in octets.
    pub memory: u64,
}

impl Machine {
    /// This one.
    pub fn this() -> Machine {
        let name = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        let after = |path: &str, key: &str| {
            let file = std::fs::read_to_string(path).unwrap_or_default();
            let line = file.lines().find(|line| line.starts_with(key))?.split_once(':')?.1.trim().to_owned();
            Some(line)
        };
        let kib = after("/proc/meminfo", "MemTotal").and_then(|it| it.split(' ').next()?.parse::<u64>().ok());
        Machine {
            processor: after("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, |it| it.get() as u32),
            kernel: format!("{} {}", text(name.sysname()), text(name.release())),
            memory: kib.unwrap_or(0) * 1024,
        }
    }
}

/// How many processes of a server are looked at.
const FAMILY_MAX: usize = 1024;

/// Watches the machine from second to second.
#[derive(Debug)]
pub struct Watch {
    server: Option<u32>,
    at: Instant,
    /// Ticks: everybody's, this program's, the server's.
    before: (Option<u64>, Option<u64>, Option<u64>),
    ticks_per_second: f64,
}

impl Watch {
    /// Watches neighbours, and the server if it is a process of this machine.
    pub fn new(server: Option<u32>) -> Watch {
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        let mut watch = Watch { server, at: Instant::now(), before: (None, None, None), ticks_per_second };
        watch.before = watch.ticks();
        watch
    }

    fn ticks(&self) -> (Option<u64>, Option<u64>, Option<u64>) {
        (all_ticks(), process_ticks("self"), self.server.and_then(family_ticks))
    }

    /// What has been since the last look.
    pub fn look(&mut self) -> Sample {
        let (now, at) = (self.ticks(), Instant::now());
        let seconds = (at - self.at).as_secs_f64();
        let passed = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
        let (all, own) = (passed(now.0, self.before.0), passed(now.1, self.before.1));
        let server = passed(now.2, self.before.2);
        let others = all.zip(own).map(|(all, own)| all.saturating_sub(own + server.unwrap_or(0)));
        // Looks that follow each other at once, after a delay, tell nothing of neighbours.
        let neighbours =
            others.filter(|_| seconds > 0.2).map(|it| it as f64 / self.ticks_per_second / seconds);
        (self.before, self.at) = (now, at);
        Sample {
            server_cpu_ns: server.map(|ticks| (ticks as f64 / self.ticks_per_second * 1e9) as u64),
            server_memory: self.server.and_then(|pid| memory(pid, "VmRSS")),
            neighbours,
        }
    }
}

/// Ticks in which any core of the machine did something (proc(5): all of the first line less idle and iowait).
fn all_ticks() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let numbers: Vec<u64> =
        text.lines().next()?.split_whitespace().skip(1).filter_map(|it| it.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq, steal; what guests use is in user already.
    Some([0, 1, 2, 5, 6].iter().filter_map(|index| numbers.get(*index)).sum())
}

/// Ticks that a process used, in user and in system mode.
fn process_ticks(pid: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, and may hold anything.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Ticks that a process used, and all that it started and that are still there: many servers are several processes.
fn family_ticks(first: u32) -> Option<u64> {
    let mut family = vec![first];
    let mut index = 0;
    while let Some(pid) = family.get(index).copied()
        && family.len() < FAMILY_MAX
    {
        index += 1;
        // A process that has ended meanwhile has no children any more.
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for thread in threads.flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|it| it.parse::<u32>().ok()));
        }
    }
    let own = process_ticks(&first.to_string())?;
    let others = family.iter().skip(1).filter_map(|pid| process_ticks(&pid.to_string()));
    Some(own + others.sum::<u64>())
}

/// Memory of a process, in octets: `VmRSS` now, `VmHWM` at most.
pub fn memory(pid: u32, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
