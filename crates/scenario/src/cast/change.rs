//! Changing a cast in the middle of a story: administration, faults of services, clocks and names.

use std::net::Ipv4Addr;

use net::{WallClock, World};
use site::dns::Data;

use super::Cast;
use super::build::{identity_policies, phone_policy};
use crate::actor::Actor;
use crate::language::{Party, SetPolicy};

/// For how many seconds a changed DNS record may be remembered.
const TTL: u32 = 60;

/// The identity service's endpoints by their names in stories.
const ENDPOINTS: &[(&str, identity::Endpoint)] = &[
    ("device-code", identity::Endpoint::DeviceCode),
    ("token", identity::Endpoint::Token),
    ("pages", identity::Endpoint::Pages),
    ("portal", identity::Endpoint::Portal),
    ("metadata", identity::Endpoint::Metadata),
];

impl<W: World<Actor>> Cast<W> {
    /// Gives an account a new password, at the identity service and at its pool; its owner learns it.
    pub fn change_password(&mut self, account: &str, password: &str) {
        let Some(facts) = self.accounts.get_mut(account) else { return };
        facts.password = Some(password.to_owned());
        let upn = facts.upn.clone();
        self.with_identity(|identity, now, out| {
            // The service knows every account of the lab.
            let _ = identity.change_password(&upn, password, now, out);
        });
        self.with_pools(|pool, now, out| {
            if pool.accounts().find(&upn).is_some_and(|account| account.password.is_some()) {
                pool.set_password(&upn, password, now, out);
            }
        });
        if let Some(who) = self.node(account) {
            self.world.act(who, |actor, _, _| {
                if let Some(person) = actor.person_mut() {
                    person.learn_password(password);
                }
            });
        }
    }

    /// Lets an account sign in, or forbids it, at the identity service and at every pool.
    pub fn set_enabled(&mut self, account: &str, is_enabled: bool) {
        let Some(upn) = self.upn(account) else { return };
        self.with_identity(|identity, now, out| {
            // The service knows every account of the lab.
            let _ = identity.set_enabled(&upn, is_enabled, now, out);
        });
        self.with_pools(|pool, now, out| {
            if is_enabled {
                pool.enable(&upn, now, out);
            } else {
                pool.disable(&upn, now, out);
            }
        });
    }

    /// Revokes an account's sessions and refresh tokens.
    pub fn revoke_sessions(&mut self, account: &str) {
        let Some(upn) = self.upn(account) else { return };
        self.with_identity(|identity, now, out| {
            // The service knows every account of the lab.
            let _ = identity.revoke_sessions(&upn, now, out);
        });
    }

    /// Revokes an account's client certificates at every pool.
    pub fn revoke_certificates(&mut self, account: &str) {
        let Some(upn) = self.upn(account) else { return };
        self.with_pools(|pool, now, out| {
            pool.revoke(&upn, now, out);
        });
    }

    /// Changes policies; what is not named stays.
    pub fn set_policy(&mut self, change: &SetPolicy) {
        if let Some(lock) = &change.phone_lock {
            let own = &mut self.lab.policies.phone_lock;
            own.enforce = lock.enforce.unwrap_or(own.enforce);
            own.min_digits = lock.min_digits.unwrap_or(own.min_digits);
            own.idle = lock.idle.unwrap_or(own.idle);
            let policy = phone_policy(&self.lab);
            let upns: Vec<String> = self.accounts.values().map(|facts| facts.upn.clone()).collect();
            self.with_pools(|pool, now, out| {
                for upn in &upns {
                    pool.set_policy(upn, policy.clone(), now, out);
                }
            });
        }
        if let Some(rules) = &change.conditional_access {
            self.lab.policies.conditional_access = rules.clone();
            let policies = identity_policies(&self.lab);
            self.with_identity(|identity, now, out| identity.set_policy(policies, now, out));
        }
    }

    /// Homes an account on another pool.
    ///
    /// # Errors
    ///
    /// If there is no such pool.
    pub fn move_user(&mut self, account: &str, to: &str) -> Result<(), String> {
        let target = self.pools.iter().find(|(name, _)| name == to).cloned();
        let (target, host) = target.ok_or_else(|| format!("there is no pool `{to}`"))?;
        let facts = self.accounts.get_mut(account).ok_or_else(|| "there is no such account".to_owned())?;
        facts.pool.clone_from(&target);
        let upn = facts.upn.clone();
        for (name, _) in self.pools.clone() {
            let home =
                if name == target { registrar::Home::Here } else { registrar::Home::Pool(host.clone()) };
            self.with_pool(&name, |pool, now, out| {
                pool.move_user(&upn, home, now, out);
            });
        }
        Ok(())
    }

