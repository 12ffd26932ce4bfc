//! What an identity service is made of: its tenant, accounts, applications and habits.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use net::tls::ServerTls;
use net::{Random, WallClock};

use crate::keys::SigningKeys;
use crate::policy::Policies;
use crate::profile::Profile;
use crate::secret::{Secret, SecretBytes};

/// The client id of the certified desk phones' application.
pub const PHONE_APPLICATION: &str = "a850aaae-d5a5-4e82-877c-ce54ff916282";
/// The resource id of the phone system that tokens are wanted for.
pub const PHONE_SYSTEM: &str = "00000004-0000-0ff1-ce00-000000000000";
/// The resource id of the mail and calendar service.
pub const MAIL_SYSTEM: &str = "00000002-0000-0ff1-ce00-000000000000";
/// The resource id of the directory's own interface, which scopes without a resource belong to.
pub const DIRECTORY: &str = "00000003-0000-0000-c000-000000000000";

/// Everything that an [`crate::Identity`] is given.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What the lab calls this actor.
    pub name: String,
    /// Its host name, such as `login.contoso.example`; every address it hands out carries it.
    pub host: String,
    /// Its own address.
    pub address: IpAddr,
    /// What it believes the calendar says.
    pub clock: WallClock,
    /// Its chance: codes, tokens, salts and ids come from here.
    pub random: Random,
    /// Its certificate and key for port 443.
    pub tls: Arc<ServerTls>,
    /// The keys that sign tokens.
    pub keys: SigningKeys,
    /// Which service it behaves like.
    pub profile: Profile,
    /// The one tenant it serves.
    pub tenant: Tenant,
    /// The accounts it starts with. Changes made later outlive a power cycle.
    pub accounts: Vec<Account>,
    /// The applications that may ask for tokens.
    pub applications: Vec<Application>,
    /// The services that tokens can be bought for.
    pub resources: Vec<Resource>,
    /// The `iss` of version 1 tokens.
    pub issuer: String,
    /// The short link that a device shows to its person.
    pub verification_url: String,
    /// How long a code lives; 900 s is the usual life.
    pub code_life: Duration,
    /// How often a device may poll.
    pub poll_interval: Duration,
    /// How long an access token is good; the usual life is an hour less one second.
    pub access_token_life: Duration,
    /// How long a refresh token is good that nobody uses; 90 days is the usual life.
    pub refresh_token_life: Duration,
    /// Whether user name and password may be sent straight to the token endpoint. RFC 9700 §2.4 says no.
    pub password_grant: bool,
    /// What the tenant demands.
    pub policies: Policies,
    /// How much work a password hash costs.
    pub password_hash_cost: PasswordCost,
    /// What clients may use.
    pub limits: Limits,
}

impl Setup {
    /// A service at `host` with the usual applications, resources, life times and limits, and no accounts.
    #[expect(clippy::too_many_arguments, reason = "each is a thing the service cannot invent for itself")]
    pub fn new(
        name: &str,
        host: &str,
        address: IpAddr,
        clock: WallClock,
        random: Random,
        tls: Arc<ServerTls>,
        keys: SigningKeys,
        tenant: Tenant,
    ) -> Setup {
        Setup {
            name: name.to_owned(),
            host: host.to_owned(),
            address,
            clock,
            random,
            tls,
            keys,
            profile: Profile::default(),
            issuer: format!("https://sts.{host}/{}/", tenant.id),
            verification_url: format!("https://{host}/device"),
            tenant,
            accounts: Vec::new(),
            applications: vec![Application::phone()],
            resources: Resource::usual(),
            code_life: Duration::from_secs(900),
            poll_interval: Duration::from_secs(5),
            access_token_life: Duration::from_secs(3599),
            refresh_token_life: Duration::from_secs(90 * 86_400),
            password_grant: false,
            policies: Policies::default(),
            password_hash_cost: PasswordCost::Light,
            limits: Limits::default(),
        }
    }

    /// Refuses what must never run.
    pub(crate) fn check(&self) -> Result<(), SetupError> {
        let host = self.host.to_ascii_lowercase();
        let hosts = std::iter::once(&host).chain(&self.tenant.domains);
        for name in hosts {
            let name = name.to_ascii_lowercase();
            let is_real = REAL_HOSTS.iter().any(|real| name == *real || name.ends_with(&format!(".{real}")));
            if is_real {
                return Err(SetupError::RealHost(name));
            }
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
        if host.is_empty() || !host.chars().all(is_plain) {
            return Err(SetupError::BadHost(self.host.clone()));
        }
        let mut seen = std::collections::BTreeSet::new();
        for account in &self.accounts {
            if !seen.insert(account.upn.to_ascii_lowercase()) {
                return Err(SetupError::TwoAccounts(account.upn.clone()));
            }
            if let SecondFactor::Totp { secret } = &account.second_factor
                && secret.expose().len() < 16
            {
                return Err(SetupError::ShortSeed(account.upn.clone()));
            }
        }
        Ok(())
    }
}

/// Names under which the real services live; a lab must never answer to them.
const REAL_HOSTS: &[&str] = &[
    "microsoftonline.com",
    "microsoftonline.us",
    "microsoft.com",
    "windows.net",
    "live.com",
    "office.com",
    "office365.com",
    "onmicrosoft.com",
    "partner.microsoftonline.cn",
    "skype.com",
    "lync.com",
];

/// Why a service does not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The host or a domain belongs to the real service.
    #[error("`{0}` belongs to a real service, a lab must not answer to it")]
    RealHost(String),
    /// The host name is empty or holds more than letters, digits, dots and hyphens.
    #[error("`{0}` is not a host name")]
    BadHost(String),
    /// Two accounts have the same name.
    #[error("two accounts are called `{0}`")]
    TwoAccounts(String),
    /// RFC 4226 §4 wants at least 128 bits.
    #[error("the second factor of `{0}` has a seed of less than 16 octets")]
    ShortSeed(String),
}

