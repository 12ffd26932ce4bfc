//! The same over the simulated network: real TLS, real disks, and an identity service that is a stranger.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use net::http::{ClientConnection, Limits, Method, Request, Response, ServerConnection};
use net::sim::{CutAtWrite, LinkModel};
use net::tls::{ClientTls, NameCheck, ServerTls, Trust};
use net::{
    Crypto, Dial, Input, ListenSecurity, Node, NodeId, Note, Outbox, Random, Security, Sim, Step,
    StreamEvent, StreamId, Time, WallClock, World,
};
use pki::{Authority, Validity};
use registrar::Registrar;

use crate::harness::{EPOCH, HOST, body, request, setup};
use crate::identity::{self, KEY};
use crate::phone::{CERTIFICATE, CertificateRequest, DEVICE, OAUTH, Ticket, certificate, cut, rst};

const ALICE: &str = "alice@contoso.example";

enum Actor {
    Pool(Box<Registrar>),
    Identity(KeyServer),
    Phone(Box<Caller>),
}

impl Node for Actor {
    fn handle(&mut self, now: Time, input: Input, out: &mut Outbox) {
        match self {
            Actor::Pool(pool) => pool.handle(now, input, out),
            Actor::Identity(identity) => identity.handle(input, out),
            Actor::Phone(phone) => phone.handle(input, out),
        }
    }

    fn wake_at(&self) -> Option<Time> {
        match self {
            Actor::Pool(pool) => pool.wake_at(),
            Actor::Identity(_) | Actor::Phone(_) => None,
        }
    }
}

/// Publishes the signing keys over TLS.
struct KeyServer {
    tls: ServerTls,
    streams: Vec<(StreamId, ServerConnection)>,
}

impl KeyServer {
    fn handle(&mut self, input: Input, out: &mut Outbox) {
        match input {
            Input::PowerOn(_) => {
                out.address(Some("192.0.2.10".parse().unwrap()));
                out.listen(443, ListenSecurity::Tls(self.tls.clone().into()));
            }
            Input::Stream(stream, StreamEvent::Accepted { .. }) => {
                self.streams.push((stream, ServerConnection::new(Limits::default())));
            }
            Input::Stream(stream, StreamEvent::Received(bytes)) => {
                let (_, http) = self.streams.iter_mut().find(|(known, _)| *known == stream).unwrap();
                http.receive(&bytes);
                if http.take_request().is_some() {
                    http.answer(Response::new(Bytes::from(identity::published(&[&KEY]))));
                }
                out.write(stream, http.take_output());
            }
            _ => {}
        }
    }
}

/// Asks one thing at a time, each on a connection of its own.
#[derive(Default)]
struct Caller {
    asking: Option<(StreamId, ClientConnection)>,
    answer: Option<Response<Bytes>>,
    closed: Option<String>,
}

impl Caller {
    fn ask(&mut self, trust: Option<&Trust>, request: Request<Bytes>, out: &mut Outbox) {
        let address = "192.0.2.20".parse().unwrap();
        let dial = match trust {
            None => Dial { to: SocketAddr::new(address, 80), security: Security::Plain },
            Some(trust) => Dial {
                to: SocketAddr::new(address, 443),
                security: Security::Tls(ClientTls {
                    server_name: HOST.to_owned(),
                    trust: trust.clone(),
                    clock: WallClock::new(EPOCH, Time::ZERO),
                    names: NameCheck::Strict,
                }),
            },
        };
        let mut http = ClientConnection::new(Limits::default());
        http.ask(request);
        self.asking = Some((out.open(dial), http));
        (self.answer, self.closed) = (None, None);
    }

    fn handle(&mut self, input: Input, out: &mut Outbox) {
        if let Input::PowerOn(_) = input {
            out.address(Some("10.20.2.1".parse().unwrap()));
        }
        let Input::Stream(stream, event) = input else { return };
        let Some((_, http)) = self.asking.as_mut().filter(|(known, _)| *known == stream) else { return };
        match event {
            StreamEvent::Received(bytes) => http.receive(&bytes),
            StreamEvent::Closed(why) => {
                http.end();
                self.closed = Some(why.to_string());
            }
            StreamEvent::Opened { .. } | StreamEvent::Accepted { .. } => {}
        }
        out.write(stream, http.take_output());
        if let Some(Ok(answer)) = http.take_answer() {
            self.answer = Some(answer);
        }
    }
}

struct Stage {
    sim: Sim<Actor>,
    pool: NodeId,
    phone: NodeId,
}

impl Stage {
    /// A lab in which the identity service's certificate is by the authority that the pool trusts, or not.
    fn new(seed: u64, identity_is_trusted: bool) -> Stage {
        let mut public = authority("Public Root");
        let trusted = if identity_is_trusted { public.trust() } else { authority("Another Root").trust() };
        let names = ["login.contoso.example".to_owned()];
        let credentials = public.issue_server(&names, Validity::days(EPOCH, 365)).unwrap();
        let mut pool = setup();
        pool.identity.as_mut().unwrap().trust = trusted;
        let mut sim = Sim::new(seed);
        let delay = LinkModel { delay: Duration::from_millis(10), ..LinkModel::default() };
        let office = sim.add_segment("office", delay);
        let cloud = sim.add_segment("cloud", LinkModel::default());
        let key_server = KeyServer { tls: ServerTls::new(credentials), streams: Vec::new() };
        let identity = sim.add_node("login", Actor::Identity(key_server), cloud);
        let pool = sim.add_node("fe", Actor::Pool(Box::new(Registrar::new(pool))), cloud);
        let phone = sim.add_node("desk", Actor::Phone(Box::default()), office);
        for who in [identity, pool, phone] {
            sim.power_on(who);
        }
        Stage { sim, pool, phone }
    }

