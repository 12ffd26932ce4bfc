//! Who asks: sessions, HTTP Basic, and the lock after too many wrong passwords.
//!
//! There are two accounts, `Polycom` with the administrator's password and `User` with the user's. Wrong passwords
//! are counted for the phone as a whole, and a lock keeps everybody out, whoever was wrong; that is what the
//! `httpd.cfg.lockWebUI.*` settings bound. Sessions that are open go on.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use net::http::{HeaderMap, header};
use net::{Random, Time};

use crate::config::Config;

/// The administrator's name.
pub const ADMIN: &str = "Polycom";
/// The user's name.
pub const USER: &str = "User";
/// The administrator's password as phones come with it.
pub const DEFAULT_PASSWORD: &str = "456";

/// Sessions at a time; when a further one is opened, the oldest one ends. Scripts that log in before each request
/// would fill any table.
const SESSIONS_LIMIT: usize = 16;
/// How long a session lives without a request. A guess.
const SESSION_IDLE: Duration = Duration::from_secs(15 * 60);
/// Wrong passwords that are remembered; a setting may ask for no more.
const FAILURES_LIMIT: usize = 20;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Looks, and changes nothing.
    User,
}

/// How somebody proved who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By the cookie of a session; its token must come with whatever changes something.
    Session {
        /// The token against forged requests.
        token: String,
    },
    /// By a password sent along, which no other page can make a browser do.
    Password,
}

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// What they may do.
    pub role: Role,
    /// How they proved it.
    pub proof: Proof,
}

/// Why somebody was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// They said nothing about themselves.
    Nobody,
    /// The name or the password is wrong.
    Wrong,
    /// Too many passwords were wrong: nobody is let in for this long.
    Locked(Duration),
}

/// The passwords, and how many wrong ones are forgiven.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    admin: &'a str,
    user: &'a str,
    /// How many in which span lock for how long; `None` never locks.
    lock: Option<(usize, Duration, Duration)>,
}

impl<'a> Rules<'a> {
    /// What the settings say.
    pub fn of(config: &'a Config) -> Rules<'a> {
        let password = |name: &str, usual: &'static str| match config.text(name) {
            "" => usual,
            password => password,
        };
        let number = |name: &str, usual: i64, most: i64| {
            config.number(name).unwrap_or(usual).clamp(1, most).unsigned_abs()
        };
        let lock = config.is_on("httpd.cfg.lockWebUI.enable").then(|| {
            let times = number("httpd.cfg.lockWebUI.noOfInvalidAttempts", 5, FAILURES_LIMIT as i64);
            let within = number("httpd.cfg.lockWebUI.noOfInvalidAttemptsDuration", 60, 3600);
            let lasts = number("httpd.cfg.lockWebUI.lockOutDuration", 60, 3600);
            (usize::try_from(times).unwrap_or(5), Duration::from_secs(within), Duration::from_secs(lasts))
        });
        Rules {
            admin: password("device.auth.localAdminPassword", DEFAULT_PASSWORD),
            user: password("device.auth.localUserPassword", "123"),
            lock,
        }
    }

    /// Whether the administrator's password is still the one that phones come with.
    pub fn is_default(&self) -> bool {
        self.admin == DEFAULT_PASSWORD
    }

    /// The administrator's password.
    pub fn admin_password(&self) -> &'a str {
        self.admin
    }

    /// Whether `password` is the administrator's.
    pub fn is_admin_password(&self, password: &str) -> bool {
        is_same(password.as_bytes(), self.admin.as_bytes())
    }

    /// Whose name and password these are. Names are compared without case: tools write them either way.
    fn role(&self, name: &str, password: &str) -> Option<Role> {
        let (role, wanted) = if name.eq_ignore_ascii_case(ADMIN) {
            (Role::Admin, self.admin)
        } else if name.eq_ignore_ascii_case(USER) {
            (Role::User, self.user)
        } else {
            return None;
        };
        is_same(password.as_bytes(), wanted.as_bytes()).then_some(role)
    }
}

#[derive(Debug)]
struct Session {
    id: String,
    role: Role,
    token: String,
    until: Time,
}

/// Sessions, and what is remembered of wrong passwords.
#[derive(Debug, Default)]
pub struct Access {
    random: Option<Random>,
    secret: [u8; 32],
    sessions: VecDeque<Session>,
    failures: VecDeque<Time>,
    locked_until: Option<Time>,
}

