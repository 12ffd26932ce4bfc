//! Verbs that look: what is expected, what may never be, what is captured.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::Text;
use super::calls::ExpectCall;
use super::names::{EventName, FactName, PageName, Party, PersonName, PhoneName, ScreenName, StateName};
use crate::mistakes::Mistake;
use crate::schema::Shapes;
use crate::yaml::reader::{brief, with_known};
use crate::yaml::record::{record, words};
use crate::yaml::{Content, Entry, Node, OneOrMany, Reader, Value};

/// Something that holds now, or comes to hold within a span.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// What.
    pub claim: Claim,
    /// How long to wait for it; without it, it holds at once.
    pub within: Option<Duration>,
}

/// Something that may not come to hold, to the end of the story.
#[derive(Clone, Debug, PartialEq)]
pub struct Never {
    /// What.
    pub claim: Claim,
    /// From when on; without it, from here on.
    pub since: Option<Since>,
}

/// The last step before this one that had this verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since(pub String);

impl Value for Since {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let verb = reader.scalar(node, "a verb of a step above")?;
        if reader.told.contains(verb) {
            return Some(Since(verb.to_owned()));
        }
        let title = format!("no step above is a `{}`", brief(verb));
        let told: Vec<&str> = reader.told.iter().copied().collect();
        let mistake = with_known(Mistake::new(node.place, title), verb, "verbs above", &told);
        reader.wrong(mistake);
        None
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string" })
    }
}

/// What is claimed, and of whom.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// What a phone shows and is.
    Phone(ExpectPhone),
    /// What a person sees in the browser.
    Person(ExpectPerson),
    /// What the registrar knows.
    Registrar(ExpectRegistrar),
    /// How a call stands and sounds.
    Call(Box<ExpectCall>),
    /// That something happened: an event of the journal.
    Event(ExpectEvent),
}

record! {
    /// What a phone shows and is. All that is written holds together.
    "what is expected of a phone" pub struct ExpectPhone {
        /// The phone.
        "phone" phone: PhoneName,
        /// The screen it shows.
        "screen" screen: Option<ScreenName>,
        /// Keys and labels that can be pressed there.
        "offers" offers: OneOrMany<Text>,
        /// Texts that stand on the screen.
        "says" says: OneOrMany<Text>,
        /// Its sign-in state.
        "state" state: Option<StateName>,
        /// Who is signed in.
        "as" account: Option<PersonName>,
        /// What does not hold at the same time: none of it.
        "not" not: Option<PhoneLooks>,
    }
    check check_phone
}

record! {
    /// What a phone does not show and is not.
    "`not`" pub struct PhoneLooks {
        /// A screen.
        "screen" screen: Option<ScreenName>,
        /// Keys and labels.
        "offers" offers: OneOrMany<Text>,
        /// Texts.
        "says" says: OneOrMany<Text>,
        /// A sign-in state.
        "state" state: Option<StateName>,
        /// Who is not signed in.
        "as" account: Option<PersonName>,
    }
}

fn check_phone(claim: &ExpectPhone, node: &Node, reader: &mut Reader) -> Option<()> {
    let something = claim.screen.is_some()
        || claim.state.is_some()
        || claim.account.is_some()
        || claim.not.is_some()
        || !claim.offers.0.is_empty()
        || !claim.says.0.is_empty();
    claims_something(something, node, reader, "screen, offers, says, state, as, not")
}

record! {
    /// What a person sees in the browser. All that is written holds together.
    "what is expected of a person" pub struct ExpectPerson {
        /// The person.
        "person" person: PersonName,
        /// The page.
        "page" page: Option<PageName>,
        /// Texts that stand on the page.
        "says" says: OneOrMany<Text>,
        /// Buttons and links that can be clicked there.
        "offers" offers: OneOrMany<Text>,
        /// What does not hold at the same time: none of it.
        "not" not: Option<PageLooks>,
    }
    check check_person
}

