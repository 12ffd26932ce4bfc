//! What MS-SIPAE signs: a fixed list of a message's values, and the HMAC over it (MS-SIPAE §3.2.5.2).
//!
//! Both ends build the same text from the message as it travels, so values go in exactly as they are written.
//! The layout is that of versions 3 and 4. Keys of suites without MD5 sign by HMAC-SHA1; that this holds for TLS
//! 1.2 suites as well is this project's rule, no published text says so.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use crate::message::Message;
use crate::print::Draft;
use crate::value::{split_list, split_unquoted};

/// The keys of a security association: what each side signs with.
#[derive(Clone, PartialEq, Eq)]
pub struct SaKeys {
    /// Signs what the client sends.
    pub client: [u8; 32],
    /// Signs what the server sends.
    pub server: [u8; 32],
}

impl std::fmt::Debug for SaKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaKeys(•••)")
    }
}

/// A message as far as a signature looks at it: one that came, or a draft of one.
pub trait Signable {
    /// The value of the first header called `name`.
    fn header(&self, name: &str) -> Option<&str>;
    /// The status, if it is a response.
    fn status(&self) -> Option<u16>;
}

impl Signable for Message {
    fn header(&self, name: &str) -> Option<&str> {
        Message::header(self, name)
    }

    fn status(&self) -> Option<u16> {
        Message::status(self)
    }
}

impl Signable for Draft {
    fn header(&self, name: &str) -> Option<&str> {
        Draft::header(self, name)
    }

    fn status(&self) -> Option<u16> {
        Draft::status(self)
    }
}

/// The values that do not stand in the message's own headers but in its credentials.
#[derive(Clone, Copy, Debug)]
pub struct Salt<'a> {
    /// The scheme's name, `TLS-DSK`.
    pub scheme: &'a str,
    /// `crand` of a client, `srand` of a server.
    pub rand: &'a str,
    /// `cnum` of a client, `snum` of a server.
    pub num: &'a str,
    /// The realm.
    pub realm: &'a str,
    /// The server's name.
    pub targetname: &'a str,
}

/// The text that is signed.
pub fn text(message: &impl Signable, salt: &Salt<'_>) -> String {
    let header = |name| message.header(name).unwrap_or("");
    let (from, to) = (header("From"), header("To"));
    let mut cseq = header("CSeq").split_ascii_whitespace();
    let asserted = message.header("P-Asserted-Identity").or(message.header("P-Preferred-Identity"));
    let (sip, tel) = identities(asserted.unwrap_or(""));
    let fields = [
        salt.scheme,
        salt.rand,
        salt.num,
        salt.realm,
        salt.targetname,
        header("Call-ID"),
        cseq.next().unwrap_or(""),
        cseq.next().unwrap_or(""),
        address(from),
        tag(from),
        address(to),
        tag(to),
        sip,
        tel,
        header("Expires"),
    ];
    let mut out = String::with_capacity(256);
    for field in fields {
        out.push('<');
        out.push_str(field);
        out.push('>');
    }
    if let Some(status) = message.status() {
        out.push_str(&format!("<{status}>"));
    }
    out
}

/// The address in a From or To: what stands in angle brackets, or everything before the parameters.
fn address(value: &str) -> &str {
    let (name_and_address, _) = bracketed(value);
    name_and_address
}

fn tag(value: &str) -> &str {
    let (_, params) = bracketed(value);
    split_unquoted(params, b';')
        .filter_map(Result::ok)
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("tag"))
        .map_or("", |(_, tag)| tag.trim())
}

/// Splits an address value into the address and the parameters behind it.
fn bracketed(value: &str) -> (&str, &str) {
    // A quoted name may hold brackets of its own.
    let name_end = if value.starts_with('"') { crate::value::quoted_end(value).unwrap_or(0) } else { 0 };
    let rest = &value[name_end..];
    match rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        Some(parts) => parts,
        None => {
            let (address, params) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
            (address.trim(), params)
        }
    }
}

/// The first SIP address and the first telephone address of an identity header.
fn identities(value: &str) -> (&str, &str) {
    let (mut sip, mut tel) = ("", "");
    for part in split_list(value).unwrap_or_default() {
        let (uri, _) = bracketed(part);
        let is =
            |scheme: &str| uri.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if is("tel:") && tel.is_empty() {
            tel = uri;
        } else if (is("sip:") || is("sips:")) && sip.is_empty() {
            sip = uri;
        }
    }
    (sip, tel)
}

/// Signs `text` and writes the signature as lower-case hexadecimal digits.
pub fn sign(key: &[u8; 32], text: &str) -> String {
    hmac(key, text).iter().map(|b| format!("{b:02x}")).collect()
}

/// Whether `signature`, hexadecimal digits of either case, is that of `text`. Takes as long for a wrong one as for
/// a right one.
pub fn is_signature(key: &[u8; 32], text: &str, signature: &str) -> bool {
    let expected = hmac(key, text);
    let Some(given) = from_hex(signature) else { return false };
    expected.ct_eq(&given).into()
}

fn hmac(key: &[u8; 32], text: &str) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

fn from_hex(text: &str) -> Option<[u8; 20]> {
    let digits = text.as_bytes();
    if digits.len() != 40 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut out = [0; 20];
    for (octet, two) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()?;
    }
    Some(out)
}
