//! The ways through the pages, and off them: guards, replays, locks, second factors, conditions.

use identity::{Account, Application, Kind, Limits, Policies, Profile, SecondFactor};
use net::http::header;

use crate::browser::Browser;
use crate::lab::{ALICE, BOB, Lab, digits, number, setup, text};

fn at_password(lab: &mut Lab, upn: &str) -> Browser {
    let (_, user) = lab.device_code();
    let mut browser = Browser::new("10.20.1.7");
    browser.up_to_password(lab, &user, upn);
    assert_eq!(browser.page(), "password");
    browser
}

#[test]
fn a_form_is_taken_once() {
    let mut lab = Lab::new(Profile::default());
    let mut browser = at_password(&mut lab, BOB);
    let form = browser.form("/common/login");
    browser.password(&mut lab, "wrong");
    assert_eq!(browser.page(), "password:50126");
    browser.send(&mut lab, &form);
    assert_eq!((browser.page().as_str(), browser.status.as_u16()), ("error:50089", 400));
    assert!(lab.has_event("form-refused"));
}

#[test]
fn a_page_that_was_open_for_too_long_is_not_taken() {
    let mut lab = Lab::new(Profile::default());
    let mut browser = at_password(&mut lab, BOB);
    lab.secs(900);
    assert_eq!(browser.password(&mut lab, "bob-password").page(), "error:50089");
}

#[test]
fn a_form_without_its_canary_or_from_another_browser_is_not_taken() {
    let mut lab = Lab::new(Profile::default());
    for spoil in ["canary", "flowToken"] {
        let mut browser = at_password(&mut lab, BOB);
        browser.submit(&mut lab, "/common/login", &[("passwd", "bob-password"), (spoil, "made up")]);
        assert_eq!(browser.page(), "error:50089", "{spoil}");
    }
    // Somebody else's form, sent by a browser with a session of its own, or with none.
    let mut stolen = at_password(&mut lab, BOB);
    let mut form = stolen.form("/common/login");
    form.fields.push(("passwd".into(), "bob-password".into()));
    let mut other = Browser::new("10.20.1.8");
    assert_eq!(other.send(&mut lab, &form).page(), "error:50089");
    other.open(&mut lab, "/device");
    assert_eq!(other.send(&mut lab, &form).page(), "error:50089");
    // The attempt costs the owner nothing.
    assert_eq!(stolen.send(&mut lab, &form).page(), "stay-signed-in");
}

#[test]
fn a_form_that_another_site_sends_is_not_taken() {
    let mut lab = Lab::new(Profile::default());
    for (name, value, is_taken) in [
        ("origin", "https://evil.example", false),
        ("origin", "null", true),
        ("sec-fetch-site", "cross-site", false),
        ("origin", "https://login.contoso.example", true),
        ("sec-fetch-site", "same-origin", true),
    ] {
        let browser = at_password(&mut lab, BOB);
        let mut form = browser.form("/common/login");
        form.fields.push(("passwd".into(), "bob-password".into()));
        let fields: Vec<(&str, &str)> = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let mut request = crate::lab::post("/common/login", &fields);
        let headers = request.headers_mut();
        headers.insert(header::COOKIE, browser.cookie.as_ref().unwrap().parse().unwrap());
        headers.insert(net::http::HeaderName::from_static(name), value.parse().unwrap());
        let status = lab.ask("10.20.1.7", request).status();
        assert_eq!(status.as_u16(), if is_taken { 200 } else { 403 }, "{name}: {value}");
    }
}

#[test]
fn the_cookie_changes_when_somebody_signs_in() {
    let mut lab = Lab::new(Profile::default());
    let mut browser = at_password(&mut lab, BOB);
    let planted = browser.cookie.clone();
    browser.password(&mut lab, "bob-password");
    assert_ne!(browser.cookie, planted);
    let mut thief = Browser::new("10.20.1.66");
    thief.cookie = planted;
    let (_, user) = lab.device_code();
    thief.enter_code(&mut lab, &user).confirm_app(&mut lab, "continue");
    assert_eq!(thief.page(), "username", "the planted cookie is nobody's");
}

