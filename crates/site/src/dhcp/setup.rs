//! What a DHCP server is told before it starts, and how that becomes options of its answers.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use dhcproto::v4::{DhcpOption, DhcpOptions, OptionCode, UnknownOption};
use net::WallClock;
use thiserror::Error;

use super::leases::Mac;
use super::packet::Asked;

/// The most addresses of a pool.
pub const POOL_LIMIT: u32 = 1 << 18;

/// The vendor class of clients that look for their pool by DHCP (Lync device deployment guide).
pub const UC_CLASS: &str = "MS-UC-Client";

/// The vendor class of clients that ask for their voice VLAN.
pub const VLAN_CLASS: &str = "CPE-OCPHONE";

/// The longest value that an option may have without being split.
const OPTION_LIMIT: usize = 255;

/// What a DHCP server is told before it starts.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What people call the server.
    pub name: String,
    /// Its own address.
    pub address: Ipv4Addr,
    /// What it believes the date is; leases are kept with dates.
    pub clock: WallClock,
    /// The mask of its segment, in bits.
    pub prefix: u8,
    /// The first address it gives out.
    pub first: Ipv4Addr,
    /// The last address it gives out.
    pub last: Ipv4Addr,
    /// Addresses that are always given to the same hardware; they may lie outside the pool.
    pub reserved: BTreeMap<Mac, Ipv4Addr>,
    /// The longest lease; clients may ask for less, down to a minute.
    pub lease: Duration,
    /// What it tells its clients.
    pub options: Options,
}

/// What a DHCP server tells its clients beside an address. Each is sent to those who ask for it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Option 15.
    pub domain: Option<String>,
    /// Option 2: seconds east of Greenwich.
    pub time_offset: Option<i32>,
    /// Options 42 and 4.
    pub ntp: Vec<Ipv4Addr>,
    /// Option 43, for clients of the class [`UC_CLASS`] only.
    pub uc: Option<UcServer>,
    /// Option 43, for clients of the class [`VLAN_CLASS`] only: 1 to 4094.
    pub voice_vlan: Option<u16>,
    /// Option 120 (RFC 3361): the registrar's name.
    pub sip_server: Option<String>,
    /// Option 66: the provisioning server, as text.
    pub boot_server: Option<String>,
    /// Option 160: the provisioning server, as text; phones look here before option 66.
    pub provisioning: Option<String>,
    /// Further options, by code, as octets; not those that have a field above or are the protocol's own.
    pub further: BTreeMap<u8, Vec<u8>>,
}

/// Where a pool's certificate provisioning is, in the sub-options of option 43.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UcServer {
    /// Sub-option 2, such as `https`.
    pub scheme: String,
    /// Sub-option 3.
    pub host: String,
    /// Sub-option 4.
    pub port: u16,
    /// Sub-option 5.
    pub path: String,
}

impl UcServer {
    /// The usual one on `host`: `https`, port 443, `/CertProv/CertProvisioningService.svc`.
    pub fn at(host: &str) -> UcServer {
        UcServer {
            scheme: "https".to_owned(),
            host: host.to_owned(),
            port: 443,
            path: "/CertProv/CertProvisioningService.svc".to_owned(),
        }
    }
}

/// Why a DHCP server cannot be set up so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// The pool ends before it begins, leaves the segment, or is larger than [`POOL_LIMIT`].
    #[error("{first} to {last} is no pool of up to {POOL_LIMIT} addresses in {address}/{prefix}")]
    Pool {
        /// The first address.
        first: Ipv4Addr,
        /// The last address.
        last: Ipv4Addr,
        /// The server's address.
        address: Ipv4Addr,
        /// The mask in bits.
        prefix: u8,
    },
    /// The server's own address would be given out, or an address is reserved twice or elsewhere.
    #[error("{0} cannot be given out")]
    Address(Ipv4Addr),
    /// A text is too long for its option, or empty.
    #[error("option {code} cannot hold `{text}`")]
    Text {
        /// The option.
        code: u8,
        /// The text.
        text: String,
    },
    /// A VLAN is not between 1 and 4094.
    #[error("{0} is no VLAN")]
    Vlan(u16),
}

impl Setup {
    /// The mask of the segment.
    pub(crate) fn mask(&self) -> Ipv4Addr {
        let bits = u32::from(self.prefix.min(32));
        Ipv4Addr::from(u32::MAX.checked_shl(32 - bits).unwrap_or(0))
    }

    /// Whether `address` is on the server's segment.
    pub(crate) fn is_local(&self, address: Ipv4Addr) -> bool {
        let mask = u32::from(self.mask());
        u32::from(address) & mask == u32::from(self.address) & mask
    }

    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let size = u32::from(self.last).checked_sub(self.first.into());
        let is_pool = size.is_some_and(|size| size < POOL_LIMIT)
            && self.prefix <= 32
            && self.is_local(self.first)
            && self.is_local(self.last);
        if !is_pool {
            let (first, last, address, prefix) = (self.first, self.last, self.address, self.prefix);
            return Err(SetupError::Pool { first, last, address, prefix });
        }
        if (self.first..=self.last).contains(&self.address) {
            return Err(SetupError::Address(self.address));
        }
        let mut seen = std::collections::BTreeSet::from([self.address]);
        for reserved in self.reserved.values() {
            if !seen.insert(*reserved) || !self.is_local(*reserved) {
                return Err(SetupError::Address(*reserved));
            }
        }
        self.options.check()
    }
}

