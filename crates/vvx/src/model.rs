//! Models and firmware: what each phone looks like and what each release can do.
//!
//! Both are data (`data/models.json`, `data/firmware.json`), read once. What is a guess says so in the data:
//! screens and line keys of some models, and every duration of the boot.

pub mod firmware;

use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use thiserror::Error;

pub use firmware::{Agent, BootTiming, Feature, Firmware, UnknownFirmware, Version};

/// What a model's screen can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// Black on grey.
    Mono,
    /// Colours.
    Colour,
}

/// One model of the family.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// As a lab file names it: `vvx600`.
    pub name: String,
    /// As the case names it: `VVX 600`.
    pub label: String,
    /// Pixels across.
    pub width: u16,
    /// Pixels down.
    pub height: u16,
    /// Mono or colour.
    pub colour: Colour,
    /// Whether the screen takes touches; without it there are soft keys and arrows below the screen.
    pub touch: bool,
    /// Line keys next to the screen.
    pub line_keys: u8,
    /// The hardware part number that prefixes firmware file names, where it is known.
    #[serde(default)]
    pub part: Option<String>,
    /// The oldest release line that runs on it, as `major.minor`. A guess for all models.
    pub oldest: String,
    /// How sure these facts are, in words.
    pub sureness: String,
}

static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/models.json")).expect("the embedded models are well formed")
});

/// A model that is not in the family.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no model is called `{name}`; known are {known}")]
pub struct UnknownModel {
    /// What was asked for.
    pub name: String,
    /// What there is, comma by comma.
    pub known: String,
}

impl Model {
    /// The model called `name`, written as `vvx600`, `VVX 600` or `VVX_600`.
    ///
    /// # Errors
    ///
    /// If the family has no such model; the error names those it has.
    pub fn find(name: &str) -> Result<&'static Model, UnknownModel> {
        let plain: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        MODELS.iter().find(|model| model.name == plain).ok_or_else(|| UnknownModel {
            name: name.to_owned(),
            known: MODELS.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Every model of the family, by number.
    pub fn all() -> &'static [Model] {
        &MODELS
    }

    /// As user agents write it: `VVX_600`.
    pub fn agent_name(&self) -> String {
        self.label.replace(' ', "_")
    }
}

/// A phone's hardware address (IEEE 802). Prints as the phone writes it in file names: `0004f2abcdef`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Reads twelve hexadecimal digits, with or without `:` or `-` between pairs; `None` for anything else.
    pub fn parse(text: &str) -> Option<Mac> {
        let digits: Vec<char> = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
        if digits.len() != 12 {
            return None;
        }
        let mut octets = [0; 6];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks(2)) {
            let (high, low) = (pair[0].to_digit(16)?, pair[1].to_digit(16)?);
            *octet = u8::try_from(high * 16 + low).ok()?;
        }
        Some(Mac(octets))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.0.iter().map(|octet| format!("{octet:02x}")).collect();
        f.pad(&text)
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_however_people_write_it() {
        for name in ["vvx600", "VVX 600", "VVX_600", "VVX-600"] {
            assert_eq!(Model::find(name).map(|model| model.label.as_str()), Ok("VVX 600"));
        }
        let desk = Model::find("vvx600").expect("a model");
        assert_eq!((desk.width, desk.height, desk.touch, desk.line_keys), (480, 272, true, 16));
    }

    #[test]
    fn an_unknown_model_is_refused_with_those_that_exist() {
        let refused = Model::find("vvx700").expect_err("no such model").to_string();
        assert!(refused.starts_with("no model is called `vvx700`; known are vvx150, vvx201"), "{refused}");
    }

    #[test]
    fn a_hardware_address_is_read_in_its_usual_spellings_and_printed_as_in_file_names() {
        for text in ["0004f2abcdef", "00:04:F2:AB:CD:EF", "00-04-f2-ab-cd-ef"] {
            assert_eq!(Mac::parse(text).map(|mac| mac.to_string()).as_deref(), Some("0004f2abcdef"));
        }
        for text in ["", "0004f2abcde", "0004f2abcdefa", "0004f2abcdeg"] {
            assert_eq!(Mac::parse(text), None, "{text}");
        }
    }
}
