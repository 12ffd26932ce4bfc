//! Conversions from and to the `rsip` crate's types, for programs that speak those.
//!
//! `rsip` holds less than a message can say; what it cannot hold is an error that names it. A few things are lost
//! without one, because nearly every message has one of them: compact header names come out long, folds come out
//! joined, the reason phrase of a status that `rsip` knows comes out as `rsip` spells it, and so does the case of
//! address parameters.

use std::convert::TryFrom as _;

use rsip::message::HasHeaders as _;
use thiserror::Error;

use crate::message::{Kind, Message, full_name};
use crate::print::{Draft, DraftError, reason_phrase};
use crate::uri::Uri;

/// Why `rsip` cannot hold a message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotInRsip {
    /// `rsip` knows fourteen methods and no way to say another.
    #[error("rsip has no method {0}")]
    Method(String),
    /// `rsip` does not read this Request-URI.
    #[error("rsip does not read the Request-URI {uri}: {why}")]
    UriRefused {
        /// The Request-URI.
        uri: String,
        /// What `rsip` says.
        why: String,
    },
    /// `rsip` reads this Request-URI as another one.
    #[error("rsip reads the Request-URI {uri} as {read}")]
    UriChanged {
        /// The Request-URI.
        uri: String,
        /// What `rsip` makes of it.
        read: String,
    },
    /// `rsip` would print this header otherwise than it is.
    #[error("rsip changes the header {0}")]
    Header(String),
    /// `rsip` refuses the whole.
    #[error("rsip refuses the message: {0}")]
    Refused(String),
}

/// Converts a message.
///
/// # Errors
///
/// Names the first thing that `rsip` cannot hold.
pub fn to_rsip(message: &Message) -> Result<rsip::SipMessage, NotInRsip> {
    let headers = headers_to_rsip(message)?;
    let (version, body) = (rsip::Version::V2, message.body().to_vec());
    match message.kind() {
        Kind::Request { method, uri } => {
            let known = rsip::Method::all().into_iter().find(|known| known.to_string() == method);
            let known = known.ok_or_else(|| NotInRsip::Method(method.to_owned()))?;
            let uri = uri_to_rsip(uri)?;
            Ok(rsip::Request { method: known, uri, version, headers, body }.into())
        }
        Kind::Response { status, reason } => {
            let status_code = match rsip::StatusCode::from(status) {
                rsip::StatusCode::Other(code, _) => rsip::StatusCode::Other(code, reason.to_owned()),
                known => known,
            };
            Ok(rsip::Response { status_code, version, headers, body }.into())
        }
    }
}

fn uri_to_rsip(uri: &str) -> Result<rsip::Uri, NotInRsip> {
    let read = rsip::Uri::try_from(uri)
        .map_err(|why| NotInRsip::UriRefused { uri: uri.to_owned(), why: why.to_string() })?;
    // What it drops shows when it prints; what it takes for another part does not.
    let printed = read.to_string();
    let is_same = printed.eq_ignore_ascii_case(uri)
        && Uri::parse(uri).is_ok_and(|ours| {
            !ours.is_sip() || (ours.user == read.user() && ours.host == read.host().to_string())
        });
    if is_same {
        return Ok(read);
    }
    let part = |text: Option<&str>| text.unwrap_or("none").to_owned();
    let read = format!("{printed} (user {}, host {})", part(read.user()), read.host());
    Err(NotInRsip::UriChanged { uri: uri.to_owned(), read })
}

fn headers_to_rsip(message: &Message) -> Result<rsip::Headers, NotInRsip> {
    let mut headers = rsip::Headers::default();
    for (name, value) in message.all_headers() {
        let name = full_name(name);
        let line = format!("{name}: {value}");
        let read = rsip::headers::header::Tokenizer::tokenize(line.as_bytes())
            .ok()
            .and_then(|(rest, tokens)| rest.is_empty().then_some(tokens))
            .and_then(|tokens| TryInto::<rsip::Header>::try_into(tokens).ok())
            .ok_or_else(|| NotInRsip::Header(name.to_owned()))?;
        let printed = read.to_string();
        let is_same = printed
            .split_once(": ")
            .is_some_and(|(known, kept)| known.eq_ignore_ascii_case(name) && kept == value);
        if !is_same {
            return Err(NotInRsip::Header(name.to_owned()));
        }
        headers.push(read);
    }
    Ok(headers)
}

/// Converts a message from `rsip`'s types. Its Content-Length is computed anew.
///
/// # Errors
///
/// If what `rsip` holds is no message: a line break in a value, a header missing.
pub fn from_rsip(message: &rsip::SipMessage) -> Result<Message, DraftError> {
    let mut draft = match message {
        rsip::SipMessage::Request(request) => {
            Draft::request(&request.method.to_string(), &request.uri.to_string())
        }
        rsip::SipMessage::Response(response) => match &response.status_code {
            rsip::StatusCode::Other(code, reason) => Draft::response(*code, reason),
            known => Draft::response(known.code(), reason_phrase(known.code())),
        },
    };
    for header in message.headers().iter() {
        if matches!(header, rsip::Header::ContentLength(_)) {
            draft = draft.content_length_here();
            continue;
        }
        let line = header.to_string();
        let (name, value) = line.split_once(':').ok_or_else(|| DraftError::NotToken(line.clone()))?;
        draft.push(name, value.trim_matches([' ', '\t']));
    }
    draft.raw_body(message.body().clone()).message()
}
