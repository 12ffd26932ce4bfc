//! The IPv6 messages of RFC 5118: all of section 4, each with its verdict.

#![expect(clippy::unwrap_used, reason = "what helps a test may panic as the test does")]

#[path = "support/files.rs"]
mod files;

use std::net::IpAddr;

use files::read;
use sip::{Contacts, Fault, Message};

macro_rules! taken {
    ($name:literal) => {
        read(include_str!(concat!("ipv6/", $name, ".sip"))).unwrap_or_else(|why| panic!("refused: {why}"))
    };
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn a_reference_in_brackets_is_a_host() {
    let m = taken!("good");
    let uri = m.uri().unwrap();
    assert_eq!((uri.host, uri.port), ("[2001:db8::10]", None));
    assert_eq!(uri.host_ip(), ip("2001:db8::10"));
    assert_eq!(m.via().host, "[2001:db8::9:1]");
    let Contacts::List(list) = m.contacts().unwrap() else { panic!("a *") };
    assert_eq!(list[0].uri.host_ip(), ip("2001:db8::1"));
}

#[test]
fn an_address_without_brackets_is_refused() {
    let why = read(include_str!("ipv6/bad.sip")).unwrap_err();
    assert_eq!(why.status(), 400);
    assert!(matches!(why.fault, Fault::RequestUri(_)));
}

#[test]
fn what_stands_inside_the_brackets_is_no_port() {
    let m = taken!("port-ambiguous");
    let uri = m.uri().unwrap();
    assert_eq!((uri.host_ip(), uri.port), (ip("2001:db8::10:5070"), None));
}

#[test]
fn what_stands_behind_the_brackets_is_a_port() {
    let m = taken!("port-unambiguous");
    let uri = m.uri().unwrap();
    assert_eq!((uri.host_ip(), uri.port), (ip("2001:db8::10"), Some(5070)));
}

#[test]
fn received_is_taken_with_brackets_and_without() {
    let received = |m: Message| m.via().received().unwrap().trim_matches(['[', ']']).to_owned();
    assert_eq!(received(taken!("received-with-brackets")), "2001:db8::9:255");
    assert_eq!(received(taken!("received-without-brackets")), "2001:db8::9:255");
}

#[test]
fn addresses_of_both_kinds_stand_side_by_side() {
    let m = taken!("many-addresses-in-headers");
    let hosts: Vec<_> = m.vias().iter().map(|via| (via.host.to_owned(), via.port)).collect();
    let wanted = [("[2001:db8::9:1]", Some(6050)), ("192.0.2.1", None), ("[2001:db8::9:255]", None)];
    assert_eq!(hosts, wanted.map(|(host, port)| (host.to_owned(), port)));
    assert_eq!(m.vias()[2].received(), Some("192.0.2.200"));
}

#[test]
fn bodies_are_not_looked_into() {
    for m in [taken!("sdp"), taken!("many-addresses-in-sdp")] {
        assert!(m.is_content("application/sdp"));
        assert_eq!(m.content_length(), Some(m.body().len()));
    }
}

#[test]
fn an_ipv4_address_may_be_mapped() {
    let m = taken!("mapped-ipv4");
    assert_eq!((m.via().host, m.via().port), ("[::ffff:192.0.2.10]", Some(19823)));
    assert_eq!(m.vias()[1].host, "[::ffff:192.0.2.2]");
}

/// A mistake of RFC 3261's grammar that implementations were told to put up with.
#[test]
fn three_colons_before_an_embedded_ipv4_address_are_taken() {
    let wanted = ip("2001:db8::192.0.2.1");
    assert_eq!(taken!("three-colons").uri().unwrap().host_ip(), wanted);
    assert_eq!(taken!("two-colons").uri().unwrap().host_ip(), wanted);
}
