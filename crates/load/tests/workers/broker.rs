//! A real nats-server for a test, and a stranger at it who speaks its protocol by hand.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A broker of this test's own, at a port of its own.
pub struct Nats {
    child: Child,
    pub port: u16,
    dir: PathBuf,
}

impl Nats {
    /// Starts one; nothing, said aloud, if this machine has no nats-server.
    pub fn start() -> Option<Nats> {
        Nats::start_at(-1)
    }

    fn start_at(port: i32) -> Option<Nats> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("lab-nats-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder for the broker's ports");
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--ports_file_dir"]).arg(&dir);
        let Ok(mut child) = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            eprintln!("SKIPPED: no nats-server on this machine (Debian's package has that name)");
            return None;
        };
        let ports = dir.join(format!("nats-server_{}.ports", child.id()));
        let deadline = Instant::now() + Duration::from_secs(60);
        let port = loop {
            let text = std::fs::read_to_string(&ports).unwrap_or_default();
            let digits = text.split_once("nats://127.0.0.1:").map(|(_, rest)| rest);
            let digits = digits.and_then(|rest| rest.split(|sign: char| !sign.is_ascii_digit()).next());
            if let Some(port) = digits.and_then(|digits| digits.parse().ok()) {
                break port;
            }
            assert!(child.try_wait().expect("a child").is_none(), "nats-server ended at once");
            assert!(Instant::now() < deadline, "nats-server does not say where it listens");
            std::thread::sleep(Duration::from_millis(20));
        };
        Some(Nats { child, port, dir })
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills it and starts another in its place.
    pub fn restart(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("and is gone");
        let next = Nats::start_at(i32::from(self.port)).expect("it was there before");
        *self = next;
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Somebody else at the broker.
pub struct Stranger {
    stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Stranger {
    pub fn at(nats: &Nats) -> Stranger {
        let mut stream = TcpStream::connect(("127.0.0.1", nats.port)).expect("the broker listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time limit");
        let lines = BufReader::new(stream.try_clone().expect("two ends"));
        stream.write_all(b"CONNECT {\"verbose\":false}\r\n").expect("taken");
        Stranger { stream, lines }
    }

    pub fn say(&mut self, subject: &str, octets: &[u8]) {
        let mut message = format!("PUB {subject} {}\r\n", octets.len()).into_bytes();
        message.extend_from_slice(octets);
        message.extend_from_slice(b"\r\n");
        self.stream.write_all(&message).expect("taken");
    }

    pub fn listen(&mut self, subject: &str) {
        self.stream.write_all(format!("SUB {subject} 1\r\n").as_bytes()).expect("taken");
    }

    /// The next message's subject and text.
    pub fn next(&mut self) -> (String, String) {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).expect("a line in time"), 0, "the broker hangs up");
            if line.starts_with("PING") {
                self.stream.write_all(b"PONG\r\n").expect("taken");
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["MSG", subject, _, .., length] = words[..] {
                let mut octets = vec![0; length.parse::<usize>().expect("a length") + 2];
                std::io::Read::read_exact(&mut self.lines, &mut octets).expect("a message");
                let text = String::from_utf8_lossy(&octets).trim_end().to_owned();
                return (subject.to_owned(), text);
            }
        }
    }
}

impl Stranger {
    /// Says yes to a join, and ends.
    pub fn obey(&mut self) {
        self.stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a time limit");
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).is_err() || line.is_empty() {
                return;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["MSG", subject, _, reply, length] = words[..] {
                let mut octets = vec![0; length.parse::<usize>().expect("a length") + 2];
                std::io::Read::read_exact(&mut self.lines, &mut octets).expect("a message");
                if subject.contains(".worker.") {
                    let reply = reply.to_owned();
                    self.say(&reply, b"\"yes\"");
                    return;
                }
            }
        }
    }
}
