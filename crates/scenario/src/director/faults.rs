//! Steps that lay faults over the world, and take them away again.

use net::rule::{Filter, Rule, Verdict};
use net::sim::{CutAtWrite, LinkModel};
use net::{NodeId, World};

use super::{Director, Due, Failure, Wait};
use crate::actor::Actor;
use crate::language::{Block, Clock, Network, Party, PowerCut, Step, Verb};
use crate::mistakes::Place;

/// How a link was before a fault changed it.
#[derive(Clone, Debug)]
pub(super) struct LinkBefore(LinkModel);

impl<W: World<Actor>> Director<W> {
    pub(super) fn lay_fault(&mut self, step: &Step) -> Result<Wait, Failure> {
        let place = step.place;
        match &step.verb {
            Verb::PowerCut(cut) => return self.cut_power(cut, place),
            Verb::Network(network) => self.trouble_network(network, place)?,
            Verb::Stop(stop) => {
                let who = self.service(stop.service.as_str(), place)?;
                self.cast.world.stop(who);
            }
            Verb::Start(start) => {
                let who = self.service(start.service.as_str(), place)?;
                self.cast.world.power_on(who);
            }
            Verb::Answer(answer) => {
                let service = answer.service.as_str();
                let done = self.cast.answer_next(service, answer.kind.as_str(), answer.next, answer.status);
                done.map_err(|why| self.cannot(place, service, why))?;
            }
            Verb::Clock(clock) => self.change_clock(clock, place)?,
            Verb::Dns(dns) => {
                for (name, address) in &dns.set {
                    self.cast.set_name(name, *address);
                }
                for name in &dns.remove {
                    self.cast.remove_name(name);
                }
            }
            _ => {}
        }
        Ok(Wait::Nothing)
    }

    fn service(&self, name: &str, place: Place) -> Result<NodeId, Failure> {
        self.cast.service(name).ok_or_else(|| self.cannot(place, name, "there is no such service"))
    }

    fn cut_power(&mut self, cut: &PowerCut, place: Place) -> Result<Wait, Failure> {
        let who = match (&cut.phone, &cut.server) {
            (Some(phone), _) => self.cast.node(phone.as_str()),
            (None, Some(server)) => self.cast.service(server.as_str()),
            (None, None) => None,
        };
        let Some(who) = who else {
            return Err(self.cannot(place, "power-cut", "there is no such device"));
        };
        let written = self.cast.world.disk_writes(who);
        let planned = match (cut.at_write, cut.torn_write) {
            (Some(nth), _) => Some(CutAtWrite { write: written + u64::from(nth), octets: Some(0) }),
            // How much of it arrives is the seed's to say.
            (_, Some(nth)) => Some(CutAtWrite { write: written + u64::from(nth), octets: None }),
            (None, None) => None,
        };
        if planned.is_some() {
            self.cast.world.cut_at_write(who, planned);
            self.planned_cuts.push((who, cut.lasts));
            return Ok(Wait::Nothing);
        }
        self.cast.world.power_off(who);
        match cut.lasts {
            None => Ok(Wait::Nothing),
            Some(lasts) => Ok(Wait::Restart { who, on_at: self.cast.world.now() + lasts }),
        }
    }

