//! A small SIP registrar, for tests of the phone alone.

use bytes::Bytes;
use net::Time;
use sip::digest::{Algorithm, Asked, Ha1, Server, ServerSetup, Verdict};
use sip::{Draft, Message};

/// What the registrar knows and was told to do.
pub struct Pbx {
    /// Whether it answers at all.
    pub is_up: bool,
    /// Whether it only listens.
    pub is_deaf: bool,
    /// What came, as it came.
    pub raw: Vec<Vec<u8>>,
    /// The password of everybody.
    pub password: &'static str,
    /// The lifetime that it grants, in seconds.
    pub grants_s: u32,
    /// Answers that it gives to authenticated REGISTERs instead of a 200: status and further headers.
    pub script: Vec<(u16, Vec<(&'static str, String)>)>,
    /// What came: when, and the message.
    pub heard: Vec<(Time, Message)>,
    guard: Server,
}

impl Pbx {
    /// A registrar for contoso.example.
    pub fn new(secret: u8) -> Pbx {
        let setup = ServerSetup {
            algorithms: vec![Algorithm::MD5, Algorithm::SHA_256],
            ..ServerSetup::of("contoso.example")
        };
        Pbx {
            is_up: true,
            is_deaf: false,
            raw: Vec::new(),
            password: "Gr33n-Door!",
            grants_s: 3600,
            script: Vec::new(),
            heard: Vec::new(),
            guard: Server::new(setup, [secret; 32]),
        }
    }

    /// It is started again: nonces of before count no longer.
    pub fn restart(&mut self, secret: u8) {
        self.guard = Server::new(self.guard.setup().clone(), [secret; 32]);
    }

    /// How many REGISTERs came with credentials and an Expires above nought.
    pub fn registers(&self) -> usize {
        let is_one = |(_, message): &&(Time, Message)| {
            message.header("Authorization").is_some() && message.expires() != Some(0)
        };
        self.heard.iter().filter(is_one).count()
    }

    /// The answers to what came.
    pub fn serve(&mut self, now: Time, octets: &Bytes) -> Vec<Bytes> {
        if !self.is_up || octets.iter().all(|octet| b"\r\n".contains(octet)) {
            return Vec::new();
        }
        self.raw.push(octets.to_vec());
        if self.is_deaf {
            return Vec::new();
        }
        let request = Message::parse(octets.clone()).expect("the phone sends SIP");
        self.heard.push((now, request.clone()));
        if !request.is_request() {
            return Vec::new();
        }
        let draft = self.answer(now, &request);
        vec![draft.print().expect("an answer")]
    }

    fn answer(&mut self, now: Time, request: &Message) -> Draft {
        let Some(credentials) = self.guard.credentials(request, "Authorization").expect("credentials") else {
            return self.ask(request, now, false);
        };
        let ha1 = Ha1::of(credentials.algorithm.hash, "201", "contoso.example", self.password);
        let uri = request.uri().expect("a request").to_string();
        let asked = Asked { method: request.method(), uri: &uri, body: b"" };
        match self.guard.judge(now, &asked, &credentials, Some(&ha1)) {
            Verdict::Good => {}
            Verdict::Stale(_) => return self.ask(request, now, true),
            _ => return self.ask(request, now, false),
        }
        if !self.script.is_empty() {
            let (status, headers) = self.script.remove(0);
            let mut draft = request.reply(status, sip::print::reason_phrase(status));
            headers.iter().for_each(|(name, value)| draft.push(name, value));
            return draft;
        }
        let granted = request.expires().unwrap_or(3600).min(self.grants_s);
        let contact = request.header("Contact").expect("a contact").split(";methods").next().expect("a part");
        request.reply(200, "OK").with("Contact", format!("{contact};expires={granted}"))
    }

    fn ask(&mut self, request: &Message, now: Time, stale: bool) -> Draft {
        let mut draft = request.reply(401, "Unauthorized");
        for challenge in self.guard.challenges(now, stale) {
            draft.push("WWW-Authenticate", &challenge.to_string());
        }
        draft
    }
}
