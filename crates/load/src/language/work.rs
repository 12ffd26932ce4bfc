//! What is done each time that something is due, as written: a word, or a word with its details.

use std::time::Duration;

use scenario::mistakes::Mistake;
use scenario::record;
use scenario::schema::Shapes;
use scenario::yaml::{Content, Node, Reader, Value, with_known};
use serde_json::{Value as Json, json};

use crate::plan::{Weighted, Work};

/// The heaviest weight.
const WEIGHT_MAX: u32 = 1_000_000;

record! {
    /// A phone registers: the first time, or again. The next one in turn.
    short "weight" "`register`" pub struct RegisterWritten {
        /// How often, in proportion to the others' weights.
        "weight" weight: u32 = 1 => weight_is_right,
        /// Prove it to each request anew: the last challenge is forgotten.
        "forget-challenge" forget_challenge: bool = false,
        /// Over TCP and TLS: close the connection afterwards, so that each registration opens one.
        "close" close: bool = false,
    }
}

record! {
    /// A piece of work without details.
    short "weight" "this work" pub struct PlainWritten {
        /// How often, in proportion to the others' weights.
        "weight" weight: u32 = 1 => weight_is_right,
    }
}

record! {
    /// One registered phone calls another through the server.
    short "weight" "`call`" pub struct CallWritten {
        /// How often, in proportion to the others' weights.
        "weight" weight: u32 = 1 => weight_is_right,
        /// How long it rings.
        "ring" ring: Duration = Duration::from_secs(2),
        /// How long it is held.
        "hold" hold: Duration = Duration::from_secs(10),
    }
}

fn weight_is_right(weight: &u32, node: &Node, reader: &mut Reader) -> Option<()> {
    if (1..=WEIGHT_MAX).contains(weight) {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, format!("a weight is 1 to {WEIGHT_MAX}")));
    None
}

/// One piece of work.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkWritten(pub Weighted);

const NAMES: &[&str] = &["register", "unregister", "keep-alive", "call", "sign-in"];

impl WorkWritten {
    /// A plain registration.
    pub fn register() -> WorkWritten {
        WorkWritten(Weighted { weight: 1, work: Work::Register { forget_challenge: false, close: false } })
    }

    fn of(name: &str, node: &Node, reader: &mut Reader) -> Option<WorkWritten> {
        let weighted = match name {
            "register" => {
                let RegisterWritten { weight, forget_challenge, close } =
                    RegisterWritten::read(node, reader)?;
                Weighted { weight, work: Work::Register { forget_challenge, close } }
            }
            "call" => {
                let CallWritten { weight, ring, hold } = CallWritten::read(node, reader)?;
                Weighted { weight, work: Work::Call { ring, hold } }
            }
            name => {
                let weight = PlainWritten::read(node, reader)?.weight;
                let work = match name {
                    "unregister" => Work::Unregister,
                    "keep-alive" => Work::KeepAlive,
                    _ => Work::SignIn,
                };
                Weighted { weight, work }
            }
        };
        Some(WorkWritten(weighted))
    }
}

impl Value for WorkWritten {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let nothing = Node { place: node.place, content: Content::Map(Vec::new()) };
        let (name, place, value) = match &node.content {
            Content::Scalar { text, .. } => (text.as_str(), node.place, &nothing),
            Content::Map(entries) if entries.len() == 1 => {
                let value = &entries[0].value;
                let is_bare = value.content == Content::Nothing;
                (entries[0].key.as_str(), entries[0].key_place, if is_bare { &nothing } else { value })
            }
            Content::Map(_) | Content::List(_) | Content::Nothing => {
                let mistake = Mistake::new(node.place, "one piece of work is wanted here");
                reader.wrong(mistake.help("several of them are a list, a line with `-` for each"));
                return None;
            }
        };
        if !NAMES.contains(&name) {
            let mistake = Mistake::new(place, format!("no work is called `{}`", scenario::yaml::brief(name)));
            reader.wrong(with_known(mistake, name, "possible here", NAMES));
            return None;
        }
        WorkWritten::of(name, value, reader)
    }

    fn shape(shapes: &mut Shapes) -> Json {
        let (register, call) = (RegisterWritten::shape(shapes), CallWritten::shape(shapes));
        let plain = PlainWritten::shape(shapes);
        let mut forms = vec![json!({ "enum": NAMES })];
        forms.extend(NAMES.iter().map(|name| {
            let value = match *name {
                "register" => &register,
                "call" => &call,
                _ => &plain,
            };
            json!({ "type": "object", "properties": { *name: value }, "required": [name], "additionalProperties": false })
        }));
        json!({ "anyOf": forms })
    }
}
