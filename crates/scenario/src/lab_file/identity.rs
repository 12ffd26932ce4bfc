//! The identity service: its profile, its lives, its conditional access.

use std::time::Duration;

use super::check;
use crate::language::PersonName;
use crate::yaml::record::{record, words};
use crate::yaml::{Located, OneOrMany};

record! {
    /// The identity service.
    "`identity`" pub struct Identity {
        /// Which generation of the service it behaves like.
        "profile" profile: Profile = Profile::EntraV1In2016,
        /// The tenant's name.
        "tenant" tenant: String = "contoso".to_owned() => check::tenant,
        /// Its host name; `login.` and the lab's domain if not written.
        "host" host: Option<Located<String>> => check::identity_host,
        /// The address that phones show to people; if not written, `/device` at its host.
        "verification-url" verification_url: Option<Located<String>> => check::verification_url,
        /// Whether passwords alone get tokens, as the phone's User ID sign-in needs.
        "password-grant" password_grant: bool = true,
        /// How long a device code can be used.
        "code-life" code_life: Duration = Duration::from_secs(15 * 60) => check::secs(10, 86_400),
        /// How often a device asks whether its code was used.
        "poll-interval" poll_interval: Duration = Duration::from_secs(5) => check::secs(1, 300),
        /// How long an access token is good.
        "access-token-life" access_token_life: Duration = Duration::from_secs(60 * 60) => check::secs(60, 86_400),
        /// How long a refresh token is good when it is not used.
        "refresh-token-life" refresh_token_life: Duration = Duration::from_secs(90 * 86_400)
            => check::secs(60, 3650 * 86_400),
    }
    check check::identity
}

impl Identity {
    /// What it is when `lab.yaml` says nothing.
    pub fn standard() -> Identity {
        Identity {
            profile: Profile::EntraV1In2016,
            tenant: "contoso".to_owned(),
            host: None,
            verification_url: None,
            password_grant: true,
            code_life: Duration::from_secs(15 * 60),
            poll_interval: Duration::from_secs(5),
            access_token_life: Duration::from_secs(60 * 60),
            refresh_token_life: Duration::from_secs(90 * 86_400),
        }
    }
}

words! {
    /// Which generation of the identity service is played.
    "a profile" pub enum Profile {
        /// As the phones of 2016 met it: version 1 endpoints, numbers written as strings.
        "entra-v1-2016" EntraV1In2016,
        /// As in 2020: version 2 endpoints beside.
        "entra-v2-2020" EntraV2In2020,
        /// As in 2024: a page that asks to confirm the application.
        "entra-v2-2024" EntraV2In2024,
        /// As RFC 8628 has it.
        "rfc8628" Rfc8628,
    }
}

record! {
    /// One conditional access rule: to whom and what it applies, and what it does.
    "a conditional access rule" pub struct ConditionalAccess {
        /// What it does.
        "rule" rule: Rule,
        /// To whom a `block` applies; everybody if not written. The other rules hold for everybody.
        "people" people: OneOrMany<PersonName>,
    }
    check check::conditional_access
}

words! {
    /// What a conditional access rule does.
    "a conditional access rule" pub enum Rule {
        /// Refuses every sign-in.
        "block" Block,
        /// Refuses sign-ins by device code.
        "block-device-code" BlockDeviceCode,
        /// Asks for a second factor, also of those who have it only as an option.
        "require-second-factor" RequireSecondFactor,
        /// Asks for a device that the tenant manages, which no phone is.
        "require-managed-device" RequireManagedDevice,
    }
}
