//! The whole pool over the simulated network: real TLS around real TLS-DSK, a real disk, and an administrator.

#![expect(clippy::unwrap_used, reason = "a test falls where its story breaks")]

mod stage;

use std::time::Duration;

use net::sim::CutAtWrite;
use net::{Note, World as _};
use registrar::{Home, PhonePolicy, events};

use crate::stage::{ALICE, Stage};

const PROVISIONING: &str = "vnd-microsoft-provisioning-v2";

#[test]
fn a_phone_registers_over_tls_and_the_same_again_for_the_same_seed() {
    let run = || {
        let mut stage = Stage::new(7);
        let ok = stage.sign_in().unwrap();
        assert_eq!(ok.status(), Some(200));
        let now = stage.sim.now();
        assert!(stage.registrar().is_registered(ALICE, now));
        assert_eq!(stage.registrar().bindings(ALICE, now)[0].received.ip().to_string(), "10.20.2.1");
        stage.sim.trace_hash()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_power_cut_in_any_write_forgets_no_binding_that_was_answered() {
    // The write of the first REGISTER, and that of a refresh.
    for refreshes in [0, 1] {
        for octets in [0, 1, 7, 8, 9, 100, 400, 2_000] {
            let mut stage = Stage::new(7);
            if refreshes == 1 {
                assert_eq!(stage.sign_in().unwrap().status(), Some(200));
            } else {
                stage.prove().unwrap();
            }
            let write = stage.sim.disk_writes(stage.pool) + 1;
            stage.sim.cut_at_write(stage.pool, Some(CutAtWrite { write, octets: Some(octets) }));
            assert!(stage.register().is_none(), "nobody hears of what is not on the disk");
            stage.sim.cut_at_write(stage.pool, None);
            stage.sim.power_on(stage.pool);
            let now = stage.sim.now();
            let is_bound = stage.registrar().is_registered(ALICE, now);
            assert!(is_bound || refreshes == 0, "cut after {octets} octets");
            let ok = stage.sign_in().unwrap();
            let action = if is_bound { "refreshed" } else { "added" };
            assert!(ok.header("presence-state").unwrap().contains(action), "cut after {octets} octets");
            stage.sim.power_off(stage.pool);
            stage.sim.power_on(stage.pool);
            let now = stage.sim.now();
            assert!(stage.registrar().is_registered(ALICE, now), "cut after {octets} octets");
        }
    }
}

#[test]
fn what_an_administrator_does_reaches_the_phone() {
    let mut stage = Stage::new(7);
    stage.sign_in().unwrap();
    assert_eq!(stage.subscribe(PROVISIONING).unwrap().status(), Some(200));
    let policy = PhonePolicy { min_phone_pin_length: 9, ..PhonePolicy::default() };
    stage.administer(|pool, now, out| pool.set_policy(ALICE, policy, now, out));
    let notice = stage.hear().unwrap();
    assert!(notice.body_text().unwrap().contains("<ucMinPinLength>9</ucMinPinLength>"));
    stage.administer(|pool, now, out| pool.disable(ALICE, now, out));
    assert_eq!(stage.hear().unwrap().body_text(), Some("deregistered;event=rejected"));
    let refused = stage.register().unwrap();
    assert_eq!(refused.status(), Some(403));
    stage.administer(|pool, now, out| pool.enable(ALICE, now, out));
    assert_eq!(stage.register().unwrap().status(), Some(200));
    let elsewhere = Home::Pool("fe2.contoso.example".to_owned());
    stage.administer(|pool, now, out| pool.move_user(ALICE, elsewhere, now, out));
    assert_eq!(stage.hear().unwrap().body_text(), Some("deregistered;event=deactivated"));
    let moved = stage.register().unwrap();
    assert_eq!(moved.header("Contact"), Some("<sip:fe2.contoso.example:5061;transport=tls>"));
    stage.administer(|pool, now, out| pool.move_user(ALICE, Home::Here, now, out));
    assert_eq!(stage.register().unwrap().status(), Some(200));
    assert_eq!(stage.administer(|pool, now, out| pool.forget_bindings(ALICE, now, out)), 1);
    assert!(stage.register().unwrap().header("presence-state").unwrap().contains("added"));
    stage.administer(|pool, now, out| pool.sign_out(ALICE, now, out));
    assert_eq!(stage.hear().unwrap().body_text(), Some("deregistered;event=unregistered"));
    assert_eq!(stage.administer(|pool, now, out| pool.revoke(ALICE, now, out)), 1);
    assert_eq!(stage.register().unwrap().status(), Some(401));
    stage.prove().unwrap_err();
}

#[test]
fn a_binding_ends_by_itself_when_its_phone_goes_dark() {
    let mut stage = Stage::new(7);
    stage.sign_in().unwrap();
    stage.sim.power_off(stage.phone);
    stage.pass(Duration::from_secs(599));
    let now = stage.sim.now();
    assert!(stage.registrar().is_registered(ALICE, now));
    stage.pass(Duration::from_secs(2));
    let now = stage.sim.now();
    assert!(!stage.registrar().is_registered(ALICE, now));
    let ended = stage.sim.journal().entries().iter().any(|entry| match &entry.note {
        Note::Event { name, of, .. } => *name == events::BINDING_EXPIRED && of == ALICE,
        _ => false,
    });
    assert!(ended);
}
