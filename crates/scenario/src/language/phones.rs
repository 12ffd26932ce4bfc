//! Verbs of the phone: power, keys, codes, configuration.

use std::collections::BTreeMap;

use super::{KeyName, PhoneName, Text};
use crate::mistakes::Mistake;
use crate::yaml::record::record;
use crate::yaml::{Node, Reader};

record! {
    /// A phone that something is done to, without further details.
    short "phone"
    "this step" pub struct OnPhone {
        /// The phone.
        "phone" phone: PhoneName,
    }
}

record! {
    /// A key of the phone, a soft key, or a label on its touch screen.
    "`press`" pub struct Press {
        /// The phone.
        "phone" phone: PhoneName,
        /// The key's name or the label, as the screen shows it.
        "key" key: KeyName,
    }
}

record! {
    /// Text typed into a field of the phone's screen.
    "`type`" pub struct Type {
        /// The phone.
        "phone" phone: PhoneName,
        /// The field's label; the one with the cursor if not written.
        "field" field: Option<KeyName>,
        /// What is typed.
        "text" text: Text,
    }
}

record! {
    /// A lock code, set and confirmed or used to unlock.
    "a lock code" pub struct LockCode {
        /// The phone.
        "phone" phone: PhoneName,
        /// The digits; in quotes if they begin with 0.
        "digits" digits: Text => check_digits,
    }
}

record! {
    /// Parameters set on a phone as its own web page would.
    "`configure`" pub struct Configure {
        /// The phone.
        "phone" phone: PhoneName,
        /// Parameter names and their values.
        "parameters" parameters: BTreeMap<String, Text> => check_parameters,
    }
}

record! {
    /// A picture of a phone's display, for the report of a story.
    "`screenshot`" pub struct Screenshot {
        /// The phone.
        "phone" phone: PhoneName,
        /// What the picture is called in the report: letters, digits, `-` and `_`.
        "to" to: Text => check_picture,
    }
}

fn check_picture(to: &Text, node: &Node, reader: &mut Reader) -> Option<()> {
    let text = to.to_string();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if to.names().next().is_none() && (text.is_empty() || text.len() > 64 || !text.chars().all(is_name)) {
        reader.wrong(Mistake::new(
            node.place,
            "a picture is called by letters, digits, `-` and `_`, 1 to 64 of them",
        ));
        return None;
    }
    Some(())
}

fn check_digits(digits: &Text, node: &Node, reader: &mut Reader) -> Option<()> {
    let text = digits.to_string();
    let plain = digits.names().next().is_none();
    if plain && (text.is_empty() || text.len() > 32 || !text.bytes().all(|b| b.is_ascii_digit())) {
        reader.wrong(Mistake::new(node.place, "a lock code is made of digits, 1 to 32 of them"));
        return None;
    }
    Some(())
}

fn check_parameters(parameters: &BTreeMap<String, Text>, node: &Node, reader: &mut Reader) -> Option<()> {
    if parameters.is_empty() {
        reader.wrong(Mistake::new(node.place, "no parameter is named here"));
        return None;
    }
    Some(())
}
