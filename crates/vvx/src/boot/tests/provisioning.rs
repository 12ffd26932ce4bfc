//! Files fetched and left, in order, and what goes wrong with them.

use super::office::*;
use crate::boot::*;
use crate::config::Source;
use crate::events;

const MASTER: &str = r#"<APPLICATION APP_FILE_PATH="sip.ld" CONFIG_FILES="[PHONE_MAC_ADDRESS]-own.cfg,site.cfg"
    LOG_FILE_DIRECTORY="logs" OVERRIDES_DIRECTORY="over" CONTACTS_DIRECTORY="" CALL_LISTS_DIRECTORY=""/>"#;

fn booted(office: Office) -> Desk {
    let mut desk = Desk::in_office(office);
    desk.boot_until(secs(600));
    assert!(desk.booted.is_some());
    desk
}

#[test]
fn files_are_asked_for_in_the_order_of_a_real_phone() {
    let office = Office::default()
        .file("0004f2abcdef.cfg", MASTER)
        .file("0004f2abcdef-own.cfg", r#"<a up.x="own"/>"#)
        .file("site.cfg", r#"<a up.x="site" up.y="site"/>"#);
    let desk = booted(office);
    assert_eq!(
        desk.office.files_asked(),
        [
            "PUT 0004f2abcdef-boot.log",
            "GET 0004f2abcdef.cfg",
            "GET 0004f2abcdef.cfg",
            "GET 0004f2abcdef-own.cfg",
            "GET site.cfg",
            "GET 3111-44500-001.sip.ld",
            "GET over/0004f2abcdef-phone.cfg",
            "GET over/0004f2abcdef-web.cfg",
            "GET 000000000000-license.cfg",
            "GET 0004f2abcdef-license.cfg",
            "GET 0004f2abcdef-calls.xml",
            "GET 0004f2abcdef-directory.xml",
            "GET 000000000000-directory.xml",
            "HEAD logs/0004f2abcdef-app.log",
            "PUT logs/0004f2abcdef-app.log",
        ]
    );
    assert_eq!(desk.config.text("up.x"), "own", "the first file wins");
    assert_eq!(desk.config.text("up.y"), "site");
    assert!(
        desk.office.uploads["0004f2abcdef-boot.log"].starts_with("000000.000|boot |*|00|Initial log entry.")
    );
    assert!(desk.office.uploads["logs/0004f2abcdef-app.log"].contains("Initial log entry."));
    assert_eq!(desk.office.agents[0], "FileTransport PolycomVVX-VVX_500-UA/5.9.8.4127 Type/Updater");
    assert_eq!(desk.office.agents[2], "FileTransport PolycomVVX-VVX_500-UA/5.9.6.2327 Type/Application");
    assert!(desk.event_names().contains(&events::PROVISIONED));
}

#[test]
fn a_file_named_in_capitals_is_not_found_and_the_site_s_file_is_taken() {
    let office = Office::default()
        .file("0004F2ABCDEF.cfg", r#"<a up.x="phone"/>"#)
        .file("000000000000.cfg", r#"<a up.x="site"/>"#);
    let desk = booted(office);
    assert_eq!(desk.config.text("up.x"), "site");
}

#[test]
fn provisioned_values_survive_a_power_cut_and_a_server_that_is_gone() {
    let mut desk =
        booted(Office::default().file("0004f2abcdef.cfg", r#"<a up.x="1" log.level.change.sip="2"/>"#));
    desk.run_until(desk.now);
    let office = Office { is_prov_up: false, ..Office::default() };
    let mut desk = Desk::with(office, desk.disk, BootSetup::default());
    desk.boot_until(secs(600));
    assert!(desk.booted.is_some());
    assert_eq!(desk.config.text("up.x"), "1");
    assert!(desk.has_logged("Prov|Server 'http://10.20.0.2/' is unresponsive"));
    assert!(desk.event_names().contains(&events::PROVISIONING_FAILED));
}

#[test]
fn an_unreadable_file_leaves_earlier_values_in_force_and_names_its_line() {
    let desk = booted(Office::default().file("0004f2abcdef.cfg", r#"<a up.x="1"/>"#));
    let office = Office::default()
        .file("0004f2abcdef.cfg", r#"<APPLICATION CONFIG_FILES="good.cfg,bad.cfg"/>"#)
        .file("good.cfg", r#"<a up.x="2"/>"#)
        .file("bad.cfg", "<a>\n<b up.x=\"3\">\n</a>");
    let mut desk = Desk::with(office, desk.disk, BootSetup::default());
    desk.boot_until(secs(600));
    assert_eq!(desk.config.text("up.x"), "1");
    assert!(desk.has_logged("bad.cfg line 3:"));
    let failures = desk.event_names().iter().filter(|name| **name == events::PROVISIONING_FAILED).count();
    assert_eq!(failures, 1);
    assert!(desk.office.files_asked().contains(&"PUT 0004f2abcdef-app.log"), "the rest of the visit goes on");
}

#[test]
fn a_server_that_forbids_a_licence_file_ends_the_visit() {
    let mut office = Office::default().file("0004f2abcdef.cfg", r#"<a up.x="1"/>"#);
    office.files.insert("000000000000-license.cfg".to_owned(), Err(405));
    let desk = booted(office);
    assert_eq!(desk.office.files_asked().last(), Some(&"GET 000000000000-license.cfg"));
    assert!(desk.event_names().contains(&events::PROVISIONING_FAILED));
    assert_eq!(desk.config.text("up.x"), "1", "what was taken before stays");
}

#[test]
fn values_left_on_the_server_come_back_into_their_layers() {
    let office = Office::default()
        .file("0004f2abcdef.cfg", r#"<a up.x="file"/>"#)
        .file("0004f2abcdef-web.cfg", r#"<a up.x="web"/>"#)
        .file("0004f2abcdef-phone.cfg", "no XML");
    let desk = booted(office);
    let value = desk.config.get("up.x").expect("a value");
    assert_eq!((value.text, value.source), ("web", Source::Web));
}

#[test]
fn a_login_is_given_only_when_asked_for_and_never_shown() {
    let mut office = Office::default().file("0004f2abcdef.cfg", r#"<a up.x="1"/>"#);
    office.wants_login = true;
    let desk = booted(office);
    assert_eq!(desk.config.text("up.x"), "1");
    assert_eq!(desk.office.files_asked()[..2], ["PUT 0004f2abcdef-boot.log"; 2]);
    assert!(!desk.has_logged("PlcmSpIp"));
}

#[test]
fn a_login_goes_to_no_other_server_that_a_master_file_names() {
    let master = format!(
        r#"<APPLICATION CONFIG_FILES="http://{OTHER}/site.cfg" LOG_FILE_DIRECTORY="http://{OTHER}/"/>"#
    );
    let mut office = Office::default().file("0004f2abcdef.cfg", &master);
    office.wants_login = true;
    let desk = booted(office);
    assert_eq!(desk.office.logins.len(), 3, "a log and the master file, twice");
    assert!(desk.office.logins.iter().all(|host| *host == PROV.to_string()), "{:?}", desk.office.logins);
}

#[test]
fn without_any_file_the_phone_boots_all_the_same() {
    let desk = booted(Office::default());
    assert!(desk.has_logged("The server has no master file."));
    assert!(desk.office.files_asked().contains(&"GET 000000000000.cfg"));
    assert_eq!(desk.config.layer(Source::Files).count(), 0);
}

#[test]
fn a_provisioning_server_that_is_no_url_is_passed_over() {
    for named in ["gopher://x", "http://"] {
        let desk = booted(Office { boot_server: named.to_owned(), ..Office::default() });
        assert!(desk.has_logged("No provisioning server:"), "{named}");
        assert_eq!(desk.office.files_asked(), Vec::<&str>::new());
    }
}
