//! Accounts: who is known to the pool, where they are homed, and under which phone policy.
//!
//! The directory outlives a power cut of the pool, as a real pool's database does: what an administrator
//! changed stays changed.

pub mod fleet;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use net::Random;
use sip::digest::{Ha1, Hash};
use subtle::ConstantTimeEq as _;

use self::fleet::Fleet;

/// The longest pool password, in octets.
pub const PASSWORD_LIMIT: usize = 256;

/// Where an account is homed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// On this pool.
    Here,
    /// On the pool with this host name; clients are redirected there.
    Pool(String),
}

/// What the in-band policy tells a phone about its lock (MS-SIPREGE 2.2.2.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhonePolicy {
    /// Whether the phone must have a lock code (`EnforcePhoneLock`).
    pub enforce_phone_lock: bool,
    /// Fewest digits of a lock code (`MinPhonePinLength`), 4 to 15.
    pub min_phone_pin_length: u8,
    /// Idle time before the phone locks (`PhoneLockTimeout`), whole minutes on the phone's menu.
    pub phone_lock_timeout: Duration,
    /// SIP security mode as the policy spells it (`SIPSecurityMode`).
    pub sip_security_mode: String,
    /// Whether calls may be forwarded off the organisation and so on are not modelled; voice is on or off.
    pub voice_enabled: bool,
}

impl Default for PhonePolicy {
    /// A real pool's default: lock enforced, 6 digits, 10 minutes.
    fn default() -> PhonePolicy {
        PhonePolicy {
            enforce_phone_lock: true,
            min_phone_pin_length: 6,
            phone_lock_timeout: Duration::from_secs(600),
            sip_security_mode: "High".to_owned(),
            voice_enabled: true,
        }
    }
}

/// How much work a password hash (argon2id, RFC 9106) costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCost {
    /// As little as argon2id allows: for simulations, which must not wait.
    Light,
    /// 19 MiB, two passes, one lane: what OWASP recommends. For pools that other machines can reach.
    Owasp,
}

/// A pool password, as the directory keeps it: argon2id (RFC 9106) and its salt.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    cost: PasswordCost,
    salt: [u8; 16],
    hash: [u8; 32],
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(•••)")
    }
}

impl PasswordHash {
    /// Hashes a password. A password longer than [`PASSWORD_LIMIT`] never proves anything.
    pub fn new(password: &str, cost: PasswordCost, random: &mut Random) -> PasswordHash {
        let salt = random.bytes();
        PasswordHash { cost, salt, hash: slow_hash(password, &salt, cost) }
    }

    fn is_of(&self, password: &str) -> bool {
        let hash = slow_hash(password, &self.salt, self.cost);
        password.len() <= PASSWORD_LIMIT && bool::from(hash.ct_eq(&self.hash))
    }
}

fn slow_hash(password: &str, salt: &[u8; 16], cost: PasswordCost) -> [u8; 32] {
    let (memory_kib, passes) = match cost {
        PasswordCost::Light => (Params::MIN_M_COST, 1),
        PasswordCost::Owasp => (19 << 10, 2),
    };
    let mut hash = [0; 32];
    let params =
        Params::new(memory_kib, passes, 1, Some(hash.len())).expect("constants within argon2's limits");
    let octets = password.as_bytes();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(&octets[..octets.len().min(PASSWORD_LIMIT)], salt, &mut hash)
        .expect("lengths within argon2's limits");
    hash
}

/// One account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its SIP address without scheme, lower case: `alice@contoso.example`.
    pub address: String,
    /// The name that identity's tokens carry (`upn`), lower case; usually the address.
    pub upn: String,
    /// The name people see.
    pub display_name: String,
    /// Its phone number as a tel URI (RFC 3966), if it has one.
    pub tel: Option<String>,
    /// Whether it may sign in.
    pub enabled: bool,
    /// Where it is homed.
    pub home: Home,
    /// What its phones are told.
    pub policy: PhonePolicy,
    /// Its pool password, for the HTTP Basic way to a web ticket; without one that way is closed to it.
    pub password: Option<PasswordHash>,
    /// What its password is to ordinary SIP user agents; without them they cannot register for it.
    pub digest: Option<DigestKeys>,
}

/// A password as digest wants it (RFC 7616, RFC 8760): a key for each hash and each way of writing the user's name. As
/// good as the password itself at this pool, and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestKeys {
    /// For the user part of the address alone: `alice`.
    short: [Ha1; 2],
    /// For the whole address: `alice@contoso.example`.
    long: [Ha1; 2],
}

