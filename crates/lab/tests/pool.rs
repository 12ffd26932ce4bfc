//! `lab pool` as its users meet it: started as a program, spoken to over UDP, asked to stop.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "these tests start the program and speak to its sockets"
)]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take before the test counts as failed: far more than any machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pool with a thousand accounts, at an address of the test's own.
struct Pool {
    child: Child,
    said: BufReader<ChildStdout>,
    ready: Value,
    folder: PathBuf,
}

impl Pool {
    fn start(name: &str, address: &str, digest: &str) -> Pool {
        let folder = std::env::temp_dir().join(format!("lab-pool-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let lab = concat!(env!("CARGO_MANIFEST_DIR"), "/../../lab.yaml");
        let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["pool", lab, "--listen", address, "--udp", "15060", "--tcp", "15060", "--tls", "15061"])
            .args(["--accounts", "1000", "--user", "load{n:04}", "--password", "pw{n}", "--digest", digest])
            .args(["--format", "json", "--until-eof", "--certs"])
            .arg(folder.join("certs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut said = BufReader::new(child.stdout.take().expect("it speaks"));
        let mut line = String::new();
        said.read_line(&mut line).expect("it says that it is ready");
        let ready = serde_json::from_str(&line).expect("one line of JSON");
        Pool { child, said, ready, folder }
    }

    /// Sends a REGISTER and returns the answer's first line.
    fn register(&self, socket: &UdpSocket, user: &str, number: u32) -> String {
        let text = format!(
            "REGISTER sip:contoso.example SIP/2.0\r\nVia: SIP/2.0/UDP {at};rport;branch=z9hG4bK{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@contoso.example>;tag=1\r\nTo: <sip:{user}@contoso.example>\r\n\
             Call-ID: {user}\r\nCSeq: {number} REGISTER\r\nContact: <sip:{user}@{at}>\r\nExpires: 600\r\n\
             Content-Length: 0\r\n\r\n",
            at = socket.local_addr().expect("it is bound"),
        );
        let to = self.ready["udp"].as_str().expect("it serves UDP");
        socket.send_to(text.as_bytes(), to).expect("sent");
        let mut buffer = [0; 4096];
        let (length, _) = socket.recv_from(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..length]).lines().next().unwrap_or_default().to_owned()
    }

    /// Lets it end, and returns what it says it has served.
    fn end(mut self) -> Value {
        drop(self.child.stdin.take());
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("it says what it has served");
        assert!(self.child.wait().expect("it ends").success());
        let _ = std::fs::remove_dir_all(&self.folder);
        serde_json::from_str(&rest).expect("one line of JSON")
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("it can");
    socket
}

#[test]
fn a_pool_that_believes_everybody_registers_a_fleet_and_says_so_at_the_end() {
    let pool = Pool::start("none", "127.78.0.1", "none");
    assert_eq!(pool.ready["ready"], true);
    assert_eq!(pool.ready["digest"], "none");
    let socket = socket();
    for number in 1..=3 {
        assert_eq!(pool.register(&socket, "load0999", number), "SIP/2.0 200 OK");
    }
    assert_eq!(pool.register(&socket, "load0000", 4), "SIP/2.0 200 OK");
    let stranger = pool.register(&socket, "load1000", 5);
    assert!(stranger.starts_with("SIP/2.0 404") || stranger.starts_with("SIP/2.0 403"), "{stranger}");
    let served = pool.end();
    let served = &served["served"];
    assert_eq!(served["bindings"], 2);
    assert_eq!(served["datagrams_in"], 5);
    assert_eq!(served["datagrams_out"], 5);
    assert_eq!(served["events"]["registered"], 2);
    assert_eq!(served["events"]["registration-refreshed"], 2);
}

#[test]
fn a_pool_that_asks_for_a_digest_challenges_known_and_unknown_alike() {
    let pool = Pool::start("md5", "127.78.0.2", "md5");
    let socket = socket();
    for (number, user) in [(1, "load0001"), (2, "nobody")] {
        assert_eq!(pool.register(&socket, user, number), "SIP/2.0 401 Unauthorized");
    }
    let served = pool.end();
    assert_eq!(served["served"]["bindings"], 0);
    assert_eq!(served["served"]["events"]["challenged"], 2);
}