/// The organisation whose accounts are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its GUID.
    pub id: String,
    /// What people call it.
    pub display_name: String,
    /// Its domains; the first is its main one.
    pub domains: Vec<String>,
}

/// Somebody, or something, that can sign in.
#[derive(Clone, Debug)]
pub struct Account {
    /// The sign-in name: `alice@contoso.example`.
    pub upn: String,
    /// What people call them.
    pub display_name: String,
    /// The first password.
    pub password: Secret,
    /// What is asked after the password.
    pub second_factor: SecondFactor,
    /// What it may administer.
    pub role: Role,
    /// A person, or a phone in a hallway.
    pub kind: Kind,
    /// Whether sign-in is allowed.
    pub enabled: bool,
    /// Whether it has a licence for a phone.
    pub licensed: bool,
    /// Whether it is synchronised from, or federated with, somewhere else, which owns its password.
    pub synced: bool,
}

impl Account {
    /// An ordinary person with a password, enabled and licensed.
    pub fn person(upn: &str, display_name: &str, password: impl Into<Secret>) -> Account {
        Account {
            upn: upn.to_owned(),
            display_name: display_name.to_owned(),
            password: password.into(),
            second_factor: SecondFactor::None,
            role: Role::User,
            kind: Kind::Person,
            enabled: true,
            licensed: true,
            synced: false,
        }
    }

    /// A phone in a lobby or a meeting room, enabled and licensed.
    pub fn common_area(upn: &str, display_name: &str, password: impl Into<Secret>) -> Account {
        Account { kind: Kind::CommonArea, ..Account::person(upn, display_name, password) }
    }
}

/// What is asked after the password.
#[derive(Clone, Debug, Default)]
pub enum SecondFactor {
    /// Nothing.
    #[default]
    None,
    /// A one-time password: RFC 6238, SHA-1, six digits, 30 s.
    Totp {
        /// The seed, at least 16 octets.
        secret: SecretBytes,
    },
}

/// What an account may administer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    #[default]
    User,
    /// The common-area portal.
    Administrator,
}

/// What an account stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    #[default]
    Person,
    /// A shared phone.
    CommonArea,
}

/// A program that may ask for tokens. All are public clients (RFC 6749 §2.1): they hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its GUID.
    pub client_id: String,
    /// The name that people are shown.
    pub name: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// Whether an administrator agreed to it. Without that the pages end in number 90094.
    pub consented: bool,
    /// Whether it may use the token endpoint without a secret. If not: number 7000218.
    pub public: bool,
}

impl Application {
    /// The certified desk phones' application.
    pub fn phone() -> Application {
        Application {
            client_id: PHONE_APPLICATION.to_owned(),
            name: "Skype for Business Certified Phone".to_owned(),
            enabled: true,
            consented: true,
            public: true,
        }
    }
}

/// A service that tokens can be bought for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its GUID, itself a valid name for it.
    pub id: String,
    /// Other names: URIs, compared without a slash at the end.
    pub uris: Vec<String>,
    /// Whether the tenant has it. If not: number 500014.
    pub enabled: bool,
    /// The rights that version 2 scopes may name.
    pub permissions: Vec<String>,
}

impl Resource {
    /// The phone system, the mail system and the directory.
    pub fn usual() -> Vec<Resource> {
        let make = |id: &str, permissions: &[&str]| Resource {
            id: id.to_owned(),
            uris: Vec::new(),
            enabled: true,
            permissions: permissions.iter().map(|&name| name.to_owned()).collect(),
        };
        vec![
            make(PHONE_SYSTEM, &["user_impersonation", "Contacts.ReadWrite", "Conversations.Initiate"]),
            make(MAIL_SYSTEM, &["user_impersonation", "Calendars.Read", "EWS.AccessAsUser.All"]),
            make(DIRECTORY, &["User.Read", "email"]),
        ]
    }
}

/// How much work a password hash (argon2id, RFC 9106) costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCost {
    /// As little as argon2id allows: for simulations, which must not wait.
    Light,
    /// 19 MiB, two passes, one lane: what OWASP recommends. For services that other machines can reach.
    Owasp,
}

/// What clients may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests to the token endpoint per client and address in a minute.
    pub token_requests_a_minute: u32,
    /// Device codes per client and address in a minute.
    pub device_codes_a_minute: u32,
    /// Wrong user codes from one address, or in one browser, within ten minutes.
    pub wrong_codes: u32,
    /// Wrong user codes from everywhere within ten minutes.
    pub wrong_codes_in_all: u32,
    /// Device codes that are alive at a time.
    pub live_codes: usize,
    /// Browser sessions at a time; the oldest without a sign-in gives way.
    pub sessions: usize,
    /// Refresh tokens at a time; the oldest gives way.
    pub refresh_tokens: usize,
    /// Connections at a time.
    pub connections: usize,
    /// Connections of one address at a time.
    pub connections_an_address: usize,
}

impl Default for Limits {
    /// Enough for an office behind one address, too little for a flood.
    fn default() -> Limits {
        Limits {
            token_requests_a_minute: 6_000,
            device_codes_a_minute: 600,
            wrong_codes: 10,
            wrong_codes_in_all: 1_000,
            live_codes: 20_000,
            sessions: 10_000,
            refresh_tokens: 200_000,
            connections: 20_000,
            connections_an_address: 10_000,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::User => "user",
            Role::Administrator => "administrator",
        })
    }
}
