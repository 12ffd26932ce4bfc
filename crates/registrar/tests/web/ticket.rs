//! Web tickets by password and by access token.

use std::time::Duration;

use bytes::Bytes;
use net::http::Response;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::{Identity, Pool, body, header, request};
use crate::identity::{self, KEY, NEXT_KEY, claims, token};
use crate::phone::{self, BASIC, CERTIFICATE, DEVICE, OAUTH, Ticket, basic, fault, rst};

const ALICE: &str = "alice@contoso.example";

fn by_password(pool: &mut Pool, authorization: &str) -> Response<Bytes> {
    pool.post(443, BASIC, &[("authorization", authorization)], &rst(ALICE, DEVICE, CERTIFICATE))
}

fn by_token(pool: &mut Pool, token: &str) -> Response<Bytes> {
    let bearer = format!("Bearer {token}");
    pool.post(443, OAUTH, &[("authorization", &bearer)], &rst(ALICE, DEVICE, CERTIFICATE))
}

#[test]
fn a_password_buys_a_ticket_that_ends_after_eight_hours() {
    let mut pool = Pool::new();
    let answer = pool.post(443, BASIC, &[], &rst(ALICE, DEVICE, CERTIFICATE));
    assert_eq!(answer.status(), 401);
    assert_eq!(header(&answer, "www-authenticate"), "Basic realm=\"fe.contoso.example\"");
    let answer = by_password(&mut pool, &basic(ALICE, "Passw0rd!"));
    let ticket = Ticket::of(&answer);
    assert!(ticket.assertion.contains(">sip:alice@contoso.example</saml:NameIdentifier>"));
    assert!(ticket.assertion.contains(" AssertionID=\"SamlSecurityToken-"));
    assert_eq!(phone::cut(&ticket.lifetime, "Created").1, "2026-01-05T10:00:01Z");
    assert_eq!(phone::cut(&ticket.lifetime, "Expires").1, "2026-01-05T18:00:01Z");
    assert!(body(&answer).contains(&format!("Context=\"{DEVICE}\"")));
    assert_eq!(pool.events(), ["web-ticket-issued alice@contoso.example by password"]);
}

#[test]
fn a_wrong_password_an_unknown_user_and_a_user_without_one_look_alike() {
    let mut pool = Pool::new();
    let wrong = by_password(&mut pool, &basic(ALICE, "hunter2"));
    let unknown = by_password(&mut pool, &basic("mallory@contoso.example", "hunter2"));
    let without = by_password(&mut pool, &basic("carol@contoso.example", ""));
    for other in [unknown, without] {
        assert_eq!((wrong.status(), wrong.headers()), (other.status(), other.headers()));
        assert_eq!(wrong.body(), other.body());
    }
    assert_eq!(wrong.status(), 401);
    assert!(pool.events()[0].starts_with("web-ticket-refused alice@contoso.example "));
    assert!(!format!("{:?}", pool.notes).contains("hunter2"), "no password in the journal");
}

#[test]
fn ten_wrong_passwords_lock_a_name_for_five_minutes() {
    let mut pool = Pool::new();
    for _ in 0..10 {
        assert_eq!(by_password(&mut pool, &basic(ALICE, "guess")).status(), 401);
    }
    assert_eq!(by_password(&mut pool, &basic(ALICE, "Passw0rd!")).status(), 401);
    pool.pass(Duration::from_secs(299));
    assert_eq!(by_password(&mut pool, &basic(ALICE, "Passw0rd!")).status(), 401);
    pool.pass(Duration::from_secs(1));
    assert_eq!(by_password(&mut pool, &basic(ALICE, "Passw0rd!")).status(), 200);
}

