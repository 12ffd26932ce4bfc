//! Provisioning: files for phones and from phones, over HTTP.

use std::collections::BTreeMap;

use bytes::Bytes;
use net::http::StatusCode;
use net::{StreamId, Time};
use proptest::prelude::*;
use site::provisioning::{BODY_LIMIT, Login, ProvisioningServer, Setup};

use crate::bench::Bench;

const MASTER: &str = "<APPLICATION APP_FILE_PATH=\"sip.ld\" CONFIG_FILES=\"site.cfg\"/>\n";

fn setup() -> Setup {
    let files =
        [("000000000000.cfg", MASTER), ("0004f2000001.cfg", "<own/>"), ("firmware/sip.ver", "5.9.0\n")];
    Setup {
        name: "prov".to_owned(),
        address: [10, 20, 0, 2].into(),
        files: files.map(|(name, text)| (name.to_owned(), Bytes::from(text))).into(),
        login: None,
    }
}

fn bench() -> Bench<ProvisioningServer> {
    Bench::new(ProvisioningServer::new(setup()))
}

/// Status, header fields in small letters, and body.
#[derive(Debug)]
struct Answer {
    status: u16,
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn read(octets: &[u8]) -> Answer {
    let at = octets.windows(4).position(|window| window == b"\r\n\r\n").expect("an end of the head");
    let head = std::str::from_utf8(&octets[..at]).expect("text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
    let fields = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Answer { status, fields, body: octets[at + 4..].to_vec() }
}

impl Bench<ProvisioningServer> {
    fn open(&mut self) -> StreamId {
        self.connect("10.20.0.2:80".parse().expect("one"))
    }

    fn on(&mut self, stream: StreamId, method: &str, path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: prov\r\n{fields}Content-Length: {length}\r\n\r\n");
        self.receive(stream, &[head.as_bytes(), body].concat())
    }

    fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> Answer {
        let stream = self.open();
        read(&self.on(stream, method, path, "", body))
    }

    fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, b"")
    }
}

#[test]
fn a_phone_fetches_its_files() {
    let mut bench = bench();
    let answer = bench.get("/000000000000.cfg");
    assert_eq!((answer.status, &answer.body[..]), (200, MASTER.as_bytes()));
    assert_eq!(answer.fields["content-type"], "text/xml");
    assert_eq!(bench.get("/firmware/sip.ver").body, b"5.9.0\n");
    let head = bench.ask("HEAD", "/000000000000.cfg", b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.fields["content-length"], MASTER.len().to_string());
    assert_eq!(bench.events[0], format!("file-served 000000000000.cfg: {} octets", MASTER.len()));
}

#[test]
fn a_missing_file_is_missing_and_letter_case_counts() {
    let mut bench = bench();
    for path in ["/0004f2000002.cfg", "/0004F2000001.cfg", "/000000000000-license.cfg"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(bench.ask(method, path, b"").status, 404, "{method} {path}");
        }
    }
    assert_eq!(bench.events[0], "file-missing 0004f2000002.cfg: no such file");
}

#[test]
fn a_phone_leaves_its_files_behind_and_finds_them_again() {
    let mut bench = bench();
    let answer = bench.ask("PUT", "/0004f2000001-app.log", b"0101000000|so  |4|00|hello\n");
    assert_eq!(answer.status, 201);
    assert_eq!(bench.ask("PUT", "/0004f2000001-app.log", b"more\n").status, 204);
    assert_eq!(bench.ask("POST", "/0004f2000001-web.cfg", b"<web/>").status, 201);
    assert_eq!(bench.get("/0004f2000001-app.log").body, b"more\n");
    assert_eq!(&bench.node.upload("0004f2000001-app.log").expect("an upload").contents[..], b"more\n");
    let names: Vec<&str> = bench.node.uploads().map(|(name, _)| name).collect();
    assert_eq!(names, ["0004f2000001-app.log", "0004f2000001-web.cfg"]);
    assert!(bench.events.contains(&"file-uploaded 0004f2000001-app.log: 5 octets".to_owned()));
}

