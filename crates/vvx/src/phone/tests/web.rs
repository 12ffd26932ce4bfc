//! The phone's own web server, from outside: plain HTTP octets in, answers out.

mod interface;
mod push;
mod rest;
mod strangers;

use bytes::Bytes;
use net::StreamId;
use net::http::{ClientConnection, Limits, Method, Request, Response, header};

use super::bench::{Bench, setup};
use crate::model::Firmware;

/// Settings with which the phone listens to both ports.
pub const OPEN: [(&str, &str); 3] =
    [("httpd.enabled", "1"), ("httpd.cfg.enabled", "1"), ("httpd.cfg.secureTunnelRequired", "0")];

/// `Polycom:456`.
pub const ADMIN: &str = "Basic UG9seWNvbTo0NTY=";
/// `User:123`.
pub const USER: &str = "Basic VXNlcjoxMjM=";

/// A phone that has booted and serves, and a tool that talks to it.
pub struct Tool {
    pub bench: Bench,
    pub headers: Vec<(&'static str, String)>,
    stream: Option<(StreamId, ClientConnection)>,
}

impl Tool {
    pub fn new(firmware: &str, settings: &[(&str, &str)]) -> Tool {
        let mut setup = setup();
        setup.firmware = Firmware::parse(firmware).expect("a release");
        for (name, value) in OPEN.iter().chain(settings) {
            setup.parameters.insert((*name).to_owned(), (*value).to_owned());
        }
        let mut bench = Bench::new(setup);
        bench.power_on();
        bench.run(180);
        Tool { bench, headers: Vec::new(), stream: None }
    }

    /// A tool that is logged in as the administrator, with the token that goes with it.
    pub fn logged_in(firmware: &str, settings: &[(&str, &str)]) -> Tool {
        let mut tool = Tool::new(firmware, settings);
        tool.log_in(ADMIN);
        tool
    }

    pub fn log_in(&mut self, basic: &str) {
        self.headers = vec![("authorization", basic.to_owned())];
        let answer = self.ask(Method::POST, "/form-submit/auth.htm", "");
        let cookie = answer.headers().get(header::SET_COOKIE).expect("a session").to_str().expect("text");
        let cookie = cookie.split(';').next().expect("a cookie").to_owned();
        self.headers = vec![("cookie", cookie), ("referer", "http://10.20.2.1/index.htm".to_owned())];
        let index = text(&self.ask(Method::GET, "/index.htm", ""));
        if let Some((_, rest)) = index.split_once("<meta name=\"csrf-token\" content=\"") {
            let token = rest.split_once("\"/>").expect("its end").0;
            self.headers.push(("anti-csrf-token", token.to_owned()));
        }
    }

    pub fn without(&mut self, name: &str) {
        self.headers.retain(|(known, _)| *known != name);
    }

    /// Asks without waiting for the answer.
    pub fn start(&mut self, method: Method, path: &str, body: &str) {
        // Octets on the TLS port stand for what comes out of TLS.
        let port = if self.bench.ports.contains(&80) { 80 } else { 443 };
        let (id, mut client) = match self.stream.take() {
            Some((id, client)) if !self.bench.closed.contains(&id) => (id, client),
            _ => (
                self.bench.connect(port),
                ClientConnection::new(Limits { body: 1 << 20, ..Limits::default() }),
            ),
        };
        let mut request = Request::builder().method(method).uri(path).header("host", "10.20.2.1");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        client.ask(request.body(Bytes::from(body.to_owned())).expect("a request"));
        let output = client.take_output();
        self.bench.send(id, output);
        self.stream = Some((id, client));
    }

    /// The answer, if it has come.
    pub fn finish(&mut self) -> Option<Response<Bytes>> {
        let (id, client) = self.stream.as_mut()?;
        let written = std::mem::take(self.bench.written.get_mut(id)?);
        client.receive(&written);
        client.take_answer().map(|answer| answer.expect("good HTTP"))
    }

    pub fn ask(&mut self, method: Method, path: &str, body: &str) -> Response<Bytes> {
        self.start(method, path, body);
        self.finish().expect("an answer at once")
    }

    pub fn get(&mut self, path: &str) -> String {
        let answer = self.ask(Method::GET, path, "");
        assert_eq!(answer.status(), 200, "{path}: {}", text(&answer));
        text(&answer)
    }

    pub fn post(&mut self, path: &str, body: &str) -> String {
        let answer = self.ask(Method::POST, path, body);
        assert_eq!(answer.status(), 200, "{path}: {}", text(&answer));
        text(&answer)
    }

    pub fn status(&mut self, method: Method, path: &str) -> u16 {
        self.ask(method, path, "").status().as_u16()
    }
}

pub fn text(answer: &Response<Bytes>) -> String {
    String::from_utf8(answer.body().to_vec()).expect("text")
}
