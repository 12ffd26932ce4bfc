//! Steps 16 to 20, the same for every way of signing in: policy, lock code, its note, and the optional last step.

use std::time::Duration;

use net::{Outbox, Time};

use crate::events;
use crate::lock::{StoredCode, check_new};
use crate::log::Level;
use crate::sign_in::tokens::Secret;

use super::account;
use super::powered::Parts;
use super::running::{OnceKept, Running, Tail};
use super::view::{Form, LockReason, View};

/// How long the note about the lock code stays. "A few seconds" is documented; the number is a guess.
const NOTE_STAYS: Duration = Duration::from_secs(5);

impl Running {
    /// The pool's policy document came, or the news that there is none.
    pub(super) fn policy_came(
        &mut self,
        document: Option<&[u8]>,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        let of = self.account_address().unwrap_or_default().to_owned();
        if let Some(document) = document {
            let before = self.policy.clone();
            for odd in self.policy.take(document) {
                let text = format!("The pool's policy makes no sense: {odd}. The last good value stays.");
                parts.say(now, "so", Level::Minor, &text, out);
            }
            if self.policy != before || self.tail == Tail::Policy {
                let lock = if self.policy.enforce_lock { "lock enforced" } else { "no lock" };
                let text = format!("{lock}, at least {} digits", self.policy.least_digits);
                parts.event(events::POLICY_APPLIED, &of, text, out);
            }
            if self.policy != before
                && let Err(why) = account::keep_policy(&self.policy, &mut parts.flash, out)
            {
                parts.say(now, "cfg", Level::Major, &why.to_string(), out);
            }
        }
        match self.tail {
            Tail::Policy => self.after_policy(now, parts, out),
            // The pool began to want a lock while the phone is in use: the user is asked for a code.
            Tail::None if self.wants_lock_code(parts) && matches!(self.view, View::Home) => {
                self.ask_lock_code(LockReason::Change, now, parts);
            }
            Tail::None | Tail::Registration | Tail::LockCode => {}
        }
    }

    /// Whether a code must be made: the pool wants a lock, the phone has none, and is no common-area phone.
    fn wants_lock_code(&self, parts: &Parts) -> bool {
        self.policy.enforce_lock && !self.lock.has_code() && !hides_lock(parts) && self.account.is_some()
    }

    fn after_policy(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        if self.wants_lock_code(parts) {
            self.tail = Tail::LockCode;
            self.ask_lock_code(LockReason::SignIn, now, parts);
            return;
        }
        let view = if self.is_by_hand { View::AfterSignIn } else { View::Home };
        self.complete(view, parts, out);
    }

    /// The sign-in is complete; `view` is where the person stands then, unless the phone is locked.
    fn complete(&mut self, view: View, parts: &mut Parts, out: &mut Outbox) {
        self.tail = Tail::None;
        if self.lock.is_locked() {
            if !matches!(self.view, View::Unlock(_)) {
                self.view = View::Locked;
            }
        } else if self.is_by_hand || matches!(self.view, View::SigningIn) {
            self.view = view;
        }
        let of = self.account_address().unwrap_or_default().to_owned();
        let text = if self.is_by_hand { "by hand" } else { "came back by itself" };
        parts.event(events::SIGNED_IN, &of, text, out);
    }

    fn ask_lock_code(&mut self, reason: LockReason, now: Time, parts: &Parts) {
        let until = now + parts.setup.lock_prompt;
        self.view = View::NewLockCode(Form::digits("New code"), reason, until);
    }

    /// Whether the display asks for a new lock code.
    pub fn asks_for_lock_code(&self) -> bool {
        matches!(self.view, View::NewLockCode(..)) && self.message.is_none()
    }

