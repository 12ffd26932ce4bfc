//! What administrators and stories do to the service, and what they may look at.

use net::{Note, Outbox, Time};

use crate::events;
use crate::identity::Identity;
use crate::people::{Failures, Record};
use crate::policy::Policies;
use crate::service::{Endpoint, Ordered};
use crate::store::Change;

/// No account has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no account `{0}`")]
pub struct NoAccount(pub String);

/// What is to be seen of an account from outside. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountState {
    /// Its sign-in name.
    pub upn: String,
    /// Its object id, the `oid` of tokens.
    pub oid: String,
    /// Whether sign-in is allowed.
    pub is_enabled: bool,
    /// Until when failures lock it, if they do.
    pub locked_until: Option<Time>,
    /// Whether its password has run out.
    pub is_password_expired: bool,
    /// Whether a second factor is asked.
    pub has_second_factor: bool,
    /// Refresh tokens that would be taken now.
    pub refresh_tokens: usize,
    /// How many times everything it was granted was revoked.
    pub revocations: u64,
}

impl Identity {
    fn find(&self, upn: &str) -> Result<Record, NoAccount> {
        self.service.people.named(upn).cloned().ok_or_else(|| NoAccount(upn.to_owned()))
    }

    /// Gives an account another password; refresh tokens and sessions of the old one are void from now on.
    ///
    /// # Errors
    ///
    /// If there is no such account.
    pub fn change_password(
        &mut self,
        upn: &str,
        password: &str,
        _: Time,
        out: &mut Outbox,
    ) -> Result<(), NoAccount> {
        let record = self.find(upn)?;
        let service = &mut self.service;
        service.people.set_password(&record.oid, password, &mut service.random);
        service.codes.revoke(&record.oid);
        service.keep_account(&record.oid, out);
        out.note(Note::event(events::PASSWORD_CHANGED, record.of(), "by an administrator"));
        Ok(())
    }

    /// Lets an account's password run out; what it bought before stays good.
    ///
    /// # Errors
    ///
    /// If there is no such account.
    pub fn expire_password(&mut self, upn: &str, _: Time, out: &mut Outbox) -> Result<(), NoAccount> {
        let record = self.find(upn)?;
        if let Some(record) = self.service.people.get_mut(&record.oid) {
            record.is_password_expired = true;
        }
        self.service.keep_account(&record.oid, out);
        out.note(Note::event(events::PASSWORD_EXPIRED, record.of(), "by an administrator"));
        Ok(())
    }

    /// Allows or blocks sign-in; a blocked account's refresh tokens are refused as long as it is blocked.
    ///
    /// # Errors
    ///
    /// If there is no such account.
    pub fn set_enabled(
        &mut self,
        upn: &str,
        enabled: bool,
        _: Time,
        out: &mut Outbox,
    ) -> Result<(), NoAccount> {
        let record = self.find(upn)?;
        if let Some(record) = self.service.people.get_mut(&record.oid) {
            record.enabled = enabled;
        }
        self.service.keep_account(&record.oid, out);
        let event = if enabled { events::ACCOUNT_ENABLED } else { events::ACCOUNT_DISABLED };
        out.note(Note::event(event, record.of(), "by an administrator"));
        Ok(())
    }

    /// Revokes every refresh token, browser session and unfetched approval of an account.
    ///
    /// # Errors
    ///
    /// If there is no such account.
    pub fn revoke_sessions(&mut self, upn: &str, _: Time, out: &mut Outbox) -> Result<(), NoAccount> {
        let record = self.find(upn)?;
        self.service.revoke(&record.oid, out);
        out.note(Note::event(events::SESSIONS_REVOKED, record.of(), "by an administrator"));
        Ok(())
    }

    /// Ends a lock-out.
    ///
    /// # Errors
    ///
    /// If there is no such account.
    pub fn unlock(&mut self, upn: &str, _: Time, out: &mut Outbox) -> Result<(), NoAccount> {
        let record = self.find(upn)?;
        if let Some(record) = self.service.people.get_mut(&record.oid) {
            record.failures = Failures::default();
            record.second_factor_failures = Failures::default();
        }
        out.note(Note::event(events::ACCOUNT_UNLOCKED, record.of(), "by an administrator"));
        Ok(())
    }

    /// Replaces the tenant's policies. They are configuration: after a power cycle those of the setup count.
    pub fn set_policy(&mut self, policies: Policies, _: Time, out: &mut Outbox) {
        self.service.policies = policies;
        let tenant = self.service.setup.tenant.display_name.clone();
        out.note(Note::event(events::POLICY_CHANGED, tenant, "by an administrator"));
    }

    /// What the service believes the calendar says, to be changed by a story.
    pub fn clock_mut(&mut self) -> &mut net::WallClock {
        &mut self.service.setup.clock
    }

    /// The policies in force.
    pub fn policy(&self) -> &Policies {
        &self.service.policies
    }

    /// Blocks sign-in by device code, or allows it again.
    pub fn block_device_code_flow(&mut self, is_blocked: bool, _: Time, out: &mut Outbox) {
        self.service.policies.block_device_code_flow = is_blocked;
        let tenant = self.service.setup.tenant.display_name.clone();
        let text = if is_blocked { "device codes are blocked" } else { "device codes are allowed" };
        out.note(Note::event(events::POLICY_CHANGED, tenant, text));
    }

    /// Answers the next `count` requests at `endpoint` with what the story ordered. Orders for one endpoint
    /// queue up.
    pub fn answer_next(&mut self, endpoint: Endpoint, count: u32, order: Ordered) {
        /// Orders that may wait.
        const ORDERS: usize = 64;
        if count > 0 && self.service.orders.len() < ORDERS {
            self.service.orders.push_back((endpoint, count, order));
        }
    }

    /// Makes the published next key the one that signs. The old one stays published until the next roll.
    pub fn roll_keys(&mut self, _: Time, out: &mut Outbox) {
        let service = &mut self.service;
        service.rolls = service.rolls.saturating_add(1);
        service.setup.keys.reach(service.rolls.saturating_add(1));
        let change = Change::Rolls(service.rolls);
        service.keep(&change, out);
        let tenant = service.setup.tenant.display_name.clone();
        out.note(Note::event(events::KEYS_ROLLED, tenant, "a new key signs"));
    }

    /// Device codes that wait for a person.
    pub fn pending_codes(&self, now: Time) -> usize {
        self.service.codes.waiting(now)
    }

    /// How an account stands.
    pub fn account(&self, upn: &str, now: Time) -> Option<AccountState> {
        let service = &self.service;
        let record = service.people.named(upn)?;
        let at = service.setup.clock.read(now);
        let locked = [&record.failures, &record.second_factor_failures];
        Some(AccountState {
            upn: record.upn.clone(),
            oid: record.oid.clone(),
            is_enabled: record.enabled,
            locked_until: locked.into_iter().filter_map(|failures| failures.locked_until(now)).max(),
            is_password_expired: record.is_password_expired,
            has_second_factor: record.totp.is_some(),
            refresh_tokens: service.tokens.count(
                &record.oid,
                record.epoch,
                at,
                service.setup.refresh_token_life,
            ),
            revocations: record.epoch,
        })
    }
}
