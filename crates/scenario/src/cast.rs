//! The cast: every actor of a lab, built from `lab.yaml` and a seed, in its place on the network.
//!
//! Addresses, as [`Addresses`] has them: services live on the cloud segment, people's computers on a network of their
//! own, each site on its subnet, its DHCP server on the first address, its provisioning server on the second, phones on
//! what DHCP gives out. Every actor's chance depends on the seed and its own name alone.

mod build;
mod calls;
pub mod certified;
mod change;
mod ground;
mod seats;

use std::collections::BTreeMap;

use net::sim::{LinkModel, SegmentId};
use net::{NodeId, Sim, Time, World};

pub(crate) use self::build::prepare;
pub use self::build::{BuildError, pools};
pub use self::ground::{Addresses, Ground, Part};

use crate::actor::Actor;
use crate::lab_file::Lab;
use crate::language::{Moment, Party, RegistrarFact};
use crate::person::Person;

/// What the cast knows of an account beside what its actors know.
#[derive(Clone, Debug)]
struct AccountFacts {
    upn: String,
    display_name: String,
    /// What its owner knows; nobody knows what the portal drew.
    password: Option<String>,
    /// The pool that homes it.
    pool: String,
}

/// Every actor of a lab, in its world.
#[derive(Debug)]
pub struct Cast<W = Sim<Actor>> {
    /// The world they live in.
    pub world: W,
    addresses: Addresses,
    lab: Lab,
    /// The lab before its addresses were resettled: what stories speak of.
    lab_as_written: Lab,
    nodes: BTreeMap<String, NodeId>,
    segments: BTreeMap<String, (SegmentId, LinkModel)>,
    accounts: BTreeMap<String, AccountFacts>,
    /// Pool names in the lab's order, with their hosts.
    pools: Vec<(String, String)>,
    pictures: Vec<Picture>,
    seats: seats::Seats,
}

/// The most pictures of one telling.
const PICTURES_MAX: usize = 200;
/// How much larger than the device's own pixels pictures in reports are.
const PICTURE_SCALE: u32 = 2;

/// What a display showed when a story wanted a picture of it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// What the story calls it, with only what a file name can hold.
    pub name: String,
    screen: vvx::Screen,
    model: &'static vvx::model::Model,
}

impl Picture {
    /// The picture as a PNG file, twice as large as the display.
    pub fn png(&self) -> Vec<u8> {
        vvx::screen::paint::paint(&self.screen, self.model, PICTURE_SCALE).0.png()
    }
}

impl<W: World<Actor>> Cast<W> {
    /// The lab it was built from.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The actor that a story calls `name`: a phone, a person or a service.
    pub fn node(&self, name: &str) -> Option<NodeId> {
        self.nodes.get(name).copied()
    }

