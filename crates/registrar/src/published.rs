//! Published certificates: which client certificates count, for whom, and until when.
//!
//! A handshake is authorised by the very certificate that was published for a user, not by any certificate the
//! pool's authority ever signed: taking one off the list ends it. The list survives power cuts; whoever is
//! given a certificate is told so only when it is on the disk.

mod verifier;

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use net::{Crypto, Disk, Outbox, RecordId, Wall};
use pki::{Authority, Reason, Revocations, Serial};
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::accounts::normal;
use crate::ledger::{Ledger, MustTurn, WriteId};

/// The most devices of one user that hold a certificate; the one that was served longest ago makes room.
pub const DEVICES_LIMIT: usize = 8;

/// How many revoked certificates are remembered; a list of so many has about 2.5 MiB.
pub const REVOKED_LIMIT: usize = 65_536;

/// One published client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The account's address: `alice@contoso.example`.
    pub user: String,
    /// The device it was issued to, without braces, lower case.
    pub device: String,
    /// The certificate.
    pub der: Vec<u8>,
    /// Its first moment.
    pub not_before: Wall,
    /// Its last moment.
    pub not_after: Wall,
    /// When it was issued.
    pub issued: Wall,
}

/// Why a certificate does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPublished {
    /// It was never published, was revoked, or made room for a newer one.
    #[error("certificate is not published")]
    Unknown,
    /// It is published for somebody else.
    #[error("certificate is published for another user")]
    ForeignUser,
    /// Its time has not come or is over.
    #[error("certificate is outside its validity")]
    OutsideValidity,
}

/// What the disk remembers, one record each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Record {
    Publish {
        user: String,
        device: String,
        der: String,
        not_before: i64,
        not_after: i64,
        issued: i64,
    },
    Revoke {
        user: String,
        /// When, in Unix seconds; pools of earlier versions did not say.
        #[serde(default)]
        at: i64,
    },
    /// What is left of a revoked certificate once the list is written anew.
    Revoked {
        serial: String,
        at: i64,
    },
}

/// The certificates that count.
#[derive(Debug)]
pub struct Published {
    /// By user, the one that was served longest ago first.
    by_user: BTreeMap<String, Vec<Certificate>>,
    /// Whose a certificate is, by its SHA-256.
    owners: BTreeMap<[u8; 32], String>,
    /// What was taken off the list by an administrator, for those who ask (RFC 5280 §5, RFC 6960).
    revoked: Revocations,
    ledger: Ledger,
}

impl Default for Published {
    fn default() -> Published {
        Published {
            by_user: BTreeMap::new(),
            owners: BTreeMap::new(),
            revoked: Revocations::new(),
            ledger: Ledger::new("published"),
        }
    }
}

impl Published {
    /// Power came: takes up what the disk says.
    pub fn power_on(&mut self, disk: &Disk, out: &mut Outbox) {
        self.by_user.clear();
        self.owners.clear();
        self.revoked = Revocations::new();
        let (records, must_turn) = self.ledger.power_on(disk);
        for record in &records {
            // A record whose checksum is right was written by this pool; one of another version is left out.
            if let Ok(record) = serde_json::from_slice(record) {
                self.replay(record);
            }
        }
        if must_turn == MustTurn::Yes {
            self.turn(out);
        }
    }

    /// Publishes a certificate. Another of the same device ends, and so does that of the user's device that was
    /// served longest ago if there are more than [`DEVICES_LIMIT`]. It is safe once [`Published::kept`] returns
    /// the write.
    pub fn publish(&mut self, certificate: Certificate, out: &mut Outbox) -> WriteId {
        let record = publish_record(&certificate);
        self.insert(certificate);
        let write = self.ledger.append(&record, out);
        if self.ledger.has_overgrown() {
            self.turn(out);
        }
        write
    }

    /// What was revoked.
    pub fn revoked(&self) -> &Revocations {
        &self.revoked
    }

    /// Whether a certificate with this serial number is published.
    pub fn has_serial(&self, serial: &Serial) -> bool {
        self.by_user.values().flatten().any(|known| serial_of(&known.der).as_ref() == Some(serial))
    }

    /// Takes every certificate of a user off the list at the moment `at`. Returns how many there were.
    pub fn revoke(&mut self, user: &str, at: Wall, out: &mut Outbox) -> usize {
        let user = normal(user);
        let count = self.remove(&user, at);
        if count > 0 {
            self.ledger.append(&encode(&Record::Revoke { user, at: at.unix_secs() }), out);
        }
        count
    }

    /// A record reached the disk: whether it was one of this list's, and the write that is complete with it.
    pub fn kept(&mut self, record: RecordId) -> (bool, Option<WriteId>) {
        self.ledger.kept(record)
    }

