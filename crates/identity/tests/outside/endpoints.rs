//! The two endpoints for programs: what they take, what they refuse and by which number.

use identity::{Application, Endpoint, Limits, Ordered, Profile};
use net::http::{Request, header};
use serde_json::Value;

use crate::browser::Browser;
use crate::lab::{ALICE, BOB, Lab, PHONE, SYSTEM, TENANT, number, post, setup, text};

const URN: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The number wanted, the path, and the fields of a request.
type Case<'a> = (u64, &'a str, &'a [(&'a str, &'a str)]);

/// A phone that somebody approved; gives back its device code.
fn approved(lab: &mut Lab) -> String {
    let (device, user) = lab.device_code();
    Browser::new("10.20.1.7").approve(lab, &user, BOB, "bob-password");
    device
}

/// A refresh token of Bob's.
pub fn refresh_token(lab: &mut Lab) -> String {
    let device = approved(lab);
    let (status, tokens) = lab.poll(&device);
    assert_eq!(status, 200, "{tokens}");
    text(&tokens["refresh_token"])
}

#[test]
fn a_version_1_answer_writes_numbers_as_strings_and_one_address() {
    let mut lab = Lab::new(Profile::EntraV2In2020);
    let fields = [("client_id", PHONE), ("resource", SYSTEM), ("mkt", "fr-FR"), ("unknown", "ignored")];
    let (status, json) = lab.post("/Common/OAuth2/DeviceCode?api-version=1.0", &fields);
    assert_eq!(status, 200);
    assert_eq!((&json["expires_in"], &json["interval"]), (&"900".into(), &"5".into()));
    assert_eq!(json["verification_url"], "https://login.contoso.example/device");
    assert!(json.get("verification_uri").is_none() && json.get("verification_uri_complete").is_none());
    assert!(text(&json["message"]).contains(&text(&json["user_code"])));
    assert!((200..400).contains(&text(&json["device_code"]).len()));
}

#[test]
fn a_version_2_answer_writes_numbers_and_the_other_address() {
    let mut lab = Lab::new(Profile::EntraV2In2020);
    let scope = format!("{SYSTEM}/.default offline_access openid profile");
    let fields = [("client_id", PHONE), ("scope", scope.as_str())];
    let (status, json) = lab.post("/organizations/oauth2/v2.0/devicecode", &fields);
    assert_eq!(status, 200, "{json}");
    assert_eq!((&json["expires_in"], &json["interval"]), (&900.into(), &5.into()));
    assert!(json.get("verification_url").is_none());
    let (device, user) = (text(&json["device_code"]), text(&json["user_code"]));
    Browser::new("10.20.1.7").approve(&mut lab, &user, BOB, "bob-password");
    let fields = [
        ("grant_type", "device_code"),
        ("device_code", device.as_str()),
        ("client_id", PHONE),
        ("scope", scope.as_str()),
        ("client_info", "1"),
        ("client-request-id", "0b2fd2a0-5b4f-4d2b-9f0e-5a3c1d2e4f60"),
    ];
    let (status, tokens) = lab.post("/organizations/oauth2/v2.0/token?client-request-id=x", &fields);
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(tokens["expires_in"], 3599);
    assert_eq!(tokens["scope"], scope);
    assert!(tokens.get("resource").is_none() && tokens["client_info"].is_string());
    let claims = crate::device_flow::verified(&mut lab, &text(&tokens["access_token"]), SYSTEM);
    assert_eq!(claims["ver"], "2.0");
    assert_eq!(claims["preferred_username"], BOB);
    assert_eq!(claims["iss"], format!("https://login.contoso.example/{TENANT}/v2.0"));
    let claims = crate::device_flow::verified(&mut lab, &text(&tokens["id_token"]), PHONE);
    assert_eq!(claims["tid"], TENANT);
}

