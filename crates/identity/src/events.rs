//! The names of what stories can wait for, and the audit trail they make.
//!
//! Every event says whom it concerns and, in words, who did it, from where and by which means; none carries a
//! code, a password or a token.

macro_rules! events {
    ($($(#[doc = $doc:literal])+ $id:ident = $name:literal;)+) => {
        $($(#[doc = $doc])+ pub const $id: &str = $name;)+

        /// Every event of this crate with its meaning.
        pub const ALL: &[(&str, &str)] = &[$(($name, concat!($($doc),+))),+];
    };
}

events! {
    /// A device asked for a code and got one; `of` is the application's name.
    DEVICE_CODE_ISSUED = "device-code-issued";
    /// Somebody typed a live code into the page; `of` is the application's name.
    DEVICE_CODE_CLAIMED = "device-code-claimed";
    /// Somebody approved a code; `of` is the account that the device will act for.
    DEVICE_CODE_APPROVED = "device-code-approved";
    /// Somebody declined a code; `of` is the application's name.
    DEVICE_CODE_DECLINED = "device-code-declined";
    /// A code's lifetime ended before anybody approved it; `of` is the application's name.
    DEVICE_CODE_EXPIRED = "device-code-expired";
    /// A wrong user code was typed; `of` is the address it came from.
    USER_CODE_REFUSED = "user-code-refused";
    /// The first tokens of a grant were issued; `of` is the account.
    TOKEN_ISSUED = "token-issued";
    /// A refresh token bought new tokens; `of` is the account.
    TOKEN_REFRESHED = "token-refreshed";
    /// The token endpoint refused for good; `of` is the account if it is known, else the application.
    TOKEN_REFUSED = "token-refused";
    /// A refresh token was used a second time and its family ended (strict profile); `of` is the account.
    TOKEN_REUSED = "token-reused";
    /// A person signed in on the pages; `of` is the account.
    SIGNED_IN = "signed-in";
    /// A sign-in failed; `of` is the account, the text names the error number.
    SIGN_IN_FAILED = "sign-in-failed";
    /// A second factor failed; `of` is the account.
    SECOND_FACTOR_FAILED = "second-factor-failed";
    /// Too many failures locked an account for a while; `of` is the account.
    ACCOUNT_LOCKED_OUT = "account-locked-out";
    /// An administrator ended a lock-out; `of` is the account.
    ACCOUNT_UNLOCKED = "account-unlocked";
    /// An administrator allowed sign-in; `of` is the account.
    ACCOUNT_ENABLED = "account-enabled";
    /// An administrator blocked sign-in; `of` is the account.
    ACCOUNT_DISABLED = "account-disabled";
    /// The common-area portal gave a phone an account; `of` is the account.
    ACCOUNT_PROVISIONED = "account-provisioned";
    /// The common-area portal refused; `of` is the account, or the administrator if none was chosen yet.
    PROVISIONING_REFUSED = "provisioning-refused";
    /// A password was changed or reset; `of` is the account.
    PASSWORD_CHANGED = "password-changed";
    /// A password ran out; `of` is the account.
    PASSWORD_EXPIRED = "password-expired";
    /// Every session and refresh token of an account was revoked; `of` is the account.
    SESSIONS_REVOKED = "sessions-revoked";
    /// The tenant's policies were replaced; `of` is the tenant.
    POLICY_CHANGED = "policy-changed";
    /// A new signing key took over; `of` is the tenant.
    KEYS_ROLLED = "keys-rolled";
    /// Too many requests of one client, or too many wrong codes; `of` is the address.
    REQUEST_THROTTLED = "request-throttled";
    /// A form came without its guards: a foreign page, a stale page or a page used twice; `of` is the address.
    FORM_REFUSED = "form-refused";
}
