//! Seats: computers at which a fleet's owners sit down for as long as a sign-in lasts.
//!
//! Ten thousand people at ten thousand computers would mostly be idle. A seat is a person with a browser like any other;
//! whoever sits down brings their account, password and second factor, and takes pages and cookies along when they go.

use std::net::IpAddr;

use net::sim::SegmentId;
use net::tls::Trust;
use net::{NodeId, Random, WallClock, World};

use super::Cast;
use super::build::fleet_secret;
use super::ground::{Addresses, SEATS_MAX};
use crate::actor::Actor;
use crate::lab_file::SecondFactorKind;
use crate::person::{Person, PersonSetup};

/// The computers, and what new ones are made of.
#[derive(Debug)]
pub(super) struct Seats {
    pub(super) addresses: Addresses,
    pub(super) seed: u64,
    pub(super) dns: IpAddr,
    pub(super) trust: Trust,
    pub(super) clock: WallClock,
    pub(super) segment: SegmentId,
    pub(super) made: u32,
    pub(super) free: Vec<NodeId>,
}

impl<W: World<Actor>> Cast<W> {
    /// Somebody of a fleet sits down at a computer, whose number is given back; `None` if there is no such account, or
    /// no computer left.
    pub fn sit_down(&mut self, account: &str) -> Option<NodeId> {
        let facts = self.accounts.get(account)?;
        let (upn, password) = (facts.upn.clone(), facts.password.clone()?);
        let person = self.lab.people.get(account)?;
        let second_factor = match person.value.second_factor {
            SecondFactorKind::None => None,
            SecondFactorKind::Totp => Some(fleet_secret(&self.lab, account)),
        };
        let seat = match self.seats.free.pop() {
            Some(seat) => seat,
            None => self.make_seat()?,
        };
        self.world.act(seat, |actor, _, _| {
            if let Some(person) = actor.person_mut() {
                person.become_owner(upn, password, second_factor);
            }
        });
        Some(seat)
    }

    /// Whoever sits at a computer closes the browser and goes.
    pub fn stand_up(&mut self, seat: NodeId) {
        self.world.act(seat, |actor, _, out| {
            if let Some(person) = actor.person_mut() {
                person.close_browser(out);
            }
        });
        self.seats.free.push(seat);
    }

    fn make_seat(&mut self) -> Option<NodeId> {
        let number = self.seats.made;
        if number >= SEATS_MAX {
            return None;
        }
        self.seats.made += 1;
        let Seats { addresses, seed, dns, segment, clock, ref trust, .. } = self.seats;
        let name = format!("seat {number}");
        let person = Person::new(PersonSetup {
            random: Random::named(seed, &name),
            name: name.clone(),
            address: addresses.seat(number).into(),
            dns,
            trust: trust.clone(),
            clock,
            account: String::new(),
            password: String::new(),
            second_factor: None,
        });
        let seat = self.world.add_node(&name, Actor::Person(Box::new(person)), segment);
        self.world.power_on(seat);
        Some(seat)
    }
}