#[test]
fn whoever_is_signed_in_is_still_asked_about_the_device() {
    let mut lab = Lab::new(Profile::default());
    let (_, user) = lab.device_code();
    let mut browser = Browser::new("10.20.1.7");
    browser.approve(&mut lab, &user, BOB, "bob-password");
    let (device, user) = lab.device_code();
    browser.enter_code(&mut lab, &user);
    assert_eq!(browser.page(), "confirm-app");
    browser.confirm_app(&mut lab, "continue");
    assert_eq!(browser.page(), "pick-account");
    let bob = lab.node.account(BOB, lab.now).unwrap().oid;
    browser.submit(&mut lab, "/common/pick", &[("account", &bob)]);
    assert_eq!(browser.page(), "finished");
    assert_eq!(lab.poll(&device).0, 200);
    // A revoked session is no longer offered, and a made-up account leads to the name page.
    lab.act(|node, now, out| node.revoke_sessions(BOB, now, out)).unwrap();
    let (_, user) = lab.device_code();
    browser.enter_code(&mut lab, &user).confirm_app(&mut lab, "continue");
    assert_eq!(browser.page(), "username");
}

#[test]
fn two_windows_do_not_disturb_each_other() {
    let mut lab = Lab::new(Profile::default());
    let (first, first_user) = lab.device_code();
    let (second, second_user) = lab.device_code();
    let mut one = Browser::new("10.20.1.7");
    one.up_to_password(&mut lab, &first_user, BOB);
    let mut two = Browser::new("10.20.1.7");
    two.cookie = one.cookie.clone();
    two.up_to_password(&mut lab, &second_user, BOB);
    one.password(&mut lab, "bob-password").stay(&mut lab, "0");
    two.cookie = one.cookie.clone();
    two.password(&mut lab, "bob-password").stay(&mut lab, "0");
    assert_eq!((one.page(), two.page()), ("finished".into(), "finished".into()));
    assert_eq!((lab.poll(&first).0.as_u16(), lab.poll(&second).0.as_u16()), (200, 200));
}

#[test]
fn a_code_entered_in_another_browser_leaves_the_first() {
    let mut lab = Lab::new(Profile::default());
    let (device, user) = lab.device_code();
    let mut first = Browser::new("10.20.1.7");
    first.up_to_password(&mut lab, &user, BOB);
    Browser::new("10.20.1.8").enter_code(&mut lab, &user);
    first.password(&mut lab, "bob-password").stay(&mut lab, "0");
    assert_eq!(first.page(), "error:90120");
    assert_eq!(number(&lab.poll(&device)), 70016);
}

#[test]
fn a_code_works_once_and_an_ended_one_not_at_all() {
    let mut lab = Lab::new(Profile::default());
    let (_, user) = lab.device_code();
    let mut browser = Browser::new("10.20.1.7");
    browser.approve(&mut lab, &user, BOB, "bob-password");
    assert_eq!(browser.enter_code(&mut lab, &user).page(), "enter-code:90120");
    assert_eq!(browser.enter_code(&mut lab, " ").page(), "enter-code:90119");
    assert_eq!(browser.enter_code(&mut lab, "BBBBBBBBB").page(), "enter-code:70018");
    // It runs out while the person looks for the password.
    let (device, user) = lab.device_code();
    lab.secs(880);
    let mut late = Browser::new("10.20.1.8");
    late.up_to_password(&mut lab, &user, BOB);
    lab.secs(20);
    late.password(&mut lab, "bob-password").stay(&mut lab, "0");
    assert_eq!(late.page(), "error:70019");
    assert_eq!(number(&lab.poll(&device)), 70020);
}

