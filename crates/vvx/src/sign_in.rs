//! The numbered steps from *Sign In* to a certificate, and from an old certificate to a new one.
//!
//! | step of the guide | file |
//! | --- | --- |
//! | 5–12: a code, a browser, tokens | [`web_code`] |
//! | 3, *User ID*: a password, tokens where wanted | [`user_id`] |
//! | 14: find the service | [`discover`], [`root_chain`], [`ticket`] |
//! | 15: download the certificate | [`ticket`], [`certificate`] |
//!
//! The fourth way of such phones, a PIN, is not built: the chooser never offers it. Nor is *via PC*, which is shown
//! and says so.
//!
//! Each file is a machine that says what it wants asked and is told the answer. [`SignIn`] leads from one to the
//! next. It exists only while somebody signs in, or while a certificate is being renewed.

pub mod ask;
pub mod certificate;
pub mod discover;
pub mod root_chain;
pub mod soap;
pub mod ticket;
pub mod tokens;
pub mod user_id;
pub mod web_code;
pub mod xml;

mod steps;

use net::{Crypto, Random, Time, Wall};
use url::Url;

use self::ask::{Answer, Ask, Vouching, host_of};
use self::certificate::{Certificate, Enrolled};
use self::discover::{Discover, Hints, Server};
use self::root_chain::Root;
use self::ticket::{Proof, Ticket};
use self::tokens::{Secret, Tokens, is_address};
use self::web_code::{Application, Shown, WebCode};

/// From how many hosts roots are taken on first use; the device has six slots for such certificates.
const ROOT_HOSTS_MAX: usize = 6;

/// How somebody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// *Web Sign-in*: a code, typed into a browser by the user.
    Web,
    /// *Web Sign-in (CAP)*: a code, typed into the portal by an administrator.
    CommonArea,
    /// *User ID*: address and password, typed on the phone.
    UserId,
}

impl Method {
    /// As the flash holds it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Web => "web",
            Method::CommonArea => "common-area",
            Method::UserId => "user-id",
        }
    }

    /// As the flash held it.
    pub fn parse(name: &str) -> Option<Method> {
        [Method::Web, Method::CommonArea, Method::UserId].into_iter().find(|method| method.name() == name)
    }
}

