//! Configuration files: XML whose attributes are the parameters, and the master file that names them.
//!
//! Every attribute with a dot in its name is a parameter, wherever it stands; element names mean nothing, but
//! for `APPLICATION`, whose attributes say which other files there are. Document type declarations are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::{ConfigError, NAME_LIMIT, PARAMETERS_LIMIT, VALUE_LIMIT};
use crate::model::{Mac, Model};

/// Octets of a file.
pub const FILE_LIMIT: usize = 1024 * 1024;
/// How deep elements may stand in each other.
const DEPTH_LIMIT: usize = 64;
/// Files that a master file may name.
const FILES_LIMIT: usize = 32;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFile {
    /// Parameters by name. Of two with the same name the first one counts (a guess).
    pub values: BTreeMap<String, String>,
    /// What an `APPLICATION` element says, if there is one.
    pub master: Option<Master>,
}

/// The master file: which other files there are, and where the phone puts its own. Macros are not yet replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Master {
    /// `APP_FILE_PATH`: the firmware image.
    pub app_file: String,
    /// `CONFIG_FILES`, in order.
    pub config_files: Vec<String>,
    /// `LOG_FILE_DIRECTORY`.
    pub log_directory: String,
    /// `OVERRIDES_DIRECTORY`, of `<mac>-phone.cfg` and `<mac>-web.cfg`.
    pub overrides_directory: String,
    /// `CONTACTS_DIRECTORY`, of `<mac>-directory.xml`.
    pub contacts_directory: String,
    /// `LICENSE_DIRECTORY`, of `<mac>-license.cfg`.
    pub license_directory: String,
    /// `CALL_LISTS_DIRECTORY`, of `<mac>-calls.xml`.
    pub call_lists_directory: String,
}

/// What macros in file names and URLs stand for.
#[derive(Clone, Copy, Debug)]
pub struct Macros<'a> {
    /// `[PHONE_MAC_ADDRESS]`, lower case.
    pub mac: Mac,
    /// `[PHONE_IP_ADDRESS]`.
    pub address: Ipv4Addr,
    /// `[PHONE_MODEL]` and `[PHONE_PART_NUMBER]` (both guesses).
    pub model: &'a Model,
}

impl Macros<'_> {
    /// The text with its macros replaced; unknown ones stay as they are.
    pub fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('[') {
            expanded.push_str(before);
            let known = after.split_once(']').and_then(|(name, rest)| Some((self.value(name)?, rest)));
            rest = match known {
                Some((value, rest)) => {
                    expanded.push_str(&value);
                    rest
                }
                None => {
                    expanded.push('[');
                    after
                }
            };
        }
        expanded.push_str(rest);
        expanded
    }

    fn value(&self, name: &str) -> Option<String> {
        match name {
            "PHONE_MAC_ADDRESS" => Some(self.mac.to_string()),
            "PHONE_IP_ADDRESS" => Some(self.address.to_string()),
            "PHONE_MODEL" => Some(self.model.label.replace(' ', "")),
            "PHONE_PART_NUMBER" => self.model.part.clone(),
            _ => None,
        }
    }
}

impl ConfigFile {
    /// Reads a file; `name` is for the error only.
    ///
    /// # Errors
    ///
    /// If it is larger than [`FILE_LIMIT`], no well-formed XML, declares a document type, or breaks a limit; the
    /// error names the line.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<ConfigFile, ConfigError> {
        if bytes.len() > FILE_LIMIT {
            return Err(ConfigError::TooMuch { what: format!("octets of {name}"), limit: FILE_LIMIT });
        }
        let malformed = |at: usize, why: String| ConfigError::Malformed {
            file: name.to_owned(),
            line: 1 + bytes[..at.min(bytes.len())].iter().filter(|octet| **octet == b'\n').count(),
            why,
        };
        let text = std::str::from_utf8(bytes)
            .map_err(|why| malformed(why.valid_up_to(), "no UTF-8 text".to_owned()))?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let mut file = ConfigFile::default();
        let (mut depth, mut has_root) = (0usize, false);
        loop {
            let started_at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let event = reader.read_event().map_err(|why| {
                let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
                malformed(at, why.to_string())
            })?;
            let wrong = |why: &str| malformed(started_at, why.to_owned());
            match event {
                Event::Start(element) => {
                    depth += 1;
                    if depth > DEPTH_LIMIT {
                        return Err(wrong("elements stand too deep in each other"));
                    }
                    has_root = true;
                    file.take(&element).map_err(|why| malformed(started_at, why))?;
                }
                Event::Empty(element) => {
                    has_root = true;
                    file.take(&element).map_err(|why| malformed(started_at, why))?;
                }
                Event::End(_) => depth = depth.saturating_sub(1),
                Event::DocType(_) => return Err(wrong("a document type declaration is not allowed")),
                Event::Text(text) if depth == 0 && !text.trim().is_empty() => {
                    return Err(wrong("text outside of any element"));
                }
                Event::Eof if depth > 0 => return Err(wrong("an element is not closed")),
                Event::Eof if !has_root => return Err(wrong("no element")),
                Event::Eof => return Ok(file),
                Event::Text(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::GeneralRef(_) => {}
            }
        }
    }

    fn take(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let is_master = element.name().as_ref() == "APPLICATION" && self.master.is_none();
        let mut master = Master::default();
        let mut seen = BTreeSet::new();
        // quick-xml compares every attribute with every earlier one; thousands stand in one element here.
        for attribute in element.attributes().with_checks(false) {
            let attribute = attribute.map_err(|why| why.to_string())?;
            let name = attribute.key.as_ref();
            if !seen.insert(name.to_owned()) {
                return Err(format!("attribute `{}` comes twice", shorten(name)));
            }
            let text = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|why| format!("attribute `{}`: {why}", shorten(name)))?;
            if name.len() > NAME_LIMIT || text.len() > VALUE_LIMIT {
                return Err(format!("attribute `{}` is too long", shorten(name)));
            }
            if is_master {
                master.take(name, &text)?;
            }
            if name.contains('.') && !name.contains(':') && !self.values.contains_key(name) {
                if self.values.len() == PARAMETERS_LIMIT {
                    return Err(format!("more than {PARAMETERS_LIMIT} parameters"));
                }
                self.values.insert(name.to_owned(), text.into_owned());
            }
        }
        if is_master {
            self.master = Some(master);
        }
        Ok(())
    }
}

impl Master {
    fn take(&mut self, name: &str, text: &str) -> Result<(), String> {
        let place = match name {
            "APP_FILE_PATH" => &mut self.app_file,
            "LOG_FILE_DIRECTORY" => &mut self.log_directory,
            "OVERRIDES_DIRECTORY" => &mut self.overrides_directory,
            "CONTACTS_DIRECTORY" => &mut self.contacts_directory,
            "LICENSE_DIRECTORY" => &mut self.license_directory,
            "CALL_LISTS_DIRECTORY" => &mut self.call_lists_directory,
            "CONFIG_FILES" => {
                let files = text.split(',').map(str::trim).filter(|file| !file.is_empty());
                self.config_files = files.map(str::to_owned).collect();
                if self.config_files.len() > FILES_LIMIT {
                    return Err(format!("more than {FILES_LIMIT} files"));
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        *place = text.trim().to_owned();
        Ok(())
    }
}

fn shorten(name: &str) -> String {
    name.chars().take(60).collect()
}
