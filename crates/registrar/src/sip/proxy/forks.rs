//! Requests on their way: branches, timers, and the answer that is passed on (RFC 3261 §16.6 to §16.9).

use std::collections::VecDeque;
use std::time::Duration;

use net::{Note, StreamId};
use sip::Message;
use sip::timers::Timers;
use sip::transaction::{Came, Client, InviteCame, InviteClient, InviteWoke, ServerKey, Woke};

use super::route::Hop;
use super::{CHALLENGES_MAX, Fork, Relayed, Transaction, edit};
use crate::events;
use crate::sip::flow::Flow;
use crate::sip::plain::Asked;
use crate::sip::serve::shown;
use crate::sip::{FrontEnd, Turn};

/// The methods that begin dialogs: the pool stays on the way of what they begin.
const BEGIN_DIALOGS: [&str; 4] = ["INVITE", "SUBSCRIBE", "REFER", "NOTIFY"];

impl FrontEnd {
    /// Sends a request off to the first of its endpoints.
    pub(super) fn send_off(
        &mut self,
        asked: Asked,
        whom: String,
        later: VecDeque<Vec<Hop>>,
        turn: &mut Turn<'_, '_>,
    ) {
        let has_dialog = asked.request.to().tag().is_some();
        let is_invite = asked.request.method() == "INVITE";
        if is_invite {
            // The caller repeats its INVITE until it hears something, and people take longer (RFC 3261 §16.2).
            let trying = self.begin_plainly(&asked, 100);
            self.answer_plainly(&asked, trying, turn);
        }
        if is_invite && !has_dialog {
            let from = shown(asked.request.from().uri.as_str());
            let count = later.iter().map(Vec::len).sum::<usize>();
            let text = format!("from {from}, endpoints: {count}");
            turn.out.note(Note::event(events::CALL_ROUTED, shown(&whom), text));
        }
        let relayed = Relayed {
            stays: !has_dialog && BEGIN_DIALOGS.contains(&asked.request.method()),
            asked,
            whom,
            later,
            forks: Vec::new(),
            best: None,
            challenges: Vec::new(),
            is_answered: false,
            is_cancelled: false,
            scheduled: None,
        };
        let id = self.proxy.put(relayed);
        self.with_relayed(id, turn, |front_end, relayed, turn| front_end.try_next(id, relayed, turn));
    }

    /// Does something with a request that is on its way, and sees to its timers afterwards.
    pub(super) fn with_relayed(
        &mut self,
        id: u64,
        turn: &mut Turn<'_, '_>,
        call: impl FnOnce(&mut FrontEnd, &mut Relayed, &mut Turn<'_, '_>),
    ) {
        // Taken out meanwhile: sending may close a connection, and that looks for requests on it.
        let Some(mut relayed) = self.proxy.relayed.remove(&id) else { return };
        call(self, &mut relayed, turn);
        self.proxy.relayed.insert(id, relayed);
        self.proxy.schedule(id);
    }

    /// Tries the next endpoints; passes the best refusal on if there are none.
    fn try_next(&mut self, id: u64, relayed: &mut Relayed, turn: &mut Turn<'_, '_>) {
        while let Some(group) = relayed.later.pop_front() {
            let mut is_any_sent = false;
            for hop in group {
                is_any_sent |= self.fork(id, relayed, hop, turn);
            }
            if is_any_sent {
                return;
            }
        }
        self.pass_refusal_on(relayed, turn);
    }

    fn fork(&mut self, id: u64, relayed: &mut Relayed, hop: Hop, turn: &mut Turn<'_, '_>) -> bool {
        let branch = self.fresh_branch(&relayed.asked.request, turn);
        let record_route = match relayed.stays {
            true => vec![self.entry(&hop.flow, turn), self.entry(&relayed.asked.flow, turn)],
            false => Vec::new(),
        };
        let draft =
            self.onward(&relayed.asked.request, &relayed.asked.flow, &hop, &branch, &record_route, turn);
        let Ok(message) = draft.message() else { return false };
        if !self.send(&hop.flow, draft, turn) {
            return false;
        }
        let (way, timers) = (hop.flow.carrier().reliability(), self.proxy.timers);
        let is_invite = message.method() == "INVITE";
        let client = match is_invite {
            true => Transaction::Invite(Box::new(InviteClient::new(message, way, timers, turn.now))),
            false => Transaction::Other(Box::new(Client::new(message, way, timers, turn.now))),
        };
        self.proxy.by_branch.insert(branch.clone(), (id, relayed.forks.len()));
        self.proxy.watch(&hop.flow, id);
        relayed.forks.push(Fork {
            flow: hop.flow,
            branch,
            client,
            timer_c: is_invite.then(|| turn.now + timers.c),
            cancel_wanted: false,
            cancel: None,
            is_final: false,
        });
        true
    }

