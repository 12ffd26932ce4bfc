//! Building a cast: who is there, with which certificates, names and addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use identity::{Identity, SigningKeys};
use net::sim::LinkModel;
use net::tls::ServerTls;
use net::{Crypto, NodeId, Random, Sim, Time, WallClock};
use pki::{Authority, Validity};
use registrar::Registrar;
use site::dhcp::{DhcpServer, Options, UcServer};
use site::dns::{Data, DnsServer, Entry};
use site::ntp::NtpServer;
use site::provisioning::ProvisioningServer;
use vvx::phone::Phone;

use super::{AccountFacts, Cast, cloud, home};
use crate::actor::Actor;
use crate::lab_file::{
    Lab, Link, Person as LabPerson, PersonKind, Phone as LabPhone, Pool, Profile, Role, Rule,
    SecondFactorKind, Site,
};
use crate::person::{Person, PersonSetup};

/// For how many seconds the lab's DNS records may be remembered.
const TTL: u32 = 300;

/// How long the lab's authorities and servers live, from a year before the lab opens: longer than any story.
const YEARS: u64 = 20;

/// How people's computers are connected: an ordinary line.
const HOME_LINK_DELAY: Duration = Duration::from_millis(8);

/// Why a lab cannot be built though its file is right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct BuildError {
    /// What could not be built.
    pub what: String,
    /// Why not.
    pub why: String,
}

fn failed(what: impl Into<String>) -> impl FnOnce(&dyn std::fmt::Display) -> BuildError {
    let what = what.into();
    move |why| BuildError { what, why: why.to_string() }
}

/// The keys that sign tokens in the simulation: derived once per process, since finding RSA primes takes a tenth of
/// a second. They are the same in every simulated lab, and guard nothing that a network can reach.
fn signing_keys() -> SigningKeys {
    static KEYS: OnceLock<SigningKeys> = OnceLock::new();
    KEYS.get_or_init(|| SigningKeys::generate(&mut Random::named(0, "identity signing keys"))).clone()
}

/// Derives the keys that all casts of this process share.
pub(crate) fn prepare() {
    let _: SigningKeys = signing_keys();
}

struct Builder<'a> {
    lab: &'a Lab,
    seed: u64,
    sim: Sim<Actor>,
    nodes: BTreeMap<String, NodeId>,
    /// The authority whose root phones and browsers come with.
    public: Authority,
    clock: WallClock,
}

impl Cast {
    /// Builds the lab for the phones that a story is about. Services and people have power, phones have not.
    ///
    /// # Errors
    ///
    /// If something in the lab cannot exist, such as a phone of an unknown model.
    pub fn build(lab: &Lab, phones: &[String], seed: u64) -> Result<Cast, BuildError> {
        let from = lab.epoch.minus(Duration::from_secs(365 * 86_400));
        let mut random = Random::named(seed, "public authority");
        let life = Duration::from_secs(YEARS * 365 * 86_400);
        let builder = Builder {
            lab,
            seed,
            sim: Sim::new(seed),
            nodes: BTreeMap::new(),
            public: Authority::new("Lab Public Root", Crypto::Seeded, &mut random, from, life),
            clock: WallClock::new(lab.epoch, Time::ZERO),
        };
        builder.build(phones)
    }
}

