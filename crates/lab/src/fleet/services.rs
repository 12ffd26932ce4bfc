//! The identity service and the pools in a program of their own, started for the run and stopped after it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::arguments::Fleet as Arguments;

/// The program. Dropping it stops it.
#[derive(Debug)]
pub struct Services {
    child: Child,
}

impl Services {
    /// Starts it and waits until it says that everything listens.
    pub fn start(arguments: &Arguments) -> Result<Services, String> {
        let own =
            std::env::current_exe().map_err(|why| format!("this program cannot be found again: {why}"))?;
        #[expect(clippy::disallowed_methods, reason = "`lab` starts itself a second time")]
        let mut command = Command::new(own);
        let [a, b, ..] = arguments.ground.network.octets();
        command.arg("up").arg(&arguments.lab).args(["--only", "services", "--format", "json", "--fresh"]);
        command.args(["--control", "127.0.0.1:0", "--no-ipv6", "--network", &format!("{a}.{b}.0.0/16")]);
        command.args(["--port-offset", &arguments.ground.port_offset.to_string()]);
        command.arg("--certs").arg(&arguments.certs).arg("--state").arg(&arguments.state);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|why| format!("the services cannot be started: {why}"))?;
        let mut line = String::new();
        let told = child.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        let services = Services { child };
        match told {
            Some(Ok(_)) if line.contains("\"ready\":true") => Ok(services),
            _ => Err("the services did not start; what they said of it stands above".to_owned()),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        self.terminate();
    }

    fn terminate(&mut self) {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has ended by itself is waited for all the same.
        let asked = pid.map(|pid| kill_process(pid, Signal::TERM));
        if !matches!(asked, Some(Ok(()))) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
        }
    }
}
