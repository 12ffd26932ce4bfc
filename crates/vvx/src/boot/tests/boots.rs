//! From power to Home, with and without the office's help.

use proptest::prelude::*;

use super::office::*;
use crate::boot::*;
use crate::config::Source;
use crate::events;
use crate::log::LogKind;

#[test]
fn a_phone_goes_through_every_phase_and_knows_its_network_at_the_end() {
    let mut desk = Desk::in_office(Office::default());
    desk.boot_until(secs(600));
    let booted = desk.booted.as_ref().expect("it has booted");
    assert_eq!((booted.address, desk.address), (DESK, Some(DESK.into())));
    assert_eq!(booted.dns_servers, [IpAddr::V4(DNS)]);
    assert_eq!(booted.domain.as_deref(), Some("hq.contoso.example"));
    assert_eq!(booted.ntp.as_deref(), Some("192.0.2.123"));
    let uc_client = booted.uc_client.as_ref().expect("options 43 and 120");
    assert_eq!(uc_client.sts_url.as_deref(), Some("https://fe.contoso.example:443/CertProv/x.svc"));
    assert_eq!(uc_client.registrar.as_deref(), Some("fe.contoso.example"));
    assert!(desk.clock.is_synced());
    assert_eq!(desk.clock.read(desk.now).to_string(), NOON);
    let order = [
        Phase::BootBlock,
        Phase::Updater,
        Phase::Dhcp,
        Phase::Contact,
        Phase::Countdown(7),
        Phase::Application,
        Phase::Provisioning,
        Phase::Clock,
        Phase::Done,
    ];
    let seen: Vec<Phase> = order.iter().copied().filter(|phase| desk.phases.contains(phase)).collect();
    let is_sorted = desk.phases.is_sorted_by_key(|phase| match phase {
        Phase::Countdown(_) => Phase::Countdown(0),
        other => *other,
    });
    assert!(is_sorted, "{:?}", desk.phases);
    // An office that answers at once leaves no time to see some phases.
    assert!(seen.len() >= 6, "{seen:?}");
    let took = desk.now.as_nanos() / 1_000_000_000;
    assert!((70..95).contains(&took), "{took} s");
    let names = desk.event_names();
    assert_eq!(names, [events::ADDRESS_TAKEN, events::CLOCK_SET]);
}

#[test]
fn log_lines_bear_seconds_before_the_clock_is_set_and_the_date_after() {
    let mut desk = Desk::in_office(Office::default());
    desk.boot_until(secs(600));
    let boot: Vec<&str> = desk.log.lines(LogKind::Boot).collect();
    assert!(boot[0].starts_with("000000.000|boot |*|00|Initial log entry."), "{}", boot[0]);
    let application: Vec<&str> = desk.log.lines(LogKind::Application).collect();
    assert!(application[0].contains("|log  |*|00|Initial log entry."), "{}", application[0]);
    // 12:00 UTC, two hours east of it by DHCP option 2, and one more by the phone's own summer rule: F02.
    let last = application.last().expect("a line");
    assert!(last.starts_with("1009150000|sntp |*|00|Clock set"), "{last}");
}

#[test]
fn without_a_time_server_the_phone_boots_into_1970_and_recovers_when_one_answers() {
    let mut desk = Desk::in_office(Office { ntp_answers: false, ..Office::default() });
    desk.boot_until(secs(600));
    assert!(desk.booted.is_some() && !desk.clock.is_synced());
    assert!(desk.clock.read(desk.now).to_string().starts_with("1970-01-01T00:0"));
    assert!(desk.has_logged("the clock is not set"));
    assert!(
        desk.office.asked.contains(&"name time.windows.com.".to_owned()),
        "the firmware's own is tried last"
    );
    let later = desk.now + Duration::from_secs(200);
    desk.run_until(later);
    assert!(!desk.clock.is_synced());
    desk.office.ntp_answers = true;
    desk.run_until(later + Duration::from_secs(90));
    assert!(desk.clock.is_synced());
    assert_eq!(desk.network_events.last(), Some(&NetworkEvent::ClockSet));
    assert_eq!(desk.event_names(), [events::ADDRESS_TAKEN, events::CLOCK_SET]);
}

