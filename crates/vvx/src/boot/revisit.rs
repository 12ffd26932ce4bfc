//! The configuration fetched again while the phone runs, as `check-sync` asks for.

use net::{Outbox, Time};

use super::provisioning::Visit;
use super::provisioning::server::Server;
use super::{BootParts, Network};
use crate::fetch::Fetched;
use crate::log::Level;
use crate::model::Agent;

/// A visit to the provisioning server after the boot.
#[derive(Debug)]
pub struct Revisit(Box<Visit>);

impl Revisit {
    /// Begins; `None` without an address or a server, which the log says.
    pub fn begin(
        network: &Network,
        now: Time,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> Option<Revisit> {
        let address = network.lease.address()?;
        match Server::choose(network.lease.granted(), parts.config) {
            Ok(Some(server)) => {
                Some(Revisit(Box::new(Visit::begin(Agent::Application, server, address, now, parts, out))))
            }
            Ok(None) | Err(_) => {
                parts.say(now, "cfg", Level::Minor, "No provisioning server is named.", out);
                None
            }
        }
    }

    /// Takes in requests that came to their end; `true` when the visit is over and what it brought is in force.
    pub fn handle(
        &mut self,
        now: Time,
        fetched: Vec<Fetched>,
        parts: &mut BootParts<'_>,
        out: &mut Outbox,
    ) -> bool {
        self.0.handle(now, fetched, parts, out)
    }

    /// When it wants to be woken, besides its requests.
    pub fn wake_at(&self) -> Option<Time> {
        self.0.wake_at()
    }
}
