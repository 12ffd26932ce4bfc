//! What fleet tools ask of REST.

use serde_json::{Value, json};
use sip::digest::{Asked, Challenge, Credentials, Ha1, Qop};

use super::*;
use crate::phone::PhoneState;

const REST: (&str, &str) = ("apps.restapi.enabled", "1");

fn tool(firmware: &str) -> Tool {
    let mut tool = Tool::new(firmware, &[REST]);
    tool.headers = vec![("authorization", ADMIN.to_owned())];
    tool
}

impl Tool {
    fn look(&mut self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).expect("JSON")
    }

    fn tell(&mut self, path: &str, data: &Value) -> Value {
        let body = json!({ "data": data }).to_string();
        serde_json::from_str(&self.post(path, &body)).expect("JSON")
    }
}

#[test]
fn rest_that_is_off_or_was_never_built_answers_404_to_everybody() {
    let mut off = Tool::new("5.9.6.2327", &[]);
    assert_eq!(off.status(Method::GET, "/api/v1/mgmt/device/info"), 404);
    assert_eq!(tool("5.3.0.12768").status(Method::GET, "/api/v1/mgmt/device/info"), 404);
    let mut on = tool("5.9.6.2327");
    on.headers.clear();
    assert_eq!(on.status(Method::GET, "/api/v1/mgmt/device/info"), 401);
    on.headers = vec![("authorization", USER.to_owned())];
    assert_eq!(on.status(Method::GET, "/api/v1/mgmt/device/info"), 401);
}

#[test]
fn basic_and_digest_both_open_the_door() {
    let mut tool = tool("5.9.6.2327");
    assert_eq!(tool.look("/api/v1/mgmt/device/info")["Status"], "2000");
    tool.headers.clear();
    let path = "/api/v1/webCallControl/callStatus";
    let refused = tool.ask(Method::GET, path, "");
    let challenges: Vec<&str> = refused
        .headers()
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .map(|value| value.to_str().expect("text"))
        .collect();
    assert!(challenges[0].starts_with("Digest ") && challenges[1].starts_with("Basic "), "{challenges:?}");
    let challenge = Challenge::parse(challenges[0]).expect("a challenge");
    let mut answer = |password: &str, uri: &str| {
        let mut credentials = Credentials {
            username: "Polycom".to_owned(),
            userhash: false,
            realm: challenge.realm.clone(),
            nonce: challenge.nonce.clone(),
            uri: uri.to_owned(),
            response: String::new(),
            algorithm: challenge.algorithm,
            opaque: None,
            protection: Some((Qop::Auth, 1, "0a4f113b".to_owned())),
        };
        let ha1 = Ha1::of(challenge.algorithm.hash, "Polycom", &challenge.realm, password);
        let asked = Asked { method: "GET", uri, body: b"" };
        credentials.response = sip::digest::response(&ha1, &credentials.salt(), &asked);
        tool.headers = vec![("authorization", credentials.to_string())];
        tool.status(Method::GET, path)
    };
    assert_eq!(answer("wrong", path), 401);
    assert_eq!(answer("456", "/elsewhere"), 400);
    assert_eq!(answer("456", path), 200);
    assert_eq!(answer("456", path), 401, "a count is good once");
}

#[test]
fn device_info_has_the_shape_of_its_firmware() {
    let old = tool("5.5.2.8571").look("/api/v1/mgmt/device/info");
    assert_eq!(old["data"]["ModelNumber"], "VVX 600");
    assert_eq!(old["data"]["FirmwareRelease"], "5.5.2.8571");
    assert_eq!(old["data"]["MACAddress"], "0004f2a1b2c3");
    let uptime = old["data"]["UpTimeSinceLastReboot"].as_str().expect("text").to_owned();
    assert!(uptime.starts_with("0 Days 0:0"), "{uptime}");
    let middle = tool("5.7.3.1797").look("/api/v1/mgmt/device/info");
    assert_eq!(middle["data"]["Firmware"]["Application"], "5.7.3.1797");
    assert_eq!(middle["data"]["Firmware"]["Updater"], "5.9.3.1730");
    assert!(middle["data"]["UpTime"]["Minutes"].is_string() && middle["data"]["FirmwareRelease"].is_null());
    let mut late = tool("5.9.6.2327");
    assert_eq!(late.look("/api/v1/mgmt/device/info")["data"]["FirmwareRelease"], "5.9.6.2327");
    let second = late.look("/api/v2/mgmt/device/info");
    assert_eq!(second["data"]["Firmware"]["Application"], "5.9.6.2327");
    assert_eq!(second["data"]["ReadyToUse"], "True");
    assert_eq!(tool("5.5.2.8571").status(Method::GET, "/api/v2/mgmt/device/info"), 404);
}

