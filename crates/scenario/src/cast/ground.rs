//! The ground a lab is built on: which addresses its actors get, and where chance comes from.
//!
//! The simulated world uses addresses that no network has (RFC 5737). On real sockets every actor needs an address of
//! its own that this machine answers at: a network of 65,536, usually a part of 127.0.0.0/8, is divided in the same way.

use std::net::Ipv4Addr;
use std::sync::Arc;

use identity::SigningKeys;
use net::Crypto;

use super::build::BuildError;
use super::certified::Certified;
use crate::lab_file::Lab;

/// How many sites fit beside the cloud and the people in a network of 65,536 addresses.
const MOST_SITES: usize = 8;

/// The cloud segment of the simulated world (RFC 5737), a /24.
const CLOUD: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 0);

/// The network of people's computers in the simulated world (RFC 5737), a /24.
const HOME: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 0);

/// The network of the computers at which a fleet's owners sit in the simulated world (RFC 2544), a /15.
const SEATS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// How many such computers there are: x.y.101.0 to x.y.127.255.
pub(super) const SEATS_MAX: u32 = 27 * 256;

/// How many addresses of a site are not for phones of a fleet: servers, computers, and phones with names.
const SITE_RESERVE: u32 = 1024;

/// What a lab is built of besides its file.
#[derive(Clone, Debug)]
pub struct Ground {
    /// All chance of its actors is drawn from this and their names.
    pub seed: u64,
    /// The cryptography of the world.
    pub crypto: Crypto,
    /// Which addresses actors get.
    pub addresses: Addresses,
    /// The certificates that the lab brings along; without, it draws them from the seed.
    pub certified: Option<Arc<Certified>>,
    /// The keys that sign tokens; without them the ones that all simulated labs share.
    pub signing_keys: Option<SigningKeys>,
    /// Which part of the lab is built here.
    pub part: Part,
}

/// Which part of a lab is built. A fleet may live in a program of its own, beside the one whose services it loads: both
/// are built from the same file, on the same addresses and by the same certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The identity service, the pools and the public authority's server.
    Services,
    /// Everything else: names, time, sites, people and phones.
    Office,
}

impl Ground {
    /// The ground of the simulated world.
    pub fn simulated(seed: u64) -> Ground {
        Ground {
            seed,
            crypto: Crypto::Seeded,
            addresses: Addresses::Documentation,
            certified: None,
            signing_keys: None,
            part: Part::Whole,
        }
    }

    /// The ground of a world of real sockets, on the /16 network that `network` begins.
    pub fn real(seed: u64, network: Ipv4Addr) -> Ground {
        Ground {
            seed,
            crypto: Crypto::System,
            addresses: Addresses::Within(network),
            certified: None,
            signing_keys: None,
            part: Part::Whole,
        }
    }
}

/// Which addresses actors get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// 192.0.2.0/24 for services, 198.51.100.0/24 for people, the lab file's subnets for sites.
    Documentation,
    /// All in the /16 network that begins here: services in x.y.2.0/24, people in x.y.100.0/24, the n-th site in a /20
    /// from x.y.128.0 on.
    Within(Ipv4Addr),
}

impl Addresses {
    /// The address of a service.
    pub fn cloud(self, host: u8) -> Ipv4Addr {
        match self {
            Addresses::Documentation => offset(CLOUD, host.into()),
            Addresses::Within(network) => offset(network, 2 * 256 + u32::from(host)),
        }
    }

    /// The address of a person's computer.
    pub fn home(self, host: u8) -> Ipv4Addr {
        match self {
            Addresses::Documentation => offset(HOME, host.into()),
            Addresses::Within(network) => offset(network, 100 * 256 + u32::from(host)),
        }
    }

    /// The address of one of the computers at which a fleet's owners sit.
    pub(super) fn seat(self, index: u32) -> Ipv4Addr {
        match self {
            Addresses::Documentation => offset(SEATS, 256 + index % SEATS_MAX),
            Addresses::Within(network) => offset(network, 101 * 256 + index % SEATS_MAX),
        }
    }