    /// An answer came. Whether it was to a request that is on its way.
    pub(in crate::sip) fn relay_answer(
        &mut self,
        _flow: &Flow,
        answer: &Message,
        turn: &mut Turn<'_, '_>,
    ) -> bool {
        let place = answer.via().branch().and_then(|branch| self.proxy.by_branch.get(branch)).copied();
        let Some((id, at)) = place else { return false };
        self.with_relayed(id, turn, |front_end, relayed, turn| {
            front_end.take_answer(id, relayed, at, answer, turn);
        });
        true
    }

    fn take_answer(
        &mut self,
        id: u64,
        relayed: &mut Relayed,
        at: usize,
        answer: &Message,
        turn: &mut Turn<'_, '_>,
    ) {
        let (now, status) = (turn.now, answer.status().unwrap_or(500));
        let timer_c = self.proxy.timers.c;
        let Some(fork) = relayed.forks.get_mut(at) else { return };
        match &mut fork.client {
            Transaction::Invite(client) => match client.receive(now, answer) {
                InviteCame::NotMine => {
                    if let Some(cancel) = &mut fork.cancel {
                        cancel.receive(now, answer);
                    }
                }
                InviteCame::Provisional => {
                    // A 100 only says that the next hop has it (RFC 3261 §16.7 item 2).
                    if status > 100 {
                        fork.timer_c = Some(now + timer_c);
                    }
                    if fork.cancel_wanted {
                        self.cancel(fork, turn);
                    }
                    if status > 100 && !relayed.is_answered {
                        self.send_back(&relayed.asked, edit::back(answer, turn.parts.domain), turn);
                    }
                }
                InviteCame::Accepted => {
                    fork.is_final = true;
                    self.accepted(relayed, answer, turn);
                }
                InviteCame::Refused(ack) => {
                    fork.is_final = true;
                    let flow = fork.flow.clone();
                    self.send(&flow, ack, turn);
                    self.refused(id, relayed, status, Some(answer), turn);
                }
                InviteCame::Again(Some(ack)) => {
                    let flow = fork.flow.clone();
                    self.send(&flow, ack, turn);
                }
                InviteCame::Again(None) => {}
            },
            Transaction::Other(client) => match client.receive(now, answer) {
                Came::Provisional if status > 100 && !relayed.is_answered => {
                    self.send_back(&relayed.asked, edit::back(answer, turn.parts.domain), turn);
                }
                Came::Final => {
                    fork.is_final = true;
                    match status {
                        ..300 => self.accepted(relayed, answer, turn),
                        _ => self.refused(id, relayed, status, Some(answer), turn),
                    }
                }
                Came::Provisional | Came::NotMine | Came::Again => {}
            },
        }
    }

    /// A 2xx goes back at once, every one of them; the other branches are cancelled at the first.
    fn accepted(&mut self, relayed: &mut Relayed, answer: &Message, turn: &mut Turn<'_, '_>) {
        let is_invite = relayed.asked.request.method() == "INVITE";
        if relayed.is_answered && !is_invite {
            return;
        }
        self.send_back(&relayed.asked, edit::back(answer, turn.parts.domain), turn);
        if relayed.is_answered {
            return;
        }
        relayed.is_answered = true;
        if is_invite && relayed.stays {
            let text = format!("from {}", shown(relayed.asked.request.from().uri.as_str()));
            turn.out.note(Note::event(events::ROUTED_CALL_ACCEPTED, shown(&relayed.whom), text));
        }
        self.cancel_rest(relayed, turn);
    }

    /// A branch is refused, by who answered or because nobody did.
    fn refused(
        &mut self,
        id: u64,
        relayed: &mut Relayed,
        status: u16,
        answer: Option<&Message>,
        turn: &mut Turn<'_, '_>,
    ) {
        let rank = rank(status);
        if let Some(answer) = answer {
            for name in ["WWW-Authenticate", "Proxy-Authenticate"] {
                let left = CHALLENGES_MAX.saturating_sub(relayed.challenges.len());
                relayed.challenges.extend(answer.headers(name).take(left).map(|it| (name, it.to_owned())));
            }
        }
        if relayed.best.as_ref().is_none_or(|(best, ..)| rank < *best) {
            let draft = answer.map(|answer| edit::back(answer, turn.parts.domain));
            relayed.best = Some((rank, status, draft));
        }
        if status >= 600 {
            // Nobody else need be asked (RFC 3261 §16.7 item 5).
            self.cancel_rest(relayed, turn);
        }
        if relayed.forks.iter().all(|fork| fork.is_final) && !relayed.is_answered {
            self.try_next(id, relayed, turn);
        }
    }

