//! A scripted server on the other side of each stream.

use net::http::{HeaderValue, ServerConnection};
use net::{Dial, Effect, Note, Security, StreamEvent, Wall};

use super::*;
use crate::resolver::Lookup;

/// A phone's client, and what it asked the world for.
struct Desk {
    fetcher: Fetcher,
    resolver: Resolver,
    random: Random,
    trust: Trust,
    out: Outbox,
    dials: Vec<(StreamId, Dial)>,
    written: BTreeMap<StreamId, Vec<u8>>,
    closed: Vec<StreamId>,
    notes: Vec<String>,
    ended: Vec<(FetchId, Result<Response, FetchError>)>,
}

fn desk() -> Desk {
    Desk {
        fetcher: Fetcher::new(),
        resolver: Resolver::new(),
        random: Random::named(1, "desk"),
        trust: Trust::new([]),
        out: Outbox::new(),
        dials: Vec::new(),
        written: BTreeMap::new(),
        closed: Vec::new(),
        notes: Vec::new(),
        ended: Vec::new(),
    }
}

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

fn get(text: &str) -> Request {
    Request::get(url(text), "test")
}

macro_rules! parts {
    ($desk:ident) => {
        &mut FetchParts {
            resolver: &mut $desk.resolver,
            random: &mut $desk.random,
            clock: WallClock::new(Wall::UNIX_EPOCH, Time::ZERO),
            trust: &$desk.trust,
            names: NameCheck::Strict,
        }
    };
}

impl Desk {
    fn start(&mut self, request: Request, now: Time) -> FetchId {
        let id = self.fetcher.start(request, now, parts!(self), &mut self.out);
        self.collect();
        id
    }

    fn handle(&mut self, now: Time, input: Input) {
        let resolved = self.resolver.handle(now, &input, &mut self.random, &mut self.out);
        let fetched = self.fetcher.handle(now, &input, &resolved, parts!(self), &mut self.out);
        self.ended.extend(fetched.into_iter().map(|fetched| (fetched.id, fetched.result)));
        self.collect();
    }

    fn collect(&mut self) {
        for effect in self.out.take() {
            match effect {
                Effect::Open(id, dial) => self.dials.push((id, dial)),
                Effect::Write(id, bytes) => self.written.entry(id).or_default().extend(bytes),
                Effect::Close(id) => self.closed.push(id),
                Effect::Note(Note::Sent { text, .. } | Note::Received { text, .. }) => self.notes.push(text),
                _ => {}
            }
        }
    }

    fn opened(&mut self, now: Time, stream: StreamId) {
        let (local, peer) = (address("10.20.2.1:50000"), address("192.0.2.10:80"));
        self.handle(now, Input::Stream(stream, StreamEvent::Opened { local, peer }));
    }

    fn received(&mut self, now: Time, stream: StreamId, octets: &str) {
        let event = StreamEvent::Received(Bytes::from(octets.to_owned()));
        self.handle(now, Input::Stream(stream, event));
    }

    fn broke(&mut self, now: Time, stream: StreamId, why: Closed) {
        self.handle(now, Input::Stream(stream, StreamEvent::Closed(why)));
    }

    fn written(&mut self, stream: StreamId) -> String {
        String::from_utf8(self.written.remove(&stream).unwrap_or_default()).expect("text")
    }