/// What the phone can show to get a new certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A refresh token, and where to trade it.
    Refresh {
        /// The token endpoint.
        endpoint: Url,
        /// The token.
        token: Secret,
    },
    /// A user name and a password, for a pool without an identity service.
    Password {
        /// As it goes into HTTP Basic.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// What every sign-in needs to know about its phone.
#[derive(Clone, Debug)]
pub struct Context {
    /// Who the phone is to the identity service.
    pub application: Application,
    /// What DHCP said.
    pub hints: Hints,
    /// The device as web services name it: a UUID without braces.
    pub device: String,
    /// Hosts whose root is pinned already: another one is never taken from them.
    pub pinned: Vec<String>,
    /// Whether the root of a host that was never met may be taken on first use.
    pub may_take_roots: bool,
    /// The cryptography.
    pub crypto: Crypto,
}

/// What a sign-in wants of its phone.
#[derive(Debug)]
pub enum Want {
    /// Make this request and bring the answer to [`SignIn::answered`].
    Ask(Ask),
    /// Look up this service's records and bring them to [`SignIn::looked_up`].
    LookUp(String),
    /// A code is there to be shown.
    ShowCode,
    /// The code's life is over; the sign-in is over.
    Expired,
    /// The owner is known: the person is done and the phone goes on.
    Owner(String),
    /// Trust these roots of that host from now on, where the pool is concerned.
    Pin(String, Vec<Root>),
    /// Register at one of these.
    Register(Vec<Server>),
    /// Start the registration over: a root that it missed is trusted now.
    Reconnect,
    /// Put certificate and credentials into flash, and call [`SignIn::kept`] when they are safe.
    Keep(Box<Enrolled>),
    /// Put this refresh token into flash in the place of the one that it was traded for (RFC 6749 §6): whatever
    /// becomes of the renewal, the old one may be worth nothing any more.
    KeepCredential(Box<Credential>),
    /// Here is the certificate; it is safe.
    Certified(Box<Enrolled>),
    /// It came to nothing.
    Failed {
        /// In words for the screen.
        why: String,
        /// Somebody said no, as opposed to nobody answering: trying again the same way is no use.
        is_refusal: bool,
    },
}

/// Who decides what when an answer comes.
#[derive(Debug)]
enum Stage {
    /// A code is asked for or shown.
    Code(WebCode),
    /// The pool is being looked for.
    Discovering(Discover),
    /// The pool wants a ticket before it tells more.
    DiscoveringByTicket(Box<Discover>, Box<Ticket>),
    /// A token is being fetched; then it goes on there.
    Token(Url, Box<Then>),
    /// The registration asks the pool where certificates are to be had.
    Knocking,
    /// A ticket for the certificate service.
    Ticket(Ticket),
    /// The certificate.
    Certificate(Certificate),
    /// The certificate is on its way into flash.
    Keeping(Box<Enrolled>),
    /// The rest is the registration's.
    Done,
}

/// Where to go on with a token.
#[derive(Debug)]
enum Then {
    /// Answer the challenge of autodiscover.
    Discover(Box<Discover>, Box<discover::Challenge>),
    /// Get a ticket for the certificate service.
    Certificates(Url),
}

/// What to do once the pool's root was downloaded, or was not.
#[derive(Debug)]
enum Interlude {
    /// Repeat the request; the failure is what it met.
    Ask(Box<Ask>, ask::Failure),
    /// Start the registration over at that host.
    Reconnect(String),
}

/// One sign-in, or one renewal.
#[derive(Debug)]
pub struct SignIn {
    context: Context,
    random: Random,
    method: Method,
    address: String,
    /// What was typed, for *User ID*.
    typed: Option<(String, Secret)>,
    proof: Option<Proof>,
    credential: Option<Credential>,
    servers: Vec<Server>,
    certificates: Option<Url>,
    stage: Stage,
    last_ask: Option<Ask>,
    interlude: Option<Interlude>,
    is_renewal: bool,
}

impl SignIn {
    /// A sign-in by code.
    pub fn by_code(method: Method, context: Context, random: Random) -> (SignIn, Vec<Want>) {
        let (code, ask) = WebCode::start(context.application.clone());
        let mut sign_in = SignIn::new(method, context, random, Stage::Code(code));
        let first = sign_in.ask(ask);
        (sign_in, vec![first])
    }

    /// A sign-in by address and password. `user` is as HTTP Basic takes it.
    ///
    /// # Errors
    ///
    /// In words, if `address` can be nobody's.
    pub fn by_password(
        address: &str,
        user: String,
        password: Secret,
        context: Context,
        random: Random,
    ) -> Result<(SignIn, Vec<Want>), String> {
        let address = address.trim().to_ascii_lowercase();
        let address = address.strip_prefix("sip:").unwrap_or(&address).to_owned();
        if !is_address(&address) {
            return Err("The sign-in address is not complete.".to_owned());
        }
        let mut sign_in = SignIn::new(Method::UserId, context, random, Stage::Done);
        sign_in.typed = Some((user, password));
        let mut wants = vec![Want::Owner(address.clone())];
        sign_in.address = address;
        wants.extend(sign_in.discover());
        Ok((sign_in, wants))
    }

    /// A new certificate for somebody who is signed in, from the certificate service at `certificates`.
    pub fn renewal(
        method: Method,
        address: String,
        credential: Credential,
        certificates: Url,
        context: Context,
        random: Random,
    ) -> (SignIn, Vec<Want>) {
        let mut sign_in = SignIn::new(method, context, random, Stage::Done);
        sign_in.address = address;
        sign_in.is_renewal = true;
        sign_in.certificates = Some(certificates.clone());
        sign_in.credential = Some(credential.clone());
        let wants = match credential {
            Credential::Refresh { endpoint, token } => {
                let ask = user_id::refresh_grant(endpoint.clone(), &sign_in.context.application, &token);
                sign_in.stage = Stage::Token(endpoint, Box::new(Then::Certificates(certificates)));
                vec![sign_in.ask(ask)]
            }
            Credential::Password { user, password } => {
                sign_in.typed = Some((user.clone(), password.clone()));
                sign_in.proof = Some(Proof::Password { user, password });
                sign_in.ticket_for_certificates(certificates)
            }
        };
        (sign_in, wants)
    }

    /// Nothing but the root of a pool that a signed-in phone was sent to.
    pub fn root_only(host: &str, method: Method, context: Context, random: Random) -> (SignIn, Vec<Want>) {
        let mut sign_in = SignIn::new(method, context, random, Stage::Done);
        sign_in.is_renewal = true;
        let wants = sign_in.unknown_issuer(host);
        (sign_in, wants)
    }

    fn new(method: Method, context: Context, random: Random, stage: Stage) -> SignIn {
        SignIn {
            context,
            random,
            method,
            address: String::new(),
            typed: None,
            proof: None,
            credential: None,
            servers: Vec::new(),
            certificates: None,
            stage,
            last_ask: None,
            interlude: None,
            is_renewal: false,
        }
    }

    /// How it is done.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Whose it is; empty before that is known.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What can renew the certificate later.
    pub fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// Where the pool was found.
    pub fn servers(&self) -> &[Server] {
        &self.servers
    }

    /// The certificate service in use.
    pub fn certificates(&self) -> Option<&Url> {
        self.certificates.as_ref()
    }

    /// Whether it renews the certificate of somebody who is signed in already.
    pub fn is_renewal(&self) -> bool {
        self.is_renewal
    }

    /// The code on the screen, if there is one.
    pub fn shown(&self) -> Option<&Shown> {
        match &self.stage {
            Stage::Code(code) => code.shown(),
            _ => None,
        }
    }

    /// What the phone says that it is doing.
    pub fn progress(&self) -> &'static str {
        match &self.stage {
            Stage::Code(_) => "Asking for a code…",
            Stage::Discovering(_) | Stage::DiscoveringByTicket(..) => "Discovering the server…",
            Stage::Token(..) | Stage::Knocking => "Authentication in progress…",
            Stage::Ticket(_) => "Service found. Authentication in progress…",
            Stage::Certificate(_) | Stage::Keeping(_) => "Downloading the certificate…",
            Stage::Done => "Authentication in progress…",
        }
    }

    /// When to call [`SignIn::woken`].
    pub fn wake_at(&self) -> Option<Time> {
        match &self.stage {
            Stage::Code(code) => code.wake_at(),
            _ => None,
        }
    }

    fn may_take_root(&self, host: &str) -> bool {
        self.context.may_take_roots
            && self.context.pinned.len() < ROOT_HOSTS_MAX
            && !self.context.pinned.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn ask(&mut self, ask: Ask) -> Want {
        self.last_ask = Some(ask.clone());
        Want::Ask(ask)
    }

    /// Nobody that the phone trusts stands behind the pool's SIP certificate.
    pub fn unknown_issuer(&mut self, host: &str) -> Vec<Want> {
        match root_chain::ask(host) {
            Some(ask) if self.may_take_root(host) => {
                self.interlude = Some(Interlude::Reconnect(host.to_owned()));
                vec![Want::Ask(ask)]
            }
            _ => vec![failed("The pool's certificate is signed by an unknown authority.".to_owned(), false)],
        }
    }

    /// The answer to the last request. `wall` is what the phone's clock says.
    pub fn answered(&mut self, now: Time, wall: Wall, answer: Answer) -> Vec<Want> {
        if let Some(interlude) = self.interlude.take() {
            return self.root_answered(interlude, answer, now, wall);
        }
        if let (Err(why), Some(ask)) = (&answer, &self.last_ask)
            && why.is_unknown_issuer()
            && ask.vouching == Vouching::Pool
            && self.may_take_root(host_of(&ask.url))
            && let Some(root) = root_chain::ask(host_of(&ask.url))
        {
            self.interlude = Some(Interlude::Ask(Box::new(ask.clone()), why.clone()));
            return vec![Want::Ask(root)];
        }
        self.step(now, wall, answer)
    }

    fn root_answered(&mut self, interlude: Interlude, answer: Answer, now: Time, wall: Wall) -> Vec<Want> {
        let taken = root_chain::read(answer);
        match (interlude, taken) {
            (Interlude::Ask(ask, _), Ok(roots)) => {
                let host = host_of(&ask.url).to_owned();
                self.context.pinned.push(host.clone());
                vec![Want::Pin(host, roots), self.ask(*ask)]
            }
            (Interlude::Reconnect(host), Ok(roots)) => {
                self.context.pinned.push(host.clone());
                vec![Want::Pin(host, roots), Want::Reconnect]
            }
            // Another name of the pool may know its root.
            (Interlude::Ask(_, why), Err(_)) => self.step(now, wall, Err(why)),
            (Interlude::Reconnect(_), Err(why)) => {
                vec![failed(format!("The pool's certificate cannot be trusted: {why}."), false)]
            }
        }
    }
}

fn failed(why: String, is_refusal: bool) -> Want {
    Want::Failed { why, is_refusal }
}

/// What tokens leave for later.
fn refresh_of(tokens: &Tokens, endpoint: Url) -> Option<Credential> {
    tokens.refresh.clone().map(|token| Credential::Refresh { endpoint, token })
}

#[cfg(test)]
mod tests;