record! {
    /// What a person does not see in the browser.
    "`not`" pub struct PageLooks {
        /// A page.
        "page" page: Option<PageName>,
        /// Texts.
        "says" says: OneOrMany<Text>,
        /// Buttons and links.
        "offers" offers: OneOrMany<Text>,
    }
}

fn check_person(claim: &ExpectPerson, node: &Node, reader: &mut Reader) -> Option<()> {
    let something =
        claim.page.is_some() || claim.not.is_some() || !claim.says.0.is_empty() || !claim.offers.0.is_empty();
    claims_something(something, node, reader, "page, says, offers, not")
}

pub(super) fn claims_something(something: bool, node: &Node, reader: &mut Reader, keys: &str) -> Option<()> {
    if something {
        return Some(());
    }
    let mistake = Mistake::new(node.place, "nothing is claimed here");
    reader.wrong(mistake.help(format!("say what: {keys}")));
    None
}

record! {
    /// What the registrar knows of an account.
    "what is expected of the registrar" pub struct ExpectRegistrar {
        /// Which of its lists.
        "registrar" fact: RegistrarFact,
        /// The account, by its person's name.
        "of" of: PersonName,
        /// How many entries the list has; without it, at least one.
        "count" count: Option<u32>,
    }
}

words! {
    /// A list that the registrar keeps for each account.
    "a list that the registrar keeps" pub enum RegistrarFact {
        /// Where the account can be reached.
        "bindings" Bindings,
        /// The client certificates published for it and not revoked.
        "certificates" Certificates,
    }
}

record! {
    /// Something that happened: an event of the journal, at any time since the story began (with `never`:
    /// since the step that `since` names).
    "an event" pub struct ExpectEvent {
        /// The event.
        "happened" event: EventName,
        /// Whom it concerns: a person's account, a phone, a service.
        "of" of: Option<Party>,
        /// Who tells of it: a phone or a service. `identity: x` is short for `happened: x, by: identity`.
        "by" by: Option<Party>,
        /// Exactly how often; without it, at least once.
        "count" count: Option<u32>,
        /// Words in the event's text.
        "says" says: Option<Text>,
    }
}

/// The keys that decide what a claim is about.
const SUBJECTS: &[&str] = &["phone", "call", "person", "registrar", "happened", "identity"];

impl Claim {
    /// Reads a claim from a map that may also have the key `beside`.
    fn read(node: &Node, reader: &mut Reader, beside: &'static str) -> Option<Claim> {
        let subjects: Vec<&str> =
            SUBJECTS.iter().copied().filter(|subject| node.get(subject).is_some()).collect();
        let [subject] = subjects[..] else {
            let title = match subjects.len() {
                0 => "a claim needs somebody it is about".to_owned(),
                _ => format!("a claim is about one thing, not about {}", subjects.join(" and ")),
            };
            let mistake = Mistake::new(node.place, title);
            reader.wrong(mistake.help(format!("say whom or what: {}", SUBJECTS.join(", "))));
            return None;
        };
        reader.taken.push(beside);
        match subject {
            "phone" => ExpectPhone::read(node, reader).map(Claim::Phone),
            "call" => ExpectCall::read(node, reader).map(Box::new).map(Claim::Call),
            "person" => ExpectPerson::read(node, reader).map(Claim::Person),
            "happened" => ExpectEvent::read(node, reader).map(Claim::Event),
            "registrar" if is_event(node, "registrar", reader) => {
                ExpectEvent::read(&renamed(node, "registrar"), reader).map(Claim::Event)
            }
            "registrar" => ExpectRegistrar::read(node, reader).map(Claim::Registrar),
            _ => ExpectEvent::read(&renamed(node, "identity"), reader).map(Claim::Event),
        }
    }

