//! Strangers at the web server: half requests, floods, nonsense. The phone lives on and answers the next.

use super::*;
use crate::web_server::{BODY_LIMIT, REQUEST_LIMIT, STREAMS_LIMIT};

fn serves(tool: &mut Tool) {
    tool.headers.clear();
    tool.stream = None;
    assert!(tool.get("/index.htm").contains("Log in"));
}

#[test]
fn a_half_request_is_given_up_and_a_silent_crowd_keeps_nobody_out() {
    let mut tool = Tool::new("5.9.6.2327", &[]);
    let half = tool.bench.connect(80);
    tool.bench.send(half, "GET /index.htm HTTP/1.1\r\nhost");
    for _ in 0..3 {
        tool.bench.run(6);
        tool.bench.send(half, ": x");
    }
    assert!(!tool.bench.closed.contains(&half));
    tool.bench.run(REQUEST_LIMIT.as_secs() - 17);
    assert!(tool.bench.closed.contains(&half), "one octet now and then does not buy time");
    for _ in 0..STREAMS_LIMIT * 3 {
        tool.bench.connect(80);
    }
    assert_eq!(tool.bench.closed.len(), 1 + STREAMS_LIMIT * 2);
    serves(&mut tool);
}

#[test]
fn what_is_no_http_or_too_much_of_it_ends_the_connection() {
    let mut tool = Tool::new("5.9.6.2327", &[]);
    for bytes in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        [b"GET /".as_slice(), &[b'a'; 40_000], b" HTTP/1.1\r\n\r\n"].concat(),
        [b"GET / HTTP/1.1\r\n".as_slice(), &b"x: y\r\n".repeat(2000), b"\r\n"].concat(),
    ] {
        let id = tool.bench.connect(80);
        tool.bench.send(id, bytes);
        assert!(tool.bench.closed.contains(&id));
    }
    let answer = {
        tool.headers = vec![("authorization", ADMIN.to_owned())];
        tool.ask(Method::PUT, "/form-submit/Utilities/configuration/importFile", &"x".repeat(BODY_LIMIT + 1))
    };
    assert_eq!(answer.status(), 413);
    serves(&mut tool);
}

#[test]
fn nonsense_is_refused_and_never_a_page() {
    let mut tool = Tool::logged_in("5.9.6.2327", &[]);
    for path in ["/nothing", "/../etc/passwd", "/Settings/", "/api", "//", "/%00"] {
        assert_eq!(tool.status(Method::GET, path), 404, "{path}");
    }
    for (method, path) in [
        (Method::POST, "/home.htm"),
        (Method::DELETE, "/Settings/lyncSignInStatus"),
        (Method::GET, "/form-submit/Restart"),
        (Method::GET, "/form-submit/auth.htm"),
    ] {
        assert_eq!(tool.status(method, path), 405, "{path}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn no_request_whatever_brings_the_phone_down(
        method in "(GET|POST|PUT|HEAD|OPTIONS)",
        path in "/(form-submit|Settings|Utilities|Diagnostics|api/v1/mgmt|push|polling)?/?[ -~]{0,24}",
        body in "\\PC{0,64}",
        basic in proptest::option::of("[ -~]{0,24}"),
    ) {
        thread_local! {
            static TOOL: std::cell::RefCell<Tool> =
                std::cell::RefCell::new(Tool::new("5.9.6.2327", &[("apps.restapi.enabled", "1")]));
        }
        TOOL.with_borrow_mut(|tool| {
            let id = tool.bench.connect(80);
            let basic = basic.as_deref().unwrap_or(ADMIN);
            let length = body.len();
            tool.bench.send(id, format!(
                "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {basic}\r\ncontent-length: {length}\r\n\r\n{body}"
            ));
            assert!(!tool.bench.written[&id].is_empty());
        });
    }
}
