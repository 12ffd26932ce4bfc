//! The servers of a site: addresses by DHCP, and provisioning files.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use net::World;
use site::dhcp::{DhcpServer, Options, UcServer};
use site::provisioning::ProvisioningServer;

use super::{Actor, BuildError, Builder, failed, offset};
use crate::cast::ground::fleet_phones;
use crate::lab_file::Site;

impl<W: World<Actor>> Builder<'_, W> {
    pub(super) fn add_site(
        &mut self,
        segment: net::sim::SegmentId,
        name: &str,
        site: &Site,
        pools: &[(String, String)],
    ) -> Result<(), BuildError> {
        let lab = self.lab;
        let subnet = site.subnet.value;
        if site.dhcp.enabled {
            let host = pools.first().map(|(_, host)| host.clone());
            let ntp = site.dhcp.ntp.as_deref().map(|ntp| self.time_server(ntp)).transpose()?;
            let size = u32::from(subnet.last()) - u32::from(subnet.address);
            // Phones get the upper part: 10.20.2.0 on in a /16, the upper half of anything small.
            let first = if size > 1024 { 512 } else { size / 2 };
            let most = 4095.max(fleet_phones(lab, name) + 256);
            let setup = site::dhcp::Setup {
                name: format!("{name}.dhcp"),
                address: offset(subnet.address, 1),
                clock: self.clock,
                prefix: subnet.prefix,
                first: offset(subnet.address, first),
                last: offset(subnet.address, size.saturating_sub(1).min(first + most)),
                reserved: BTreeMap::new(),
                lease: site.dhcp.lease,
                options: Options {
                    routers: vec![offset(subnet.address, 1)],
                    dns: vec![site.dhcp.dns.unwrap_or(self.cloud(53))],
                    domain: Some(site.dhcp.domain.clone().unwrap_or_else(|| lab.domain.value.clone())),
                    time_offset: site.dhcp.gmt_offset.map(|shift| {
                        let secs = i32::try_from(shift.span.as_secs()).unwrap_or(0);
                        if shift.back { -secs } else { secs }
                    }),
                    ntp: ntp.into_iter().collect(),
                    uc: host.as_deref().filter(|_| site.dhcp.uc_client).map(UcServer::at),
                    voice_vlan: None,
                    sip_server: host.filter(|_| site.dhcp.uc_client),
                    boot_server: None,
                    provisioning: site.dhcp.provisioning.clone(),
                    further: BTreeMap::new(),
                },
            };
            let dhcp = DhcpServer::new(setup).map_err(|why| failed(format!("{name}.dhcp"))(&why))?;
            self.add(&format!("{name}.dhcp"), Actor::Dhcp(Box::new(dhcp)), segment);
        }
        let files = lab.provisioning.iter();
        let setup = site::provisioning::Setup {
            name: format!("{name}.provisioning"),
            address: offset(subnet.address, 2).into(),
            files: files.map(|(file, text)| (file.clone(), text.clone().into())).collect(),
            login: None,
        };
        let server = ProvisioningServer::new(setup);
        self.add(&format!("{name}.provisioning"), Actor::Provisioning(Box::new(server)), segment);
        Ok(())
    }

    /// DHCP carries addresses, so the name of a time server is looked up where the lab is built.
    fn time_server(&self, ntp: &str) -> Result<Ipv4Addr, BuildError> {
        if let Ok(address) = ntp.parse() {
            return Ok(address);
        }
        if ntp == format!("ntp.{}", self.lab.domain.value) {
            return Ok(self.cloud(123));
        }
        Err(failed(format!("time server `{ntp}`"))(
            &"the lab has no such host; its own is `ntp.` and its domain",
        ))
    }
}