#[test]
fn every_way_in_which_clients_send_a_code_is_taken() {
    for fields in [
        vec![("grant_type", URN), ("device_code", "")],
        vec![("grant_type", URN), ("code", ""), ("device_code", "")],
        vec![("grant_type", "device_code"), ("device_code", "")],
        vec![("grant_type", "device_code"), ("code", ""), ("resource", SYSTEM)],
        vec![("grant_type", URN), ("code", "")],
    ] {
        let mut lab = Lab::new(Profile::default());
        let device = approved(&mut lab);
        let mut fields: Vec<(&str, &str)> = fields
            .into_iter()
            .map(|(name, value)| (name, if value.is_empty() { device.as_str() } else { value }))
            .collect();
        fields.push(("client_id", PHONE));
        let (status, json) = lab.post("/common/oauth2/token", &fields);
        assert_eq!(status, 200, "{json}");
    }
}

#[test]
fn a_device_code_request_that_is_wrong_is_refused_by_number() {
    let mut lab = Lab::new(Profile::EntraV2In2020);
    let v1 = "/common/oauth2/devicecode";
    let v2 = "/common/oauth2/v2.0/devicecode";
    let cases: &[Case] = &[
        (900144, v1, &[("resource", SYSTEM)]),
        (900144, v1, &[("client_id", PHONE)]),
        (900144, v1, &[("client_id", ""), ("resource", SYSTEM)]),
        (900144, v2, &[("client_id", PHONE)]),
        (901002, v2, &[("client_id", PHONE), ("resource", SYSTEM)]),
        (700016, v1, &[("client_id", "1b730954-1685-4b74-9bfd-dac224a7b894"), ("resource", SYSTEM)]),
        (500011, v1, &[("client_id", PHONE), ("resource", "https://elsewhere.example")]),
        (70011, v2, &[("client_id", PHONE), ("scope", "Sing.Loudly")]),
        (90023, v1, &[("client_id", PHONE), ("client_id", PHONE)]),
        (90002, "/elsewhere.example/oauth2/devicecode", &[("client_id", PHONE), ("resource", SYSTEM)]),
    ];
    for (wanted, path, fields) in cases {
        assert_eq!(number(&lab.post(path, fields)), *wanted, "{path} {fields:?}");
    }
}

#[test]
fn a_token_request_that_is_wrong_is_refused_by_number() {
    let mut lab = Lab::new(Profile::EntraV2In2024);
    let (device, _) = lab.device_code();
    let path = "/common/oauth2/token";
    let device = device.as_str();
    let cases: &[Case] = &[
        (900144, path, &[("client_id", PHONE)]),
        (900144, path, &[("grant_type", URN)]),
        (900144, path, &[("grant_type", URN), ("client_id", PHONE)]),
        (900144, path, &[("grant_type", "refresh_token"), ("client_id", PHONE)]),
        (70003, path, &[("grant_type", "carrier_pigeon"), ("client_id", PHONE)]),
        (90023, path, &[("grant_type", URN), ("client_id", PHONE), ("code", "a"), ("device_code", "b")]),
        (7000014, path, &[("grant_type", URN), ("client_id", PHONE), ("device_code", "guess")]),
        (
            700005,
            "/contoso.example/oauth2/token",
            &[("grant_type", URN), ("client_id", PHONE), ("code", device)],
        ),
        (
            90002,
            "/elsewhere.example/oauth2/token",
            &[("grant_type", URN), ("client_id", PHONE), ("code", device)],
        ),
        (9002313, path, &[("grant_type", "refresh_token"), ("client_id", PHONE), ("refresh_token", "x")]),
        (700016, path, &[("grant_type", URN), ("client_id", "nobody"), ("device_code", device)]),
        (70016, path, &[("grant_type", URN), ("client_id", PHONE), ("device_code", device)]),
    ];
    for (wanted, path, fields) in cases {
        assert_eq!(number(&lab.post(path, fields)), *wanted, "{path} {fields:?}");
    }
}