    /// Everybody in the lab, by name.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, NodeId)> {
        self.nodes.iter().map(|(name, who)| (name.as_str(), *who))
    }

    /// The service that a story calls `name`; `registrar` is the first pool.
    pub fn service(&self, name: &str) -> Option<NodeId> {
        let name = if name == "registrar" { self.pools.first()?.0.as_str() } else { name };
        self.node(name)
    }

    /// The phone called `name`.
    pub fn phone(&self, name: &str) -> Option<&vvx::phone::Phone> {
        self.world.look(self.node(name)?).phone()
    }

    /// What is on the display of the phone called `name`.
    pub fn screen(&self, name: &str) -> Option<vvx::screen::Screen> {
        Some(self.phone(name)?.screen(self.world.now()))
    }

    /// Remembers what a phone shows at the moment as a picture called `name`. It is drawn only when somebody wants it.
    pub fn picture_taken(&mut self, phone: &str, name: &str) {
        let shown = self.phone(phone).map(|phone| (phone.screen(self.world.now()), phone.setup().model));
        if let Some((screen, model)) = shown
            && self.pictures.len() < PICTURES_MAX
        {
            let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '-' };
            self.pictures.push(Picture { name: name.chars().take(64).map(fits).collect(), screen, model });
        }
    }

    /// The pictures that the story wanted, in order.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// The person called `name`.
    pub fn person(&self, name: &str) -> Option<&Person> {
        self.world.look(self.node(name)?).person()
    }

    /// The segment of a site.
    pub fn segment(&self, site: &str) -> Option<SegmentId> {
        self.segments.get(site).map(|(segment, _)| *segment)
    }

    /// A site's link as the lab has it.
    pub fn link_of(&self, site: &str) -> Option<LinkModel> {
        self.segments.get(site).map(|(_, model)| model.clone())
    }

    /// Every actor that a party of a story stands for.
    pub fn nodes_of(&self, party: &Party) -> Vec<NodeId> {
        match party {
            Party::Phone(name) => self.node(name.as_str()).into_iter().collect(),
            Party::Person(name) => self.node(name.as_str()).into_iter().collect(),
            Party::Service(name) => self.service(name.as_str()).into_iter().collect(),
            Party::Site(site) => {
                let segment = self.segment(site.as_str());
                let at_site = |who: &NodeId| Some(self.world.segment_of(*who)) == segment;
                self.nodes.values().copied().filter(at_site).collect()
            }
        }
    }

    /// The sign-in name of the account that a story calls `name`.
    pub fn upn(&self, name: &str) -> Option<String> {
        self.accounts.get(name).map(|facts| facts.upn.clone())
    }

    /// The password of an account, as its owner knows it.
    pub fn password(&self, name: &str) -> Option<String> {
        self.accounts.get(name)?.password.clone()
    }

    /// What an account's second factor shows now.
    pub fn second_factor_code(&self, name: &str) -> Option<String> {
        self.person(name)?.second_factor_code(self.world.now())
    }

    /// What to type into the portal's search box to find an account.
    pub fn search_words(&self, name: &str) -> String {
        self.accounts.get(name).map_or_else(|| name.to_owned(), |facts| facts.display_name.clone())
    }

    /// The names under which events speak of a party: its own, and its account's.
    pub fn event_subjects(&self, of: &Party) -> Vec<String> {
        let name = match of {
            Party::Service(name) if name.as_str() == "registrar" => {
                self.pools.first().map_or("registrar", |(name, _)| name.as_str())
            }
            of => of.as_str(),
        };
        let upn = self.upn(name);
        std::iter::once(name.to_owned()).chain(upn).collect()
    }

    /// How many entries a list of the registrar has for an account; all pools count.
    pub fn registrar_count(&self, fact: RegistrarFact, account: &str) -> usize {
        let Some(upn) = self.upn(account) else { return 0 };
        let now = self.world.now();
        let pools = self.pools.iter().filter_map(|(name, _)| self.world.look(self.node(name)?).registrar());
        pools
            .map(|pool| match fact {
                RegistrarFact::Bindings => pool.front_end().bindings(&upn, now).len(),
                RegistrarFact::Certificates => pool.published().of(&upn).count(),
            })
            .sum()
    }

    /// What stands on a phone's display or in a person's browser, as text.
    pub fn picture(&self, name: &str) -> Option<String> {
        if let Some(screen) = self.screen(name) {
            return Some(screen.draw());
        }
        let person = self.person(name)?;
        match (person.page(), person.trouble()) {
            (_, Some(trouble)) => Some(trouble.to_string()),
            (Some(page), None) => Some(format!("{}\n{}", page.url, page.text)),
            (None, None) => Some("(no page is open)".to_owned()),
        }
    }

    /// The log of every phone since it last got power, by the phone's name.
    pub fn phone_logs(&self) -> Vec<(String, String)> {
        let phones = self.nodes.iter().filter_map(|(name, who)| Some((name, self.world.look(*who).phone()?)));
        phones.map(|(name, phone)| (name.clone(), phone.log().join("\n") + "\n")).collect()
    }

    /// The instant that a story means by a moment.
    pub fn moment(&self, moment: &Moment) -> Time {
        match moment {
            Moment::Since(span) => Time::ZERO + *span,
            Moment::Wall(wall) => {
                let nanos = wall.unix_nanos().saturating_sub(self.lab.epoch.unix_nanos());
                Time::from_nanos(u64::try_from(nanos).unwrap_or(0))
            }
        }
    }

    /// Where administrators provision common-area phones.
    pub fn portal_address(&self) -> String {
        format!("https://{}/cap", self.lab.identity_host())
    }
}