#[test]
fn a_guesser_of_codes_is_stopped_by_browser_and_by_address() {
    let mut lab = Lab::new(Profile::default());
    let guess = |lab: &mut Lab, browser: &mut Browser| {
        browser.enter_code(lab, "BBBBBBBBB");
        (browser.page(), browser.status.as_u16())
    };
    let mut browser = Browser::new("10.20.1.7");
    for _ in 0..10 {
        assert_eq!(guess(&mut lab, &mut browser), ("enter-code:70018".into(), 200));
    }
    let stopped = ("error:90055".into(), 429);
    assert_eq!(guess(&mut lab, &mut browser), stopped);
    assert_eq!(guess(&mut lab, &mut Browser::new("10.20.1.7")), stopped, "cookies thrown away");
    browser.peer = "10.20.1.8".into();
    assert_eq!(guess(&mut lab, &mut browser), stopped, "another address, the same browser");
    let (_, user) = lab.device_code();
    assert_eq!(Browser::new("10.20.1.9").enter_code(&mut lab, &user).page(), "confirm-app");
    lab.secs(600);
    assert_eq!(guess(&mut lab, &mut Browser::new("10.20.1.7")).1, 200);
    let mut setup = setup(Profile::default());
    setup.limits = Limits { wrong_codes_in_all: 2, ..Limits::default() };
    let mut lab = Lab::with(setup);
    for n in 1..=3 {
        let (_, status) = guess(&mut lab, &mut Browser::new(&format!("10.20.1.{n}")));
        assert_eq!(status, if n <= 2 { 200 } else { 429 });
    }
}

#[test]
fn an_unknown_name_is_told_at_once_and_a_wrong_password_on_its_own_page() {
    let mut lab = Lab::new(Profile::default());
    let (_, user) = lab.device_code();
    let mut browser = Browser::new("10.20.1.7");
    browser.enter_code(&mut lab, &user).confirm_app(&mut lab, "continue");
    assert_eq!(browser.name(&mut lab, "nobody@contoso.example").page(), "username:50034");
    assert_eq!(browser.name(&mut lab, "").page(), "username:50034");
    assert_eq!(browser.name(&mut lab, BOB).page(), "password");
    assert_eq!(browser.password(&mut lab, "wrong").page(), "password:50126");
    assert_eq!(browser.password(&mut lab, "").page(), "password:50126");
    browser.submit(&mut lab, "/common/login", &[("choice", "other")]);
    assert_eq!(browser.page(), "username");
}

#[test]
fn a_password_typed_as_a_name_is_not_shown_in_the_journal() {
    let mut lab = Lab::new(Profile::default());
    let (_, user) = lab.device_code();
    let mut browser = Browser::new("10.20.1.7");
    browser.enter_code(&mut lab, &user).confirm_app(&mut lab, "continue").name(&mut lab, "my-Secret-1");
    let events = lab.events();
    assert!(events.iter().any(|line| line.starts_with("sign-in-failed •••")), "{events:?}");
}

#[test]
fn a_locked_disabled_or_expired_account_is_told_by_number() {
    let mut lab = Lab::new(Profile::default());
    let mut browser = at_password(&mut lab, BOB);
    for n in 0..10 {
        browser.password(&mut lab, &format!("wrong {n}"));
        assert_eq!(browser.page(), "password:50126");
    }
    assert_eq!(browser.password(&mut lab, "bob-password").page(), "password:50053");
    lab.secs(60);
    lab.act(|node, now, out| node.expire_password(BOB, now, out)).unwrap();
    assert_eq!(browser.password(&mut lab, "bob-password").page(), "new-password:50055");
    lab.act(|node, now, out| node.set_enabled(BOB, false, now, out)).unwrap();
    assert_eq!(at_password(&mut lab, BOB).password(&mut lab, "bob-password").page(), "error:50057");
    assert_eq!(
        at_password(&mut lab, BOB).password(&mut lab, "wrong").page(),
        "password:50126",
        "only who knows the password learns that the account is disabled"
    );
}

fn choose(lab: &mut Lab, browser: &mut Browser, chosen: &str, again: &str) -> String {
    let values = [("newpasswd", chosen), ("confirmnewpasswd", again)];
    browser.submit(lab, "/common/newpassword", &values).page()
}