#[test]
fn everything_that_can_be_looked_at_has_its_envelope() {
    let mut tool = tool("5.9.6.2327");
    for path in [
        "lineInfo",
        "network/info",
        "network/stats",
        "device/stats",
        "device/runningConfig",
        "getPresence",
        "location/info",
        "media/sessionStats",
        "callLogs",
        "callLogs/missed",
        "pollForStatus",
        "transferType/get",
    ] {
        let answer = tool.look(&format!("/api/v1/mgmt/{path}"));
        assert_eq!(answer["Status"], "2000", "{path}");
        assert!(!answer["data"].is_null(), "{path}");
    }
    let line = tool.look("/api/v1/mgmt/lineInfo")["data"][0].clone();
    assert_eq!(
        (&line["RegistrationStatus"], &line["SIPAddress"]),
        (&json!("unregistered"), &json!("VVX600"))
    );
    assert_eq!(tool.look("/api/v2/mgmt/lineInfo")["data"][0]["CallServers"], json!([]));
    assert_eq!(tool.look("/api/v1/webCallControl/sipStatus")["data"]["User"][0]["LineNumber"], "1");
    assert_eq!(tool.look("/api/v1/webCallControl/callStatus")["data"], json!({}));
    assert_eq!(tool.look("/api/v2/webCallControl/callStatus?line=1")["data"], json!([]));
    assert_eq!(tool.look("/api/v1/mgmt/network/info")["data"]["DHCPServer"], "10.20.0.1");
    assert_eq!(tool.status(Method::GET, "/api/v1/mgmt/nothing"), 404);
    assert_eq!(tool.status(Method::POST, "/api/v1/mgmt/lineInfo"), 405);
    assert_eq!(tool.status(Method::GET, "/api/v1/mgmt/safeReboot"), 405);
}

#[test]
fn settings_are_read_and_written_twenty_at_a_time() {
    let mut tool = tool("5.9.6.2327");
    let got = tool.tell("/api/v1/mgmt/config/get", &json!(["device.baseProfile", "no.such.name"]));
    assert_eq!(got["data"]["device.baseProfile"], json!({ "Value": "Lync", "Source": "default" }));
    assert_eq!(got["InvalidParams"], json!({ "1": "no.such.name" }));
    let set = tool.tell("/api/v1/mgmt/config/set", &json!({ "up.backlight.timeout": 77, "lab.x": "y" }));
    assert_eq!(set, json!({ "Status": "2000" }));
    let got = tool.tell("/api/v1/mgmt/config/get", &json!(["up.backlight.timeout", "lab.x"]));
    assert_eq!(got["data"]["up.backlight.timeout"], json!({ "Value": "77", "Source": "web" }));
    let many: Vec<String> = (0..21).map(|n| format!("a.{n}")).collect();
    assert_eq!(tool.tell("/api/v1/mgmt/config/get", &json!(many))["Status"], "4009");
    let many: serde_json::Map<String, Value> = many.into_iter().map(|name| (name, json!("1"))).collect();
    assert_eq!(tool.tell("/api/v1/mgmt/config/set", &Value::Object(many))["Status"], "4009");
    for bad in ["", "x", "[]", "{\"data\":3}", "{\"data\":{\"a b\":\"1\"}}", "{\"data\":{}}"] {
        let answer: Value = serde_json::from_str(&tool.post("/api/v1/mgmt/config/set", bad)).expect("JSON");
        assert_eq!(answer["Status"], "4000", "{bad}");
    }
    let shown = tool.tell("/api/v1/mgmt/config/get", &json!(["device.auth.localAdminPassword"]));
    assert_eq!(shown["data"]["device.auth.localAdminPassword"]["Value"], "****");
}

