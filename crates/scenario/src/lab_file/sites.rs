//! Sites: networks with phones in them.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::check;
use crate::yaml::record::record;
use crate::yaml::{Located, Share, Shift, Subnet};

record! {
    /// A site: a network with a DHCP server, a provisioning server and phones.
    "a site" pub struct Site {
        /// Its network.
        "subnet" subnet: Located<Subnet>,
        /// What its DHCP server tells phones.
        "dhcp" dhcp: Dhcp = Dhcp::standard(),
        /// The link between the site and the rest of the lab.
        "link" link: Link = Link::standard(),
    }
}

record! {
    /// What a site's DHCP server tells phones.
    "`dhcp`" pub struct Dhcp {
        /// Whether there is a DHCP server.
        "enabled" enabled: bool = true,
        /// The time server: a name or an address (option 42).
        "ntp" ntp: Option<String> => check::time_server,
        /// Where provisioning files are: an address that begins with `http://` (option 160).
        "provisioning" provisioning: Option<String> => check::provisioning_url,
        /// Whether it names the pool's certificate service (option 43).
        "uc-client" uc_client: bool = true,
        /// How far local time is ahead of UTC (option 2).
        "gmt-offset" gmt_offset: Option<Shift> => check::gmt_offset,
        /// How long an address is lent.
        "lease" lease: Duration = Duration::from_secs(86_400) => check::secs(60, 365 * 86_400),
        /// The name servers, if not the lab's.
        "dns" dns: Option<Ipv4Addr>,
        /// The domain name, if not the lab's (option 15).
        "domain" domain: Option<String> => check::site_domain,
    }
}

impl Dhcp {
    /// What it is when `lab.yaml` says nothing.
    pub fn standard() -> Dhcp {
        Dhcp {
            enabled: true,
            ntp: None,
            provisioning: None,
            uc_client: true,
            gmt_offset: None,
            lease: Duration::from_secs(86_400),
            dns: None,
            domain: None,
        }
    }
}

record! {
    /// How packets travel between a site and the rest of the lab.
    "`link`" pub struct Link {
        /// How long a packet takes one way.
        "delay" delay: Duration = Duration::from_millis(1) => check::secs(0, 60),
        /// How much longer it takes at most, by chance.
        "jitter" jitter: Duration = Duration::ZERO => check::secs(0, 60),
        /// The share that never arrives.
        "loss" loss: Share = Share(0.0),
        /// The share of datagrams that arrives twice.
        "duplicate" duplicate: Share = Share(0.0),
        /// The share of datagrams that is overtaken.
        "reorder" reorder: Share = Share(0.0),
    }
}

impl Link {
    /// What it is when `lab.yaml` says nothing.
    pub fn standard() -> Link {
        Link {
            delay: Duration::from_millis(1),
            jitter: Duration::ZERO,
            loss: Share(0.0),
            duplicate: Share(0.0),
            reorder: Share(0.0),
        }
    }
}
