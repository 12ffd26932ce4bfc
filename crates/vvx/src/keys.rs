//! Keys: what a person can press, and what they are told when they cannot.
//!
//! A key is named by the label that the display shows (`Sign In`), or by its own name on the case: `Home`, `Back`,
//! `0` to `9` or `Dialpad0` to `Dialpad9`, `DialpadStar`, `DialpadPound`, `SoftKey1` to `SoftKey5`, `Select`,
//! `Delete`, `ArrowUp`, `ArrowDown`, `ArrowLeft`, `ArrowRight`, `Hold`, `Transfer`, `MicMute`, `Redial`,
//! `DoNotDisturb`, `Handsfree`, `Headset`. Case does not matter.

use thiserror::Error;

/// A key of the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardKey {
    /// To Home, from anywhere.
    Home,
    /// One step back.
    Back,
    /// A digit, `*` or `#`.
    Dial(char),
    /// A soft key, counted from 1.
    Soft(usize),
    /// The middle of the arrows.
    Select,
    /// Takes the last character away.
    Delete,
    /// The field above.
    Up,
    /// The field below.
    Down,
    /// Nothing on the screens that there are.
    Sideways,
    /// Holds, and resumes.
    Hold,
    /// Transfers.
    Transfer,
    /// The microphone, off and on.
    MicMute,
    /// What was dialled last, once more.
    Redial,
    /// Turns callers away, and lets them through again.
    DoNotDisturb,
    /// Answers, or gives a dial tone.
    Handsfree,
}

impl HardKey {
    /// The key of that name, if it is one of the case's.
    pub fn parse(name: &str) -> Option<HardKey> {
        let lower = name.to_ascii_lowercase();
        let mut chars = lower.chars();
        if let (Some(c @ ('0'..='9' | '*' | '#')), None) = (chars.next(), chars.next()) {
            return Some(HardKey::Dial(c));
        }
        if let Some(rest) = lower.strip_prefix("dialpad") {
            return match rest {
                "star" => Some(HardKey::Dial('*')),
                "pound" => Some(HardKey::Dial('#')),
                digit if digit.len() == 1 => {
                    digit.chars().next().filter(char::is_ascii_digit).map(HardKey::Dial)
                }
                _ => None,
            };
        }
        if let Some(rest) = lower.strip_prefix("softkey") {
            return rest.parse().ok().filter(|n| (1..=5).contains(n)).map(HardKey::Soft);
        }
        Some(match lower.as_str() {
            "home" => HardKey::Home,
            "back" => HardKey::Back,
            "select" => HardKey::Select,
            "delete" => HardKey::Delete,
            "arrowup" => HardKey::Up,
            "arrowdown" => HardKey::Down,
            "arrowleft" | "arrowright" => HardKey::Sideways,
            "hold" => HardKey::Hold,
            "transfer" => HardKey::Transfer,
            "micmute" => HardKey::MicMute,
            "redial" => HardKey::Redial,
            "donotdisturb" => HardKey::DoNotDisturb,
            "handsfree" | "headset" => HardKey::Handsfree,
            _ => return None,
        })
    }
}

/// Keys that the case has and that no screen of the lab does anything with, as tools name them.
const IDLE: &[&str] = &[
    "volup",
    "voldown",
    "conference",
    "messages",
    "menu",
    "directories",
    "setup",
    "status",
    "call list",
    "applications",
    "backspace",
];

/// Whether the case has a key of that name.
pub fn is_known(name: &str) -> bool {
    let lower = name.trim().to_ascii_lowercase();
    let is_line =
        lower.strip_prefix("line").and_then(|n| n.parse::<u8>().ok()).is_some_and(|n| (1..=48).contains(&n));
    HardKey::parse(name).is_some() || is_line || IDLE.contains(&lower.as_str())
}

/// Why a key did nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PressError {
    /// The phone has no power.
    #[error("the phone is off")]
    Off,
    /// The display does not offer it, and the case has no such key.
    #[error("screen `{screen}` offers no `{key}`; it offers {offered}")]
    NotOffered {
        /// What was to be pressed.
        key: String,
        /// The screen's id.
        screen: &'static str,
        /// What it offers, comma by comma.
        offered: String,
    },
}

/// Why text could not be typed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TypeError {
    /// The phone has no power.
    #[error("the phone is off")]
    Off,
    /// The display has no field at all.
    #[error("screen `{screen}` has no field to type into")]
    NoField {
        /// The screen's id.
        screen: &'static str,
    },
    /// The display has no such field.
    #[error("screen `{screen}` has no field `{field}`; it has {fields}")]
    NoSuchField {
        /// What was to be filled in.
        field: String,
        /// The screen's id.
        screen: &'static str,
        /// The fields that it has, comma by comma.
        fields: String,
    },
}

/// What stands in the way of an act of several presses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ActError {
    /// A key.
    #[error(transparent)]
    Press(#[from] PressError),
    /// A field.
    #[error(transparent)]
    Type(#[from] TypeError),
    /// The phone says why not.
    #[error("the phone says: {0}")]
    Said(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_case_are_known_in_any_case() {
        for (name, key) in [
            ("Home", HardKey::Home),
            ("dialpad7", HardKey::Dial('7')),
            ("7", HardKey::Dial('7')),
            ("DialpadStar", HardKey::Dial('*')),
            ("SoftKey5", HardKey::Soft(5)),
        ] {
            assert_eq!(HardKey::parse(name), Some(key), "{name}");
        }
        for name in ["", "SoftKey0", "SoftKey6", "Dialpad", "Dialpad12", "Sign In", "77"] {
            assert_eq!(HardKey::parse(name), None, "{name}");
        }
    }
}
