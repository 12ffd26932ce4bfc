//! The log on its way to a syslog server, as that server sees it.

use std::net::SocketAddr;

use super::bench::{Bench, setup};
use crate::log::Level;
use crate::syslog::severity;

fn logging(more: &[(&str, &str)]) -> Bench {
    let mut setup = setup();
    setup.parameters.insert("device.syslog.serverName".to_owned(), "192.0.2.9".to_owned());
    setup.parameters.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut bench = Bench::new(setup);
    bench.power_on();
    bench.run(180);
    bench
}

fn lines(bench: &Bench) -> Vec<String> {
    let server = SocketAddr::from(([192, 0, 2, 9], 514));
    let all = bench.sent.iter().filter(|(_, to, _)| *to == server);
    all.map(|(_, _, octets)| String::from_utf8(octets.to_vec()).expect("text")).collect()
}

#[test]
fn lines_go_out_with_priority_time_and_address_the_boots_among_them() {
    let bench = logging(&[]);
    let lines = lines(&bench);
    // Facility 16; `*` is a notice.
    assert!(lines[0].starts_with("<133>"), "{}", lines[0]);
    assert!(lines[0].ends_with("|boot |*|00|VVX 600 with updater 5.9.8.4127."), "{}", lines[0]);
    let shape = |line: &String| {
        let rest = line.strip_prefix("<133>Oct  9 13:0").or(line.strip_prefix("<131>Oct  9 13:0"));
        rest.is_some_and(|rest| rest[4..].starts_with(" 10.20.2.1 "))
    };
    assert!(lines.iter().all(shape), "{lines:?}");
    let own = bench.phone.log();
    // The very first line is written before the phone has read its settings.
    assert_eq!(lines.len(), own.len() - 1, "nothing else is left out at equal levels");
}

#[test]
fn level_facility_and_hardware_address_are_as_configured() {
    let bench = logging(&[
        ("device.syslog.facility", "23"),
        ("device.syslog.renderLevel", "6"),
        ("device.syslog.prependMac", "1"),
    ]);
    let lines = lines(&bench);
    assert!(!lines.is_empty() && lines.len() < bench.phone.log().len());
    assert!(lines.iter().all(|line| line.starts_with("<189>") && line.contains(" 10.20.2.1 0004f2a1b2c3|")));
}

#[test]
fn levels_have_the_severities_that_the_maker_lists() {
    let all = [
        (Level::Debug, 7),
        (Level::HighDetail, 7),
        (Level::Moderate, 6),
        (Level::Low, 6),
        (Level::Minor, 3),
        (Level::Major, 2),
        (Level::Fatal, 0),
        (Level::Always, 5),
    ];
    assert!(all.into_iter().all(|(level, expected)| severity(level) == expected));
}

#[test]
fn a_phone_without_a_server_sends_nothing_and_one_whose_server_has_no_name_says_so() {
    let mut bench = Bench::booted();
    assert!(bench.sent.is_empty());
    bench.configure(&[("device.syslog.serverName", "logs.contoso.example")]);
    bench.configure(&[("reg.1.address", "201")]);
    bench.press("Settings");
    bench.run(5);
    let mut lost = logging(&[("device.syslog.serverName", "logs.contoso.example")]);
    lost.run(600);
    let said = lost.phone.log().concat();
    assert!(said.contains("No syslog server: no such name `logs.contoso.example`"));
    assert!(lost.phone.log().iter().filter(|line| line.contains("No syslog server")).count() <= 12);
}

#[test]
fn over_tcp_lines_end_with_a_line_feed_and_wait_for_a_server_that_is_down() {
    let mut bench = logging(&[("device.syslog.transport", "2")]);
    assert!(bench.phone.log().concat().contains("No syslog server: connection refused"));
    let mut pbx = super::pbx::Pbx::new(1);
    pbx.is_up = true;
    pbx.is_deaf = true;
    let server = SocketAddr::from(([192, 0, 2, 9], 514));
    bench.servers.insert(server, pbx);
    bench.run(120);
    let text = String::from_utf8(bench.servers[&server].raw.concat()).expect("text");
    assert!(text.starts_with("<133>") && text.ends_with('\n'));
    assert!(text.lines().count() >= bench.phone.log().len() - 1);
}