    /// Passes the best refusal on: nobody is left to ask.
    fn pass_refusal_on(&mut self, relayed: &mut Relayed, turn: &mut Turn<'_, '_>) {
        if std::mem::replace(&mut relayed.is_answered, true) {
            return;
        }
        let is_invite = relayed.asked.request.method() == "INVITE";
        let nobody = if relayed.is_cancelled { 487 } else { 480 };
        let (_, status, draft) = relayed.best.take().unwrap_or((0, nobody, None));
        if is_invite && relayed.stays {
            let from = shown(relayed.asked.request.from().uri.as_str());
            let text = format!("from {from}: {status}");
            turn.out.note(Note::event(events::ROUTED_CALL_FAILED, shown(&relayed.whom), text));
        }
        match draft {
            // An overloaded endpoint is no overloaded pool (RFC 3261 §16.7 item 6).
            Some(_) if status == 503 => self.answer_ourselves(&relayed.asked, 500, turn),
            Some(mut draft) => {
                if matches!(status, 401 | 407) {
                    draft.remove("WWW-Authenticate");
                    draft.remove("Proxy-Authenticate");
                    for (name, value) in &relayed.challenges {
                        draft.push(name, value);
                    }
                }
                self.send_back(&relayed.asked, draft, turn);
            }
            // Whoever asked has stopped waiting as well by now, and must not hear a 408 (RFC 4320 §4.1).
            None if status == 408 && !is_invite => self.plain.transactions.forget(&relayed.asked.key),
            None => self.answer_ourselves(&relayed.asked, status, turn),
        }
    }

    fn answer_ourselves(&mut self, asked: &Asked, status: u16, turn: &mut Turn<'_, '_>) {
        let draft = self.begin_plainly(asked, status);
        self.answer_plainly(asked, draft, turn);
    }

    /// The caller has given up: nobody else is tried, and whoever rings is told.
    pub(super) fn give_up(&mut self, relayed: &mut Relayed, turn: &mut Turn<'_, '_>) {
        relayed.is_cancelled = true;
        self.cancel_rest(relayed, turn);
        if relayed.forks.iter().all(|fork| fork.is_final) {
            self.pass_refusal_on(relayed, turn);
        }
    }

    fn cancel_rest(&mut self, relayed: &mut Relayed, turn: &mut Turn<'_, '_>) {
        relayed.later.clear();
        for fork in relayed.forks.iter_mut().filter(|fork| !fork.is_final) {
            self.cancel(fork, turn);
        }
    }

    /// Cancels a branch, now or as soon as its endpoint has answered at all (RFC 3261 §9.1).
    fn cancel(&mut self, fork: &mut Fork, turn: &mut Turn<'_, '_>) {
        let Transaction::Invite(client) = &mut fork.client else { return };
        fork.cancel_wanted = client.is_pending() && !client.may_be_cancelled() && fork.cancel.is_none();
        let Some(draft) = client.cancel(turn.now) else { return };
        let Ok(message) = draft.message() else { return };
        let way = fork.flow.carrier().reliability();
        fork.cancel = Some(Client::new(message, way, self.proxy.timers, turn.now));
        self.send(&fork.flow, draft, turn);
    }

    /// Time passed.
    pub(in crate::sip) fn relays_due(&mut self, turn: &mut Turn<'_, '_>) {
        for (key, what) in self.proxy.invites.wake(turn.now) {
            let InviteWoke::Resend(octets) = what else { continue };
            if let Some(back) = self.proxy.refused.get(&key).cloned() {
                turn.out.note(Note::sent(back.peer(), "the same answer again"));
                self.write(&back, octets, turn);
            }
        }
        while let Some((end, key)) =
            self.proxy.refused_until.first().filter(|(end, _)| *end <= turn.now).cloned()
        {
            self.proxy.refused_until.remove(&(end, key));
            self.proxy.refused.remove(&key);
        }
        while let Some((at, id)) = self.proxy.wakes.first().copied()
            && at <= turn.now
        {
            self.proxy.wakes.pop_first();
            self.with_relayed(id, turn, |front_end, relayed, turn| {
                relayed.scheduled = None;
                for at in 0..relayed.forks.len() {
                    front_end.fork_due(id, relayed, at, turn);
                }
            });
        }
    }