#[test]
fn an_expired_password_is_changed_on_the_way() {
    let mut lab = Lab::new(Profile::default());
    let (device, user) = lab.device_code();
    lab.act(|node, now, out| node.expire_password(ALICE, now, out)).unwrap();
    let mut browser = Browser::new("10.20.1.7");
    browser.up_to_password(&mut lab, &user, ALICE).password(&mut lab, "alice-password");
    assert_eq!(browser.page(), "new-password:50055");
    for (chosen, again) in
        [("short", "short"), ("long enough", "long enuff"), ("alice-password", "alice-password")]
    {
        assert_eq!(choose(&mut lab, &mut browser, chosen, again), "new-password:120000");
    }
    assert_eq!(choose(&mut lab, &mut browser, "long enough", "long enough"), "second-factor");
    assert_eq!(number(&lab.password(ALICE, "long enough")), 50126, "not before the second factor");
    let code = digits(lab.unix());
    browser.second_factor(&mut lab, &code).stay(&mut lab, "0");
    assert_eq!(browser.page(), "finished");
    assert_eq!(lab.poll(&device).0, 200);
    assert_eq!(number(&lab.password(ALICE, "long enough")), 50076);
}

#[test]
fn a_person_changes_the_password_only_with_the_old_one() {
    let mut lab = Lab::new(Profile::default());
    let token = crate::endpoints::refresh_token(&mut lab);
    let mut browser = at_password(&mut lab, BOB);
    browser.password(&mut lab, "bob-password").stay(&mut lab, "0");
    browser.open(&mut lab, "/password");
    assert_eq!(browser.page(), "username", "being signed in is not enough");
    browser.name(&mut lab, BOB).password(&mut lab, "bob-password");
    assert_eq!(browser.page(), "new-password");
    assert_eq!(choose(&mut lab, &mut browser, "bob-s new one", "bob-s new one"), "stay-signed-in");
    assert_eq!(browser.stay(&mut lab, "0").page(), "password-changed");
    assert_eq!(number(&lab.refresh(&token)), 50173);
    assert_eq!(lab.password(BOB, "bob-s new one").0, 200);
}

fn at_second_factor(lab: &mut Lab) -> Browser {
    let mut browser = at_password(lab, ALICE);
    browser.password(lab, "alice-password");
    assert_eq!(browser.page(), "second-factor");
    browser
}

#[test]
fn a_one_time_password_is_taken_once_even_in_two_windows_and_after_a_power_cut() {
    let mut lab = Lab::new(Profile::default());
    let mut one = at_second_factor(&mut lab);
    let mut two = at_second_factor(&mut lab);
    let code = digits(lab.unix());
    assert_eq!(one.second_factor(&mut lab, &code).page(), "stay-signed-in");
    assert_eq!(two.second_factor(&mut lab, &code).page(), "second-factor:500121");
    assert!(two.text("[role=alert]").contains("used before"));
    lab.power_cycle();
    let mut three = at_second_factor(&mut lab);
    assert_eq!(three.second_factor(&mut lab, &code).page(), "second-factor:500121");
    let next = digits(lab.unix() + 30);
    assert_eq!(three.second_factor(&mut lab, &next).page(), "stay-signed-in", "one step early is fine");
}

#[test]
fn five_wrong_one_time_passwords_end_a_sign_in_and_ten_lock_the_account() {
    let mut lab = Lab::new(Profile::default());
    let wrong = if digits(lab.unix()) == "111111" { "222222" } else { "111111" };
    let mut browser = at_second_factor(&mut lab);
    for _ in 0..4 {
        assert_eq!(browser.second_factor(&mut lab, wrong).page(), "second-factor:500121");
    }
    assert_eq!(browser.second_factor(&mut lab, "junk").page(), "error:500121");
    let mut browser = at_second_factor(&mut lab);
    for _ in 0..4 {
        assert_eq!(browser.second_factor(&mut lab, wrong).page(), "second-factor:500121");
    }
    assert_eq!(browser.second_factor(&mut lab, wrong).page(), "error:50053");
    assert!(lab.has_event("account-locked-out"));
    let mut browser = at_password(&mut lab, ALICE);
    assert_eq!(browser.password(&mut lab, "alice-password").page(), "error:50053");
    lab.secs(60);
    let mut browser = at_second_factor(&mut lab);
    let code = digits(lab.unix());
    assert_eq!(browser.second_factor(&mut lab, &code).page(), "stay-signed-in");
}

