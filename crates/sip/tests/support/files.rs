//! Reads the message files beside the tests.
//!
//! A file has plain line ends. `<hex>…</hex>` stands for octets, `{word*3}` for a word over and over, and
//! `{length}` for the length of the body.

use bytes::Bytes;
use sip::{Message, ParseError};

/// The octets that a file stands for.
pub fn octets(file: &str) -> Bytes {
    let text = repeat_words(&file.replace('\n', "\r\n"));
    let mut out = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("<hex>") {
        let (hex, after) = after.split_once("</hex>").expect("every <hex> ends");
        out.extend_from_slice(before.as_bytes());
        out.extend((0..hex.len()).step_by(2).filter_map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()));
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    let body = find(&out, b"\r\n\r\n").map_or(0, |at| out.len() - at - 4);
    if let Some(at) = find(&out, b"{length}") {
        out.splice(at..at + "{length}".len(), body.to_string().into_bytes());
    }
    out.into()
}

fn find(octets: &[u8], what: &[u8]) -> Option<usize> {
    octets.windows(what.len()).position(|window| window == what)
}

fn repeat_words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let inside = after.split_once('}').and_then(|(inside, after)| Some((inside.split_once('*')?, after)));
        match inside.and_then(|((word, count), after)| Some((word, count.parse::<usize>().ok()?, after))) {
            Some((word, count, after)) => {
                out.push_str(&word.repeat(count));
                rest = after;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Reads a file as a message.
pub fn read(file: &str) -> Result<Message, ParseError> {
    Message::parse(octets(file))
}
