//! Challenges and credentials: one scheme, and parameters in order.
//!
//! The same shape serves `WWW-Authenticate`, `Authorization` and `Authentication-Info` as Microsoft's schemes use
//! them. What was read prints as it was, up to blanks around commas.

use std::borrow::Cow;

use thiserror::Error;

use crate::value::{is_token, quote, quoted_end, unquote};

/// The most parameters that are read in one value.
pub const PARAMS_MAX: usize = 32;

/// One header value: `TLS-DSK qop="auth", version=4`.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    scheme: String,
    params: Vec<Param>,
}

#[derive(Clone, PartialEq, Eq)]
struct Param {
    name: String,
    /// As written, quotes included.
    value: String,
}

/// Why a header value is no scheme with parameters.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthError {
    /// It does not begin with a token.
    #[error("no scheme")]
    NoScheme,
    /// A piece is not `name=value`.
    #[error("parameter {0} is not name=value")]
    NotParam(usize),
    /// A name is given twice, so that two readers could see two values.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// More than [`PARAMS_MAX`] parameters.
    #[error("more than {PARAMS_MAX} parameters")]
    TooMany,
}

impl Auth {
    /// A scheme without parameters.
    pub fn new(scheme: &str) -> Auth {
        Auth { scheme: scheme.to_owned(), params: Vec::new() }
    }

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Auth, AuthError> {
        let text = text.trim();
        let (scheme, mut rest) = text.split_at(text.find([' ', '\t']).unwrap_or(text.len()));
        if !is_token(scheme) {
            return Err(AuthError::NoScheme);
        }
        let mut auth = Auth::new(scheme);
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(auth);
            }
            let bad = AuthError::NotParam(auth.params.len() + 1);
            let (name, after) = rest.split_once('=').ok_or(bad.clone())?;
            let (name, after) = (name.trim_end(), after.trim_start());
            let end = if after.starts_with('"') {
                quoted_end(after)
            } else {
                after.find(',').or(Some(after.len()))
            };
            let (value, after) = after.split_at(end.ok_or(bad.clone())?);
            let (value, after) = (value.trim_end(), after.trim_start());
            let is_bare = value.bytes().all(|b| b > b' ' && b != b'"');
            if !is_token(name) || !(value.starts_with('"') || is_bare) {
                return Err(bad);
            }
            if !(after.is_empty() || after.starts_with(',')) {
                return Err(bad);
            }
            if auth.get(name).is_some() {
                return Err(AuthError::Twice(name.to_owned()));
            }
            if auth.params.len() == PARAMS_MAX {
                return Err(AuthError::TooMany);
            }
            auth.params.push(Param { name: name.to_owned(), value: value.to_owned() });
            rest = after;
        }
    }

    /// Adds `name="value"`.
    #[must_use]
    pub fn quoted(mut self, name: &str, value: &str) -> Auth {
        self.params.push(Param { name: name.to_owned(), value: quote(value) });
        self
    }

    /// Adds `name=value`.
    #[must_use]
    pub fn bare(mut self, name: &str, value: &str) -> Auth {
        self.params.push(Param { name: name.to_owned(), value: value.to_owned() });
        self
    }

    /// The scheme as written.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether it is this scheme, whatever the case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter, whatever the case of its name, without quotes and escapes.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.params.iter().find(|p| p.name.eq_ignore_ascii_case(name)).map(|p| unquote(&p.value))
    }

    /// The parameters in order: name, and value as written.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|p| (p.name.as_str(), p.value.as_str()))
    }
}

impl std::fmt::Display for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.scheme)?;
        for (at, param) in self.params.iter().enumerate() {
            let separator = if at == 0 { " " } else { ", " };
            write!(f, "{separator}{}={}", param.name, param.value)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Auth {
    /// The scheme and the names: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Auth({}", self.scheme)?;
        for param in &self.params {
            write!(f, " {}=•••", param.name)?;
        }
        f.write_str(")")
    }
}
