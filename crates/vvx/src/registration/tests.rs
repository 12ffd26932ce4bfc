//! A registration against a scripted pool: what it sends at which moment, and what it says.

use std::sync::Arc;

use bytes::Bytes;
use net::{Closed, Effect, Wall};
use pki::{Authority, Holder, Validity};
use rustls::server::WebPkiClientVerifier;
use sip::tls_dsk::{self, Acceptor, Reply};
use sip::{Draft, Message};

use super::*;

const NOON: i64 = 1_539_086_400;

/// The phone's side and the pool's, with a clock between them.
struct Bench {
    registration: Registration,
    now: Time,
    out: Outbox,
    trust: Trust,
    random: Random,
    authority: Authority,
    pool: Pool,
    said: Vec<Said>,
}

/// What the scripted pool holds of the phone.
struct Pool {
    setup: tls_dsk::Setup,
    acceptor: Option<Acceptor>,
    association: Option<SecurityAssociation>,
    random: Random,
    granted: u32,
    stream: Option<StreamId>,
    /// What the phone sent and nobody answered yet.
    inbox: Vec<Message>,
}

fn secs(secs: u64) -> Time {
    Time::from_secs(secs)
}

fn local() -> SocketAddr {
    "10.20.2.1:49152".parse().expect("an address")
}

fn peer() -> SocketAddr {
    "192.0.2.20:5061".parse().expect("an address")
}

fn server(host: &str) -> Server {
    Server { host: host.to_owned(), port: 5061 }
}

fn who() -> Endpoint {
    Endpoint {
        address: "alice@contoso.example".to_owned(),
        epid: "04f2a1b2c3".to_owned(),
        instance: sip::endpoint::Instance::of_epid("04f2a1b2c3"),
        user_agent: "Polycom/5.9.6.2327".to_owned(),
    }
}

