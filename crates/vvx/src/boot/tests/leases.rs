//! Asking for an address, keeping it, losing it.

use super::office::*;
use crate::boot::*;

fn nth_discover_at(n: usize) -> (u64, Desk) {
    let mut desk = Desk::in_office(Office { dhcp_answers: false, ..Office::default() });
    while desk.office.asked.len() < n {
        let wake_at = desk.wake_at().expect("it keeps asking");
        desk.run_until(wake_at);
    }
    (desk.now.as_nanos() / 1_000_000, desk)
}

#[test]
fn a_phone_asks_less_and_less_often_while_nobody_answers_and_never_gives_up() {
    let times: Vec<u64> = (1..=7).map(|n| nth_discover_at(n).0).collect();
    let spans: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (span, expected) in spans.iter().zip([4_000, 8_000, 16_000, 32_000, 64_000, 64_000u64]) {
        assert!(span.abs_diff(expected) <= 1_000, "{spans:?}");
    }
    let (_, mut desk) = nth_discover_at(7);
    assert_eq!(desk.boot.phase(desk.now).text(), "Waiting for a network address");
    assert!(desk.has_logged("No DHCP server answers."));
    desk.office.dhcp_answers = true;
    let later = desk.now + Duration::from_secs(300);
    desk.boot_until(later);
    assert!(desk.booted.is_some());
}

#[test]
fn of_two_offers_the_one_with_a_provisioning_server_is_taken() {
    let other = (Ipv4Addr::new(10, 20, 0, 9), Ipv4Addr::new(10, 20, 9, 9), false);
    let mut desk = Desk::in_office(Office { offers: vec![other, (DHCP, DESK, true)], ..Office::default() });
    desk.boot_until(secs(600));
    assert_eq!(desk.address, Some(DESK.into()));
}

#[test]
fn a_refused_request_begins_anew() {
    let mut desk = Desk::in_office(Office { refuses_requests: true, ..Office::default() });
    desk.run_until(secs(20));
    assert_eq!(desk.address, None);
    let discovers = desk.office.asked.iter().filter(|line| line.starts_with("Discover")).count();
    assert!((3..15).contains(&discovers), "about one a second: {discovers}");
    desk.office.refuses_requests = false;
    desk.boot_until(secs(600));
    assert!(desk.booted.is_some());
}

#[test]
fn a_lease_is_renewed_with_its_server_at_half_time() {
    let mut desk = Desk::in_office(Office::default());
    desk.boot_until(secs(600));
    desk.office.asked.clear();
    desk.run_until(secs(1_700));
    assert_eq!(desk.office.leases_asked(), Vec::<&str>::new());
    desk.run_until(secs(1_900));
    assert_eq!(desk.office.leases_asked(), ["Request to 10.20.0.1"]);
    desk.run_until(secs(90_000));
    assert_eq!(desk.address, Some(DESK.into()), "a day later it is still there");
    assert!(!desk.network_events.contains(&NetworkEvent::AddressLost));
}

#[test]
fn an_unanswered_renewal_goes_to_all_and_then_the_address_is_given_up() {
    let mut desk = Desk::in_office(Office::default());
    desk.boot_until(secs(600));
    desk.office.asked.clear();
    desk.office.dhcp_answers = false;
    desk.run_until(secs(3_100));
    let asked = desk.office.leases_asked();
    assert!(asked.len() >= 2 && asked.iter().all(|line| *line == "Request to 10.20.0.1"), "{asked:?}");
    desk.run_until(secs(3_590));
    assert_eq!(desk.office.leases_asked().last(), Some(&"Request to 255.255.255.255"));
    assert_eq!(desk.address, Some(DESK.into()));
    desk.run_until(secs(3_640));
    assert_eq!(desk.address, None);
    assert_eq!(desk.network_events, [NetworkEvent::AddressLost]);
    desk.office.dhcp_answers = true;
    desk.run_until(secs(3_800));
    assert_eq!(desk.address, Some(DESK.into()));
    assert_eq!(desk.network_events.last(), Some(&NetworkEvent::AddressTaken(DESK)));
}

#[test]
fn an_address_that_its_server_takes_back_is_given_up_at_once() {
    let mut desk = Desk::in_office(Office::default());
    desk.boot_until(secs(600));
    desk.office.refuses_requests = true;
    desk.run_until(secs(1_900));
    assert_eq!(desk.address, None);
    assert_eq!(desk.network_events, [NetworkEvent::AddressLost]);
}
