//! Settings, layer over layer.
//!
//! A value set on the phone's menu beats one from the web interface, which beats one from provisioned files,
//! which beats what the call server sent in-band, which beats the firmware's default. A few parameters break
//! that order, and a table of exceptions names them. `device.*` parameters are the device's own settings: they
//! live apart, and a file changes one only where it also says `device.set="1"` and `<name>.set="1"`. Names that
//! the lab does not know are kept like any other. Every layer but the in-band one survives a power cut.

mod defaults;
pub mod file;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use net::Outbox;
use thiserror::Error;

use crate::flash::{Flash, FlashError, WriteId};

pub use file::{ConfigFile, Macros, Master};

/// Parameters in one layer or file.
pub const PARAMETERS_LIMIT: usize = 6000;
/// Octets of a parameter's name.
pub const NAME_LIMIT: usize = 200;
/// Octets of a parameter's value.
pub const VALUE_LIMIT: usize = 8 * 1024;

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

impl Source {
    /// As the device's own interfaces label it.
    pub fn label(self) -> &'static str {
        match self {
            Source::Default => "default",
            Source::CallServer => "sip",
            Source::Device => "device",
            Source::Files => "config",
            Source::Web => "web",
            Source::Local => "local",
        }
    }
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

type Layer = BTreeMap<String, String>;

/// All settings of a phone.
#[derive(Clone, Default)]
pub struct Config {
    call_server: Layer,
    device: Layer,
    files: Layer,
    web: Layer,
    local: Layer,
}

impl fmt::Debug for Config {
    /// Counts only: some values are passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("call_server", &self.call_server.len())
            .field("device", &self.device.len())
            .field("files", &self.files.len())
            .field("web", &self.web.len())
            .field("local", &self.local.len())
            .finish()
    }
}

/// Whether the parameter `name` holds something that no log and no note may show.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", ".pin", "secret"].iter().any(|word| name.contains(word))
}

impl Config {
    /// What the flash remembers. Parts that cannot be read are left out.
    pub fn read(flash: &Flash) -> Config {
        let mut config = Config::default();
        for source in store::PERSISTENT {
            let layer = store::read(flash, source);
            if let Some(place) = config.layer_mut(source) {
                *place = layer;
            }
        }
        config
    }

