//! The whole way: code, pages, tokens, keys.

use identity::Profile;
use serde_json::Value;

use crate::browser::Browser;
use crate::lab::{ALICE, BOB, Lab, SYSTEM, TENANT, digits, number, text};

/// The claims of a token, after its signature was verified by the published keys.
pub fn verified(lab: &mut Lab, token: &str, audience: &str) -> Value {
    let keys = lab.get("/common/discovery/keys");
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_slice(keys.body()).unwrap();
    let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    let key = keys.find(&kid).expect("the key is published");
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.validate_exp = false;
    rules.set_audience(&[audience]);
    jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap().claims
}

#[test]
fn a_phone_gets_tokens_after_a_person_with_two_factors_approved() {
    let mut lab = Lab::new(Profile::default());
    let (device, user) = lab.device_code();
    assert_eq!(number(&lab.poll(&device)), 70016);

    let mut browser = Browser::new("10.20.1.7");
    browser.enter_code(&mut lab, &user.to_lowercase());
    assert_eq!(browser.page(), "confirm-app");
    assert!(browser.text("main").contains("Skype for Business Certified Phone"));
    assert!(browser.text("main").contains(&user));
    browser.confirm_app(&mut lab, "continue");
    assert_eq!(browser.page(), "username");
    browser.name(&mut lab, "Alice@Contoso.example");
    assert_eq!(browser.page(), "password");
    browser.password(&mut lab, "alice-password");
    assert_eq!(browser.page(), "second-factor");
    let code = digits(lab.unix());
    browser.second_factor(&mut lab, &code);
    assert_eq!(browser.page(), "stay-signed-in");
    browser.stay(&mut lab, "0");
    assert_eq!(browser.page(), "finished");

    lab.secs(5);
    let (status, tokens) = lab.poll(&device);
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], "3599");
    assert_eq!(tokens["resource"], SYSTEM);
    let claims = verified(&mut lab, tokens["access_token"].as_str().unwrap(), SYSTEM);
    assert_eq!(claims["upn"], ALICE);
    assert_eq!(claims["amr"], serde_json::json!(["pwd", "mfa"]));
    assert_eq!(claims["iss"], format!("https://sts.login.contoso.example/{TENANT}/"));
    assert_eq!(claims["iat"].as_i64().unwrap(), lab.unix() - 300);
    assert_eq!(claims["exp"].as_i64().unwrap(), lab.unix() + 3599);
    assert!(text(&tokens["id_token"]).ends_with('.'), "version 1 id tokens have no signature");

    let (status, refreshed) = lab.refresh(&text(&tokens["refresh_token"]));
    assert_eq!(status, 200, "{refreshed}");
    assert_ne!(refreshed["refresh_token"], tokens["refresh_token"]);
    let names: Vec<String> =
        lab.events().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let wanted = [
        "device-code-issued",
        "device-code-claimed",
        "signed-in",
        "device-code-approved",
        "token-issued",
        "token-refreshed",
    ];
    assert_eq!(names, wanted);
}

#[test]
fn a_code_is_redeemed_once_even_when_two_polls_race() {
    let mut lab = Lab::new(Profile::default());
    let (device, user) = lab.device_code();
    Browser::new("10.20.1.7").approve(&mut lab, &user, BOB, "bob-password");
    // Both requests are under way before the disk has kept the first one's refresh token.
    lab.holds_disk = true;
    let streams = [lab.connect("10.20.2.5", 443), lab.connect("10.20.2.5", 443)];
    let body = format!("grant_type=device_code&code={device}&client_id={}", crate::lab::PHONE);
    let request = format!(
        "POST /common/oauth2/token HTTP/1.1\r\nHost: login.contoso.example\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for stream in streams {
        lab.send(stream, request.as_bytes());
    }
    assert!(lab.written(streams[0]).is_empty(), "nothing is promised before it is kept");
    let second = String::from_utf8(lab.written(streams[1])).unwrap();
    assert!(second.starts_with("HTTP/1.1 400 ") && second.contains("70000"), "{second}");
    lab.release_disk();
    assert!(lab.written(streams[0]).starts_with(b"HTTP/1.1 200 "));
}
