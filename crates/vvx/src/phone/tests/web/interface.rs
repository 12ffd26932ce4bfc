//! What fleet tools ask of the web interface.

use super::*;
use crate::phone::PhoneState;

const NEW: &str = "5.9.6.2327";
const OLD: &str = "5.5.2.8571";

/// The value of an attribute in the tag that holds `mark`.
fn attribute(page: &str, mark: &str, name: &str) -> String {
    let tag = page.split('<').find(|tag| tag.contains(mark)).expect("the tag");
    let value = tag.split_once(&format!("{name}=\"")).expect("the attribute").1;
    value.split_once("\" ").expect("its end").0.to_owned()
}

#[test]
fn a_phone_listens_only_when_it_is_told_to() {
    let mut bench = Bench::booted();
    assert!(bench.ports.is_empty());
    bench.configure(&[("httpd.enabled", "1")]);
    assert_eq!(bench.ports, [443]);
    bench.configure(&OPEN);
    assert_eq!(bench.ports, [443, 80]);
    bench.configure(&[("httpd.enabled", "0")]);
    assert!(bench.ports.is_empty());
}

#[test]
fn the_menu_of_the_phone_switches_its_web_server_on() {
    let mut bench = Bench::booted();
    for key in ["Settings", "Advanced"] {
        bench.press(key);
    }
    bench.fill("password", "456");
    for key in ["Enter", "Administration Settings", "Web Server Configuration", "Web Server"] {
        bench.press(key);
    }
    assert_eq!(bench.screen().id, "web-server");
    assert_eq!(bench.screen().lines[1].text(), "Web Config Mode: HTTPS Only");
    for key in ["Web Config Mode", "Web Config Mode", "Save Config"] {
        bench.press(key);
    }
    assert_eq!(bench.phone.state(), PhoneState::Booting, "such settings take a restart");
    bench.run(180);
    assert_eq!(bench.ports, [80, 443]);
    bench.configure(&[("up.screenCapture.enabled", "1")]);
    for key in ["Settings", "Basic", "Preferences", "Screen Capture"] {
        bench.press(key);
    }
    assert_eq!(bench.phone.parameter("up.screenCapture.value"), Some(("1".to_owned(), "local")));
}

#[test]
fn the_device_certificate_is_the_same_after_every_start() {
    let before = Bench::booted().phone.device_certificate().expect("a certificate");
    let certificate = pki::Certificate::read(&before).expect("it can be read");
    assert_eq!(certificate.common_name.as_deref(), Some("0004F2A1B2C3"));
    assert_eq!(Bench::booted().phone.device_certificate(), Some(before));
}

#[test]
fn a_login_opens_a_session_and_a_wrong_password_says_so_with_200() {
    let mut tool = Tool::new(NEW, &[]);
    tool.headers = vec![("authorization", "Basic UG9seWNvbTp3cm9uZw==".to_owned())];
    assert_eq!(tool.post("/form-submit/auth.htm", ""), "INVALID_LOGIN");
    assert!(tool.get("/index.htm").contains("Log in"));
    assert_eq!(tool.status(Method::GET, "/home.htm"), 403);
    tool.log_in(ADMIN);
    let home = tool.get("/home.htm");
    for fact in ["VVX 600", NEW, "00:04:f2:a1:b2:c3", "3111-00600-001 Rev:A"] {
        assert!(home.contains(fact), "{home}");
    }
    tool.post("/form-submit/logout.htm", "");
    assert_eq!(tool.status(Method::GET, "/home.htm"), 403);
}

#[test]
fn five_wrong_passwords_lock_everybody_out_for_a_minute() {
    let mut tool = Tool::new(NEW, &[]);
    for _ in 0..5 {
        tool.headers = vec![("authorization", "Basic UG9seWNvbTp3cm9uZw==".to_owned())];
        assert_eq!(tool.post("/form-submit/auth.htm", ""), "INVALID_LOGIN");
    }
    tool.headers = vec![("authorization", ADMIN.to_owned())];
    let answer = tool.ask(Method::POST, "/form-submit/auth.htm", "");
    assert!(text(&answer).contains("INVALID_LOGIN") && answer.headers().contains_key(header::RETRY_AFTER));
    tool.bench.run(61);
    assert_eq!(tool.post("/form-submit/auth.htm", ""), "SUCCESS");
}