#[test]
fn who_has_no_second_factor_where_one_is_needed_must_register_it() {
    let mut lab = Lab::new(Profile::default());
    let token = crate::endpoints::refresh_token(&mut lab);
    let policies = Policies { requires_second_factor: true, ..Policies::default() };
    lab.act(|node, now, out| node.set_policy(policies, now, out));
    assert_eq!(at_password(&mut lab, BOB).password(&mut lab, "bob-password").page(), "error:50072");
    assert_eq!(number(&lab.password(BOB, "bob-password")), 50079);
    assert_eq!(number(&lab.refresh(&token)), 50079);
}

#[test]
fn a_blocked_device_code_flow_is_told_on_the_page_while_the_phone_waits() {
    let mut lab = Lab::new(Profile::default());
    let token = crate::endpoints::refresh_token(&mut lab);
    lab.act(|node, now, out| node.block_device_code_flow(true, now, out));
    let (device, user) = lab.device_code();
    let mut browser = Browser::new("10.20.1.7");
    browser.up_to_password(&mut lab, &user, BOB);
    assert_eq!(browser.password(&mut lab, "wrong").page(), "password:50126", "conditions come later");
    assert_eq!(browser.password(&mut lab, "bob-password").page(), "error:53003");
    assert!(!browser.text("details").is_empty(), "the ids for the administrator");
    assert_eq!(number(&lab.poll(&device)), 70016);
    lab.secs(900);
    assert_eq!(number(&lab.poll(&device)), 70020);
    let refused = lab.refresh(&token);
    assert_eq!(number(&refused), 530036, "born by a device code");
    assert_eq!(lab.password(BOB, "bob-password").0, 200, "another way in");
}

#[test]
fn other_conditions_have_their_own_numbers() {
    let page = |policies: Policies| {
        let mut lab = Lab::new(Profile::default());
        let token = crate::endpoints::refresh_token(&mut lab);
        lab.act(|node, now, out| node.set_policy(policies, now, out));
        let mut browser = at_password(&mut lab, BOB);
        lab.secs(10);
        (browser.password(&mut lab, "bob-password").page(), number(&lab.refresh(&token)))
    };
    let blocked = [BOB.to_uppercase()].into();
    let blocked = Policies { blocked_accounts: blocked, ..Policies::default() };
    assert_eq!(page(blocked), ("error:53003".into(), 53003));
    let managed = Policies { requires_managed_device: true, ..Policies::default() };
    assert_eq!(page(managed), ("error:530033".into(), 53000));
    let often = std::time::Duration::from_secs(10);
    let often = Policies { sign_in_frequency: Some(often), ..Policies::default() };
    assert_eq!(page(often), ("stay-signed-in".into(), 70043));
}

#[test]
fn a_browser_whose_sign_in_is_too_old_asks_for_the_password_again() {
    let mut lab = Lab::new(Profile::default());
    let (_, user) = lab.device_code();
    let mut browser = Browser::new("10.20.1.7");
    browser.approve(&mut lab, &user, BOB, "bob-password");
    let often = Some(std::time::Duration::from_secs(3600));
    let policies = Policies { sign_in_frequency: often, ..Policies::default() };
    lab.act(|node, now, out| node.set_policy(policies, now, out));
    let bob = lab.node.account(BOB, lab.now).unwrap().oid;
    for (wait, wanted) in [(3599, "finished"), (1, "password")] {
        lab.secs(wait);
        let (_, user) = lab.device_code();
        browser.enter_code(&mut lab, &user).confirm_app(&mut lab, "continue");
        assert_eq!(browser.submit(&mut lab, "/common/pick", &[("account", &bob)]).page(), wanted);
    }
    browser.password(&mut lab, "bob-password").stay(&mut lab, "0");
    assert_eq!(browser.page(), "finished");
}

