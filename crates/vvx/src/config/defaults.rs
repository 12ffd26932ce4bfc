//! The firmware's defaults, as far as anybody wrote them down (`data/parameters.json`).
//!
//! Defaults are the least certain facts about the device: each entry of the data says whether its value is
//! documented, seen, or a guess.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// Which layers beat which for one parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Order {
    /// The order of the module's description.
    #[default]
    Usual,
    /// What the call server sent beats provisioned files, and only those (seen with `msg.mwi.1.callBack`).
    InBandOverFiles,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    /// Indices are written `x`.
    name: String,
    default: String,
    /// The default in the Lync base profile, where it differs.
    #[serde(default)]
    lync: Option<String>,
    #[expect(dead_code, reason = "read by people who look into the data")]
    mark: String,
    #[serde(default)]
    order: Order,
}

static PARAMETERS: LazyLock<BTreeMap<String, Parameter>> = LazyLock::new(|| {
    let list: Vec<Parameter> = serde_json::from_str(include_str!("../../data/parameters.json"))
        .expect("the embedded parameters are well formed");
    list.into_iter().map(|parameter| (parameter.name.clone(), parameter)).collect()
});

fn find(name: &str) -> Option<&'static Parameter> {
    if let Some(parameter) = PARAMETERS.get(name) {
        return Some(parameter);
    }
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !name.split('.').any(is_index) {
        return None;
    }
    let parts: Vec<&str> = name.split('.').map(|part| if is_index(part) { "x" } else { part }).collect();
    PARAMETERS.get(&parts.join("."))
}

/// The default of `name`, in the Lync base profile or the generic one.
pub(super) fn default(name: &str, is_lync: bool) -> Option<&'static str> {
    let parameter = find(name)?;
    match &parameter.lync {
        Some(lync) if is_lync => Some(lync),
        _ => Some(&parameter.default),
    }
}

/// Which layers beat which for `name`.
pub(super) fn order(name: &str) -> Order {
    find(name).map_or(Order::Usual, |parameter| parameter.order)
}

/// All defaults that are known, for the Lync base profile.
pub(super) fn all<'a>() -> impl Iterator<Item = (&'a str, &'a str)> {
    PARAMETERS
        .values()
        .map(|parameter| (parameter.name.as_str(), parameter.lync.as_deref().unwrap_or(&parameter.default)))
}