impl DigestKeys {
    /// The keys of an account with this password in a pool that serves `realm`. A password longer than
    /// [`PASSWORD_LIMIT`] has none.
    pub fn new(address: &str, realm: &str, password: &str) -> Option<DigestKeys> {
        let address = normal(address);
        let user = address.split_once('@').map_or(address.as_str(), |(user, _)| user);
        let keys = |name: &str| [Hash::Sha256, Hash::Md5].map(|hash| Ha1::of(hash, name, realm, password));
        (password.len() <= PASSWORD_LIMIT).then(|| DigestKeys { short: keys(user), long: keys(&address) })
    }

    /// The key for a user name as a client wrote it.
    pub fn of(&self, username: &str, hash: Hash) -> Option<&Ha1> {
        let keys = if username.contains('@') { &self.long } else { &self.short };
        keys.iter().find(|key| key.hash() == hash)
    }
}

impl Account {
    /// An enabled account that is homed here, with default policy, no number and no pool password.
    pub fn new(address: &str, display_name: &str) -> Account {
        let address = normal(address);
        Account {
            upn: address.clone(),
            address,
            display_name: display_name.to_owned(),
            tel: None,
            enabled: true,
            home: Home::Here,
            policy: PhonePolicy::default(),
            password: None,
            digest: None,
        }
    }

    /// Its SIP URI: `sip:alice@contoso.example`.
    pub fn sip_uri(&self) -> String {
        format!("sip:{}", self.address)
    }
}

/// The address inside `sip:Alice@Contoso.Example`, or a bare address, in lower case.
pub fn normal(address_or_uri: &str) -> String {
    usual(address_or_uri).into_owned()
}

/// As [`normal`], and as it stands if it is so already.
fn usual(address_or_uri: &str) -> Cow<'_, str> {
    let bare = match address_or_uri.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("sip:") => &address_or_uri[4..],
        _ => address_or_uri,
    };
    match bare.bytes().any(|octet| octet.is_ascii_uppercase()) {
        true => Cow::Owned(bare.to_ascii_lowercase()),
        false => Cow::Borrowed(bare),
    }
}

/// A phone number without the signs that only please the eye, and without parameters; `None` if it is none. A number
/// that begins with `+` and the same one without it are two: who dials the latter may mean an extension.
fn digits(number: &str) -> Option<String> {
    let number = number.split(';').next().unwrap_or("");
    let bare: String = number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).collect();
    let dialled = bare.strip_prefix('+').unwrap_or(&bare);
    let is_number = !dialled.is_empty() && dialled.bytes().all(|b| b.is_ascii_digit());
    is_number.then_some(bare)
}

/// The pool's directory.
#[derive(Debug)]
pub struct Accounts {
    by_address: BTreeMap<String, Account>,
    /// Accounts that go by a pattern, unless one stands above.
    fleet: Option<Fleet>,
    cost: PasswordCost,
}

/// Whether an account may do anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Whether it may sign in.
    pub enabled: bool,
    /// Where it is homed.
    pub home: &'a Home,
}

impl Accounts {
    /// A directory of these accounts; of two with one address the later counts. `cost` is what a password costs
    /// that is set from here on, and what a try costs at an account that has none.
    pub fn new(accounts: impl IntoIterator<Item = Account>, cost: PasswordCost) -> Accounts {
        let mut directory = Accounts { by_address: BTreeMap::new(), fleet: None, cost };
        for account in accounts {
            directory.insert(account);
        }
        directory
    }

    /// Adds an account, or replaces the one with its address.
    fn insert(&mut self, mut account: Account) {
        account.address = normal(&account.address);
        account.upn = normal(&account.upn);
        self.by_address.insert(account.address.clone(), account);
    }

    /// Adds a fleet, in place of the one that was there.
    pub fn add_fleet(&mut self, fleet: Fleet) {
        self.fleet = Some(fleet);
    }

    /// The number of an address in the fleet.
    fn in_fleet(&self, address: &str) -> Option<(&Fleet, u64)> {
        let fleet = self.fleet.as_ref()?;
        Some((fleet, fleet.number_of(address)?))
    }

