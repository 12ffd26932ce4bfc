//! A security association: what one handshake established between an endpoint and a server, and every message
//! after it signed and checked (MS-SIPAE §3.2.5 and §3.3.5).
//!
//! The client signs requests and responses in `Authorization`, the server both in `Authentication-Info`. A message
//! whose signature is wrong leaves the association as it was, so that a stranger cannot tear it down.

mod window;

use net::Random;
use thiserror::Error;

use crate::auth::Auth;
use crate::message::Message;
use crate::print::Draft;
use crate::signature::{self, SaKeys, Salt};
pub use window::{REPLAY_WINDOW, Window};

/// The scheme's name.
pub const SCHEME: &str = "TLS-DSK";
/// The realm that Microsoft's servers use.
pub const REALM: &str = "SIP Communications Service";

/// What names an association, the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The realm, [`REALM`] in practice.
    pub realm: String,
    /// The server's name.
    pub targetname: String,
    /// The server's handle.
    pub opaque: String,
    /// The version of the scheme: 4, or 3, where the message that completes the association may be unsigned.
    pub version: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// What a message that passed was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Signed, rightly and for the first time.
    Signed,
    /// Unsigned, but of a kind that may be: to a client a 401 or a response to REGISTER, to a server of version 3
    /// the message that completes the association.
    MayBeUnsigned,
}

/// Why a message does not pass.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It carries no credentials of this scheme.
    #[error("the message is not signed")]
    Unsigned,
    /// It carries credentials of other associations only.
    #[error("the credentials are of another association")]
    OtherAssociation,
    /// The credentials name another realm or server.
    #[error("the credentials are for {realm} at {targetname}")]
    OtherServer {
        /// The realm that they name.
        realm: String,
        /// The server that they name.
        targetname: String,
    },
    /// A parameter is missing or is not what it must be.
    #[error("the credentials have no proper {0}")]
    Incomplete(&'static str),
    /// The signature is not that of this message.
    #[error("the signature is wrong")]
    WrongSignature,
    /// The number was used before, or is too old to tell.
    #[error("number {num} was used before or is too old (the highest so far is {highest})")]
    Replayed {
        /// The number of the message.
        num: u32,
        /// The highest number that passed.
        highest: u32,
    },
}

impl Refusal {
    /// Whether a client closes the connection, as opposed to acting as if the message had never come.
    pub fn is_fatal_to_client(&self) -> bool {
        !matches!(self, Refusal::Unsigned | Refusal::OtherAssociation)
    }
}

/// One side of a security association.
#[derive(Debug)]
pub struct SecurityAssociation {
    side: Side,
    parameters: Parameters,
    keys: SaKeys,
    random: Random,
    sent: u32,
    received: Window,
}

impl SecurityAssociation {
    /// The side of a phone.
    pub fn client(parameters: Parameters, keys: SaKeys, random: Random) -> SecurityAssociation {
        SecurityAssociation::new(Side::Client, parameters, keys, random)
    }

    /// The side of a registrar.
    pub fn server(parameters: Parameters, keys: SaKeys, random: Random) -> SecurityAssociation {
        SecurityAssociation::new(Side::Server, parameters, keys, random)
    }

    fn new(side: Side, parameters: Parameters, keys: SaKeys, random: Random) -> SecurityAssociation {
        SecurityAssociation { side, parameters, keys, random, sent: 0, received: Window::default() }
    }

    /// What names it.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// How many messages it signed.
    pub fn signed(&self) -> u32 {
        self.sent
    }

    /// Signs a request: puts the credentials behind the other headers. Anything signed must stay as it is after
    /// this: From, To, Call-ID, CSeq, Expires, identities.
    #[must_use]
    pub fn sign_request(&mut self, draft: Draft) -> Draft {
        self.sign(draft)
    }

    /// Signs a response; as [`SecurityAssociation::sign_request`].
    #[must_use]
    pub fn sign_response(&mut self, draft: Draft) -> Draft {
        self.sign(draft)
    }

