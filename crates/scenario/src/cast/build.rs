//! Building a cast: who is there, with which certificates, names and addresses.

mod cloud;
mod sites;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::time::Duration;

use identity::SigningKeys;
use net::sim::LinkModel;
use net::tls::Credentials;
use net::{Crypto, NodeId, Random, Sim, Time, WallClock, World};
use pki::{Authority, Validity};
use registrar::InnerKey;
use vvx::phone::Phone;

use super::certified::{self, AuthorityWanted, ServerWanted};
use super::ground::{Ground, Part};
use super::seats::Seats;
use super::{AccountFacts, Cast};
use crate::actor::Actor;
use crate::lab_file::{Fleet, Lab, Link, Person as LabPerson, Phone as LabPhone, Rule, SecondFactorKind};
use crate::person::{Person, PersonSetup};

/// How long the lab's authorities and servers live, from a year before the lab opens: longer than any story.
const YEARS: u64 = 20;

/// How people's computers are connected: an ordinary line.
const HOME_LINK_DELAY: Duration = Duration::from_millis(8);

/// How long a phone of a fleet keeps an HTTP connection that it does not use.
const FLEET_LINK_IDLE: Duration = Duration::from_secs(2);

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

/// The RSA key that simulated pools show to clients of TLS 1.0: the same in every simulated lab, made when the first
/// such client comes.
fn simulated_inner_key() -> InnerKey {
    static KEY: OnceLock<InnerKey> = OnceLock::new();
    KEY.get_or_init(|| InnerKey::lazy(Random::named(0, "inner key"))).clone()
}

/// Derives the keys that all casts of this process share.
pub(crate) fn prepare() {
    let _: SigningKeys = signing_keys();
}

struct Builder<'a, W> {
    lab: &'a Lab,
    ground: &'a Ground,
    world: W,
    nodes: BTreeMap<String, NodeId>,
    /// Each phone's place among all of the lab.
    places: BTreeMap<&'a str, usize>,
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
        Cast::build_in(Sim::new(seed), lab, phones, &Ground::simulated(seed))
    }
}

impl<W: World<Actor>> Cast<W> {
    /// Builds the lab in `world`, for the phones that a story is about. Services and people have power, phones have
    /// not.
    ///
    /// # Errors
    ///
    /// If something in the lab cannot exist, such as a phone of an unknown model.
    pub fn build_in(world: W, lab: &Lab, phones: &[String], ground: &Ground) -> Result<Cast<W>, BuildError> {
        let as_written = lab;
        let lab = &ground.addresses.resettle(lab)?.with_fleets().map_err(|why| failed("fleets")(&why))?;
        Builder::begin(lab, ground, world)?.build(phones, as_written)
    }
}

/// An authority: the one that the lab brings along, or one drawn by the name `drawn_by`.
fn authority(
    ground: &Ground,
    lab: &Lab,
    wanted: &AuthorityWanted,
    drawn_by: &str,
) -> Result<Authority, BuildError> {
    let Some(certified) = &ground.certified else {
        let from = lab.epoch.minus(Duration::from_secs(365 * 86_400));
        let life = Duration::from_secs(YEARS * 365 * 86_400);
        let mut random = Random::named(ground.seed, drawn_by);
        return Ok(Authority::new(&wanted.title, ground.crypto, &mut random, from, life));
    };
    let kept = certified.authorities.get(&wanted.name);
    let kept = kept.ok_or_else(|| failed(&wanted.title)(&"its certificate was not brought along"))?;
    let mut random = certified.random.clone().fork(drawn_by);
    let mut authority =
        Authority::restore(kept, ground.crypto, &mut random).map_err(|why| failed(&wanted.title)(&why))?;
    authority.tell_at(wanted.places.clone());
    Ok(authority)
}

/// A server's certificate: the one that the lab brings along, or a fresh one.
fn server_credentials(
    ground: &Ground,
    authority: &mut Authority,
    wanted: &ServerWanted,
    validity: Validity,
) -> Result<Credentials, BuildError> {
    match &ground.certified {
        Some(certified) => certified
            .servers
            .get(&wanted.name)
            .cloned()
            .ok_or_else(|| failed(&wanted.name)(&"its certificate was not brought along")),
        None => authority.issue_server(&wanted.names, validity).map_err(|why| failed(&wanted.name)(&why)),
    }
}

impl<W: World<Actor>> Builder<'_, W> {
    fn build(mut self, phones: &[String], as_written: &Lab) -> Result<Cast<W>, BuildError> {
        let cloud_segment = self.world.add_segment("cloud", LinkModel::default());
        let home_link = LinkModel { delay: HOME_LINK_DELAY, ..LinkModel::default() };
        let home_segment = self.world.add_segment("people", home_link);
        let pools = self.pools();
        let accounts = self.accounts(&pools);

        let (is_office, is_services) = match self.ground.part {
            Part::Whole => (true, true),
            Part::Services => (false, true),
            Part::Office => (true, false),
        };
        if is_office {
            self.add_infrastructure(cloud_segment)?;
        }
        if is_services {
            self.add_identity(cloud_segment, &accounts)?;
            for index in 0..pools.len() {
                self.add_pool(cloud_segment, index, &pools, &accounts)?;
            }
        }
        let people = self.lab.people.iter().filter(|(name, _)| is_office && !self.lab.is_of_fleet(name));
        for (index, (name, person)) in people.enumerate() {
            let actor = self.person(name, &person.value, index, &accounts[name]);
            self.add(name, actor, home_segment);
        }
        let mut segments = BTreeMap::new();
        for (name, site) in self.lab.sites.iter().filter(|_| is_office) {
            let model = link_model(&site.value.link);
            let segment = self.world.add_segment(name, model.clone());
            segments.insert(name.clone(), (segment, model));
            self.add_site(segment, name, &site.value, &pools)?;
        }
        for node in self.nodes.values() {
            self.world.power_on(*node);
        }
        let members = |name: &String| match self.lab.fleets.get(name) {
            None => vec![name.clone()],
            Some(fleet) => (0..fleet.value.count).map(|n| Fleet::phone_name(name, n)).collect(),
        };
        let phones: Vec<String> = phones.iter().flat_map(members).collect();
        let seats = self.seats(home_segment);
        for name in &phones {
            let phone = self.lab.phones.get(name).ok_or_else(|| failed(name)(&"no such phone"))?;
            let (segment, _) = segments
                .get(&phone.value.site.value)
                .ok_or_else(|| failed(name)(&format!("no site `{}`", phone.value.site.value)))?;
            let segment = *segment;
            let actor = self.phone(name, &phone.value)?;
            self.add(name, actor, segment);
        }
        Ok(Cast {
            world: self.world,
            addresses: self.ground.addresses,
            lab: self.lab.clone(),
            lab_as_written: as_written.clone(),
            nodes: self.nodes,
            segments,
            accounts,
            pools,
            pictures: Vec::new(),
            seats,
        })
    }

    fn add(&mut self, name: &str, actor: Actor, segment: net::sim::SegmentId) {
        let id = self.world.add_node(name, actor, segment);
        self.nodes.insert(name.to_owned(), id);
    }
}

