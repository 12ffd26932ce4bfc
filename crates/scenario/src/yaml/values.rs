//! Plain values: texts, numbers, lists, names with values; and what wraps them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use net::Wall;
use serde_json::{Value as Json, json};

use super::node::{Content, Node};
use super::reader::{Reader, Value};
use crate::mistakes::{Mistake, Place};
use crate::schema::Shapes;

/// A value with the place it was read from, for checks across the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T: Value> Value for Located<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Some(Located { value: T::read(node, reader)?, place: node.place })
    }

    fn shape(shapes: &mut Shapes) -> Json {
        T::shape(shapes)
    }

    fn absent() -> Option<Self> {
        Some(Located { value: T::absent()?, place: Place::default() })
    }
}

impl<T: Value> Value for Option<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(Some)
    }

    fn shape(shapes: &mut Shapes) -> Json {
        T::shape(shapes)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Value> Value for Box<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(Box::new)
    }

    fn shape(shapes: &mut Shapes) -> Json {
        T::shape(shapes)
    }

    fn absent() -> Option<Self> {
        T::absent().map(Box::new)
    }
}

/// A list. Every item is read, so that every mistake in it is met.
impl<T: Value> Value for Vec<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Content::List(items) = &node.content else {
            reader.wrong(Mistake::new(node.place, format!("a list is wanted here, not {}", node.sort())));
            return None;
        };
        let read: Vec<Option<T>> = items.iter().map(|item| T::read(item, reader)).collect();
        read.into_iter().collect()
    }

    fn shape(shapes: &mut Shapes) -> Json {
        json!({ "type": "array", "items": T::shape(shapes) })
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug, PartialEq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Value> Value for OneOrMany<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.content {
            Content::List(_) => Vec::read(node, reader).map(OneOrMany),
            Content::Nothing | Content::Scalar { .. } | Content::Map(_) => {
                T::read(node, reader).map(|one| OneOrMany(vec![one]))
            }
        }
    }

    fn shape(shapes: &mut Shapes) -> Json {
        let one = T::shape(shapes);
        json!({ "anyOf": [one, { "type": "array", "items": one }] })
    }

    fn absent() -> Option<Self> {
        Some(OneOrMany(Vec::new()))
    }
}

/// Names of one's own choice with their values.
impl<T: Value> Value for BTreeMap<String, T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        if !matches!(node.content, Content::Map(_) | Content::Nothing) {
            let title = format!("names and values are wanted here, not {}", node.sort());
            reader.wrong(Mistake::new(node.place, title));
            return None;
        }
        let read: Vec<Option<(String, T)>> = (node.entries().iter())
            .map(|entry| Some((entry.key.clone(), T::read(&entry.value, reader)?)))
            .collect();
        read.into_iter().collect()
    }

    fn shape(shapes: &mut Shapes) -> Json {
        json!({ "type": "object", "additionalProperties": T::shape(shapes) })
    }

    fn absent() -> Option<Self> {
        Some(BTreeMap::new())
    }
}

impl Value for String {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.scalar(node, "a text").map(str::to_owned)
    }

    fn shape(_: &mut Shapes) -> Json {
        // Digits without quotes are read as the text they are.
        json!({ "type": ["string", "number", "boolean"] })
    }
}

impl Value for bool {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.one_of(node, "`true` or `false`", &[("true", true), ("false", false)])
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "boolean" })
    }
}

macro_rules! whole_number {
    ($($ty:ty),*) => {$(
        impl Value for $ty {
            fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
                let wanted = format!("a whole number from {} to {}", <$ty>::MIN, <$ty>::MAX);
                reader.word(node, &wanted, |text| text.parse().map_err(|_| String::new()))
            }

            fn shape(_: &mut Shapes) -> Json {
                json!({ "type": "integer", "minimum": <$ty>::MIN, "maximum": <$ty>::MAX })
            }
        }
    )*};
}

whole_number!(u8, u16, u32, u64);

impl Value for Ipv4Addr {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let wanted = "an IPv4 address such as `192.0.2.10`";
        reader.word(node, wanted, |text| text.parse().map_err(|_| String::new()))
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string", "format": "ipv4" })
    }
}

impl Value for Wall {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let wanted = "a date and time such as `2018-10-09T09:00:00Z`";
        reader.word(node, wanted, |text| Wall::parse(text).ok_or_else(String::new))
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string", "format": "date-time" })
    }
}
