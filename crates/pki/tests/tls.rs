//! TLS sessions of `net`, tried with real certificates: the same octets for the same seed, limits, bad octets.

use std::time::Duration;

use net::tls::{ClientTls, NameCheck, ServerTls, TlsError, TlsSession, Trust};
use net::{Crypto, Random, Time, Wall, WallClock};
use pki::{Authority, Validity};
use proptest::prelude::*;

fn today() -> Wall {
    Wall::parse("2018-10-09T09:00:00Z").expect("a date")
}

fn lab() -> (ServerTls, Trust) {
    let mut random = Random::named(7, "authority");
    let from = today().minus(Duration::from_secs(86_400));
    let mut authority =
        Authority::new("Root", Crypto::Seeded, &mut random, from, Duration::from_secs(86_400 * 3650));
    let names = ["fe.contoso.example".to_owned()];
    let credentials = authority.issue_server(&names, Validity::days(today(), 30)).expect("issued");
    (ServerTls::new(credentials), authority.trust())
}

fn client(name: &str, names: NameCheck, date: Wall, trust: Trust) -> ClientTls {
    ClientTls { server_name: name.to_owned(), trust, clock: WallClock::new(date, Time::ZERO), names }
}

/// Everything that crosses the wire in a session in which both ends say a word, or why there was none.
fn session(tls: &ClientTls, server: &ServerTls, seed: u64) -> Result<Vec<Vec<u8>>, TlsError> {
    let (mut near, mut far) = (Random::named(seed, "client"), Random::named(seed, "server"));
    let mut client = TlsSession::client(tls, Time::ZERO, Crypto::Seeded, &mut near)?;
    let mut server = TlsSession::server(server, Crypto::Seeded, &mut far)?;
    let mut wire = Vec::new();
    client.write(b"a word", &mut near);
    for _ in 0..4 {
        let up = client.take_output();
        let heard = server.receive(&up, Time::ZERO, &mut far)?;
        if heard.plaintext == b"a word" {
            server.write(b"another", &mut far);
        }
        let down = server.take_output();
        let heard = client.receive(&down, Time::ZERO, &mut near)?;
        wire.push(up.to_vec());
        wire.push(down.to_vec());
        if heard.plaintext == b"another" {
            return Ok(wire);
        }
    }
    panic!("neither an error nor an answer");
}

#[test]
fn the_same_seed_puts_the_same_octets_on_the_wire_and_another_seed_others() {
    let (server, trust) = lab();
    let tls = client("fe.contoso.example", NameCheck::Strict, today(), trust);
    let run = |seed| session(&tls, &server, seed).expect("a session");
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_clock_in_1970_finds_the_certificate_not_yet_valid() {
    let (server, trust) = lab();
    let tls = client("fe.contoso.example", NameCheck::Strict, Wall::UNIX_EPOCH, trust);
    let why = session(&tls, &server, 7).expect_err("no session");
    assert!(matches!(why, TlsError::NotYetValid { now: Wall::UNIX_EPOCH, .. }), "{why}");
}

#[test]
fn another_name_is_refused_unless_names_do_not_count() {
    let (server, trust) = lab();
    let strict = client("fe2.contoso.example", NameCheck::Strict, today(), trust.clone());
    let wanted = "fe2.contoso.example".to_owned();
    assert_eq!(session(&strict, &server, 7), Err(TlsError::WrongName { wanted }));
    let lax = client("fe2.contoso.example", NameCheck::Lax, today(), trust);
    assert!(session(&lax, &server, 7).is_ok());
}

#[test]
fn names_that_do_not_count_excuse_neither_dates_nor_strangers() {
    let (server, trust) = lab();
    let old =
        client("fe2.contoso.example", NameCheck::Lax, today().plus(Duration::from_secs(86_400 * 31)), trust);
    assert!(matches!(session(&old, &server, 7), Err(TlsError::Expired { .. })));
    let mut random = Random::named(8, "other");
    let stranger = Authority::new("Other", Crypto::Seeded, &mut random, today(), Duration::from_secs(86_400));
    let strange = client("fe.contoso.example", NameCheck::Lax, today(), stranger.trust());
    assert_eq!(session(&strange, &server, 7), Err(TlsError::UnknownIssuer));
}

#[test]
fn who_trusts_nobody_says_so_before_dialling() {
    let (server, _) = lab();
    let tls = client("fe.contoso.example", NameCheck::Strict, today(), Trust::new([]));
    assert_eq!(session(&tls, &server, 7), Err(TlsError::UnknownIssuer));
}

proptest! {
    #[test]
    fn no_octets_make_a_server_or_a_client_panic(octets in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let (server, trust) = lab();
        let mut random = Random::named(1, "fuzz");
        let mut far = TlsSession::server(&server, Crypto::Seeded, &mut random).expect("a session");
        let _ = far.receive(&octets, Time::ZERO, &mut random);
        let tls = client("fe.contoso.example", NameCheck::Strict, today(), trust);
        let mut near = TlsSession::client(&tls, Time::ZERO, Crypto::Seeded, &mut random).expect("a session");
        let _ = near.receive(&octets, Time::ZERO, &mut random);
    }
}
