//! What a lab on real sockets takes from strangers: torture messages at every port, and ten thousand connections that
//! say next to nothing, beside a phone that must still sign in.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "strangers have sockets, processes and clocks of their own"
)]

#[path = "../../crates/sip/tests/support/files.rs"]
#[expect(dead_code, reason = "the tests of messages alone read files as messages")]
mod files;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use net::{Time, World as _};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use scenario::actor::Actor;
use scenario::cast::{Cast, Ground};
use scenario::director::Director;
use scenario::language::Story;
use scenario::mistakes::Colour;
use scenario::report::Outcome;
use tokio_tungstenite::tungstenite;
use whole::house::{Shelf, root};
use whole::telling::{story, story_of};
use wire::{Setup, Speed, Wire};

/// How many connections say next to nothing.
const SLOW: usize = 10_000;

/// How long anything here may take before the test gives up: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(120);

/// A lab on real sockets, on a network of its own, with the story's phones.
fn lab(story: &Story, speed: Speed, first: u8) -> Cast<Wire<Actor>> {
    let case = &story.cases[0];
    for attempt in 0..20 {
        let network = Ipv4Addr::new(127, first + attempt, 0, 0);
        let ground = wire::Ground::probe(network, 10_000).expect("loopback is there");
        let world = Wire::new(Setup { speed, seed: 7, ..Setup::on(ground) }).expect("a world");
        let ground = Ground::real(7, network);
        let mut cast = Cast::build_in(world, &case.lab, &case.phones, &ground).expect("the lab can be built");
        if cast.world.take_problems().is_empty() {
            return cast;
        }
    }
    panic!("no network of this machine has its ports free")
}

/// A lab that lives on a thread of its own as long as this does.
struct Living {
    pool: IpAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Living {
    fn start() -> Living {
        let (sender, receiver) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut cast = lab(&story_of("desk", "  - wait: 1s\n"), Speed::REAL, 200);
            let pool = cast.service("registrar").and_then(|who| cast.world.address_of(who));
            sender.send(pool.expect("the pool has an address")).expect("the test waits");
            while !stopped.load(Ordering::Relaxed) {
                let until = cast.world.now() + Duration::from_millis(50);
                cast.world.step(until);
            }
        });
        let pool = receiver.recv_timeout(PATIENCE).expect("the lab comes up");
        Living { pool, stop, thread: Some(thread) }
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.pool, port)
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let lived_well = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        assert!(lived_well || std::thread::panicking(), "the lab died");
    }
}

/// The torture messages with their verdicts: name, octets, what a datagram gets, what a stream gets.
fn torture() -> Vec<(String, Vec<u8>, String, String)> {
    let folder = root().join("crates/sip/tests");
    let table = std::fs::read_to_string(folder.join("verdicts.txt")).expect("the table of verdicts");
    let lines = table.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |name: &str| {
        let files = ["torture", "ipv6"].map(|kind| folder.join(kind).join(format!("{name}.sip")));
        let text =
            files.iter().find_map(|file| std::fs::read_to_string(file).ok()).expect("the message's file");
        files::octets(&text).to_vec()
    };
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            (columns[0].to_owned(), read(columns[0]), columns[1].to_owned(), columns[2].to_owned())
        })
        .collect()
}

