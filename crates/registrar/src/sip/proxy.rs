//! The proxy: calls, messages and subscriptions between registered parties (RFC 3261 §16).
//!
//! It keeps transactions and no dialogs. A request to an address goes to all of its endpoints, those of equal
//! preference at once and the others after them; the first 2xx wins, the rest are cancelled, and of refusals the best is
//! passed on. Dialogs come back by Record-Route: each side has an entry of its own, with a token that names the flow to
//! that side, so that requests find the way to user agents behind address translation, on streams, and to those whose
//! messages must be signed.
//!
//! | module | promise |
//! | --- | --- |
//! | `route` | where a request goes |
//! | `edit` | what a request and an answer look like on the next stretch |
//! | `relay` | who may have requests put through; requests without answers; CANCEL |
//! | `forks` | requests on their way: branches, timers, the answer that is passed on |

mod edit;
mod forks;
mod relay;
mod route;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use net::{StreamId, Time};
use sip::Draft;
use sip::timers::Timers;
use sip::transaction::{Client, InviteClient, InviteServers, ServerKey};

use self::route::Hop;
use super::flow::Flow;
use super::plain::Asked;

/// The most requests that are on their way at a time; each holds a request and its branches, some kilobytes.
pub const RELAYED_IN_ALL: usize = 20_000;
/// The most requests of one address that are on their way at a time; a site's phones may share one.
pub const RELAYED_PER_SOURCE: usize = 2_000;
/// The most challenges that are collected from the branches of one request.
const CHALLENGES_MAX: usize = 16;

/// Every request that is on its way.
#[derive(Debug)]
pub(super) struct Proxy {
    timers: Timers,
    /// INVITEs as they came in.
    pub(super) invites: InviteServers,
    relayed: BTreeMap<u64, Relayed>,
    by_key: BTreeMap<ServerKey, u64>,
    by_branch: BTreeMap<String, (u64, usize)>,
    by_stream: BTreeMap<StreamId, BTreeSet<u64>>,
    by_source: BTreeMap<IpAddr, usize>,
    wakes: BTreeSet<(Time, u64)>,
    /// Where refusals of INVITEs go if they must be repeated, and until when that may be.
    refused: BTreeMap<ServerKey, Flow>,
    refused_until: BTreeSet<(Time, ServerKey)>,
    next: u64,
}

/// One request that is on its way to one or more endpoints.
#[derive(Debug)]
struct Relayed {
    asked: Asked,
    /// Whom it is for, as the journal calls them.
    whom: String,
    /// Whether the pool stays on the way of the dialog that it may begin.
    stays: bool,
    /// Endpoints that are tried once all before them have refused.
    later: VecDeque<Vec<Hop>>,
    forks: Vec<Fork>,
    /// The best refusal so far: its rank, its status, and itself if it came from somebody.
    best: Option<(u16, u16, Option<Draft>)>,
    /// The challenges of all branches (RFC 3261 §16.7 item 7).
    challenges: Vec<(&'static str, String)>,
    /// A final answer was passed on, or nobody waits for one any more.
    is_answered: bool,
    /// No further endpoints are tried.
    is_cancelled: bool,
    scheduled: Option<Time>,
}

/// One branch of a request.
#[derive(Debug)]
struct Fork {
    flow: Flow,
    branch: String,
    client: Transaction,
    /// When nobody has picked up for too long.
    timer_c: Option<Time>,
    /// It is to be cancelled as soon as it may be.
    cancel_wanted: bool,
    cancel: Option<Client>,
    is_final: bool,
}

#[derive(Debug)]
enum Transaction {
    Invite(Box<InviteClient>),
    Other(Box<Client>),
}

impl Transaction {
    fn wake_at(&self) -> Option<Time> {
        match self {
            Transaction::Invite(client) => client.wake_at(),
            Transaction::Other(client) => client.wake_at(),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Transaction::Invite(client) => client.is_over(),
            Transaction::Other(client) => client.is_over(),
        }
    }