#[test]
fn applications_and_resources_can_be_switched_off() {
    let mut setup = setup(Profile::default());
    let app = |id: &str| Application { client_id: id.into(), ..Application::phone() };
    setup.applications.push(Application { enabled: false, ..app("off") });
    setup.applications.push(Application { public: false, ..app("secret") });
    setup.applications.push(app("other"));
    setup.resources[1].enabled = false;
    let mut lab = Lab::with(setup);
    let ask = |lab: &mut Lab, client: &str, resource: &str| {
        lab.post("/common/oauth2/devicecode", &[("client_id", client), ("resource", resource)])
    };
    assert_eq!(number(&ask(&mut lab, "off", SYSTEM)), 70001);
    let confidential = ask(&mut lab, "secret", SYSTEM);
    assert_eq!((number(&confidential), confidential.0.as_u16()), (7000218, 401));
    let mut by_header = post("/common/oauth2/token", &[("grant_type", URN), ("client_id", "secret")]);
    by_header.headers_mut().insert(header::AUTHORIZATION, "Basic eDp5".parse().unwrap());
    let answer = lab.ask("10.20.2.5", by_header);
    assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Basic realm=\"login.contoso.example\"");
    assert_eq!(number(&ask(&mut lab, PHONE, identity::setup::MAIL_SYSTEM)), 500014);
    // A code and a refresh token belong to the client that got them.
    let token = refresh_token(&mut lab);
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("client_id", "other")];
    assert_eq!(number(&lab.post("/common/oauth2/token", &fields)), 70000);
    let (device, _) = lab.device_code();
    let fields = [("grant_type", "device_code"), ("code", device.as_str()), ("client_id", "other")];
    assert_eq!(number(&lab.post("/common/oauth2/token", &fields)), 70000);
}

#[test]
fn a_code_that_nobody_entered_expires_on_the_second() {
    let mut lab = Lab::new(Profile::EntraV2In2020);
    let (device, user) = lab.device_code();
    lab.wait(std::time::Duration::from_millis(899_999));
    assert_eq!((number(&lab.poll(&device)), lab.node.pending_codes(lab.now)), (70016, 1));
    assert!(!lab.has_event("device-code-expired"));
    lab.wait(std::time::Duration::from_millis(1));
    let answer = lab.poll(&device);
    assert_eq!((number(&answer), &answer.1["error"]), (70020, &"expired_token".into()));
    assert_eq!(lab.node.pending_codes(lab.now), 0);
    assert!(lab.has_event("device-code-expired"));
    let mut browser = Browser::new("10.20.1.7");
    assert_eq!(browser.enter_code(&mut lab, &user).page(), "enter-code:70019");
}

#[test]
fn a_refresh_token_buys_tokens_for_another_resource() {
    let mut lab = Lab::new(Profile::default());
    let token = refresh_token(&mut lab);
    let mail = identity::setup::MAIL_SYSTEM;
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token.as_str()),
        ("client_id", PHONE),
        ("resource", mail),
    ];
    let (status, json) = lab.post("/common/oauth2/token", &fields);
    assert_eq!((status.as_u16(), &json["resource"]), (200, &mail.into()));
    // The old one is not ended by its use.
    assert_eq!(lab.refresh(&token).0, 200);
}

#[test]
fn a_refresh_token_lives_ninety_days() {
    let day = 24 * 3600;
    let mut lab = Lab::new(Profile::default());
    let token = refresh_token(&mut lab);
    lab.secs(90 * day - 1);
    let (status, json) = lab.refresh(&token);
    assert_eq!(status, 200, "{json}");
    lab.secs(1);
    assert_eq!(number(&lab.refresh(&token)), 700082);
    lab.secs(89 * day);
    assert_eq!(lab.refresh(&text(&json["refresh_token"])).0, 200, "each use starts the count anew");
}