    fn end(&mut self) -> Result<Response, FetchError> {
        self.ended.pop().expect("an end").1
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

#[test]
fn a_request_goes_out_when_the_stream_is_up_and_the_journal_sees_no_query() {
    let mut desk = desk();
    let id = desk.start(get("http://192.0.2.10/a?token=secret"), at(0));
    let (stream, dial) = desk.dials.remove(0);
    assert_eq!(dial.to, address("192.0.2.10:80"));
    assert!(matches!(dial.security, Security::Plain));
    assert!(desk.written(stream).is_empty());
    desk.opened(at(5), stream);
    let text = desk.written(stream);
    assert!(text.starts_with("GET /a?token=secret HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("host: 192.0.2.10\r\n"), "{text}");
    desk.received(at(9), stream, OK);
    let (ended, response) = desk.ended.pop().expect("an end");
    assert_eq!(ended, id);
    assert_eq!(response.expect("an answer").body, "hi");
    assert_eq!(desk.notes, ["GET /a (test)", "200 test"]);
}

#[test]
fn tls_is_dialled_with_the_name_of_the_url_and_the_clock_of_the_phone() {
    let mut desk = desk();
    desk.resolver.configure(&["192.0.2.53".parse().expect("an address")], None);
    desk.start(get("https://login.contoso.example/"), at(0));
    assert!(desk.dials.is_empty(), "the name is asked about first");
    desk.start(get("https://192.0.2.10:8443/"), at(0));
    let Security::Tls(tls) = &desk.dials[0].1.security else { panic!("TLS") };
    assert_eq!(tls.server_name, "192.0.2.10");
    assert_eq!(tls.clock.read(at(1000)), Wall::from_unix_secs(1));
    assert_eq!(desk.dials[0].1.to.port(), 8443);
}

#[test]
fn requests_to_one_place_wait_their_turn_on_one_connection() {
    let mut desk = desk();
    let first = desk.start(get("http://192.0.2.10/1"), at(0));
    let second = desk.start(get("http://192.0.2.10/2"), at(0));
    assert_eq!(desk.dials.len(), 1);
    let stream = desk.dials[0].0;
    desk.opened(at(1), stream);
    assert!(desk.written(stream).starts_with("GET /1 "));
    desk.received(at(2), stream, OK);
    assert!(desk.written(stream).starts_with("GET /2 "));
    desk.received(at(3), stream, OK);
    let ids: Vec<FetchId> = desk.ended.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, [first, second]);
    assert_eq!(desk.fetcher.wake_at(), Some(at(3) + IDLE_LIMIT));
    desk.handle(at(3) + IDLE_LIMIT, Input::Woken);
    assert_eq!(desk.closed, [stream]);
    assert_eq!(desk.fetcher.wake_at(), None);
}

#[test]
fn a_kept_connection_that_breaks_under_a_request_is_tried_once_more() {
    let mut desk = desk();
    desk.start(get("http://192.0.2.10/1"), at(0));
    let stream = desk.dials[0].0;
    desk.opened(at(1), stream);
    desk.received(at(2), stream, OK);
    desk.start(get("http://192.0.2.10/2"), at(3));
    desk.broke(at(4), stream, Closed::Reset);
    assert_eq!(desk.ended.len(), 1);
    let second = desk.dials[1].0;
    desk.opened(at(5), second);
    assert!(desk.written(second).starts_with("GET /2 "));
    desk.broke(at(6), second, Closed::Reset);
    let why = desk.end().expect_err("no third try");
    assert_eq!(why, FetchError::Connect { host: "192.0.2.10:80".into(), why: Closed::Reset });
    assert_eq!(desk.dials.len(), 2);
}

#[test]
fn every_way_of_not_connecting_has_its_own_error() {
    for (why, text) in [
        (Closed::Refused, "192.0.2.10:80: connection refused"),
        (Closed::Unreachable, "192.0.2.10:80: network unreachable"),
        (
            Closed::Tls(net::tls::TlsError::UnknownIssuer),
            "192.0.2.10:80: TLS: certificate is signed by an unknown authority",
        ),
    ] {
        let mut desk = desk();
        desk.start(get("http://192.0.2.10/"), at(0));
        desk.start(get("http://192.0.2.10/other"), at(0));
        let stream = desk.dials[0].0;
        desk.broke(at(1), stream, why);
        assert_eq!(desk.ended.len(), 2, "nobody waits behind a failure");
        assert_eq!(desk.end().expect_err("no connection").to_string(), text);
    }
    let mut desk = desk();
    desk.start(get("http://nobody.example/"), at(0));
    assert_eq!(desk.fetcher.wake_at(), Some(at(0)));
    desk.handle(at(0), Input::Woken);
    assert!(matches!(desk.end(), Err(FetchError::Resolve(ResolveError::NoServers(_)))));
    desk.start(get("ftp://192.0.2.10/"), at(1));
    desk.handle(at(1), Input::Woken);
    assert!(matches!(desk.end(), Err(FetchError::BadUrl { .. })));
}

#[test]
fn deadlines_of_connection_and_answer_hold_on_both_sides() {
    let mut desk = desk();
    desk.start(get("http://192.0.2.10/"), at(0));
    let stream = desk.dials[0].0;
    assert_eq!(desk.fetcher.wake_at(), Some(at(10_000)));
    desk.handle(at(9_999), Input::Woken);
    assert!(desk.ended.is_empty());
    desk.handle(at(10_000), Input::Woken);
    let why = desk.end().expect_err("late");
    assert_eq!(why.to_string(), "192.0.2.10:80: connecting took longer than 10s");
    assert_eq!(desk.closed, [stream]);

    desk.start(get("http://192.0.2.10/"), at(20_000));
    let stream = desk.dials[1].0;
    desk.opened(at(20_000), stream);
    desk.received(at(30_000), stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nslow");
    desk.handle(at(49_999), Input::Woken);
    assert!(desk.ended.is_empty());
    desk.handle(at(50_000), Input::Woken);
    let why = desk.end().expect_err("late");
    assert_eq!(why.to_string(), "192.0.2.10:80: the answer took longer than 30s");
    assert_eq!(desk.closed.last(), Some(&stream));
}

#[test]
fn bad_http_is_an_error_and_ends_the_connection() {
    for octets in
        ["SIP/2.0 200 OK\r\n\r\n", "\u{16}\u{3}\u{1}", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"]
    {
        let mut desk = desk();
        desk.start(get("http://192.0.2.10/"), at(0));
        let stream = desk.dials[0].0;
        desk.opened(at(1), stream);
        desk.received(at(2), stream, octets);
        assert!(matches!(desk.end(), Err(FetchError::Http { .. })), "{octets}");
        assert_eq!(desk.closed, [stream]);
    }
}

#[test]
fn an_answer_without_a_length_ends_with_its_stream() {
    let mut desk = desk();
    desk.start(get("http://192.0.2.10/"), at(0));
    let stream = desk.dials[0].0;
    desk.opened(at(1), stream);
    desk.received(at(2), stream, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
    assert!(desk.ended.is_empty());
    desk.broke(at(3), stream, Closed::ByPeer);
    assert_eq!(desk.end().expect("an answer").body, "until the end");
    assert_eq!(desk.fetcher.wake_at(), None);
}

#[test]
fn a_body_past_the_limit_is_not_kept() {
    let mut desk = desk();
    desk.start(get("http://192.0.2.10/"), at(0));
    let stream = desk.dials[0].0;
    desk.opened(at(1), stream);
    desk.received(at(2), stream, "HTTP/1.1 200 OK\r\n\r\n");
    let mut now = 3;
    while desk.ended.is_empty() {
        desk.received(at(now), stream, &"x".repeat(60_000));
        now += 1;
        assert!(now < 30);
    }
    assert!(matches!(desk.end(), Err(FetchError::Http { why: HttpError::TooLarge(_), .. })));
    assert_eq!(desk.closed, [stream]);
}

#[test]
fn redirects_are_followed_as_often_as_allowed_without_credentials_for_others() {
    let mut desk = desk();
    let mut request = get("http://192.0.2.10/a");
    request.redirects = 1;
    request.method = Method::POST;
    request.body = Bytes::from_static(b"form");
    request.headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Basic x"));
    let id = desk.start(request, at(0));
    let stream = desk.dials[0].0;
    desk.opened(at(1), stream);
    assert!(desk.written(stream).starts_with("POST /a "));
    let found = |to: &str| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n");
    desk.received(at(2), stream, &found("http://192.0.2.11/b"));
    let second = desk.dials[1].0;
    desk.opened(at(3), second);
    let text = desk.written(second);
    assert!(text.starts_with("GET /b ") && !text.contains("Basic"), "{text}");
    desk.received(at(4), second, &found("/c"));
    let (ended, response) = desk.ended.pop().expect("an end");
    let response = response.expect("the redirect itself, no more are allowed");
    assert_eq!((ended, response.status.as_u16(), response.url.path()), (id, 302, "/b"));
}

#[test]
fn a_redirect_never_leaves_tls() {
    let mut desk = desk();
    let mut request = get("https://192.0.2.10/a");
    request.redirects = 5;
    desk.start(request, at(0));
    let stream = desk.dials[0].0;
    desk.opened(at(1), stream);
    desk.received(
        at(2),
        stream,
        "HTTP/1.1 301 Moved\r\nlocation: http://192.0.2.10/a\r\ncontent-length: 0\r\n\r\n",
    );
    assert!(matches!(desk.end(), Err(FetchError::BadUrl { .. })));
}

#[test]
fn a_forgotten_request_is_never_told_and_leaves_others_in_peace() {
    let mut desk = desk();
    let first = desk.start(get("http://192.0.2.10/1"), at(0));
    let second = desk.start(get("http://192.0.2.10/2"), at(0));
    let stream = desk.dials[0].0;
    desk.opened(at(1), stream);
    desk.fetcher.cancel(first, at(2), parts!(desk), &mut desk.out);
    desk.collect();
    assert_eq!(desk.closed, [stream]);
    let fresh = desk.dials[1].0;
    desk.opened(at(3), fresh);
    assert!(desk.written(fresh).starts_with("GET /2 "));
    desk.received(at(4), fresh, OK);
    assert_eq!(desk.ended.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [second]);
}

#[test]
fn requests_and_connections_have_limits() {
    let mut desk = desk();
    for n in 0..REQUESTS_LIMIT {
        desk.start(get(&format!("http://192.0.2.10/{n}")), at(0));
    }
    desk.start(get("http://192.0.2.10/more"), at(0));
    desk.handle(at(0), Input::Woken);
    assert_eq!(desk.end().expect_err("too many"), FetchError::Busy);
    let mut desk = self::desk();
    for n in 0..LINKS_LIMIT as u64 + 1 {
        desk.start(get(&format!("http://192.0.2.{n}/")), at(n));
        let stream = desk.dials[n as usize].0;
        desk.opened(at(n), stream);
        desk.received(at(n), stream, OK);
    }
    assert_eq!(desk.closed, [desk.dials[0].0]);
}

#[test]
fn client_and_server_of_the_same_house_understand_each_other() {
    let mut desk = desk();
    let mut request = get("http://192.0.2.10/upload");
    request.method = Method::PUT;
    request.body = Bytes::from(vec![b'x'; 50_000]);
    desk.start(request, at(0));
    let stream = desk.dials[0].0;
    desk.opened(at(1), stream);
    let mut server = ServerConnection::new(Limits::default());
    server.receive(desk.written(stream).as_bytes());
    let asked = server.take_request().expect("a request");
    assert_eq!((asked.method().as_str(), asked.body().len()), ("PUT", 50_000));
    server.answer(net::http::Response::new(Bytes::new()));
    let answer = String::from_utf8(server.take_output().to_vec()).expect("text");
    desk.received(at(2), stream, &answer);
    assert_eq!(desk.end().expect("an answer").status, 200);
}

#[test]
fn a_large_file_arrives_whole_in_pieces_of_any_size() {
    for piece in [1_000, 1_460, 16_384, 60_000, 500_000] {
        let mut desk = desk();
        desk.start(get("http://192.0.2.10/large.cfg"), at(0));
        let stream = desk.dials[0].0;
        desk.opened(at(1), stream);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 500000\r\n\r\n{}", "x".repeat(500_000));
        for piece in answer.as_bytes().chunks(piece) {
            desk.received(at(2), stream, std::str::from_utf8(piece).expect("text"));
        }
        assert_eq!(desk.ended.len(), 1, "in pieces of {piece}");
        assert_eq!(desk.end().expect("an answer").body.len(), 500_000);
    }
    let mut desk = desk();
    desk.start(get("http://192.0.2.10/endless.cfg"), at(0));
    let stream = desk.dials[0].0;
    desk.opened(at(1), stream);
    desk.received(at(2), stream, &format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(500_000)));
    desk.broke(at(3), stream, Closed::ByPeer);
    assert_eq!(desk.end().expect("an answer").body.len(), 500_000);
}

#[test]
fn a_name_is_asked_about_once_and_its_failure_ends_the_request() {
    let mut desk = desk();
    desk.resolver.configure(&["192.0.2.53".parse().expect("an address")], None);
    desk.start(get("http://prov.hq/"), at(0));
    let last = desk.resolver.ask(
        crate::resolver::Question::Addresses("other.hq".into()),
        at(0),
        &mut desk.random,
        &mut desk.out,
    );
    assert!(matches!(last, Lookup::Pending(_)));
    while desk.ended.is_empty() {
        let wake_at = desk.resolver.wake_at().expect("it waits");
        desk.handle(wake_at, Input::Woken);
    }
    assert!(matches!(desk.end(), Err(FetchError::Resolve(ResolveError::NoAnswer { .. }))));
}