impl Builder<'_> {
    fn build(mut self, phones: &[String]) -> Result<Cast, BuildError> {
        let cloud_segment = self.sim.add_segment("cloud", LinkModel::default());
        let home_link = LinkModel { delay: HOME_LINK_DELAY, ..LinkModel::default() };
        let home_segment = self.sim.add_segment("people", home_link);
        let pools: Vec<(String, String)> = self
            .lab
            .all_pools()
            .into_iter()
            .map(|(name, pool)| (name.to_owned(), pool.host.value.clone()))
            .collect();
        let accounts = self.accounts(&pools);

        self.add_infrastructure(cloud_segment)?;
        self.add_identity(cloud_segment, &accounts)?;
        for index in 0..pools.len() {
            self.add_pool(cloud_segment, index, &pools, &accounts)?;
        }
        for (index, (name, person)) in self.lab.people.iter().enumerate() {
            let actor = self.person(name, &person.value, index, &accounts[name]);
            self.add(name, actor, home_segment);
        }
        let mut segments = BTreeMap::new();
        for (name, site) in &self.lab.sites {
            let model = link_model(&site.value.link);
            let segment = self.sim.add_segment(name, model.clone());
            segments.insert(name.clone(), (segment, model));
            self.add_site(segment, name, &site.value, &pools)?;
        }
        for node in self.nodes.values() {
            self.sim.power_on(*node);
        }
        for name in phones {
            let phone = self.lab.phones.get(name).ok_or_else(|| failed(name)(&"no such phone"))?;
            let (segment, _) = segments
                .get(&phone.value.site.value)
                .ok_or_else(|| failed(name)(&format!("no site `{}`", phone.value.site.value)))?;
            let segment = *segment;
            let actor = self.phone(name, &phone.value)?;
            self.add(name, actor, segment);
        }
        Ok(Cast { sim: self.sim, lab: self.lab.clone(), nodes: self.nodes, segments, accounts, pools })
    }

    fn add(&mut self, name: &str, actor: Actor, segment: net::sim::SegmentId) {
        let id = self.sim.add_node(name, actor, segment);
        self.nodes.insert(name.to_owned(), id);
    }

    fn random(&self, name: &str) -> Random {
        Random::named(self.seed, name)
    }

    fn validity(&self) -> Validity {
        Validity::days(self.lab.epoch.minus(Duration::from_secs(300 * 86_400)), 10 * 365)
    }

    fn accounts(&self, pools: &[(String, String)]) -> BTreeMap<String, AccountFacts> {
        let first = pools.first().map_or_else(String::new, |(name, _)| name.clone());
        let facts = self.lab.people.iter().map(|(name, person)| {
            let person = &person.value;
            let facts = AccountFacts {
                upn: person.upn.value.clone(),
                display_name: display_name(name),
                password: person.password.as_ref().map(|secret| secret.reveal().to_owned()),
                pool: person.pool.as_ref().map_or_else(|| first.clone(), |pool| pool.value.clone()),
            };
            (name.clone(), facts)
        });
        facts.collect()
    }

    fn second_factor(&self, name: &str, person: &LabPerson) -> Option<Vec<u8>> {
        match person.second_factor {
            SecondFactorKind::None => None,
            SecondFactorKind::Totp => {
                Some(self.random(&format!("second factor of {name}")).bytes::<20>().to_vec())
            }
        }
    }

    fn add_infrastructure(&mut self, segment: net::sim::SegmentId) -> Result<(), BuildError> {
        let lab = self.lab;
        let domain = lab.domain.value.as_str();
        let mut records = Vec::new();
        let mut name = |name: String, data: Data| records.push(Entry { name, ttl: TTL, data: vec![data] });
        name(format!("dns.{domain}"), Data::A(cloud(53)));
        name(format!("ntp.{domain}"), Data::A(cloud(123)));
        name(lab.identity_host(), Data::A(cloud(10)));
        for (index, (_, pool)) in lab.all_pools().into_iter().enumerate() {
            name(pool.host.value.clone(), Data::A(pool_address(index)));
        }
        if let Some((_, pool)) = lab.all_pools().first() {
            for alias in ["lyncdiscover", "lyncdiscoverinternal", "sip", "sipinternal"] {
                name(format!("{alias}.{domain}"), Data::A(pool_address(0)));
            }
            let target = pool.host.value.clone();
            let srv = Data::Srv { priority: 0, weight: 0, port: pool.sip, target };
            name(format!("_sipinternaltls._tcp.{domain}"), srv.clone());
            name(format!("_sip._tls.{domain}"), srv);
        }
        let mut zones = vec![domain.to_owned()];
        for (site, facts) in &lab.sites {
            name(format!("prov.{site}"), Data::A(offset(facts.value.subnet.value.address, 2)));
            zones.push(site.clone());
        }
        let setup = site::dns::Setup {
            name: "dns".to_owned(),
            address: cloud(53).into(),
            host: format!("dns.{domain}"),
            zones,
            records,
        };
        let dns = DnsServer::new(setup).map_err(|why| failed("dns")(&why))?;
        self.add("dns", Actor::Dns(Box::new(dns)), segment);
        let setup = site::ntp::Setup {
            name: "ntp".to_owned(),
            address: cloud(123).into(),
            clock: self.clock,
            stratum: 2,
        };
        self.add("ntp", Actor::Ntp(Box::new(NtpServer::new(setup))), segment);
        Ok(())
    }

    fn server_tls(&mut self, names: &[String]) -> Result<Arc<ServerTls>, BuildError> {
        let validity = self.validity();
        let credentials =
            self.public.issue_server(names, validity).map_err(|why| failed(names.join(", "))(&why))?;
        Ok(Arc::new(ServerTls { credentials }))
    }

    fn add_identity(
        &mut self,
        segment: net::sim::SegmentId,
        accounts: &BTreeMap<String, AccountFacts>,
    ) -> Result<(), BuildError> {
        let lab = self.lab;
        let host = lab.identity_host();
        let tls = self.server_tls(std::slice::from_ref(&host))?;
        let mut drawn = self.random("tenant");
        let tenant = identity::Tenant {
            id: drawn.uuid(),
            display_name: lab.identity.tenant.clone(),
            domains: vec![lab.domain.value.clone()],
        };
        let random = self.random("identity");
        let address = IpAddr::V4(cloud(10));
        let mut setup =
            identity::Setup::new("identity", &host, address, self.clock, random, tls, signing_keys(), tenant);
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

    fn add_pool(
        &mut self,
        segment: net::sim::SegmentId,
        index: usize,
        pools: &[(String, String)],
        accounts: &BTreeMap<String, AccountFacts>,
    ) -> Result<(), BuildError> {
        let lab = self.lab;
        let (name, host) = &pools[index];
        let pool: &Pool = lab.all_pools()[index].1;
        let domain = &lab.domain.value;
        let mut random = self.random(&format!("authority of {name}"));
        let from = lab.epoch.minus(Duration::from_secs(365 * 86_400));
        let life = Duration::from_secs(YEARS * 365 * 86_400);
        let title = format!("{domain} Communications Server {name}");
        let mut authority = Authority::new(&title, Crypto::Seeded, &mut random, from, life);
        let mut names = vec![host.clone()];
        if index == 0 {
            let aliases = ["lyncdiscover", "lyncdiscoverinternal", "sip", "sipinternal"];
            names.extend(aliases.map(|alias| format!("{alias}.{domain}")));
        }
        let credentials =
            authority.issue_server(&names, self.validity()).map_err(|why| failed(name)(&why))?;
        let identity_host = lab.identity_host();
        let issuer_id = self.random("tenant").uuid();
        let identity = registrar::IdentityService {
            host: identity_host.clone(),
            address: cloud(10).into(),
            port: 443,
            keys_path: "/common/discovery/keys".to_owned(),
            issuers: vec![format!("https://sts.{identity_host}/{issuer_id}/")],
            audiences: vec![identity::setup::PHONE_SYSTEM.to_owned()],
            trust: self.public.trust(),
        };
        let authorize = format!("https://{identity_host}/common/oauth2/authorize");
        let mut pool_random = self.random(&format!("pool {name}"));
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
            if let Some(password) = facts.password.as_ref().filter(|_| !pool.modern_auth) {
                account.password = Some(registrar::PasswordHash::new(
                    password,
                    registrar::PasswordCost::Light,
                    &mut pool_random,
                ));
            }
            list.push(account);
        }
        let setup = registrar::Setup {
            name: name.clone(),
            host: host.clone(),
            domain: domain.clone(),
            address: pool_address(index).into(),
            clock: self.clock,
            random: pool_random,
            crypto: Crypto::Seeded,
            tls: Arc::new(ServerTls { credentials }),
            authority,
            identity: Some(identity),
            modern_auth: pool.modern_auth.then_some(authorize),
            basic_auth: !pool.modern_auth,
            accounts: list,
            password_cost: registrar::PasswordCost::Light,
            certificate_life: pool.certificate_life,
            ticket_life: registrar::Setup::TICKET_LIFE,
            registration_life: pool.registration,
            sip_port: pool.sip,
            strict: pool.strict,
        };
        self.add(name, Actor::Registrar(Box::new(Registrar::new(setup))), segment);
        Ok(())
    }

    fn person(&self, name: &str, person: &LabPerson, index: usize, facts: &AccountFacts) -> Actor {
        // The first addresses are left to routers; a lab has fewer people than the network has addresses.
        let address = home(10 + (index % 240) as u8);
        Actor::Person(Box::new(Person::new(PersonSetup {
            name: name.to_owned(),
            address,
            dns: cloud(53).into(),
            trust: self.public.trust(),
            clock: self.clock,
            random: self.random(&format!("person {name}")),
            account: facts.upn.clone(),
            password: facts.password.clone().unwrap_or_default(),
            second_factor: self.second_factor(name, person),
        })))
    }

    fn add_site(
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
            let setup = site::dhcp::Setup {
                name: format!("{name}.dhcp"),
                address: offset(subnet.address, 1),
                clock: self.clock,
                prefix: subnet.prefix,
                first: offset(subnet.address, first),
                last: offset(subnet.address, size.saturating_sub(1).min(first + 4095)),
                reserved: BTreeMap::new(),
                lease: site.dhcp.lease,
                options: Options {
                    routers: vec![offset(subnet.address, 1)],
                    dns: vec![site.dhcp.dns.unwrap_or(cloud(53))],
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
            return Ok(cloud(123));
        }
        Err(failed(format!("time server `{ntp}`"))(
            &"the lab has no such host; its own is `ntp.` and its domain",
        ))
    }

    fn phone(&self, name: &str, phone: &LabPhone) -> Result<Actor, BuildError> {
        let model = vvx::model::Model::find(&phone.model.value).map_err(|why| failed(name)(&why))?;
        let firmware = vvx::model::Firmware::parse(&phone.firmware).map_err(|why| failed(name)(&why))?;
        let authority = format!("https://{}/common", self.lab.identity_host());
        let authority = url::Url::parse(&authority).map_err(|why| failed(name)(&why))?;
        let mac = vvx::model::Mac(phone.mac.value.0);
        let random = self.random(&format!("phone {name}"));
        let mut setup = vvx::setup::PhoneSetup::new(name, model, firmware, mac, random, authority);
        setup.public_roots = vec![self.public.root().clone()];
        setup.parameters.clone_from(&phone.parameters);
        Ok(Actor::Phone(Box::new(Phone::new(setup))))
    }
}