#[test]
fn what_an_administrator_does_to_an_account_ends_its_refresh_tokens() {
    let mut lab = Lab::new(Profile::default());
    let token = refresh_token(&mut lab);
    assert_eq!(lab.node.account(BOB, lab.now).unwrap().refresh_tokens, 1);
    lab.act(|node, now, out| node.set_enabled(BOB, false, now, out)).unwrap();
    assert_eq!(number(&lab.refresh(&token)), 50057);
    lab.act(|node, now, out| node.set_enabled(BOB, true, now, out)).unwrap();
    assert_eq!(lab.refresh(&token).0, 200);
    lab.act(|node, now, out| node.expire_password(BOB, now, out)).unwrap();
    assert_eq!(lab.refresh(&token).0, 200, "an expired password leaves tokens alone");
    lab.act(|node, now, out| node.change_password(BOB, "new", now, out)).unwrap();
    assert_eq!(number(&lab.refresh(&token)), 50173);
    assert_eq!(lab.node.account(BOB, lab.now).unwrap().refresh_tokens, 0);
    let (_, tokens) = lab.password(BOB, "new");
    let token = text(&tokens["refresh_token"]);
    lab.act(|node, now, out| node.revoke_sessions(BOB, now, out)).unwrap();
    assert_eq!(number(&lab.refresh(&token)), 50173);
    assert!(lab.act(|node, now, out| node.revoke_sessions("nobody", now, out)).is_err());
}

#[test]
fn what_was_approved_and_not_fetched_dies_with_a_revocation() {
    let mut lab = Lab::new(Profile::default());
    let device = approved(&mut lab);
    lab.act(|node, now, out| node.revoke_sessions(BOB, now, out)).unwrap();
    assert_eq!(number(&lab.poll(&device)), 70018);
}

#[test]
fn a_password_at_the_token_endpoint_is_refused_by_number() {
    let mut lab = Lab::new(Profile::default());
    assert_eq!(lab.password(BOB, "bob-password").0, 200);
    assert_eq!(number(&lab.password("nobody@contoso.example", "x")), 50034);
    assert_eq!(number(&lab.password(BOB, "wrong")), 50126);
    let second = lab.password(ALICE, "alice-password");
    assert_eq!((number(&second), &second.1["suberror"]), (50076, &"basic_action".into()));
    assert!(second.1["claims"].is_string());
    assert_eq!(number(&lab.password(ALICE, "wrong")), 50126, "the first factor comes first");
    lab.act(|node, now, out| node.expire_password(BOB, now, out)).unwrap();
    let expired = lab.password(BOB, "bob-password");
    assert_eq!((number(&expired), &expired.1["suberror"]), (50055, &"user_password_expired".into()));
    assert!(expired.1["password_change_url"].is_string());
    lab.act(|node, now, out| node.set_enabled(BOB, false, now, out)).unwrap();
    assert_eq!(number(&lab.password(BOB, "bob-password")), 50057, "disabled comes before expired");
    let mut lab = Lab::new(Profile::EntraV2In2020);
    let fields = [
        ("grant_type", "password"),
        ("username", BOB),
        ("password", "bob-password"),
        ("client_id", PHONE),
        ("scope", "User.Read"),
    ];
    assert_eq!(number(&lab.post("/common/oauth2/v2.0/token", &fields)), 9001023);
    assert_eq!(lab.post("/contoso.example/oauth2/v2.0/token", &fields).0, 200);
    let mut setup = setup(Profile::default());
    setup.password_grant = false;
    assert_eq!(number(&Lab::with(setup).password(BOB, "bob-password")), 70003);
}

#[test]
fn ten_different_wrong_passwords_lock_an_account_until_the_minute_is_over() {
    let mut lab = Lab::new(Profile::default());
    for n in 0..10 {
        assert_eq!(number(&lab.password(BOB, &format!("wrong {n}"))), 50126);
    }
    assert!(lab.has_event("account-locked-out"));
    assert_eq!(number(&lab.password(BOB, "bob-password")), 50053);
    assert_eq!(lab.node.account(BOB, lab.now).unwrap().locked_until, Some(net::Time::from_secs(60)));
    lab.secs(60);
    assert_eq!(lab.password(BOB, "bob-password").0, 200);
    for n in 0..10 {
        lab.password(BOB, &format!("wrong {n}"));
    }
    lab.act(|node, now, out| node.unlock(BOB, now, out)).unwrap();
    assert_eq!(lab.password(BOB, "bob-password").0, 200);
}