    fn try_ask(&mut self, trust: Option<&Trust>, request: Request<Bytes>) -> Option<Response<Bytes>> {
        self.sim.act(self.phone, |actor, _, out| match actor {
            Actor::Phone(phone) => phone.ask(trust, request, out),
            Actor::Pool(_) | Actor::Identity(_) => {}
        });
        let until = self.sim.now() + Duration::from_secs(20);
        while self.phone().answer.is_none() && self.phone().closed.is_none() {
            if self.sim.step(until) == Step::Quiet {
                break;
            }
        }
        self.phone().answer.clone()
    }

    fn ask(&mut self, trust: Option<&Trust>, request: Request<Bytes>) -> Response<Bytes> {
        self.try_ask(trust, request).expect("an answer")
    }

    fn phone(&self) -> &Caller {
        match self.sim.look(self.phone) {
            Actor::Phone(phone) => phone,
            Actor::Pool(_) | Actor::Identity(_) => unreachable!("the phone is a phone"),
        }
    }

    fn registrar(&self) -> &Registrar {
        match self.sim.look(self.pool) {
            Actor::Pool(pool) => pool,
            Actor::Phone(_) | Actor::Identity(_) => unreachable!("the pool is a pool"),
        }
    }

    /// Takes the root on first use.
    fn trust(&mut self) -> Trust {
        let asked = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
            <GetRootCertChains xmlns=\"http://schemas.microsoft.com/OCS/AuthWebServices/\"/></s:Body></s:Envelope>";
        let url = "/CertProv/CertProvisioningService.svc/Anon";
        let answer = self.ask(None, request(Method::POST, url, &[], asked));
        let root = STANDARD.decode(cut(body(&answer), "X509Certificate").1).unwrap();
        Trust::new([&root.into()])
    }

    fn ticket_answer(&mut self, trust: &Trust) -> Response<Bytes> {
        let wall = WallClock::new(EPOCH, Time::ZERO).read(self.sim.now());
        let bearer = format!("Bearer {}", identity::token(&KEY, &identity::claims(ALICE, wall)));
        let asked = rst(ALICE, DEVICE, CERTIFICATE);
        self.ask(Some(trust), request(Method::POST, OAUTH, &[("authorization", &bearer)], &asked))
    }
}

fn authority(name: &str) -> Authority {
    let life = Duration::from_secs(10 * 365 * 86_400);
    Authority::new(name, Crypto::Seeded, &mut Random::named(5, name), EPOCH, life)
}

fn sign_in(seed: u64) -> (Vec<u8>, [u8; 32]) {
    let mut stage = Stage::new(seed, true);
    let trust = stage.trust();
    let ticket = Ticket::of(&stage.ticket_answer(&trust));
    let asked = CertificateRequest::new(&ticket, ALICE).print();
    let answer = stage.ask(Some(&trust), request(Method::POST, CERTIFICATE, &[], &asked));
    (certificate(&answer), stage.sim.trace_hash())
}

#[test]
fn from_the_first_root_to_the_certificate_over_tls_and_the_same_again_for_the_same_seed() {
    let (first, trace) = sign_in(7);
    let (second, same) = sign_in(7);
    assert_eq!(trace, same);
    assert_eq!(first, second);
}

#[test]
fn a_phone_without_the_pools_root_gets_no_further_than_tls() {
    let mut stage = Stage::new(7, true);
    let stranger = authority("Another Root").trust();
    assert!(stage.try_ask(Some(&stranger), request(Method::GET, "/", &[], "")).is_none());
    assert!(stage.phone().closed.as_ref().is_some_and(|why| why.contains("unknown authority")));
}

#[test]
fn an_identity_service_that_proves_itself_by_a_strange_root_is_not_believed() {
    let mut stage = Stage::new(7, false);
    let trust = stage.trust();
    let answer = stage.ticket_answer(&trust);
    assert_eq!(answer.status(), 503);
    let has_said_why = stage.sim.journal().entries().iter().any(|entry| match &entry.note {
        Note::Broken { text, .. } => text.contains("unknown authority"),
        _ => false,
    });
    assert!(has_said_why);
}

#[test]
fn a_power_cut_in_any_write_leaves_a_certificate_that_was_answered_and_none_that_cannot_be_read() {
    for octets in [0, 1, 7, 8, 9, 100, 500, 2000] {
        let mut stage = Stage::new(7, true);
        let trust = stage.trust();
        let ticket = Ticket::of(&stage.ticket_answer(&trust));
        let asked = CertificateRequest::new(&ticket, ALICE).print();
        let write = stage.sim.disk_writes(stage.pool) + 1;
        stage.sim.cut_at_write(stage.pool, Some(CutAtWrite { write, octets: Some(octets) }));
        let answer = stage.try_ask(Some(&trust), request(Method::POST, CERTIFICATE, &[], &asked));
        assert!(answer.is_none(), "nobody hears of what is not on the disk");
        stage.sim.cut_at_write(stage.pool, None);
        stage.sim.power_on(stage.pool);
        let kept = stage.registrar().published().of(ALICE).count();
        assert!(kept <= 1);
        let ticket = Ticket::of(&stage.ticket_answer(&trust));
        let mut again = CertificateRequest::new(&ticket, ALICE);
        again.csr = crate::phone::csr("next key", ALICE);
        let answer = stage.ask(Some(&trust), request(Method::POST, CERTIFICATE, &[], &again.print()));
        let der = certificate(&answer);
        stage.sim.power_off(stage.pool);
        stage.sim.power_on(stage.pool);
        let held: Vec<_> = stage.registrar().published().of(ALICE).map(|held| held.der.clone()).collect();
        assert_eq!(held, [der], "cut after {octets} octets");
    }
}