#[test]
fn an_address_that_tries_a_hundred_names_is_locked_out_and_others_are_not() {
    let mut pool = Pool::new();
    let ask = |pool: &mut Pool, from: &str, user: &str, password: &str| {
        let headers = [("authorization", basic(user, password))];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let asked = request(net::http::Method::POST, BASIC, &headers, &rst(ALICE, DEVICE, CERTIFICATE));
        pool.ask_from(from.parse().unwrap(), 443, asked).status().as_u16()
    };
    for name in 0..100 {
        assert_eq!(ask(&mut pool, "10.20.2.66:999", &format!("u{name}@contoso.example"), "guess"), 401);
    }
    assert_eq!(ask(&mut pool, "10.20.2.66:999", ALICE, "Passw0rd!"), 401);
    assert_eq!(ask(&mut pool, "10.20.2.67:999", ALICE, "Passw0rd!"), 200);
}

#[test]
fn a_new_password_counts_at_once() {
    let mut pool = Pool::new();
    assert!(pool.act(|pool, now, out| pool.set_password(ALICE, "n3w", now, out)));
    assert_eq!(by_password(&mut pool, &basic(ALICE, "Passw0rd!")).status(), 401);
    assert_eq!(by_password(&mut pool, &basic("Alice@Contoso.example", "n3w")).status(), 200);
}

#[test]
fn nobody_gets_a_ticket_for_another_or_for_another_site() {
    let mut pool = Pool::new();
    let alice = basic(ALICE, "Passw0rd!");
    let bobs = rst("bob@contoso.example", DEVICE, CERTIFICATE);
    let answer = pool.post(443, BASIC, &[("authorization", &alice)], &bobs);
    assert_eq!(fault(&answer).0, 4004);
    assert!(header(&answer, "x-ms-diagnostics").starts_with("4004;source="));
    for elsewhere in [
        "https://fe2.contoso.example/CertProv/CertProvisioningService.svc/WebTicket_Proof_SHA1",
        "http://fe.contoso.example/CertProv/CertProvisioningService.svc/WebTicket_Proof_SHA1",
        "https://fe.contoso.example/",
        "nonsense",
    ] {
        let answer = pool.post(443, BASIC, &[("authorization", &alice)], &rst(ALICE, DEVICE, elsewhere));
        assert_eq!(fault(&answer).0, 4004, "{elsewhere}");
    }
    pool.act(|pool, now, out| pool.disable(ALICE, now, out));
    assert_eq!(fault(&by_password(&mut pool, &alice)).0, 4003);
    pool.act(|pool, now, out| pool.enable(ALICE, now, out));
    assert_eq!(by_password(&mut pool, &alice).status(), 200);
}

#[test]
fn an_access_token_buys_a_ticket_and_the_keys_are_fetched_once() {
    let mut pool = Pool::new();
    let good = token(&KEY, &claims("Alice@contoso.example", pool.wall()));
    Ticket::of(&by_token(&mut pool, &good));
    Ticket::of(&by_token(&mut pool, &good));
    assert_eq!(pool.dials, 1);
    assert_eq!(pool.events()[0], "web-ticket-issued alice@contoso.example by access token");
    assert!(!format!("{:?}", pool.notes).contains(&good), "no token in the journal");
}

fn spoiled(pool: &Pool, name: &str, value: Value) -> String {
    let mut claims = claims(ALICE, pool.wall());
    claims[name] = value;
    token(&KEY, &claims)
}

