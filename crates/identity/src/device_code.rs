//! Device codes: one machine per code (RFC 8628).
//!
//! A code goes from pending to claimed (a browser typed it) to approved or declined, and from approved to
//! redeemed, once. Every step checks where the code stands and moves it in the same call, so of two that race
//! only one wins. Expiry is looked at whenever a code is read. Neither code is stored, only their SHA-256.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use net::{Random, Time};

use crate::people::Oid;
use crate::profile::Profile;
use crate::secret::{Fingerprint, Secret};
use crate::tokens::Wanted;

/// Letters that user codes of the copied service begin with; which region each stands for is unknown.
const FIRST_LETTERS: &[u8] = b"BCDEFGHJLNPQRS";
/// The 32 symbols of the eight that follow: 40 bits. No 0, 1, I or O.
const SYMBOLS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// The 20 consonants that RFC 8628 §6.1 suggests.
const CONSONANTS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// How device codes of the copied service begin; what follows is random.
const OPENING: &str = "DAQABAAEAAAA";
/// How long an ended code is remembered, to be called expired or used instead of unknown.
const AFTERLIFE: Duration = Duration::from_secs(3600);
/// What `slow_down` adds to the interval (RFC 8628 §3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// How many times a device is told to slow down before the interval stops growing.
const SLOWEST: Duration = Duration::from_secs(60);

/// What names a code inside the service.
pub(crate) type CodeId = u64;

/// What an approval grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Approval {
    pub(crate) oid: Oid,
    /// The account's epoch when it was approved.
    pub(crate) epoch: u64,
    /// How the person proved themselves (`amr`).
    pub(crate) methods: Vec<String>,
    /// When, in seconds of the Unix epoch.
    pub(crate) auth_time: i64,
    /// From where.
    pub(crate) address: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Pending,
    Claimed { session: u64 },
    Approved(Approval),
    Declined,
    Redeemed,
    Expired,
}

/// What was asked for along with a code.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) client_id: String,
    /// The tenant as the path named it, in lower case.
    pub(crate) tenant: String,
    pub(crate) wanted: Wanted,
    /// Who asked.
    pub(crate) address: String,
    /// When, in seconds of the Unix epoch.
    pub(crate) at: i64,
}

/// One code.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub(crate) asked: Asked,
    user_code: Fingerprint,
    device_code: Fingerprint,
    expires_at: Time,
    state: State,
    interval: Duration,
    polled_at: Option<Time>,
}

impl Code {
    fn is_live(&self, now: Time) -> bool {
        now < self.expires_at && matches!(self.state, State::Pending | State::Claimed { .. })
    }
}

/// A fresh pair of codes, on its way to the device.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) device_code: Secret,
    pub(crate) user_code: Secret,
}

/// Why a user code is not taken at the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotClaimed {
    #[error("nobody was given this code")]
    Unknown,
    #[error("the code has expired")]
    Expired,
    #[error("the code was approved or declined already")]
    Done,
}

/// Why a poll gets no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoGrant {
    #[error("nobody has entered the code")]
    Pending,
    #[error("a browser is under way")]
    Claimed,
    #[error("polled too fast")]
    TooFast,
    #[error("declined")]
    Declined,
    #[error("expired")]
    Expired,
    #[error("redeemed already")]
    Redeemed,
    #[error("unknown code")]
    Unknown,
    #[error("issued to another client")]
    OtherClient,
    #[error("issued for another tenant")]
    OtherTenant,
}

/// What all codes of a service have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) profile: Profile,
    /// How long a code lives.
    pub(crate) life: Duration,
    /// How often a device may poll.
    pub(crate) interval: Duration,
    /// Codes at a time.
    pub(crate) limit: usize,
}

/// All codes, alive and lately ended.
#[derive(Debug)]
pub(crate) struct Codes {
    rules: Rules,
    codes: BTreeMap<CodeId, Code>,
    by_device: BTreeMap<Fingerprint, CodeId>,
    by_user: BTreeMap<Fingerprint, CodeId>,
    /// Pending and claimed codes. Ids grow with time and all lives are equal: the first ends first.
    waiting: BTreeSet<CodeId>,
    next: CodeId,
}

