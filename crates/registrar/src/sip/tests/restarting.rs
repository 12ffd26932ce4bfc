//! Power cuts: what a pool still knows when it comes back.

use std::time::Duration;

use super::bench::*;

#[test]
fn a_restarted_pool_has_its_bindings_and_no_associations() {
    let mut bench = Bench::new();
    let mut desk = registered(&mut bench, ALICE, "01");
    bench.pass(Duration::from_secs(100));
    bench.with(|front_end, _, _, _| front_end.power_off());
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
    bench.power_on();
    assert!(bench.front_end.is_registered(ALICE, bench.now));
    assert_eq!(bench.front_end.associations(ALICE, bench.now), 0);
    assert_eq!(bench.front_end.connections(), 0);
    desk.reconnect(&mut bench);
    let ok = desk.sign_in(&mut bench);
    assert!(ok.header("presence-state").expect("it is there").contains("refreshed"));
}

#[test]
fn a_binding_does_not_live_longer_because_the_pool_was_off() {
    let mut bench = Bench::new();
    bench.longest = Duration::from_secs(300);
    registered(&mut bench, ALICE, "01");
    bench.with(|front_end, _, _, _| front_end.power_off());
    bench.pass(Duration::from_secs(299));
    bench.power_on();
    assert!(bench.front_end.is_registered(ALICE, bench.now));
    bench.pass(Duration::from_secs(1));
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
}

#[test]
fn whatever_a_power_cut_tears_every_200_still_holds() {
    let mut bench = Bench::new();
    registered(&mut bench, ALICE, "01");
    let before = bench.disk.clone();
    registered(&mut bench, BOB, "02");
    let after = bench.disk.clone();
    let grown: Vec<_> = after
        .iter()
        .filter(|(file, bytes)| file.starts_with("bindings") && before.get(*file) != Some(bytes))
        .collect();
    assert_eq!(grown.len(), 1, "one file was appended to");
    let (file, bytes) = grown[0];
    for cut in before[file].len()..=bytes.len() {
        bench.disk = after.clone();
        bench.disk.insert(file.clone(), bytes[..cut].to_vec());
        bench.power_on();
        assert!(bench.front_end.is_registered(ALICE, bench.now), "cut at {cut}");
        assert_eq!(bench.front_end.is_registered(BOB, bench.now), cut == bytes.len(), "cut at {cut}");
        // What is kept from here on is there after the next cut.
        registered(&mut bench, ALICE, "03");
        bench.power_on();
        assert_eq!(bench.front_end.bindings(ALICE, bench.now).len(), 2, "cut at {cut}");
    }
}

#[test]
fn a_register_whose_write_was_lost_was_never_answered() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    desk.register_unwritten(&mut bench);
    bench.power_on();
    bench.flush();
    assert!(bench.messages(desk.stream).is_empty());
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
}

#[test]
fn a_client_that_hangs_up_before_its_binding_is_kept_leaves_it_for_a_while() {
    let mut bench = Bench::new();
    let mut desk = Client::new(&mut bench, ALICE, "01");
    desk.register_unwritten(&mut bench);
    bench.hang_up(desk.stream);
    bench.flush();
    assert!(bench.front_end.is_registered(ALICE, bench.now));
    bench.pass(Duration::from_secs(60));
    assert!(!bench.front_end.is_registered(ALICE, bench.now));
}