/// A question that every SIP server answers.
fn options(at: SocketAddr, transport: &str, from: SocketAddr, number: usize) -> Vec<u8> {
    format!(
        "OPTIONS sip:contoso.example SIP/2.0\r\nVia: SIP/2.0/{transport} {from};branch=z9hG4bKprobe{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:probe@contoso.example>;tag=p{number}\r\nTo: <sip:contoso.example>\r\n\
         Call-ID: probe-{number}@{at}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// The statuses of the answers in some octets, but those to the probe.
fn statuses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for answer in text.split("SIP/2.0 ").skip(1) {
        // A message that the answer repeats may hold the version too; a status is three digits and a blank.
        let status: String = answer.chars().take(3).collect();
        let is_status = status.len() == 3 && status.chars().all(|c| c.is_ascii_digit());
        if is_status && answer.as_bytes().get(3) == Some(&b' ') && !answer.contains("z9hG4bKprobe") {
            found.push(status);
        }
    }
    found
}

fn verdict(mut words: Vec<String>, is_closed: bool) -> String {
    if is_closed {
        words.push("closed".to_owned());
    }
    if words.is_empty() { "silence".to_owned() } else { words.join("+") }
}

/// Reads what has come, until the end or until nothing comes any more; says whether it ended.
fn rest(stream: &mut impl Read, text: &mut String) -> bool {
    let mut buffer = [0; 65_536];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
            Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return false,
            // A TLS stream that ends without a goodbye, a reset.
            Err(_) => return true,
        }
    }
}

/// Asks the probe's question on a stream and waits for its answer.
fn probe(stream: &mut (impl Read + Write), at: SocketAddr, transport: &str, number: usize) {
    stream.write_all(&options(at, transport, at, number)).expect("the pool takes a question");
    let mut text = String::new();
    let mut buffer = [0; 65_536];
    while !(text.contains("SIP/2.0 200") && text.contains("\r\n\r\n")) {
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
            other => panic!("the pool does not answer a probe any more: {other:?}, got {text}"),
        }
    }
}

