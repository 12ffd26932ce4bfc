//! JSON Schema of `lab.yaml` and of stories, and the list of verbs as Markdown.
//!
//! Both are made from the definitions that the reader itself uses, so they cannot fall behind it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::language::{Verb, VerbDoc};
use crate::yaml::record::Record;
use crate::yaml::{Content, Kind, Node, Value};

/// The shapes met so far, by name.
#[derive(Debug, Default)]
pub struct Shapes {
    defs: BTreeMap<String, Json>,
}

impl Shapes {
    /// The shape `name`, made by `make` when it is met first; a reference to it.
    pub fn define(&mut self, name: &str, make: impl FnOnce(&mut Shapes) -> Json) -> Json {
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
pub struct RecordShape {
    doc: String,
    needed: Vec<String>,
    docs: BTreeMap<String, String>,
    short: Option<&'static str>,
    properties: Map<String, Json>,
}

impl RecordShape {
    /// One without properties, with the documentation of `R`.
    pub fn new<R: Record>() -> RecordShape {
        let fields = R::field_docs();
        RecordShape {
            doc: R::doc(),
            needed: fields.iter().filter(|field| field.needed).map(|field| field.key.clone()).collect(),
            docs: fields.into_iter().map(|field| (field.key, field.doc)).collect(),
            short: R::short(),
            properties: Map::new(),
        }
    }

    /// Adds the property `key`.
    pub fn field<T: Value>(&mut self, key: &str, shapes: &mut Shapes) {
        let doc = self.docs.get(key).cloned().unwrap_or_default();
        let shape = T::shape(shapes);
        self.properties.insert(key.to_owned(), json!({ "description": doc, "allOf": [shape] }));
    }

    /// The schema.
    pub fn finish(self) -> Json {
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

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The JSON Schema of `lab.yaml`.
pub fn lab() -> Json {
    document::<crate::lab_file::Lab>("A lab")
}

/// The JSON Schema of a story. Where a value has a form, `{{name}}` may stand for it.
pub fn story() -> Json {
    with_templates(document::<crate::language::StoryFile>("A story"))
}

/// The JSON Schema of a file that stories include: a list of steps, or one under `steps`.
pub fn part() -> Json {
    let steps = with_templates(document::<crate::language::Steps>("Steps for stories"));
    json!({
        "$schema": DIALECT,
        "title": "Steps for stories",
        "$defs": steps["$defs"],
        "anyOf": [
            { "type": "array", "items": steps["items"] },
            { "type": "object", "properties": { "steps": { "type": "array", "items": steps["items"] } } },
        ],
    })
}

fn with_templates(mut schema: Json) -> Json {
    for part in ["properties", "$defs"] {
        if let Some(part) = schema.get_mut(part) {
            allow_templates(part);
        }
    }
    if let Some(defs) = schema.get_mut("$defs").and_then(Json::as_object_mut) {
        let template = json!({ "type": "string", "pattern": r"\{\{.+\}\}" });
        defs.insert("Template".to_owned(), template);
    }
    schema
}

/// Lets a template stand for every value that has a form of its own.
fn allow_templates(shape: &mut Json) {
    match shape {
        Json::Array(items) => items.iter_mut().for_each(allow_templates),
        Json::Object(keys) if has_form(keys) => {
            let form = std::mem::take(shape);
            *shape = json!({ "anyOf": [form, { "$ref": "#/$defs/Template" }] });
        }
        // What is under `propertyNames` is a key, and keys are never templates.
        Json::Object(keys) => {
            keys.iter_mut()
                .filter(|(key, _)| *key != "propertyNames")
                .for_each(|(_, part)| allow_templates(part));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// Whether a shape is of one value that cannot be any text.
fn has_form(keys: &Map<String, Json>) -> bool {
    let is = |word: &str| keys.get("type").is_some_and(|sort| sort == word);
    let formed =
        ["pattern", "enum", "format"].iter().any(|key| keys.get(*key).is_some_and(|form| !form.is_object()));
    formed || is("integer") || is("boolean")
}

/// The JSON Schema of files that hold a `T`.
pub fn document<T: Value>(title: &str) -> Json {
    let mut shapes = Shapes::default();
    let root = T::shape(&mut shapes);
    let mut document = json!({ "$schema": DIALECT, "title": title, "$defs": shapes.defs });
    if let (Some(document), Json::Object(root)) = (document.as_object_mut(), root) {
        document.extend(root);
    }
    document
}

/// YAML text as JSON, for checking it against a schema: plain words that are numbers or booleans become such.
///
/// # Errors
///
/// What is wrong with the YAML.
pub fn to_json(text: &str) -> Result<Json, crate::mistakes::Mistakes> {
    let mut sources = crate::mistakes::Sources::default();
    let limits = crate::yaml::Limits::default();
    match crate::yaml::parse("text", text.as_bytes().to_vec(), limits, &mut sources) {
        Ok(node) => Ok(as_json(&node)),
        Err(mistakes) => Err(crate::mistakes::Mistakes::new(mistakes, sources)),
    }
}

/// The core schema of YAML 1.2, as an editor reads it.
fn as_json(node: &Node) -> Json {
    match &node.content {
        Content::Nothing => Json::Null,
        Content::Scalar { text, quoted: true } => Json::String(text.clone()),
        Content::Scalar { text, quoted: false } => match text.as_str() {
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            plain => match plain.parse::<serde_json::Number>() {
                Ok(number) => Json::Number(number),
                Err(_) => Json::String(plain.to_owned()),
            },
        },
        Content::List(items) => items.iter().map(as_json).collect(),
        Content::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), as_json(&entry.value))).collect()
        }
    }
}

/// The verbs of the story language as Markdown: by theme, each with what it takes and an example.
pub fn verbs_markdown() -> String {
    let mut text = String::new();
    let mut theme = None;
    for verb in Verb::ALL {
        if theme != Some(verb.theme) {
            theme = Some(verb.theme);
            text.push_str(&format!("## {}\n\n", verb.theme.name()));
        }
        let doc = crate::yaml::record::doc_text(verb.doc);
        text.push_str(&format!("### `{}`\n\n{doc}\n\n```yaml\n- {}\n```\n\n", verb.name, verb.example));
        text.push_str(&keys_markdown(verb));
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The keys of `lab.yaml` as Markdown: each part with its keys, the lab itself first.
pub fn lab_markdown() -> String {
    let mut shapes = Shapes::default();
    let root = crate::lab_file::Lab::shape(&mut shapes);
    let lab = shapes.resolved(root);
    let parts = shapes.defs.iter().filter(|(name, _)| *name != "Lab").map(|(_, shape)| shape);
    let parts = parts.filter(|shape| shape.get("properties").is_some());
    let section = |shape: &Json| {
        let doc = shape["description"].as_str().unwrap_or_default();
        format!("{doc}\n\n{}", record_markdown(shape))
    };
    std::iter::once(&lab).chain(parts).map(section).collect::<Vec<_>>().join("\n")
}

/// The keys of a verb's value, taken from its shape.
fn keys_markdown(verb: &VerbDoc) -> String {
    let mut shapes = Shapes::default();
    let shape = (verb.shape)(&mut shapes);
    let shape = shapes.resolved(shape);
    let alternatives = match shape.get("anyOf").and_then(Json::as_array) {
        Some(alternatives) => alternatives.clone(),
        None => vec![shape],
    };
    let records: Vec<&Json> = alternatives.iter().filter(|shape| shape.get("properties").is_some()).collect();
    let mut text = String::new();
    let mut told: Vec<&Json> = Vec::new();
    for record in &records {
        // The same record under another name of its first key is told once.
        if told.contains(&&record["description"]) {
            continue;
        }
        told.push(&record["description"]);
        if records.len() > 1 {
            let doc = record["description"].as_str().unwrap_or_default();
            text.push_str(&format!("{doc}\n\n"));
        }
        text.push_str(&record_markdown(record));
        text.push('\n');
    }
    text
}

/// A line for each key of a record; needed ones first.
pub fn record_markdown(record: &Json) -> String {
    let required = record["required"].as_array().map_or(&[][..], Vec::as_slice);
    let is_needed = |key: &str| required.iter().any(|needed| needed == key);
    let mut keys: Vec<(&String, &Json)> =
        record["properties"].as_object().map_or_else(Vec::new, |properties| properties.iter().collect());
    keys.sort_by_key(|(key, _)| !is_needed(key));
    let line = |(key, value): &(&String, &Json)| {
        let doc = value.get("description").and_then(Json::as_str).unwrap_or_default();
        let needed = if is_needed(key) { " *(needed)*" } else { "" };
        format!("- `{key}`{needed}: {doc}\n")
    };
    keys.iter().map(line).collect()
}
