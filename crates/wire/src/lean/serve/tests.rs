//! Actors served over real sockets, within their limits.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream, UdpSocket};

use net::tls::{ClientTls, Credentials, NameCheck, ServerTls, TlsSession, Trust};
use net::{Closed, Crypto, ListenSecurity, Note, Random, StreamEvent, Wall, WallClock};

use super::*;

const HOST: &str = "echo.example";
/// Ports below 1024 are moved by the ground, so these are free ones.
const UDP: u16 = 41_001;
const TCP: u16 = 41_002;
const TLS: u16 = 41_003;

/// Says what it hears, once what it hears is on its disk.
struct Echo {
    address: IpAddr,
    tls: Arc<ServerTls>,
    waiting: BTreeMap<RecordId, (StreamId, Bytes)>,
    closed: Vec<Closed>,
    woken_at: Option<Time>,
}

impl Node for Echo {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(_) => {
                out.address(Some(self.address));
                out.listen(UDP, ListenSecurity::Udp);
                out.listen(TCP, ListenSecurity::Tcp);
                out.listen(TLS, ListenSecurity::Tls(self.tls.clone()));
                self.woken_at = Some(now + Duration::from_millis(1));
            }
            Input::Datagram(datagram) => {
                out.note(Note::event("heard", "somebody", "something"));
                out.send(datagram.to, datagram.from, datagram.payload);
            }
            Input::Stream(stream, StreamEvent::Received(octets)) if &octets[..] == b"bye" => {
                out.write(stream, octets);
                out.close(stream);
            }
            Input::Stream(stream, StreamEvent::Received(octets)) if &octets[..] == b"much" => {
                // More than any socket takes at once, and less than is given up on.
                out.write(stream, vec![b'x'; 7 << 20]);
            }
            Input::Stream(stream, StreamEvent::Received(octets)) => {
                let record = out.append("heard", octets.clone());
                self.waiting.insert(record, (stream, octets));
            }
            Input::Stream(_, StreamEvent::Closed(why)) => self.closed.push(why),
            Input::Kept(record) => {
                if let Some((stream, octets)) = self.waiting.remove(&record) {
                    out.write(stream, octets);
                }
            }
            Input::Woken => {
                out.note(Note::event("woken", "me", ""));
                self.woken_at = None;
            }
            _ => {}
        }
    }

    fn wake_at(&self) -> Option<Time> {
        self.woken_at
    }
}

fn credentials() -> Credentials {
    let key = rcgen::KeyPair::generate().expect("a P-256 key");
    let params = rcgen::CertificateParams::new(vec![HOST.to_owned()]).expect("a host name");
    let certificate = params.self_signed(&key).expect("signed");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
    Credentials { chain: vec![certificate.der().clone()], key: key.into() }
}

/// A world with one echo, at an address of the test's own so that tests can run beside each other.
struct Bench {
    lean: Lean<Echo>,
    who: NodeId,
    ip: Ipv4Addr,
    trust: Trust,
}

impl Bench {
    fn new(host: u8, connections_max: usize, store: Option<Store>) -> Bench {
        let credentials = credentials();
        let trust = Trust::new(&credentials.chain);
        let ground = Ground { network: Ipv4Addr::new(127, 77, 0, 0), offset: 0 };
        let mut lean = Lean::new(Setup { ground, store, connections_max }).expect("a world");
        let ip = Ipv4Addr::new(127, 77, 2, host);
        let echo = Echo {
            address: ip.into(),
            tls: Arc::new(ServerTls::new(credentials)),
            waiting: BTreeMap::new(),
            closed: Vec::new(),
            woken_at: None,
        };
        let who = lean.add("echo", echo);
        assert_eq!(lean.take_problems(), [] as [String; 0]);
        Bench { lean, who, ip, trust }
    }

    /// Lets the world turn until something is so; a test that waits for what never comes fails by itself.
    fn until<R>(&mut self, mut is_so: impl FnMut(&mut Lean<Echo>) -> Option<R>) -> R {
        for _ in 0..20_000 {
            if let Some(result) = is_so(&mut self.lean) {
                return result;
            }
            self.lean.turn(Duration::from_millis(1)).expect("it turns");
        }
        panic!("it never came to be; so far: {:?}", self.lean.tally());
    }

