//! What the reflector thinks of each request: how it is answered, and what is wrong with it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use sip::digest::{Algorithm, Challenge, Credentials, Ha1, Qop};
use sip::{Contacts, Message};

/// The password of everybody.
pub const PASSWORD: &str = "secret";

/// The realm that is asked for.
const REALM: &str = "contoso.example";

/// How a reflector behaves. By default it grants everything at once.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Asks for a proof by this algorithm.
    pub asks: Option<Algorithm>,
    /// How often a nonce may be used before it is stale; 0: for ever.
    pub nonce_uses: u32,
    /// Does not answer every k-th request that it has not answered yet; 0: answers all.
    pub drops: u64,
    /// Answers twice.
    pub doubles: bool,
    /// Says 100 first.
    pub is_trying: bool,
    /// Answers so much later.
    pub late: Duration,
    /// Answers every k-th REGISTER with this status.
    pub refuses: Option<(u64, u16)>,
    /// Closes the connection in place of every k-th answer; 0: never.
    pub closes: u64,
    /// What it grants, in seconds; 0: what was asked for.
    pub grants: u32,
}

/// What a reflector has to tell.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Requests that came.
    pub received: u64,
    /// Requests that came for the first time.
    pub distinct: u64,
    /// Requests that were not answered on purpose.
    pub dropped: u64,
    /// Requests that came again though they had been answered.
    pub repeated: u64,
    /// Answers, 100 and doubles included.
    pub answers: u64,
    /// REGISTERs that were granted, by the user's name.
    pub granted: BTreeMap<String, u64>,
    /// Challenges made.
    pub challenges: u64,
    /// Signs of life by CRLF.
    pub pings: u64,
    /// Connections that were closed in place of an answer.
    pub closed: u64,
    /// Connections that came about.
    pub connections: u64,
    /// What no phone should have said.
    pub complaints: Vec<String>,
}

/// What is to be done about a request.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is said.
    pub answers: Vec<Bytes>,
    /// Whether the connection is closed instead.
    pub closes: bool,
}

#[derive(Debug, Default)]
struct Known {
    octets: Bytes,
    answer: Option<Bytes>,
}

/// Judges requests.
#[derive(Debug, Default)]
pub struct Judge {
    manner: Manner,
    /// What has happened so far.
    pub told: Told,
    by_branch: BTreeMap<String, Known>,
    /// By Call-ID: who it is, and the last CSeq.
    calls: BTreeMap<String, (String, u32)>,
    /// By nonce: how often it was used.
    nonces: BTreeMap<String, u32>,
    registers: u64,
    asked: u64,
}

impl Judge {
    pub fn new(manner: Manner) -> Judge {
        Judge { manner, ..Judge::default() }
    }

    fn complain(&mut self, what: String) {
        if self.told.complaints.len() < 20 {
            self.told.complaints.push(what);
        }
    }

    /// What to do about octets from `peer`.
    pub fn judge(&mut self, octets: &[u8], peer: SocketAddr) -> Verdict {
        if octets == b"\r\n\r\n" {
            self.told.pings += 1;
            return Verdict::default();
        }
        let request = match Message::parse(Bytes::copy_from_slice(octets)) {
            Ok(request) if request.is_request() => request,
            other => {
                self.complain(format!("no request: {other:?}"));
                return Verdict::default();
            }
        };
        self.told.received += 1;
        let branch = request.via().branch().unwrap_or_default().to_owned();
        let known = self.by_branch.entry(branch.clone()).or_default();
        let is_new = known.octets.is_empty();
        if is_new {
            known.octets = request.as_bytes().clone();
        } else if known.octets != request.as_bytes() {
            self.complain(format!("{branch} came again with other octets"));
        }
        if let Some(answer) = self.by_branch[&branch].answer.clone() {
            self.told.repeated += 1;
            return self.say(vec![answer]);
        }
        self.told.distinct += u64::from(is_new);
        self.asked += 1;
        if self.manner.drops > 0 && self.asked.is_multiple_of(self.manner.drops) {
            self.told.dropped += 1;
            return Verdict::default();
        }
        if self.manner.closes > 0 && self.asked.is_multiple_of(self.manner.closes) {
            self.told.closed += 1;
            return Verdict { answers: Vec::new(), closes: true };
        }
        if is_new {
            self.look_at(&request, peer);
        }
        let answer = self.answer(&request);
        if let Some(known) = self.by_branch.get_mut(&branch) {
            known.answer = Some(answer.clone());
        }
        let mut answers = Vec::new();
        if self.manner.is_trying {
            answers.push(request.reply(100, "Trying").print().expect("it can be printed"));
        }
        answers.push(answer);
        self.say(answers)
    }

