//! Form bodies and query strings (`application/x-www-form-urlencoded`), within limits.
//!
//! RFC 6749 §3.2: a field without a value counts as left out, an unknown one is ignored, and none may come
//! twice in the same place. A body is read whole before anything believes it.

use std::collections::BTreeMap;

use crate::secret::Secret;

/// Fields of one form.
const FIELD_LIMIT: usize = 64;
/// Octets of one field's value, decoded. A page's flow token and a device code stay far below.
const VALUE_LIMIT: usize = 8 << 10;
/// Octets of one field's name, decoded.
const NAME_LIMIT: usize = 128;

/// The fields of one form. Values may be secrets, so the form prints only its names.
#[derive(Clone, Default)]
pub(crate) struct Form(BTreeMap<String, Secret>);

/// Why a form is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    #[error("more than {FIELD_LIMIT} fields")]
    TooManyFields,
    #[error("a field is too long")]
    TooLong,
    #[error("the field {0} comes twice")]
    Repeated(String),
    #[error("the text is not UTF-8")]
    NotText,
}

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Result<Form, FormError> {
        if body.iter().filter(|&&byte| byte == b'&').count() >= FIELD_LIMIT {
            return Err(FormError::TooManyFields);
        }
        let mut fields = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if name.len() > NAME_LIMIT || value.len() > VALUE_LIMIT {
                return Err(FormError::TooLong);
            }
            // The decoder puts U+FFFD where octets are no UTF-8; a credential must not change on its way.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err(FormError::NotText);
            }
            if value.is_empty() {
                continue;
            }
            let name = name.into_owned();
            if fields.contains_key(&name) {
                return Err(FormError::Repeated(name));
            }
            fields.insert(name, Secret::from(value.into_owned()));
        }
        Ok(Form(fields))
    }

    /// The value of a field that has one.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_field_counts_as_left_out() {
        let form = Form::parse(b"a=&b=1&c").unwrap();
        assert_eq!((form.value("a"), form.value("b"), form.value("c")), (None, Some("1"), None));
    }

    #[test]
    fn a_field_that_comes_twice_is_refused() {
        assert_eq!(Form::parse(b"a=1&a=1").unwrap_err(), FormError::Repeated("a".into()));
    }

    #[test]
    fn a_flood_of_fields_is_refused_at_the_limit() {
        let fields = |count: usize| (0..count).map(|n| format!("f{n}=1")).collect::<Vec<_>>().join("&");
        assert!(Form::parse(fields(FIELD_LIMIT).as_bytes()).is_ok());
        assert_eq!(Form::parse(fields(FIELD_LIMIT + 1).as_bytes()).unwrap_err(), FormError::TooManyFields);
    }

    proptest! {
        #[test]
        fn whatever_arrives_is_taken_or_refused(body in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let _ = Form::parse(&body);
        }
    }
}
