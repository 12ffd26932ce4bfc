//! People and their accounts.

use super::check;
use crate::yaml::Located;
use crate::yaml::record::{record, words};

record! {
    /// A person, or an account that belongs to a room.
    "a person" pub struct Person {
        /// The sign-in name: an address in the lab's domain.
        "upn" upn: Located<String> => check::upn,
        /// The password. Common-area accounts may have none: the portal draws one.
        "password" password: Option<Secret> => check::password,
        /// How the person proves a sign-in beside the password.
        "second-factor" second_factor: SecondFactorKind = SecondFactorKind::None,
        /// The telephone number, with `+`.
        "line" line: Option<Located<String>> => check::line,
        /// A person or a room.
        "kind" kind: PersonKind = PersonKind::Person,
        /// What the account may do.
        "role" role: Role = Role::User,
        /// The pool, if not the first.
        "pool" pool: Option<Located<String>>,
        /// Whether the account may sign in.
        "enabled" enabled: bool = true,
    }
    check check::person
}

words! {
    /// The second factor that a person has.
    "`none` or `totp`" pub enum SecondFactorKind {
        /// None.
        "none" None,
        /// Codes of an authenticator (RFC 6238).
        "totp" Totp,
    }
}

words! {
    /// Whose an account is.
    "`person` or `common-area`" pub enum PersonKind {
        /// A person's.
        "person" Person,
        /// A room's: for phones that everybody uses.
        "common-area" CommonArea,
    }
}

words! {
    /// What an account may do.
    "`user` or `administrator`" pub enum Role {
        /// Sign in for itself.
        "user" User,
        /// Also provision common-area phones.
        "administrator" Administrator,
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself: for handing it to whom it belongs, never for printing.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The secret of one of a fleet, whose number goes where the pattern says.
    pub(super) fn numbered(&self, n: u32) -> Secret {
        Secret(super::numbered(&self.0, n))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("•••")
    }
}

impl crate::yaml::Value for Secret {
    fn read(node: &crate::yaml::Node, reader: &mut crate::yaml::Reader) -> Option<Self> {
        String::read(node, reader).map(Secret)
    }

    fn shape(shapes: &mut crate::schema::Shapes) -> serde_json::Value {
        <String as crate::yaml::Value>::shape(shapes)
    }
}
