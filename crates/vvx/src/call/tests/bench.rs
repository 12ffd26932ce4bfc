//! The bench: phones' call machines, a relay between them, and time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use net::Random;
use sip::Message;
use sip::timers::Reliability;

use super::super::way::tests::{address, settings, way};
use super::*;

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

struct Phone {
    calls: Calls,
    way: Option<Way>,
    settings: Settings,
    random: Random,
    ports: BTreeSet<u16>,
    is_on: bool,
    events: Vec<&'static str>,
    /// Methods and statuses that it sent.
    sent: Vec<String>,
}

enum Parcel {
    Sip(Bytes, SocketAddr),
    Sound(u16, Bytes),
}

pub struct Bench {
    phones: BTreeMap<String, Phone>,
    now: Time,
    coming: Vec<(Time, u64, String, Parcel)>,
    order: u64,
    lose_every: u64,
    /// Every message, as it was sent.
    pub transcript: String,
}

impl Bench {
    pub fn new(names: &[&str]) -> Bench {
        Bench::over(names, Reliability::Reliable)
    }

    pub fn over(names: &[&str], reliability: Reliability) -> Bench {
        let phones = names.iter().enumerate().map(|(n, name)| {
            let phone = Phone {
                calls: Calls::new(1),
                way: Some(Way { reliability, ..way(name) }),
                settings: settings(media::tone::tone_hz(n as u32)),
                random: Random::named(7, name),
                ports: BTreeSet::new(),
                is_on: true,
                events: Vec::new(),
                sent: Vec::new(),
            };
            ((*name).to_owned(), phone)
        });
        Bench {
            phones: phones.collect(),
            now: Time::from_secs(1),
            coming: Vec::new(),
            order: 0,
            lose_every: u64::MAX,
            transcript: String::new(),
        }
    }

    pub fn talking(names: &[&str; 2]) -> Bench {
        let mut bench = Bench::new(names);
        bench.talk(names[0], names[1]);
        bench
    }

    pub fn talk(&mut self, from: &str, to: &str) {
        self.dial(from, to);
        self.answer(to);
        self.run(secs(2));
    }

    pub fn settings(&mut self, who: &str) -> &mut Settings {
        &mut self.phones.get_mut(who).unwrap().settings
    }

    pub fn unregister(&mut self, who: &str) {
        self.phones.get_mut(who).unwrap().way = None;
    }

    pub fn switch_off(&mut self, who: &str) {
        self.phones.get_mut(who).unwrap().is_on = false;
    }

    /// From now on one message of so many is lost.
    pub fn lose_every(&mut self, every: u64) {
        self.lose_every = every;
    }

    pub fn calls(&self, who: &str) -> &Calls {
        &self.phones[who].calls
    }

    pub fn events(&self, who: &str) -> &[&'static str] {
        &self.phones[who].events
    }

    pub fn sent(&self, who: &str) -> &[String] {
        &self.phones[who].sent
    }

    pub fn answers(&self) -> Vec<u16> {
        self.phones.values().flat_map(|phone| &phone.sent).filter_map(|what| what.parse().ok()).collect()
    }

    /// The call in focus.
    pub fn view(&self, who: &str) -> CallView {
        self.phones[who].calls.focus(self.now).expect("it has a call")
    }

    pub fn states(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (name, phone) in self.phones.iter().filter(|(_, phone)| phone.is_on) {
            for view in phone.calls.views(self.now) {
                all.push(format!("{name}: {} {}", view.state.story_name(), view.remote.number()));
            }
        }
        all
    }

    /// Whom a phone hears.
    pub fn hears(&self, who: &str) -> Option<&str> {
        let heard = self.view(who).media.heard_hz?;
        let by = self.phones.iter().find(|(_, phone)| phone.settings.voice_hz == heard);
        Some(by.expect("somebody's voice").0)
    }

    pub fn is_all_quiet(&self) -> bool {
        self.phones.values().all(|phone| !phone.is_on || phone.calls.wake_at().is_none())
    }

    pub fn dial(&mut self, who: &str, whom: &str) -> CallRef {
        let call = self.at(who, |calls, hands| calls.dial(1, whom, hands)).expect("it may dial");
        self.deliver();
        call
    }

    pub fn answer(&mut self, who: &str) {
        self.act(who, |calls, hands| calls.answer(None, hands));
    }

    pub fn answer_unheard(&mut self, who: &str) {
        self.act_unheard(who, |calls, hands| calls.answer(None, hands));
    }

    pub fn hang_up(&mut self, who: &str) {
        self.act(who, |calls, hands| calls.end(None, hands));
    }

