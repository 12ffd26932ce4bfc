//! HTTP Basic (RFC 7617) and Digest (RFC 7616) for one account: REST, push and state polling have a guard each.
//!
//! Digest comes first in the challenge. It is offered with MD5 alone: the tools of this phone's time know nothing newer,
//! and many read the first challenge only.

use bytes::Bytes;
use net::Time;
use net::http::{Request, Response, StatusCode, header};
use sip::digest::{Asked, Credentials, Ha1, Server, ServerSetup, Verdict};

use super::access::{authorization, is_same, read_basic};
use super::answer::{refusal, with};

/// The one account that a guard admits.
pub struct Account<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its password.
    pub password: &'a str,
}

/// The guards of everything that has credentials of its own.
#[derive(Debug)]
pub struct Guards {
    /// REST.
    pub rest: Guard,
    /// Push.
    pub push: Guard,
    /// State polling.
    pub polling: Guard,
}

impl Default for Guards {
    /// The realms are guesses.
    fn default() -> Guards {
        let guard = |realm| {
            Guard::new(ServerSetup {
                algorithms: vec![sip::digest::Algorithm::MD5],
                ..ServerSetup::of(realm)
            })
        };
        Guards {
            rest: guard("Polycom VVX"),
            push: guard("PUSH Authentication"),
            polling: guard("STATE POLLING Authentication"),
        }
    }
}

/// Asks for credentials and judges them.
#[derive(Debug)]
pub struct Guard {
    setup: ServerSetup,
    /// Made when the first challenge is due.
    digest: Option<Server>,
}

impl Guard {
    /// A guard that demands this.
    pub fn new(setup: ServerSetup) -> Guard {
        Guard { setup, digest: None }
    }

    /// Lets a request pass, or says why not.
    ///
    /// # Errors
    ///
    /// The answer: 401 with a challenge, or 400 for credentials that belong to another request.
    pub fn admit(
        &mut self,
        request: &Request<Bytes>,
        account: &Account<'_>,
        secret: [u8; 32],
        now: Time,
    ) -> Result<(), Box<Response<Bytes>>> {
        let setup = &self.setup;
        let digest = self.digest.get_or_insert_with(|| Server::new(setup.clone(), secret));
        let given = authorization(request.headers()).unwrap_or_default();
        let mut is_stale = false;
        if let Some((name, password)) = read_basic(given) {
            let is_name = is_same(name.as_bytes(), account.name.as_bytes());
            if is_name & is_same(password.as_bytes(), account.password.as_bytes()) {
                return Ok(());
            }
        } else if let Ok(credentials) = Credentials::parse(given) {
            let uri = request.uri().to_string();
            let asked = Asked { method: request.method().as_str(), uri: &uri, body: request.body() };
            let key = (credentials.username == account.name)
                .then(|| Ha1::of(credentials.algorithm.hash, account.name, &setup.realm, account.password));
            match digest.judge(now, &asked, &credentials, key.as_ref()) {
                Verdict::Good => return Ok(()),
                Verdict::OtherUri => {
                    let why = "The credentials are for another address.";
                    return Err(refusal(StatusCode::BAD_REQUEST, why).into());
                }
                Verdict::Stale(_) => is_stale = true,
                Verdict::Wrong | Verdict::NotOffered => {}
            }
        }
        let mut response = refusal(StatusCode::UNAUTHORIZED, "(401) Unauthorized");
        for challenge in digest.challenges(now, is_stale) {
            response = with(response, header::WWW_AUTHENTICATE, &challenge.to_string());
        }
        let basic = format!("Basic realm=\"{}\"", setup.realm);
        Err(with(response, header::WWW_AUTHENTICATE, &basic).into())
    }
}