    /// *Submit* on the new code, first or second time.
    pub(super) fn submit_new_code(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        match self.view.clone() {
            View::NewLockCode(form, reason, until) => {
                let digits = form.value("code").to_owned();
                self.view = match check_new(&digits, &self.policy) {
                    Ok(()) => View::ConfirmLockCode(
                        Form::digits("Confirm code"),
                        reason,
                        until,
                        Secret::new(digits),
                    ),
                    Err(why) => View::NewLockCode(form.again(why), reason, until),
                };
            }
            View::ConfirmLockCode(form, reason, until, first) => {
                if form.value("code") == first.expose() {
                    self.keep_code(first.expose(), reason, now, parts, out);
                } else {
                    let again = Form::digits("New code").again("The codes are not the same.");
                    self.view = View::NewLockCode(again, reason, until);
                }
            }
            _ => {}
        }
    }

    /// Makes a lock code for a sign-in that waits for one, without anybody at the phone; `false` if it is none.
    pub(super) fn give_lock_code(
        &mut self,
        digits: &str,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) -> bool {
        if self.tail != Tail::LockCode || check_new(digits, &self.policy).is_err() {
            return false;
        }
        self.keep_code(digits, LockReason::SignIn, now, parts, out);
        true
    }

    /// *Submit* on old code, new code, and the new code again.
    pub(super) fn submit_changed_code(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        let View::ChangeLockCode(form) = self.view.clone() else {
            return;
        };
        let complaint = if !self.lock.is_code(form.value("old-code")) {
            Some("The old code is wrong.".to_owned())
        } else if form.value("new-code") != form.value("confirm-code") {
            Some("The codes are not the same.".to_owned())
        } else {
            check_new(form.value("new-code"), &self.policy).err()
        };
        match complaint {
            Some(complaint) => self.view = View::ChangeLockCode(form.again(complaint)),
            None => self.keep_code(form.value("new-code"), LockReason::Change, now, parts, out),
        }
    }

    fn keep_code(
        &mut self,
        digits: &str,
        reason: LockReason,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        let code = StoredCode::new(digits, &mut parts.random);
        match account::keep_lock_code(&code, &mut parts.flash, out) {
            Ok(write) => {
                self.kept.push((write, OnceKept::LockCode(reason)));
                self.view = View::KeepingLockCode(reason);
            }
            Err(why) => {
                parts.say(now, "cfg", Level::Fatal, &why.to_string(), out);
                let form = Form::digits("New code").again("The code cannot be kept.");
                self.view = View::NewLockCode(form, reason, now + parts.setup.lock_prompt);
            }
        }
    }

    pub(super) fn lock_code_kept(
        &mut self,
        reason: LockReason,
        now: Time,
        parts: &mut Parts,
        out: &mut Outbox,
    ) {
        self.lock.set(account::lock_code(&parts.flash), now);
        let of = self.account_address().unwrap_or_default().to_owned();
        parts.event(events::LOCK_CODE_SET, &of, "kept in flash", out);
        match reason {
            LockReason::SignIn if self.tail == Tail::LockCode => {
                // Whatever started the sign-in, somebody is in front of the phone now.
                self.is_by_hand = true;
                self.complete(View::LockCodeNote(now + NOTE_STAYS), parts, out);
            }
            LockReason::SignIn | LockReason::Change => {
                self.view = View::Message("lock-code-changed", "The lock code is changed.".to_owned());
            }
        }
    }

    /// A screen that passes by itself has passed.
    pub(super) fn view_passed(&mut self, now: Time, parts: &mut Parts, out: &mut Outbox) {
        match &self.view {
            View::LockCodeNote(_) => self.view = View::AfterSignIn,
            View::NewLockCode(_, LockReason::SignIn, _)
            | View::ConfirmLockCode(_, LockReason::SignIn, ..) => {
                let why = "No lock code was made in time: the sign-in was not completed.";
                self.sign_in_failed(why.to_owned(), now, parts, out);
            }
            View::NewLockCode(..) | View::ConfirmLockCode(..) => self.view = View::Home,
            _ => {}
        }
    }
}

/// Whether the phone is a common-area phone, which has no lock unless it is switched on again.
pub(super) fn hides_lock(parts: &Parts) -> bool {
    parts.config.is_on("feature.CAP.enable") && !parts.config.is_on("feature.deviceLock.enable")
}
