//! The common-area portal.

use identity::{Account, Policies, Profile, Role};

use crate::browser::Browser;
use crate::device_flow::verified;
use crate::lab::{ADMIN, ALICE, BOB, LOBBY, Lab, SYSTEM, digits, number, setup, text};

/// An administrator at the portal's search.
fn administrator(lab: &mut Lab) -> Browser {
    let mut admin = Browser::new("10.20.1.9");
    admin.open(lab, "/cap").name(lab, ADMIN).password(lab, "admin-password").stay(lab, "0");
    assert_eq!(admin.page(), "portal-home");
    admin
}

fn choose(lab: &mut Lab, admin: &mut Browser, upn: &str) {
    let oid = lab.node.account(upn, lab.now).expect("an account").oid;
    admin.submit(lab, "/cap/search", &[("name", "")]);
    admin.submit(lab, "/cap/choose", &[("account", &oid)]);
    assert_eq!(admin.page(), "portal-provision");
}

fn provision(lab: &mut Lab, admin: &mut Browser, user_code: &str) -> String {
    let values = [("user_code", user_code), ("choice", "provision")];
    admin.submit(lab, "/cap/provision", &values).page()
}

#[test]
fn an_administrator_gives_a_lobby_phone_its_account() {
    let mut lab = Lab::new(Profile::default());
    let old = text(&lab.password(LOBBY, "lobby-password").1["refresh_token"]);
    let (device, user) = lab.device_code();
    let mut admin = administrator(&mut lab);
    choose(&mut lab, &mut admin, LOBBY);
    assert_eq!(provision(&mut lab, &mut admin, &user.to_lowercase()), "portal-done");
    let (status, tokens) = lab.poll(&device);
    assert_eq!(status, 200, "{tokens}");
    let claims = verified(&mut lab, tokens["access_token"].as_str().unwrap(), SYSTEM);
    assert_eq!((&claims["upn"], &claims["amr"]), (&LOBBY.into(), &serde_json::json!(["pwd"])));
    assert_eq!(number(&lab.password(LOBBY, "lobby-password")), 50126, "the password was reset");
    assert_eq!(number(&lab.refresh(&old)), 50173, "a phone that had the account is signed out");
    assert_eq!(lab.refresh(&text(&tokens["refresh_token"])).0, 200);
    let events = lab.events();
    let provisioned = events.iter().find(|line| line.starts_with("account-provisioned")).expect("told");
    assert!(provisioned.contains(LOBBY) && provisioned.contains(ADMIN), "{provisioned}");
}

#[test]
fn the_search_looks_at_common_area_accounts_unless_told_otherwise() {
    let mut lab = Lab::new(Profile::default());
    let mut admin = administrator(&mut lab);
    admin.submit(&mut lab, "/cap/search", &[("name", "LOBBY")]);
    assert_eq!(admin.text("h2"), "1 found");
    admin.submit(&mut lab, "/cap/search", &[("name", "bob")]);
    assert_eq!(admin.text("h2"), "No account found");
    assert!(admin.text("main").contains("Untick the box"));
    let mut form = admin.form("/cap/search");
    form.fields.retain(|(name, _)| name != "common");
    admin.send(&mut lab, &form);
    assert_eq!(admin.text("h2"), "1 found");
    assert!(admin.text("main").contains("Bob Brown"));
}

#[test]
fn accounts_that_cannot_be_provisioned_say_why() {
    let mut lab = Lab::new(Profile::default());
    let (device, user) = lab.device_code();
    let mut admin = administrator(&mut lab);
    let try_it = |lab: &mut Lab, admin: &mut Browser, upn: &str| {
        admin.open(lab, "/cap");
        choose(lab, admin, upn);
        provision(lab, admin, &user)
    };
    assert_eq!(try_it(&mut lab, &mut admin, "synced@contoso.example"), "portal-provision:account-synced");
    assert_eq!(try_it(&mut lab, &mut admin, "bare@contoso.example"), "portal-provision:no-licence");
    assert_eq!(try_it(&mut lab, &mut admin, ALICE), "portal-provision:second-factor-required");
    lab.act(|node, now, out| node.set_enabled(BOB, false, now, out)).unwrap();
    assert_eq!(try_it(&mut lab, &mut admin, BOB), "portal-provision:account-disabled");
    lab.act(|node, now, out| node.block_device_code_flow(true, now, out));
    assert_eq!(try_it(&mut lab, &mut admin, LOBBY), "portal-provision:53003");
    let strict = Policies { requires_second_factor: true, ..Policies::default() };
    lab.act(|node, now, out| node.set_policy(strict, now, out));
    admin = Browser::new("10.20.1.10");
    admin.open(&mut lab, "/cap").name(&mut lab, ADMIN);
    assert_eq!(admin.password(&mut lab, "admin-password").page(), "error:50072");
    assert_eq!(number(&lab.poll(&device)), 70016, "the code is none the worse");
    assert!(lab.has_event("provisioning-refused"));
}

#[test]
fn codes_that_cannot_be_provisioned_say_why() {
    let mut lab = Lab::new(Profile::default());
    let (_, old) = lab.device_code();
    lab.secs(900);
    let (_, used) = lab.device_code();
    Browser::new("10.20.1.7").approve(&mut lab, &used, BOB, "bob-password");
    let mut admin = administrator(&mut lab);
    choose(&mut lab, &mut admin, LOBBY);
    assert_eq!(provision(&mut lab, &mut admin, "BBBBBBBBB"), "portal-provision:70018");
    assert_eq!(provision(&mut lab, &mut admin, &old), "portal-provision:70019");
    assert_eq!(provision(&mut lab, &mut admin, &used), "portal-provision:90120");
    assert_eq!(provision(&mut lab, &mut admin, ""), "portal-provision:90119");
    assert_eq!(lab.password(LOBBY, "lobby-password").0, 200, "nothing was reset");
    let values = [("choice", "back"), ("user_code", "")];
    assert_eq!(admin.submit(&mut lab, "/cap/provision", &values).page(), "portal-home");
}

#[test]
fn the_portal_is_for_administrators() {
    let mut lab = Lab::new(Profile::default());
    let mut bob = Browser::new("10.20.1.7");
    bob.open(&mut lab, "/cap").name(&mut lab, BOB).password(&mut lab, "bob-password").stay(&mut lab, "0");
    assert_eq!(bob.page(), "error:not-administrator");
    // The portal's own forms are of no use without an administrator behind them.
    let mut admin = administrator(&mut lab);
    let form = admin.form("/cap/search");
    assert_eq!(bob.send(&mut lab, &form).page(), "error:50089");
    lab.act(|node, now, out| node.revoke_sessions(ADMIN, now, out)).unwrap();
    assert_eq!(admin.send(&mut lab, &form).page(), "error:50133");
}

#[test]
fn an_administrator_with_a_second_factor_gives_it_and_stays_at_the_portal() {
    let mut setup = setup(Profile::default());
    setup.accounts.push(Account {
        role: Role::Administrator,
        second_factor: crate::lab::totp(),
        ..Account::person("root@contoso.example", "Root", "root-password")
    });
    let mut lab = Lab::with(setup);
    let mut admin = Browser::new("10.20.1.9");
    admin.open(&mut lab, "/cap").name(&mut lab, "root@contoso.example").password(&mut lab, "root-password");
    assert_eq!(admin.page(), "second-factor");
    let code = digits(lab.unix());
    admin.second_factor(&mut lab, &code).stay(&mut lab, "0");
    assert_eq!(admin.page(), "portal-home");
    assert_eq!(admin.open(&mut lab, "/cap").page(), "portal-home", "no second sign-in");
}