/// What the lab's pools are built from, each by its name, for whoever serves them without the rest of the lab.
///
/// # Errors
///
/// If something in the lab cannot exist.
pub fn pools(lab: &Lab, ground: &Ground) -> Result<Vec<(String, registrar::Setup)>, BuildError> {
    let lab = &ground.addresses.resettle(lab)?.with_fleets().map_err(|why| failed("fleets")(&why))?;
    let builder = Builder::begin(lab, ground, ())?;
    let pools = builder.pools();
    let accounts = builder.accounts(&pools);
    let names = pools.iter().map(|(name, _)| name.clone());
    names.enumerate().map(|(index, name)| Ok((name, builder.pool(index, &pools, &accounts)?))).collect()
}

impl<'a, W> Builder<'a, W> {
    fn begin(lab: &'a Lab, ground: &'a Ground, world: W) -> Result<Builder<'a, W>, BuildError> {
        let mut public = certified::wanted(lab, None).swap_remove(0);
        if ground.certified.is_none() {
            public.title = "Lab Public Root".to_owned();
        }
        Ok(Builder {
            lab,
            ground,
            world,
            nodes: BTreeMap::new(),
            places: lab.phones.keys().enumerate().map(|(place, name)| (name.as_str(), place)).collect(),
            public: authority(ground, lab, &public, "public authority")?,
            clock: WallClock::new(lab.epoch, Time::ZERO),
        })
    }

    /// Each pool's name and host name.
    fn pools(&self) -> Vec<(String, String)> {
        let pools = self.lab.all_pools().into_iter();
        pools.map(|(name, pool)| (name.to_owned(), pool.host.value.clone())).collect()
    }

    fn random(&self, name: &str) -> Random {
        Random::named(self.ground.seed, name)
    }

    fn cloud(&self, host: u8) -> Ipv4Addr {
        self.ground.addresses.cloud(host)
    }

    /// The RSA key of a pool for clients of TLS 1.0. A simulated one guards nothing that a network can reach.
    fn inner_key(&self, pool: &str) -> InnerKey {
        match self.ground.crypto {
            Crypto::Seeded => simulated_inner_key(),
            Crypto::System => InnerKey::lazy(self.random(&format!("inner key of {pool}"))),
        }
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
            SecondFactorKind::Totp if self.lab.is_of_fleet(name) => Some(fleet_secret(self.lab, name)),
            SecondFactorKind::Totp => {
                Some(self.random(&format!("second factor of {name}")).bytes::<20>().to_vec())
            }
        }
    }

    fn person(&self, name: &str, person: &LabPerson, index: usize, facts: &AccountFacts) -> Actor {
        // The first addresses are left to routers; a lab has fewer people than the network has addresses.
        let address = self.ground.addresses.home(10 + (index % 240) as u8).into();
        Actor::Person(Box::new(Person::new(PersonSetup {
            name: name.to_owned(),
            address,
            dns: self.cloud(53).into(),
            trust: self.public.trust(),
            clock: self.clock,
            random: self.random(&format!("person {name}")),
            account: facts.upn.clone(),
            password: facts.password.clone().unwrap_or_default(),
            second_factor: self.second_factor(name, person),
        })))
    }

    /// Where a fleet's owners sit down.
    fn seats(&self, segment: net::sim::SegmentId) -> Seats {
        Seats {
            addresses: self.ground.addresses,
            seed: self.ground.seed,
            dns: self.cloud(53).into(),
            trust: self.public.trust(),
            clock: self.clock,
            segment,
            made: 0,
            free: Vec::new(),
        }
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
        setup.crypto = self.ground.crypto;
        if self.lab.is_of_fleet(name) {
            setup.link_idle = FLEET_LINK_IDLE;
        }
        // Each phone of the lab has a voice of its own, so that a story can tell who is heard.
        let place = self.places.get(name).copied().unwrap_or(0);
        setup.voice_hz = vvx::setup::voice_hz(place);
        Ok(Actor::Phone(Box::new(Phone::new(setup))))
    }
}

/// The seed of a fleet account's second factor. It follows from the lab file alone, so that a fleet's owners know it though
/// the identity service runs elsewhere; the passwords stand in the same file.
pub(super) fn fleet_secret(lab: &Lab, name: &str) -> Vec<u8> {
    Random::named(lab.seed, &format!("second factor of {name}")).bytes::<20>().to_vec()
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
