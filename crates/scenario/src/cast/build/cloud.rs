//! The services of the cloud: names, time, identity, pools.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use identity::Identity;
use net::World;
use net::tls::{Credentials, ServerTls};
use registrar::Registrar;
use site::dns::{Data, DnsServer, Entry};
use site::ntp::NtpServer;

use super::{
    AccountFacts, Actor, BuildError, Builder, authority, failed, identity_policies, offset, phone_policy,
    server_credentials, signing_keys,
};
use crate::cast::certified::{self, pool_host};
use crate::lab_file::{DigestOffer, PersonKind, Pool, Profile, Role};

/// For how many seconds the lab's DNS records may be remembered.
const TTL: u32 = 300;

impl<W: World<Actor>> Builder<'_, W> {
    pub(super) fn add_infrastructure(&mut self, segment: net::sim::SegmentId) -> Result<(), BuildError> {
        let lab = self.lab;
        let domain = lab.domain.value.as_str();
        let mut records = Vec::new();
        let mut name = |name: String, data: Data| records.push(Entry { name, ttl: TTL, data: vec![data] });
        name(format!("dns.{domain}"), Data::A(self.cloud(53)));
        name(format!("ntp.{domain}"), Data::A(self.cloud(123)));
        name(lab.identity_host(), Data::A(self.cloud(10)));
        if self.ground.certified.is_some() {
            name(certified::pki_host(lab), Data::A(self.cloud(certified::PKI_HOST)));
        }
        for (index, (_, pool)) in lab.all_pools().into_iter().enumerate() {
            name(pool.host.value.clone(), Data::A(self.pool_address(index)));
        }
        if let Some((_, pool)) = lab.all_pools().first() {
            for alias in ["lyncdiscover", "lyncdiscoverinternal", "sip", "sipinternal"] {
                name(format!("{alias}.{domain}"), Data::A(self.pool_address(0)));
            }
            let target = pool.host.value.clone();
            let srv = Data::Srv { priority: 0, weight: 0, port: pool.sip, target };
            name(format!("_sipinternaltls._tcp.{domain}"), srv.clone());
            name(format!("_sip._tls.{domain}"), srv);
            // RFC 3263 §4.1: where user agents look that know nothing but the domain.
            let plain = pool.plain_sip.as_ref();
            let ports = plain.map_or([0; 3], |it| [it.udp, it.tcp, if it.tls { pool.sip } else { 0 }]);
            let services = ["_sip._udp", "_sip._tcp", "_sips._tcp"];
            for (service, port) in services.into_iter().zip(ports).filter(|(_, port)| *port != 0) {
                let target = pool.host.value.clone();
                let srv = Data::Srv { priority: 0, weight: 0, port, target };
                name(format!("{service}.{domain}"), srv);
            }
        }
        let mut zones = vec![domain.to_owned()];
        for (site, facts) in &lab.sites {
            name(format!("prov.{site}"), Data::A(offset(facts.value.subnet.value.address, 2)));
            zones.push(site.clone());
        }
        let setup = site::dns::Setup {
            name: "dns".to_owned(),
            address: self.cloud(53).into(),
            host: format!("dns.{domain}"),
            zones,
            records,
        };
        let dns = DnsServer::new(setup).map_err(|why| failed("dns")(&why))?;
        self.add("dns", Actor::Dns(Box::new(dns)), segment);
        let setup = site::ntp::Setup {
            name: "ntp".to_owned(),
            address: self.cloud(123).into(),
            clock: self.clock,
            stratum: 2,
        };
        self.add("ntp", Actor::Ntp(Box::new(NtpServer::new(setup))), segment);
        Ok(())
    }

    pub(super) fn add_identity(
        &mut self,
        segment: net::sim::SegmentId,
        accounts: &BTreeMap<String, AccountFacts>,
    ) -> Result<(), BuildError> {
        let lab = self.lab;
        let host = lab.identity_host();
        let server = certified::wanted(lab, None).swap_remove(0).servers.swap_remove(0);
        let validity = self.validity();
        let credentials = server_credentials(self.ground, &mut self.public, &server, validity)?;
        if self.ground.certified.is_some() {
            self.add_authority_server(segment, &credentials)?;
        }
        let tls = Arc::new(ServerTls::new(credentials));
        let mut drawn = self.random("tenant");
        let tenant = identity::Tenant {
            id: drawn.uuid(),
            display_name: lab.identity.tenant.clone(),
            domains: vec![lab.domain.value.clone()],
        };
        let random = self.random("identity");
        let address = IpAddr::V4(self.cloud(10));
        let keys = self.ground.signing_keys.clone().unwrap_or_else(signing_keys);
        let mut setup =
            identity::Setup::new("identity", &host, address, self.clock, random, tls, keys, tenant);
        setup.profile = match lab.identity.profile {
            Profile::EntraV1In2016 => identity::Profile::EntraV1In2016,
            Profile::EntraV2In2020 => identity::Profile::EntraV2In2020,
            Profile::EntraV2In2024 => identity::Profile::EntraV2In2024,
            Profile::Rfc8628 => identity::Profile::Rfc8628,
        };
        if let Some(url) = &lab.identity.verification_url {
            setup.verification_url = url.value.clone();
        }
        setup.code_life = lab.identity.code_life;
        setup.poll_interval = lab.identity.poll_interval;
        setup.access_token_life = lab.identity.access_token_life;
        setup.refresh_token_life = lab.identity.refresh_token_life;
        setup.password_grant = lab.identity.password_grant;
        setup.policies = identity_policies(lab);
        for (name, person) in &lab.people {
            let person = &person.value;
            let facts = &accounts[name];
            let password = facts.password.clone().unwrap_or_else(|| {
                // A common-area account without a written password has one that nobody knows.
                self.random(&format!("password of {name}")).hex(24)
            });
            let mut account = match person.kind {
                PersonKind::Person => identity::Account::person(&facts.upn, &facts.display_name, password),
                PersonKind::CommonArea => {
                    identity::Account::common_area(&facts.upn, &facts.display_name, password)
                }
            };
            if let Some(secret) = self.second_factor(name, person) {
                account.second_factor = identity::SecondFactor::Totp { secret: secret.into() };
            }
            if person.role == Role::Administrator {
                account.role = identity::Role::Administrator;
            }
            account.enabled = person.enabled;
            setup.accounts.push(account);
        }
        let identity = Identity::new(setup).map_err(|why| failed("identity")(&why))?;
        self.add("identity", Actor::Identity(Box::new(identity)), segment);
        Ok(())
    }

    /// The server that tells about the public authority. Certificates drawn for the simulation name no such place, so
    /// it has no such server.
    fn add_authority_server(
        &mut self,
        segment: net::sim::SegmentId,
        identity: &Credentials,
    ) -> Result<(), BuildError> {
        let wanted = certified::wanted(self.lab, None).swap_remove(0);
        // The builder keeps the authority itself for what is issued; the server only signs lists and answers.
        let authority = authority(self.ground, self.lab, &wanted, "public authority's server")?;
        let own = identity.chain.first().ok_or_else(|| failed(certified::IDENTITY)(&"no certificate"))?;
        let own = pki::Certificate::read(own).map_err(|why| failed(certified::IDENTITY)(&why))?;
        let setup = site::authority::Setup {
            address: self.cloud(certified::PKI_HOST).into(),
            clock: self.clock,
            authority,
            issued: vec![own.serial],
        };
        let server = site::AuthorityServer::new(setup);
        self.add(certified::PKI, Actor::Authority(Box::new(server)), segment);
        Ok(())
    }

    pub(super) fn add_pool(
        &mut self,
        segment: net::sim::SegmentId,
        index: usize,
        pools: &[(String, String)],
        accounts: &BTreeMap<String, AccountFacts>,
    ) -> Result<(), BuildError> {
        let setup = self.pool(index, pools, accounts)?;
        let pool = Actor::Registrar(Box::new(Registrar::new(setup)));
        self.add(&pools[index].0, pool, segment);
        Ok(())
    }
}

