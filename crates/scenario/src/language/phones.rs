//! Verbs of the phone: power, keys, codes, configuration.

use std::collections::BTreeMap;

use super::{KeyName, PhoneName, Text};
use crate::yaml::record::record;

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
        "field" field: Option<String>,
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
        "digits" digits: Text,
    }
}

record! {
    /// Parameters set on a phone as its own web page would.
    "`configure`" pub struct Configure {
        /// The phone.
        "phone" phone: PhoneName,
        /// Parameter names and their values.
        "parameters" parameters: BTreeMap<String, Text>,
    }
}