#[test]
fn a_phone_that_only_asks_at_boot_stays_in_1970_until_the_next_one() {
    let setup = BootSetup { clock_recovery: ClockRecovery::NextBoot };
    let mut desk = Desk::with(Office { ntp_answers: false, ..Office::default() }, Default::default(), setup);
    desk.boot_until(secs(600));
    desk.office.ntp_answers = true;
    desk.run_until(secs(1700));
    assert!(!desk.clock.is_synced());
}

#[test]
fn the_clock_is_set_again_once_a_day() {
    let mut desk = Desk::in_office(Office { lease_s: u32::MAX, ..Office::default() });
    desk.boot_until(secs(600));
    let booted_at = desk.now;
    desk.run_until(booted_at + Duration::from_secs(86_399));
    assert_eq!(desk.network_events, []);
    desk.run_until(booted_at + Duration::from_secs(86_401));
    assert_eq!(desk.network_events, [NetworkEvent::ClockSet]);
    assert_eq!(desk.event_names().iter().filter(|name| **name == events::CLOCK_SET).count(), 1);
}

#[test]
fn without_option_43_there_is_no_certificate_service_and_the_boot_goes_on() {
    let mut desk = Desk::in_office(Office { tells_uc_clients: false, ..Office::default() });
    desk.boot_until(secs(600));
    assert_eq!(desk.booted.as_ref().expect("booted").uc_client, None);
}

#[test]
fn a_configured_time_server_counts_before_dhcp_only_when_it_says_so() {
    for (overrides, expected) in [("0", "192.0.2.123"), ("1", "192.0.2.99")] {
        let mut desk = Desk::in_office(Office::default());
        let mut out = Outbox::new();
        for (name, text) in
            [("tcpIpApp.sntp.address", "192.0.2.99"), ("tcpIpApp.sntp.address.overrideDHCP", overrides)]
        {
            desk.config.set(Source::Web, name, Some(text), &mut desk.flash, &mut out).expect("room");
        }
        desk.boot_until(secs(600));
        assert_eq!(desk.booted.as_ref().expect("booted").ntp.as_deref(), Some(expected));
        assert!(desk.clock.is_synced(), "the next one in the list is asked where the first is silent");
    }
}

#[test]
fn a_held_countdown_waits_for_the_person() {
    let mut desk = Desk::in_office(Office::default());
    while !matches!(desk.boot.phase(desk.now), Phase::Countdown(_)) {
        let wake_at = desk.wake_at().expect("it goes on");
        desk.run_until(wake_at);
    }
    assert_eq!(desk.boot.phase(desk.now).text(), "Application starts in 7 s");
    let in_two = desk.now + Duration::from_secs(2);
    desk.run_until(in_two);
    assert_eq!(desk.boot.phase(desk.now), Phase::Countdown(5));
    desk.boot.hold(desk.now);
    desk.run_until(in_two + Duration::from_secs(1000));
    assert_eq!(desk.boot.phase(desk.now), Phase::Held);
    desk.boot.go_on(desk.now);
    assert_eq!(desk.boot.phase(desk.now), Phase::Countdown(5));
    desk.boot_until(secs(2000));
    assert!(desk.booted.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_datagram_from_a_stranger_stops_a_boot(
        packets in proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..300)), 1..20),
        at in 0u64..100,
    ) {
        let mut desk = Desk::in_office(Office::default());
        desk.run_until(secs(at));
        for (port, payload) in packets {
            let from = "10.20.9.9:67".parse().expect("an address");
            let to = if port % 2 == 0 { ([255, 255, 255, 255], 68).into() } else { ([10, 20, 2, 1], port).into() };
            desk.give(Input::Datagram(net::Datagram { from, to, payload: payload.into() }));
        }
        desk.boot_until(secs(600));
        prop_assert!(desk.booted.is_some());
    }
}
