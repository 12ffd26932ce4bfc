//! The names of the events that a phone tells, for stories to wait for or forbid.
//!
//! Each is a [`net::Note::Event`]; `of` is the account (`alice@contoso.example`) where there is one, else the
//! phone's own name.

/// The phone has finished booting and shows Home.
pub const PHONE_BOOTED: &str = "phone-booted";
/// The phone has an address.
pub const ADDRESS_TAKEN: &str = "address-taken";
/// The phone's lease is over, or was taken back.
pub const ADDRESS_LOST: &str = "address-lost";
/// What the provisioning server's files say is in force.
pub const PROVISIONED: &str = "provisioned";
/// The provisioning server was of no use; earlier values stay in force.
pub const PROVISIONING_FAILED: &str = "provisioning-failed";
/// The phone's clock was set from the network for the first time since power came.
pub const CLOCK_SET: &str = "clock-set";
/// A code is on the screen, for a person (or an administrator) to type into a browser.
pub const CODE_SHOWN: &str = "code-shown";
/// A code was not used in time.
pub const CODE_EXPIRED: &str = "code-expired";
/// The phone knows who signs in and goes to find the pool.
pub const SIGNING_IN: &str = "signing-in";
/// The pool's root certificate was taken on first use and is pinned from now on.
pub const ROOT_TRUSTED: &str = "root-trusted";
/// A client certificate has reached the flash and will survive a power cut.
pub const CERTIFICATE_STORED: &str = "certificate-stored";
/// The pool answered 200 to the phone's REGISTER.
pub const REGISTERED: &str = "registered";
/// Values from the pool (the lock policy among them) came into force.
pub const POLICY_APPLIED: &str = "policy-applied";
/// The sign-in is complete, the lock code included.
pub const SIGNED_IN: &str = "signed-in";
/// The sign-in came to nothing.
pub const SIGN_IN_FAILED: &str = "sign-in-failed";
/// Nobody is signed in any more.
pub const SIGNED_OUT: &str = "signed-out";
/// The registration is gone; the phone tries to win it back by itself.
pub const REGISTRATION_LOST: &str = "registration-lost";
/// The registration is back.
pub const REGISTRATION_RESTORED: &str = "registration-restored";
/// The login of a line is not accepted by its server.
pub const LOGIN_REFUSED: &str = "login-refused";
/// A line could not register.
pub const REGISTRATION_FAILED: &str = "registration-failed";
/// A line is registered at another server than its first.
pub const FAILED_OVER: &str = "failed-over";
/// A line is back at its first server.
pub const FAILED_BACK: &str = "failed-back";
/// Somebody told the phone to look for new settings, or to start again.
pub const CHECK_SYNC: &str = "check-sync";
/// The phone is locked.
pub const LOCKED: &str = "locked";
/// The phone is unlocked.
pub const UNLOCKED: &str = "unlocked";
/// A wrong lock code was typed.
pub const WRONG_LOCK_CODE: &str = "wrong-lock-code";
/// A lock code was made or changed, and has reached the flash.
pub const LOCK_CODE_SET: &str = "lock-code-set";
/// Somebody is being called from the phone.
pub const CALL_PLACED: &str = "call-placed";
/// The phone that is being called rings.
pub const CALL_RINGS_THERE: &str = "call-rings-there";
/// The phone rings: somebody calls it.
pub const CALL_RINGS: &str = "call-rings";
/// A call was answered, here or there.
pub const CALL_CONNECTED: &str = "call-connected";
/// One end holds the other.
pub const CALL_HELD: &str = "call-held";
/// An end that was held is back.
pub const CALL_RESUMED: &str = "call-resumed";
/// The other end asks the phone to call somebody else.
pub const CALL_REFERRED: &str = "call-referred";
/// The other end reached whom the phone sent it to.
pub const CALL_TRANSFERRED: &str = "call-transferred";
/// A transfer came to nothing.
pub const CALL_TRANSFER_FAILED: &str = "call-transfer-failed";
/// A call was not answered here.
pub const CALL_MISSED: &str = "call-missed";
/// A call is over.
pub const CALL_ENDED: &str = "call-ended";
/// The other end sent a digit.
pub const DIGIT_HEARD: &str = "digit-heard";
/// A message that somebody pushed to the phone is on the display.
pub const MESSAGE_PUSHED: &str = "message-pushed";
/// Everything the phone knew was erased.
pub const FACTORY_RESET: &str = "factory-reset";

/// Every event's name, and what it means.
pub const ALL: &[(&str, &str)] = &[
    (PHONE_BOOTED, "the phone has finished booting and shows Home"),
    (ADDRESS_TAKEN, "the phone has an address"),
    (ADDRESS_LOST, "the phone's lease is over, or was taken back"),
    (PROVISIONED, "what the provisioning server's files say is in force"),
    (PROVISIONING_FAILED, "the provisioning server was of no use; earlier values stay in force"),
    (CLOCK_SET, "the phone's clock was set from the network for the first time since power came"),
    (CODE_SHOWN, "a code is on the screen, to be typed into a browser"),
    (CODE_EXPIRED, "a code was not used in time"),
    (SIGNING_IN, "the phone knows who signs in and goes to find the pool"),
    (ROOT_TRUSTED, "the pool's root certificate was taken on first use and is pinned from now on"),
    (CERTIFICATE_STORED, "a client certificate has reached the flash"),
    (REGISTERED, "the pool answered 200 to the phone's REGISTER"),
    (POLICY_APPLIED, "values from the pool, the lock policy among them, came into force"),
    (SIGNED_IN, "the sign-in is complete, the lock code included"),
    (SIGN_IN_FAILED, "the sign-in came to nothing"),
    (SIGNED_OUT, "nobody is signed in any more"),
    (REGISTRATION_LOST, "the registration is gone; the phone tries to win it back by itself"),
    (REGISTRATION_RESTORED, "the registration is back"),
    (LOGIN_REFUSED, "the login of a line is not accepted by its server"),
    (REGISTRATION_FAILED, "a line could not register"),
    (FAILED_OVER, "a line is registered at another server than its first"),
    (FAILED_BACK, "a line is back at its first server"),
    (CHECK_SYNC, "somebody told the phone to look for new settings, or to start again"),
    (LOCKED, "the phone is locked"),
    (UNLOCKED, "the phone is unlocked"),
    (WRONG_LOCK_CODE, "a wrong lock code was typed"),
    (LOCK_CODE_SET, "a lock code was made or changed, and has reached the flash"),
    (CALL_PLACED, "somebody is being called from the phone"),
    (CALL_RINGS_THERE, "the phone that is being called rings"),
    (CALL_RINGS, "the phone rings: somebody calls it"),
    (CALL_CONNECTED, "a call was answered, here or there"),
    (CALL_HELD, "one end holds the other"),
    (CALL_RESUMED, "an end that was held is back"),
    (CALL_REFERRED, "the other end asks the phone to call somebody else"),
    (CALL_TRANSFERRED, "the other end reached whom the phone sent it to"),
    (CALL_TRANSFER_FAILED, "a transfer came to nothing"),
    (CALL_MISSED, "a call was not answered here"),
    (CALL_ENDED, "a call is over"),
    (DIGIT_HEARD, "the other end sent a digit"),
    (MESSAGE_PUSHED, "a message that somebody pushed to the phone is on the display"),
    (FACTORY_RESET, "everything the phone knew was erased"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_kebab_case_and_told_once() {
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c == '-' || c.is_ascii_lowercase())));
    }
}
