//! Who is where: addresses and UDP ports, looked up without asking everybody.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use net::NodeId;

/// Who has which address, who listens to which UDP port, and who has no address yet.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Several actors may have one address, as after a power cut; the first one counts.
    owners: BTreeMap<IpAddr, BTreeSet<NodeId>>,
    listening: BTreeMap<u16, BTreeSet<NodeId>>,
    /// Of those who listen, who have no address.
    homeless: BTreeMap<u16, BTreeSet<NodeId>>,
}

impl Places {
    /// Who has an address.
    pub(super) fn owner(&self, address: IpAddr) -> Option<NodeId> {
        self.owners.get(&address)?.first().copied()
    }

    /// An actor moves.
    pub(super) fn moved(
        &mut self,
        who: NodeId,
        from: Option<IpAddr>,
        to: Option<IpAddr>,
        ports: impl Iterator<Item = u16>,
    ) {
        if let Some(from) = from
            && let Some(owners) = self.owners.get_mut(&from)
        {
            owners.remove(&who);
            if owners.is_empty() {
                self.owners.remove(&from);
            }
        }
        if let Some(to) = to {
            self.owners.entry(to).or_default().insert(who);
        }
        for port in ports {
            match to {
                None => insert(&mut self.homeless, port, who),
                Some(_) => remove(&mut self.homeless, port, who),
            }
        }
    }

    /// An actor listens to a port.
    pub(super) fn listens(&mut self, who: NodeId, port: u16, has_address: bool) {
        insert(&mut self.listening, port, who);
        if !has_address {
            insert(&mut self.homeless, port, who);
        }
    }

    /// An actor listens to a port no more.
    pub(super) fn stops(&mut self, who: NodeId, port: u16) {
        remove(&mut self.listening, port, who);
        remove(&mut self.homeless, port, who);
    }

    /// Who listens to a port.
    pub(super) fn listening_at(&self, port: u16) -> impl Iterator<Item = NodeId> {
        self.listening.get(&port).into_iter().flatten().copied()
    }

    /// Who listens to a port and has no address.
    pub(super) fn homeless_at(&self, port: u16) -> impl Iterator<Item = NodeId> {
        self.homeless.get(&port).into_iter().flatten().copied()
    }
}

fn insert(ports: &mut BTreeMap<u16, BTreeSet<NodeId>>, port: u16, who: NodeId) {
    ports.entry(port).or_default().insert(who);
}

fn remove(ports: &mut BTreeMap<u16, BTreeSet<NodeId>>, port: u16, who: NodeId) {
    if let Some(there) = ports.get_mut(&port) {
        there.remove(&who);
        if there.is_empty() {
            ports.remove(&port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESK: NodeId = NodeId(3);
    const HALL: NodeId = NodeId(4);

    fn address(host: u8) -> Option<IpAddr> {
        Some(IpAddr::from([127, 20, 128, host]))
    }

    #[test]
    fn whoever_comes_first_by_number_has_an_address_that_two_have() {
        let mut places = Places::default();
        places.moved(HALL, None, address(1), std::iter::empty());
        places.moved(DESK, None, address(1), std::iter::empty());
        assert_eq!(address(1).and_then(|at| places.owner(at)), Some(DESK));
        places.moved(DESK, address(1), None, std::iter::empty());
        assert_eq!(address(1).and_then(|at| places.owner(at)), Some(HALL));
        places.moved(HALL, address(1), address(2), std::iter::empty());
        assert_eq!(address(1).and_then(|at| places.owner(at)), None);
    }

    #[test]
    fn whoever_gets_an_address_is_homeless_no_more() {
        let mut places = Places::default();
        places.listens(DESK, 68, false);
        places.listens(HALL, 68, true);
        assert_eq!(places.homeless_at(68).collect::<Vec<_>>(), [DESK]);
        assert_eq!(places.listening_at(68).collect::<Vec<_>>(), [DESK, HALL]);
        places.moved(DESK, None, address(1), [68].into_iter());
        assert_eq!(places.homeless_at(68).count(), 0);
        places.stops(DESK, 68);
        assert_eq!(places.listening_at(68).collect::<Vec<_>>(), [HALL]);
    }
}
