//! What REST changes: settings, sign-in and sign-out, starts and resets.

use std::time::Duration;

use bytes::Bytes;
use net::http::Response;
use serde_json::{Map, Value, json};

use super::super::answer::json as document;
use super::super::service::Typed;
use super::super::{WebServer, markup};
use super::{Outcome, Status, text_of};
use crate::config::Source;
use crate::phone::PhoneState;
use crate::phone::serving::{Desk, Start};
use crate::sign_in::tokens::Secret;

/// Entries of one `config/get` or `config/set`; tools cut longer lists into slices.
const ENTRIES_LIMIT: usize = 20;
/// How long a sign-in is waited for; tools give up after 155 to 160 s.
pub const SIGN_IN_LIMIT: Duration = Duration::from_secs(155);

/// What can be done with POST, besides what has a module of its own.
pub const VERBS: &[&str] = &[
    "config/set",
    "skype/signOut",
    "safeReboot",
    "safeRestart",
    "updateConfiguration",
    "configReset",
    "configReset/cloud",
    "configReset/local",
    "configReset/web",
    "configReset/device",
    "factoryReset",
    "network/uploadBgCapture",
];

/// Does one of [`VERBS`].
pub fn act(verb: &str, data: &Value, web: &mut WebServer, desk: &mut Desk<'_>) -> Outcome {
    let now = desk.now();
    match verb {
        "config/set" => return set(data, desk),
        "skype/signOut" => {
            desk.sign_out();
        }
        "safeReboot" | "safeRestart" => web.pending.start_when_idle(now),
        "updateConfiguration" => desk.update_configuration(),
        "factoryReset" => web.pending.start_again(Start::Factory, now),
        "configReset" => {
            for source in [Source::Local, Source::Web, Source::Device] {
                desk.clear_layer(source).map_err(|_| Status::Failed)?;
            }
            web.pending.start_again(Start::Again, now);
        }
        "configReset/local" => reset(Source::Local, web, desk)?,
        "configReset/web" => reset(Source::Web, web, desk)?,
        "configReset/device" => reset(Source::Device, web, desk)?,
        // Nothing of these phones' settings lives in a cloud.
        "configReset/cloud" => {}
        // Nowhere to upload a capture to.
        "network/uploadBgCapture" if text_of(data, "url").is_none() => return Err(Status::NoUrl),
        _ => return Err(Status::NotSupported),
    }
    desk.audit(&format!("{verb} over REST"));
    Ok(Value::Null)
}

fn reset(source: Source, web: &mut WebServer, desk: &mut Desk<'_>) -> Result<(), Status> {
    desk.clear_layer(source).map_err(|_| Status::Failed)?;
    web.pending.start_again(Start::Again, desk.now());
    Ok(())
}

/// `config/get`: values with their sources; names that nobody knows apart.
pub fn get(data: &Value, desk: &Desk<'_>) -> Response<Bytes> {
    let Value::Array(names) = data else {
        return super::envelope(Err(Status::InvalidInput));
    };
    if names.len() > ENTRIES_LIMIT {
        return super::envelope(Err(Status::TooLarge));
    }
    let (mut known, mut unknown) = (Map::new(), Map::new());
    for name in names {
        let Some(name) = name.as_str() else {
            return super::envelope(Err(Status::InvalidInput));
        };
        match desk.config().get(name) {
            Some(value) => {
                let text = if crate::config::is_secret(name) { "****" } else { value.text };
                known.insert(name.to_owned(), json!({ "Value": text, "Source": value.source.label() }));
            }
            None => {
                unknown.insert((unknown.len() + 1).to_string(), json!(name));
            }
        }
    }
    let status = if known.is_empty() && !unknown.is_empty() { Status::InvalidInput } else { Status::Ok };
    let mut body = json!({ "data": known, "Status": status.code() });
    if !unknown.is_empty() {
        body["InvalidParams"] = Value::Object(unknown);
    }
    document(net::http::StatusCode::OK, &body)
}

/// `config/set`: all or none, into the web interface's layer or the device settings.
fn set(data: &Value, desk: &mut Desk<'_>) -> Outcome {
    let Value::Object(entries) = data else { return Err(Status::InvalidInput) };
    if entries.is_empty() {
        return Err(Status::InvalidInput);
    }
    if entries.len() > ENTRIES_LIMIT {
        return Err(Status::TooLarge);
    }
    let mut changes = Vec::new();
    for name in entries.keys() {
        let text = text_of(data, name).filter(|_| markup::is_name(name)).ok_or(Status::InvalidInput)?;
        changes.push((name.clone(), text));
    }
    desk.set_all(&changes).map_err(|_| Status::InvalidInput)?;
    let names: Vec<&str> = changes.iter().map(|(name, _)| name.as_str()).collect();
    desk.audit(&format!("changed over REST: {}", names.join(", ")));
    Ok(Value::Null)
}

/// `skype/signIn`: begins it; the lock code to make on the way, if one came along.
pub fn sign_in(data: &Value, desk: &mut Desk<'_>) -> Result<Option<Secret>, Status> {
    match desk.state() {
        PhoneState::SignedOut => {}
        PhoneState::SigningIn => return Err(Status::Busy),
        _ => return Err(Status::NotAllowed),
    }
    let text = |name: &str| text_of(data, name).unwrap_or_default();
    let (address, user, password, domain) = (text("Address"), text("User"), text("Password"), text("Domain"));
    let typed = Typed { address: &address, user: &user, password: &password, domain: &domain };
    typed.sign_in(desk).map_err(|_| Status::InvalidInput)?;
    Ok(Some(text("LockCode")).filter(|code| !code.is_empty()).map(Secret::new))
}
