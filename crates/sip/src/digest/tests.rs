//! Headers read and written, and client against server.

mod vectors;

use std::time::Duration;

use bytes::Bytes;
use net::{Random, Time};
use proptest::prelude::*;

use super::*;
use crate::message::Message;
use crate::print::Draft;

#[test]
fn a_challenge_is_read_and_written_whole() {
    let text = r#"Digest realm="a \"quoted\" realm", qop="auth,auth-int", algorithm=SHA-512-256-sess, nonce="n", opaque="o\\p", stale=true, userhash=true"#;
    let challenge = Challenge::parse(text).unwrap();
    assert_eq!(challenge.realm, "a \"quoted\" realm");
    assert_eq!(challenge.opaque.as_deref(), Some("o\\p"));
    assert_eq!(challenge.qop, [Qop::Auth, Qop::AuthInt]);
    assert_eq!(challenge.to_string(), text);

    let plain =
        Challenge::parse(r#"digest nonce=abc,realm="r",stale="TRUE",qop=" auth-conf , AUTH ""#).unwrap();
    assert_eq!((plain.algorithm, plain.stale, plain.qop), (Algorithm::MD5, true, vec![Qop::Auth]));
    for (text, wrong) in [
        (r#"Digest realm="r", nonce="n", algorithm=SHA3"#, DigestError::UnknownAlgorithm),
        (r#"Digest realm="r", nonce="n", qop="auth-conf""#, DigestError::UnknownQop),
        (r#"Digest realm="r""#, DigestError::Missing("nonce")),
        (r#"Basic realm="r""#, DigestError::OtherScheme),
    ] {
        assert_eq!(Challenge::parse(text), Err(wrong));
    }
    let long = format!(r#"Digest realm="r", nonce="{}""#, "n".repeat(TEXT_MAX + 1));
    assert_eq!(Challenge::parse(&long), Err(DigestError::TooLong("nonce")));
}

#[test]
fn credentials_that_lack_what_their_quality_needs_are_refused() {
    let start = r#"Digest username="u", realm="r", nonce="n", uri="sip:a", response="x""#;
    for (rest, wrong) in [
        (", qop=auth, nc=00000001", DigestError::Missing("cnonce")),
        (r#", qop=auth, nc=1, cnonce="c""#, DigestError::BadValue("nc")),
        (r#", qop=auth, nc=00000000, cnonce="c""#, DigestError::BadValue("nc")),
        (r#", qop=auth, nc=0000000A, cnonce="c""#, DigestError::BadValue("nc")),
        (r#", qop=both, nc=00000001, cnonce="c""#, DigestError::UnknownQop),
        (", algorithm=MD5-sess", DigestError::Missing("cnonce")),
        (", userhash=perhaps", DigestError::BadValue("userhash")),
    ] {
        assert_eq!(Credentials::parse(&format!("{start}{rest}")), Err(wrong), "{rest}");
    }
    assert!(Credentials::parse(start).unwrap().protection.is_none());
}

/// A client and what it sends.
struct Bob {
    client: Client,
    random: Random,
    cseq: u32,
}

impl Bob {
    fn new(password: &str) -> Bob {
        let login = Login { user: "bob".into(), password: password.into(), realm: None, weakest: Hash::Md5 };
        Bob { client: Client::new(login), random: Random::named(1, "bob"), cseq: 0 }
    }

    fn register(&mut self) -> Message {
        self.cseq += 1;
        let uri = "sip:contoso.example";
        let mut draft = Draft::request("REGISTER", uri)
            .with("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
            .with("From", "<sip:bob@contoso.example>;tag=1")
            .with("To", "<sip:bob@contoso.example>")
            .with("Call-ID", "1@192.0.2.1")
            .with("CSeq", format!("{} REGISTER", self.cseq));
        for (name, value) in self.client.answer(&Asked { method: "REGISTER", uri, body: b"" }) {
            draft.push(name, &value);
        }
        draft.message().unwrap()
    }

    fn told(&mut self, response: &Message, sent: &Message) -> Result<(), NoAnswer> {
        if response.status().and_then(Asker::by).is_some() {
            return self.client.challenged(response, sent, &mut self.random);
        }
        self.client.accepted(response, sent, &mut self.random);
        Ok(())
    }
}

fn reply(status: u16, headers: &[(&str, String)]) -> Message {
    let mut draft = Draft::response(status, "Whatever")
        .with("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
        .with("From", "<sip:bob@contoso.example>;tag=1")
        .with("To", "<sip:bob@contoso.example>;tag=2")
        .with("Call-ID", "1@192.0.2.1")
        .with("CSeq", "1 REGISTER");
    for (name, value) in headers {
        draft.push(name, value);
    }
    draft.message().unwrap()
}

fn ask(challenges: &[Challenge]) -> Message {
    let headers: Vec<_> = challenges.iter().map(|one| ("WWW-Authenticate", one.to_string())).collect();
    reply(401, &headers)
}

fn serve(
    server: &mut Server,
    now: Time,
    sent: &Message,
    password: Option<&str>,
) -> (Message, Option<Verdict>) {
    let Some(credentials) = server.credentials(sent, "Authorization").unwrap() else {
        return (ask(&server.challenges(now, false)), None);
    };
    let realm = server.setup().realm.clone();
    let ha1 = password.map(|password| Ha1::of(credentials.algorithm.hash, "bob", &realm, password));
    let uri = sent.uri().unwrap();
    let asked = Asked { method: sent.method(), uri: uri.as_str(), body: b"" };
    let verdict = server.judge(now, &asked, &credentials, ha1.as_ref());
    let answer = match &verdict {
        Verdict::Good => reply(200, &[]),
        Verdict::Stale(_) => ask(&server.challenges(now, true)),
        Verdict::Wrong | Verdict::NotOffered => ask(&server.challenges(now, false)),
        Verdict::OtherUri => reply(400, &[]),
    };
    (answer, Some(verdict))
}

fn server(algorithms: &[Algorithm]) -> Server {
    let setup = ServerSetup { algorithms: algorithms.to_vec(), ..ServerSetup::of("contoso.example") };
    Server::new(setup, [7; 32])
}

#[test]
fn every_algorithm_lets_who_knows_the_password_in_and_nobody_else() {
    for algorithm in Algorithm::ALL {
        for qop in [vec![], vec![Qop::Auth], vec![Qop::AuthInt], vec![Qop::AuthInt, Qop::Auth]] {
            for (typed, right) in [("secret", true), ("Secret", false)] {
                if algorithm.is_session && qop.is_empty() {
                    continue;
                }
                let setup = ServerSetup {
                    algorithms: vec![algorithm],
                    qop: qop.clone(),
                    ..ServerSetup::of("contoso.example")
                };
                let mut server = Server::new(setup, [7; 32]);
                let mut bob = Bob::new(typed);
                let first = bob.register();
                let (asked, _) = serve(&mut server, Time::ZERO, &first, Some("secret"));
                bob.told(&asked, &first).unwrap();
                let second = bob.register();
                let (answer, verdict) = serve(&mut server, Time::ZERO, &second, Some("secret"));
                assert_eq!(
                    verdict,
                    Some(if right { Verdict::Good } else { Verdict::Wrong }),
                    "{algorithm:?} {qop:?}"
                );
                if !right {
                    let refused = NoAnswer::Refused("contoso.example".into());
                    assert_eq!(bob.told(&answer, &second), Err(refused), "asked twice");
                    assert!(bob.register().header("Authorization").is_none(), "a later try begins anew");
                }
            }
        }
    }
}

#[test]
fn the_strongest_algorithm_is_chosen_and_the_nonce_counted() {
    let mut server = server(&[Algorithm::MD5, Algorithm::SHA_512_256, Algorithm::SHA_256]);
    let mut bob = Bob::new("secret");
    let first = bob.register();
    let (asked, _) = serve(&mut server, Time::ZERO, &first, Some("secret"));
    bob.told(&asked, &first).unwrap();
    for count in 1..=3 {
        let sent = bob.register();
        let credentials = Credentials::parse(sent.header("Authorization").unwrap()).unwrap();
        assert_eq!(credentials.algorithm, Algorithm::SHA_256);
        assert_eq!(credentials.protection.as_ref().unwrap().1, count);
        let (answer, verdict) = serve(&mut server, Time::ZERO, &sent, Some("secret"));
        assert_eq!(verdict, Some(Verdict::Good));
        bob.told(&answer, &sent).unwrap();
    }
    assert_eq!(server.remembered(), 1);
}

#[test]
fn an_old_nonce_and_one_from_before_a_restart_are_replaced_without_a_refusal() {
    let mut bob = Bob::new("secret");
    let mut one = server(&[Algorithm::MD5]);
    let mut restarted = Server::new(one.setup().clone(), [8; 32]);
    let sent = bob.register();
    let (asked, _) = serve(&mut one, Time::ZERO, &sent, Some("secret"));
    bob.told(&asked, &sent).unwrap();
    let mut refresh = |server: &mut Server, at| {
        let sent = bob.register();
        let (answer, verdict) = serve(server, Time::from_secs(at), &sent, Some("secret"));
        bob.told(&answer, &sent).unwrap();
        verdict.unwrap()
    };
    assert_eq!(refresh(&mut one, 299), Verdict::Good);
    assert_eq!(refresh(&mut one, 300), Verdict::Stale(OldNonce::Expired));
    assert_eq!(refresh(&mut restarted, 301), Verdict::Stale(OldNonce::NotMine));
    let sent = bob.register();
    let (_, verdict) = serve(&mut restarted, Time::from_secs(302), &sent, Some("secret"));
    assert_eq!(verdict, Some(Verdict::Good));
}

#[test]
fn a_server_whose_nonces_are_stale_at_once_is_left_alone() {
    let mut bob = Bob::new("secret");
    let mut sent = bob.register();
    bob.told(&ask(&server(&[Algorithm::MD5]).challenges(Time::ZERO, false)), &sent).unwrap();
    for serial in 0..STALE_MAX {
        sent = bob.register();
        let fresh =
            Server::new(ServerSetup::of("contoso.example"), [serial; 32]).challenges(Time::ZERO, true);
        bob.told(&ask(&fresh), &sent).unwrap();
    }
    sent = bob.register();
    let again = Server::new(ServerSetup::of("contoso.example"), [99; 32]).challenges(Time::ZERO, true);
    assert_eq!(bob.told(&ask(&again), &sent), Err(NoAnswer::StaleForEver("contoso.example".into())));
}

#[test]
fn a_login_for_one_realm_gives_no_other_a_proof() {
    let mut bob = Bob::new("secret");
    bob.client = Client::new(Login { realm: Some("contoso.example".into()), ..bob.client.login().clone() });
    let sent = bob.register();
    let foreign = Server::new(ServerSetup::of("fabrikam.example"), [1; 32]).challenges(Time::ZERO, false);
    assert_eq!(bob.told(&ask(&foreign), &sent), Err(NoAnswer::ForeignRealm("fabrikam.example".into())));
    assert!(bob.register().header("Authorization").is_none());

    let own = server(&[Algorithm::MD5]).challenges(Time::ZERO, false);
    let both: Vec<Challenge> = foreign.into_iter().chain(own).collect();
    bob.told(&ask(&both), &sent).unwrap();
    let sent = bob.register();
    let answered: Vec<&str> = sent.headers("Authorization").collect();
    assert_eq!(answered.len(), 1);
    assert!(answered[0].contains("contoso.example"));
}

#[test]
fn a_login_that_wants_more_than_md5_does_not_step_down() {
    let mut bob = Bob::new("secret");
    bob.client = Client::new(Login { weakest: Hash::Sha512_256, ..bob.client.login().clone() });
    let sent = bob.register();
    let weak = server(&[Algorithm::MD5]).challenges(Time::ZERO, false);
    assert_eq!(bob.told(&ask(&weak), &sent), Err(NoAnswer::TooWeak));
    let sent_again = bob.register();
    bob.told(
        &ask(&server(&[Algorithm::MD5, Algorithm::SHA_512_256]).challenges(Time::ZERO, false)),
        &sent_again,
    )
    .unwrap();
}

#[test]
fn a_request_heard_before_is_stale_and_one_for_elsewhere_is_bad() {
    let mut server = server(&[Algorithm::MD5]);
    let mut bob = Bob::new("secret");
    let first = bob.register();
    let (asked, _) = serve(&mut server, Time::ZERO, &first, Some("secret"));
    bob.told(&asked, &first).unwrap();
    let sent: Vec<Message> = (0..3).map(|_| bob.register()).collect();
    // Overtaken is not replayed.
    for at in [1, 2, 0] {
        assert_eq!(serve(&mut server, Time::ZERO, &sent[at], Some("secret")).1, Some(Verdict::Good));
    }
    for again in &sent {
        let (_, verdict) = serve(&mut server, Time::ZERO, again, Some("secret"));
        assert_eq!(verdict, Some(Verdict::Stale(OldNonce::Replayed)));
    }
    let sent = bob.register();
    let credentials = server.credentials(&sent, "Authorization").unwrap().unwrap();
    let ha1 = Ha1::of(Hash::Md5, "bob", "contoso.example", "secret");
    let elsewhere = Asked { method: "REGISTER", uri: "sip:fabrikam.example", body: b"" };
    assert_eq!(server.judge(Time::ZERO, &elsewhere, &credentials, Some(&ha1)), Verdict::OtherUri);
    let other_method = Asked { method: "INVITE", uri: "sip:contoso.example", body: b"" };
    assert_eq!(server.judge(Time::ZERO, &other_method, &credentials, Some(&ha1)), Verdict::Wrong);
    let nobody = Asked { method: "REGISTER", ..other_method };
    assert_eq!(server.judge(Time::ZERO, &nobody, &credentials, None), Verdict::Wrong);
    assert_eq!(
        server.judge(Time::ZERO, &nobody, &credentials, Some(&ha1)),
        Verdict::Good,
        "nothing was used up"
    );
}

#[test]
fn counts_far_behind_the_window_are_old_and_memory_is_bounded() {
    let mut nonces = Nonces::new([1; 32], Duration::from_secs(300));
    let nonce = nonces.make(Time::ZERO);
    let mut take = |count| nonces.use_up(Time::ZERO, &nonce, Some(count)).is_ok();
    assert!(take(1_000));
    assert!(take(1_000 - WINDOW) && !take(1_000 - WINDOW) && !take(999 - WINDOW));
    assert!(take(1_000 + WINDOW) && !take(1_000), "the window moved and forgot nothing");
    assert!(take(u32::MAX) && !take(u32::MAX));

    let first = nonces.make(Time::from_secs(1));
    let all: Vec<String> = (0..NONCES_MAX).map(|_| nonces.make(Time::from_secs(2))).collect();
    assert!(nonces.use_up(Time::from_secs(2), &first, None).is_ok());
    for nonce in &all {
        assert!(nonces.use_up(Time::from_secs(2), nonce, Some(1)).is_ok());
    }
    assert_eq!(nonces.remembered(), NONCES_MAX);
    assert!(
        nonces.use_up(Time::from_secs(2), &first, None).is_err(),
        "what was forgotten cannot be replayed"
    );
    let later = nonces.make(Time::from_secs(303));
    assert!(nonces.use_up(Time::from_secs(303), &later, Some(1)).is_ok());
    assert_eq!(nonces.remembered(), 1, "old nonces are forgotten in time");
}

#[test]
fn a_server_proves_itself_and_hands_the_next_nonce_out() {
    let mut server = server(&[Algorithm::SHA_256]);
    let mut bob = Bob::new("secret");
    let first = bob.register();
    let (asked, _) = serve(&mut server, Time::ZERO, &first, Some("secret"));
    bob.told(&asked, &first).unwrap();
    let sent = bob.register();
    let credentials = server.credentials(&sent, "Authorization").unwrap().unwrap();
    let ha1 = Ha1::of(Hash::Sha256, "bob", "contoso.example", "secret");
    let info = server.info(Time::from_secs(250), &credentials, &ha1, b"", Renew::Next);
    bob.told(&reply(200, &[("Authentication-Info", info)]), &sent).unwrap();
    // Good after the first nonce's end, without a challenge.
    let sent = bob.register();
    let (_, verdict) = serve(&mut server, Time::from_secs(400), &sent, Some("secret"));
    assert_eq!(verdict, Some(Verdict::Good));
}

#[test]
fn a_hashed_name_is_sent_to_who_asks_and_refused_by_who_does_not() {
    let setup = ServerSetup { userhash: true, ..ServerSetup::of("contoso.example") };
    let mut server = Server::new(setup, [7; 32]);
    let mut bob = Bob::new("secret");
    let first = bob.register();
    let (asked, _) = serve(&mut server, Time::ZERO, &first, Some("secret"));
    bob.told(&asked, &first).unwrap();
    let sent = bob.register();
    let credentials = server.credentials(&sent, "Authorization").unwrap().unwrap();
    assert!(credentials.userhash);
    assert_eq!(credentials.username, user_hash(Hash::Sha256, "bob", "contoso.example"));
    assert_eq!(serve(&mut server, Time::ZERO, &sent, Some("secret")).1, Some(Verdict::Good));
    let mut strict = Server::new(ServerSetup::of("contoso.example"), [7; 32]);
    assert_eq!(serve(&mut strict, Time::ZERO, &sent, Some("secret")).1, Some(Verdict::NotOffered));
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in "\\PC{0,200}", tail in "[ -~]{0,200}") {
        for text in [text.clone(), format!("Digest {tail}"), format!("Digest realm=\"{text}\", nonce={tail}")] {
            let _ = Challenge::parse(&text);
            let _ = Credentials::parse(&text);
            let _ = Nonces::new([0; 32], Duration::from_secs(1)).use_up(Time::ZERO, &text, Some(1));
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        realm in "[^\\p{C}]{0,40}", nonce in "[!-~]{1,40}", user in "[^\\p{C}]{0,40}", opaque in "[ -~]{0,40}",
        at in 0..Algorithm::ALL.len(), stale: bool, userhash: bool, count in 1..u32::MAX,
    ) {
        let algorithm = Algorithm::ALL[at];
        let qop = vec![Qop::AuthInt, Qop::Auth];
        let challenge = Challenge {
            realm: realm.clone(), nonce: nonce.clone(), opaque: Some(opaque.clone()), algorithm, qop, stale, userhash,
        };
        prop_assert_eq!(Challenge::parse(&challenge.to_string()).unwrap(), challenge);
        let credentials = Credentials {
            username: user, userhash, realm, nonce: nonce.clone(), uri: "sip:a@b".into(), response: "0".into(),
            algorithm, opaque: Some(opaque), protection: Some((Qop::Auth, count, nonce)),
        };
        prop_assert_eq!(Credentials::parse(&credentials.to_string()).unwrap(), credentials);
    }

    #[test]
    fn counts_are_taken_once_whatever_their_order(counts in prop::collection::vec(1u32..60, 0..100)) {
        let mut nonces = Nonces::new([1; 32], Duration::from_secs(300));
        let nonce = nonces.make(Time::ZERO);
        let mut taken = std::collections::BTreeSet::new();
        for count in counts {
            let is_new = taken.insert(count);
            prop_assert_eq!(nonces.use_up(Time::ZERO, &nonce, Some(count)).is_ok(), is_new);
        }
    }
}

#[test]
fn messages_that_hold_digest_headers_survive_the_way_over_octets() {
    let mut bob = Bob::new("se\"cr\\et");
    let sent = bob.register();
    let challenge = Challenge {
        realm: "we \"say\" \\so".into(),
        ..server(&[Algorithm::MD5]).challenges(Time::ZERO, false)[0].clone()
    };
    bob.told(&ask(&[challenge]), &sent).unwrap();
    let sent = Message::parse(Bytes::copy_from_slice(bob.register().as_bytes())).unwrap();
    let credentials = Credentials::parse(sent.header("Authorization").unwrap()).unwrap();
    let ha1 = Ha1::of(Hash::Md5, "bob", "we \"say\" \\so", "se\"cr\\et");
    assert!(credentials.is_proof_of(&ha1, "REGISTER", b""));
}