#[test]
fn forged_and_foreign_tokens_are_refused() {
    let mut pool = Pool::new();
    let now = pool.wall().unix_secs();
    let good = claims(ALICE, pool.wall());
    let honest = token(&KEY, &good);
    let (message, signature) = honest.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let mut bobs = good.clone();
    bobs["upn"] = json!("bob@contoso.example");
    let bobs = token(&NEXT_KEY, &bobs);
    let bobs_claims = bobs.split('.').nth(1).unwrap();
    let mut refused: Vec<(String, String)> = vec![
        ("alg none".to_owned(), identity::unsigned("none", &good)),
        ("alg None".to_owned(), identity::unsigned("None", &good)),
        ("no signature".to_owned(), format!("{message}.")),
        ("other claims under a good signature".to_owned(), format!("{header}.{bobs_claims}.{signature}")),
        ("another key under a known name".to_owned(), {
            identity::token_with(&NEXT_KEY, &json!({"alg": "RS256", "kid": "first"}), &good)
        }),
        ("no key id".to_owned(), identity::token_with(&KEY, &json!({"alg": "RS256"}), &good)),
        ("the key in the header".to_owned(), {
            let jwk: Value = serde_json::from_str(&identity::published(&[&NEXT_KEY])).unwrap();
            let header = json!({"alg": "RS256", "kid": "mine", "jwk": jwk["keys"][0]});
            identity::token_with(&NEXT_KEY, &header, &good)
        }),
        ("critical extensions".to_owned(), {
            identity::token_with(&KEY, &json!({"alg": "RS256", "kid": "first", "crit": ["x"], "x": 1}), &good)
        }),
        ("RS512".to_owned(), identity::token_with(&KEY, &json!({"alg": "RS512", "kid": "first"}), &good)),
        ("another issuer".to_owned(), spoiled(&pool, "iss", json!("https://sts.evil.example/"))),
        ("another audience".to_owned(), spoiled(&pool, "aud", json!("https://graph.example"))),
        ("no audience".to_owned(), spoiled(&pool, "aud", Value::Null)),
        ("expired".to_owned(), spoiled(&pool, "exp", json!(now - 300))),
        ("not yet valid".to_owned(), spoiled(&pool, "nbf", json!(now + 301))),
        ("no user".to_owned(), spoiled(&pool, "upn", Value::Null)),
        ("exp overflow".to_owned(), spoiled(&pool, "exp", json!(i64::MIN))),
        ("rubbish".to_owned(), "a.b.c".to_owned()),
        ("too long".to_owned(), "a".repeat(9000)),
    ];
    for (index, confused) in identity::confused(&KEY, &good).into_iter().enumerate() {
        refused.push((format!("key confusion {index}"), confused));
    }
    for (why, token) in refused {
        let answer = by_token(&mut pool, &token);
        assert_eq!(answer.status(), 401, "{why}");
        assert!(super::harness::header(&answer, "x-ms-diagnostics").starts_with("28020;"), "{why}");
        assert!(super::harness::header(&answer, "www-authenticate").ends_with("error=\"invalid_token\""));
    }
    for (why, token) in [
        ("expires within the leeway", spoiled(&pool, "exp", json!(now - 299))),
        ("begins within the leeway", spoiled(&pool, "nbf", json!(now + 300))),
        ("one of several audiences", spoiled(&pool, "aud", json!(["x", identity::AUDIENCE]))),
    ] {
        assert_eq!(by_token(&mut pool, &token).status(), 200, "{why}");
    }
    let stranger = token(&KEY, &claims("mallory@contoso.example", pool.wall()));
    assert_eq!(fault(&by_token(&mut pool, &stranger)).0, 4005);
    let bob = token(&KEY, &claims("bob@contoso.example", pool.wall()));
    assert_eq!(fault(&by_token(&mut pool, &bob)).0, 4004, "the claim in the request is alice's");
    let answer = pool.post(443, OAUTH, &[("authorization", "Bearer")], "");
    assert_eq!(answer.status(), 401, "an empty token asks for the challenge");
    assert!(header_of(&answer).contains("authorization_uri="));
}

fn header_of(answer: &Response<Bytes>) -> &str {
    header(answer, "www-authenticate")
}

#[test]
fn a_new_signing_key_is_learned_but_invented_ones_make_no_traffic() {
    let mut pool = Pool::new();
    let good = token(&KEY, &claims(ALICE, pool.wall()));
    assert_eq!(by_token(&mut pool, &good).status(), 200);
    pool.identity = Identity::Publishes(identity::published(&[&KEY, &NEXT_KEY]));
    let next = token(&NEXT_KEY, &claims(ALICE, pool.wall()));
    assert_eq!(by_token(&mut pool, &next).status(), 401, "the keys were fetched a moment ago");
    pool.pass(Duration::from_secs(30));
    assert_eq!(by_token(&mut pool, &next).status(), 200);
    assert_eq!(pool.dials, 2);
    for kid in 0..50 {
        let header = json!({"alg": "RS256", "kid": format!("k{kid}")});
        let invented = identity::token_with(&KEY, &header, &claims(ALICE, pool.wall()));
        assert_eq!(by_token(&mut pool, &invented).status(), 401);
    }
    assert_eq!(pool.dials, 2);
}

