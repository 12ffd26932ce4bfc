//! Which certificates a lab needs, and how it brings its own.
//!
//! The simulated world draws them from the seed. A lab on real sockets brings what this machine keeps: authorities that
//! browsers and real phones were told to trust must be the same tomorrow.

use std::collections::BTreeMap;

use net::Random;
use net::tls::Credentials;
use pki::Places;

use super::ground::Addresses;
use crate::lab_file::Lab;

/// The name of the authority that phones and browsers come with; no pool may be called so.
pub const PUBLIC: &str = "public";

/// The name of the identity service's certificate.
pub const IDENTITY: &str = "identity";

/// The name of the server that tells about the public authority, and its host number.
pub(super) const PKI: &str = "pki";
pub(super) const PKI_HOST: u8 = 80;

/// An authority that a lab needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityWanted {
    /// Its name in [`Certified`]: [`PUBLIC`], or the pool whose own it is.
    pub name: String,
    /// Its common name.
    pub title: String,
    /// Where it tells about itself.
    pub places: Places,
    /// The servers that it vouches for.
    pub servers: Vec<ServerWanted>,
}

/// A server that needs a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerWanted {
    /// Its name in [`Certified`]: [`IDENTITY`], or the pool's.
    pub name: String,
    /// Its DNS names and addresses, the one that it is known by first.
    pub names: Vec<String>,
}

/// The host that tells about the public authority.
pub fn pki_host(lab: &Lab) -> String {
    format!("pki.{}", lab.domain.value)
}

/// The authorities and servers of a lab. With `addresses`, certificates also name the addresses that servers have there:
/// on real sockets not everybody asks the lab's DNS server.
pub fn wanted(lab: &Lab, addresses: Option<Addresses>) -> Vec<AuthorityWanted> {
    let domain = &lab.domain.value;
    let at = |host: u8| addresses.map(|addresses| addresses.cloud(host).to_string());
    let identity = std::iter::once(lab.identity_host()).chain(at(10)).collect();
    let mut all = vec![AuthorityWanted {
        name: PUBLIC.to_owned(),
        title: format!("{domain} Lab Public Root"),
        places: Places::new(&pki_host(lab), "", "public-root"),
        servers: vec![ServerWanted { name: IDENTITY.to_owned(), names: identity }],
    }];
    for (index, (name, pool)) in lab.all_pools().into_iter().enumerate() {
        let host = &pool.host.value;
        let mut names = vec![host.clone()];
        if index == 0 {
            let aliases = ["lyncdiscover", "lyncdiscoverinternal", "sip", "sipinternal"];
            names.extend(aliases.map(|alias| format!("{alias}.{domain}")));
        }
        names.extend(at(pool_host(index)));
        all.push(AuthorityWanted {
            name: name.to_owned(),
            title: format!("{domain} Communications Server {name}"),
            places: Places::new(host, "/pki", "pool-root"),
            servers: vec![ServerWanted { name: name.to_owned(), names }],
        });
    }
    all
}

/// The host number of a pool. A lab has far fewer pools than the cloud segment has addresses.
pub(super) fn pool_host(index: usize) -> u8 {
    20 + (index % 30) as u8
}

/// Authorities and server certificates that a lab brings along: all that [`wanted`] lists, by their names.
#[derive(Clone, Debug)]
pub struct Certified {
    /// Each authority's chain, itself first, and its key.
    pub authorities: BTreeMap<String, Credentials>,
    /// Each server's chain, leaf first, and its key.
    pub servers: BTreeMap<String, Credentials>,
    /// Where the serial numbers of what the authorities issue come from: never the same after another start.
    pub random: Random,
}