impl Options {
    fn check(&self) -> Result<(), SetupError> {
        let texts =
            [(15, &self.domain), (66, &self.boot_server), (160, &self.provisioning), (120, &self.sip_server)];
        for (code, text) in texts {
            if let Some(text) = text
                && (text.is_empty() || text.len() > OPTION_LIMIT)
            {
                return Err(SetupError::Text { code, text: text.clone() });
            }
        }
        if let Some(host) = &self.sip_server
            && sip_server_option(host).is_none()
        {
            return Err(SetupError::Text { code: 120, text: host.clone() });
        }
        if let Some(uc) = &self.uc
            && uc_option(uc).is_none()
        {
            return Err(SetupError::Text { code: 43, text: format!("{uc:?}") });
        }
        if let Some(vlan) = self.voice_vlan
            && !(1..=4094).contains(&vlan)
        {
            return Err(SetupError::Vlan(vlan));
        }
        for (code, value) in &self.further {
            if value.len() > OPTION_LIMIT
                || matches!(code, 0..=4 | 6 | 15 | 42 | 43 | 50..=61 | 66 | 120 | 160 | 255)
            {
                return Err(SetupError::Text { code: *code, text: format!("{} octets", value.len()) });
            }
        }
        Ok(())
    }

    /// Puts into `options` what `asked` wants and there is.
    pub(crate) fn give(&self, asked: &Asked, options: &mut DhcpOptions) {
        let mut give = |option: Option<DhcpOption>| {
            if let Some(option) = option
                && asked.wants(OptionCode::from(&option).into())
            {
                options.insert(option);
            }
        };
        let some = |addresses: &Vec<Ipv4Addr>| (!addresses.is_empty()).then(|| addresses.clone());
        let unknown = |code, value| DhcpOption::Unknown(UnknownOption::new(OptionCode::Unknown(code), value));
        for (code, value) in &self.further {
            give(Some(unknown(*code, value.clone())));
        }
        give(some(&self.routers).map(DhcpOption::Router));
        give(some(&self.dns).map(DhcpOption::DomainNameServer));
        give(self.domain.clone().map(DhcpOption::DomainName));
        give(self.time_offset.map(DhcpOption::TimeOffset));
        give(some(&self.ntp).map(DhcpOption::NtpServers));
        give(some(&self.ntp).map(DhcpOption::TimeServer));
        give(self.vendor_option(&asked.vendor_class).map(DhcpOption::VendorExtensions));
        let sip_server = self.sip_server.as_deref().and_then(sip_server_option);
        give(sip_server.map(|value| unknown(120, value)));
        give(self.boot_server.clone().map(|text| DhcpOption::TFTPServerName(text.into_bytes())));
        give(self.provisioning.clone().map(|text| unknown(160, text.into_bytes())));
    }

    fn vendor_option(&self, class: &[u8]) -> Option<Vec<u8>> {
        // The class is compared octet by octet: letter case counts (Lync device deployment guide).
        if class == UC_CLASS.as_bytes() {
            self.uc.as_ref().and_then(uc_option)
        } else if class == VLAN_CLASS.as_bytes() {
            // The layout is a guess after the sub-option numbers that phone vendors publish: 1 names the class,
            // 10 is the VLAN, as a big-endian 16-bit number.
            let vlan = self.voice_vlan?.to_be_bytes();
            sub_options(&[(1, VLAN_CLASS.as_bytes()), (10, &vlan)])
        } else {
            None
        }
    }
}

fn uc_option(uc: &UcServer) -> Option<Vec<u8>> {
    let port = uc.port.to_string();
    sub_options(&[
        (1, UC_CLASS.as_bytes()),
        (2, uc.scheme.as_bytes()),
        (3, uc.host.as_bytes()),
        (4, port.as_bytes()),
        (5, uc.path.as_bytes()),
    ])
}

/// Encapsulated options (RFC 2132 §8.4); `None` if they do not fit one option.
fn sub_options(list: &[(u8, &[u8])]) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    for (code, value) in list {
        octets.extend_from_slice(&[*code, u8::try_from(value.len()).ok()?]);
        octets.extend_from_slice(value);
    }
    (octets.len() <= OPTION_LIMIT).then_some(octets)
}

/// The value of option 120: encoding 0, then the name in labels (RFC 3361 §3.1); `None` if it is no name.
fn sip_server_option(host: &str) -> Option<Vec<u8>> {
    let mut octets = vec![0];
    for label in host.strip_suffix('.').unwrap_or(host).split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        octets.push(length);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    (octets.len() <= OPTION_LIMIT).then_some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrars_name_is_written_in_labels() {
        assert_eq!(
            sip_server_option("fe.contoso.example").expect("a name"),
            b"\0\x02fe\x07contoso\x07example\0"
        );
        for bad in ["", "a..b", &"a".repeat(64), &"a.".repeat(130)] {
            assert_eq!(sip_server_option(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_pools_address_is_written_in_sub_options() {
        let octets = uc_option(&UcServer::at("fe.contoso.example")).expect("it fits");
        let mut wanted =
            b"\x01\x0cMS-UC-Client\x02\x05https\x03\x12fe.contoso.example\x04\x03443\x05\x25".to_vec();
        wanted.extend_from_slice(b"/CertProv/CertProvisioningService.svc");
        assert_eq!(octets, wanted);
    }
}