#[test]
fn while_identity_is_silent_everybody_waits_and_then_hears_503() {
    let mut pool = Pool::new();
    pool.identity = Identity::Silent;
    let good = token(&KEY, &claims(ALICE, pool.wall()));
    let bearer = format!("Bearer {good}");
    let ask = |pool: &mut Pool| {
        let body = rst(ALICE, DEVICE, CERTIFICATE);
        pool.begin(443, request(net::http::Method::POST, OAUTH, &[("authorization", &bearer)], &body))
    };
    let mut first = ask(&mut pool);
    pool.pass(Duration::from_secs(7));
    let mut second = ask(&mut pool);
    assert!(first.answer(&mut pool).is_none() && second.answer(&mut pool).is_none());
    assert_eq!(pool.get(443, "/", &[]).status(), 200, "others are served at once");
    pool.pass(Duration::from_secs(1));
    for asking in [&mut first, &mut second] {
        let answer = asking.answer(&mut pool).expect("a verdict");
        assert_eq!(answer.status(), 503);
        assert_eq!(header(&answer, "retry-after"), "30");
        assert!(header(&answer, "x-ms-diagnostics").starts_with("1;source="));
    }
    assert_eq!(pool.dials, 1);
    let answer = by_token(&mut pool, &good);
    assert_eq!(answer.status(), 503, "no new try for every request");
    assert_eq!(pool.dials, 1);
    pool.identity = Identity::Publishes(identity::published(&[&KEY]));
    pool.pass(Duration::from_secs(30));
    let fresh = token(&KEY, &claims(ALICE, pool.wall()));
    assert_eq!(by_token(&mut pool, &fresh).status(), 200);
}

#[test]
fn identity_that_refuses_or_talks_rubbish_makes_the_pool_unavailable_not_the_token_wrong() {
    for identity in [
        Identity::Refuses,
        Identity::Publishes("<html>".to_owned()),
        Identity::Publishes("{\"keys\":[]}".to_owned()),
        Identity::Publishes("{\"keys\":[{\"kty\":\"oct\",\"kid\":\"first\",\"k\":\"AAAA\"}]}".to_owned()),
    ] {
        let mut pool = Pool::new();
        pool.identity = identity;
        let good = token(&KEY, &claims(ALICE, pool.wall()));
        assert_eq!(by_token(&mut pool, &good).status(), 503);
    }
}