#[test]
fn a_sign_in_is_waited_for_and_its_failure_told() {
    let mut tool = tool("5.9.6.2327");
    let who = json!({
        "Address": "alice@contoso.example", "User": "alice@contoso.example", "Password": "x", "Domain": "",
        "LockCode": "",
    });
    tool.start(Method::POST, "/api/v1/mgmt/skype/signIn", &json!({ "data": who }).to_string());
    assert!(tool.finish().is_none(), "the answer waits for the sign-in");
    assert_eq!(tool.bench.phone.state(), PhoneState::SigningIn);
    tool.bench.run(160);
    let answer = tool.finish().expect("an answer");
    let answer: Value = serde_json::from_str(&text(&answer)).expect("JSON");
    assert_eq!(answer["Status"], "5000", "nobody in this office knows the pool");
    let nobody = json!({ "Address": "alice", "User": "", "Password": "", "Domain": "" });
    assert_eq!(tool.tell("/api/v1/mgmt/skype/signIn", &nobody)["Status"], "4000");
    assert_eq!(tool.tell("/api/v1/mgmt/skype/signOut", &Value::Null)["Status"], "2000");
}

#[test]
fn keys_and_text_come_from_afar_where_firmware_knows_them() {
    let key = |name: &str| json!({ "Type": "Tap", "KeyName": name });
    assert_eq!(tool("5.9.6.2327").tell("/api/v1/mgmt/simulateKeyEvent", &key("Home"))["Status"], "4004");
    let mut tool = tool("6.1.0.6189");
    // Late firmware insists on another password.
    assert_eq!(tool.status(Method::GET, "/api/v1/mgmt/device/info"), 200);
    assert_eq!(tool.look("/api/v1/mgmt/device/info")["Status"], "4010");
    tool.bench.configure(&[("device.auth.localAdminPassword", "4567")]);
    tool.headers = vec![("authorization", "Basic UG9seWNvbTo0NTY3".to_owned())];
    for name in ["Home", "SoftKey1", "VolUp", "dialpadstar"] {
        assert_eq!(tool.tell("/api/v1/mgmt/simulateKeyEvent", &key(name))["Status"], "2000", "{name}");
    }
    assert_eq!(tool.bench.screen().id, "sign-in", "SoftKey1 was Sign In");
    assert_eq!(tool.tell("/api/v1/mgmt/simulateKeyEvent", &key("Nothing"))["Status"], "4000");
    tool.bench.press("User ID");
    let text = |value: &str, replaces: &str| json!({ "Value": value, "ReplaceText": replaces });
    tool.tell("/api/v1/mgmt/simulateTextInput", &text("ali", "false"));
    tool.tell("/api/v1/mgmt/simulateTextInput", &text("ce@x", "false"));
    assert_eq!(tool.bench.screen().fields[0].value, "alice@x");
    tool.tell("/api/v1/mgmt/simulateTextInput", &text("bob", "true"));
    assert_eq!(tool.bench.screen().fields[0].value, "bob");
    tool.bench.press("Cancel");
    assert_eq!(tool.tell("/api/v1/mgmt/simulateTextInput", &text("x", "true"))["Status"], "4003");
}

#[test]
fn call_control_answers_as_a_phone_without_calls() {
    let mut tool = tool("5.9.6.2327");
    let dial = |line: u32| json!({ "Dest": "3002", "Line": line, "Type": "Tel" });
    assert_eq!(tool.tell("/api/v1/callctrl/dial", &dial(1))["Status"], "4002");
    assert_eq!(tool.tell("/api/v1/callctrl/dial", &dial(7))["Status"], "4005");
    assert_eq!(tool.tell("/api/v1/callctrl/dial", &json!({ "Line": 1 }))["Status"], "4000");
    for verb in ["answerCall", "holdCall", "resumeCall", "rejectCall", "ignoreCall", "endCall"] {
        let answer: Value =
            serde_json::from_str(&tool.post(&format!("/api/v1/callctrl/{verb}"), "")).expect("JSON");
        assert_eq!(answer["Status"], "4007", "{verb}");
    }
}

#[test]
fn resets_forget_what_they_say_and_start_again() {
    let mut tool = tool("5.9.6.2327");
    tool.tell("/api/v1/mgmt/config/set", &json!({ "lab.x": "y" }));
    assert_eq!(tool.tell("/api/v1/mgmt/configReset/web", &Value::Null)["Status"], "2000");
    assert_eq!(tool.bench.phone.parameter("lab.x"), None);
    tool.bench.run(3);
    assert_eq!(tool.bench.phone.state(), PhoneState::Booting);
    tool.bench.run(180);
    tool.tell("/api/v1/mgmt/factoryReset", &Value::Null);
    tool.bench.run(3);
    assert!(tool.bench.events.contains(&crate::events::FACTORY_RESET));
}
