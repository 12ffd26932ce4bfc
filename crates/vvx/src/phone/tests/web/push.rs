//! Push, state polling, screen capture, and what the phone tells by itself.

use super::*;

const PUSH: [(&str, &str); 4] = [
    ("apps.push.username", "bob"),
    ("apps.push.password", "1234"),
    ("apps.push.messageType", "2"),
    ("apps.push.secureTunnelRequired", "0"),
];
/// `bob:1234`.
const BOB: &str = "Basic Ym9iOjEyMzQ=";

fn push(tool: &mut Tool, priority: &str, content: &str) -> String {
    let body = format!("<PolycomIPPhone><Data priority=\"{priority}\">{content}</Data></PolycomIPPhone>");
    tool.post("/push", &body)
}

#[test]
fn a_message_lies_over_the_display_until_it_is_put_away() {
    let mut tool = Tool::new("5.9.6.2327", &PUSH);
    tool.headers = vec![("authorization", BOB.to_owned()), ("content-type", "text/xml".to_owned())];
    tool.bench.press("Sign In");
    let told = push(&mut tool, "Critical", "<title>Lunch</title><p>The canteen is closed.</p>");
    assert_eq!(told, "Push Message will be displayed successfully");
    let screen = tool.bench.screen();
    assert_eq!((screen.id, screen.title.as_str()), ("message", "Lunch"));
    assert_eq!(screen.lines[0].text(), "The canteen is closed.");
    tool.bench.press("OK");
    assert_eq!(tool.bench.screen().id, "sign-in", "what was there is there again");
    assert!(push(&mut tool, "Normal", "quiet").contains("not be displayed"));
    assert_eq!(tool.bench.screen().id, "sign-in");
    push(&mut tool, "High", &"long ".repeat(100));
    let shown: usize = tool.bench.screen().lines.iter().map(|line| line.text().chars().count()).sum();
    assert_eq!(shown, 200);
}

#[test]
fn keys_are_pushed_and_verbs_without_a_call_say_so() {
    let mut tool = Tool::new("5.9.6.2327", &PUSH);
    tool.headers = vec![("authorization", BOB.to_owned())];
    assert!(push(&mut tool, "High", "Key:Home\nKey:Softkey1").contains("successfully"));
    assert_eq!(tool.bench.screen().id, "sign-in");
    assert!(push(&mut tool, "High", "CallAction:Answer;nCallReference=0x1").contains("no such call"));
    assert!(push(&mut tool, "High", "tel:\\\\3035").contains("not registered"));
    assert_eq!(tool.ask(Method::POST, "/push", "<x/>").status(), 400);
    tool.headers = vec![("authorization", ADMIN.to_owned())];
    assert_eq!(tool.status(Method::POST, "/push"), 401);
    assert_eq!(Tool::new("5.9.6.2327", &[]).status(Method::POST, "/push"), 404);
}

#[test]
fn state_polling_tells_strangers_apart() {
    let settings = [
        ("apps.statePolling.username", "bob"),
        ("apps.statePolling.password", "1234"),
        ("apps.statePolling.responseMode", "0"),
    ];
    let mut tool = Tool::new("5.9.6.2327", &settings);
    let path = "/polling/callstateHandler";
    assert_eq!(tool.status(Method::GET, path), 401);
    tool.headers = vec![("authorization", ADMIN.to_owned())];
    assert_eq!(tool.status(Method::GET, path), 403);
    tool.headers = vec![("authorization", BOB.to_owned())];
    assert_eq!(
        tool.get(path),
        "<PolycomIPPhone><CallLineInfo><LineKeyNum>1</LineKeyNum><LineDirNum>VVX600</LineDirNum>\
         <LineState>Inactive</LineState></CallLineInfo></PolycomIPPhone>"
    );
    let device = tool.get("/polling/deviceHandler");
    for part in [
        "<MACAddress>0004f2a1b2c3</MACAddress>",
        "<PhoneDN>Line1:VVX600</PhoneDN>",
        "<TimeStamp>2018-10-09T13:",
        "+0100</TimeStamp>",
    ] {
        assert!(device.contains(part), "{device}");
    }
    assert!(tool.get("/polling/networkHandler").contains("<IPAddress>10.20.2.1</IPAddress>"));
    assert_eq!(tool.status(Method::GET, "/polling/other"), 404);
    assert_eq!(Tool::new("5.9.6.2327", &[]).status(Method::GET, path), 404);
}

#[test]
fn the_display_is_captured_where_both_switches_are_on() {
    let mut tool = Tool::logged_in("5.9.6.2327", &[("up.screenCapture.enabled", "1")]);
    let refused = tool.ask(Method::GET, "/captureScreen/mainScreen", "");
    assert!(refused.status() == 404 && text(&refused).contains("(404) Not Found"));
    tool.bench.configure(&[("up.screenCapture.value", "1")]);
    let png = tool.ask(Method::GET, "/captureScreen/mainScreen", "");
    assert_eq!(png.headers()["content-type"], "image/png");
    assert!(png.body().starts_with(b"\x89PNG"));
    let bmp = tool.ask(Method::GET, "/captureScreen/mainScreen?format=bmp", "");
    assert_eq!(&bmp.body()[..2], b"BM");
    let mut stranger = Tool::new("5.9.6.2327", &[]);
    assert_eq!(stranger.status(Method::GET, "/captureScreen/mainScreen"), 403);
}

#[test]
fn a_touch_presses_what_is_drawn() {
    let settings = [("apps.restapi.enabled", "1")];
    let mut tool = Tool::new("5.9.6.2327", &settings);
    tool.headers = vec![("authorization", ADMIN.to_owned())];
    let tap = |x: u32, y: u32| {
        format!("{{\"data\":{{\"Type\":\"Tap\",\"Positions\":[{{\"X\":\"{x}\",\"Y\":\"{y}\"}}]}}}}")
    };
    let path = "/api/v1/mgmt/simulateTouch";
    assert!(tool.post(path, &tap(30, 260)).contains("2000"));
    assert_eq!(tool.bench.screen().id, "sign-in", "the first soft key is Sign In");
    assert!(tool.post(path, &tap(480, 10)).contains("4000"), "beside the display");
    let swipe = "{\"data\":{\"Type\":\"Swipe\",\"Positions\":[{\"X\":1,\"Y\":1},{\"X\":9,\"Y\":1}],\"Duration\":\"100\"}}";
    assert!(tool.post(path, swipe).contains("4003"));
    tool.bench.configure(&[("httpd.ta.enabled", "1")]);
    assert!(tool.post(path, swipe).contains("2000"));
}

#[test]
fn what_happens_is_posted_where_somebody_wants_to_know() {
    let mut setup = setup();
    for (name, value) in [
        ("apps.telNotification.URL", "https://login.contoso.example/events"),
        ("apps.telNotification.networkUpEvent", "1"),
        ("apps.telNotification.appInitializationEvent", "0"),
    ] {
        setup.parameters.insert(name.to_owned(), value.to_owned());
    }
    let mut bench = Bench::new(setup);
    bench.power_on();
    bench.run(200);
    let posts: Vec<&String> = bench.posts.iter().collect();
    assert_eq!(posts.len(), 1, "{}", bench.journal);
    assert!(
        posts[0].contains("<PolycomIPPhone><NetworkUpEvent><PhoneIP>10.20.2.1</PhoneIP>"),
        "{}",
        posts[0]
    );
    assert!(posts[0].contains("<MACAddress>0004f2a1b2c3</MACAddress>"));
}
