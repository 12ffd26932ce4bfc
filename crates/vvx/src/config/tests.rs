//! Layers, exceptions, `.set`, files, limits, and what a power cut leaves of them.

use std::net::Ipv4Addr;

use net::{Disk, Effect, WriteKind};
use proptest::prelude::*;

use super::*;
use crate::model::{Mac, Model};

/// A phone's settings with their flash and its disk.
#[derive(Default)]
struct Desk {
    config: Config,
    flash: Flash,
    out: Outbox,
    disk: Disk,
}

impl Desk {
    fn set(&mut self, layer: Source, name: &str, text: &str) {
        self.config.set(layer, name, Some(text), &mut self.flash, &mut self.out).expect("room");
    }

    fn provision(&mut self, xml: &str) -> Result<(), ConfigError> {
        let file = ConfigFile::parse("site.cfg", xml.as_bytes())?;
        self.config.replace(Source::Files, file.values, &mut self.flash, &mut self.out).map(|_| ())
    }

    fn value(&self, name: &str) -> Option<(String, Source)> {
        self.config.get(name).map(|value| (value.text.to_owned(), value.source))
    }

    fn power_cycle(&mut self) {
        for effect in self.out.take() {
            if let Effect::Keep(id, keep) = effect {
                match keep.write {
                    WriteKind::Append(bytes) => self.disk.entry(keep.file).or_default().extend(bytes),
                    WriteKind::Replace(bytes) => drop(self.disk.insert(keep.file, bytes.to_vec())),
                }
                self.flash.kept(id);
            }
        }
        self.flash = Flash::read(&self.disk).0;
        self.config = Config::read(&self.flash);
    }
}

fn some(text: &str, source: Source) -> Option<(String, Source)> {
    Some((text.to_owned(), source))
}

#[test]
fn the_menu_beats_the_web_beats_files_beat_the_call_server_beats_the_default() {
    let mut desk = Desk::default();
    let name = "up.backlight.timeout";
    assert_eq!(desk.value(name), some("40", Source::Default));
    for (layer, text) in
        [(Source::CallServer, "1"), (Source::Files, "2"), (Source::Web, "3"), (Source::Local, "4")]
    {
        desk.set(layer, name, text);
        assert_eq!(desk.value(name), some(text, layer));
    }
    let all: Vec<&str> = desk.config.everywhere(name).iter().map(|value| value.source.label()).collect();
    assert_eq!(all, ["local", "web", "config", "sip", "default"]);
}

#[test]
fn the_voicemail_number_of_the_call_server_beats_files_but_not_the_web() {
    let mut desk = Desk::default();
    desk.set(Source::Files, "msg.mwi.1.callBack", "100");
    desk.set(Source::CallServer, "msg.mwi.1.callBack", "200");
    assert_eq!(desk.value("msg.mwi.1.callBack"), some("200", Source::CallServer));
    desk.set(Source::Web, "msg.mwi.1.callBack", "300");
    assert_eq!(desk.value("msg.mwi.1.callBack"), some("300", Source::Web));
}

