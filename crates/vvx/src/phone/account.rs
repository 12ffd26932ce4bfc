//! Who is signed in, as the flash remembers it across power cuts.

use net::Outbox;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use url::Url;

use crate::flash::{Flash, FlashError, WriteId};
use crate::lock::StoredCode;
use crate::registration::policy::Policy;
use crate::sign_in::certificate::Enrolled;
use crate::sign_in::discover::Server;
use crate::sign_in::tokens::{Secret, is_address};
use crate::sign_in::{Credential, Method};

/// Everything of a sign-in lives below this; signing out erases it in one batch.
const SIGN_IN: &str = "sign-in/";
const LOCK_CODE: &str = "sign-in/lock-code";
/// How many wrong codes were typed since the last right one, in one octet; absent is none.
const WRONG_CODES: &str = "sign-in/wrong-codes";
const POLICY: &str = "sign-in/policy";
/// Pinned roots, by host; they survive a sign-out.
const ROOTS: &str = "pool-root/";

/// One signed-in account.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user's address, without `sip:`.
    pub address: String,
    /// How it was signed in.
    pub method: Method,
    /// What can renew the certificate.
    pub credential: Option<Credential>,
    /// The certificate; `None` if what was kept cannot be read.
    pub enrolled: Option<Enrolled>,
    /// Registrars that served it.
    pub servers: Vec<Server>,
    /// The certificate service.
    pub certificates: Option<Url>,
}

impl Account {
    /// Reads the account that the flash remembers, if there is one.
    pub fn read(flash: &Flash) -> Option<Account> {
        let text = |name: &str| {
            let bytes = flash.get(&format!("{SIGN_IN}{name}"))?;
            std::str::from_utf8(bytes).ok().map(str::to_owned)
        };
        let address = text("address").filter(|address| is_address(address))?;
        let method = Method::parse(&text("method")?)?;
        let url = |name: &str| text(name).and_then(|url| Url::parse(&url).ok());
        let credential = match (text("refresh-token"), url("token-endpoint")) {
            (Some(token), Some(endpoint)) => {
                Some(Credential::Refresh { endpoint, token: Secret::new(token) })
            }
            _ => text("user")
                .zip(text("password"))
                .map(|(user, password)| Credential::Password { user, password: Secret::new(password) }),
        };
        let enrolled = flash.get(&format!("{SIGN_IN}certificate")).zip(flash.get(&format!("{SIGN_IN}key")));
        let enrolled = enrolled.and_then(|(certificate, key)| {
            let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(key.to_vec()).into();
            Enrolled::read(CertificateDer::from(certificate.to_vec()), key, &address).ok()
        });
        let servers = text("servers").unwrap_or_default();
        let servers = servers.split(' ').filter_map(|server| {
            let (host, port) = server.rsplit_once(':')?;
            Some(Server { host: host.to_owned(), port: port.parse().ok()? })
        });
        Some(Account {
            servers: servers.collect(),
            certificates: url("certificate-service"),
            address,
            method,
            credential,
            enrolled,
        })
    }

    /// Writes all of it as one batch: after a power cut it is all there, or what was there before.
    ///
    /// # Errors
    ///
    /// If the flash takes no more.
    pub fn write(&self, flash: &mut Flash, out: &mut Outbox) -> Result<WriteId, FlashError> {
        let (refresh, endpoint, user, password) = match &self.credential {
            Some(Credential::Refresh { endpoint, token }) => {
                (Some(token.expose().to_owned()), Some(endpoint.to_string()), None, None)
            }
            Some(Credential::Password { user, password }) => {
                (None, None, Some(user.clone()), Some(password.expose().to_owned()))
            }
            None => (None, None, None, None),
        };
        let servers: Vec<String> =
            self.servers.iter().map(|server| format!("{}:{}", server.host, server.port)).collect();
        let text = |text: String| Some(text.into_bytes());
        let fields: Vec<(&str, Option<Vec<u8>>)> = vec![
            ("address", text(self.address.clone())),
            ("method", text(self.method.name().to_owned())),
            ("refresh-token", refresh.map(String::into_bytes)),
            ("token-endpoint", endpoint.map(String::into_bytes)),
            ("user", user.map(String::into_bytes)),
            ("password", password.map(String::into_bytes)),
            ("certificate", self.enrolled.as_ref().map(|own| own.certificate.to_vec())),
            ("key", self.enrolled.as_ref().map(|own| own.key.secret_der().to_vec())),
            ("servers", text(servers.join(" "))),
            ("certificate-service", self.certificates.as_ref().map(|url| url.to_string().into_bytes())),
        ];
        let keys: Vec<String> = fields.iter().map(|(name, _)| format!("{SIGN_IN}{name}")).collect();
        let batch: Vec<(&str, Option<&[u8]>)> =
            keys.iter().zip(&fields).map(|(key, (_, value))| (key.as_str(), value.as_deref())).collect();
        flash.write(&batch, out)
    }
}

