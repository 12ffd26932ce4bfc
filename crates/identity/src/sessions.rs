//! Browser sessions: the cookie, who is signed in behind it, and the guards of its forms.
//!
//! Two guards travel with every form. The canary is bound to the session and to the step, so a page of another
//! origin cannot make one up. The flow token names the way that the form belongs to; it is taken away when it is
//! used, so a form is sent once, and it runs out. Two tabs are two ways and do not disturb each other.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use net::{Random, Time};

use crate::device_code::CodeId;
use crate::people::Oid;
use crate::secret::{Fingerprint, Secret, is_same};

/// The cookie's name. The prefix makes browsers refuse it from other hosts and over plain HTTP.
pub(crate) const COOKIE: &str = "__Host-session";
/// How long a session without "stay signed in" outlives its last request.
const IDLE: Duration = Duration::from_secs(24 * 3600);
/// The same for one that stays signed in.
pub(crate) const STAY: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long a page may stay open.
pub(crate) const FLOW_LIFE: Duration = Duration::from_secs(900);
/// Ways of one session at a time; the oldest gives way.
const FLOWS: usize = 16;
/// Accounts that one session is signed in with; the oldest gives way.
const ACCOUNTS: usize = 8;

/// The page that a form belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    EnterCode,
    ConfirmApp,
    PickAccount,
    Username,
    Password,
    NewPassword,
    SecondFactor,
    StaySignedIn,
    ConfirmSignIn,
    PortalHome,
    PortalSearch,
    PortalProvision,
}

/// What a sign-in is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// A device; its code has not been entered yet.
    Code,
    /// The device that shows this code.
    Device {
        id: CodeId,
        user_code: Secret,
        client_id: String,
        application: String,
        /// Who asked for the code, and when.
        address: String,
        asked: String,
    },
    /// The common-area portal.
    Portal,
    /// A new password.
    Password,
}

/// One way through the pages.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) purpose: Purpose,
    pub(crate) step: Step,
    /// The name as it was typed; the account may not exist.
    pub(crate) upn: String,
    /// Whose password was right, or who was picked.
    pub(crate) oid: Option<Oid>,
    pub(crate) methods: Vec<String>,
    pub(crate) auth_time: i64,
    pub(crate) tries: u32,
    /// The account was picked among those of the browser, so its first factor is an older one.
    pub(crate) is_picked: bool,
    /// The password that replaces the old one once everything else was proved.
    pub(crate) new_password: Option<Secret>,
    /// The account that the portal is to provision.
    pub(crate) account: Option<Oid>,
    issued_at: Time,
}

impl Flow {
    pub(crate) fn new(purpose: Purpose, step: Step) -> Flow {
        Flow {
            purpose,
            step,
            upn: String::new(),
            oid: None,
            methods: Vec::new(),
            auth_time: 0,
            tries: 0,
            is_picked: false,
            new_password: None,
            account: None,
            issued_at: Time::ZERO,
        }
    }

    pub(crate) fn at(mut self, step: Step) -> Flow {
        self.step = step;
        self
    }
}

/// An account behind a session.
#[derive(Clone, Debug)]
pub(crate) struct SignedIn {
    pub(crate) oid: Oid,
    pub(crate) epoch: u64,
    pub(crate) methods: Vec<String>,
    pub(crate) auth_time: i64,
}

/// One browser.
#[derive(Debug)]
pub(crate) struct Session {
    /// Stays the same when the cookie changes.
    pub(crate) number: u64,
    salt: [u8; 32],
    seen_at: Time,
    pub(crate) stays: bool,
    pub(crate) signed_in: Vec<SignedIn>,
    flows: BTreeMap<Fingerprint, Flow>,
}

/// What a form must bring back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    pub(crate) canary: Secret,
    pub(crate) flow_token: Secret,
}

/// Why a form is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("no session")]
    NoSession,
    #[error("the canary does not fit")]
    Canary,
    #[error("the flow token is unknown or was used")]
    Used,
    #[error("the page was open for too long")]
    Expired,
}

impl Session {
    fn canary(&self, step: Step) -> String {
        let bound = Fingerprint::of_parts(&[&self.salt, format!("{step:?}").as_bytes()]);
        URL_SAFE_NO_PAD.encode(bound.0)
    }

    /// Starts or continues a way; its next form must bring the guard back.
    pub(crate) fn put(&mut self, mut flow: Flow, random: &mut Random, now: Time) -> Guard {
        while self.flows.len() >= FLOWS {
            let oldest = self.flows.iter().min_by_key(|(_, flow)| flow.issued_at).map(|(key, _)| *key);
            let Some(oldest) = oldest else { break };
            self.flows.remove(&oldest);
        }
        let token = URL_SAFE_NO_PAD.encode(random.bytes::<32>());
        let canary = self.canary(flow.step);
        flow.issued_at = now;
        self.flows.insert(Fingerprint::of(&token), flow);
        Guard { canary: canary.into(), flow_token: token.into() }
    }

    /// Takes the way that a form of one of `steps` continues; it cannot be taken a second time.
    pub(crate) fn take(&mut self, steps: &[Step], guard: &Guard, now: Time) -> Result<Flow, NotTaken> {
        let step = steps.iter().copied().find(|&step| is_same(guard.canary.expose(), &self.canary(step)));
        let step = step.ok_or(NotTaken::Canary)?;
        let key = Fingerprint::of(guard.flow_token.expose());
        if self.flows.get(&key).is_none_or(|flow| flow.step != step) {
            return Err(NotTaken::Used);
        }
        let flow = self.flows.remove(&key).ok_or(NotTaken::Used)?;
        if now.since(flow.issued_at) >= FLOW_LIFE {
            return Err(NotTaken::Expired);
        }
        Ok(flow)
    }