    /// The value that counts for `name`, and whose it is. `None` if no layer knows the name.
    pub fn get(&self, name: &str) -> Option<Value<'_>> {
        self.everywhere_lazily(name).next()
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
    pub fn everywhere(&self, name: &str) -> Vec<Value<'_>> {
        self.everywhere_lazily(name).collect()
    }

    /// Every name that starts with `prefix` and that some layer besides the defaults knows, in order.
    pub fn names<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let layers = [&self.call_server, &self.device, &self.files, &self.web, &self.local];
        let names: BTreeSet<&str> =
            layers.into_iter().flat_map(|layer| with_prefix(layer, prefix).map(|(name, _)| name)).collect();
        names.into_iter()
    }

    /// The values of one layer, by name. For [`Source::Default`], those that the lab knows; names in it may
    /// hold `x` where an index stands.
    pub fn layer(&self, layer: Source) -> impl Iterator<Item = (&str, &str)> {
        let is_default = layer == Source::Default;
        let own = self.layer_of(layer).into_iter().flat_map(|layer| with_prefix(layer, ""));
        own.chain(defaults::all().filter(move |_| is_default))
    }

    /// Sets or removes one value in one layer; `device.*` goes to the device settings whatever layer is named,
    /// since a person in a menu changes them without any `.set`.
    ///
    /// Returns the write to wait for, or `None` if nothing had to be written.
    ///
    /// # Errors
    ///
    /// If the layer is [`Source::Default`], a limit is broken, or the flash is full; nothing is changed then.
    pub fn set(
        &mut self,
        layer: Source,
        name: &str,
        text: Option<&str>,
        flash: &mut Flash,
        out: &mut Outbox,
    ) -> Result<Option<WriteId>, ConfigError> {
        let layer = if name.starts_with("device.") { Source::Device } else { layer };
        let mut values = self.layer_of(layer).ok_or(ConfigError::ReadOnly)?.clone();
        match text {
            Some(text) => values.insert(name.to_owned(), text.to_owned()),
            None => values.remove(name),
        };
        self.put(vec![(layer, values)], flash, out)
    }

    /// Sets many values in one layer as one batch, all or none; `device.*` goes to the device settings.
    ///
    /// # Errors
    ///
    /// As [`Config::set`].
    pub fn set_all(
        &mut self,
        layer: Source,
        changes: &[(String, String)],
        flash: &mut Flash,
        out: &mut Outbox,
    ) -> Result<Option<WriteId>, ConfigError> {
        let mut own = self.layer_of(layer).ok_or(ConfigError::ReadOnly)?.clone();
        let mut device = self.device.clone();
        for (name, text) in changes {
            let place = if name.starts_with("device.") { &mut device } else { &mut own };
            place.insert(name.clone(), text.clone());
        }
        let layers = if layer == Source::Device {
            vec![(layer, device)]
        } else {
            vec![(layer, own), (Source::Device, device)]
        };
        self.put(layers, flash, out)
    }

    /// Replaces a whole layer, as provisioning does with [`Source::Files`] and the call server with
    /// [`Source::CallServer`]; an empty map clears it. From files, `device.*` goes to the device settings where
    /// the `.set` attributes allow it, and nowhere else.
    ///
    /// # Errors
    ///
    /// As [`Config::set`]; all layers stay as they were.
    pub fn replace(
        &mut self,
        layer: Source,
        mut values: BTreeMap<String, String>,
        flash: &mut Flash,
        out: &mut Outbox,
    ) -> Result<Option<WriteId>, ConfigError> {
        if layer != Source::Files {
            return self.put(vec![(layer, values)], flash, out);
        }
        let named = values.split_off("device.");
        let (device, behind): (Layer, Layer) =
            named.into_iter().partition(|(name, _)| name.starts_with("device."));
        values.extend(behind);
        let is_set = |name: &str| device.get(name).is_some_and(|text| text.trim() == "1");
        let mut settings = self.device.clone();
        if is_set("device.set") {
            let allowed = device.iter().filter(|(name, _)| is_set(&format!("{name}.set")));
            let allowed: Layer = allowed.map(|(name, text)| (name.clone(), text.clone())).collect();
            settings.extend(allowed.clone());
            // What the files said stays on record; the device settings may be changed behind it.
            values.extend(allowed);
        }
        self.put(vec![(Source::Files, values), (Source::Device, settings)], flash, out)
    }

    /// Puts whole layers, all or none.
    fn put(
        &mut self,
        layers: Vec<(Source, Layer)>,
        flash: &mut Flash,
        out: &mut Outbox,
    ) -> Result<Option<WriteId>, ConfigError> {
        for (layer, values) in &layers {
            if *layer == Source::Default {
                return Err(ConfigError::ReadOnly);
            }
            check(values)?;
        }
        let write = store::write(&layers, flash, out)?;
        for (layer, values) in layers {
            if let Some(place) = self.layer_mut(layer) {
                *place = values;
            }
        }
        Ok(write)
    }

    fn everywhere_lazily<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = Value<'a>> + use<'a, 'n> {
        const DEVICE: &[Source] = &[Source::Device];
        const USUAL: &[Source] = &[Source::Local, Source::Web, Source::Files, Source::CallServer];
        const IN_BAND_OVER_FILES: &[Source] =
            &[Source::Local, Source::Web, Source::CallServer, Source::Files];
        let order = match defaults::order(name) {
            _ if name.starts_with("device.") => DEVICE,
            defaults::Order::Usual => USUAL,
            defaults::Order::InBandOverFiles => IN_BAND_OVER_FILES,
        };
        let own = order.iter().filter_map(move |source| {
            let text = self.layer_of(*source)?.get(name)?;
            Some(Value { text, source: *source })
        });
        let default = std::iter::once_with(move || defaults::default(name, !self.is_generic())).flatten();
        own.chain(default.map(|text| Value { text, source: Source::Default }))
    }

    /// Whether the phone is in the generic base profile. These phones come with the other one, Lync.
    pub fn is_generic(&self) -> bool {
        self.device.get("device.baseProfile").is_some_and(|profile| profile.eq_ignore_ascii_case("generic"))
    }

    fn layer_of(&self, source: Source) -> Option<&Layer> {
        match source {
            Source::Default => None,
            Source::CallServer => Some(&self.call_server),
            Source::Device => Some(&self.device),
            Source::Files => Some(&self.files),
            Source::Web => Some(&self.web),
            Source::Local => Some(&self.local),
        }
    }

    fn layer_mut(&mut self, source: Source) -> Option<&mut Layer> {
        match source {
            Source::Default => None,
            Source::CallServer => Some(&mut self.call_server),
            Source::Device => Some(&mut self.device),
            Source::Files => Some(&mut self.files),
            Source::Web => Some(&mut self.web),
            Source::Local => Some(&mut self.local),
        }
    }
}

fn with_prefix<'a>(layer: &'a Layer, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    layer
        .range(prefix.to_owned()..)
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .take_while(move |(name, _)| name.starts_with(prefix))
}

fn check(values: &Layer) -> Result<(), ConfigError> {
    let too_much = |what: &str, limit| Err(ConfigError::TooMuch { what: what.to_owned(), limit });
    if values.len() > PARAMETERS_LIMIT {
        return too_much("parameters", PARAMETERS_LIMIT);
    }
    for (name, text) in values {
        if name.len() > NAME_LIMIT {
            return too_much("octets of a parameter's name", NAME_LIMIT);
        }
        if text.len() > VALUE_LIMIT {
            return too_much(&format!("octets of `{name}`"), VALUE_LIMIT);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
