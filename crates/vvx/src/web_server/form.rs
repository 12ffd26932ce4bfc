//! Form bodies and queries (`application/x-www-form-urlencoded`), within limits.

/// Fields of one form; the largest page has fewer than a hundred.
const FIELDS_LIMIT: usize = 1000;

/// The fields of a form, in the order in which they were sent. `Debug` shows names only: values may be passwords.
#[derive(Clone, Default)]
pub struct Form(Vec<(String, String)>);

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Form {
    /// Reads a body or a query; what is more than a thousand fields is left out.
    pub fn parse(text: &[u8]) -> Form {
        let fields = form_urlencoded::parse(text).take(FIELDS_LIMIT);
        Form(fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The first value of that name; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Every field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