#[test]
fn malformed_requests_are_told_so() {
    let mut pool = Pool::new();
    let alice = basic(ALICE, "Passw0rd!");
    let good = rst(ALICE, DEVICE, CERTIFICATE);
    for (why, body) in [
        ("nothing", String::new()),
        ("a document type", good.replace("<soap:Envelope", "<!DOCTYPE x [<!ENTITY a 'b'>]><soap:Envelope")),
        (
            "SOAP 1.2",
            good.replace(
                "http://schemas.xmlsoap.org/soap/envelope/",
                "http://www.w3.org/2003/05/soap-envelope",
            ),
        ),
        ("two requests", {
            let start = good.find("<wst:RequestSecurityToken").unwrap();
            let end = good.find("</soap:Body>").unwrap();
            format!("{}{}{}", &good[..end], &good[start..end], &good[end..])
        }),
        ("short entropy", good.replace(phone::cut(&good, "BinarySecret").1, "AAAA")),
        ("long entropy", good.replace(phone::cut(&good, "BinarySecret").1, &"A".repeat(400))),
        ("another kind of token", good.replace("#SAMLV1.1", "#SAMLV2.0")),
    ] {
        let answer = pool.post(443, BASIC, &[("authorization", &alice)], &body);
        assert_eq!(fault(&answer).0, 4001, "{why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_body_makes_the_ticket_service_fall(at in 0usize..1500, cut in 0usize..200, put in "[<>&\"'/a-z:= ]{0,20}") {
        use registrar::web::{site::Site, ticket::TicketRequest};
        let setup = crate::harness::setup();
        let site = Site::new(&setup, &mut net::Random::named(1, "site"));
        let good = rst(ALICE, DEVICE, CERTIFICATE);
        let at = at.min(good.len());
        let end = (at + cut).min(good.len());
        let body = format!("{}{put}{}", &good[..at], &good[end..]);
        let _ = TicketRequest::read(body.as_bytes(), &site);
    }
}

#[test]
fn the_dates_of_a_token_are_read_by_the_pools_own_clock_even_after_it_was_set() {
    let mut pool = Pool::new();
    let good = token(&KEY, &claims(ALICE, pool.wall()));
    assert_eq!(by_token(&mut pool, &good).status(), 200);
    let now = pool.now;
    let late = pool.wall().plus(Duration::from_secs(3599 + 300));
    pool.registrar.clock_mut().set(now, late.minus(Duration::from_secs(1)));
    assert_eq!(by_token(&mut pool, &good).status(), 200);
    pool.registrar.clock_mut().set(now, late);
    assert_eq!(by_token(&mut pool, &good).status(), 401);
}

#[test]
fn keys_that_are_too_short_or_too_many_are_not_taken() {
    let rsa = |kid: &str, octets: usize| {
        use base64::Engine as _;
        let n = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(vec![0xff; octets]);
        json!({"kty": "RSA", "kid": kid, "n": n, "e": "AQAB"})
    };
    for (octets, status) in [(255, 503), (256, 401), (512, 401), (513, 503)] {
        let mut pool = Pool::new();
        pool.identity = Identity::Publishes(json!({"keys": [rsa("first", octets)]}).to_string());
        let good = token(&KEY, &claims(ALICE, pool.wall()));
        assert_eq!(by_token(&mut pool, &good).status(), status, "{octets} octets");
    }
    for (others, status) in [(15, 200), (16, 401)] {
        let mut keys: Vec<Value> = (0..others).map(|number| rsa(&format!("k{number}"), 256)).collect();
        let own: Value = serde_json::from_str(&identity::published(&[&KEY])).unwrap();
        keys.push(own["keys"][0].clone());
        let mut pool = Pool::new();
        pool.identity = Identity::Publishes(json!({ "keys": keys }).to_string());
        let good = token(&KEY, &claims(ALICE, pool.wall()));
        assert_eq!(by_token(&mut pool, &good).status(), status, "behind {others} others");
    }
}

#[test]
fn the_keys_of_yesterday_are_fetched_anew() {
    let mut pool = Pool::new();
    let mut dials_after = |span: u64| {
        pool.pass(Duration::from_secs(span));
        let good = token(&KEY, &claims(ALICE, pool.wall()));
        assert_eq!(by_token(&mut pool, &good).status(), 200);
        pool.dials
    };
    assert_eq!((dials_after(0), dials_after(24 * 3600 - 1), dials_after(1)), (1, 1, 2));
}

#[test]
fn a_way_to_a_ticket_that_is_shut_says_so() {
    let mut shut = crate::harness::setup();
    shut.basic_auth = false;
    let mut pool = Pool::of(shut);
    let answer = by_password(&mut pool, &basic(ALICE, "Passw0rd!"));
    assert_eq!(answer.status(), 403);
    assert!(header(&answer, "x-ms-diagnostics").starts_with("28029;"));
    let mut shut = crate::harness::setup();
    shut.identity = None;
    let mut pool = Pool::of(shut);
    let good = token(&KEY, &claims(ALICE, pool.wall()));
    let answer = by_token(&mut pool, &good);
    assert_eq!(answer.status(), 403);
    assert!(header(&answer, "x-ms-diagnostics").starts_with("28029;"));
}