    fn trouble_network(&mut self, network: &Network, place: Place) -> Result<(), Failure> {
        let party = network.party();
        if network.restore {
            self.restore(party.as_ref(), network.to.as_ref());
            return Ok(());
        }
        let until = network.lasts.map(|lasts| self.cast.world.now() + lasts);
        // A fault of a whole site is a fault of its link; any other is laid over the packets of whom it names.
        if let (Some(Party::Site(site)), None, None) = (&party, &network.to, &network.block) {
            return self.trouble_link(site.as_str(), network, until, place);
        }
        let near = self.nodes_of(party.as_ref());
        let far = self.nodes_of(network.to.as_ref());
        let base = Filter { party: near, other: far, ..Filter::default() };
        let mut verdicts = Vec::new();
        if network.cut {
            verdicts.push((base.clone(), Verdict::Drop));
        }
        if let Some(block) = &network.block {
            let filter = match block {
                Block::Port(port) => Filter { port: Some(*port), ..base.clone() },
                Block::Party(party) => Filter { other: self.nodes_of(Some(party)), ..base.clone() },
            };
            verdicts.push((filter, Verdict::Refuse));
        }
        let shares = [
            network.loss.map(|share| Verdict::Lose(share.0)),
            network.duplicate.map(|share| Verdict::Duplicate(share.0)),
            network.reorder.map(|share| Verdict::Reorder(share.0)),
            network.delay.map(Verdict::Delay),
        ];
        verdicts.extend(shares.into_iter().flatten().map(|verdict| (base.clone(), verdict)));
        for (filter, verdict) in verdicts {
            self.rules_made += 1;
            let name = format!("fault {}", self.rules_made);
            let way = |party: Option<&Party>| party.map(|party| party.as_str().to_owned());
            self.rules.push((name.clone(), way(party.as_ref()), way(network.to.as_ref())));
            self.cast.world.add_rule(Rule { name: name.clone(), filter, verdict, remaining: None });
            if let Some(until) = until {
                self.agenda.push((until, Due::EndRule(name)));
            }
        }
        Ok(())
    }

    fn trouble_link(
        &mut self,
        site: &str,
        network: &Network,
        until: Option<net::Time>,
        place: Place,
    ) -> Result<(), Failure> {
        let Some(segment) = self.cast.segment(site) else {
            return Err(self.cannot(place, site, "there is no such site"));
        };
        let link = self.cast.world.link_mut(segment);
        let before = LinkBefore(link.clone());
        link.is_cut |= network.cut;
        link.delay += network.delay.unwrap_or_default();
        link.loss = network.loss.map_or(link.loss, |share| share.0);
        link.duplicate = network.duplicate.map_or(link.duplicate, |share| share.0);
        link.reorder = network.reorder.map_or(link.reorder, |share| share.0);
        if let Some(until) = until {
            self.agenda.push((until, Due::RestoreLink { site: site.to_owned(), undo: before }));
        }
        Ok(())
    }

    /// Ends the faults of a side, or of one way from it.
    fn restore(&mut self, party: Option<&Party>, to: Option<&Party>) {
        if let (Some(Party::Site(site)), None) = (party, to)
            && let Some(model) = self.cast.link_of(site.as_str())
        {
            self.restore_link(site.as_str(), LinkBefore(model));
        }
        let way = (party.map(Party::as_str), to.map(Party::as_str));
        for (name, from, of) in std::mem::take(&mut self.rules) {
            let is_meant = from.as_deref() == way.0 && (way.1.is_none() || of.as_deref() == way.1);
            if is_meant {
                self.cast.world.remove_rule(&name);
            } else {
                self.rules.push((name, from, of));
            }
        }
    }

    pub(super) fn restore_link(&mut self, site: &str, before: LinkBefore) {
        if let Some(segment) = self.cast.segment(site) {
            *self.cast.world.link_mut(segment) = before.0;
        }
    }

    fn nodes_of(&self, party: Option<&Party>) -> Vec<NodeId> {
        party.map(|party| self.cast.nodes_of(party)).unwrap_or_default()
    }

    fn change_clock(&mut self, clock: &Clock, place: Place) -> Result<(), Failure> {
        let now = self.cast.world.now();
        let name = clock.of.as_str();
        let done = self.cast.with_clock(&clock.of, |own| {
            if let Some(wall) = clock.set {
                own.set(now, wall);
            }
            if let Some(shift) = clock.skew {
                let reading = own.read(now);
                own.set(now, if shift.back { reading.minus(shift.span) } else { reading.plus(shift.span) });
            }
            if let Some(drift) = clock.drift {
                *own = net::WallClock::new(own.read(now), now).drifting(drift.0);
            }
        });
        done.then_some(()).ok_or_else(|| self.cannot(place, name, "has no clock that can be changed"))
    }
}