    /// The published certificate with exactly these bytes, if it counts for `user` (address or SIP URI) at `now`.
    ///
    /// # Errors
    ///
    /// Says why it does not count.
    pub fn check(&self, user: &str, der: &[u8], now: Wall) -> Result<&Certificate, NotPublished> {
        let owner = self.owners.get(&fingerprint(der)).ok_or(NotPublished::Unknown)?;
        if *owner != normal(user) {
            return Err(NotPublished::ForeignUser);
        }
        let found = self.of(owner).find(|known| known.der == der).ok_or(NotPublished::Unknown)?;
        if now < found.not_before || now > found.not_after {
            return Err(NotPublished::OutsideValidity);
        }
        Ok(found)
    }

    /// The certificates of a user, the one that was served longest ago first.
    pub fn of(&self, user: &str) -> impl Iterator<Item = &Certificate> {
        self.by_user.get(&normal(user)).into_iter().flatten()
    }

    /// A verifier for one TLS-DSK handshake of whoever claims to be `user` (address or SIP URI): it takes exactly
    /// the certificates that are published for that user now, and checks chain, validity, the clientAuth usage
    /// and the SIP URI as well.
    ///
    /// The list is read when the verifier is made: make one for each handshake, and a revocation counts from
    /// the next on.
    ///
    /// # Errors
    ///
    /// If the authority's root is no trust anchor, which only a broken authority has.
    pub fn verifier(
        &self,
        user: &str,
        crypto: Crypto,
        authority: &Authority,
    ) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
        let user = normal(user);
        let published = self.of(&user).map(|certificate| certificate.der.clone()).collect();
        verifier::OnlyPublished::new(&user, published, crypto, authority)
            .map(|verifier| Arc::new(verifier) as _)
    }

    fn turn(&mut self, out: &mut Outbox) {
        let revoked = self.revoked.iter().map(|(serial, revoked)| {
            encode(&Record::Revoked {
                serial: STANDARD.encode(serial.as_bytes()),
                at: revoked.at.unix_secs(),
            })
        });
        let published = self.by_user.values().flatten().map(publish_record);
        let records: Vec<Vec<u8>> = revoked.chain(published).collect();
        self.ledger.turn(&records, out);
    }

    fn replay(&mut self, record: Record) {
        match record {
            Record::Publish { user, device, der, not_before, not_after, issued } => {
                if let Ok(der) = STANDARD.decode(der) {
                    self.insert(Certificate {
                        user,
                        device,
                        der,
                        not_before: Wall::from_unix_secs(not_before),
                        not_after: Wall::from_unix_secs(not_after),
                        issued: Wall::from_unix_secs(issued),
                    });
                }
            }
            Record::Revoke { user, at } => {
                self.remove(&user, Wall::from_unix_secs(at));
            }
            Record::Revoked { serial, at } => {
                if let Ok(serial) = STANDARD.decode(serial) {
                    self.note_revoked(Serial::from_be_bytes(&serial), Wall::from_unix_secs(at));
                }
            }
        }
    }

    fn insert(&mut self, certificate: Certificate) {
        let held = self.by_user.entry(certificate.user.clone()).or_default();
        let mut ended: Vec<Certificate> = Vec::new();
        if let Some(same) = held.iter().position(|known| known.device == certificate.device) {
            ended.push(held.remove(same));
        }
        while held.len() >= DEVICES_LIMIT {
            ended.push(held.remove(0));
        }
        for gone in ended {
            self.owners.remove(&fingerprint(&gone.der));
        }
        self.owners.insert(fingerprint(&certificate.der), certificate.user.clone());
        held.push(certificate);
    }

    fn remove(&mut self, user: &str, at: Wall) -> usize {
        let gone = self.by_user.remove(user).unwrap_or_default();
        for certificate in &gone {
            self.owners.remove(&fingerprint(&certificate.der));
            if let Some(serial) = serial_of(&certificate.der) {
                self.note_revoked(serial, at);
            }
        }
        gone.len()
    }

    /// What no longer fits the list is unknown to those who ask, which serves nobody either.
    fn note_revoked(&mut self, serial: Serial, at: Wall) {
        if self.revoked.len() < REVOKED_LIMIT {
            self.revoked.revoke(serial, at, Reason::Unspecified);
        }
    }
}

fn publish_record(certificate: &Certificate) -> Vec<u8> {
    encode(&Record::Publish {
        user: certificate.user.clone(),
        device: certificate.device.clone(),
        der: STANDARD.encode(&certificate.der),
        not_before: certificate.not_before.unix_secs(),
        not_after: certificate.not_after.unix_secs(),
        issued: certificate.issued.unix_secs(),
    })
}

fn serial_of(der: &[u8]) -> Option<Serial> {
    let certificate = pki::Certificate::read(&CertificateDer::from(der)).ok()?;
    Some(certificate.serial)
}

fn encode(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("strings and numbers always print as JSON")
}

fn fingerprint(der: &[u8]) -> [u8; 32] {
    Sha256::digest(der).into()
}

#[cfg(test)]
mod tests;