impl Bench {
    fn new(make: impl FnOnce(Enrolled, &mut Random) -> Registration) -> Bench {
        let mut random = Random::named(7, "bench");
        let from = Wall::from_unix_secs(NOON - 86_400);
        let mut authority =
            Authority::new("Pool", Crypto::Seeded, &mut random, from, Duration::from_secs(1 << 30));
        let credentials = authority
            .issue_server(&["fe.contoso.example".to_owned()], Validity::days(from, 1000))
            .expect("a server");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority.root().clone()).expect("a root");
        let provider = Crypto::Seeded.provider();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier");
        let setup =
            tls_dsk::acceptor_setup(&credentials, verifier, Crypto::Seeded, &mut random).expect("a setup");
        let enrolled = enroll(&mut authority, from, 180, &mut random);
        let registration = make(enrolled, &mut random);
        Bench {
            registration,
            now: secs(0),
            out: Outbox::new(),
            trust: authority.trust(),
            pool: Pool {
                setup,
                acceptor: None,
                association: None,
                random: random.fork("pool"),
                granted: 7200,
                stream: None,
                inbox: Vec::new(),
            },
            random,
            authority,
            said: Vec::new(),
        }
    }

    fn returning() -> Bench {
        Bench::new(|enrolled, random| {
            let servers = vec![server("fe.contoso.example")];
            Registration::returning(who(), servers, enrolled, random)
        })
    }

    fn interactive() -> Bench {
        Bench::new(|_, random| Registration::interactive(who(), vec![server("fe.contoso.example")], random))
    }

    fn act(&mut self, act: impl FnOnce(&mut Registration, Time, &mut Tools<'_>, &mut Outbox) -> Vec<Said>) {
        let mut tools = Tools {
            clock: WallClock::new(Wall::from_unix_secs(NOON), Time::ZERO),
            trust: &self.trust,
            names: NameCheck::Strict,
            crypto: Crypto::Seeded,
            random: &mut self.random,
        };
        let said = act(&mut self.registration, self.now, &mut tools, &mut self.out);
        self.said.extend(said);
        for effect in self.out.take() {
            match effect {
                Effect::Open(stream, _) => self.pool.stream = Some(stream),
                Effect::Close(stream) if self.pool.stream == Some(stream) => self.pool.stream = None,
                Effect::Write(_, bytes) if bytes.iter().any(|b| !b.is_ascii_whitespace()) => {
                    self.pool.inbox.push(Message::parse(bytes).expect("SIP"));
                }
                _ => {}
            }
        }
    }

    /// Connects as far as the pool's door.
    fn connect(&mut self) {
        self.act(|registration, now, _, out| registration.start(now, out));
        self.resolve_and_open();
    }

    fn resolve_and_open(&mut self) {
        assert!(matches!(self.said.pop(), Some(Said::LookUp(_))));
        self.act(|registration, now, tools, out| {
            registration.resolved(now, Ok(vec![peer().ip()]), tools, out)
        });
        let event = StreamEvent::Opened { local: local(), peer: peer() };
        self.act(|registration, now, tools, out| registration.stream(now, event, tools, out));
    }

    fn deliver(&mut self, message: Message) {
        let event = StreamEvent::Received(message.as_bytes().clone());
        self.act(|registration, now, tools, out| registration.stream(now, event, tools, out));
    }

    /// What the phone sent last.
    fn asked(&mut self) -> Message {
        assert_eq!(self.pool.inbox.len(), 1, "one message: {:?}", self.pool.inbox);
        self.pool.inbox.remove(0)
    }

    fn answer(&mut self, status: u16, reason: &str, headers: &[(&str, &str)]) {
        let asked = self.asked();
        let mut draft = asked.reply(status, reason);
        headers.iter().for_each(|(name, value)| draft.push(name, value));
        self.deliver(draft.message().expect("SIP"));
    }

    /// The pool answers one REGISTER as a pool does: challenge, flights, 200.
    fn answer_register(&mut self, action: &str) {
        let asked = self.asked();
        assert_eq!(asked.method(), "REGISTER");
        let auth =
            asked.header("Authorization").map(|value| sip::auth::Auth::parse(value).expect("credentials"));
        let parameters = Parameters {
            realm: sip::association::REALM.to_owned(),
            targetname: "fe.contoso.example".to_owned(),
            opaque: "17B23762".to_owned(),
            version: 4,
        };
        let wall = Wall::from_unix_secs(NOON);
        let challenge = |value: String| asked.reply(401, "Unauthorized").with("WWW-Authenticate", value);
        let draft = match auth {
            None => {
                self.pool.acceptor = None;
                self.pool.association = None;
                let sts = "https://fe.contoso.example/CertProv/CertProvisioningService.svc";
                challenge(tls_dsk::challenge(&parameters.realm, &parameters.targetname, 4, sts).to_string())
            }
            Some(auth) if auth.get("gssapi-data").is_some() => {
                if self.pool.acceptor.is_none() {
                    let acceptor =
                        Acceptor::new(&self.pool.setup, &mut self.pool.random).expect("an acceptor");
                    self.pool.acceptor = Some(acceptor);
                }
                let flight = auth.get("gssapi-data").expect("a flight");
                let flight = tls_dsk::decode_flight(&flight).expect("a flight");
                let acceptor = self.pool.acceptor.as_mut().expect("just made");
                match acceptor.step(&flight, wall, &mut self.pool.random).expect("a good flight") {
                    Reply::More(flight) => {
                        challenge(tls_dsk::acceptor_flight(&parameters, &flight).to_string())
                    }
                    Reply::Done { flight, keys } => {
                        let random = self.pool.random.fork("association");
                        self.pool.association =
                            Some(SecurityAssociation::server(parameters.clone(), keys, random));
                        challenge(tls_dsk::acceptor_flight(&parameters, &flight).to_string())
                    }
                }
            }
            Some(_) => {
                let association = self.pool.association.as_mut().expect("an association");
                association.check(&asked).expect("a rightly signed REGISTER");
                let granted = self.pool.granted.to_string();
                let draft = asked
                    .reply(200, "OK")
                    .with("Expires", &granted)
                    .with("presence-state", format!("register-action=\"{action}\""))
                    .with("ms-keep-alive", "UAS; tcp=no; hop-hop=yes; end-end=no; timeout=300");
                association.sign_response(draft)
            }
        };
        self.deliver(draft.message().expect("SIP"));
    }

    fn answer_subscribe(&mut self, body: &str) {
        let asked = self.asked();
        assert_eq!(asked.method(), "SUBSCRIBE");
        let association = self.pool.association.as_mut().expect("an association");
        association.check(&asked).expect("a rightly signed SUBSCRIBE");
        let draft = asked.reply(200, "OK").with("Expires", "28800").body(policy::MEDIA_TYPE, body.to_owned());
        let message = association.sign_response(draft).message().expect("SIP");
        self.deliver(message);
    }

    /// From the door to 200 and the policy.
    fn register(&mut self) {
        (0..4).for_each(|_| self.answer_register("added"));
        self.answer_subscribe("<provisionGroupList/>");
    }

    fn registered() -> Bench {
        let mut bench = Bench::returning();
        bench.connect();
        bench.register();
        assert!(bench.registration.is_registered());
        bench.said.clear();
        bench
    }

    fn wake(&mut self) -> Time {
        self.now = self.registration.wake_at().expect("something to wait for");
        self.act(|registration, now, tools, out| registration.woken(now, tools, out));
        self.now
    }

    /// Lets time pass until the phone sends a message.
    fn until_sent(&mut self) -> Time {
        for _ in 0..1000 {
            if !self.pool.inbox.is_empty() {
                return self.now;
            }
            self.wake();
        }
        panic!("the phone sent nothing");
    }

    fn close(&mut self, why: Closed) {
        self.act(|registration, now, tools, out| {
            registration.stream(now, StreamEvent::Closed(why), tools, out)
        });
    }

    fn signed_request(&mut self, event: &str, content_type: &str, body: &str) -> Message {
        let draft = Draft::request("BENOTIFY", "sip:10.20.2.1:49152;transport=tls")
            .with("Via", "SIP/2.0/TLS 192.0.2.20:5061;branch=z9hG4bK1")
            .with("From", "<sip:alice@contoso.example>;tag=1")
            .with("To", "<sip:alice@contoso.example>;tag=2;epid=04f2a1b2c3")
            .with("Max-Forwards", "70")
            .with("Call-ID", "of-the-pool")
            .with("CSeq", "1 BENOTIFY")
            .with("Event", event)
            .body(content_type, body.to_owned());
        let association = self.pool.association.as_mut().expect("an association");
        association.sign_request(draft).message().expect("SIP")
    }
}