    /// The account with this address; takes `sip:alice@…` and `alice@…`, in any case.
    pub fn find(&self, address_or_uri: &str) -> Option<Cow<'_, Account>> {
        let address = usual(address_or_uri);
        let own = self.by_address.get(&*address).map(Cow::Borrowed);
        own.or_else(|| self.in_fleet(&address).map(|(fleet, number)| Cow::Owned(fleet.account(number))))
    }

    /// Whether an account with this address may do anything here; `None` if there is none.
    pub fn standing(&self, address_or_uri: &str) -> Option<Standing<'_>> {
        let address = usual(address_or_uri);
        match self.by_address.get(&*address) {
            Some(account) => Some(Standing { enabled: account.enabled, home: &account.home }),
            None => self.in_fleet(&address).map(|_| Standing { enabled: true, home: &Home::Here }),
        }
    }

    /// The address in the usual way of writing, and the key of its digest password if it has one, of the account whose user
    /// goes by `name` in `realm`; `None` if there is none.
    pub fn digest_key(&self, name: &str, realm: &str, hash: Hash) -> Option<(String, Option<Cow<'_, Ha1>>)> {
        let address = match name.contains('@') {
            true => normal(name),
            false => normal(&format!("{name}@{realm}")),
        };
        let key = match self.by_address.get(&address) {
            Some(account) => account.digest.as_ref().and_then(|keys| keys.of(name, hash)).map(Cow::Borrowed),
            None => {
                let (fleet, number) = self.in_fleet(&address)?;
                fleet.key(number, name, hash).map(Cow::Owned)
            }
        };
        Some((address, key))
    }

    /// The account, to be changed.
    pub fn find_mut(&mut self, address_or_uri: &str) -> Option<&mut Account> {
        let address = normal(address_or_uri);
        if let Some((fleet, number)) = self.in_fleet(&address)
            && !self.by_address.contains_key(&address)
        {
            // What was changed stands in the directory from here on.
            let account = fleet.account(number);
            self.by_address.insert(address.clone(), account);
        }
        self.by_address.get_mut(&address)
    }

    /// The account whose identity goes by this `upn`.
    pub fn by_upn(&self, upn: &str) -> Option<Cow<'_, Account>> {
        let upn = normal(upn);
        let same = self.find(&upn).filter(|account| account.upn == upn);
        same.or_else(|| self.by_address.values().find(|account| account.upn == upn).map(Cow::Borrowed))
    }

    /// The account with this phone number, however it is written (RFC 3966 §5: without its separators).
    pub fn by_number(&self, number: &str) -> Option<&Account> {
        let number = digits(number)?;
        self.by_address.values().find(|account| {
            let own = account.tel.as_deref().and_then(|tel| digits(tel.strip_prefix("tel:").unwrap_or(tel)));
            own.is_some_and(|own| own == number)
        })
    }

    /// What a password costs that is set from here on.
    pub fn password_cost(&self) -> PasswordCost {
        self.cost
    }

    /// The account that `user` (an address) and `password` prove. It takes equally long whether the account is
    /// unknown, has no password, or has another one, if all were hashed at the directory's own cost.
    pub fn prove(&self, user: &str, password: &str) -> Option<&Account> {
        let account = self.by_address.get(&normal(user));
        match account.and_then(|account| account.password.as_ref()) {
            Some(hash) => account.filter(|_| hash.is_of(password)),
            None => {
                PasswordHash { cost: self.cost, salt: [0; 16], hash: [0; 32] }.is_of(password);
                None
            }
        }
    }

    /// Every account that stands in the directory, by address; those of a fleet do not.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.by_address.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_proves_its_account_whatever_it_cost() {
        let mut random = Random::named(1, "salt");
        for cost in [PasswordCost::Light, PasswordCost::Owasp] {
            let mut alice = Account::new("alice@contoso.example", "Alice");
            alice.password = Some(PasswordHash::new("Passw0rd!", cost, &mut random));
            let directory = Accounts::new([alice], PasswordCost::Light);
            assert!(directory.prove("sip:Alice@contoso.example", "Passw0rd!").is_some());
            assert!(directory.prove("alice@contoso.example", "Passw0rd").is_none());
            assert!(directory.prove("bob@contoso.example", "Passw0rd!").is_none());
        }
    }

    #[test]
    fn a_password_that_is_too_long_proves_nothing_even_if_it_begins_rightly() {
        let mut random = Random::named(1, "salt");
        for (octets, is_proved) in [(PASSWORD_LIMIT, true), (PASSWORD_LIMIT + 1, false)] {
            let mut alice = Account::new("alice@contoso.example", "Alice");
            let password = "x".repeat(octets);
            alice.password = Some(PasswordHash::new(&password, PasswordCost::Light, &mut random));
            let directory = Accounts::new([alice], PasswordCost::Light);
            assert_eq!(directory.prove("alice@contoso.example", &password).is_some(), is_proved);
        }
    }
}