#[test]
fn torture_messages_get_their_verdict_by_udp() {
    let lab = Living::start();
    let at = lab.at(5060);
    let own = IpAddr::from([127, 0, 7, 60]);
    let socket = std::net::UdpSocket::bind((own, 5060)).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let from = socket.local_addr().expect("an address");
    let (mut wrong, mut elsewhere) = (Vec::new(), 0);
    for (number, (name, octets, wanted, _)) in torture().into_iter().enumerate() {
        // An answer goes to the port that the message names (RFC 3261 §18.2.2); only those to ours are heard, so that a
        // message with another port is only held to leaving the pool alive.
        socket.send_to(&octets, at).expect("sent");
        socket.send_to(&options(at, "UDP", from, number), at).expect("sent");
        let mut words = Vec::new();
        let mut buffer = [0; 65_536];
        loop {
            let (length, _) =
                socket.recv_from(&mut buffer).unwrap_or_else(|why| panic!("{name}: no answer: {why}"));
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(&format!("z9hG4bKprobe{number};")) {
                break;
            }
            words.extend(statuses(&text));
        }
        let came = verdict(words, false);
        let goes_elsewhere = came == "silence" && answers_elsewhere(&octets);
        elsewhere += usize::from(goes_elsewhere && wanted != "silence");
        if came != wanted && !goes_elsewhere {
            wrong.push(format!("{name}: {came} instead of {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(elsewhere <= ELSEWHERE_MAX, "of 61 answers {elsewhere} could not be heard");
}

/// How many torture messages name a port for their answers that is not listened to here.
const ELSEWHERE_MAX: usize = 2;

/// Whether a message names another port than 5060 for its answers.
fn answers_elsewhere(octets: &[u8]) -> bool {
    let text = String::from_utf8_lossy(octets).to_ascii_lowercase().replace("\r\n ", " ");
    let via =
        text.lines().find(|line| line.starts_with("via") || line.starts_with("v:") || line.starts_with("v "));
    let sent_by = via.and_then(|via| via.split_once("sip")).map_or("", |(_, rest)| rest);
    let sent_by = sent_by.split([';', ',']).next().unwrap_or("");
    let port = sent_by.rsplit(':').next().map(|port| port.trim().to_owned()).unwrap_or_default();
    port.parse::<u16>().is_ok_and(|port| port != 5060)
}

#[test]
fn torture_messages_get_their_verdict_by_tcp() {
    let lab = Living::start();
    let at = lab.at(5060);
    torture_streams(at, "TCP", || {
        let stream = connect(at);
        let second = stream.try_clone().expect("a second handle");
        (stream, second)
    });
}

#[test]
fn torture_messages_get_their_verdict_by_tls() {
    let lab = Living::start();
    let at = lab.at(5061);
    torture_streams(at, "TLS", || {
        let socket = connect(at);
        let second = socket.try_clone().expect("a second handle");
        (secured(socket), second)
    });
}

fn connect(at: SocketAddr) -> std::net::TcpStream {
    let socket = std::net::TcpStream::connect(at).expect("the pool accepts");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    socket
}

/// The same with TLS, whoever answers.
fn secured(socket: std::net::TcpStream) -> StreamOwned<ClientConnection, std::net::TcpStream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let name = ServerName::try_from("fe.contoso.example").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a session");
    StreamOwned::new(session, socket)
}

fn torture_streams<S: Read + Write>(
    at: SocketAddr,
    transport: &str,
    connect: impl Fn() -> (S, std::net::TcpStream),
) {
    let mut wrong = Vec::new();
    for (number, (name, octets, _, wanted)) in torture().into_iter().enumerate() {
        let (mut stream, socket) = connect();
        // The pool may end the connection in the middle of a message.
        let _ = stream.write_all(&octets).and_then(|()| stream.flush());
        // When the pool has answered somebody who came later, it has read this.
        let (mut other, _) = connect();
        probe(&mut other, at, transport, number);
        socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a time limit");
        let mut text = String::new();
        let is_closed = rest(&mut stream, &mut text);
        let came = verdict(statuses(&text), is_closed);
        if came != wanted {
            wrong.push(format!("{name}: {came} instead of {wanted}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Trusts anybody: what is tested here is not the certificate.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What a process of its own does for [`a_phone_signs_in_beside_ten_thousand_slow_connections`], as one process may not
/// have the sockets of both sides; tested by itself it has nobody to connect to and does nothing.
#[test]
fn opens_slow_connections() {
    let Ok(targets) = std::env::var("LAB_TEST_SLOW") else { return };
    let targets: Vec<SocketAddr> = targets.split(',').map(|at| at.parse().expect("an address")).collect();
    // Half a request, half a handshake, and what says one octet a second of either.
    const BEGINNINGS: [&[u8]; 3] =
        [b"GET / HTTP/1.1\r\nHost: fe.contoso", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b""];
    const TRICKLE: &[u8] = b"\x16\x03\x01\x02\x00\x01";
    let mut open: Vec<Option<std::net::TcpStream>> = (0..SLOW).map(|_| None).collect();
    for round in 0.. {
        let mut fresh = 0;
        for (number, slot) in open.iter_mut().enumerate() {
            let alive = slot.as_mut().is_some_and(|stream| {
                let trickles = number % 3 == 2;
                let mut buffer = [0; 256];
                let is_open = match stream.read(&mut buffer) {
                    Ok(length) => length > 0,
                    Err(why) => why.kind() == ErrorKind::WouldBlock,
                };
                is_open && (!trickles || stream.write(&TRICKLE[round % TRICKLE.len()..][..1]).is_ok())
            });
            if alive {
                continue;
            }
            *slot = std::net::TcpStream::connect(targets[number % targets.len()]).ok();
            if let Some(stream) = slot {
                let _ = stream.write(BEGINNINGS[number % 3]);
                let _ = stream.set_nonblocking(true);
                fresh += 1;
            }
        }
        let count = open.iter().flatten().count();
        println!("open {count} fresh {fresh}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
fn a_phone_signs_in_beside_ten_thousand_slow_connections() {
    let signs_in = story(&Shelf::default(), "scenarios/reboot/reboot.yaml");
    let mut cast = lab(&signs_in, Speed::Thousandths(10_000), 225);
    let address = |cast: &Cast<Wire<Actor>>, name: &str| {
        cast.service(name).and_then(|who| cast.world.address_of(who)).expect("an address")
    };
    let (pool, identity) = (address(&cast, "registrar"), address(&cast, "identity"));
    let targets = [(pool, 80), (pool, 443), (pool, 5061), (pool, 5060), (identity, 443), (identity, 80)];
    let targets = targets.map(|(ip, port)| SocketAddr::new(ip, port).to_string()).join(",");
    let mut slow = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "hostile::opens_slow_connections", "--nocapture"])
        .env("LAB_TEST_SLOW", targets)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process of its own");
    let open = Arc::new(AtomicUsize::new(0));
    let seen = open.clone();
    let lines = BufReader::new(slow.stdout.take().expect("its output")).lines();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(count) =
                line.strip_prefix("open ").and_then(|rest| rest.split(' ').next()?.parse().ok())
            {
                seen.store(count, Ordering::Relaxed);
            }
        }
    });
    // The lab lives while the connections come; when all are there, the story begins.
    let give_up = cast.world.now() + PATIENCE * 10;
    while open.load(Ordering::Relaxed) < SLOW && cast.world.now() < give_up {
        let until: Time = cast.world.now() + Duration::from_millis(500);
        cast.world.step(until);
    }
    let before = open.load(Ordering::Relaxed);
    let told = Director::new(cast).tell(&signs_in.cases[0].steps);
    let after = open.load(Ordering::Relaxed);
    let _ = slow.kill();
    let _ = slow.wait();
    let _ = reader.join();
    assert_eq!(before, SLOW, "the connections did not come about");
    assert!(after > SLOW * 8 / 10, "of {SLOW} connections {after} were there at the end");
    let outcome = Outcome::new(&signs_in, None, 7, &told, Colour::Without);
    if let Some(failure) = outcome.failure {
        panic!("\n{failure}");
    }
}

/// Opens a WebSocket at the pool with these subprotocols; what the handshake came to.
fn open_websocket<S: Read + Write>(
    stream: S,
    at: SocketAddr,
    protocols: &str,
) -> Result<tungstenite::WebSocket<S>, tungstenite::http::StatusCode> {
    use tungstenite::client::IntoClientRequest as _;
    let mut request = format!("ws://{at}/").into_client_request().expect("a request");
    if !protocols.is_empty() {
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().expect("a header"));
    }
    match tungstenite::client(request, stream) {
        Ok((socket, answer)) => {
            assert_eq!(answer.headers()["sec-websocket-protocol"], "sip");
            Ok(socket)
        }
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => Err(answer.status()),
        Err(why) => panic!("{why}"),
    }
}

/// Asks a few questions over a WebSocket: each is one message, and so is each answer.
fn asks_over_websocket<S: Read + Write>(stream: S, at: SocketAddr, transport: &str) {
    let socket = open_websocket(stream, at, "chat, sip");
    let mut socket = socket.unwrap_or_else(|status| panic!("refused: {status}"));
    for number in 0..3 {
        let question = String::from_utf8(options(at, transport, at, number)).expect("text");
        socket.send(tungstenite::Message::text(question)).expect("sent");
        let answer = socket.read().expect("an answer").into_text().expect("text").to_string();
        assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
        assert!(answer.contains(&format!("probe-{number}@")), "one message, one frame: {answer}");
    }
}

#[test]
fn a_browser_speaks_sip_over_websocket_and_who_does_not_is_told_so() {
    let lab = Living::start();
    let at = lab.at(5066);
    asks_over_websocket(connect(at), at, "WS");
    let secure = lab.at(7443);
    asks_over_websocket(secured(connect(secure)), secure, "WSS");
    for protocols in ["chat", ""] {
        let refused = open_websocket(connect(at), at, protocols).err();
        assert_eq!(refused.map(|status| status.as_u16()), Some(400), "{protocols}");
    }
}

#[test]
fn every_torture_message_is_there() {
    let names: BTreeMap<String, usize> =
        torture().into_iter().map(|(name, octets, ..)| (name, octets.len())).collect();
    assert_eq!(names.len(), 49 + 12);
    assert!(names.values().all(|length| *length > 0));
}