    fn say(&mut self, mut answers: Vec<Bytes>) -> Verdict {
        if self.manner.doubles {
            answers.extend(answers.clone());
        }
        self.told.answers += answers.len() as u64;
        Verdict { answers, closes: false }
    }

    /// What every new request must be.
    fn look_at(&mut self, request: &Message, peer: SocketAddr) {
        let via = request.via();
        let host = via.host.trim_matches(['[', ']']).parse::<IpAddr>();
        if via.params.get("rport") != Some("") || host != Ok(peer.ip()) {
            self.complain(format!("{via:?} came from {peer}"));
        }
        if let Ok(Contacts::List(list)) = request.contacts()
            && list
                .iter()
                .any(|one| one.uri.host_ip() != Some(peer.ip()) || one.uri.port != Some(peer.port()))
        {
            self.complain(format!("{:?} came from {peer}", request.header("Contact")));
        }
        let user = user_of(request);
        let cseq = request.cseq().number;
        let known = self.calls.insert(request.call_id().to_owned(), (user.clone(), cseq));
        if known.is_some_and(|(who, last)| who != user || last >= cseq) {
            self.complain(format!("{user}: CSeq {cseq} or Call-ID is not new"));
        }
    }

    fn answer(&mut self, request: &Message) -> Bytes {
        if let Some(algorithm) = self.manner.asks
            && let Err(is_stale) = self.is_proved(request, algorithm)
        {
            self.told.challenges += 1;
            let nonce = format!("nonce-{}", self.told.challenges);
            self.nonces.insert(nonce.clone(), 0);
            let challenge = Challenge {
                realm: REALM.to_owned(),
                nonce,
                opaque: Some("as \"it\" is".to_owned()),
                algorithm,
                qop: vec![Qop::Auth],
                stale: is_stale,
                userhash: false,
            };
            let draft = request.reply(401, "Unauthorized").with("WWW-Authenticate", challenge.to_string());
            return draft.print().expect("it can be printed");
        }
        if request.method() != "REGISTER" {
            return request.reply(200, "OK").print().expect("it can be printed");
        }
        self.registers += 1;
        if let Some((every, status)) = self.manner.refuses
            && self.registers.is_multiple_of(every)
        {
            return request.reply(status, "No").with("Retry-After", "1").print().expect("it can be printed");
        }
        *self.told.granted.entry(user_of(request)).or_default() += 1;
        let asked_for = request.expires().unwrap_or_default();
        let granted = if self.manner.grants > 0 { asked_for.min(self.manner.grants) } else { asked_for };
        let mut draft = request.reply(200, "OK");
        if granted > 0 {
            // Somebody else's binding comes first, as it may.
            draft.push("Contact", "<sip:other@192.0.2.1:5099>;expires=86400");
            let own = request.header("Contact").unwrap_or_default();
            draft.push("Contact", &format!("{own};expires={granted}"));
        }
        draft.print().expect("it can be printed")
    }

    /// Whether a request is proved; else whether the proof was right and only its nonce too old.
    fn is_proved(&mut self, request: &Message, algorithm: Algorithm) -> Result<(), bool> {
        let Some(text) = request.header("Authorization") else { return Err(false) };
        let credentials = match Credentials::parse(text) {
            Ok(credentials) => credentials,
            Err(why) => {
                self.complain(format!("{text}: {why}"));
                return Err(false);
            }
        };
        if credentials.username != user_of(request)
            || credentials.realm != REALM
            || credentials.algorithm != algorithm
            || credentials.opaque.as_deref() != Some("as \"it\" is")
        {
            self.complain(format!("{text} is not what was asked for"));
        }
        let ha1 = Ha1::of(algorithm.hash, &credentials.username, REALM, PASSWORD);
        if !credentials.is_proof_of(&ha1, request.method(), b"") {
            return Err(false);
        }
        let Some(uses) = self.nonces.get_mut(&credentials.nonce) else {
            self.complain(format!("{} was never given", credentials.nonce));
            return Err(true);
        };
        let count = credentials.protection.as_ref().map_or(0, |(_, count, _)| *count);
        *uses += 1;
        if *uses != count {
            let said = format!("{} is used for time {uses}, and counts {count}", credentials.nonce);
            self.complain(said);
        } else if self.manner.nonce_uses > 0 && count > self.manner.nonce_uses {
            return Err(true);
        }
        Ok(())
    }
}

fn user_of(request: &Message) -> String {
    request.from().uri.user.map(|user| user.to_string()).unwrap_or_default()
}