    pub fn act(&mut self, who: &str, verb: impl FnOnce(&mut Calls, &mut Hands<'_>) -> Result<(), CallError>) {
        self.act_unheard(who, verb);
        self.deliver();
    }

    pub fn act_unheard(
        &mut self,
        who: &str,
        verb: impl FnOnce(&mut Calls, &mut Hands<'_>) -> Result<(), CallError>,
    ) {
        self.at(who, verb).expect("it may be done");
    }

    pub fn try_act(
        &mut self,
        who: &str,
        verb: impl FnOnce(&mut Calls, &mut Hands<'_>) -> Result<(), CallError>,
    ) -> Result<(), CallError> {
        self.at(who, verb)
    }

    fn at<R>(&mut self, who: &str, act: impl FnOnce(&mut Calls, &mut Hands<'_>) -> R) -> R {
        let phone = self.phones.get_mut(who).expect("a phone");
        let mut prover = NoProver;
        let ways: Vec<Way> = phone.way.iter().cloned().collect();
        let unix_nanos = 1_539_086_400_000_000_000 + i128::from(self.now.as_nanos());
        let mut hands =
            Hands::new(self.now, unix_nanos, &ways, &phone.settings, &mut phone.random, &mut prover);
        let result = act(&mut phone.calls, &mut hands);
        let acts = hands.acts;
        for act in acts {
            self.carry(who, act);
        }
        result
    }

    fn carry(&mut self, who: &str, act: Act) {
        match act {
            Act::Send { draft, toward, .. } => {
                let message = draft.message().expect("a message");
                self.send(who, message.as_bytes().clone(), &toward);
            }
            Act::Again { octets, toward, .. } => self.send(who, octets, &toward),
            Act::Listen(port) => _ = self.phones.get_mut(who).unwrap().ports.insert(port),
            Act::Unlisten(port) => _ = self.phones.get_mut(who).unwrap().ports.remove(&port),
            Act::Sound { port, to, octets } => {
                assert!(self.phones[who].way.is_none() || port >= 2222);
                let whom = self.owner(to);
                if let Some(whom) = whom {
                    self.put(20, whom, Parcel::Sound(to.port(), octets));
                }
            }
            Act::Event { name, .. } => self.phones.get_mut(who).unwrap().events.push(name),
            Act::Attention => {}
        }
    }

    fn owner(&self, at: SocketAddr) -> Option<String> {
        self.phones.keys().find(|name| address(name).ip() == at.ip()).cloned()
    }

    fn put(&mut self, after_ms: u64, whom: String, parcel: Parcel) {
        self.order += 1;
        let at = self.now + Duration::from_millis(after_ms);
        self.coming.push((at, self.order, whom, parcel));
        self.coming.sort_by_key(|(at, order, ..)| (*at, *order));
    }

    /// The relay: users by name, everybody by address; it answers 404 for whom it does not know.
    fn send(&mut self, who: &str, octets: Bytes, toward: &Toward) {
        let message = Message::parse(octets.clone()).expect("a message");
        let what = message.status().map_or(message.method().to_owned(), |status| status.to_string());
        self.transcript.push_str(&String::from_utf8_lossy(&octets));
        let phone = self.phones.get_mut(who).unwrap();
        phone.sent.push(what);
        if self.order % self.lose_every == self.lose_every - 1 {
            self.order += 1;
            return;
        }
        let uri = message.uri();
        let host = match (uri, toward) {
            (None, Toward::Sender(peer)) => peer.ip().to_string(),
            (Some(uri), _) if uri.host == "contoso.example" => {
                let user = uri.user_name().unwrap_or_default().into_owned();
                match self.phones.contains_key(&user) {
                    true => address(&user).ip().to_string(),
                    false => String::new(),
                }
            }
            (Some(uri), _) => uri.host.to_owned(),
            (None, _) => message.via().host.to_owned(),
        };
        let from = address(who);
        let whom = host.parse().ok().and_then(|ip| self.owner(SocketAddr::new(ip, 0)));
        match whom {
            Some(whom) => self.put(1, whom, Parcel::Sip(octets, from)),
            None if message.is_request() && message.method() != "ACK" => {
                let answer = message.reply(404, "Not Found").message().expect("an answer");
                self.put(1, who.to_owned(), Parcel::Sip(answer.as_bytes().clone(), from));
            }
            None => {}
        }
    }

    /// Lets everything arrive that is on its way, as time stands nearly still.
    fn deliver(&mut self) {
        self.run(Duration::from_millis(15));
    }

    pub fn run(&mut self, span: Duration) {
        let until = self.now + span;
        loop {
            let wakes = self.phones.iter().filter(|(_, phone)| phone.is_on);
            let wake = wakes.filter_map(|(name, phone)| Some((phone.calls.wake_at()?, name.clone()))).min();
            let arrives = self.coming.first().map(|(at, ..)| *at);
            match (wake, arrives) {
                (wake, Some(at)) if at <= until && wake.as_ref().is_none_or(|(wake, _)| at <= *wake) => {
                    self.now = self.now.max(at);
                    let (_, _, whom, parcel) = self.coming.remove(0);
                    self.arrive(&whom, parcel);
                }
                (Some((at, name)), _) if at <= until => {
                    self.now = self.now.max(at);
                    self.at(&name, |calls, hands| calls.woken(hands));
                    let again = self.phones[&name].calls.wake_at();
                    assert!(again.is_none_or(|again| again > self.now), "{name} wakes for nothing");
                }
                _ => break,
            }
        }
        self.now = until;
    }

    fn arrive(&mut self, whom: &str, parcel: Parcel) {
        if !self.phones[whom].is_on {
            return;
        }
        match parcel {
            Parcel::Sip(octets, from) => {
                let message = Message::parse(octets).expect("a message");
                self.at(whom, |calls, hands| calls.message(1, &message, from, hands));
            }
            Parcel::Sound(port, octets) => {
                if self.phones[whom].ports.contains(&port) {
                    self.at(whom, |calls, hands| calls.datagram(port, &octets, hands));
                }
            }
        }
    }
}
