//! `lab.yaml`: the place. What exists, and what it is called.
//!
//! Units are in the values (`12ms`, `180d`, `0.5%`); unknown keys are refused with the nearest known one
//! named. A [`Lab`] has passed every check across its parts: names are there, addresses do not collide, and
//! nothing in it pretends to be a real service.

pub(crate) mod check;
mod fleets;
mod identity;
mod people;
mod phones;
mod pool;
mod sites;

use std::collections::BTreeMap;

pub use fleets::{FLEET_MAX, Fleet, numbered};
pub use identity::{ConditionalAccess, Identity, Profile, Rule};
pub use people::{Person, PersonKind, Role, SecondFactorKind, Secret};
pub use phones::Phone;
pub use pool::{DigestOffer, PhoneLock, Policies, Pool};
pub use sites::{Dhcp, Link, Site};

use net::Wall;

use crate::yaml::record::record;
use crate::yaml::{Kind, Located, Names, Node, Reader, Value};

/// Things of one sort by name.
pub type Named<T> = BTreeMap<String, Located<T>>;

record! {
    /// A lab: what exists, where, and by what name.
    "a lab" pub struct Lab {
        /// The domain of its accounts and servers; one that no real network uses, such as `contoso.example`.
        "domain" domain: Located<String> = Located { value: "contoso.example".into(), place: Default::default() },
        /// What the lab's clocks say at 0.000s.
        "epoch" epoch: Wall = Wall::from_unix_secs(1_539_075_600),
        /// What its chance is drawn from; the same seed gives the same run.
        "seed" seed: u64 = 7,
        /// The identity service.
        "identity" identity: Identity = Identity::standard(),
        /// The pool, if there is one; its name is then `fe`.
        "pool" pool: Option<Located<Pool>>,
        /// The pools by name, if there are several. The first of them is where people are without `pool`.
        "pools" pools: Named<Pool>,
        /// Policies.
        "policies" policies: Policies = Policies::standard(),
        /// People and accounts by name.
        "people" people: Named<Person>,
        /// Sites by name.
        "sites" sites: Named<Site>,
        /// Phones by name.
        "phones" phones: Named<Phone>,
        /// Fleets by name: many phones, each with an account, for load.
        "fleets" fleets: Named<Fleet>,
        /// Files on every site's provisioning server: names and contents.
        "provisioning" provisioning: BTreeMap<String, String>,
    }
}

impl Lab {
    /// The pools by name, the single one of `pool` included. In the order of their names, `fe` first.
    pub fn all_pools(&self) -> Vec<(&str, &Pool)> {
        let single = self.pool.iter().map(|pool| ("fe", &pool.value));
        let mut pools: Vec<(&str, &Pool)> =
            single.chain(self.pools.iter().map(|(name, pool)| (name.as_str(), &pool.value))).collect();
        pools.sort_by_key(|(name, _)| (*name != "fe", *name));
        pools
    }

    /// The host name of the identity service.
    pub fn identity_host(&self) -> String {
        match &self.identity.host {
            Some(host) => host.value.clone(),
            None => format!("login.{}", self.domain.value),
        }
    }
}

/// Reads a lab and checks it across its parts; `None` if anything was wrong.
pub(crate) fn read(node: &Node, reader: &mut Reader) -> Option<Lab> {
    let before = reader.mistakes.len();
    teach(node, &mut reader.names);
    let lab = Lab::read(node, reader);
    check::lab(node, reader);
    lab.filter(|_| reader.mistakes.len() == before)
}

/// Makes what the lab calls its parts the known names. Works on a lab that is wrong elsewhere.
pub(crate) fn teach(node: &Node, names: &mut Names) {
    let of = |key: &str| -> Vec<&str> {
        node.get(key).map_or(&[][..], Node::entries).iter().map(|entry| entry.key.as_str()).collect()
    };
    let sites = of("sites");
    let mut pools = of("pools");
    if node.get("pool").is_some() && !pools.contains(&"fe") {
        pools.insert(0, "fe");
    }
    let of_sites: Vec<String> =
        sites.iter().flat_map(|site| [format!("{site}.dhcp"), format!("{site}.provisioning")]).collect();
    let services = SERVICES.iter().copied().chain(pools.iter().copied());
    names.know(Kind::Service, services.chain(of_sites.iter().map(String::as_str)));
    names.know(Kind::Person, of("people"));
    names.know(Kind::Phone, of("phones"));
    names.know(Kind::Site, sites);
    names.know(Kind::Pool, pools);
}

/// The services of every lab; `registrar` is the first pool.
pub const SERVICES: &[&str] = &["identity", "registrar", "dns", "ntp"];