    fn connect(&self, port: u16) -> TcpStream {
        let stream = TcpStream::connect((self.ip, port)).expect("it listens");
        stream.set_nonblocking(true).expect("it can");
        stream
    }

    /// Reads until there are so many octets, or the end.
    fn read(&mut self, stream: &mut TcpStream, wanted: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        self.until(|_| match stream.read(&mut buffer) {
            Ok(0) => Some(()),
            Ok(length) => {
                all.extend_from_slice(&buffer[..length]);
                (all.len() >= wanted).then_some(())
            }
            Err(why) if why.kind() == io::ErrorKind::WouldBlock => None,
            Err(why) => panic!("{why}"),
        });
        all
    }

    fn client(&self) -> TlsSession {
        let tls = ClientTls {
            server_name: HOST.to_owned(),
            trust: self.trust.clone(),
            clock: WallClock::new(Wall::parse("2026-01-01T00:00:00Z").expect("a date"), Time::ZERO),
            names: NameCheck::Strict,
        };
        TlsSession::client(&tls, Time::ZERO, Crypto::System, &mut Random::named(0, "")).expect("a client")
    }

    /// Shakes hands, and says something if it may; what came back.
    fn over_tls(&mut self, stream: &mut TcpStream, client: &mut TlsSession, said: &[u8]) -> Vec<u8> {
        let mut random = Random::named(0, "");
        let mut heard = Vec::new();
        client.write(said, &mut random);
        let mut buffer = vec![0; 1 << 16];
        self.until(|_| {
            stream.write_all(&client.take_output()).expect("it takes it");
            match stream.read(&mut buffer) {
                Ok(length) => {
                    let received = client.receive(&buffer[..length], Time::ZERO, &mut random);
                    let received = received.expect("TLS agrees");
                    heard.extend_from_slice(&received.plaintext);
                    (heard.len() >= said.len() || received.is_closed || length == 0).then_some(())
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => None,
                Err(why) => panic!("{why}"),
            }
        });
        heard
    }
}

#[test]
fn datagrams_are_answered_events_counted_and_timers_kept() {
    let mut bench = Bench::new(1, 100, None);
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    client.set_nonblocking(true).expect("it can");
    for number in 0..100_u8 {
        client.send_to(&[number], (bench.ip, UDP)).expect("sent");
    }
    let mut heard = Vec::new();
    bench.until(|_| {
        let mut buffer = [0; 16];
        while let Ok((1, _)) = client.recv_from(&mut buffer) {
            heard.push(buffer[0]);
        }
        (heard.len() == 100).then_some(())
    });
    assert_eq!(heard, (0..100).collect::<Vec<u8>>());
    bench.until(|lean| lean.node(NodeId(0)).woken_at.is_none().then_some(()));
    let events: Vec<_> = bench.lean.events_of(bench.who).collect();
    assert_eq!(events, [("heard", 100), ("woken", 1)]);
    let tally = bench.lean.tally();
    assert_eq!((tally.datagrams_in, tally.datagrams_out, tally.datagrams_dropped), (100, 100, Some(0)));
}

#[test]
fn a_stream_is_answered_once_its_write_is_kept_and_closed_in_good_order() {
    let folder = std::env::temp_dir().join(format!("lab-lean-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let store = Store::open(&folder.join("disks.redb")).expect("a store");
    for store in [None, Some(store)] {
        let mut bench = Bench::new(2, 100, store);
        let mut stream = bench.connect(TCP);
        stream.write_all(b"hello").expect("sent");
        assert_eq!(bench.read(&mut stream, 5), b"hello");
        stream.write_all(b"bye").expect("sent");
        assert_eq!(bench.read(&mut stream, usize::MAX), b"bye", "and then the end");
        drop(stream);
        bench.until(|lean| (lean.tally().open == 0).then_some(()));
        assert_eq!(bench.lean.tally().broken.total(), 0);
    }
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn who_reads_slowly_gets_all_of_it() {
    let mut bench = Bench::new(3, 100, None);
    let mut stream = bench.connect(TCP);
    stream.write_all(b"much").expect("sent");
    let heard = bench.read(&mut stream, 7 << 20);
    assert!(heard.len() == 7 << 20 && heard.iter().all(|octet| *octet == b'x'));
    stream.write_all(b"bye").expect("sent");
    assert_eq!(bench.read(&mut stream, usize::MAX), b"bye");
}

#[test]
fn who_takes_nothing_of_more_than_is_kept_is_given_up() {
    let mut bench = Bench::new(4, 100, None);
    let mut stream = bench.connect(TCP);
    bench.until(|lean| (lean.tally().open == 1).then_some(()));
    for _ in 0..4 {
        // It may have been given up already.
        let _ = stream.write_all(b"much");
        let before = bench.lean.tally().pieces_in;
        bench.until(|lean| (lean.tally().pieces_in > before || lean.tally().open == 0).then_some(()));
    }
    bench.until(|lean| (lean.tally().open == 0).then_some(()));
    assert_eq!(bench.lean.tally().broken.iter().collect::<Vec<_>>(), [("it took nothing any more", 1)]);
    assert_eq!(bench.lean.node(bench.who).closed, [Closed::Reset]);
}

#[test]
fn tls_is_shaken_spoken_and_ended_from_either_side() {
    let mut bench = Bench::new(5, 100, None);
    for said in [b"hello".to_vec(), vec![b'y'; 40_000], b"bye".to_vec()] {
        let (mut stream, mut client) = (bench.connect(TLS), bench.client());
        // What is longer than a record comes in pieces, each of which is answered.
        assert!(bench.over_tls(&mut stream, &mut client, &said) == said);
        client.close();
        stream.write_all(&client.take_output()).expect("it takes it");
        drop(stream);
        bench.until(|lean| (lean.tally().open == 0).then_some(()));
    }
    let tally = bench.lean.tally();
    assert_eq!((tally.accepted, tally.handshakes, tally.peak), (3, 3, 1));
    assert_eq!((tally.handshakes_failed.total(), tally.broken.total()), (0, 0));
}

#[test]
fn failed_handshakes_are_told_apart_and_leave_nothing() {
    let mut bench = Bench::new(6, 100, None);
    let mut plain = bench.connect(TLS);
    plain.write_all(b"REGISTER sip:contoso.example SIP/2.0\r\n\r\n").expect("sent");
    let alert = bench.read(&mut plain, 7);
    assert_eq!(alert.first(), Some(&21), "an alert explains why");
    drop(bench.connect(TLS));
    let mut distrusting = bench.client();
    let mut stream = bench.connect(TLS);
    stream.write_all(&distrusting.take_output()).expect("sent");
    // The alert of a client that does not trust the certificate (RFC 8446 §6: fatal, unknown authority).
    stream.write_all(&[21, 3, 3, 0, 2, 2, 48]).expect("sent");
    drop((plain, stream));
    bench.until(|lean| (lean.tally().open == 0).then_some(()));
    let tally = bench.lean.tally();
    let causes: Vec<String> = tally.handshakes_failed.iter().map(|(why, _)| why.to_owned()).collect();
    assert_eq!(tally.handshakes_failed.total(), 3, "{causes:?}");
    assert!(causes.iter().any(|why| why.contains("the other end refused")), "{causes:?}");
    assert!(causes.iter().any(|why| why.contains("the other end left")), "{causes:?}");
    assert_eq!(tally.handshakes, 0);
}

#[test]
fn one_connection_too_many_is_turned_away_and_the_others_stay() {
    let mut bench = Bench::new(7, 2, None);
    let mut streams: Vec<TcpStream> = (0..3).map(|_| bench.connect(TCP)).collect();
    bench.until(|lean| (lean.tally().accepted == 3).then_some(()));
    assert_eq!(bench.read(&mut streams[2], 1), b"", "closed");
    streams[0].write_all(b"hello").expect("sent");
    assert_eq!(bench.read(&mut streams[0], 5), b"hello");
    let tally = bench.lean.tally();
    assert_eq!((tally.open, tally.peak, tally.turned_away), (2, 2, 1));
}

#[test]
fn a_port_that_somebody_has_is_told_in_a_sentence() {
    let mut bench = Bench::new(8, 2, None);
    let second = Echo {
        address: bench.ip.into(),
        tls: bench.lean.node(bench.who).tls.clone(),
        waiting: BTreeMap::new(),
        closed: Vec::new(),
        woken_at: None,
    };
    bench.lean.add("second", second);
    let problems = bench.lean.take_problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("second cannot listen at UDP 127.77.2.8:41001"), "{problems:?}");
}