#[test]
fn what_changes_something_needs_the_token_and_no_foreign_referer() {
    let mut tool = Tool::logged_in(NEW, &[]);
    let token = tool.headers.pop().expect("the token");
    assert_eq!(tool.status(Method::POST, "/form-submit/Settings/lyncSignOut"), 403);
    assert_eq!(tool.status(Method::GET, "/provConf.htm"), 403);
    tool.headers.push(("anti-csrf-token", "wrong".to_owned()));
    assert_eq!(tool.status(Method::POST, "/form-submit/Settings/lyncSignOut"), 403);
    tool.without("anti-csrf-token");
    tool.headers.push(token);
    assert_eq!(tool.post("/form-submit/Settings/lyncSignOut", ""), "SIGNING_OUT");
    tool.without("referer");
    assert_eq!(tool.post("/form-submit/Settings/lyncSignOut", ""), "SIGNING_OUT");
    assert_eq!(tool.status(Method::GET, "/provConf.htm"), 403);
    tool.headers.push(("referer", "https://evil.example/index.htm".to_owned()));
    assert_eq!(tool.status(Method::POST, "/form-submit/Settings/lyncSignOut"), 403);
}

#[test]
fn older_firmware_takes_the_password_in_a_cookie_and_knows_no_token() {
    let mut tool = Tool::new(OLD, &[]);
    tool.headers = vec![("cookie", format!("Authorization={ADMIN}"))];
    assert!(!tool.get("/index.htm").contains("csrf-token"));
    assert_eq!(tool.post("/form-submit/Settings/lyncSignOut", ""), "SIGNING_OUT");
    let mut tool = Tool::new(NEW, &[]);
    tool.headers = vec![("cookie", format!("Authorization={ADMIN}"))];
    assert_eq!(tool.status(Method::GET, "/home.htm"), 403);
}

#[test]
fn the_user_looks_and_changes_nothing() {
    let mut tool = Tool::new(NEW, &[]);
    tool.log_in(USER);
    assert!(tool.get("/home.htm").contains("VVX 600"));
    assert_eq!(tool.status(Method::GET, "/provConf.htm"), 403);
    assert_eq!(tool.status(Method::GET, "/Utilities/configuration/phoneBackup"), 403);
    assert_eq!(tool.status(Method::GET, "/Diagnostics/log?value=app"), 403);
    assert_eq!(tool.status(Method::POST, "/form-submit/Restart"), 403);
}

#[test]
fn settings_are_changed_by_the_numbers_that_the_page_gives_them() {
    let mut tool = Tool::logged_in(NEW, &[]);
    let page = tool.get("/provConf.htm");
    let name = attribute(&page, "paramname=\"device.prov.serverName\"", "input name");
    let kind = attribute(&page, "paramname=\"device.prov.serverType\"", "select name");
    let form = format!("{kind}=3&{name}=http%3A%2F%2Fprov.contoso.example");
    assert_eq!(tool.post("/form-submit", &form), "CONF_CHANGE");
    assert_eq!(tool.post("/form-submit", &form), "CONF_NO_CHANGE");
    let page = tool.get("/provConf.htm");
    let mark = "paramname=\"device.prov.serverName\"";
    assert_eq!(attribute(&page, mark, "value"), "http://prov.contoso.example");
    assert_eq!(attribute(&page, mark, "config"), "");
    assert_eq!(tool.bench.phone.parameter("device.prov.serverType"), Some(("3".to_owned(), "device")));
    assert_eq!(tool.ask(Method::POST, "/form-submit", &format!("{kind}=9")).status(), 400);
    // Another boot, other numbers.
    tool.post("/form-submit/Restart", "");
    tool.bench.run(180);
    tool.log_in(ADMIN);
    let page = tool.get("/provConf.htm");
    assert_ne!(attribute(&page, mark, "input name"), name);
}

#[test]
fn a_page_tells_what_counts_from_what_provisioning_delivered() {
    let mut tool = Tool::logged_in(NEW, &[]);
    let file = "<x device.set=\"1\" device.prov.serverName.set=\"1\" device.prov.serverName=\"https://a.example/device/\"/>";
    tool.bench.provision(file);
    let mark = "paramname=\"device.prov.serverName\"";
    let page = tool.get("/provConf.htm");
    let name = attribute(&page, mark, "input name");
    tool.post("/form-submit", &format!("{name}=http%3A%2F%2Fb.example"));
    let page = tool.get("/provConf.htm");
    assert_eq!(attribute(&page, mark, "value"), "http://b.example");
    assert_eq!(attribute(&page, mark, "config"), "https://a.example/device/");
}

