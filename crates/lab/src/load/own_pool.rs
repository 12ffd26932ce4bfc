//! The lab's own pool as a program beside this one, for the length of a run.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use ::load::plan::{Accounts, Digest, Phones, Server, TlsRules, Transport};
use serde_json::Value;

use crate::files;

/// The lab of plans that name none.
const LAB: &str = "domain: load.example\npools: { fe: { host: fe.load.example, plain-sip: {} } }\n";
/// How long the pool may take to be ready: a million accounts and new certificates included.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END_WITHIN: Duration = Duration::from_secs(20);

/// A pool that runs.
pub struct OwnPool {
    child: Child,
    /// The pool ends when this is closed: it never outlives this program.
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    ready: Value,
    folder: PathBuf,
}

impl OwnPool {
    /// Starts it, with an account for each phone, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// A sentence if it does not come up.
    pub fn start(lab: Option<&str>, digest: Digest, phones: &Phones) -> Result<OwnPool, String> {
        let folder = std::env::temp_dir().join(format!("lab-load-{}", std::process::id()));
        let lab = match lab {
            Some(lab) => PathBuf::from(lab),
            None => {
                let path = folder.join("lab.yaml");
                files::write(&path, LAB.as_bytes())?;
                path
            }
        };
        let program =
            std::env::current_exe().map_err(|why| format!("this program's own file is not known: {why}"))?;
        #[expect(
            clippy::disallowed_methods,
            reason = "the pool is measured by itself: it is a program of its own"
        )]
        let mut command = Command::new(program);
        command.arg("pool").arg(&lab).arg("--certs").arg(folder.join("certs"));
        command.args(["--format", "json", "--until-eof", "--network", &format!("{}/16", network())]);
        command.args(["--accounts", &phones.count.to_string()]);
        if let Accounts::Pattern { user, password } = &phones.accounts {
            command.args(["--user", user]);
            if let Some(password) = password {
                command.args(["--password", password]);
            }
        }
        command.args([
            "--digest",
            match digest {
                Digest::None => "none",
                Digest::Md5 => "md5",
                Digest::Sha256 => "sha-256",
            },
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is for this program, which then ends the pool when it has heard its answers.
        {
            use std::os::unix::process::CommandExt as _;
            command.process_group(0);
        }
        let mut child = command.spawn().map_err(|why| format!("the pool cannot be started: {why}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or("the pool has no standard output")?;
        let (tell, lines) = channel();
        #[expect(clippy::disallowed_methods, reason = "load is made while the pool is listened to")]
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let mut pool = OwnPool { child, stdin, lines, ready: Value::Null, folder };
        let line = pool.lines.recv_timeout(READY_WITHIN).map_err(|_| match pool.child.try_wait() {
            Ok(Some(status)) => format!("the pool ended before it was ready ({status})"),
            _ => format!("the pool was not ready within {} s", READY_WITHIN.as_secs()),
        })?;
        pool.ready =
            serde_json::from_str(&line).map_err(|_| format!("the pool says `{line}`, which is not JSON"))?;
        Ok(pool)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where phones reach it.
    ///
    /// # Errors
    ///
    /// A sentence if it does not listen there.
    pub fn server(&self, transport: Transport) -> Result<Server, String> {
        let text = |key: &str| self.ready.get(key).and_then(Value::as_str);
        let name = match transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        let at = text(name).and_then(|at| at.parse::<SocketAddr>().ok());
        let at =
            at.ok_or_else(|| format!("the lab's pool does not serve ordinary user agents over {name}"))?;
        let (domain, host) = text("domain").zip(text("host")).ok_or("the pool does not say its domain")?;
        let tls = match transport {
            Transport::Udp | Transport::Tcp => None,
            Transport::Tls => {
                let pool = text("pool").unwrap_or("fe");
                let path = self.folder.join("certs").join(format!("{pool}-root.pem"));
                Some(TlsRules { server_name: host.to_owned(), roots: Some(read(&path)?) })
            }
        };
        Ok(Server { at, transport, domain: domain.to_owned(), tls })
    }

    /// Ends it; returns what it says it has served.
    pub fn stop(mut self) -> Option<Value> {
        drop(self.stdin.take());
        let last = self.lines.recv_timeout(END_WITHIN).ok()?;
        let mut said: Value = serde_json::from_str(&last).ok()?;
        Some(said.get_mut("served").map(Value::take).unwrap_or(said))
    }
}

impl Drop for OwnPool {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // Its last line was heard, or it will not come: it is either on its way out or stuck.
        for _ in 0..50 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                break;
            }
            #[expect(clippy::disallowed_methods, reason = "the pool is given a moment to end in good order")]
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn read(path: &Path) -> Result<String, String> {
    use scenario::language::Library as _;
    let octets = files::DiskLibrary.read(&path.display().to_string(), 1 << 20);
    let octets = octets.map_err(|why| format!("{}: {why}", path.display()))?;
    String::from_utf8(octets).map_err(|_| format!("{}: is no text", path.display()))
}

/// A network of its own for each run, apart from those of `lab up` and of other runs on this machine.
pub fn network() -> Ipv4Addr {
    // Below 224.
    Ipv4Addr::new(127, 128 + (std::process::id() % 96) as u8, 0, 0)
}