#[test]
fn too_many_requests_of_one_client_are_told_when_to_come_again() {
    let mut setup = setup(Profile::default());
    setup.limits = Limits { token_requests_a_minute: 3, device_codes_a_minute: 2, ..Limits::default() };
    let mut lab = Lab::with(setup);
    let (device, _) = lab.device_code();
    for _ in 0..3 {
        assert_eq!(number(&lab.poll(&device)), 70016);
    }
    let fields = [("grant_type", "device_code"), ("code", device.as_str()), ("client_id", PHONE)];
    let answer = lab.ask("10.20.2.5", post("/common/oauth2/token", &fields));
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()[header::RETRY_AFTER]),
        (429, &"61".parse().unwrap())
    );
    let json: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(json["error_codes"][0], 90055);
    assert_eq!(lab.ask("10.20.2.6", post("/common/oauth2/token", &fields)).status(), 400, "another phone");
    lab.secs(60);
    assert_eq!(number(&lab.poll(&device)), 70016);
    lab.device_code();
    lab.device_code();
    let fields = [("client_id", PHONE), ("resource", SYSTEM)];
    assert_eq!(number(&lab.post("/common/oauth2/devicecode", &fields)), 90055);
}

#[test]
fn only_posted_forms_are_taken() {
    let mut lab = Lab::new(Profile::default());
    for path in ["/common/oauth2/devicecode?client_id=x", "/common/oauth2/token"] {
        let answer = lab.get(path);
        let json: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!((answer.status().as_u16(), &json["error_codes"][0]), (405, &900561.into()));
        assert_eq!(answer.headers()[header::ALLOW], "POST");
    }
    let json = Request::post("/common/oauth2/token")
        .header("host", "login.contoso.example")
        .header("content-type", "application/json")
        .body("{}".into())
        .unwrap();
    let answer = lab.ask("10.20.2.5", json);
    assert_eq!(answer.status(), 400);
    // Credentials never come from the address.
    let (device, _) = lab.device_code();
    let path = format!("/common/oauth2/token?grant_type=device_code&client_id={PHONE}&code={device}");
    assert_eq!(number(&lab.post(&path, &[])), 900144);
}

#[test]
fn a_story_orders_the_next_answers() {
    let mut lab = Lab::new(Profile::default());
    lab.node.answer_next(Endpoint::Token, 2, Ordered::Error(90033));
    lab.node.answer_next(Endpoint::Token, 1, Ordered::Status(502));
    let (device, _) = lab.device_code();
    let first = lab.poll(&device);
    assert_eq!((first.0.as_u16(), number(&first)), (503, 90033));
    assert_eq!(number(&lab.poll(&device)), 90033);
    assert_eq!(lab.poll(&device).0, 502);
    assert_eq!(number(&lab.poll(&device)), 70016);
    lab.node.answer_next(Endpoint::Metadata, 1, Ordered::Hangup);
    let stream = lab.connect("10.20.2.5", 443);
    lab.send(stream, b"GET /common/discovery/keys HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(lab.written(stream).is_empty() && lab.closed.contains(&stream));
    lab.node.answer_next(Endpoint::Token, 1, Ordered::Error(12345));
    assert_eq!(number(&lab.poll(&device)), 50000, "a number that there is not");
    lab.node.answer_next(Endpoint::Pages, 1, Ordered::Error(50000));
    assert_eq!(Browser::new("10.20.1.7").open(&mut lab, "/common/oauth2/deviceauth").page(), "error:50000");
}

#[test]
fn a_correlation_id_is_the_clients_own_if_it_is_a_guid() {
    let mut lab = Lab::new(Profile::default());
    let own = "0b2fd2a0-5b4f-4d2b-9f0e-5a3c1d2e4f60";
    for (sent, is_kept) in [(own, true), ("<script>alert(1)</script>", false)] {
        let mut request = post("/common/oauth2/token", &[]);
        request.headers_mut().insert("client-request-id", sent.parse().unwrap());
        request.headers_mut().insert("return-client-request-id", "true".parse().unwrap());
        let answer = lab.ask("10.20.2.5", request);
        let json: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(json["correlation_id"] == own, is_kept);
        assert_eq!(answer.headers()["client-request-id"], text(&json["correlation_id"]));
        assert_eq!(answer.headers()["x-ms-request-id"], text(&json["trace_id"]));
    }
}