fn enroll(authority: &mut Authority, from: Wall, days: u64, random: &mut Random) -> Enrolled {
    let key = Crypto::Seeded.p256_key(random);
    let request = pki::make_request(&key, "alice@contoso.example").expect("a request");
    let asked = pki::CertificateRequest::parse(&request).expect("a good request");
    let holder = Holder::new("alice@contoso.example");
    let certificate =
        authority.issue_user(&asked, &holder, Validity::days(from, days)).expect("a certificate");
    Enrolled::read(certificate, key, "alice@contoso.example").expect("it fits")
}

#[test]
fn a_phone_with_a_certificate_is_registered_after_four_registers() {
    let mut bench = Bench::returning();
    bench.connect();
    for n in 1..=4 {
        assert_eq!(bench.pool.inbox[0].cseq().number, n);
        bench.answer_register("added");
    }
    assert_eq!(bench.said, [Said::Registered { is_back: false }]);
    bench.answer_subscribe("<provisionGroupList/>");
    assert_eq!(bench.said.pop(), Some(Said::Policy(Some(b"<provisionGroupList/>".to_vec()))));
}

#[test]
fn a_phone_without_a_certificate_is_told_where_to_get_one_and_goes_on_with_it() {
    let mut bench = Bench::interactive();
    bench.connect();
    bench.answer_register("added");
    let Some(Said::NeedsCertificate(Some(service))) = bench.said.pop() else { panic!("wants a certificate") };
    assert_eq!(service.path(), "/CertProv/CertProvisioningService.svc");
    let from = Wall::from_unix_secs(NOON - 600);
    let enrolled = enroll(&mut bench.authority, from, 180, &mut Random::named(9, "new"));
    bench.act(|registration, now, tools, out| registration.certified(enrolled, now, tools, out));
    bench.register();
    assert!(bench.registration.is_registered());
}

#[test]
fn a_binding_is_refreshed_at_nine_tenths_or_thirty_seconds_before_its_end() {
    for (granted, at) in [(7200, 6480), (300, 270), (100, 70), (40, 10), (31, 1), (30, 27), (10, 9)] {
        let mut bench = Bench::returning();
        bench.pool.granted = granted;
        bench.connect();
        bench.register();
        assert_eq!(bench.until_sent(), secs(at), "granted {granted}");
        assert_eq!(bench.asked().method(), "REGISTER");
    }
}

#[test]
fn a_quiet_stream_is_kept_alive_at_the_pace_that_the_pool_names() {
    let mut bench = Bench::registered();
    assert_eq!(bench.registration.wake_at(), Some(secs(300)));
    bench.wake();
    assert_eq!(bench.registration.wake_at(), Some(secs(600)));
}

