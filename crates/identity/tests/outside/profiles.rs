//! What the four profiles do differently.

use identity::Profile;

use crate::browser::Browser;
use crate::endpoints::refresh_token;
use crate::lab::{BOB, Lab, number, text};

fn declined(profile: Profile) -> String {
    let mut lab = Lab::new(profile);
    let (device, user) = codes(&mut lab);
    let mut browser = Browser::new("10.20.1.7");
    browser.enter_code(&mut lab, &user);
    if browser.page() == "confirm-app" {
        browser.confirm_app(&mut lab, "cancel");
    } else {
        browser.name(&mut lab, BOB).password(&mut lab, "bob-password").stay(&mut lab, "0");
        assert_eq!(browser.page(), "confirm-sign-in");
        browser.submit(&mut lab, "/appverify", &[("choice", "cancel")]);
    }
    assert_eq!(browser.page(), "cancelled");
    text(&lab.poll(&device).1["error"])
}

/// Codes of any profile.
fn codes(lab: &mut Lab) -> (String, String) {
    lab.device_code()
}

#[test]
fn each_profile_has_its_words() {
    let words = |profile| {
        let mut lab = Lab::new(profile);
        let (device, _) = codes(&mut lab);
        let unknown = text(&lab.poll("guess").1["error"]);
        let description = text(&lab.poll("guess").1["error_description"]);
        lab.secs(900);
        (unknown, description.contains("\r\n"), text(&lab.poll(&device).1["error"]), declined(profile))
    };
    let all: Vec<_> = Profile::ALL.into_iter().map(words).collect();
    let row = |unknown: &str, breaks, expired: &str, declined: &str| {
        (unknown.to_owned(), breaks, expired.to_owned(), declined.to_owned())
    };
    assert_eq!(
        all,
        [
            row("bad_verification_code", true, "code_expired", "authorization_declined"),
            row("bad_verification_code", true, "expired_token", "authorization_declined"),
            row("invalid_grant", false, "expired_token", "authorization_declined"),
            row("invalid_grant", false, "expired_token", "access_denied"),
        ]
    );
}

#[test]
fn only_the_rfc_profile_tells_a_fast_phone_to_slow_down() {
    for profile in Profile::ALL {
        let mut lab = Lab::new(profile);
        let (device, _) = codes(&mut lab);
        let words: Vec<String> = [0, 1, 9, 1]
            .into_iter()
            .map(|wait| {
                lab.secs(wait);
                text(&lab.poll(&device).1["error"])
            })
            .collect();
        let wanted = match profile {
            // The second poll comes after one second: from now on the interval is ten.
            Profile::Rfc8628 => ["authorization_pending", "slow_down", "authorization_pending", "slow_down"],
            _ => ["authorization_pending"; 4],
        };
        assert_eq!(words, wanted, "{}", profile.name());
    }
}

#[test]
fn the_rfc_profile_ends_the_family_of_a_replayed_refresh_token() {
    let mut lab = Lab::new(Profile::Rfc8628);
    let (device, user) = codes(&mut lab);
    let mut browser = Browser::new("10.20.1.7");
    browser.enter_code(&mut lab, &user).name(&mut lab, BOB).password(&mut lab, "bob-password");
    browser.stay(&mut lab, "0").submit(&mut lab, "/appverify", &[("choice", "continue")]);
    assert_eq!(browser.page(), "finished");
    let (_, tokens) = lab.poll(&device);
    assert_eq!(tokens["expires_in"], 3599, "the RFC wants numbers");
    let first = text(&tokens["refresh_token"]);
    let second = text(&lab.refresh(&first).1["refresh_token"]);
    assert_eq!(number(&lab.refresh(&first)), 70008);
    assert!(lab.has_event("token-reused"));
    assert_eq!(number(&lab.refresh(&second)), 9002313, "the owner's copy has ended too");
    lab.power_cycle();
    assert_eq!(number(&lab.refresh(&second)), 9002313);
}

#[test]
fn an_older_profile_takes_a_refresh_token_again() {
    let mut lab = Lab::new(Profile::default());
    let token = refresh_token(&mut lab);
    assert_eq!(
        (lab.refresh(&token).0, lab.refresh(&token).0),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );
}

