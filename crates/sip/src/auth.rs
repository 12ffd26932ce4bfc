//! Challenges and credentials: one scheme, and parameters in order.
//!
//! The same shape serves `WWW-Authenticate`, `Authorization` and `Authentication-Info` as Microsoft's schemes use
//! them. What was read prints as it was, up to blanks around commas.

use std::borrow::Cow;

use thiserror::Error;

use crate::value::{Place, cut, find, is_token, quoted_end, unquote};

/// The most parameters that are read in one value.
pub const PARAMS_MAX: usize = 32;

/// One header value: `TLS-DSK qop="auth", version=4`.
#[derive(Clone)]
pub struct Auth {
    /// All of it in one piece: a text for each parameter would cost more than reading them.
    text: String,
    scheme: Place,
    params: Vec<Param>,
}

/// Where a parameter stands.
#[derive(Clone, Copy)]
struct Param {
    name: Place,
    /// As written, quotes included.
    value: Place,
}

impl PartialEq for Auth {
    /// Whether scheme and parameters are written the same, in the same order.
    fn eq(&self, other: &Auth) -> bool {
        self.scheme() == other.scheme() && self.params().eq(other.params())
    }
}

impl Eq for Auth {}

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
        let mut text = String::with_capacity(256);
        text.push_str(scheme);
        Auth { scheme: Place::of(&text, &text), text, params: Vec::with_capacity(12) }
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
        let mut params: Vec<Param> = Vec::with_capacity(12);
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(Auth { text: text.to_owned(), scheme: Place::of(scheme, text), params });
            }
            let bad = AuthError::NotParam(params.len() + 1);
            let Some((name, after)) = cut(rest, b'=') else { return Err(bad) };
            let (name, after) = (name.trim_end(), after.trim_start());
            let end = if after.starts_with('"') {
                quoted_end(after)
            } else {
                find(after, b',').or(Some(after.len()))
            };
            let Some(end) = end else { return Err(bad) };
            let (value, after) = after.split_at(end);
            let (value, after) = (value.trim_end(), after.trim_start());
            let is_bare = value.bytes().all(|b| b > b' ' && b != b'"');
            if !is_token(name) || !(value.starts_with('"') || is_bare) {
                return Err(bad);
            }
            if !(after.is_empty() || after.starts_with(',')) {
                return Err(bad);
            }
            if params.iter().any(|known| known.name.cut(text).eq_ignore_ascii_case(name)) {
                return Err(AuthError::Twice(name.to_owned()));
            }
            if params.len() == PARAMS_MAX {
                return Err(AuthError::TooMany);
            }
            params.push(Param { name: Place::of(name, text), value: Place::of(value, text) });
            rest = after;
        }
    }

    /// Adds `name="value"`.
    #[must_use]
    pub fn quoted(mut self, name: &str, value: &str) -> Auth {
        self.push(name, |text| crate::value::quote_into(text, value));
        self
    }

    /// Adds `name=value`.
    #[must_use]
    pub fn bare(mut self, name: &str, value: &str) -> Auth {
        self.push(name, |text| text.push_str(value));
        self
    }

    fn push(&mut self, name: &str, value: impl FnOnce(&mut String)) {
        self.text.push_str(if self.params.is_empty() { " " } else { ", " });
        let start = self.text.len();
        self.text.push_str(name);
        let middle = self.text.len();
        self.text.push('=');
        let from = self.text.len();
        value(&mut self.text);
        let (name, value) = (Place::at(start, middle), Place::at(from, self.text.len()));
        self.params.push(Param { name, value });
    }

    /// The scheme as written.
    pub fn scheme(&self) -> &str {
        self.scheme.cut(&self.text)
    }

    /// Whether it is this scheme, whatever the case.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme().eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter, whatever the case of its name, without quotes and escapes.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.params().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| unquote(value))
    }

    /// The parameters in order: name, and value as written.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.params.iter().map(|param| (param.name.cut(&self.text), param.value.cut(&self.text)))
    }
}

impl std::fmt::Display for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.scheme())?;
        for (at, (name, value)) in self.params().enumerate() {
            f.write_str(if at == 0 { " " } else { ", " })?;
            f.write_str(name)?;
            f.write_str("=")?;
            f.write_str(value)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Auth {
    /// The scheme and the names: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Auth({}", self.scheme())?;
        for (name, _) in self.params() {
            write!(f, " {name}=•••")?;
        }
        f.write_str(")")
    }
}