#[test]
fn a_refresh_that_is_taken_as_new_means_that_the_binding_was_lost() {
    let mut bench = Bench::registered();
    bench.until_sent();
    bench.answer_register("added");
    assert_eq!(bench.said, [Said::WasForgotten]);
    assert_eq!(bench.asked().method(), "SUBSCRIBE", "every dialog is dead");

    let mut bench = Bench::registered();
    bench.until_sent();
    bench.answer_register("refreshed");
    assert_eq!((bench.said, bench.pool.inbox.len()), (vec![], 0));
}

#[test]
fn an_association_is_made_anew_five_minutes_before_eight_hours() {
    let mut bench = Bench::registered();
    let proven = loop {
        let at = bench.until_sent();
        let asked = &bench.pool.inbox[0];
        if asked.method() == "REGISTER" && asked.header("Authorization").is_none() {
            break at;
        }
        match asked.method() {
            "REGISTER" => bench.answer_register("refreshed"),
            _ => bench.answer_subscribe("<provisionGroupList/>"),
        }
    };
    assert_eq!(proven, secs(8 * 3600 - 300));
    assert!(bench.registration.is_registered(), "the binding stands meanwhile");
}

#[test]
fn a_refusal_is_final_and_keeps_the_pools_words() {
    for (status, headers, words) in [
        (403, vec![("Warning", "310 lcs.microsoft.com \"User disabled\"")], "User disabled"),
        (404, vec![("ms-diagnostics-public", "4005;reason=\"No such user\"")], "No such user"),
        (403, vec![], "403 No"),
    ] {
        let mut bench = Bench::interactive();
        bench.connect();
        bench.answer(status, "No", &headers);
        assert_eq!(bench.said, [Said::Refused(words.to_owned())]);
        assert_eq!(bench.registration.wake_at(), None, "nothing more by itself");
    }
}

#[test]
fn a_busy_pool_is_asked_again_when_it_says() {
    let mut bench = Bench::returning();
    bench.connect();
    bench.answer(503, "Service Unavailable", &[("Retry-After", "120")]);
    assert!(matches!(&bench.said[..], [Said::Lost(why)] if why.contains("503")));
    assert_eq!(bench.registration.wake_at(), Some(secs(120)));
}

#[test]
fn a_lost_stream_is_built_up_again_with_growing_patience() {
    let mut bench = Bench::registered();
    bench.close(Closed::Reset);
    assert!(matches!(bench.said.pop(), Some(Said::Lost(_))));
    let first = bench.registration.wake_at().expect("tries again");
    assert!((secs(1)..=secs(30)).contains(&first), "{first}");
    bench.wake();
    assert!(matches!(bench.said.pop(), Some(Said::LookUp(_))));
    bench.act(|registration, now, tools, out| {
        registration.resolved(now, Err("no such name".to_owned()), tools, out)
    });
    assert!(bench.said.is_empty(), "it is told once");
    let second = bench.registration.wake_at().expect("tries again").since(bench.now);
    assert_eq!(second, first.since_start() * 2);
    bench.wake();
    bench.resolve_and_open();
    (0..4).for_each(|_| bench.answer_register("added"));
    assert_eq!(bench.said, [Said::Registered { is_back: true }]);
}

#[test]
fn no_answer_within_timer_f_counts_as_a_lost_stream() {
    let mut bench = Bench::returning();
    bench.connect();
    assert_eq!(bench.wake(), secs(32));
    assert!(matches!(&bench.said[..], [Said::Lost(_)]));
}

#[test]
fn two_pools_that_send_a_phone_to_each_other_do_not_keep_it_running() {
    let mut bench = Bench::returning();
    bench.connect();
    for n in 0..10 {
        if bench.pool.inbox.is_empty() {
            assert_eq!(n, 6, "five moves, then patience");
            return;
        }
        let to = if n % 2 == 0 {
            "<sip:fe2.contoso.example:5061;transport=tls>"
        } else {
            "<sip:fe.contoso.example:5061;transport=tls>"
        };
        bench.answer(301, "Moved", &[("Contact", to)]);
        if matches!(bench.said.last(), Some(Said::LookUp(_))) {
            bench.resolve_and_open();
        }
    }
    panic!("it ran in a ring");
}

