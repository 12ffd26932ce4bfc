//! The settings behind numbered fields: pages of them, and the form that changes them.
//!
//! A field's name on a page is a number of one to three digits. The numbers are others after each start, as on the
//! device: tools must read them from the page. What is changed here goes to the web interface's layer, `device.*` to
//! the device settings.

mod table;

use bytes::Bytes;
use net::Random;
use net::http::{Response, StatusCode};

use super::WebServer;
use super::answer::{refusal, text};
use super::form::Form;
use crate::config::Config;
use crate::phone::serving::Desk;

pub use table::{PAGES, Page};

/// The least and the highest number of a field.
const NUMBERS: (u16, u16) = (1, 999);

/// One setting on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The parameter.
    pub name: &'static str,
    /// What it is called on the page.
    pub label: &'static str,
    /// What it can be.
    pub kind: Kind,
    /// Whether it counts only after the next start.
    pub needs_restart: bool,
}

/// What a setting can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text of at most so many characters.
    Text(u16),
    /// Text that is never shown.
    Secret(u16),
    /// A whole number from one to another.
    Number(i64, i64),
    /// One of these values, each with its label.
    Choice(&'static [(&'static str, &'static str)]),
    /// On (`1`) or off (`0`).
    Switch,
}

impl Field {
    /// The values to choose from, each with its label; none for what is typed.
    pub fn choices(&self) -> &'static [(&'static str, &'static str)] {
        match self.kind {
            Kind::Choice(choices) => choices,
            Kind::Switch => &[("1", "Enabled"), ("0", "Disabled")],
            Kind::Text(_) | Kind::Secret(_) | Kind::Number(..) => &[],
        }
    }

    /// `text` as this setting writes it: a choice may be named by its label. `None` if it cannot be that.
    pub fn read(&self, text: &str) -> Option<String> {
        let text = text.trim();
        match self.kind {
            Kind::Text(most) | Kind::Secret(most) => {
                let fits = text.chars().count() <= usize::from(most) && !text.chars().any(char::is_control);
                fits.then(|| text.to_owned())
            }
            Kind::Number(least, most) => {
                let number: i64 = text.parse().ok()?;
                (least..=most).contains(&number).then(|| number.to_string())
            }
            Kind::Choice(_) | Kind::Switch => self
                .choices()
                .iter()
                .find(|(value, label)| value.eq_ignore_ascii_case(text) || label.eq_ignore_ascii_case(text))
                .map(|(value, _)| (*value).to_owned()),
        }
    }

    /// The value that counts, as this setting writes it.
    pub fn value(&self, config: &Config) -> String {
        let text = config.text(self.name);
        self.read(text).unwrap_or_else(|| text.to_owned())
    }
}

/// The page at `path`, if it is one of settings.
pub fn page(path: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.path == path)
}

/// The numbers of the fields in this boot.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    first: Option<u16>,
}

impl Fields {
    /// The number of a field. The first call draws where counting begins.
    pub fn number(&mut self, field: &Field, random: Option<&mut Random>) -> u16 {
        let count = NUMBERS.1 - NUMBERS.0 + 1;
        let first = *self.first.get_or_insert_with(|| {
            random.map_or(0, |random| u16::try_from(random.below(u64::from(count))).unwrap_or(0))
        });
        let place = all().position(|known| known.name == field.name).unwrap_or(0);
        // The table is far shorter than the numbers, so that none is given twice.
        NUMBERS.0 + (first + u16::try_from(place).unwrap_or(0)) % count
    }

    /// The field of that number; `None` before any page was made.
    fn find(&self, number: &str) -> Option<&'static Field> {
        let first = self.first?;
        let number: u16 = number.parse().ok()?;
        let count = NUMBERS.1 - NUMBERS.0 + 1;
        let place = (number.checked_sub(NUMBERS.0)? + count).checked_sub(first)? % count;
        all().nth(usize::from(place))
    }
}

fn all() -> impl Iterator<Item = &'static Field> {
    PAGES.iter().flat_map(|page| page.groups).flat_map(|(_, fields)| fields.iter())
}

/// `POST /form-submit`: changes settings by their numbers, all or none.
pub fn submit(form: &Form, web: &mut WebServer, desk: &mut Desk<'_>) -> Response<Bytes> {
    let mut changes = Vec::new();
    for (number, text) in form.iter() {
        // Pages send fields along that are no settings; a number of an earlier boot is one of those.
        let Some(field) = web.fields.find(number) else { continue };
        if matches!(field.kind, Kind::Secret(_)) && text.is_empty() {
            continue;
        }
        let Some(value) = field.read(text) else {
            let why = format!("INVALID_VALUE: {} cannot be that.", field.label);
            return refusal(StatusCode::BAD_REQUEST, &why);
        };
        if value != field.value(desk.config()) {
            changes.push((field.name.to_owned(), value));
        }
    }
    if changes.is_empty() {
        return text("CONF_NO_CHANGE");
    }
    if let Err(why) = desk.set_all(&changes) {
        return refusal(StatusCode::INSUFFICIENT_STORAGE, &why);
    }
    let names: Vec<&str> = changes.iter().map(|(name, _)| name.as_str()).collect();
    desk.audit(&format!("changed over the web interface: {}", names.join(", ")));
    text("CONF_CHANGE")
}

/// `POST /form-submit/resetToDefault`: what was set here for these parameters counts no more. They are named, or
/// given by their numbers.
pub fn reset(form: &Form, web: &mut WebServer, desk: &mut Desk<'_>) -> Response<Bytes> {
    let mut changed = false;
    for (name, _) in form.iter() {
        let name = web.fields.find(name).map_or(name, |field| field.name);
        let before = desk.config().get(name).map(|value| value.text.to_owned());
        if let Err(why) = desk.set(name, None) {
            return refusal(StatusCode::INSUFFICIENT_STORAGE, &why);
        }
        changed |= before != desk.config().get(name).map(|value| value.text.to_owned());
    }
    text(if changed { "CONF_CHANGE" } else { "CONF_NO_CHANGE" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_field_and_fits_three_digits() {
        for seed in 0..20 {
            let mut random = Random::named(seed, "desk");
            let mut fields = Fields::default();
            let numbers: Vec<u16> = all().map(|field| fields.number(field, Some(&mut random))).collect();
            for (field, number) in all().zip(numbers) {
                assert!((1..=999).contains(&number));
                assert_eq!(fields.find(&number.to_string()), Some(field));
            }
        }
    }

    #[test]
    fn a_setting_takes_what_it_can_be() {
        let find = |name: &str| all().find(|field| field.name == name).expect("a field");
        assert_eq!(find("device.prov.serverType").read("https").as_deref(), Some("3"));
        assert_eq!(find("device.prov.serverType").read("3").as_deref(), Some("3"));
        assert_eq!(find("device.prov.serverType").read("4"), None);
        assert_eq!(find("httpd.cfg.port").read("0"), None);
        assert_eq!(find("httpd.cfg.port").read("8080").as_deref(), Some("8080"));
        assert_eq!(find("device.prov.serverName").read(&"x".repeat(256)), None);
    }

    #[test]
    fn every_setting_is_there_once() {
        let names: std::collections::BTreeSet<&str> = all().map(|field| field.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