#[test]
fn a_file_changes_device_settings_only_with_both_of_their_set_attributes() {
    let settings = [
        (r#"<a device.sntp.serverName="ntp" device.sntp.serverName.set="1"/>"#, ""),
        (r#"<a device.set="1" device.sntp.serverName="ntp"/>"#, ""),
        (r#"<a device.set="1" device.sntp.serverName="ntp" device.sntp.serverName.set="0"/>"#, ""),
        (r#"<a device.set="1" device.sntp.serverName="ntp" device.sntp.serverName.set="1"/>"#, "ntp"),
    ];
    for (xml, expected) in settings {
        let mut desk = Desk::default();
        desk.provision(xml).expect("a good file");
        assert_eq!(desk.config.text("device.sntp.serverName"), expected, "{xml}");
    }
}

#[test]
fn device_settings_outlive_the_file_that_set_them() {
    let mut desk = Desk::default();
    desk.provision(r#"<a device.set="1" device.prov.user="u" device.prov.user.set="1" up.x="1"/>"#)
        .expect("ok");
    desk.provision(r#"<a up.y="1"/>"#).expect("a good file");
    desk.power_cycle();
    assert_eq!(desk.value("device.prov.user"), some("u", Source::Device));
    assert_eq!(desk.value("up.x"), None);
    assert_eq!(desk.value("up.y"), some("1", Source::Files));
}

#[test]
fn all_layers_but_the_call_server_s_survive_a_power_cut() {
    let mut desk = Desk::default();
    for layer in [Source::CallServer, Source::Files, Source::Web, Source::Local] {
        desk.set(layer, &format!("unknown.{}", layer.label()), "\"quoted\" & <odd> ä");
    }
    desk.power_cycle();
    let names: Vec<&str> = desk.config.names("unknown.").collect();
    assert_eq!(names, ["unknown.config", "unknown.local", "unknown.web"]);
    assert_eq!(desk.config.text("unknown.web"), "\"quoted\" & <odd> ä");
}

#[test]
fn a_layer_of_thousands_survives_and_shrinks_again() {
    let mut desk = Desk::default();
    let many: Layer =
        (0..PARAMETERS_LIMIT).map(|n| (format!("some.{n}.thing"), format!("value {n}"))).collect();
    desk.config.replace(Source::Files, many.clone(), &mut desk.flash, &mut desk.out).expect("room");
    desk.power_cycle();
    assert_eq!(desk.config.layer(Source::Files).count(), PARAMETERS_LIMIT);
    let one_more = [("one.more".to_owned(), String::new())];
    let refused = desk.config.replace(
        Source::Files,
        many.into_iter().chain(one_more).collect(),
        &mut desk.flash,
        &mut desk.out,
    );
    assert!(matches!(refused, Err(ConfigError::TooMuch { limit: PARAMETERS_LIMIT, .. })));
    desk.config.replace(Source::Files, Layer::new(), &mut desk.flash, &mut desk.out).expect("room");
    desk.power_cycle();
    assert_eq!(desk.config.layer(Source::Files).count(), 0);
    assert_eq!(desk.flash.keys("config/").count(), 0);
}

#[test]
fn defaults_know_indices_and_the_base_profile() {
    let mut desk = Desk::default();
    assert_eq!(desk.config.text("reg.1.auth.usePinCredentials"), "1");
    assert_eq!(desk.config.text("reg.2.server.1.transport"), "TLS");
    assert_eq!(desk.config.get("no.such.parameter"), None);
    desk.set(Source::Local, "device.baseProfile", "Generic");
    assert_eq!(desk.config.text("reg.2.server.1.transport"), "DNSnaptr");
}

#[test]
fn attributes_count_wherever_they_stand() {
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PHONE_CONFIG xmlns:xsi=\"x.y\">\n <ALL a.b=\"1\">\
               <c.d e.f=\"a &amp; b\" noDot=\"x\"/></ALL><!-- c --> <set a.b=\"2\"/></PHONE_CONFIG>";
    let file = ConfigFile::parse("a.cfg", xml.as_bytes()).expect("a good file");
    let values: Vec<(&str, &str)> = file.values.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    assert_eq!(values, [("a.b", "1"), ("e.f", "a & b")]);
    assert_eq!(file.master, None);
}

#[test]
fn a_master_file_names_other_files_in_order_and_directories() {
    let xml = r#"<APPLICATION APP_FILE_PATH="sip.ld" CONFIG_FILES="[PHONE_MAC_ADDRESS].cfg, site.cfg,"
        LOG_FILE_DIRECTORY="logs" OVERRIDES_DIRECTORY="over/[PHONE_MODEL]"/>"#;
    let master =
        ConfigFile::parse("000000000000.cfg", xml.as_bytes()).expect("good").master.expect("a master");
    assert_eq!(master.app_file, "sip.ld");
    assert_eq!(master.config_files, ["[PHONE_MAC_ADDRESS].cfg", "site.cfg"]);
    assert_eq!(master.log_directory, "logs");
    let macros = Macros {
        mac: Mac([0, 4, 0xf2, 0xab, 0xcd, 0xef]),
        address: Ipv4Addr::new(10, 20, 2, 1),
        model: Model::find("vvx600").expect("a model"),
    };
    assert_eq!(macros.expand(&master.config_files[0]), "0004f2abcdef.cfg");
    assert_eq!(macros.expand(&master.overrides_directory), "over/VVX600");
    assert_eq!(macros.expand("a[b][PHONE_IP_ADDRESS]["), "a[b]10.20.2.1[");
}

#[test]
fn a_bad_file_is_refused_with_its_line_and_changes_nothing() {
    let mut desk = Desk::default();
    desk.provision(r#"<a up.x="kept"/>"#).expect("a good file");
    let bad = [
        ("<a>\n<b up.x=\"1\">\n</a>", 3),
        ("<a up.x=\"1\"", 1),
        ("<a\nup.x=\"1\" up.x=\"2\"/>", 1),
        ("\n<a up.x=\"&bomb;\"/>", 2),
        ("<!DOCTYPE a [<!ENTITY b \"c\">]>\n<a up.x=\"1\"/>", 1),
        ("Not found\n", 1),
        ("", 1),
        ("<a><b></b>", 1),
    ];
    for (xml, expected) in bad {
        match desk.provision(xml) {
            Err(ConfigError::Malformed { file, line, .. }) => {
                assert_eq!((file.as_str(), line), ("site.cfg", expected), "{xml}");
            }
            other => panic!("{xml}: {other:?}"),
        }
    }
    assert_eq!(desk.config.text("up.x"), "kept");
}

#[test]
fn file_limits_hold_on_both_sides() {
    let file = |count: usize| {
        let attributes: String = (0..count).map(|n| format!(" a.{n}=\"\"")).collect();
        ConfigFile::parse("f", format!("<a{attributes}/>").as_bytes())
    };
    assert!(file(PARAMETERS_LIMIT).is_ok());
    assert!(file(PARAMETERS_LIMIT + 1).is_err());
    let value =
        |length: usize| ConfigFile::parse("f", format!("<a a.b=\"{}\"/>", "x".repeat(length)).as_bytes());
    assert!(value(VALUE_LIMIT).is_ok());
    assert!(value(VALUE_LIMIT + 1).is_err());
    let padded = |length: usize| {
        let xml = format!("<a/>{}", " ".repeat(length - 4));
        ConfigFile::parse("f", xml.as_bytes())
    };
    assert!(padded(file::FILE_LIMIT).is_ok());
    assert!(matches!(padded(file::FILE_LIMIT + 1), Err(ConfigError::TooMuch { .. })));
    let deep =
        |depth: usize| ConfigFile::parse("f", ("<a>".repeat(depth) + &"</a>".repeat(depth)).as_bytes());
    assert!(deep(64).is_ok());
    assert!(deep(65).is_err());
}

#[test]
fn secrets_are_known_by_name_and_never_debugged() {
    assert!(is_secret("device.prov.password") && is_secret("device.auth.localAdminPassword"));
    assert!(!is_secret("device.prov.user"));
    let mut desk = Desk::default();
    desk.set(Source::Web, "reg.1.auth.password", "hunter2");
    assert!(!format!("{:?}{:?}", desk.config, desk.flash).contains("hunter2"));
}

proptest! {
    #[test]
    fn any_octets_are_a_file_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ConfigFile::parse("f", &bytes);
    }

    #[test]
    fn anything_like_xml_is_a_file_or_an_error(text in "[<>/a.b=\"'&; \n!?\\[\\]-]{0,80}") {
        let _ = ConfigFile::parse("f", text.as_bytes());
    }

    #[test]
    fn whatever_is_set_comes_back_after_a_power_cut(
        values in proptest::collection::btree_map("[a-z]{1,8}(\\.[a-z0-9]{1,4}){1,3}", "\\PC{0,40}", 0..40)
    ) {
        let mut desk = Desk::default();
        desk.config.replace(Source::Local, values.clone(), &mut desk.flash, &mut desk.out).expect("room");
        desk.power_cycle();
        let read: Layer = desk.config.layer(Source::Local).map(|(n, t)| (n.to_owned(), t.to_owned())).collect();
        prop_assert_eq!(read, values);
    }
}
