//! Between the phone and its calls: which line carries what, and what a call wants done.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use net::{Input, ListenSecurity, Outbox, Random, Time, Transport};
use sip::digest::Asked;
use sip::timers::Timers;
use sip::{Draft, Message, Uri};

use crate::call::{
    Act, CallError, CallRef, CallView, Calls, Hands, Numbers, Party, Prover, Settings, Toward, Way,
};
use crate::line::lines::Lines;
use crate::line::{Flow, ports::Ports};
use crate::registration::Registration;

use super::powered::Parts;
use super::running::Running;

/// Numbers that anybody may call from a locked phone, beside those of `phoneLock.authorized.<n>.value`. Which ones a
/// pool adds is not known; these two are a guess.
const EMERGENCY: [&str; 2] = ["911", "112"];
/// How many parameters name further ones.
const AUTHORIZED_MAX: usize = 5;
/// The first port for sound where nothing is configured, as documented.
const FIRST_PORT: u16 = 2222;
/// How many places are remembered from which requests came, to answer them there.
const FLOWS_MAX: usize = 64;

/// A phone's calls and how it stands to them.
#[derive(Debug)]
pub struct Telephone {
    pub(super) calls: Calls,
    /// Whether the display is about calls, where there are any.
    pub(super) is_in_front: bool,
    pub(super) is_do_not_disturb: bool,
    pub(super) is_muted: bool,
    /// The call that is to be transferred once the other end of the next call is reached.
    pub(super) transferring: Option<CallRef>,
    flows: VecDeque<(SocketAddr, Flow)>,
    random: Option<(Random, Random)>,
}

impl Telephone {
    /// A phone that is not in any call.
    pub fn new() -> Telephone {
        Telephone {
            calls: Calls::new(1),
            is_in_front: false,
            is_do_not_disturb: false,
            is_muted: false,
            transferring: None,
            flows: VecDeque::new(),
            random: None,
        }
    }
}

/// Proofs for the servers of the generic profile's lines.
struct LineProver<'a> {
    lines: &'a mut Lines,
    random: &'a mut Random,
}

impl Prover for LineProver<'_> {
    fn proofs(&mut self, line: u32, method: &str, uri: &str) -> Vec<(String, String)> {
        let Ok(line) = u8::try_from(line) else { return Vec::new() };
        let proofs = self.lines.proofs(line, &Asked { method, uri, body: &[] });
        proofs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn challenged(&mut self, line: u32, response: &Message, sent: &Message) -> bool {
        u8::try_from(line).is_ok_and(|line| self.lines.challenged(line, response, sent, self.random).is_ok())
    }
}

impl Running {
    /// The lines that calls may go out on now.
    fn ways(&self, parts: &Parts) -> Vec<Way> {
        let Some(address) = self.network.lease.address() else { return Vec::new() };
        let media = IpAddr::V4(address);
        if self.plain.is_generic {
            return self
                .lines
                .lines()
                .iter()
                .filter_map(|line| self.plain_way(line.settings().number, media))
                .collect();
        }
        let way = self.registration.as_ref().and_then(|registration| registration.way(media));
        let user_agent = || parts.setup.firmware.sip_agent(parts.setup.model, None);
        way.map(|way| Way { user_agent: user_agent(), ..way }).into_iter().collect()
    }

    /// A line of the generic profile.
    fn plain_way(&self, number: u8, media: IpAddr) -> Option<Way> {
        let outlet = self.lines.outlet(number).ok()?;
        let rport = if outlet.flow.stream.is_none() { ";rport" } else { "" };
        Some(Way {
            line: number.into(),
            local: Party { name: outlet.display_name.clone(), address: outlet.uri.clone() },
            from_params: String::new(),
            contact: format!("<{}>", outlet.contact),
            via: format!("SIP/2.0/{} {}{rport}", outlet.flow.carrier.via(), outlet.flow.local),
            user_agent: self.plain.user_agent().to_owned(),
            media,
            reliability: outlet.flow.reliability(),
            timers: Timers::RFC3261,
            numbers: Numbers::Plain,
            headers: outlet.routes.iter().map(|route| ("Route".to_owned(), route.clone())).collect(),
        })
    }