impl Codes {
    pub(crate) fn new(rules: Rules) -> Codes {
        Codes {
            rules,
            codes: BTreeMap::new(),
            by_device: BTreeMap::new(),
            by_user: BTreeMap::new(),
            waiting: BTreeSet::new(),
            next: 0,
        }
    }

    /// Makes a pair of codes; if all are alive, says when there will be room.
    pub(crate) fn issue(&mut self, asked: Asked, random: &mut Random, now: Time) -> Result<Fresh, Time> {
        let Rules { profile, life, interval, limit } = self.rules;
        self.forget(now);
        if self.codes.len() >= limit {
            // The oldest ended code gives way; a live one never does.
            let ended = self.codes.iter().find(|(_, code)| !code.is_live(now)).map(|(&id, _)| id);
            match ended {
                Some(id) => self.remove(id),
                None => return Err(self.codes.values().map(|c| c.expires_at).min().unwrap_or(now)),
            }
        }
        let device_code = format!("{OPENING}{}", URL_SAFE_NO_PAD.encode(random.bytes::<144>()));
        let user_code = loop {
            let code = user_code(profile, random);
            if !self.by_user.contains_key(&Fingerprint::of(normal(&code))) {
                break code;
            }
        };
        let id = self.next;
        self.next += 1;
        let code = Code {
            asked,
            user_code: Fingerprint::of(normal(&user_code)),
            device_code: Fingerprint::of(&device_code),
            expires_at: now + life,
            state: State::Pending,
            interval,
            polled_at: None,
        };
        self.by_device.insert(code.device_code, id);
        self.by_user.insert(code.user_code, id);
        self.waiting.insert(id);
        self.codes.insert(id, code);
        Ok(Fresh { device_code: device_code.into(), user_code: user_code.into() })
    }

    /// A browser typed a user code. A later browser takes a claimed code over: people close windows.
    pub(crate) fn claim(
        &mut self,
        user_code: &str,
        session: u64,
        now: Time,
    ) -> Result<(CodeId, &Asked), NotClaimed> {
        let key = Fingerprint::of(normal(user_code));
        let id = *self.by_user.get(&key).ok_or(NotClaimed::Unknown)?;
        let code = self.codes.get_mut(&id).ok_or(NotClaimed::Unknown)?;
        match code.state {
            State::Approved(_) | State::Declined | State::Redeemed => return Err(NotClaimed::Done),
            State::Expired => return Err(NotClaimed::Expired),
            State::Pending | State::Claimed { .. } if now >= code.expires_at => {
                return Err(NotClaimed::Expired);
            }
            State::Pending | State::Claimed { .. } => {}
        }
        code.state = State::Claimed { session };
        Ok((id, &code.asked))
    }

    /// What was asked for along with a code that this session holds.
    pub(crate) fn held(&self, id: CodeId, session: u64, now: Time) -> Result<&Asked, NotClaimed> {
        let code = self.codes.get(&id).ok_or(NotClaimed::Expired)?;
        match code.state {
            _ if now >= code.expires_at => Err(NotClaimed::Expired),
            State::Claimed { session: holder } if holder == session => Ok(&code.asked),
            _ => Err(NotClaimed::Done),
        }
    }

    /// The session that holds the code approves it.
    pub(crate) fn approve(
        &mut self,
        id: CodeId,
        session: u64,
        approval: Approval,
        now: Time,
    ) -> Result<(), NotClaimed> {
        self.held(id, session, now)?;
        let code = self.codes.get_mut(&id).ok_or(NotClaimed::Expired)?;
        code.state = State::Approved(approval);
        self.waiting.remove(&id);
        Ok(())
    }

    /// The session that holds the code declines it.
    pub(crate) fn decline(&mut self, id: CodeId, session: u64, now: Time) -> Result<(), NotClaimed> {
        self.held(id, session, now)?;
        let code = self.codes.get_mut(&id).ok_or(NotClaimed::Expired)?;
        code.state = State::Declined;
        self.waiting.remove(&id);
        Ok(())
    }