    fn fail(&mut self) {
        match self {
            Transaction::Invite(client) => client.fail(),
            Transaction::Other(client) => client.fail(),
        }
    }
}

impl Fork {
    fn wake_at(&self) -> Option<Time> {
        let cancel = self.cancel.as_ref().and_then(Client::wake_at);
        let timer_c = self.timer_c.filter(|_| !self.is_final);
        [self.client.wake_at(), cancel, timer_c].into_iter().flatten().min()
    }

    fn is_over(&self) -> bool {
        self.is_final && self.client.is_over() && self.cancel.as_ref().is_none_or(Client::is_over)
    }
}

impl Proxy {
    pub(super) fn new() -> Proxy {
        Proxy {
            timers: Timers::RFC3261,
            invites: InviteServers::new(Timers::RFC3261),
            relayed: BTreeMap::new(),
            by_key: BTreeMap::new(),
            by_branch: BTreeMap::new(),
            by_stream: BTreeMap::new(),
            by_source: BTreeMap::new(),
            wakes: BTreeSet::new(),
            refused: BTreeMap::new(),
            refused_until: BTreeSet::new(),
            next: 1,
        }
    }

    /// How many requests are on their way.
    pub(super) fn len(&self) -> usize {
        self.relayed.len()
    }

    pub(super) fn wake_at(&self) -> Option<Time> {
        let relayed = self.wakes.first().map(|(at, _)| *at);
        [relayed, self.invites.wake_at()].into_iter().flatten().min()
    }

    fn has_room_for(&self, asked: &Asked) -> bool {
        let from_there = self.by_source.get(&asked.flow.peer().ip()).copied().unwrap_or(0);
        self.relayed.len() < RELAYED_IN_ALL && from_there < RELAYED_PER_SOURCE
    }

    fn put(&mut self, relayed: Relayed) -> u64 {
        let id = self.next;
        self.next += 1;
        *self.by_source.entry(relayed.asked.flow.peer().ip()).or_default() += 1;
        self.by_key.insert(relayed.asked.key, id);
        self.watch(&relayed.asked.flow, id);
        self.relayed.insert(id, relayed);
        id
    }

    /// Wants to hear when the connection of a flow closes.
    fn watch(&mut self, flow: &Flow, id: u64) {
        if let Flow::Stream(stream, ..) | Flow::Signed { stream, .. } = flow {
            self.by_stream.entry(*stream).or_default().insert(id);
        }
    }

    fn unwatch(&mut self, flow: &Flow, id: u64) {
        if let Flow::Stream(stream, ..) | Flow::Signed { stream, .. } = flow
            && let Some(ids) = self.by_stream.get_mut(stream)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_stream.remove(stream);
            }
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(relayed) = self.relayed.remove(&id) else { return };
        if let Some(at) = relayed.scheduled {
            self.wakes.remove(&(at, id));
        }
        self.by_key.remove(&relayed.asked.key);
        self.unwatch(&relayed.asked.flow, id);
        for fork in &relayed.forks {
            self.by_branch.remove(&fork.branch);
            self.unwatch(&fork.flow, id);
        }
        let source = relayed.asked.flow.peer().ip();
        if let Some(count) = self.by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
    }

    /// Puts the next thing that is due in the list, or forgets what is over.
    fn schedule(&mut self, id: u64) {
        let Some(relayed) = self.relayed.get_mut(&id) else { return };
        if relayed.is_answered && relayed.forks.iter().all(Fork::is_over) {
            return self.remove(id);
        }
        let at = relayed.forks.iter().filter_map(Fork::wake_at).min();
        if let Some(before) = std::mem::replace(&mut relayed.scheduled, at) {
            self.wakes.remove(&(before, id));
        }
        if let Some(at) = at {
            self.wakes.insert((at, id));
        }
    }
}
