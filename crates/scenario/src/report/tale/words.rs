//! The words of the tale: what the phone room calls requests, screens, pages and events.

/// Screens that pass while something else is told.
pub(super) const PASSING_SCREENS: &[&str] = &["off", "signing-in", "keeping-lock-code"];

/// The screen of a phone that starts; it is told once, however far the start has come.
pub(super) const STARTING: (&str, &str) = ("booting", "starts up");

/// What a phone shows. Screens that are not in this list are told as the phone's own list describes them.
pub(super) const SCREENS: &[(&str, &str)] = &[
    ("home", "shows Home"),
    ("sign-in", "offers ways to sign in"),
    ("user-id", "asks for address, user and password"),
    ("web-code", "shows a code for the browser"),
    ("web-code-cap", "shows a code for the administrators' portal"),
    ("web-code-expired", "says that the code is over"),
    ("sign-in-failed", "says why the sign-in came to nothing"),
    ("new-lock-code", "asks for a lock code"),
    ("confirm-lock-code", "asks for it again"),
    ("lock-code-note", "says how to change it later"),
    ("after-sign-in", "offers one more step"),
    ("locked", "shows that it is locked"),
    ("unlock", "asks for the lock code"),
    ("lock-code-changed", "says that the lock code is changed"),
    ("common-area-saved", "says that the common-area settings are saved"),
];

/// What a person reads in the browser.
pub(super) const PAGES: &[(&str, &str)] = &[
    ("no-page", "finds no page"),
    ("page", "finds a strange page"),
    ("enter-code", "is asked for the code"),
    ("confirm-app", "is asked whether this phone is meant"),
    ("pick-account", "is asked which account"),
    ("username", "is asked for the account"),
    ("password", "is asked for the password"),
    ("second-factor", "is asked for six digits"),
    ("stay-signed-in", "is asked whether to stay signed in"),
    ("confirm-sign-in", "is asked once more whether this phone is meant"),
    ("finished", "reads that the phone is signed in"),
    ("new-password", "is asked for a new password"),
    ("password-changed", "reads that the password is changed"),
    ("cancelled", "reads that the sign-in was cancelled"),
    ("error", "reads an error"),
    ("portal-home", "is in the portal"),
    ("portal-search", "searches for the account in the portal"),
    ("portal-provision", "is asked for the phone's code"),
    ("portal-done", "reads that the phone is being signed in"),
];

/// What a phone asks for: its own words in the journal, and the tale's.
pub(super) const REQUESTS: &[(&str, &str)] = &[
    ("ask for a code", "asks for a code"),
    ("is the person done?", "asks whether the person is done"),
    ("refresh the tokens", "asks to go on acting for the person"),
    ("sign in by password", "shows user and password"),
    ("where is autodiscover?", "asks where its pool is"),
    ("autodiscover", "asks what the pool offers"),
    ("ask for the pool's root", "asks for the pool's own root certificate"),
    ("how tickets are issued", "asks how to get a ticket"),
    ("ask for a web ticket", "asks for a ticket"),
    ("which registrar serves me", "asks where to register"),
    ("what the certificate service offers", "asks how to get a certificate"),
    ("ask for a certificate", "asks for a certificate"),
    ("policy", "asks for the policy"),
];

