//! Five thousand hellos, as large as they may be, and the memory they take. A test program of its own: memory is
//! that of the whole process, and tests beside it would count.

#![expect(clippy::unwrap_used, reason = "a test falls where its story breaks")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use net::tls::ServerTls;
use net::{Crypto, Disk, Effect, Input, Node, Outbox, Random, StreamEvent, StreamId, Time, Wall, WallClock};
use pki::{Authority, Validity};
use registrar::{Account, Registrar, Setup};
use sip::association::{Parameters, REALM};
use sip::tls_dsk::{self, Initiator, Reply};

const ALICE: &str = "alice@contoso.example";
const HOST: &str = "fe.contoso.example";
const EPOCH: Wall = Wall::from_unix_secs(1_539_075_600);
const HELLOS: u64 = 5_000;
const MOST_MIB: u64 = 200;

fn pool(random: &mut Random) -> (Registrar, Authority) {
    let life = Duration::from_secs(365 * 86_400);
    let mut authority = Authority::new("Contoso Pool Root", Crypto::Seeded, random, EPOCH, life);
    let credentials = authority.issue_server(&[HOST.to_owned()], Validity::days(EPOCH, 30)).unwrap();
    let own = Authority::restore(&authority.credentials(), Crypto::Seeded, random).unwrap();
    let clock = WallClock::new(EPOCH, Time::ZERO);
    let (address, tls) = ("192.0.2.20".parse().unwrap(), Arc::new(ServerTls::new(credentials)));
    let mut setup = Setup::new("fe", HOST, address, clock, random.fork("pool"), tls, own);
    setup.accounts = vec![Account::new(ALICE, "Alice")];
    (Registrar::new(setup), authority)
}

/// A REGISTER with a hello and as much besides as one message may hold.
fn hello(authority: &mut Authority, random: &mut Random) -> Bytes {
    let own = authority.issue_server(&["phone.example".to_owned()], Validity::days(EPOCH, 30)).unwrap();
    let mut initiator = Initiator::new(&own, &authority.trust(), HOST, Crypto::Seeded, random).unwrap();
    let Ok(Reply::More(flight)) = initiator.step(&[], EPOCH, random) else { panic!("a hello") };
    let parameters = Parameters {
        realm: REALM.to_owned(),
        targetname: HOST.to_owned(),
        opaque: String::new(),
        version: 4,
    };
    let user = "x".repeat(1_000);
    sip::Draft::request("REGISTER", "sip:contoso.example")
        .with("Via", format!("SIP/2.0/TLS a;branch=z9hG4bK{}", "b".repeat(20_000)))
        .with("From", format!("<sip:{user}@b>;tag=1;epid={}", "e".repeat(1_000)))
        .with("To", "<sip:a@b>")
        .with("Call-ID", "c".repeat(20_000))
        .with("CSeq", "1 REGISTER")
        .with("Authorization", tls_dsk::initiator_flight(&parameters, &flight).to_string())
        .print()
        .unwrap()
}

/// What this process holds in memory, in KiB; `None` where the system does not say.
#[expect(clippy::disallowed_methods, reason = "the system tells in a file what a process holds")]
fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[test]
fn five_thousand_hellos_take_no_more_than_200_mib() {
    let mut random = Random::named(1, "flood");
    let (mut pool, mut authority) = pool(&mut random);
    let octets = hello(&mut authority, &mut random);
    assert!(octets.len() > 40_000);
    let mut out = Outbox::new();
    pool.handle(Time::ZERO, Input::PowerOn(Disk::new()), &mut out);
    out.take();
    let Some(before) = resident_kib() else {
        eprintln!("SKIPPED: this system does not say what a process holds in memory");
        return;
    };
    for number in 0..HELLOS {
        let stream = StreamId(number);
        let peer = format!("10.30.{}.1:{}", number / 250, 10_000 + number).parse().unwrap();
        let local = "192.0.2.20:5061".parse().unwrap();
        pool.handle(Time::ZERO, Input::Stream(stream, StreamEvent::Accepted { local, peer }), &mut out);
        // In two pieces and with the beginning of a next message, as a network would bring it.
        let (first, second) = octets.split_at(30_000);
        for piece in [first, second, b"REGISTER "] {
            let event = StreamEvent::Received(Bytes::copy_from_slice(piece));
            pool.handle(Time::ZERO, Input::Stream(stream, event), &mut out);
        }
        let wrote = out.take().into_iter().any(|effect| matches!(effect, Effect::Write(..)));
        assert!(wrote, "every hello is answered");
    }
    assert_eq!(pool.front_end().connections(), HELLOS as usize);
    let grown_mib = (resident_kib().unwrap() - before) / 1024;
    eprintln!("{HELLOS} hellos took {grown_mib} MiB");
    assert!(grown_mib <= MOST_MIB, "{grown_mib} MiB");
}
