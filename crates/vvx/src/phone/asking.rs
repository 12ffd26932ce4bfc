//! Questions on behalf of the sign-in and the registration: web requests and names, and their answers.

use net::{Outbox, Time};

use crate::fetch::{FetchParts, Fetched};
use crate::log::Level;
use crate::resolver::{Answer, Lookup, Question};
use crate::sign_in::ask::{Ask, Vouching};

use super::powered::Parts;
use super::running::{ForWhom, Running, Via};
use super::web;

impl Running {
    pub(super) fn ask(&mut self, ask: &Ask, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let user_agent = parts.setup.firmware.sip_agent(parts.setup.model, None);
        let request = web::request(ask, &user_agent);
        let (names, clock) = (parts.names(), parts.clock.wall());
        let Parts { resolver, random, built_in, pool_trust, fetcher, pool_fetcher, .. } = parts;
        let (via, fetcher, trust) = match ask.vouching {
            Vouching::BuiltIn => (Via::BuiltIn, fetcher, &*built_in),
            Vouching::Pool => (Via::Pool, pool_fetcher, &*pool_trust),
        };
        let mut parts = FetchParts { resolver, random, clock, trust, names };
        let id = fetcher.start(request, now, &mut parts, out);
        self.request = Some((via, id, ask.clone()));
    }

    pub(super) fn answered(
        &mut self,
        ask: &Ask,
        fetched: Fetched,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        let answer = web::answer(ask, fetched.result);
        if let Err(why) = &answer {
            parts.say(now, "tickt", Level::Minor, &format!("{}: {why}", ask.what), out);
        }
        let wall = parts.clock.read(now);
        let wants = self.sign_in.as_mut().map(|sign_in| sign_in.answered(now, wall, answer));
        self.want(wants.unwrap_or_default(), now, parts, out);
    }

    /// Forgets the request under way.
    pub(super) fn cancel_request(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let Some((via, id, _)) = self.request.take() else {
            return;
        };
        let (names, clock) = (parts.names(), parts.clock.wall());
        let Parts { resolver, random, built_in, pool_trust, fetcher, pool_fetcher, .. } = parts;
        let (fetcher, trust) = match via {
            Via::BuiltIn => (fetcher, &*built_in),
            Via::Pool => (pool_fetcher, &*pool_trust),
        };
        fetcher.cancel(id, now, &mut FetchParts { resolver, random, clock, trust, names }, out);
    }

    pub(super) fn look_up(
        &mut self,
        question: Question,
        whom: ForWhom,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        match parts.resolver.ask(question, now, &mut parts.random, out) {
            Lookup::Done(result) => self.known.push((whom, result.map_err(|why| why.to_string()))),
            Lookup::Pending(id) => drop(self.lookups.insert(id, whom)),
        }
    }

    pub(super) fn looked_up(
        &mut self,
        whom: ForWhom,
        result: Result<Answer, String>,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        match whom {
            ForWhom::SignIn => {
                let records: Vec<(String, u16)> = match result {
                    Ok(Answer::Services(services)) => {
                        services.into_iter().map(|service| (service.target, service.port)).collect()
                    }
                    Ok(Answer::Addresses(_) | Answer::Pointers(_)) | Err(_) => Vec::new(),
                };
                let wants = self.sign_in.as_mut().map(|sign_in| sign_in.looked_up(&records));
                self.want(wants.unwrap_or_default(), now, parts, out);
            }
            ForWhom::Registration => {
                let addresses = match result {
                    Ok(Answer::Addresses(addresses)) => Ok(addresses),
                    Ok(Answer::Services(_) | Answer::Pointers(_)) => Ok(Vec::new()),
                    Err(why) => Err(why),
                };
                let said = self.with_registration(parts, out, |registration, tools, out| {
                    registration.resolved(now, addresses, tools, out)
                });
                self.said(said, now, parts, out);
            }
        }
    }
}