#[test]
fn a_new_password_counts_at_once_and_ends_sessions() {
    let mut tool = Tool::logged_in(NEW, &[]);
    let form = |old: &str, new: &str, again: &str| {
        format!("oldadminpswd={old}&newadminpswd={new}&cnfmadminpswd={again}")
    };
    for bad in [form("457", "12345", "12345"), form("456", "12345", "12346"), form("456", "", "")] {
        assert_eq!(tool.post("/form-submit/Settings/ChangePassword", &bad), "CONF_NO_CHANGE");
    }
    let good = form("456", "12345", "12345");
    assert_eq!(tool.post("/form-submit/Settings/ChangePassword", &good), "CONF_CHANGE");
    assert_eq!(tool.status(Method::GET, "/home.htm"), 403);
    tool.log_in("Basic UG9seWNvbToxMjM0NQ==");
    assert!(!tool.get("/Diagnostics/log?value=audit").contains("12345"));
}

#[test]
fn the_latest_firmware_wants_another_password_first() {
    let mut tool = Tool::new("5.9.8.5760", &[]);
    assert_eq!(tool.bench.ports, [443]);
    // The test's plain octets stand for what comes out of TLS.
    tool.bench.ports.push(80);
    let id = tool.bench.connect(443);
    let ask = format!("GET /index.htm HTTP/1.1\r\nhost: x\r\nauthorization: {ADMIN}\r\n\r\n");
    tool.bench.send(id, ask);
    let answer = String::from_utf8_lossy(&tool.bench.written[&id]).into_owned();
    assert!(answer.contains("Choose a new password"), "{answer}");
    let ask = format!("POST /form-submit/Restart HTTP/1.1\r\nhost: x\r\nauthorization: {ADMIN}\r\n\r\n");
    tool.bench.send(id, ask);
    assert!(String::from_utf8_lossy(&tool.bench.written[&id]).contains("must be changed first"));
}

#[test]
fn a_sign_in_over_the_web_is_the_phones_own() {
    let mut tool = Tool::logged_in(NEW, &[]);
    let word = |tool: &mut Tool| tool.get("/Settings/lyncSignInStatus?_=1513205719081");
    assert_eq!(word(&mut tool), "UNREGISTERED");
    let form =
        "authType=2&address=alice%40contoso.example&domain=&username=alice%40contoso.example&password=x";
    assert_eq!(tool.post("/form-submit/Settings/lyncSignIn", form), "");
    assert_eq!(word(&mut tool), "SIGNING_IN");
    assert_eq!((tool.bench.screen().id, tool.bench.phone.state()), ("signing-in", PhoneState::SigningIn));
    assert_eq!(tool.post("/form-submit/Settings/lyncSignIn", form), "ALREADY_SIGNED_IN");
    assert_eq!(tool.post("/form-submit/Settings/lyncCancelSignIn", ""), "");
    assert_eq!(word(&mut tool), "CANCELLING_SIGNIN");
    tool.bench.run(3);
    assert_eq!(word(&mut tool), "UNREGISTERED");
    let pin = tool.post("/form-submit/Settings/lyncSignIn", "authType=3&extension=101&pin=1234");
    assert_eq!(pin, "PIN_AUTH_NOT_SUPPORTED");
    let cached: serde_json::Value =
        serde_json::from_str(&tool.get("/Settings/lyncCachedCredentials?_=1")).expect("JSON");
    assert_eq!(cached["isUsingCfg"], "false");
    let status = tool.get("/Utilities/LyncStatusXml");
    for element in ["BOSS_ADMIN", "CCCP", "EWS", "MOH", "LYNC_PARAMETERS", "O365", "QOE", "BTOEPCPAIRING"] {
        assert!(status.contains(&format!("<{element}>")), "{status}");
    }
    assert!(!tool.bench.journal.contains("password=x"));
}

