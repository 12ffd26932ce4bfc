//! Which parts are whose: one for each core, and as many as phones at most; and whether their owners can bear them.

use super::WorkersError;
use super::words::Presence;
use crate::plan::{Part, Plan, Server, Sockets, Transport};

/// Files that a worker needs beside its phones' sockets.
const OTHER_FILES: u64 = 64;

/// Deals parts out: each worker's numbers, and how many there are.
pub(super) fn deal(workers: &[Presence], plan: &Plan) -> (Vec<Vec<u32>>, u32) {
    let most = plan.cores.unwrap_or(u32::MAX).max(1);
    let mut wanted: Vec<u32> = workers.iter().map(|worker| worker.cores.min(most)).collect();
    // A part without a phone could only fail. Whoever has most gives first.
    while wanted.iter().map(|cores| u64::from(*cores)).sum::<u64>() > u64::from(plan.phones.count.max(1)) {
        let Some(largest) = wanted.iter_mut().max() else { break };
        *largest -= 1;
    }
    let mut next = 0;
    let mut dealt = Vec::with_capacity(workers.len());
    for cores in wanted {
        dealt.push((next..next + cores).collect());
        next += cores;
    }
    (dealt, next)
}

/// Makes sure that workers have the files for their phones, and mean the same by the target's address.
pub(super) fn check(
    workers: &[Presence],
    dealt: &[Vec<u32>],
    of: u32,
    plan: &Plan,
    server: &Server,
    own_machine: &str,
) -> Result<(), WorkersError> {
    let per_phone = server.transport != Transport::Udp || plan.phones.sockets == Sockets::PerPhone;
    let count = u64::from(plan.phones.count);
    let mut fit = u64::MAX;
    let mut short = None;
    for (worker, parts) in workers.iter().zip(dealt) {
        if server.at.ip().is_loopback() && worker.machine != own_machine {
            let (name, host) = (worker.name.clone(), worker.host.clone());
            return Err(WorkersError::Loopback { target: server.at, name, host });
        }
        let sockets = match plan.phones.sockets {
            Sockets::Shared(sockets) if !per_phone => u64::from(sockets) * parts.len() as u64,
            Sockets::Shared(_) | Sockets::PerPhone => {
                parts.iter().map(|index| Part { index: *index, of }.share(count)).sum()
            }
        };
        if !parts.is_empty() {
            let room = worker.files.saturating_sub(OTHER_FILES);
            fit = fit.min(room.saturating_mul(u64::from(of)) / parts.len() as u64);
            if sockets > room {
                short.get_or_insert((worker, sockets + OTHER_FILES));
            }
        }
    }
    match short {
        Some((worker, wanted)) => {
            let (name, limit) = (worker.name.clone(), worker.files);
            Err(WorkersError::Files { name, wanted, limit, fit })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn worker(cores: u32) -> Presence {
        Presence {
            id: "x".to_owned(),
            name: "b1".to_owned(),
            host: "here".to_owned(),
            machine: "here".to_owned(),
            cores,
            files: 1_024,
            version: String::new(),
            protocol: 1,
            busy: None,
        }
    }

    fn plan(phones: u32, cores: Option<u32>) -> Plan {
        use std::time::Duration;

        use crate::plan::{Accounts, Limits, Network, Phones, Target};
        let server = Server {
            at: ([127, 0, 0, 1], 5060).into(),
            transport: Transport::Udp,
            domain: "lab.example".to_owned(),
            tls: None,
        };
        Plan {
            title: String::new(),
            seed: 0,
            target: Target::Server(server),
            phones: Phones {
                count: phones,
                accounts: Accounts::Pattern { user: "load{n}".to_owned(), password: None },
                from: [127, 0, 9, 1].into(),
                addresses: 1,
                sockets: Sockets::Shared(1),
                expires: Duration::from_secs(60),
                refresh: None,
                keep_alive: None,
            },
            work: Vec::new(),
            profile: Vec::new(),
            network: Network::default(),
            limits: Limits::default(),
            warm_up: Duration::ZERO,
            drain: Duration::ZERO,
            cores,
        }
    }

    #[test]
    fn each_core_gets_a_part_and_a_plan_may_say_how_many_at_most() {
        let workers = [worker(4), worker(1)];
        assert_eq!(deal(&workers, &plan(100, None)), (vec![vec![0, 1, 2, 3], vec![4]], 5));
        assert_eq!(deal(&workers, &plan(100, Some(2))), (vec![vec![0, 1], vec![2]], 3));
    }

    proptest! {
        #[test]
        fn every_part_has_an_owner_and_a_phone(cores in prop::collection::vec(1..9_u32, 1..6), phones in 1..30_u32) {
            let workers: Vec<Presence> = cores.iter().map(|cores| worker(*cores)).collect();
            let (dealt, of) = deal(&workers, &plan(phones, None));
            prop_assert_eq!(dealt.concat(), (0..of).collect::<Vec<_>>());
            prop_assert_eq!(of, phones.min(cores.iter().sum()));
        }
    }
}