#[test]
fn what_phones_do_not_leave_is_refused() {
    let mut bench = bench();
    for path in ["/000000000000.cfg", "/sip.ld", "/x", &format!("/{}.log", "a".repeat(125))] {
        assert_eq!(bench.ask("PUT", path, b"evil").status, 403, "{path}");
    }
    assert_eq!(bench.ask("PUT", &format!("/{}.log", "a".repeat(124)), b"fine").status, 201);
    assert_eq!(bench.get("/000000000000.cfg").body, MASTER.as_bytes());
    assert_eq!(bench.ask("DELETE", "/000000000000.cfg", b"").status, 405);
}

#[test]
fn nobody_leaves_the_folder() {
    let mut bench = bench();
    for path in
        ["/../etc/passwd", "/%2e%2e/etc/passwd", "/a/..%2f..%2fx", "/a/%5c..%5cx", "/./x", "//x", "/x%00.cfg"]
    {
        assert_eq!(bench.get(path).status, 403, "{path}");
        assert_eq!(bench.ask("PUT", &format!("{path}.log"), b"").status, 403, "{path}");
    }
}

#[test]
fn an_upload_is_answered_when_it_is_on_disk_and_counts_from_then() {
    let mut bench = bench();
    bench.ask("PUT", "/a.log", b"old");
    bench.is_disk_prompt = false;
    let (first, second) = (bench.open(), bench.open());
    assert!(bench.on(first, "PUT", "/a.log", "", b"newer").is_empty());
    let busy = bench.on(second, "PUT", "/a.log", "", b"newest");
    assert_eq!((read(&busy).status, &read(&busy).fields["retry-after"][..]), (503, "1"));
    assert_eq!(bench.get("/a.log").body, b"old");
    bench.sync();
    assert_eq!(read(&bench.written.remove(&first).expect("an answer")).status, 204);
    assert_eq!(bench.get("/a.log").body, b"newer");
}

#[test]
fn a_power_cut_leaves_the_old_file_or_the_new_one() {
    for octets in [0, 1, 10, 20, 25, 30, usize::MAX] {
        let mut bench = bench();
        bench.ask("PUT", "/a.log", b"old contents");
        bench.ask("PUT", "/a-phone.cfg", b"<phone/>");
        bench.is_disk_prompt = false;
        let stream = bench.open();
        bench.on(stream, "PUT", "/a.log", "", b"new contents");
        bench.power_cut(octets);
        let contents = bench.node.upload("a.log").expect("an upload").contents.clone();
        assert!([&b"old contents"[..], b"new contents"].contains(&&contents[..]), "{octets}: {contents:?}");
        assert_eq!(&bench.node.upload("a-phone.cfg").expect("an upload").contents[..], b"<phone/>");
    }
}

#[test]
fn the_login_is_asked_for_and_looked_at() {
    let mut bench = bench();
    let login = Login { user: "PlcmSpIp".to_owned(), password: "not-the-usual-one".to_owned() };
    assert!(!format!("{login:?}").contains("usual"));
    bench.node.set_login(Some(login));
    let mut ask = |fields: &str| {
        let stream = bench.open();
        read(&bench.on(stream, "GET", "/000000000000.cfg", fields, b""))
    };
    let refused = ask("");
    assert_eq!(
        (refused.status, &refused.fields["www-authenticate"][..]),
        (401, "Basic realm=\"Provisioning\"")
    );
    assert_eq!(ask("Authorization: Basic UGxjbVNwSXA6bm90LXRoZS11c3VhbC1vbmU=\r\n").status, 200);
    assert_eq!(ask("Authorization: basic UGxjbVNwSXA6bm90LXRoZS11c3VhbC1vbmU=\r\n").status, 200);
    for wrong in [
        "Basic UGxjbVNwSXA6UGxjbVNwSXA=",
        "Basic !!!",
        "Basic",
        "Bearer x",
        "Basic UGxjbVNwSXA6bm90LXRoZS11c3VhbC1vbmVz",
    ] {
        assert_eq!(ask(&format!("Authorization: {wrong}\r\n")).status, 401, "{wrong}");
    }
    assert!(bench.events.iter().all(|event| !event.contains("usual")));
}