/// What happened, in the words of the phone room: `{of}` is whom it concerns, `{}` the facts.
pub(super) const HAPPENINGS: &[(&str, &str)] = &[
    // The phone.
    ("address-taken", "has the address {}"),
    ("address-lost", "has lost its address: {}"),
    ("provisioning-failed", "got nothing from its provisioning server: {}"),
    ("clock-set", "knows the time: {}"),
    ("phone-booted", "has started"),
    ("code-expired", "waited in vain: nobody used the code in time"),
    ("root-trusted", "trusts the pool's own root from now on: {}"),
    ("signing-in", "signs {of} in: {}"),
    ("certificate-stored", "keeps the certificate of {of}: {}"),
    ("policy-applied", "takes over the pool's policy: {}"),
    ("lock-code-set", "has a lock code: {}"),
    ("signed-in", "{of} is signed in: {}"),
    ("sign-in-failed", "the sign-in came to nothing: {}"),
    ("signed-out", "nobody is signed in any more: {}"),
    ("registration-lost", "has lost its registration: {}"),
    ("registration-restored", "is registered again: {}"),
    ("locked", "is locked: {}"),
    ("unlocked", "is unlocked: {}"),
    ("wrong-lock-code", "a wrong lock code was typed: {}"),
    ("factory-reset", "has forgotten everything: {}"),
    // The identity service.
    ("device-code-issued", "gives out a code for {of}: {}"),
    ("device-code-claimed", "the code was typed: {}"),
    ("device-code-approved", "{of} lets the phone sign in: {}"),
    ("device-code-declined", "the person said no: {}"),
    ("device-code-expired", "the code is over: {}"),
    ("user-code-refused", "a wrong code was typed: {}"),
    ("token-issued", "the phone may act for {of}: {}"),
    ("token-refreshed", "the phone may go on acting for {of}: {}"),
    ("token-refused", "the phone may not act for {of}: {}"),
    ("token-reused", "something that counts once was shown twice, for {of}: {}"),
    ("second-factor-failed", "wrong second factor of {of}: {}"),
    ("account-locked-out", "{of} is locked out: {}"),
    ("account-unlocked", "{of} is no longer locked out: {}"),
    ("account-enabled", "{of} may sign in again: {}"),
    ("account-disabled", "{of} may not sign in any more: {}"),
    ("account-provisioned", "the phone gets the account {of}: {}"),
    ("provisioning-refused", "the portal refused: {}"),
    ("password-changed", "{of} has a new password: {}"),
    ("password-expired", "the password of {of} is too old: {}"),
    ("sessions-revoked", "{of} must sign in anew everywhere: {}"),
    ("policy-changed", "new policies: {}"),
    ("keys-rolled", "signs with a new key: {}"),
    ("request-throttled", "too many requests from {of}: {}"),
    ("form-refused", "a form came without its guards: {}"),
    // The pool.
    ("web-ticket-refused", "refuses a web ticket for {of}: {}"),
    ("certificate-issued", "issues a certificate to {of}: {}"),
    ("certificate-refused", "refuses a certificate for {of}: {}"),
    ("certificate-revoked", "a certificate of {of} counts no longer: {}"),
    ("account-changed", "{of} was changed: {}"),
    ("handshake-failed", "{of} could not prove who speaks: {}"),
    ("request-refused", "refuses a request of {of}: {}"),
    ("registered", "{of} can be reached: {}"),
    ("registration-refreshed", "{of} stays reachable: {}"),
    ("registration-refused", "does not register {of}: {}"),
    ("deregistered", "{of} cannot be reached there any more: {}"),
    ("binding-expired", "{of} cannot be reached there any more: {}"),
    ("call-routed", "puts a call through to {of}: {}"),
    ("routed-call-accepted", "sees the call to {of} picked up: {}"),
    ("routed-call-failed", "cannot put the call through to {of}: {}"),
    // The office network.
    ("lease-refused", "refuses {of} an address: {}"),
    ("lease-released", "takes the address of {of} back: {}"),
    ("lease-declined", "{of} found its address in use: {}"),
    ("pool-exhausted", "has no address left: {}"),
    ("name-not-found", "knows no {}"),
    ("name-refused", "refuses to look up {of}: {}"),
    ("time-refused", "refuses to tell the time: {}"),
    ("file-served", "hands out {of}"),
    ("file-uploaded", "keeps {of} for the phone"),
    ("file-refused", "refuses {of}: {}"),
];

/// What happens all the time in good order, or is told by the other side already.
pub(super) const LEFT_OUT: &[&str] = &[
    "provisioned",
    "code-shown",
    "web-ticket-issued",
    "root-chain-downloaded",
    "challenged",
    "lease-offered",
    "lease-granted",
    "name-answered",
    "time-served",
    "file-missing",
];
