//! Verbs of people: what they do in their browsers.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{PersonName, Text};
use crate::mistakes::Mistake;
use crate::schema::Shapes;
use crate::yaml::record::record;
use crate::yaml::{Node, Reader, Value};

record! {
    /// An address opened in the person's browser.
    "`browse`" pub struct Browse {
        /// The person.
        "person" person: PersonName,
        /// The address.
        "to" to: Text,
    }
}

record! {
    /// A form filled in and sent.
    "`submit`" pub struct Submit {
        /// The person.
        "person" person: PersonName,
        /// The code from the phone's screen, put into the page's one code field.
        "code" code: Option<Text>,
        /// Other fields by name or label, with what is written into them.
        "fields" fields: BTreeMap<String, Text>,
    }
    check check_submit
}

fn check_submit(submit: &Submit, node: &Node, reader: &mut Reader) -> Option<()> {
    if submit.code.is_some() || !submit.fields.is_empty() {
        return Some(());
    }
    reader.wrong(Mistake::new(node.place, "`submit` needs `code` or `fields`"));
    None
}

record! {
    /// A button or link on the page.
    "`click`" pub struct Click {
        /// The person.
        "person" person: PersonName,
        /// Its words.
        "button" button: Text,
    }
}

record! {
    /// Account, password, second factor and what the pages ask beside, as far as they ask.
    short "person"
    "`sign-in`" pub struct SignIn {
        /// The person at the browser.
        "person" person: PersonName,
        /// The account, if it is not the person's own.
        "account" account: Option<PersonName>,
        /// `right`, `wrong`, or the password itself.
        "password" password: Password = Password::Right,
        /// `right`, `wrong`, `none` (leaves the page as it is), or the code itself.
        "second-factor" second_factor: SecondFactor = SecondFactor::Right,
        /// What to answer to "stay signed in?".
        "stay-signed-in" stay_signed_in: bool = false,
    }
}

record! {
    /// The browser closed: what it remembered for this session is gone.
    short "person"
    "`close-browser`" pub struct CloseBrowser {
        /// The person.
        "person" person: PersonName,
    }
}

record! {
    /// A common-area phone's account provisioned by an administrator in the portal, from its code.
    "`provision`" pub struct Provision {
        /// The administrator.
        "person" person: PersonName,
        /// The common-area account.
        "account" account: PersonName,
        /// The code that the phone shows.
        "code" code: Text,
    }
}

/// The password that is typed.
#[derive(Clone, Debug, PartialEq)]
pub enum Password {
    /// The account's own, as it is at that moment.
    Right,
    /// Another one.
    Wrong,
    /// This one.
    Text(Text),
}

impl Value for Password {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Some(match reader.scalar(node, "`right`, `wrong` or a password")? {
            "right" => Password::Right,
            "wrong" => Password::Wrong,
            _ => Password::Text(Text::read(node, reader)?),
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "anyOf": [{ "enum": ["right", "wrong"] }, { "type": ["string", "number"] }] })
    }
}

/// The second factor that is given.
#[derive(Clone, Debug, PartialEq)]
pub enum SecondFactor {
    /// The code that the account's authenticator shows at that moment.
    Right,
    /// Another one.
    Wrong,
    /// None: the page that asks for it stays.
    None,
    /// This one.
    Text(Text),
}

impl Value for SecondFactor {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Some(match reader.scalar(node, "`right`, `wrong`, `none` or a code")? {
            "right" => SecondFactor::Right,
            "wrong" => SecondFactor::Wrong,
            "none" => SecondFactor::None,
            _ => SecondFactor::Text(Text::read(node, reader)?),
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "anyOf": [{ "enum": ["right", "wrong", "none"] }, { "type": ["string", "number"] }] })
    }
}
