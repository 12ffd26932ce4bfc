//! Phones.

use std::collections::BTreeMap;

use super::check;
use crate::yaml::record::record;
use crate::yaml::{Located, Mac};

record! {
    /// A phone.
    "a phone" pub struct Phone {
        /// Its model.
        "model" model: Located<String> => check::model,
        /// Its firmware.
        "firmware" firmware: String = "5.9.6.2327".to_owned() => check::firmware,
        /// Its hardware address: twelve hex digits.
        "mac" mac: Located<Mac>,
        /// The site whose network it is plugged into.
        "site" site: Located<String>,
        /// Parameters set on it before the story begins, as its own web page would.
        "parameters" parameters: BTreeMap<String, String>,
    }
}