#[test]
fn a_story_can_prescribe_answers() {
    let mut bench = bench();
    bench.node.answer_next(2, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(bench.get("/000000000000-license.cfg").status, 405);
    assert_eq!(bench.get("/000000000000.cfg").status, 405);
    assert_eq!(bench.get("/000000000000.cfg").status, 200);
    assert_eq!(bench.events[1], "file-refused 000000000000.cfg: as the story wants it");
}

#[test]
fn files_change_in_mid_run() {
    let mut bench = bench();
    bench.node.put_file("000000000000.cfg", "<new/>");
    assert_eq!(bench.get("/000000000000.cfg").body, b"<new/>");
    assert!(bench.node.remove_file("000000000000.cfg"));
    assert_eq!(bench.get("/000000000000.cfg").status, 404);
}

#[test]
fn several_requests_are_answered_in_order_on_one_connection() {
    let mut bench = bench();
    let stream = bench.open();
    let put = "PUT /a.log HTTP/1.1\r\nHost: prov\r\nContent-Length: 2\r\n\r\nhi";
    let get = "GET /a.log HTTP/1.1\r\nHost: prov\r\n\r\n";
    let answers = bench.receive(stream, [put, get, put].concat().as_bytes());
    let text = String::from_utf8(answers).expect("text");
    let statuses: Vec<&str> = text.match_indices("HTTP/1.1 ").map(|(at, _)| &text[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["201", "200", "204"]);
}

#[test]
fn an_upload_past_the_limit_is_refused() {
    let mut bench = bench();
    assert_eq!(bench.ask("PUT", "/a.log", &vec![b'x'; BODY_LIMIT]).status, 201);
    assert_eq!(bench.ask("PUT", "/b.log", &vec![b'x'; BODY_LIMIT + 1]).status, 413);
    assert!(bench.node.upload("b.log").is_none());
}

#[test]
fn the_store_is_full_when_it_is_full_and_room_comes_with_smaller_files() {
    let mut bench = bench();
    let large = vec![b'x'; BODY_LIMIT];
    for number in 0..64 {
        assert_eq!(bench.ask("PUT", &format!("/{number}.log"), &large).status, 201);
    }
    assert_eq!(bench.ask("PUT", "/one-more.log", b"x").status, 507);
    assert_eq!(bench.ask("PUT", "/0.log", b"").status, 204);
    assert_eq!(bench.ask("PUT", "/one-more.log", b"x").status, 201);
}

#[test]
fn silent_and_surplus_connections_are_closed() {
    let mut bench = bench();
    let streams: Vec<StreamId> = (0..513).map(|_| bench.open()).collect();
    assert_eq!(bench.closed, streams[512..]);
    bench.now = Time::from_secs(30);
    bench.on(streams[0], "GET", "/000000000000.cfg", "", b"");
    bench.receive(streams[1], b"GET /slow");
    bench.pass(Time::from_secs(61));
    assert_eq!(bench.closed.len(), 512, "whoever finished no request in a minute is gone");
    assert!(!bench.closed.contains(&streams[0]));
    bench.pass(Time::from_secs(90));
    assert_eq!(bench.closed.len(), 513);
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..6)) {
        let mut bench = bench();
        let stream = bench.open();
        for piece in pieces {
            bench.receive(stream, &piece);
        }
    }

    #[test]
    fn any_path_is_answered(path in "/[!-~]{0,40}") {
        let mut bench = bench();
        let stream = bench.open();
        let octets = bench.on(stream, "GET", &path, "", b"");
        prop_assert!(octets.starts_with(b"HTTP/1.1 "));
    }
}