    /// The lab with its sites, and every address that its file writes, on these addresses.
    ///
    /// # Errors
    ///
    /// If the lab has more sites than fit.
    pub(super) fn resettle(self, lab: &Lab) -> Result<Lab, BuildError> {
        let mut settled = lab.clone();
        if self == Addresses::Documentation {
            return Ok(settled);
        }
        if lab.sites.len() > MOST_SITES {
            let why = format!("on real sockets a lab has at most {MOST_SITES}");
            return Err(BuildError { what: format!("{} sites", lab.sites.len()), why });
        }
        let blocks = blocks(lab)?;
        for site in settled.sites.values_mut() {
            site.value.dhcp.dns = site.value.dhcp.dns.map(|address| self.resettled(lab, address));
            if let Some(ntp) = &mut site.value.dhcp.ntp
                && let Ok(address) = ntp.parse::<Ipv4Addr>()
            {
                *ntp = self.resettled(lab, address).to_string();
            }
        }
        for (site, (first, count)) in settled.sites.values_mut().zip(blocks) {
            let subnet = &mut site.value.subnet.value;
            subnet.address = self.site(first);
            // Blocks come in powers of two.
            subnet.prefix = subnet.prefix.max(20 - count.trailing_zeros() as u8);
        }
        Ok(settled)
    }

    /// An address as a file writes it, which speaks of the simulated world, where it is on these addresses. One that
    /// belongs to no part of the lab stays as it is.
    pub(super) fn resettled(self, lab: &Lab, address: Ipv4Addr) -> Ipv4Addr {
        if self == Addresses::Documentation {
            return address;
        }
        let [.., host] = address.octets();
        let in_24 = |network: Ipv4Addr| u32::from(address) & !0xff == u32::from(network);
        if in_24(CLOUD) {
            return self.cloud(host);
        }
        if in_24(HOME) {
            return self.home(host);
        }
        let blocks = blocks(lab).unwrap_or_default();
        for (site, (first, _)) in lab.sites.values().zip(blocks) {
            let subnet = site.value.subnet.value;
            if (u32::from(subnet.address)..=u32::from(subnet.last())).contains(&u32::from(address)) {
                let distance = u32::from(address) - u32::from(subnet.address);
                return offset(self.site(first), distance & 0xfff);
            }
        }
        address
    }

    fn site(self, index: usize) -> Ipv4Addr {
        let Addresses::Within(network) = self else { return CLOUD };
        // Below `MOST_SITES`, so that the third octet stays below 256.
        offset(network, (128 + 16 * index as u32) * 256)
    }
}

/// The first block of 4,096 addresses of each site, and how many it has: one, or as many as its fleets want.
fn blocks(lab: &Lab) -> Result<Vec<(usize, usize)>, BuildError> {
    let mut next: usize = 0;
    let mut all = Vec::new();
    for name in lab.sites.keys() {
        let phones = fleet_phones(lab, name);
        let wanted = if phones == 0 { 1 } else { (phones + SITE_RESERVE).div_ceil(4096) as usize };
        let count = wanted.next_power_of_two();
        // A network begins where its prefix does.
        let first = next.next_multiple_of(count);
        next = first + count;
        all.push((first, count));
    }
    if next > MOST_SITES {
        let why = format!("the sites want {} addresses; there are {}", next * 4096, MOST_SITES * 4096);
        return Err(BuildError { what: "fleets".to_owned(), why });
    }
    Ok(all)
}

/// How many phones of fleets a site has.
pub(super) fn fleet_phones(lab: &Lab, site: &str) -> u32 {
    let here = lab.fleets.values().filter(|fleet| fleet.value.site.value == site);
    here.map(|fleet| fleet.value.count).sum()
}

fn offset(address: Ipv4Addr, by: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address).saturating_add(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_host_numbers_count_on_both_grounds() {
        let real = Addresses::Within(Ipv4Addr::new(127, 20, 0, 0));
        assert_eq!(Addresses::Documentation.cloud(53), Ipv4Addr::new(192, 0, 2, 53));
        assert_eq!(real.cloud(53), Ipv4Addr::new(127, 20, 2, 53));
        assert_eq!(real.home(10), Ipv4Addr::new(127, 20, 100, 10));
        assert_eq!(real.site(7), Ipv4Addr::new(127, 20, 240, 0));
    }
}