#[test]
fn an_application_that_nobody_agreed_to_needs_an_administrator() {
    let mut setup = setup(Profile::default());
    setup.applications[0] = Application { consented: false, ..Application::phone() };
    let mut lab = Lab::with(setup);
    assert_eq!(at_password(&mut lab, BOB).password(&mut lab, "bob-password").page(), "error:90094");
    assert_eq!(number(&lab.password(BOB, "bob-password")), 65001);
}

#[test]
fn staying_signed_in_keeps_the_cookie_for_ninety_days() {
    let mut lab = Lab::new(Profile::default());
    let mut browser = at_password(&mut lab, BOB);
    browser.password(&mut lab, "bob-password");
    let form = browser.form("/kmsi");
    let mut fields: Vec<(&str, &str)> = form.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    fields.push(("LoginOptions", "1"));
    let mut request = crate::lab::post("/kmsi", &fields);
    request.headers_mut().insert(header::COOKIE, browser.cookie.clone().unwrap().parse().unwrap());
    let answer = lab.ask("10.20.1.7", request);
    let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-session=") && cookie.ends_with("; Max-Age=7776000"), "{cookie}");
    lab.secs(89 * 24 * 3600);
    let (_, user) = lab.device_code();
    browser.enter_code(&mut lab, &user).confirm_app(&mut lab, "continue");
    assert_eq!(browser.page(), "pick-account");
}

#[test]
fn names_and_codes_are_written_into_pages_as_text() {
    let mut setup = setup(Profile::default());
    setup.applications[0].name = "<script>alert('app')</script>".into();
    setup.accounts.push(Account {
        kind: Kind::CommonArea,
        second_factor: SecondFactor::None,
        ..Account::person("evil@contoso.example", "\"><img src=x onerror=alert(1)>", "evil-password")
    });
    let mut lab = Lab::with(setup);
    let mut browser = Browser::new("10.20.1.7");
    browser.open(&mut lab, "/common/oauth2/deviceauth?otc=%22%3E%3Cscript%3Ealert(1)%3C/script%3E");
    assert!(!browser.html.contains("<script"), "{}", browser.html);
    browser.enter_code(&mut lab, "\"><script>x");
    assert!(!browser.html.contains("<script"), "{}", browser.html);
    let (_, user) = lab.device_code();
    browser.enter_code(&mut lab, &user);
    assert!(browser.html.contains("script") && !browser.html.contains("<script"), "{}", browser.html);
    browser.confirm_app(&mut lab, "continue").name(&mut lab, "evil@contoso.example");
    browser.password(&mut lab, "evil-password").stay(&mut lab, "0");
    let (_, user) = lab.device_code();
    browser.enter_code(&mut lab, &user).confirm_app(&mut lab, "continue");
    assert!(browser.html.contains("onerror") && !browser.html.contains("<img"), "{}", browser.html);
}

#[test]
fn the_journal_holds_no_secret() {
    let mut lab = Lab::new(Profile::default());
    let (device, user) = lab.device_code();
    let mut browser = at_second_factor(&mut lab);
    let code = digits(lab.unix());
    browser.second_factor(&mut lab, &code).stay(&mut lab, "1");
    browser.open(&mut lab, &format!("/common/oauth2/deviceauth?otc={user}"));
    Browser::new("10.20.1.8").approve(&mut lab, &user, BOB, "bob-password");
    let (_, tokens) = lab.poll(&device);
    let said = format!("{:?}", lab.notes);
    let cookie = browser.cookie.clone().unwrap();
    for secret in [
        &device,
        &user,
        "alice-password",
        "bob-password",
        &text(&tokens["access_token"]),
        &text(&tokens["refresh_token"]),
        cookie.split('=').nth(1).unwrap(),
    ] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
    let disk: Vec<u8> = lab.disk.values().flatten().copied().collect();
    let disk = String::from_utf8(disk).unwrap();
    assert!(!disk.contains(&text(&tokens["refresh_token"])) && !disk.contains("password\":\""));
}
