//! Addresses and parameters: what is read, what is the same, and that nothing makes a reader panic.

use proptest::prelude::*;
use sip::value::{PARAMS_MAX, split_list};
use sip::{NameAddr, Scheme, Uri, Via};

#[test]
fn addresses_are_compared_as_rfc_3261_19_1_4_says() {
    let same = |a: &str, b: &str| {
        let (a, b) = (Uri::parse(a).unwrap(), Uri::parse(b).unwrap());
        assert_eq!(a.same_as(&b), b.same_as(&a), "{a} and {b}");
        a.same_as(&b)
    };
    for (a, b) in [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ] {
        assert!(same(a, b), "{a} and {b}");
    }
    for (a, b) in [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@biloxi.com", "sips:bob@biloxi.com"),
    ] {
        assert!(!same(a, b), "{a} and {b}");
    }
}

#[test]
fn telephone_numbers_and_other_schemes_are_addresses_too() {
    let tel = Uri::parse("tel:+1-555-0100;phone-context=example.com").unwrap();
    assert_eq!((tel.scheme, tel.user, tel.host), (Scheme::Tel, Some("+1-555-0100"), ""));
    assert_eq!(tel.params.get("phone-context"), Some("example.com"));
    assert_eq!(Uri::parse("urn:service:sos").unwrap().scheme, Scheme::Other);
    let gruu =
        Uri::parse("sip:alice@contoso.example;opaque=user:epid:8JbZkJlyaFikmw6tZLxD4wAA;gruu").unwrap();
    assert_eq!(gruu.params.get("opaque"), Some("user:epid:8JbZkJlyaFikmw6tZLxD4wAA"));
    assert_eq!(gruu.params.get("gruu"), Some(""));
    for bad in [
        "",
        "sip:",
        "sip",
        ":a",
        "1sip:a",
        "sip:@b",
        "sip:a@",
        "sip:a@b:",
        "sip:a@b:65536",
        "sip:a@b@c",
        "sip:a@b,c",
        "sip:a@[::1",
        "sip:a@[zz]",
        "sip:a@[::1]x",
        "sip:a%4@b",
        "sip:a%zz@b",
        "sip:a@b;;x",
        "sip:a@b;",
        "sip:ä@b",
        "tel:",
        "tel:+",
        "tel:alice",
        "sip:a@b c",
        "sip:a\"b@c",
        "sip:a@b;x=",
    ] {
        assert!(Uri::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn parameters_have_a_limit() {
    let with = |count: usize| format!("sip:a@b{}", ";p".repeat(count));
    assert!(Uri::parse(&with(PARAMS_MAX)).is_ok());
    assert!(Uri::parse(&with(PARAMS_MAX + 1)).is_err());
}

proptest! {
    #[test]
    fn values_never_make_a_view_panic(text in "[\\PC\t\"<>;=,\\\\%@:\\[\\]/]{0,60}") {
        let _ = (NameAddr::parse(&text), Via::parse(&text), Uri::parse(&text), split_list(&text));
        if let Ok(address) = NameAddr::parse(&text) {
            let _ = (address.tag(), address.epid(), address.params.iter().count(), address.uri.user_at_host());
            prop_assert!(address.uri.scheme == Scheme::Other || address.uri.same_as(&address.uri));
        }
    }
}
