//! Names in stories: each kind a type, checked against what the lab and its actors know.

use serde_json::{Value as Json, json};

use crate::mistakes::Mistake;
use crate::schema::Shapes;
use crate::yaml::{Kind, Node, Reader, Value};

/// What is captured is known only while the story is told, and names are checked before.
fn no_template(kind: Kind, name: &str, node: &Node, reader: &mut Reader) -> Option<()> {
    if !name.contains("{{") {
        return Some(());
    }
    let title = format!("a captured value cannot stand for a {}", kind.noun());
    reader.wrong(Mistake::new(node.place, title).help("only a column of the story's table (`cases`) can"));
    None
}

macro_rules! name {
    ($(#[doc = $doc:literal])* $name:ident, $kind:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub String);

        impl $name {
            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::ops::Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Value for $name {
            fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
                let name = reader.scalar(node, "a name")?;
                no_template($kind, name, node, reader)?;
                reader.check($kind, name, node.place)?;
                Some($name(name.to_owned()))
            }

            fn shape(shapes: &mut Shapes) -> Json {
                shapes.name($kind)
            }
        }
    };
}

name!(
    /// A phone of this story.
    PhoneName, Kind::Phone
);
name!(
    /// A person of the lab, by the name under `people`.
    PersonName, Kind::Person
);
name!(
    /// A site of the lab.
    SiteName, Kind::Site
);
name!(
    /// A pool of the lab.
    PoolName, Kind::Pool
);
name!(
    /// A service: `identity`, `registrar` (the first pool) or a pool's name, `dns`, `ntp`, and of each site
    /// `SITE.dhcp` and `SITE.provisioning`.
    ServiceName, Kind::Service
);
name!(
    /// A screen of the phone.
    ScreenName, Kind::Screen
);
name!(
    /// A sign-in state of the phone.
    StateName, Kind::State
);
name!(
    /// Something that can be captured.
    FactName, Kind::Fact
);
name!(
    /// A page in a browser.
    PageName, Kind::Page
);
name!(
    /// An event of the journal.
    EventName, Kind::Event
);
name!(
    /// A kind of request to a service.
    RequestName, Kind::Request
);
name!(
    /// A key, soft key or label on the phone.
    KeyName, Kind::Key
);

/// Somebody or something on the network: a phone, a person, a service, or a whole site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// A phone.
    Phone(PhoneName),
    /// A person's computer.
    Person(PersonName),
    /// A service.
    Service(ServiceName),
    /// Everything at a site.
    Site(SiteName),
}

impl Party {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        match self {
            Party::Phone(name) => name.as_str(),
            Party::Person(name) => name.as_str(),
            Party::Service(name) => name.as_str(),
            Party::Site(name) => name.as_str(),
        }
    }
}

impl Party {
    const KINDS: [Kind; 4] = [Kind::Phone, Kind::Person, Kind::Service, Kind::Site];

    /// Whom `name` names; `None` if nobody.
    pub(crate) fn find(name: &str, reader: &Reader) -> Option<Party> {
        let kind = Party::KINDS.into_iter().find(|kind| reader.names.has(*kind, name))?;
        let name = name.to_owned();
        Some(match kind {
            Kind::Phone => Party::Phone(PhoneName(name)),
            Kind::Person => Party::Person(PersonName(name)),
            Kind::Service => Party::Service(ServiceName(name)),
            _ => Party::Site(SiteName(name)),
        })
    }

    /// Every name that names a party.
    pub(crate) fn known(reader: &Reader) -> Vec<&str> {
        let of = |kind| reader.names.of(kind).unwrap_or(&[]).iter().map(String::as_str);
        Party::KINDS.into_iter().flat_map(of).collect()
    }
}

impl Value for Party {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let name = reader.scalar(node, "a name")?;
        if let Some(party) = Party::find(name, reader) {
            return Some(party);
        }
        if reader.is_full() {
            return None;
        }
        let title = format!("nobody here is called `{}`", crate::yaml::reader::brief(name));
        let mistake = Mistake::new(node.place, title);
        let heading = "phones, people, services and sites here";
        let mistake = crate::yaml::reader::with_known(mistake, name, heading, &Party::known(reader));
        reader.wrong(mistake);
        None
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string" })
    }
}