#[test]
fn the_rfc_profile_does_not_tell_unknown_accounts_nor_locked_ones_apart() {
    let mut lab = Lab::new(Profile::Rfc8628);
    let page = |lab: &mut Lab, upn: &str| {
        let (_, user) = codes(lab);
        let mut browser = Browser::new("10.20.1.7");
        browser.enter_code(lab, &user).name(lab, upn);
        assert_eq!(browser.page(), "password");
        browser.password(lab, "wrong");
        (browser.page(), browser.text("main").replace(upn, "NAME"))
    };
    let unknown = page(&mut lab, "nobody@contoso.example");
    assert_eq!(unknown.0, "password:50126");
    assert_eq!(page(&mut lab, BOB), unknown);
    assert_eq!(number(&lab.password("nobody@contoso.example", "wrong")), 50126);
    for n in 0..10 {
        lab.password(BOB, &format!("wrong {n}"));
    }
    assert_eq!(page(&mut lab, BOB), unknown);
}

#[test]
fn the_metadata_names_what_is_there() {
    for profile in Profile::ALL {
        let mut lab = Lab::new(profile);
        let mut read = |path: &str| {
            let answer = lab.get(path);
            let json = serde_json::from_slice(answer.body()).unwrap_or(serde_json::Value::Null);
            (answer.status().as_u16(), json)
        };
        let (status, v1) = read("/common/.well-known/openid-configuration");
        assert_eq!(status, 200);
        assert_eq!(
            v1["device_authorization_endpoint"],
            "https://login.contoso.example/common/oauth2/devicecode"
        );
        let (status, v2) = read("/contoso.example/v2.0/.well-known/openid-configuration");
        if profile == Profile::EntraV1In2016 {
            assert_eq!(status, 404);
        } else {
            let (_, rfc) = read("/.well-known/oauth-authorization-server/contoso.example/v2.0");
            assert_eq!(rfc, v2);
            for name in ["token_endpoint", "device_authorization_endpoint", "jwks_uri", "issuer"] {
                let url = text(&v2[name]);
                assert!(url.starts_with("https://login.contoso.example/"), "{url}");
            }
        }
        assert_eq!(read("/elsewhere.example/.well-known/openid-configuration").0, 400);
    }
}

#[test]
fn realms_and_instances_are_told() {
    let mut lab = Lab::new(Profile::default());
    let mut read = |path: &str| String::from_utf8(lab.get(path).body().to_vec()).unwrap();
    assert!(read("/common/UserRealm/bob@contoso.example?api-version=1.0").contains("\"Managed\""));
    assert!(read("/common/userrealm/bob@elsewhere.example?api-version=1.0").contains("\"Unknown\""));
    assert!(read("/GetUserRealm.srf?login=bob@contoso.example&xml=1").contains("<NameSpaceType>Managed</"));
    let path = "/common/discovery/instance?api-version=1.1&authorization_endpoint=";
    let own = read(&format!("{path}https://login.contoso.example/common/oauth2/authorize"));
    assert!(own.contains("tenant_discovery_endpoint"), "{own}");
    assert!(read(&format!("{path}https://elsewhere.example/common")).contains("50049"));
    assert!(read(&format!("{path}nonsense")).contains("50050"));
    assert!(read("/error?code=50126").starts_with("AADSTS50126: "));
}

#[test]
fn keys_roll_without_a_moment_in_which_a_token_cannot_be_verified() {
    let mut lab = Lab::new(Profile::default());
    let kids = |lab: &mut Lab| -> Vec<String> {
        let json: serde_json::Value =
            serde_json::from_slice(lab.get("/common/discovery/keys").body()).unwrap();
        json["keys"].as_array().unwrap().iter().map(|key| text(&key["kid"])).collect()
    };
    let before = kids(&mut lab);
    assert_eq!(before.len(), 2);
    let (_, old) = lab.password(BOB, "bob-password");
    lab.act(|node, now, out| node.roll_keys(now, out));
    let after = kids(&mut lab);
    assert_eq!(after[..2], before[..], "the old key and the one announced stay");
    let (_, new) = lab.password(BOB, "bob-password");
    for tokens in [&old, &new] {
        crate::device_flow::verified(&mut lab, tokens["access_token"].as_str().unwrap(), crate::lab::SYSTEM);
    }
    let kid = |tokens: &serde_json::Value| {
        jsonwebtoken::decode_header(tokens["access_token"].as_str().unwrap()).unwrap().kid.unwrap()
    };
    assert_eq!([kid(&old), kid(&new)], before[..]);
    lab.power_cycle();
    assert_eq!(kids(&mut lab), after, "the roll outlives a power cut");
}