/// Erases everything of a sign-in, lock code and policy included.
///
/// # Errors
///
/// If the flash takes no more.
pub fn erase(flash: &mut Flash, out: &mut Outbox) -> Result<WriteId, FlashError> {
    flash.erase(SIGN_IN, out)
}

/// The lock code that was kept.
pub fn lock_code(flash: &Flash) -> Option<StoredCode> {
    flash.get(LOCK_CODE).and_then(StoredCode::from_bytes)
}

/// Keeps the lock code.
///
/// # Errors
///
/// If the flash takes no more.
pub fn keep_lock_code(code: &StoredCode, flash: &mut Flash, out: &mut Outbox) -> Result<WriteId, FlashError> {
    flash.write(&[(LOCK_CODE, Some(&code.to_bytes())), (WRONG_CODES, None)], out)
}

/// How many wrong codes were typed since the last right one.
pub fn wrong_codes(flash: &Flash) -> u8 {
    flash.get(WRONG_CODES).and_then(|octets| octets.first().copied()).unwrap_or(0)
}

/// Keeps how many wrong codes were typed, so that a restart gives nobody another round of guesses.
///
/// # Errors
///
/// If the flash takes no more.
pub fn keep_wrong_codes(count: u8, flash: &mut Flash, out: &mut Outbox) -> Result<WriteId, FlashError> {
    let octet = [count];
    flash.write(&[(WRONG_CODES, (count > 0).then_some(&octet[..]))], out)
}

/// The policy that was kept; the defaults if there is none.
pub fn policy(flash: &Flash) -> Policy {
    let text = flash.get(POLICY).and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.map(Policy::parse).unwrap_or_default()
}

/// Keeps the policy.
///
/// # Errors
///
/// If the flash takes no more.
pub fn keep_policy(policy: &Policy, flash: &mut Flash, out: &mut Outbox) -> Result<WriteId, FlashError> {
    flash.write(&[(POLICY, Some(policy.print().as_bytes()))], out)
}

/// The roots that are pinned for the pool.
pub fn roots(flash: &Flash) -> Vec<CertificateDer<'static>> {
    let keys: Vec<&str> = flash.keys(ROOTS).collect();
    keys.into_iter().filter_map(|key| flash.get(key)).map(|der| CertificateDer::from(der.to_vec())).collect()
}

/// The hosts whose roots are pinned.
pub fn pinned_hosts(flash: &Flash) -> Vec<String> {
    let hosts = flash.keys(ROOTS).filter_map(|key| key[ROOTS.len()..].split('/').next());
    hosts.map(str::to_owned).collect()
}

/// Pins the roots of a host.
///
/// # Errors
///
/// If the flash takes no more.
pub fn keep_roots(
    host: &str,
    roots: &[CertificateDer<'static>],
    flash: &mut Flash,
    out: &mut Outbox,
) -> Result<WriteId, FlashError> {
    let keys: Vec<String> =
        (0..roots.len()).map(|n| format!("{ROOTS}{}/{n}", host.to_ascii_lowercase())).collect();
    let batch: Vec<(&str, Option<&[u8]>)> =
        keys.iter().zip(roots).map(|(key, der)| (key.as_str(), Some(der.as_ref()))).collect();
    flash.write(&batch, out)
}
