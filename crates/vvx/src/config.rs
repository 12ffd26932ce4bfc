//! Settings, layer over layer.

use std::collections::BTreeMap;

use net::Outbox;
use thiserror::Error;

use crate::flash::{Flash, FlashError, WriteId};

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The firmware's own default.
    Default,
    /// The call server, in-band. Kept in memory only; gone with the registration.
    CallServer,
    /// Device settings (`device.*`).
    Device,
    /// Provisioned files.
    Files,
    /// The web interface.
    Web,
    /// The phone's own menu.
    Local,
}

/// A value and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The text.
    pub text: &'a str,
    /// The layer that won.
    pub source: Source,
}

/// Why a configuration was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The file is no well-formed XML, or uses what is not allowed in it.
    #[error("{file} line {line}: {why}")]
    Malformed {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// A limit is broken.
    #[error("{what}: more than {limit}")]
    TooMuch {
        /// What there is too much of.
        what: String,
        /// How much is allowed.
        limit: usize,
    },
    /// The default layer cannot be written.
    #[error("the firmware's defaults cannot be changed")]
    ReadOnly,
    /// The flash did not take it.
    #[error(transparent)]
    Flash(#[from] FlashError),
}

/// All settings of a phone.
#[derive(Default)]
pub struct Config {}

impl Config {
    /// What the flash remembers.
    pub fn read(_flash: &Flash) -> Config {
        Config::default()
    }

    /// The value that counts for `name`, and whose it is.
    pub fn get(&self, _name: &str) -> Option<Value<'_>> {
        None
    }

    /// The text that counts for `name`; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).map_or("", |value| value.text)
    }

    /// The number that counts for `name`, if it is one.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.text(name).trim().parse().ok()
    }

    /// Whether `name` is switched on: `1`, `true`, `on` or `enabled`.
    pub fn is_on(&self, name: &str) -> bool {
        matches!(self.text(name).trim().to_ascii_lowercase().as_str(), "1" | "true" | "on" | "enabled")
    }

    /// The value in every layer that has one, strongest first.
    pub fn everywhere(&self, _name: &str) -> Vec<Value<'_>> {
        Vec::new()
    }

    /// Sets or removes one value in one layer; `device.*` goes to the device settings from any of them.
    ///
    /// # Errors
    ///
    /// If the layer is [`Source::Default`], a limit is broken, or the flash is full.
    pub fn set(
        &mut self,
        _layer: Source,
        _name: &str,
        _text: Option<&str>,
        _flash: &mut Flash,
        _out: &mut Outbox,
    ) -> Result<Option<WriteId>, ConfigError> {
        Ok(None)
    }

    /// Replaces a whole layer, as provisioning does with [`Source::Files`] and in-band with [`Source::CallServer`].
    ///
    /// # Errors
    ///
    /// As [`Config::set`]; the layer stays as it was.
    pub fn replace(
        &mut self,
        _layer: Source,
        _values: BTreeMap<String, String>,
        _flash: &mut Flash,
        _out: &mut Outbox,
    ) -> Result<Option<WriteId>, ConfigError> {
        Ok(None)
    }

    /// The values of one layer, by name.
    pub fn layer(&self, _layer: Source) -> impl Iterator<Item = (&str, &str)> {
        std::iter::empty()
    }
}
