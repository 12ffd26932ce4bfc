//! One line and its registration: where it tries, what it makes of answers, and when it tries again.
//!
//! A round asks the line's servers one after the other, each at every place that DNS names for it. A server that does
//! not answer, or is in trouble (408, 5xx), hands the round on; one that says no (401 with a wrong password, 403, 404,
//! 480, 6xx …) ends it. When a round has come to nothing the line waits: at least what was asked for by Retry-After,
//! else by RFC 5626 §4.5, half by chance, and longer each time. While it is registered away from its first server it
//! looks for that one again, as `failBack.mode` says, and keeps what it has if that comes to nothing.

mod attempt;
mod outcome;

use std::time::Duration;

use net::tls::{NameCheck, Trust};
use net::{Outbox, Random, StreamId, Time, WallClock};
use sip::digest::Client;
use sip::{Message, NameAddr};

use crate::line::messages::{self, Turn};
use crate::line::ports::{Flow, Ports};
use crate::line::settings::{LineSettings, Place, Transports};
use crate::log::Level;
use crate::resolver::{Answer, QueryId, Question, Resolver};

use attempt::{Attempt, Purpose};

/// How long a stream may take to open before the next place is tried.
const DIAL_WITHIN: Duration = Duration::from_secs(10);
/// A stream that breaks sooner than this after it carried a registration is a server in trouble.
const STABLE_AFTER: Duration = Duration::from_secs(10);
/// How often in a row a server may want a longer lifetime (423).
const TOO_BRIEF_MAX: u8 = 2;
/// How often in a row a line may be sent elsewhere (3xx).
const MOVES_MAX: u8 = 5;
/// The longest lifetime that a 423 can ask for, in seconds.
const EXPIRES_MAX_S: u32 = 30 * 86_400;

/// What a line needs of its phone for one call.
pub struct Tools<'a> {
    /// Names.
    pub resolver: &'a mut Resolver,
    /// The ports.
    pub ports: &'a mut Ports,
    /// Chance, the lines' own.
    pub random: &'a mut Random,
    /// What the phone believes the date is.
    pub clock: WallClock,
    /// Whom it trusts.
    pub trust: &'a Trust,
    /// Whether names in certificates count.
    pub names: NameCheck,
    /// What the phone says it is.
    pub user_agent: &'a str,
}

/// What a line has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A server answered 200 to a REGISTER that is no refresh of what was there.
    Registered {
        /// The server, as configured.
        at: String,
        /// Whether the line was lost before.
        is_back: bool,
    },
    /// The line left a server that does not serve for this one.
    FailedOver(String),
    /// The line is back at its first server.
    FailedBack(String),
    /// The line is not registered any more; it goes on trying.
    Lost(String),
    /// The line could not register; it goes on trying.
    Failed(String),
    /// The server does not believe the login.
    LoginRefused,
    /// For the log.
    Log(Level, String),
}

/// Where the line is registered.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Which server.
    pub server: usize,
    /// The way.
    pub flow: Flow,
    /// When it ends.
    pub until: Time,
    /// What the server granted, in seconds.
    pub granted_s: u32,
    /// What goes in front of requests.
    pub routes: Vec<String>,
    since: Time,
    refresh_at: Time,
}

/// A line.
#[derive(Debug)]
pub struct Line {
    settings: LineSettings,
    login: Client,
    call_id: String,
    cseq: u32,
    attempt: Option<Attempt>,
    binding: Option<Binding>,
    /// When the next round begins.
    retry_at: Option<Time>,
    /// When the first server is looked for.
    fail_back_at: Option<Time>,
    /// Rounds in a row that came to nothing.
    failures: u32,
    /// Why it is not registered; empty before anything was tried.
    why: String,
    /// Whether the news of it was told.
    is_lost: bool,
    has_been_registered: bool,
    is_login_refused: bool,
    /// The lifetime to ask for, where a server wanted more than is configured.
    least_s: u32,
}

impl Line {
    /// A line that has done nothing yet.
    pub fn new(settings: LineSettings, random: &mut Random) -> Line {
        Line {
            login: Client::new(settings.login.clone()),
            settings,
            call_id: random.hex(32),
            cseq: 0,
            attempt: None,
            binding: None,
            retry_at: None,
            fail_back_at: None,
            failures: 0,
            why: String::new(),
            is_lost: false,
            has_been_registered: false,
            is_login_refused: false,
            least_s: 0,
        }
    }

    /// What the configuration says of it.
    pub fn settings(&self) -> &LineSettings {
        &self.settings
    }

    /// Its login and the nonces it has.
    pub fn login_mut(&mut self) -> &mut Client {
        &mut self.login
    }

