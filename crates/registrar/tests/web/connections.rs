//! Slow, silent, crowding and garbling clients.

use std::time::Duration;

use bytes::Bytes;
use net::http::Method;
use net::{Input, StreamEvent};

use registrar::web::connections::PEER_LIMIT;

use crate::harness::{Identity, Pool, body, request};
use crate::identity::{KEY, claims, token};
use crate::phone::{CERTIFICATE, DEVICE, OAUTH, rst};

#[test]
fn a_slow_request_is_cut_off_after_thirty_seconds_however_it_drips() {
    let mut pool = Pool::new();
    let stream = pool.connect(443);
    for _ in 0..29 {
        pool.send(stream, b"G");
        pool.pass(Duration::from_secs(1));
    }
    assert!(!pool.closed.contains(&stream));
    pool.pass(Duration::from_secs(1));
    assert!(pool.closed.contains(&stream));
}

#[test]
fn an_idle_connection_stays_for_two_minutes() {
    let mut pool = Pool::new();
    let mut asking = pool.begin(443, request(Method::GET, "/", &[], ""));
    assert!(asking.answer(&mut pool).is_some());
    pool.pass(Duration::from_secs(119));
    assert!(!pool.closed.contains(&asking.stream));
    pool.pass(Duration::from_secs(1));
    assert!(pool.closed.contains(&asking.stream));
}

#[test]
fn garbage_and_giants_are_answered_and_closed() {
    let mut pool = Pool::new();
    let stream = pool.connect(443);
    pool.send(stream, b"\x16\x03\x01 hello\r\n\r\n");
    assert!(pool.received[&stream].starts_with(b"HTTP/1.1 400"));
    assert!(pool.closed.contains(&stream));
    let big = "x".repeat(70_000);
    let answer = pool.post(443, OAUTH, &[], &big);
    assert_eq!(answer.status(), 413);
    assert_eq!(pool.get(443, "/nothing/here", &[]).status(), 404);
    let answer = pool.get(443, OAUTH, &[]);
    assert_eq!((answer.status().as_u16(), body(&answer)), (405, ""));
}

#[test]
fn a_client_that_talks_on_while_it_waits_is_cut_off() {
    let mut pool = Pool::new();
    pool.identity = Identity::Silent;
    let bearer = format!("Bearer {}", token(&KEY, &claims("alice@contoso.example", pool.wall())));
    let text = rst("alice@contoso.example", DEVICE, CERTIFICATE);
    let asking = pool.begin(443, request(Method::POST, OAUTH, &[("authorization", &bearer)], &text));
    for _ in 0..130 {
        pool.send(asking.stream, &[b'x'; 1024]);
    }
    assert!(pool.closed.contains(&asking.stream));
    pool.pass(Duration::from_secs(60));
}

#[test]
fn a_client_that_leaves_while_it_waits_is_forgotten() {
    let mut pool = Pool::new();
    pool.identity = Identity::Silent;
    let bearer = format!("Bearer {}", token(&KEY, &claims("alice@contoso.example", pool.wall())));
    let text = rst("alice@contoso.example", DEVICE, CERTIFICATE);
    let asking = pool.begin(443, request(Method::POST, OAUTH, &[("authorization", &bearer)], &text));
    pool.give(Input::Stream(asking.stream, StreamEvent::Closed(net::Closed::ByPeer)));
    pool.pass(Duration::from_secs(60));
    assert!(!pool.received.contains_key(&asking.stream));
}

#[test]
fn one_address_cannot_take_every_connection() {
    let mut pool = Pool::new();
    let greedy = "10.20.2.66:1000".parse().unwrap();
    let streams: Vec<_> = (0..PEER_LIMIT + 44).map(|_| pool.connect_from(greedy, 443)).collect();
    let closed = streams.iter().filter(|stream| pool.closed.contains(stream)).count();
    assert_eq!(closed, 44);
    assert_eq!(pool.get(443, "/", &[]).status(), 200);
}

#[test]
fn two_requests_in_one_packet_are_answered_in_order() {
    let mut pool = Pool::new();
    let stream = pool.connect(443);
    let one = "GET / HTTP/1.1\r\nHost: fe.contoso.example\r\n\r\n";
    let two = "GET /nothing HTTP/1.1\r\nHost: fe.contoso.example\r\nConnection: close\r\n\r\n";
    pool.send(stream, Bytes::from(format!("{one}{two}")).as_ref());
    let text = String::from_utf8_lossy(&pool.received[&stream]).into_owned();
    let (first, second) = (text.find("HTTP/1.1 200"), text.find("HTTP/1.1 404"));
    assert!(first.is_some() && first < second, "{text}");
    assert!(pool.closed.contains(&stream));
}