fn link_model(link: &Link) -> LinkModel {
    LinkModel {
        delay: link.delay,
        jitter: link.jitter,
        loss: link.loss.0,
        duplicate: link.duplicate.0,
        reorder: link.reorder.0,
        is_cut: false,
    }
}

fn pool_address(index: usize) -> Ipv4Addr {
    // A lab has far fewer pools than the cloud segment has addresses.
    cloud(20 + (index % 30) as u8)
}

fn offset(address: Ipv4Addr, by: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address).saturating_add(by))
}

/// `alice` is called Alice, `lobby-phone` Lobby Phone.
fn display_name(name: &str) -> String {
    let words = name.split(['-', '_']).filter(|word| !word.is_empty()).map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        first + letters.as_str()
    });
    words.collect::<Vec<_>>().join(" ")
}

pub(super) fn phone_policy(lab: &Lab) -> registrar::PhonePolicy {
    let lock = &lab.policies.phone_lock;
    registrar::PhonePolicy {
        enforce_phone_lock: lock.enforce,
        min_phone_pin_length: lock.min_digits,
        phone_lock_timeout: lock.idle,
        ..registrar::PhonePolicy::default()
    }
}

pub(super) fn identity_policies(lab: &Lab) -> identity::Policies {
    let mut policies = identity::Policies::default();
    let upn = |name: &str| lab.people.get(name).map(|person| person.value.upn.value.clone());
    for rule in &lab.policies.conditional_access {
        match rule.rule {
            Rule::Block => {
                let named = rule.people.0.iter().filter_map(|name| upn(name.as_str()));
                let blocked: Vec<String> = named.collect();
                let everybody = || lab.people.values().map(|person| person.value.upn.value.clone()).collect();
                policies.blocked_accounts.extend(if blocked.is_empty() { everybody() } else { blocked });
            }
            Rule::BlockDeviceCode => policies.block_device_code_flow = true,
            Rule::RequireSecondFactor => policies.requires_second_factor = true,
            Rule::RequireManagedDevice => policies.requires_managed_device = true,
        }
    }
    policies
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_called_by_their_names_in_the_lab() {
        assert_eq!(display_name("alice"), "Alice");
        assert_eq!(display_name("lobby-phone"), "Lobby Phone");
    }

    #[test]
    fn addresses_count_on_from_the_network() {
        assert_eq!(offset(Ipv4Addr::new(10, 20, 0, 0), 513), Ipv4Addr::new(10, 20, 2, 1));
    }
}
