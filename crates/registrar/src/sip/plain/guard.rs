//! The guard: who proves what by digest (RFC 3261 §22, RFC 7616, RFC 8760).
//!
//! A stranger hears the same, and as soon, whether a name is known, has no password, or another one.

use net::Time;
use sip::digest::{Asked, Challenge, Qop, Server, ServerSetup, Verdict};
use sip::{Message, Uri};

use crate::accounts::Accounts;
use crate::setup::DigestOffer;

/// Why a request proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// It has no credentials: ask for some.
    Missing,
    /// The name or the password is wrong: ask again.
    Wrong,
    /// The password is right, the nonce is not: ask again and say so.
    Stale,
    /// The credentials cannot be read, or are for another request: 400.
    Bad,
}

impl Denial {
    /// For the journal.
    pub fn in_words(self) -> &'static str {
        match self {
            Denial::Missing => "no credentials",
            Denial::Wrong => "a wrong name or password",
            Denial::Stale => "a nonce that is too old or was used before",
            Denial::Bad => "credentials that cannot be read, or are for another address",
        }
    }
}

/// Judges digest credentials.
#[derive(Debug)]
pub struct Guard {
    server: Server,
    /// What the pool is called: its domain, its host name, its address.
    own_hosts: [String; 3],
}

impl Guard {
    /// A guard of the domain that is the first of `own_hosts`, whose nonces are signed by `secret`, drawn at each start: nonces from before are stale.
    pub fn new(own_hosts: [String; 3], offer: DigestOffer, secret: [u8; 32]) -> Guard {
        let [domain, ..] = &own_hosts;
        let mut setup = ServerSetup::of(domain);
        setup.algorithms = offer.algorithms();
        setup.qop = vec![Qop::Auth, Qop::AuthInt];
        Guard { server: Server::new(setup, secret), own_hosts }
    }

    /// The challenges of one 401 or 407, one for each algorithm that is offered.
    pub fn challenges(&mut self, now: Time, is_stale: bool) -> Vec<Challenge> {
        self.server.challenges(now, is_stale)
    }

    /// The address of the account whose password the credentials in `header` prove.
    ///
    /// # Errors
    ///
    /// Says why they prove nothing.
    pub fn judge(
        &mut self,
        request: &Message,
        header: &str,
        accounts: &Accounts,
        now: Time,
    ) -> Result<String, Denial> {
        let credentials = match self.server.credentials(request, header) {
            Ok(Some(credentials)) => credentials,
            Ok(None) => return Err(Denial::Missing),
            Err(_) => return Err(Denial::Bad),
        };
        let realm = &self.server.setup().realm;
        let account = accounts.digest_key(&credentials.username, realm, credentials.algorithm.hash);
        let key = account.as_ref().and_then(|(_, key)| key.as_deref());
        // Some clients write where they send to in place of what they ask for (RFC 7616 §3.4.6 would refuse them). A proof
        // counts once, so that nobody gains by it.
        let theirs = Uri::parse(&credentials.uri).ok();
        let is_ours =
            theirs.is_some_and(|uri| self.own_hosts.iter().any(|own| own.eq_ignore_ascii_case(uri.host)));
        let uri = match is_ours {
            true => credentials.uri.as_str(),
            false => request.uri().map_or("", |uri| uri.as_str()),
        };
        let asked = Asked { method: request.method(), uri, body: &request.body() };
        match (self.server.judge(now, &asked, &credentials, key), account) {
            (Verdict::Good, Some((address, _))) => Ok(address),
            (Verdict::Stale(_), _) => Err(Denial::Stale),
            (Verdict::OtherUri, _) => Err(Denial::Bad),
            (Verdict::Good | Verdict::Wrong | Verdict::NotOffered, _) => Err(Denial::Wrong),
        }
    }
}