#[test]
fn files_of_settings_go_out_and_come_in_again() {
    let mut tool = Tool::logged_in(NEW, &[("msg.mwi.1.callBack", "a \"b\" <c>")]);
    let backup = tool.get("/Utilities/configuration/phoneBackup");
    for element in ["PHONE_BACKUP", "CALL_SERVER", "CONFIG_FILES", "DEVICE_SETTINGS", "PHONE_LOCAL", "WEB"] {
        assert!(backup.contains(&format!("<{element}")), "{backup}");
    }
    let export = tool.get("/Utilities/configuration/exportFile?source=5");
    assert!(export.contains("<PHONE_CONFIG>") && export.contains("<PHONE_LOCAL"), "{export}");
    let read = crate::config::ConfigFile::parse("export", export.as_bytes()).expect("a file of settings");
    assert_eq!(read.values["msg.mwi.1.callBack"], "a \"b\" <c>");
    assert_eq!(tool.ask(Method::GET, "/Utilities/configuration/exportFile?source=9", "").status(), 400);
    let import = "/form-submit/Utilities/configuration/importFile";
    let file = "<PHONE_CONFIG><WEB up.backlight.timeout=\"99\"/></PHONE_CONFIG>";
    assert_eq!(text(&tool.ask(Method::PUT, import, file)), "CONF_CHANGE");
    assert_eq!(tool.bench.phone.parameter("up.backlight.timeout"), Some(("99".to_owned(), "web")));
    assert_eq!(text(&tool.ask(Method::PUT, import, file)), "CONF_NO_CHANGE");
    assert_eq!(tool.ask(Method::PUT, import, "<PHONE_CONFIG").status(), 400);
    assert_eq!(tool.post("/form-submit/resetToDefault", "up.backlight.timeout="), "CONF_CHANGE");
    assert_eq!(tool.bench.phone.parameter("up.backlight.timeout"), Some(("40".to_owned(), "default")));
}

#[test]
fn logs_are_read_and_cleared() {
    let mut tool = Tool::logged_in(NEW, &[]);
    assert!(tool.get("/Diagnostics/log?value=boot&dummyParam=1").contains("|*|00|Initial log entry."));
    assert!(tool.get("/Diagnostics/log?value=app&dummyParam=1").contains("|*|00|Initial log entry."));
    let audit = tool.get("/Diagnostics/log?value=audit&dummyParam=1");
    assert!(audit.contains("|0004f2a1b2c3|Polycom logged in"), "{audit}");
    assert_eq!(tool.get("/Diagnostics/log?value=app&clear=1&dummyParam=1"), "");
}

#[test]
fn a_restart_and_a_reset_over_the_web_are_real() {
    let mut tool = Tool::logged_in(NEW, &[]);
    tool.post("/form-submit/Restart", "");
    tool.bench.run(3);
    assert_eq!(tool.bench.phone.state(), PhoneState::Booting);
    tool.bench.run(180);
    tool.log_in(ADMIN);
    tool.post("/form-submit/Utilities/restorePhoneToFactory", "");
    tool.bench.run(3);
    assert!(tool.bench.events.contains(&crate::events::FACTORY_RESET));
}

#[test]
fn software_versions_are_told_in_the_shapes_that_tools_cut_up() {
    let mut tool = Tool::logged_in(NEW, &[]);
    let hardware = tool.get("/Utilities/softwareUpgrade/getProvisioningServer");
    assert!(hardware.contains("HARDWARE_ID=3111-00600-001;HARDWARE_REV=A"), "{hardware}");
    let versions = tool.get("/Utilities/softwareUpgrade/getAvailableVersions?type=plcmserver&_=1");
    assert!(versions.contains("<PHONE_IMAGE><Version>5.9.6.2327</Version><Path>"), "{versions}");
}

/// Pages to look at: `GALLERY_DIR=… cargo test -p vvx pages_to_look_at`.
#[test]
#[expect(clippy::disallowed_methods, reason = "writes pages for people, and only when told where")]
fn pages_to_look_at() {
    let Ok(folder) = std::env::var("GALLERY_DIR") else { return };
    let captures = [("up.screenCapture.enabled", "1"), ("up.screenCapture.value", "1")];
    let mut tool = Tool::new(NEW, &captures);
    let keep = |name: &str, body: &[u8]| std::fs::write(format!("{folder}/{name}"), body).expect("room");
    keep("login.htm", tool.get("/index.htm").as_bytes());
    tool.log_in(ADMIN);
    for name in [
        "index.htm",
        "home.htm",
        "provConf.htm",
        "webConf.htm",
        "lyncSignIn.htm",
        "screen.htm",
        "files.htm",
        "appLog.htm",
        "phone.htm",
        "password.htm",
        "style.css",
        "app.js",
        "login.js",
        "captureScreen/mainScreen",
        "Settings/lyncSignInStatus",
        "Diagnostics/log?value=app",
    ] {
        let answer = tool.ask(Method::GET, &format!("/{name}"), "");
        let name = name.split('?').next().expect("a name").replace('/', "_");
        keep(&name, answer.body());
    }
}