    pub(crate) fn sign_in(&mut self, who: SignedIn) {
        self.signed_in.retain(|known| known.oid != who.oid);
        if self.signed_in.len() >= ACCOUNTS {
            self.signed_in.remove(0);
        }
        self.signed_in.push(who);
    }

    fn ends_at(&self) -> Time {
        self.seen_at + if self.stays { STAY } else { IDLE }
    }
}

/// All sessions, by the SHA-256 of their cookie.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_cookie: BTreeMap<Fingerprint, Session>,
    next: u64,
}

/// A cookie's value.
#[derive(Clone, Debug)]
pub(crate) struct Cookie {
    pub(crate) value: Secret,
    /// The browser has it already.
    pub(crate) is_known: bool,
}

impl Sessions {
    /// The session of a cookie that a browser sent.
    pub(crate) fn find(&mut self, cookie: &str, now: Time) -> Option<&mut Session> {
        let key = Fingerprint::of(cookie);
        if self.by_cookie.get(&key)?.ends_at() <= now {
            self.by_cookie.remove(&key);
            return None;
        }
        let session = self.by_cookie.get_mut(&key)?;
        session.seen_at = now;
        Some(session)
    }

    /// A new session.
    pub(crate) fn open(&mut self, limit: usize, random: &mut Random, now: Time) -> Cookie {
        if self.by_cookie.len() >= limit {
            self.by_cookie.retain(|_, session| session.ends_at() > now);
        }
        if self.by_cookie.len() >= limit {
            // Who has not signed in loses least.
            let cost = |session: &Session| (!session.signed_in.is_empty(), session.seen_at);
            let least = self.by_cookie.iter().min_by_key(|(_, session)| cost(session)).map(|(key, _)| *key);
            if let Some(least) = least {
                self.by_cookie.remove(&least);
            }
        }
        let value = URL_SAFE_NO_PAD.encode(random.bytes::<32>());
        self.next += 1;
        let session = Session {
            number: self.next,
            salt: random.bytes(),
            seen_at: now,
            stays: false,
            signed_in: Vec::new(),
            flows: BTreeMap::new(),
        };
        self.by_cookie.insert(Fingerprint::of(&value), session);
        Cookie { value: value.into(), is_known: false }
    }

    /// Gives a session another cookie, so that nobody who planted the old one is signed in with it.
    pub(crate) fn renew(&mut self, cookie: &Cookie, random: &mut Random) -> Cookie {
        let Some(session) = self.by_cookie.remove(&Fingerprint::of(cookie.value.expose())) else {
            return cookie.clone();
        };
        let value = URL_SAFE_NO_PAD.encode(random.bytes::<32>());
        self.by_cookie.insert(Fingerprint::of(&value), session);
        Cookie { value: value.into(), is_known: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (Sessions, Cookie, Random) {
        let (mut sessions, mut random) = (Sessions::default(), Random::named(1, "sessions"));
        let cookie = sessions.open(10, &mut random, Time::ZERO);
        (sessions, cookie, random)
    }

    #[test]
    fn a_form_is_taken_once_at_its_own_step_and_in_time() {
        let (mut sessions, cookie, mut random) = open();
        let session = sessions.find(cookie.value.expose(), Time::ZERO).expect("open");
        let flow = Flow::new(Purpose::Portal, Step::Password);
        let guard = session.put(flow.clone(), &mut random, Time::ZERO);
        let take = |session: &mut Session, step, at| session.take(&[step], &guard, at).map(|_| ()).err();
        assert_eq!(take(session, Step::Username, Time::ZERO), Some(NotTaken::Canary));
        assert_eq!(take(session, Step::Password, Time::from_millis(899_999)), None);
        assert_eq!(take(session, Step::Password, Time::ZERO), Some(NotTaken::Used));
        let guard = session.put(flow, &mut random, Time::ZERO);
        assert_eq!(
            session.take(&[Step::Password], &guard, Time::from_secs(900)).err(),
            Some(NotTaken::Expired)
        );
    }

    #[test]
    fn the_canary_of_another_session_does_not_fit() {
        let (mut sessions, one, mut random) = open();
        let two = sessions.open(10, &mut random, Time::ZERO);
        let flow = Flow::new(Purpose::Portal, Step::Password);
        let guard =
            sessions.find(one.value.expose(), Time::ZERO).expect("open").put(flow, &mut random, Time::ZERO);
        let other = sessions.find(two.value.expose(), Time::ZERO).expect("open");
        assert_eq!(other.take(&[Step::Password], &guard, Time::ZERO).err(), Some(NotTaken::Canary));
    }

    #[test]
    fn a_renewed_session_does_not_answer_to_its_old_cookie() {
        let (mut sessions, old, mut random) = open();
        let new = sessions.renew(&old, &mut random);
        assert!(sessions.find(old.value.expose(), Time::ZERO).is_none());
        assert!(sessions.find(new.value.expose(), Time::ZERO).is_some());
    }

    #[test]
    fn a_flood_of_sessions_costs_the_oldest_that_nobody_signed_in_to() {
        let (mut sessions, first, mut random) = open();
        let who = SignedIn { oid: "a".into(), epoch: 0, methods: Vec::new(), auth_time: 0 };
        sessions.find(first.value.expose(), Time::ZERO).expect("open").sign_in(who);
        let second = sessions.open(2, &mut random, Time::from_secs(1));
        sessions.open(2, &mut random, Time::from_secs(2));
        assert!(sessions.find(first.value.expose(), Time::from_secs(3)).is_some());
        assert!(sessions.find(second.value.expose(), Time::from_secs(3)).is_none());
    }
}
