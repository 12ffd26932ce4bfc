//! What the machine says of a program: CPU, memory, open files.

use std::time::Duration;

use crate::files;

/// The clock of `/proc`: USER_HZ, which is 100 on every Linux that people meet.
const TICKS_A_SECOND: u64 = 100;

/// What a program used so far, and what it holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Use {
    /// CPU, user and system.
    pub cpu: Duration,
    /// Memory at the moment, and at most so far, in KiB (`VmRSS`, `VmHWM`).
    pub memory_kib: (u64, u64),
    /// Open files.
    pub files: usize,
}

impl Use {
    /// Of this program.
    pub fn own() -> Use {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let secs = u64::try_from(used.tv_sec).unwrap_or(0);
        let cpu = Duration::new(secs, u32::try_from(used.tv_nsec).unwrap_or(0));
        Use { cpu, ..Use::of("self") }
    }

    /// Of another; nothing if it has gone. Its CPU is known to a hundredth of a second.
    pub fn of_program(pid: u32) -> Use {
        Use::of(&pid.to_string())
    }

    fn of(who: &str) -> Use {
        let status = files::read_proc(&format!("/proc/{who}/status"));
        let line = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        let stat = files::read_proc(&format!("/proc/{who}/stat"));
        // The program's name stands in parentheses and may hold anything; what counts comes behind it.
        let fields = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        let ticks: u64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Use {
            cpu: Duration::from_millis(ticks * 1000 / TICKS_A_SECOND),
            memory_kib: (line("VmRSS:"), line("VmHWM:")),
            files: files::count_entries(&format!("/proc/{who}/fd")),
        }
    }
}

/// A stopwatch for people.
#[derive(Debug)]
pub struct Watch {
    #[expect(clippy::disallowed_types, reason = "a stopwatch for people")]
    started: std::time::Instant,
}

impl Watch {
    /// Starts it.
    #[expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a stopwatch for people")]
    pub fn start() -> Watch {
        Watch { started: std::time::Instant::now() }
    }

    /// How long since it was started.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