    /// Where it is registered, if it is.
    pub fn binding(&self) -> Option<&Binding> {
        self.binding.as_ref()
    }

    /// Whether it is registered.
    pub fn is_registered(&self) -> bool {
        self.binding.is_some()
    }

    /// Why it is not registered; empty if nothing went wrong.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether the last server did not believe the login.
    pub fn is_login_refused(&self) -> bool {
        self.is_login_refused
    }

    /// Its address of record where it is, or wants to be.
    pub fn address(&self) -> String {
        let server = self.binding.as_ref().map_or(0, |binding| binding.server);
        format!("{}@{}", self.settings.user, self.settings.domain(server))
    }

    /// When it wants to be woken.
    pub fn wake_at(&self) -> Option<Time> {
        let binding = self.binding.as_ref();
        // While something is under way that says when to go on.
        let is_free = self.attempt.is_none();
        [
            self.attempt.as_ref().and_then(Attempt::wake_at),
            self.retry_at.filter(|_| is_free),
            self.fail_back_at.filter(|_| is_free),
            binding.map(|binding| binding.refresh_at).filter(|_| is_free),
            binding.map(|binding| binding.until),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Begins to register at the first server, at once; what was under way is dropped.
    pub fn start(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<News> {
        self.drop_attempt(tools, out);
        (self.retry_at, self.failures) = (None, 0);
        if !self.settings.servers.iter().any(|server| server.registers) {
            return Vec::new();
        }
        self.round(Purpose::Register, 0, now, tools, out)
    }

    /// The network is gone: nothing is said to anybody.
    pub fn network_lost(&mut self, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<News> {
        self.drop_attempt(tools, out);
        self.drop_binding(tools, out);
        (self.retry_at, self.fail_back_at) = (None, None);
        self.lost("the network is gone".to_owned())
    }

    /// Time has passed.
    pub fn woken(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<News> {
        let is_due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        let mut news = Vec::new();
        if is_due(self.binding.as_ref().map(|binding| binding.until)) {
            self.drop_binding(tools, out);
            news.extend(self.lost("the registration is over".to_owned()));
        }
        if self.attempt.is_some() {
            news.extend(self.attempt_woken(now, tools, out));
        } else if is_due(self.retry_at) {
            self.retry_at = None;
            news.extend(self.round(Purpose::Register, 0, now, tools, out));
        } else if is_due(self.fail_back_at) {
            self.fail_back_at = None;
            news.extend(self.round(Purpose::FailBack, 0, now, tools, out));
        } else if let Some(binding) = &self.binding
            && is_due(Some(binding.refresh_at))
        {
            let (server, flow) = (binding.server, binding.flow);
            // Other modes have set a time of their own.
            let back_first = server != 0 && self.fail_back_at.is_none();
            if back_first || !tools.ports.is_up(&flow) {
                let first = if back_first { 0 } else { server };
                news.extend(self.round(Purpose::Register, first, now, tools, out));
            } else {
                news.extend(self.refresh(flow, now, tools, out));
            }
        }
        news
    }

    /// A question to DNS came to its end.
    pub fn resolved(
        &mut self,
        id: QueryId,
        result: Result<Answer, String>,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        if !self.attempt.as_ref().is_some_and(|attempt| attempt.waits_for(id)) {
            return Vec::new();
        }
        self.located(Some(result), now, tools, out)
    }

    /// A stream that is this line's is up or over.
    pub fn stream(
        &mut self,
        id: StreamId,
        up: Result<Flow, String>,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Vec<News> {
        if self.attempt.as_ref().is_some_and(|attempt| attempt.stream() == Some(id)) {
            return match up {
                Ok(flow) => self.ask(flow, now, tools, out),
                Err(why) => self.place_failed(why, now, tools, out),
            };
        }
        let Some(binding) = self.binding.as_ref().filter(|binding| binding.flow.stream == Some(id)) else {
            return Vec::new();
        };
        let Err(why) = up else { return Vec::new() };
        // Nobody can call the phone any more: it registers anew, and is lost only if that comes to nothing.
        let (server, is_stable) = (binding.server, now.since(binding.since) >= STABLE_AFTER);
        if self.attempt.is_some() {
            return Vec::new();
        }
        if is_stable {
            return self.round(Purpose::Register, server, now, tools, out);
        }
        self.drop_binding(tools, out);
        self.wait(why, None, now, tools)
    }

    /// A response; `false` if it is not this line's.
    pub fn response(
        &mut self,
        response: &Message,
        now: Time,
        tools: &mut Tools<'_>,
        out: &mut Outbox,
    ) -> Option<Vec<News>> {
        self.attempt.as_ref().filter(|attempt| attempt.is_answered_by(response))?;
        Some(self.answered(response, now, tools, out))
    }

    /// A call could not reach the server: the line fails over, if its settings say so.
    pub fn unreachable(&mut self, now: Time, tools: &mut Tools<'_>, out: &mut Outbox) -> Vec<News> {
        let Some(server) = self.binding.as_ref().map(|binding| binding.server) else { return Vec::new() };
        let settings = &self.settings.servers[server];
        let count = self.settings.servers.len();
        if self.attempt.is_some() || !settings.re_registers || count < 2 {
            return Vec::new();
        }
        let mut news = Vec::new();
        if settings.fails_registration {
            self.drop_binding(tools, out);
            news = self.lost("the server does not answer".to_owned());
        }
        news.extend(self.round(Purpose::Register, (server + 1) % count, now, tools, out));
        news
    }

    /// Removes the binding, if there is one, without waiting for the answer.
    pub fn stop(&mut self, tools: &mut Tools<'_>, out: &mut Outbox) {
        self.drop_attempt(tools, out);
        if let Some(Binding { server, flow, .. }) = self.binding.clone()
            && tools.ports.is_up(&flow)
            && let Ok(message) = self.draft(server, &flow, 0, tools)
        {
            tools.ports.send(&flow, &message, "sign out", out);
        }
        self.drop_binding(tools, out);
        (self.retry_at, self.fail_back_at) = (None, None);
    }

    fn draft(
        &mut self,
        server: usize,
        flow: &Flow,
        expires_s: u32,
        tools: &mut Tools<'_>,
    ) -> Result<Message, sip::DraftError> {
        self.cseq += 1;
        let turn = Turn {
            server,
            flow,
            call_id: &self.call_id,
            cseq: self.cseq,
            expires_s,
            user_agent: tools.user_agent,
        };
        messages::register(&self.settings, turn, &mut self.login, tools.random)
    }

    fn drop_binding(&mut self, tools: &mut Tools<'_>, out: &mut Outbox) {
        if let Some(stream) = self.binding.take().and_then(|binding| binding.flow.stream) {
            tools.ports.hang_up(stream, out);
        }
    }

    fn drop_attempt(&mut self, tools: &mut Tools<'_>, out: &mut Outbox) {
        let attempt = self.attempt.take();
        // A refresh uses the binding's own stream, which stays.
        let own = self.binding.as_ref().and_then(|binding| binding.flow.stream);
        if let Some(stream) = attempt.and_then(|attempt| attempt.stream())
            && Some(stream) != own
        {
            tools.ports.hang_up(stream, out);
        }
    }

    /// Tells that the line is not registered, once.
    fn lost(&mut self, why: String) -> Vec<News> {
        self.why.clone_from(&why);
        match (std::mem::replace(&mut self.is_lost, true), self.has_been_registered) {
            (true, _) => Vec::new(),
            (false, true) => vec![News::Lost(why)],
            (false, false) => vec![News::Failed(why)],
        }
    }

    /// Waits for the next round.
    fn wait(&mut self, why: String, asked: Option<Duration>, now: Time, tools: &mut Tools<'_>) -> Vec<News> {
        let (base, longest) = self
            .settings
            .servers
            .first()
            .map_or((Duration::from_secs(60), Duration::from_secs(180)), |server| server.patience);
        let bound = base.saturating_mul(1 << self.failures.min(16)).min(longest);
        let half = bound / 2;
        let drawn = half + Duration::from_millis(tools.random.below(half.as_millis() as u64 + 1));
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(now + drawn.max(asked.unwrap_or_default()));
        self.lost(why)
    }

    /// For how long the DNS record of the first server still holds.
    fn record_life(&self, now: Time, tools: &Tools<'_>) -> Option<Duration> {
        let host = self.settings.servers.first()?.place.host.clone();
        tools.resolver.life(Question::Addresses(host), now)
    }
}

/// A place that a 3xx names.
fn moved_to(response: &Message) -> Option<Place> {
    let contact = NameAddr::parse(response.header("Contact")?).ok()?;
    let uri = contact.uri;
    let transport = match uri.params.get("transport").map(str::to_ascii_lowercase).as_deref() {
        Some("udp") => Transports::UdpOnly,
        Some("tcp") => Transports::TcpOnly,
        Some("tls") => Transports::Tls,
        _ if uri.scheme == sip::Scheme::Sips => Transports::Tls,
        _ => Transports::DnsNaptr,
    };
    let host = uri.host.trim_matches(['[', ']']).to_ascii_lowercase();
    (uri.is_sip() && !host.is_empty()).then_some(Place { host, port: uri.port, transport })
}
