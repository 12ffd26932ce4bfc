//! JSON Schema of `lab.yaml` and of stories, and the list of verbs as Markdown.
//!
//! Both are made from the definitions that the reader itself uses, so they cannot fall behind it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::yaml::record::Record;
use crate::yaml::{Kind, Value};

/// The shapes met so far, by name.
#[derive(Debug, Default)]
pub struct Shapes {
    defs: BTreeMap<String, Json>,
}

impl Shapes {
    /// The shape `name`, made by `make` when it is met first; a reference to it.
    pub(crate) fn define(&mut self, name: &str, make: impl FnOnce(&mut Shapes) -> Json) -> Json {
        if !self.defs.contains_key(name) {
            // In its place before it is made: steps hold steps.
            self.defs.insert(name.to_owned(), Json::Null);
            let shape = make(self);
            self.defs.insert(name.to_owned(), shape);
        }
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// A name of this kind.
    pub(crate) fn name(&mut self, kind: Kind) -> Json {
        json!({ "type": ["string", "number"], "description": format!("a {}", kind.noun()) })
    }

    /// An object with the keys of a record, none of them needed.
    pub(crate) fn keys_of<R: Record>(&mut self) -> Json {
        let keys: Vec<String> = R::field_docs().into_iter().map(|field| field.key).collect();
        json!({ "type": "object", "propertyNames": { "enum": keys } })
    }

    fn resolved(&self, shape: Json) -> Json {
        let target = shape.get("$ref").and_then(Json::as_str).and_then(|path| path.rsplit('/').next());
        target.and_then(|name| self.defs.get(name)).cloned().unwrap_or(shape)
    }

    /// A copy of a record's shape that has one more key.
    pub(crate) fn with_key(&self, shape: Json, key: &str, value: Json) -> Json {
        let mut shape = self.resolved(shape);
        if let Some(properties) = shape.get_mut("properties").and_then(Json::as_object_mut) {
            properties.insert(key.to_owned(), value);
        }
        shape
    }

    /// A copy of a record's shape in which a key has another name.
    pub(crate) fn rename_key(&self, shape: Json, from: &str, to: &str) -> Json {
        let mut shape = self.resolved(shape);
        if let Some(properties) = shape.get_mut("properties").and_then(Json::as_object_mut)
            && let Some(value) = properties.remove(from)
        {
            properties.insert(to.to_owned(), value);
        }
        if let Some(required) = shape.get_mut("required").and_then(Json::as_array_mut) {
            required.iter_mut().filter(|key| *key == from).for_each(|key| *key = json!(to));
        }
        shape
    }
}

/// The shape of a record while it is made.
pub(crate) struct RecordShape {
    doc: String,
    needed: Vec<String>,
    docs: BTreeMap<String, String>,
    short: Option<&'static str>,
    properties: Map<String, Json>,
}

impl RecordShape {
    pub(crate) fn new<R: Record>() -> RecordShape {
        let fields = R::field_docs();
        RecordShape {
            doc: R::doc(),
            needed: fields.iter().filter(|field| field.needed).map(|field| field.key.clone()).collect(),
            docs: fields.into_iter().map(|field| (field.key, field.doc)).collect(),
            short: R::short(),
            properties: Map::new(),
        }
    }

    pub(crate) fn field<T: Value>(&mut self, key: &str, shapes: &mut Shapes) {
        let doc = self.docs.get(key).cloned().unwrap_or_default();
        let shape = T::shape(shapes);
        self.properties.insert(key.to_owned(), json!({ "description": doc, "allOf": [shape] }));
    }

    pub(crate) fn finish(self) -> Json {
        let alone = self.short.and_then(|short| self.properties.get(short).cloned());
        let record = json!({
            "type": "object",
            "description": self.doc,
            "properties": self.properties,
            "required": self.needed,
            "additionalProperties": false,
        });
        match alone {
            Some(alone) => json!({ "anyOf": [record, alone] }),
            None => record,
        }
    }
}