    fn fork_due(&mut self, id: u64, relayed: &mut Relayed, at: usize, turn: &mut Turn<'_, '_>) {
        let now = turn.now;
        let Some(fork) = relayed.forks.get_mut(at) else { return };
        if fork.timer_c.is_some_and(|at| at <= now) && !fork.is_final {
            fork.timer_c = None;
            self.cancel(fork, turn);
        }
        if let Some(Woke::Resend(octets)) = fork.cancel.as_mut().map(|cancel| cancel.wake(now)) {
            turn.out.note(Note::sent(fork.flow.peer(), "the same CANCEL again"));
            self.write(&fork.flow, octets, turn);
        }
        let woke = match &mut fork.client {
            Transaction::Invite(client) => client.wake(now),
            Transaction::Other(client) => client.wake(now),
        };
        match woke {
            Woke::Resend(octets) => {
                turn.out.note(Note::sent(fork.flow.peer(), "the same request again"));
                self.write(&fork.flow, octets, turn);
            }
            Woke::TimedOut => {
                fork.is_final = true;
                self.refused(id, relayed, 408, None, turn);
            }
            Woke::Nothing | Woke::Over => {}
        }
    }

    /// A connection closed: its branches have failed, and whoever called over it has given up.
    pub(in crate::sip) fn relays_lost(&mut self, stream: StreamId, turn: &mut Turn<'_, '_>) {
        let is_there = |flow: &Flow| match flow {
            Flow::Stream(own, ..) | Flow::Signed { stream: own, .. } => *own == stream,
            Flow::Datagram(_) => false,
        };
        for id in self.proxy.by_stream.remove(&stream).unwrap_or_default() {
            self.with_relayed(id, turn, |front_end, relayed, turn| {
                if is_there(&relayed.asked.flow) && !relayed.is_answered {
                    front_end.give_up(relayed, turn);
                }
                for at in 0..relayed.forks.len() {
                    let fork = &mut relayed.forks[at];
                    if !is_there(&fork.flow) {
                        continue;
                    }
                    fork.client.fail();
                    if let Some(cancel) = &mut fork.cancel {
                        cancel.fail();
                    }
                    if !std::mem::replace(&mut fork.is_final, true) {
                        front_end.refused(id, relayed, 480, None, turn);
                    }
                }
            });
        }
    }

    /// Remembers the way back of a refused INVITE for as long as its refusal may have to be repeated.
    pub(in crate::sip) fn invite_refused(&mut self, key: &ServerKey, back: &Flow, turn: &Turn<'_, '_>) {
        if matches!(back, Flow::Datagram(_)) {
            self.proxy.refused.insert(*key, back.clone());
            self.proxy.refused_until.insert((turn.now + REFUSED_FOR, *key));
        }
    }
}

/// Longer than timer H, which ends the repeating.
const REFUSED_FOR: Duration = Duration::from_millis(Timers::RFC3261.t1.as_millis() as u64 * 64 + 1_000);

/// Which refusal is passed on if there are several (RFC 3261 §16.7 item 6): the lowest rank. One that ends the search
/// comes first, then the lower classes; among those with 4xx, the ones that tell the caller how to do better, then what
/// people said, then that nobody was there.
fn rank(status: u16) -> u16 {
    match status {
        600.. => 0,
        401 | 407 | 415 | 420 | 484 => 400,
        404 | 480 => 402,
        408 | 430 | 487 => 403,
        400..=499 => 401,
        503 => 509,
        other => other / 100 * 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_refusals_the_one_that_helps_most_is_passed_on() {
        let best = |statuses: &[u16]| statuses.iter().copied().min_by_key(|status| rank(*status));
        assert_eq!(best(&[486, 480, 408]), Some(486));
        assert_eq!(best(&[408, 480]), Some(480));
        assert_eq!(best(&[486, 407]), Some(407));
        assert_eq!(best(&[486, 603]), Some(603));
        assert_eq!(best(&[302, 404]), Some(302));
        assert_eq!(best(&[503, 500]), Some(500));
        assert_eq!(best(&[500, 486]), Some(486));
    }
}