    fn sign(&mut self, mut draft: Draft) -> Draft {
        // 2^32 messages take longer than any association lives; a number that repeats is refused by the peer.
        self.sent = self.sent.saturating_add(1);
        let num = self.sent.to_string();
        let rand = self.random.hex(8);
        let Parameters { realm, targetname, opaque, version } = &self.parameters;
        let salt = Salt { scheme: SCHEME, rand: &rand, num: &num, realm, targetname };
        let text = signature::text(&draft, &salt);
        let auth = Auth::new(SCHEME).quoted("qop", "auth").quoted("opaque", opaque);
        let version = version.to_string();
        let (name, auth) = match self.side {
            Side::Client => (
                "Authorization",
                auth.quoted("realm", realm)
                    .quoted("targetname", targetname)
                    .bare("version", &version)
                    .quoted("crand", &rand)
                    .quoted("cnum", &num)
                    .quoted("response", &signature::sign(&self.keys.client, &text)),
            ),
            Side::Server => (
                "Authentication-Info",
                auth.quoted("srand", &rand)
                    .quoted("snum", &num)
                    .quoted("rspauth", &signature::sign(&self.keys.server, &text))
                    .quoted("targetname", targetname)
                    .quoted("realm", realm)
                    .bare("version", &version),
            ),
        };
        draft.remove(name);
        draft.push(name, &auth.to_string());
        draft
    }

    /// Checks a message that came from the other side.
    ///
    /// # Errors
    ///
    /// Says why it does not pass. A server answers any refusal with a fresh challenge; a client drops the message,
    /// or the connection if [`Refusal::is_fatal_to_client`] says so.
    pub fn check(&mut self, message: &Message) -> Result<Checked, Refusal> {
        match self.check_signature(message) {
            Err(Refusal::Unsigned) if self.may_be_unsigned(message) => Ok(Checked::MayBeUnsigned),
            other => other,
        }
    }

    fn may_be_unsigned(&self, message: &Message) -> bool {
        let is_register_answer = !message.is_request() && message.method() == "REGISTER";
        match self.side {
            Side::Client => message.status() == Some(401) || is_register_answer,
            Side::Server => false,
        }
    }

    fn check_signature(&mut self, message: &Message) -> Result<Checked, Refusal> {
        let (names, rand, num, response, key) = match self.side {
            Side::Server => (CLIENT_HEADERS, "crand", "cnum", "response", &self.keys.client),
            Side::Client => (SERVER_HEADERS, "srand", "snum", "rspauth", &self.keys.server),
        };
        let given: Vec<Auth> = presented_in(message, names).collect();
        if given.is_empty() {
            return Err(Refusal::Unsigned);
        }
        let auth = given
            .iter()
            .find(|auth| auth.get("opaque").is_some_and(|opaque| opaque == self.parameters.opaque))
            .ok_or(Refusal::OtherAssociation)?;
        let value = |name: &'static str| auth.get(name).ok_or(Refusal::Incomplete(name));
        let (realm, targetname) = (value("realm")?, value("targetname")?);
        if realm != self.parameters.realm || !targetname.eq_ignore_ascii_case(&self.parameters.targetname) {
            return Err(Refusal::OtherServer {
                realm: realm.into_owned(),
                targetname: targetname.into_owned(),
            });
        }
        if auth.get(response).is_none() {
            let is_completing = self.side == Side::Server
                && self.parameters.version == 3
                && auth.get(num).is_none()
                && self.received.highest() == 0;
            return if is_completing { Ok(Checked::MayBeUnsigned) } else { Err(Refusal::Unsigned) };
        }
        let (rand, num, given) = (value(rand)?, value(num)?, value(response)?);
        let number = read_number(&num).ok_or(Refusal::Incomplete("number"))?;
        let salt =
            Salt { scheme: auth.scheme(), rand: &rand, num: &num, realm: &realm, targetname: &targetname };
        if !signature::is_signature(key, &signature::text(message, &salt), &given) {
            return Err(Refusal::WrongSignature);
        }
        // Only now: a forged number must not move the window.
        if !self.received.take(number) {
            return Err(Refusal::Replayed { num: number, highest: self.received.highest() });
        }
        Ok(Checked::Signed)
    }
}

/// Numbers begin at 1.
fn read_number(text: &str) -> Option<u32> {
    let number = crate::value::decimal(text)?;
    u32::try_from(number).ok().filter(|number| *number > 0)
}

const CLIENT_HEADERS: &[&str] = &["Authorization", "Proxy-Authorization"];
const SERVER_HEADERS: &[&str] = &["Authentication-Info", "Proxy-Authentication-Info"];

fn presented_in<'a>(
    message: &'a Message,
    names: &'static [&'static str],
) -> impl Iterator<Item = Auth> + use<'a> {
    names
        .iter()
        .flat_map(|name| message.headers(name))
        .filter_map(|value| Auth::parse(value).ok())
        .filter(|auth| auth.is(SCHEME))
}

/// The TLS-DSK credentials that a client presents in a message; what cannot be read is left out.
pub fn presented(message: &Message) -> impl Iterator<Item = Auth> + use<'_> {
    presented_in(message, CLIENT_HEADERS)
}