impl<W> Builder<'_, W> {
    fn pool_address(&self, index: usize) -> Ipv4Addr {
        self.cloud(pool_host(index))
    }

    /// What the pool of that number is built from.
    pub(super) fn pool(
        &self,
        index: usize,
        pools: &[(String, String)],
        accounts: &BTreeMap<String, AccountFacts>,
    ) -> Result<registrar::Setup, BuildError> {
        let lab = self.lab;
        let (name, host) = &pools[index];
        let pool: &Pool = lab.all_pools()[index].1;
        let domain = &lab.domain.value;
        // The public authority comes first.
        let wanted = certified::wanted(lab, None).swap_remove(index + 1);
        let mut authority = authority(self.ground, lab, &wanted, &format!("authority of {name}"))?;
        let credentials =
            server_credentials(self.ground, &mut authority, &wanted.servers[0], self.validity())?;
        let identity_host = lab.identity_host();
        let issuer_id = self.random("tenant").uuid();
        let identity = registrar::IdentityService {
            host: identity_host.clone(),
            address: self.cloud(10).into(),
            port: 443,
            keys_path: "/common/discovery/keys".to_owned(),
            issuers: vec![format!("https://sts.{identity_host}/{issuer_id}/")],
            audiences: vec![identity::setup::PHONE_SYSTEM.to_owned()],
            trust: self.public.trust(),
        };
        let authorize = format!("https://{identity_host}/common/oauth2/authorize");
        let pool_random = self.random(&format!("pool {name}"));
        let mut list = Vec::new();
        for (person_name, facts) in accounts {
            let person = &lab.people[person_name].value;
            let mut account = registrar::Account::new(&facts.upn, &facts.display_name);
            account.tel = person.line.as_ref().map(|line| format!("tel:{}", line.value));
            account.enabled = person.enabled;
            if facts.pool != *name {
                let elsewhere = pools.iter().find(|(pool, _)| *pool == facts.pool);
                let elsewhere = elsewhere.map_or_else(|| facts.pool.clone(), |(_, host)| host.clone());
                account.home = registrar::Home::Pool(elsewhere);
            }
            account.policy = phone_policy(lab);
            let keys = |password: &String| registrar::DigestKeys::new(&account.address, domain, password);
            account.digest = facts.password.as_ref().filter(|_| pool.plain_sip.is_some()).and_then(keys);
            if let Some(password) = facts.password.as_ref().filter(|_| pool.takes_passwords()) {
                let mut salt = self.random(&format!("password of {person_name} at {name}"));
                let hash = registrar::PasswordHash::new(password, registrar::PasswordCost::Light, &mut salt);
                account.password = Some(hash);
            }
            list.push(account);
        }
        let tls = Arc::new(ServerTls::new(credentials));
        let address = self.pool_address(index).into();
        let mut setup = registrar::Setup::new(name, host, address, self.clock, pool_random, tls, authority);
        setup.domain = domain.clone();
        setup.crypto = self.ground.crypto;
        setup.identity = Some(identity);
        setup.modern_auth = pool.modern_auth.then_some(authorize);
        setup.basic_auth = pool.takes_passwords();
        setup.inner_key = Some(self.inner_key(name));
        setup.accounts = list;
        setup.certificate_life = pool.certificate_life;
        setup.registration_life = pool.registration;
        setup.sip_port = pool.sip;
        setup.strict = pool.strict;
        setup.plain_sip = pool.plain_sip.as_ref().map(|plain| {
            let port = |port: u16| (port != 0).then_some(port);
            registrar::PlainSip {
                udp: port(plain.udp),
                tcp: port(plain.tcp),
                tls: plain.tls,
                ws: port(plain.ws),
                wss: port(plain.wss),
                digest: match plain.digest {
                    DigestOffer::Both => registrar::DigestOffer::Both,
                    DigestOffer::Md5 => registrar::DigestOffer::Md5,
                    DigestOffer::Sha256 => registrar::DigestOffer::Sha256,
                    DigestOffer::None => registrar::DigestOffer::None,
                },
            }
        });
        Ok(setup)
    }
}