    /// A device polls. Gives the approval out once.
    pub(crate) fn redeem(
        &mut self,
        device_code: &str,
        client_id: &str,
        tenant: &str,
        now: Time,
    ) -> Result<(Asked, Approval), NoGrant> {
        let id = *self.by_device.get(&Fingerprint::of(device_code)).ok_or(NoGrant::Unknown)?;
        let code = self.codes.get_mut(&id).ok_or(NoGrant::Unknown)?;
        if !code.asked.client_id.eq_ignore_ascii_case(client_id) {
            return Err(NoGrant::OtherClient);
        }
        if code.asked.tenant != tenant {
            return Err(NoGrant::OtherTenant);
        }
        // The first poll is never too fast, and a refused one does not move the clock: a steady device recovers.
        let is_early = code.polled_at.is_some_and(|last| now.since(last) < code.interval);
        if !is_early {
            code.polled_at = Some(now);
        }
        match &code.state {
            State::Redeemed => Err(NoGrant::Redeemed),
            State::Declined => Err(NoGrant::Declined),
            State::Expired => Err(NoGrant::Expired),
            _ if now >= code.expires_at => Err(NoGrant::Expired),
            State::Pending | State::Claimed { .. } if is_early => Err(NoGrant::TooFast),
            State::Pending => Err(NoGrant::Pending),
            State::Claimed { .. } => Err(NoGrant::Claimed),
            State::Approved(approval) => {
                let taken = (code.asked.clone(), approval.clone());
                code.state = State::Redeemed;
                Ok(taken)
            }
        }
    }

    /// Makes a device that polls too fast wait longer from now on (RFC 8628 §3.5).
    pub(crate) fn slow(&mut self, device_code: &str) {
        let id = self.by_device.get(&Fingerprint::of(device_code));
        if let Some(code) = id.and_then(|id| self.codes.get_mut(id)) {
            code.interval = (code.interval + SLOWER).min(SLOWEST);
        }
    }

    /// Ends what was approved for `oid` and not yet fetched.
    pub(crate) fn revoke(&mut self, oid: &str) {
        for code in self.codes.values_mut() {
            if matches!(&code.state, State::Approved(approval) if approval.oid == oid) {
                code.state = State::Declined;
            }
        }
    }

    /// Codes that wait for a person.
    pub(crate) fn waiting(&self, now: Time) -> usize {
        self.waiting.iter().filter(|id| self.codes.get(id).is_some_and(|code| code.is_live(now))).count()
    }

    /// When the next waiting code runs out.
    pub(crate) fn next_expiry(&self) -> Option<Time> {
        self.waiting.first().and_then(|id| self.codes.get(id)).map(|code| code.expires_at)
    }

    /// Ends the codes whose time is over; gives back what was asked with each.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<Asked> {
        let mut ended = Vec::new();
        while let Some(&id) = self.waiting.first() {
            match self.codes.get_mut(&id) {
                Some(code) if code.expires_at > now => break,
                Some(code) => {
                    code.state = State::Expired;
                    ended.push(code.asked.clone());
                }
                None => {}
            }
            self.waiting.remove(&id);
        }
        ended
    }

    fn forget(&mut self, now: Time) {
        // Ids grow with time and every code lives equally long, so the stale ones stand in front.
        while let Some((&id, code)) = self.codes.first_key_value()
            && code.expires_at + AFTERLIFE <= now
        {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: CodeId) {
        if let Some(code) = self.codes.remove(&id) {
            self.by_device.remove(&code.device_code);
            self.by_user.remove(&code.user_code);
            self.waiting.remove(&id);
        }
    }
}

fn user_code(profile: Profile, random: &mut Random) -> String {
    let mut pick = |symbols: &[u8]| char::from(symbols[random.below(symbols.len() as u64) as usize]);
    if profile == Profile::Rfc8628 {
        let mut code: String = (0..8).map(|_| pick(CONSONANTS)).collect();
        code.insert(4, '-');
        return code;
    }
    let mut code = String::from(pick(FIRST_LETTERS));
    code.extend((0..8).map(|_| pick(SYMBOLS)));
    code
}

/// What a typed code is compared by: letters and digits, upper case (RFC 8628 §6.1).
fn normal(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphanumeric).take(32).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
#[path = "device_code/tests.rs"]
mod tests;