impl Access {
    /// Takes a generator for sessions, unless it has one.
    pub fn begin(&mut self, random: impl FnOnce() -> Random) {
        if self.random.is_none() {
            let mut random = random();
            self.secret = random.bytes();
            self.random = Some(random);
        }
    }

    /// What nonces are signed with in this boot.
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// The generator, for others of the server that need chance; `None` before the phone listens.
    pub fn random(&mut self) -> Option<&mut Random> {
        self.random.as_mut()
    }

    /// Checks a name and a password as `Authorization` carries them.
    ///
    /// # Errors
    ///
    /// If there is none, it is wrong, or the lock is closed.
    pub fn check(&mut self, basic: Option<&str>, rules: Rules<'_>, now: Time) -> Result<Role, Denied> {
        let basic = basic.ok_or(Denied::Nobody)?;
        if let Some(until) = self.locked_until.filter(|until| now < *until) {
            return Err(Denied::Locked(until.since(now)));
        }
        self.locked_until = None;
        match read_basic(basic).and_then(|(name, password)| rules.role(&name, &password)) {
            Some(role) => {
                self.failures.clear();
                Ok(role)
            }
            None => {
                self.failed(rules, now);
                Err(Denied::Wrong)
            }
        }
    }

    /// A password was wrong.
    fn failed(&mut self, rules: Rules<'_>, now: Time) {
        let Some((times, within, lasts)) = rules.lock else { return };
        self.failures.push_back(now);
        while self.failures.front().is_some_and(|at| now.since(*at) > within)
            || self.failures.len() > FAILURES_LIMIT
        {
            self.failures.pop_front();
        }
        if self.failures.len() >= times {
            self.failures.clear();
            self.locked_until = Some(now + lasts);
        }
    }

    /// Opens a session; the value of its cookie. `None` if the server has no chance yet, which cannot be: it listens.
    pub fn open(&mut self, role: Role, now: Time) -> Option<String> {
        let random = self.random.as_mut()?;
        let session = Session {
            id: random.hex(32),
            role,
            token: STANDARD.encode(random.bytes::<32>()),
            until: now + SESSION_IDLE,
        };
        let id = session.id.clone();
        self.sessions.push_back(session);
        if self.sessions.len() > SESSIONS_LIMIT {
            self.sessions.pop_front();
        }
        Some(id)
    }

    /// Ends the session of a request, if it has one.
    pub fn close(&mut self, headers: &HeaderMap) {
        if let Some(id) = cookie(headers, "session") {
            self.sessions.retain(|session| !is_same(session.id.as_bytes(), id.as_bytes()));
        }
    }

    /// Ends every session: the password has changed.
    pub fn close_all(&mut self) {
        self.sessions.clear();
    }

    /// Who sends a request: by session, by `Authorization`, or, where `takes_cookie`, by a cookie of that name.
    ///
    /// # Errors
    ///
    /// If nobody can be told.
    pub fn who(
        &mut self,
        headers: &HeaderMap,
        takes_cookie: bool,
        rules: Rules<'_>,
        now: Time,
    ) -> Result<Visitor, Denied> {
        self.sessions.retain(|session| now < session.until);
        if let Some(id) = cookie(headers, "session")
            && let Some(session) =
                self.sessions.iter_mut().find(|session| is_same(session.id.as_bytes(), id.as_bytes()))
        {
            session.until = now + SESSION_IDLE;
            return Ok(Visitor {
                role: session.role,
                proof: Proof::Session { token: session.token.clone() },
            });
        }
        if let Some(basic) = authorization(headers) {
            let role = self.check(Some(basic), rules, now)?;
            return Ok(Visitor { role, proof: Proof::Password });
        }
        // Tools for older firmware put the same words into a cookie, which browsers send along unasked.
        let cookie = cookie(headers, "Authorization").filter(|_| takes_cookie);
        let role = self.check(cookie, rules, now)?;
        Ok(Visitor { role, proof: Proof::Password })
    }
}

/// The value of `Authorization`, whatever its scheme.
pub fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

/// The value of a cookie (RFC 6265 §4.2.1); a tool may have left a space in it.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| known.trim() == name).map(|(_, value)| value.trim().trim_matches('"'))
}

/// Name and password of HTTP Basic (RFC 7617).
pub fn read_basic(value: &str) -> Option<(String, String)> {
    let (scheme, token) = value.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(token.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// Compares without telling by its time how much was right.
pub fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    let differs = given.iter().zip(wanted).fold(0, |differs, (a, b)| differs | (a ^ b));
    given.len() == wanted.len() && differs == 0
}
