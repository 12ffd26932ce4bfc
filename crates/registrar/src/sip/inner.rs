//! What the pool shows to clients of TLS 1.0 inside TLS-DSK: a certificate with an RSA key, made when the first comes.
//!
//! Such a client can send its secret only to an RSA key. Phones of today never see it: they are shown what the pool's
//! TLS ports show. So a pool that no old client visits makes no such key and issues no such certificate.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use net::{Random, Wall};
use pki::{Authority, Validity};
use sip::tls_dsk::{RsaIdentity, RsaKey};

/// How long the certificate lives; the next old client after that is shown a new one.
const LIFE_DAYS: u64 = 365;

/// The RSA key for old clients, made at its first use: that takes a tenth of a second. Clones share it.
#[derive(Clone)]
pub struct InnerKey(Arc<Making>);

struct Making {
    chance: Random,
    made: OnceLock<RsaKey>,
}

impl fmt::Debug for InnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InnerKey(•••)")
    }
}

impl InnerKey {
    /// A key that will follow from `chance`: equal generators give equal keys.
    pub fn lazy(chance: Random) -> InnerKey {
        InnerKey(Arc::new(Making { chance, made: OnceLock::new() }))
    }

    fn made(&self) -> &RsaKey {
        self.0.made.get_or_init(|| RsaKey::generate(&mut self.0.chance.clone()))
    }
}

/// The key and, once somebody had to see it, its certificate.
#[derive(Debug)]
pub struct Inner {
    key: Option<InnerKey>,
    shown: Option<(Arc<RsaIdentity>, Validity)>,
}

impl Inner {
    /// Nothing has been shown yet. Without a key old clients are refused.
    pub fn new(key: Option<InnerKey>) -> Inner {
        Inner { key, shown: None }
    }

    /// What an old client is shown at `now`; `None` if it is to be refused.
    ///
    /// # Errors
    ///
    /// If the authority does not issue the certificate; in words.
    pub fn identity(
        &mut self,
        host: &str,
        authority: &mut Authority,
        now: Wall,
    ) -> Result<Option<Arc<RsaIdentity>>, String> {
        let Some(key) = &self.key else { return Ok(None) };
        let holds = |validity: &Validity| validity.from <= now && now < validity.from.plus(validity.life);
        if let Some((identity, _)) = self.shown.as_ref().filter(|(_, validity)| holds(validity)) {
            return Ok(Some(identity.clone()));
        }
        let key = key.made().clone();
        let validity = Validity { from: now, life: Duration::from_secs(LIFE_DAYS * 86_400) };
        let chain = authority.issue_server_for(&[host.to_owned()], &key.public_key_info(), validity);
        let identity = Arc::new(RsaIdentity { chain: chain.map_err(|why| why.to_string())?, key });
        self.shown = Some((identity.clone(), validity));
        Ok(Some(identity))
    }
}