    /// Lets a service answer the next requests of a kind with a status.
    ///
    /// # Errors
    ///
    /// If the service cannot, with what it can.
    pub fn answer_next(&mut self, service: &str, kind: &str, next: u32, status: u16) -> Result<(), String> {
        let who = self.service(service).ok_or_else(|| "there is no such service".to_owned())?;
        self.world.act(who, |actor, _, _| {
            if let Some(identity) = actor.identity_mut() {
                let known = ENDPOINTS.iter().find(|(name, _)| *name == kind);
                let (_, endpoint) = known.ok_or_else(|| unknown(kind, ENDPOINTS.iter().map(|e| e.0)))?;
                identity.answer_next(*endpoint, next, identity::Ordered::Status(status));
                Ok(())
            } else if let Some(pool) = actor.registrar_mut() {
                let exchange = registrar::Exchange::named(kind)
                    .ok_or_else(|| unknown(kind, registrar::Exchange::ALL.iter().map(|e| e.0)))?;
                pool.answer_next(exchange, next, status);
                Ok(())
            } else if let Some(server) = actor.provisioning_mut() {
                let status = net::http::StatusCode::from_u16(status).map_err(|why| why.to_string())?;
                server.answer_next(next as usize, status);
                Ok(())
            } else {
                Err("cannot be told what to answer".to_owned())
            }
        })
    }

    /// Gives a name an address.
    pub fn set_name(&mut self, name: &str, address: Ipv4Addr) {
        let address = self.addresses.resettled(&self.lab_as_written, address);
        self.with_dns(|dns| {
            // A name that is no name, or of another domain, is refused by the server and stays unknown.
            let _ = dns.set(name, TTL, &[Data::A(address)]);
        });
    }

    /// Takes a name out of DNS.
    pub fn remove_name(&mut self, name: &str) {
        self.with_dns(|dns| {
            dns.remove(name);
        });
    }

    /// Changes somebody's clock; says whether they have one.
    pub fn with_clock(&mut self, of: &Party, change: impl FnOnce(&mut WallClock)) -> bool {
        let who = match of {
            Party::Service(name) => self.service(name.as_str()),
            of => self.node(of.as_str()),
        };
        let Some(who) = who else { return false };
        self.world.act(who, |actor, _, _| {
            let clock = if let Some(ntp) = actor.ntp_mut() {
                ntp.clock_mut()
            } else if let Some(person) = actor.person_mut() {
                person.clock_mut()
            } else if let Some(identity) = actor.identity_mut() {
                identity.clock_mut()
            } else if let Some(pool) = actor.registrar_mut() {
                pool.clock_mut()
            } else if let Some(clock) = actor.phone_mut().and_then(|phone| phone.clock_mut()) {
                clock
            } else {
                return false;
            };
            change(clock);
            true
        })
    }

    fn with_identity(&mut self, verb: impl FnOnce(&mut identity::Identity, net::Time, &mut net::Outbox)) {
        if let Some(who) = self.node("identity") {
            self.world.act(who, |actor, now, out| {
                if let Some(identity) = actor.identity_mut() {
                    verb(identity, now, out);
                }
            });
        }
    }

    fn with_pools(&mut self, mut verb: impl FnMut(&mut registrar::Registrar, net::Time, &mut net::Outbox)) {
        for (name, _) in self.pools.clone() {
            self.with_pool(&name, &mut verb);
        }
    }

    fn with_pool(
        &mut self,
        name: &str,
        verb: impl FnOnce(&mut registrar::Registrar, net::Time, &mut net::Outbox),
    ) {
        if let Some(who) = self.node(name) {
            self.world.act(who, |actor, now, out| {
                if let Some(pool) = actor.registrar_mut() {
                    verb(pool, now, out);
                }
            });
        }
    }

    fn with_dns(&mut self, verb: impl FnOnce(&mut site::dns::DnsServer)) {
        if let Some(who) = self.node("dns") {
            self.world.act(who, |actor, _, _| {
                if let Some(dns) = actor.dns_mut() {
                    verb(dns);
                }
            });
        }
    }
}

fn unknown<'a>(kind: &str, known: impl Iterator<Item = &'a str>) -> String {
    format!("does not know requests called `{kind}`; it knows {}", known.collect::<Vec<_>>().join(", "))
}