    fn shape(shapes: &mut Shapes, beside: &'static str, beside_shape: Json) -> Json {
        let variants = [
            ("phone", ExpectPhone::shape(shapes)),
            ("call", ExpectCall::shape(shapes)),
            ("person", ExpectPerson::shape(shapes)),
            ("registrar", ExpectRegistrar::shape(shapes)),
            ("happened", ExpectEvent::shape(shapes)),
        ];
        let mut alternatives: Vec<Json> = variants
            .into_iter()
            .map(|(_, shape)| shapes.with_key(shape, beside, beside_shape.clone()))
            .collect();
        for service in ["registrar", "identity"] {
            let event = ExpectEvent::shape(shapes);
            let event = shapes.with_key(event, beside, beside_shape.clone());
            alternatives.push(shapes.rename_key(event, "happened", service));
        }
        json!({ "anyOf": alternatives })
    }
}

/// Whether the word under `key` is an event and not one of the registrar's lists.
fn is_event(node: &Node, key: &str, reader: &Reader) -> bool {
    let Some(Node { content: Content::Scalar { text, .. }, .. }) = node.get(key) else { return false };
    reader.names.has(crate::yaml::Kind::Event, text)
}

/// `identity: x` and `registrar: x` are short for `happened: x`, told by that service.
fn renamed(node: &Node, service: &str) -> Node {
    let mut node = node.clone();
    let Content::Map(entries) = &mut node.content else { return node };
    let Some(entry) = entries.iter_mut().find(|entry| entry.key == service) else { return node };
    entry.key = "happened".to_owned();
    let place = entry.key_place;
    let value = Node { place, content: Content::Scalar { text: service.to_owned(), quoted: false } };
    entries.push(Entry { key: "by".to_owned(), key_place: place, value });
    node
}

/// Reads the key beside the claim.
fn beside<T: Value>(node: &Node, key: &str, reader: &mut Reader) -> Option<Option<T>> {
    match node.get(key) {
        Some(node) => T::read(node, reader).map(Some),
        None => Some(None),
    }
}

impl Value for Expect {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let within = beside(node, "within", reader);
        let claim = Claim::read(node, reader, "within");
        Some(Expect { claim: claim?, within: within? })
    }

    fn shape(shapes: &mut Shapes) -> Json {
        let doc = "How long to wait for it; without it, it holds at once.";
        let within = json!({ "description": doc, "allOf": [Duration::shape(shapes)] });
        Claim::shape(shapes, "within", within)
    }
}

impl Value for Never {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let since = beside(node, "since", reader);
        let claim = Claim::read(node, reader, "since");
        Some(Never { claim: claim?, since: since? })
    }

    fn shape(shapes: &mut Shapes) -> Json {
        let doc = "A verb: from the last step above that has it. Without it, from here on.";
        let since = json!({ "description": doc, "allOf": [Since::shape(shapes)] });
        Claim::shape(shapes, "since", since)
    }
}

/// Where a captured value comes from: `desk.user-code`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The phone or person.
    pub of: Party,
    /// What of it.
    pub fact: FactName,
}

impl Value for Source {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let wanted = "a source such as `desk.user-code`";
        let (name, fact) = reader.word(node, wanted, |text| {
            let (name, fact) = text.rsplit_once('.').ok_or("whose it is, a dot, and what it is")?;
            Ok((name.to_owned(), fact.to_owned()))
        })?;
        let part = |text: &str| Node {
            place: node.place,
            content: Content::Scalar { text: text.to_owned(), quoted: false },
        };
        let of = Party::read(&part(&name), reader);
        let fact = FactName::read(&part(&fact), reader);
        Some(Source { of: of?, fact: fact? })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string", "pattern": r"^.+\..+$" })
    }
}

/// Values captured under names of the story's own; `{{name}}` uses them from the next step on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture(pub BTreeMap<String, Source>);

impl Value for Capture {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if node.entries().is_empty() {
            let mistake = Mistake::new(node.place, "`capture` needs names with what is captured");
            reader.wrong(mistake.help("for example `capture: { code: desk.user-code }`"));
            return None;
        }
        // The names count as captured even if a source is wrong: one mistake is enough.
        reader.captured.extend(node.entries().iter().map(|entry| entry.key.clone()));
        BTreeMap::read(node, reader).map(Capture)
    }

    fn shape(shapes: &mut Shapes) -> Json {
        BTreeMap::<String, Source>::shape(shapes)
    }
}