    fn call_settings(&self, parts: &Parts) -> Settings {
        let config = &parts.config;
        let port = config.number("tcpIpApp.port.rtp.mediaPortRangeStart").unwrap_or(0);
        // Even ports, and room above for every call (RFC 3550 §11).
        let port =
            u16::try_from(port).ok().filter(|port| (1024..=65_000).contains(port)).unwrap_or(FIRST_PORT);
        let only = self.lock.is_locked().then(|| {
            let configured =
                (1..=AUTHORIZED_MAX).map(|n| config.text(&format!("phoneLock.authorized.{n}.value")));
            let all = EMERGENCY.into_iter().chain(configured).filter(|number| !number.is_empty());
            all.map(str::to_owned).collect()
        });
        Settings {
            voice_hz: parts.setup.voice_hz,
            do_not_disturb: self.telephone.is_do_not_disturb,
            call_waiting: config.text("call.callWaiting.enable") != "0",
            first_port: port,
            only,
        }
    }

    /// Lets the calls act, and does what they want done.
    pub(super) fn with_calls<T>(
        &mut self,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
        act: impl FnOnce(&mut Calls, &mut Hands<'_>) -> T,
    ) -> T {
        let ways = self.ways(parts);
        let settings = self.call_settings(parts);
        let unix_nanos = i128::from(parts.clock.wall().read(now).unix_nanos());
        // Drawn when there is a first call, so that a phone without calls is the same as ever.
        let (random, proofs) = self.telephone.random.get_or_insert_with(|| {
            let mut random = parts.random.fork("calls");
            let proofs = random.fork("proofs");
            (random, proofs)
        });
        let mut prover = LineProver { lines: &mut self.lines, random: proofs };
        let mut hands = Hands::new(now, unix_nanos, &ways, &settings, random, &mut prover);
        let result = act(&mut self.telephone.calls, &mut hands);
        let acts = hands.acts;
        for act in acts {
            self.call_wants(act, now, parts, out);
        }
        if self.telephone.calls.views(now).is_empty() {
            (self.telephone.is_in_front, self.telephone.transferring) = (false, None);
            self.telephone.is_muted = false;
        }
        result
    }

    fn call_wants(&mut self, act: Act, now: Time, parts: &mut Parts, out: &mut Outbox) {
        match act {
            Act::Send { line, draft, toward } => self.send_call(line, draft, &toward, now, out),
            Act::Again { line, octets, toward } => self.send_call_again(line, octets, &toward, out),
            Act::Listen(port) => out.listen(port, ListenSecurity::Udp),
            Act::Unlisten(port) => out.unlisten(Transport::Udp, port),
            Act::Sound { port, to, octets } => {
                if let Some(address) = self.network.lease.address() {
                    out.send(SocketAddr::new(address.into(), port), to, octets);
                }
            }
            Act::Event { name, text } => {
                let of = self.account_address().unwrap_or(&parts.setup.name).to_owned();
                parts.event(name, &of, text, out);
            }
            Act::Attention => {
                let is_new = !std::mem::replace(&mut self.telephone.is_in_front, true);
                if is_new {
                    self.touched(now);
                }
            }
        }
    }

    fn send_call(&mut self, line: u32, draft: Draft, toward: &Toward, now: Time, out: &mut Outbox) {
        if self.plain.is_generic {
            // Whatever a call writes was in a header before, or was checked when it was dialled.
            let Ok(message) = draft.message() else { return };
            if let Some(flow) = self.flow(line, toward) {
                self.lines.send(&flow, &message, "", out);
            }
        } else if let Some(registration) = &mut self.registration {
            registration.send_call(draft, now, out);
        }
    }

    /// Only ways that lose messages repeat them: never the registration's stream.
    fn send_call_again(&mut self, line: u32, octets: Bytes, toward: &Toward, out: &mut Outbox) {
        if let (true, Some(flow), Ok(message)) =
            (self.plain.is_generic, self.flow(line, toward), Message::parse(octets))
        {
            self.lines.send(&flow, &message, "again", out);
        }
    }

    /// The way to where a message goes: the line's server, unless an address says otherwise and can be reached by UDP.
    fn flow(&self, line: u32, toward: &Toward) -> Option<Flow> {
        let server = u8::try_from(line).ok().and_then(|line| self.lines.outlet(line).ok()).map(|it| it.flow);
        match toward {
            Toward::Registrar => server,
            Toward::Sender(peer) => {
                let known = self.telephone.flows.iter().find(|(known, _)| known == peer);
                known.map(|(_, flow)| *flow).or_else(|| self.lines.ports().udp(*peer))
            }
            Toward::Address(text) => {
                let uri = Uri::parse(text).ok()?;
                let at = uri.host_ip().map(|ip| SocketAddr::new(ip, uri.port.unwrap_or(5060)));
                let is_udp = uri.params.get("transport").is_none_or(|it| it.eq_ignore_ascii_case("udp"));
                match (server, at) {
                    (Some(server), Some(at)) if server.peer == at => Some(server),
                    (_, Some(at)) if is_udp => self.lines.ports().udp(at),
                    (server, _) => server,
                }
            }
        }
    }

    /// A message of the registration's stream that is about a call.
    pub(super) fn call_message(
        &mut self,
        message: &Message,
        from: SocketAddr,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        self.with_calls(now, parts, out, |calls, hands| calls.message(1, message, from, hands));
    }

    /// A message at the SIP port. Whether a call took it.
    pub(super) fn call_at_port(
        &mut self,
        flow: &Flow,
        message: &Message,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> bool {
        if !self.plain.is_generic {
            return false;
        }
        let is_known = self.telephone.calls.knows(message);
        // Calls begin at a line's own user part, and nowhere else.
        let line = self.lines.line_of(message).or_else(|| is_known.then_some(1));
        let (true, Some(line)) = (is_known || message.method() == "INVITE", line) else {
            return false;
        };
        let peer = match message.is_request() {
            true => Ports::way_back(message, flow).peer,
            false => flow.peer,
        };
        self.telephone.flows.retain(|(known, _)| *known != peer);
        if self.telephone.flows.len() == FLOWS_MAX {
            self.telephone.flows.pop_front();
        }
        self.telephone.flows.push_back((peer, Flow { peer, ..*flow }));
        self.with_calls(now, parts, out, |calls, hands| calls.message(line.into(), message, peer, hands))
    }

    /// A datagram of a call's sound. Whether it was one.
    pub(super) fn call_sound(
        &mut self,
        now: Time,
        input: &Input,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> bool {
        match input {
            Input::Datagram(datagram) if !self.telephone.calls.is_idle() => {
                let (port, payload) = (datagram.to.port(), datagram.payload.clone());
                self.telephone.calls.owns(port)
                    && self.with_calls(now, parts, out, |calls, hands| calls.datagram(port, &payload, hands))
            }
            _ => false,
        }
    }

    /// Time has passed for the calls.
    pub(super) fn calls_woken(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        if self.telephone.calls.wake_at().is_some_and(|at| at <= now) {
            self.with_calls(now, parts, out, |calls, hands| calls.woken(hands));
        }
    }

    /// The way to a line's server broke.
    pub(super) fn calls_lost_way(&mut self, line: u32, now: Time, parts: &mut Parts, out: &mut Outbox) {
        if !self.telephone.calls.is_idle() {
            self.with_calls(now, parts, out, |calls, hands| calls.way_broke(line, hands));
        }
    }

    /// Every call ends, while there is still somebody to tell.
    pub(super) fn drop_calls(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        if !self.telephone.calls.is_idle() {
            self.with_calls(now, parts, out, |calls, hands| calls.drop_all(hands));
        }
    }

    /// The calls, as others see them.
    pub(super) fn call_views(&self, now: Time) -> Vec<CallView> {
        self.telephone.calls.views(now)
    }

    /// Calls somebody from a line.
    pub(super) fn dial(
        &mut self,
        line: u32,
        text: &str,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> Result<CallRef, CallError> {
        let last = if self.plain.is_generic { self.lines.lines().len() as u32 } else { 1 };
        if line == 0 || line > last.max(1) {
            return Err(CallError::NoLine(line));
        }
        self.touched(now);
        self.with_calls(now, parts, out, |calls, hands| calls.dial(line, text, hands))
    }
}

impl Registration {
    /// The line, as calls see it, while it is registered.
    fn way(&self, media: IpAddr) -> Option<Way> {
        let (local, who) = self.line()?;
        Some(Way {
            line: 1,
            local: Party { name: String::new(), address: who.uri() },
            from_params: format!(";epid={}", who.epid),
            contact: format!("<{}>", self.contact()?),
            via: format!("SIP/2.0/TLS {local}"),
            user_agent: String::new(),
            media,
            reliability: sip::timers::Reliability::Reliable,
            timers: Timers::RFC3261,
            numbers: Numbers::Enterprise,
            headers: vec![
                ("P-Preferred-Identity".to_owned(), format!("<{}>", who.uri())),
                ("ms-keep-alive".to_owned(), "UAC;hop-hop=yes".to_owned()),
            ],
        })
    }
}