#[test]
fn good_credentials_that_are_refused_twice_are_renewed() {
    let mut bench = Bench::returning();
    bench.connect();
    for _ in 0..2 {
        (0..3).for_each(|_| bench.answer_register("added"));
        bench.answer(
            401,
            "Unauthorized",
            &[(
                "WWW-Authenticate",
                "TLS-DSK realm=\"SIP Communications Service\", targetname=\"fe.contoso.example\", version=4",
            )],
        );
    }
    assert!(matches!(&bench.said[..], [Said::CertificateRefused(_)]));
    assert!(bench.pool.inbox.is_empty());
}

#[test]
fn a_deregistration_signs_the_phone_out_and_only_if_it_is_signed() {
    let mut bench = Bench::registered();
    let notice =
        bench.signed_request("registration-notify", "text/registration-event", "deregistered;event=rejected");
    let unsigned: String = String::from_utf8(notice.as_bytes().to_vec())
        .expect("text")
        .lines()
        .filter(|line| !line.starts_with("Authentication-Info"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let forged = Message::parse(Bytes::from(unsigned.trim_end_matches("\r\n").to_owned())).expect("SIP");
    bench.deliver(forged);
    assert!(bench.said.is_empty(), "as if it had never come");
    bench.deliver(notice);
    assert_eq!(bench.said, [Said::SignedOut("the account is disabled".to_owned())]);
}

#[test]
fn a_user_who_was_moved_is_registered_anew_at_once() {
    let mut bench = Bench::registered();
    let notice = bench.signed_request(
        "registration-notify",
        "text/registration-event",
        "deregistered;event=deactivated",
    );
    bench.deliver(notice);
    assert!(matches!(&bench.said[..], [Said::Lost(_), Said::LookUp(_)]));
}

#[test]
fn a_changed_policy_is_handed_on() {
    let mut bench = Bench::registered();
    let notice = bench.signed_request(policy::EVENT, policy::MEDIA_TYPE, "<provisionGroupList/>");
    bench.deliver(notice);
    assert!(matches!(&bench.said[..], [Said::Policy(Some(_))]));
}

#[test]
fn a_message_with_a_wrong_signature_costs_the_stream() {
    let mut bench = Bench::registered();
    let notice = bench.signed_request(policy::EVENT, policy::MEDIA_TYPE, "<provisionGroupList/>");
    let text = String::from_utf8(notice.as_bytes().to_vec()).expect("text");
    let tag = text.replace(";tag=1", ";tag=9");
    bench.deliver(Message::parse(Bytes::from(tag)).expect("SIP"));
    assert!(matches!(&bench.said[..], [Said::Lost(why)] if why.contains("signature")));
    assert_eq!(bench.pool.stream, None);
}

#[test]
fn a_person_who_waits_is_told_what_is_wrong() {
    let mut bench = Bench::interactive();
    bench.connect();
    bench.close(Closed::Refused);
    assert_eq!(bench.said, [Said::Failed("connection refused".to_owned())]);

    let mut bench = Bench::interactive();
    bench.act(|registration, now, _, out| registration.start(now, out));
    bench.said.clear();
    bench.act(|registration, now, tools, out| registration.resolved(now, Ok(vec![peer().ip()]), tools, out));
    bench.close(Closed::Tls(net::tls::TlsError::UnknownIssuer));
    assert_eq!(bench.said, [Said::UnknownIssuer("fe.contoso.example".to_owned())]);
}

#[test]
fn signing_out_says_goodbye_without_waiting() {
    let mut bench = Bench::registered();
    bench.act(|registration, now, tools, out| {
        registration.sign_out(now, tools, out);
        Vec::new()
    });
    let goodbye = bench.asked();
    assert_eq!((goodbye.method(), goodbye.expires()), ("REGISTER", Some(0)));
    assert_eq!((bench.pool.stream, bench.registration.wake_at()), (None, None));
}

mod outside {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn nothing_on_the_stream_makes_the_phone_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut bench = Bench::registered();
            let event = StreamEvent::Received(Bytes::from(bytes));
            bench.act(|registration, now, tools, out| registration.stream(now, event, tools, out));
        }

        #[test]
        fn no_answer_to_register_makes_the_phone_panic(
            status in 100u16..700, name in "(WWW-Authenticate|Contact|Expires|Warning|Retry-After|ms-diagnostics|presence-state)",
            value in "[ -~]{0,80}"
        ) {
            let mut bench = Bench::returning();
            bench.connect();
            let asked = bench.asked();
            let draft = asked.reply(status, "Odd").with(&name, &value);
            if let Ok(message) = draft.message() {
                bench.deliver(message);
            }
        }
    }
}
