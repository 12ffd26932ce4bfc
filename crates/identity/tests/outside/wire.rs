//! The ports themselves: headers, limits, deadlines, power, and whatever hostile bytes arrive.

use std::time::Duration;

use identity::{Identity, Limits, Profile, SetupError};
use net::http::header;
use net::{Input, Node as _};
use proptest::prelude::*;

use crate::browser::Browser;
use crate::lab::{BOB, Lab, get, number, post, setup, text};

#[test]
fn every_answer_keeps_browsers_and_caches_honest() {
    let mut lab = Lab::new(Profile::EntraV2In2020);
    let requests = [
        get("/common/oauth2/deviceauth"),
        get("/device"),
        get("/cap"),
        get("/nowhere"),
        get("/common/oauth2/authorize?client_id=x"),
        get("/common/discovery/keys"),
        get("/common/oauth2/token"),
        get("/common/login"),
        get("/error?code=1"),
        post("/common/oauth2/token", &[]),
        post("/common/oauth2/devicecode", &[]),
        post("/common/login", &[]),
        post("/cap/provision", &[]),
        post("/kmsi", &[("a", "1"), ("a", "2")]),
    ];
    for request in requests {
        let path = request.uri().to_string();
        let answer = lab.ask("10.20.2.5", request);
        let value = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
        assert_eq!(value("cache-control"), "no-store, no-cache", "{path}");
        assert_eq!(value("pragma"), "no-cache", "{path}");
        assert_eq!(value("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(value("x-frame-options"), "DENY", "{path}");
        assert_eq!(value("referrer-policy"), "no-referrer", "{path}");
        assert!(value("strict-transport-security").starts_with("max-age=31536000"), "{path}");
        let policy = value("content-security-policy");
        for rule in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"]
        {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}");
    }
    let style = lab.get("/style.css");
    assert_eq!(style.headers()[header::CACHE_CONTROL], "public, max-age=3600");
    assert_eq!(style.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
}

#[test]
fn plain_http_only_points_to_the_service_itself() {
    let mut lab = Lab::new(Profile::default());
    let mut request = get("/device?otc=X");
    request.headers_mut().insert(header::HOST, "evil.example".parse().unwrap());
    let answer = lab.ask_at(80, "10.20.2.5", request);
    assert_eq!(answer.status(), 301);
    assert_eq!(answer.headers()[header::LOCATION], "https://login.contoso.example/device?otc=X");
    let answer = lab.ask_at(80, "10.20.2.5", post("/common/oauth2/token", &[("client_id", "x")]));
    assert_eq!(answer.status(), 403, "a form that went in the clear is not repeated");
}

#[test]
fn a_body_or_address_past_its_limit_is_refused() {
    let mut lab = Lab::new(Profile::default());
    let large = "x".repeat(65 << 10);
    let answer = lab.ask("10.20.2.5", post("/common/oauth2/token", &[("code", &large)]));
    assert_eq!(answer.status(), 413);
    let long = format!("/common/{}", "x".repeat(5000));
    assert_eq!(lab.get(&long).status(), 414);
    let many: Vec<(String, String)> = (0..100).map(|n| (format!("f{n}"), "1".into())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(number(&lab.post("/common/oauth2/token", &many)), 90023);
}

#[test]
fn a_client_that_dawdles_is_dropped_while_others_are_served() {
    let mut lab = Lab::new(Profile::default());
    let slow = lab.connect("10.20.2.5", 443);
    for _ in 0..19 {
        lab.send(slow, b"G");
        lab.secs(1);
    }
    assert!(!lab.closed.contains(&slow));
    lab.device_code();
    lab.secs(1);
    assert!(lab.closed.contains(&slow), "twenty seconds for one request, however it trickles");
    let idle = lab.connect("10.20.2.5", 443);
    lab.send(idle, b"GET /icon.svg HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(lab.written(idle).starts_with(b"HTTP/1.1 200"));
    lab.wait(Duration::from_millis(119_999));
    assert!(!lab.closed.contains(&idle));
    lab.wait(Duration::from_millis(1));
    assert!(lab.closed.contains(&idle));
}

#[test]
fn one_address_cannot_take_all_connections() {
    let mut setup = setup(Profile::default());
    setup.limits = Limits { connections_an_address: 2, connections: 3, ..Limits::default() };
    let mut lab = Lab::with(setup);
    let streams: Vec<_> = (0..3).map(|_| lab.connect("10.20.2.5", 443)).collect();
    assert_eq!(lab.closed, streams[2..]);
    lab.connect("10.20.2.6", 443);
    let fifth = lab.connect("10.20.2.7", 443);
    assert!(lab.closed.contains(&fifth), "and all together have a limit too");
    lab.close(streams[0]);
    let next = lab.connect("10.20.2.5", 443);
    assert!(!lab.closed.contains(&next));
}

#[test]
fn accounts_and_refresh_tokens_outlive_a_power_cut_and_codes_do_not() {
    let mut lab = Lab::new(Profile::default());
    let token = crate::endpoints::refresh_token(&mut lab);
    let (device, user) = lab.device_code();
    lab.act(|node, now, out| node.set_enabled(crate::lab::ALICE, false, now, out)).unwrap();
    lab.act(|node, now, out| node.change_password(crate::lab::ADMIN, "new", now, out)).unwrap();
    for _ in 0..3 {
        lab.power_cycle();
    }
    assert_eq!(lab.refresh(&token).0, 200);
    assert_eq!(number(&lab.password(crate::lab::ALICE, "alice-password")), 50057);
    assert_eq!(lab.password(crate::lab::ADMIN, "new").0, 200);
    assert_eq!(number(&lab.poll(&device)), 7000014);
    assert_eq!(Browser::new("10.20.1.7").enter_code(&mut lab, &user).page(), "enter-code:70018");
}

#[test]
fn nothing_is_promised_that_a_power_cut_could_take_back() {
    let mut lab = Lab::new(Profile::default());
    lab.holds_disk = true;
    let stream = lab.connect("10.20.2.5", 443);
    let body = "grant_type=password&username=bob%40contoso.example&password=bob-password&\
                client_id=a850aaae-d5a5-4e82-877c-ce54ff916282&resource=00000004-0000-0ff1-ce00-000000000000";
    let request = format!(
        "POST /contoso.example/oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    lab.send(stream, request.as_bytes());
    assert!(lab.written(stream).is_empty());
    lab.release_disk();
    assert!(lab.written(stream).starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn a_service_without_power_does_nothing() {
    let mut lab = Lab::new(Profile::default());
    lab.input(Input::PowerOff);
    assert_eq!(lab.node.wake_at(), None);
    let stream = lab.connect("10.20.2.5", 443);
    lab.send(stream, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(lab.written(stream).is_empty());
}

#[test]
fn equal_seeds_make_equal_tokens() {
    let run = || {
        let mut lab = Lab::new(Profile::default());
        text(&lab.password(BOB, "bob-password").1["access_token"])
    };
    assert_eq!(run(), run());
}

#[test]
fn a_lab_never_answers_to_a_real_services_name() {
    let with = |change: fn(&mut identity::Setup)| {
        let mut setup = setup(Profile::default());
        change(&mut setup);
        Identity::new(setup).err()
    };
    assert_eq!(
        with(|setup| setup.host = "login.MicrosoftOnline.com".into()),
        Some(SetupError::RealHost("login.microsoftonline.com".into()))
    );
    let real = |setup: &mut identity::Setup| setup.tenant.domains.push("contoso.onmicrosoft.com".into());
    assert_eq!(with(real), Some(SetupError::RealHost("contoso.onmicrosoft.com".into())));
    assert_eq!(with(|setup| setup.host = "a b".into()), Some(SetupError::BadHost("a b".into())));
    let twice = |setup: &mut identity::Setup| {
        setup.accounts.push(identity::Account::person("BOB@contoso.example", "", ""))
    };
    assert_eq!(with(twice), Some(SetupError::TwoAccounts("BOB@contoso.example".into())));
}

fn path() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/common/oauth2/token",
        "/common/oauth2/devicecode",
        "/common/oauth2/deviceauth",
        "/common/login",
        "/common/mfa",
        "/kmsi",
        "/cap/provision",
        "/common/discovery/instance?authorization_endpoint=%",
        "/getuserrealm.srf?login=%C3%28&xml=1",
        "/error?code=99999999999999999999",
    ]);
    prop_oneof![known.prop_map(str::to_owned), "/[ -~&&[^ #]]{0,60}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_bytes_arrive_the_service_lives(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4)) {
        let mut lab = Lab::new(Profile::default());
        let stream = lab.connect("10.20.2.5", 443);
        for chunk in chunks {
            lab.send(stream, &chunk);
        }
        lab.device_code();
    }

    #[test]
    fn whatever_request_arrives_it_is_answered(
        path in path(),
        is_post in any::<bool>(),
        body in prop::collection::vec(any::<u8>(), 0..400),
        cookie in "[ -~]{0,60}",
    ) {
        let mut lab = Lab::new(Profile::EntraV2In2020);
        let method = if is_post { "POST" } else { "GET" };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ).into_bytes();
        request.extend(&body);
        let stream = lab.connect("10.20.2.5", 443);
        lab.send(stream, &request);
        prop_assert!(lab.written(stream).starts_with(b"HTTP/1.1 "));
    }

    #[test]
    fn whatever_fields_a_client_sends_the_token_endpoint_answers_json(
        fields in prop::collection::vec((
            prop::sample::select(vec!["grant_type", "client_id", "code", "device_code", "refresh_token", "resource",
                "scope", "username", "password"]),
            prop_oneof![
                Just("device_code".to_owned()), Just("password".to_owned()), Just("refresh_token".to_owned()),
                Just(crate::lab::PHONE.to_owned()), Just(crate::lab::SYSTEM.to_owned()), ".{0,30}"
            ],
        ), 0..6),
        is_v2 in any::<bool>(),
    ) {
        let mut lab = Lab::new(Profile::EntraV2In2020);
        let path = if is_v2 { "/contoso.example/oauth2/v2.0/token" } else { "/common/oauth2/token" };
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let (_, json) = lab.post(path, &fields);
        prop_assert!(json["error"].is_string());
        let description = json["error_description"].as_str().unwrap().replace("\r\n", "");
        // RFC 6749 §5.2: printable ASCII without quotes and backslashes.
        prop_assert!(description.chars().all(|c| matches!(c, ' '..='!' | '#'..='[' | ']'..='~')), "{description}");
    }
}
