//! A root, its intermediates, and what they issue.
//!
//! A certificate holds what the authority decided, whatever a request asked for. Serials are 128 random bits;
//! dates are the caller's, as the lab's clocks are; keys and signatures need no other chance than the generator
//! given at the start, so the same seed issues the same bytes.

use std::fmt;
use std::time::Duration;

use net::tls::{Credentials, Trust};
use net::{Crypto, Random, Wall};
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, CertificateRevocationListParams, CustomExtension, ExtendedKeyUsagePurpose, Issuer,
    KeyIdMethod, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

use crate::certificate::{Certificate, CertificateError};
use crate::places::Places;
use crate::profile::{authority_params, fresh_serial, leaf_params, reason_code, serial_number, server_name};
use crate::request::{CertificateRequest, RequestError, RequestedKey};
use crate::revocation::Revocations;
use crate::signer::{KeyKind, Signer};

/// How far the first moment of an issued certificate lies before the moment of issue, so that a holder whose
/// clock is a little slow can use it at once.
pub const BACK_DATING: Duration = Duration::from_secs(10 * 60);

/// The most authorities that may stand above a leaf, the root included.
pub const DEPTH_LIMIT: usize = 3;

/// The most names in one server certificate.
pub const NAMES_LIMIT: usize = 64;

/// id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1).
const OCSP_NO_CHECK: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 48, 1, 5];

/// The longest `sip:` URI in a user's certificate, in octets.
const SIP_URI_LIMIT: usize = 512;

/// Why a certificate was not issued.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IssueError {
    /// A server certificate needs a name.
    #[error("no name to issue a certificate for")]
    NoName,
    /// More names than [`NAMES_LIMIT`].
    #[error("{count} names, more than {NAMES_LIMIT}")]
    TooManyNames {
        /// How many there are.
        count: usize,
    },
    /// A name cannot stand in a certificate.
    #[error("`{name}` is no {kind}")]
    BadName {
        /// The name.
        name: String,
        /// What it should have been.
        kind: &'static str,
    },
    /// The authority's own certificate has run out.
    #[error("the authority's own certificate ended at {not_after}")]
    AuthorityExpired {
        /// When it ended.
        not_after: Wall,
    },
    /// The certificate would have ended before it began.
    #[error("a life of no length")]
    NoLife,
    /// The public key is none that a certificate is issued for.
    #[error("the key cannot be used: {0}")]
    BadKey(RequestError),
    /// More authorities above a leaf than [`DEPTH_LIMIT`].
    #[error("more than {DEPTH_LIMIT} authorities above a certificate")]
    TooDeep,
}

/// Why a kept authority cannot be taken up again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// There is no certificate.
    #[error("no authority certificate")]
    NoCertificate,
    /// A certificate cannot be read.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The key is neither a P-256 nor an RSA key in PKCS#8.
    #[error("{0}")]
    Key(String),
    /// The key does not belong to the first certificate.
    #[error("the key does not belong to the certificate of `{0}`")]
    OtherKey(String),
    /// The first certificate is not an authority's.
    #[error("the certificate of `{0}` is not an authority's")]
    NoAuthority(String),
    /// The public key is none that a certificate is issued for.
    #[error("the key cannot be used: {0}")]
    BadKey(RequestError),
    /// More authorities above a leaf than [`DEPTH_LIMIT`].
    #[error("more than {DEPTH_LIMIT} authorities above a certificate")]
    TooDeep,
}

/// For how long a certificate is valid, as its issuer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The moment of issue; the certificate itself begins [`BACK_DATING`] earlier.
    pub from: Wall,
    /// How long it is good for from that moment.
    pub life: Duration,
}

impl Validity {
    /// `days` days from `from` on.
    pub const fn days(from: Wall, days: u64) -> Validity {
        Validity { from, life: Duration::from_secs(days.saturating_mul(86_400)) }
    }

    /// `hours` hours from `from` on.
    pub const fn hours(from: Wall, hours: u64) -> Validity {
        Validity { from, life: Duration::from_secs(hours.saturating_mul(3_600)) }
    }
}

/// Whom a user's certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The user's address with its scheme: `sip:alice@contoso.example`.
    pub sip_uri: String,
    /// The user's address without it: `alice@contoso.example`.
    pub address: String,
}

impl Holder {
    /// The holder whose address, without scheme, is `address`.
    pub fn new(address: &str) -> Holder {
        Holder { sip_uri: format!("sip:{address}"), address: address.to_owned() }
    }
}

/// A certificate authority: the root itself, or an intermediate below it.
pub struct Authority {
    crypto: Crypto,
    random: Random,
    issuer: Issuer<'static, Signer>,
    key: PrivateKeyDer<'static>,
    /// This authority first, the root last.
    chain: Vec<CertificateDer<'static>>,
    not_after: Wall,
    keys: KeyKind,
    /// What every certificate issued from now on says about where this authority tells about itself.
    places: Option<Places>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("depth", &self.chain.len())
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// A new root called `common_name`, valid from `not_before` for `life`, with a P-256 key of its own. It
    /// forks a generator of its own from `random`, from which all later serials and server keys come.
    pub fn new(
        common_name: &str,
        crypto: Crypto,
        random: &mut Random,
        not_before: Wall,
        life: Duration,
    ) -> Authority {
        Authority::with_keys(KeyKind::P256, common_name, crypto, random, not_before, life)
    }

    /// The same as [`Authority::new`] with keys of this kind, for itself and for the servers it issues for.
    pub fn with_keys(
        keys: KeyKind,
        common_name: &str,
        crypto: Crypto,
        random: &mut Random,
        not_before: Wall,
        life: Duration,
    ) -> Authority {
        let mut random = random.fork("authority");
        let key = keys.make(crypto, &mut random);
        let signer = signer_of(&key);
        let not_after = not_before.plus(life);
        let params = authority_params(common_name, fresh_serial(&mut random), not_before, not_after);
        let certificate = params.self_signed(&signer).expect("a root's certificate always encodes");
        let chain = vec![certificate.der().clone()];
        let issuer = Issuer::new(params, signer);
        Authority { crypto, random, issuer, key, chain, not_after, keys, places: None }
    }

    /// Takes up an authority that was kept: its chain, itself first and the root last, and its key. A generator
    /// that already served this authority after an earlier start would issue its serials again.
    ///
    /// # Errors
    ///
    /// If chain and key do not make an authority.
    pub fn restore(
        kept: &Credentials,
        crypto: Crypto,
        random: &mut Random,
    ) -> Result<Authority, RestoreError> {
        let own = kept.chain.first().ok_or(RestoreError::NoCertificate)?;
        if kept.chain.len() > DEPTH_LIMIT {
            return Err(RestoreError::TooDeep);
        }
        let read = Certificate::read(own)?;
        let name = read.common_name.clone().unwrap_or_default();
        if !read.is_authority || name.is_empty() {
            return Err(RestoreError::NoAuthority(name));
        }
        let signer = Signer::new(&kept.key).map_err(RestoreError::Key)?;
        if signer.public_key_info() != read.public_key_info {
            return Err(RestoreError::OtherKey(name));
        }
        let keys = signer.kind();
        let issuer = Issuer::from_ca_cert_der(own, signer)
            .map_err(|why| CertificateError::Malformed(why.to_string()))?;
        Ok(Authority {
            crypto,
            random: random.fork("restored authority"),
            issuer,
            key: kept.key.clone_key(),
            chain: kept.chain.clone(),
            not_after: read.not_after,
            keys,
            places: None,
        })
    }

    /// A new authority below this one; what it issues has a longer chain.
    ///
    /// # Errors
    ///
    /// If this authority has run out, or [`DEPTH_LIMIT`] authorities already stand in the chain.
    pub fn intermediate(&mut self, common_name: &str, validity: Validity) -> Result<Authority, IssueError> {
        if self.chain.len() >= DEPTH_LIMIT {
            return Err(IssueError::TooDeep);
        }
        let (not_before, not_after) = self.dates(validity)?;
        let key = self.keys.make(self.crypto, &mut self.random);
        let signer = signer_of(&key);
        let mut params = authority_params(common_name, fresh_serial(&mut self.random), not_before, not_after);
        params.use_authority_key_identifier_extension = true;
        let mut chain = vec![self.sign(&params, &signer)];
        chain.extend(self.chain.iter().cloned());
        let random = self.random.fork("intermediate");
        Ok(Authority {
            crypto: self.crypto,
            random,
            issuer: Issuer::new(params, signer),
            key,
            chain,
            not_after,
            keys: self.keys,
            places: None,
        })
    }

    /// Has every certificate that is issued from now on say where this authority tells about itself.
    pub fn tell_at(&mut self, places: Places) {
        self.places = Some(places);
    }

    /// Of which kind the keys are that this authority makes: its own kind.
    pub fn keys(&self) -> KeyKind {
        self.keys
    }

    /// Where this authority tells about itself, if it does.
    pub fn places(&self) -> Option<&Places> {
        self.places.as_ref()
    }

    /// This authority's own certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    /// The root's certificate.
    pub fn root(&self) -> &CertificateDer<'static> {
        self.chain.last().expect("an authority's chain ends with its root")
    }

    /// The authorities between a certificate issued here and the root, nearest first; empty for the root.
    pub fn issuers(&self) -> &[CertificateDer<'static>] {
        &self.chain[..self.chain.len() - 1]
    }

    /// This authority's certificate, those above it, and its key: what to keep for [`Authority::restore`].
    pub fn credentials(&self) -> Credentials {
        Credentials { chain: self.chain.clone(), key: self.key.clone_key() }
    }

    /// Trust in this authority's root alone.
    pub fn trust(&self) -> Trust {
        Trust::new([self.root()])
    }

    /// The last moment of this authority's own certificate.
    pub fn not_after(&self) -> Wall {
        self.not_after
    }

    /// Issues a certificate for a server called `names` — DNS names, wildcards or addresses — and makes its
    /// key. The chain holds the leaf and the intermediates, not the root.
    ///
    /// # Errors
    ///
    /// If there is no name, a name is none, or the authority has run out.
    pub fn issue_server(&mut self, names: &[String], validity: Validity) -> Result<Credentials, IssueError> {
        server_names(names)?;
        self.dates(validity)?;
        let key = self.keys.make(self.crypto, &mut self.random);
        let chain = self.issue_server_for(names, signer_of(&key).public_key_info(), validity)?;
        Ok(Credentials { chain, key })
    }

    /// Issues a certificate for a server that has a key already; `public_key_info` is its SubjectPublicKeyInfo (DER),
    /// under the same limits as in a request. A server with an RSA key may decrypt with it, too: clients of old TLS
    /// send their secrets so. Returns the leaf and the intermediates, not the root.
    ///
    /// # Errors
    ///
    /// As [`Authority::issue_server`], and if the key is none that can be served with.
    pub fn issue_server_for(
        &mut self,
        names: &[String],
        public_key_info: &[u8],
        validity: Validity,
    ) -> Result<Vec<CertificateDer<'static>>, IssueError> {
        let alternatives = server_names(names)?;
        let key = RequestedKey::read(public_key_info).map_err(IssueError::BadKey)?;
        let (not_before, not_after) = self.dates(validity)?;
        let mut params = self.leaf(&names[0], not_before, not_after);
        params.subject_alt_names = alternatives;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if key.is_rsa() {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        Ok(self.chain_of(self.sign(&params, &key)))
    }

    fn chain_of(&self, leaf: CertificateDer<'static>) -> Vec<CertificateDer<'static>> {
        std::iter::once(leaf).chain(self.issuers().iter().cloned()).collect()
    }

    /// Issues a user's certificate for client authentication. Of the request only the public key counts.
    ///
    /// An address of more than 64 characters is left out of the subject, which is then empty, as RFC 5280
    /// §4.1.2.6 wants it; the `sip:` URI is always there.
    ///
    /// # Errors
    ///
    /// If the holder's address cannot stand in a certificate, or the authority has run out.
    pub fn issue_user(
        &mut self,
        request: &CertificateRequest,
        holder: &Holder,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, IssueError> {
        let bad = |name: &str, kind| IssueError::BadName { name: name.escape_debug().to_string(), kind };
        let is_graphic = |text: &str| !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic());
        if !is_graphic(&holder.sip_uri) || holder.sip_uri.len() > SIP_URI_LIMIT {
            return Err(bad(&holder.sip_uri, "SIP URI"));
        }
        if !is_graphic(&holder.address) {
            return Err(bad(&holder.address, "address"));
        }
        let uri =
            Ia5String::try_from(holder.sip_uri.as_str()).map_err(|_| bad(&holder.sip_uri, "SIP URI"))?;
        let (not_before, not_after) = self.dates(validity)?;
        let mut params = self.leaf(&holder.address, not_before, not_after);
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(self.sign(&params, request.key()))
    }

    /// Prints `revocations` as a signed list (DER, RFC 5280 §5) that is good from `this_update` for `life`,
    /// at least a second.
    pub fn revocation_list(&self, revocations: &Revocations, this_update: Wall, life: Duration) -> Vec<u8> {
        let next_update = this_update.plus(life.max(Duration::from_secs(1)));
        let revoked_certs = revocations
            .iter()
            .map(|(serial, revoked)| RevokedCertParams {
                serial_number: serial_number(serial),
                revocation_time: revoked.at.date_time(),
                reason_code: reason_code(revoked.reason),
                invalidity_date: None,
            })
            .collect();
        let params = CertificateRevocationListParams {
            this_update: this_update.date_time(),
            next_update: next_update.date_time(),
            crl_number: SerialNumber::from(revocations.number()),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list =
            params.signed_by(&self.issuer).expect("an authority may sign lists that end after they begin");
        list.der().to_vec()
    }

    /// The first and the last moment of a certificate issued with `validity`: back-dated, and never outliving
    /// the authority.
    fn dates(&self, validity: Validity) -> Result<(Wall, Wall), IssueError> {
        if validity.from >= self.not_after {
            return Err(IssueError::AuthorityExpired { not_after: self.not_after });
        }
        let not_after = validity.from.plus(validity.life).min(self.not_after);
        if not_after <= validity.from {
            return Err(IssueError::NoLife);
        }
        Ok((validity.from.minus(BACK_DATING), not_after))
    }

    /// What every certificate of a leaf begins with.
    fn leaf(&mut self, common_name: &str, not_before: Wall, not_after: Wall) -> CertificateParams {
        let serial = fresh_serial(&mut self.random);
        let mut params = leaf_params(common_name, serial, not_before, not_after);
        if let Some(places) = &self.places {
            params.crl_distribution_points = places.distribution_points();
            params.custom_extensions.push(places.information_access());
        }
        params
    }

    /// Issues a certificate for somebody who answers OCSP questions in this authority's name (RFC 6960 §4.2.2.2), and
    /// makes the key. Whoever checks such a certificate need not ask whether it was revoked itself.
    ///
    /// # Errors
    ///
    /// If the authority has run out.
    pub fn issue_responder(&mut self, name: &str, validity: Validity) -> Result<Credentials, IssueError> {
        let (not_before, not_after) = self.dates(validity)?;
        let key = self.keys.make(self.crypto, &mut self.random);
        let mut params = leaf_params(name, fresh_serial(&mut self.random), not_before, not_after);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        // id-pkix-ocsp-nocheck, with NULL as its value.
        params.custom_extensions.push(CustomExtension::from_oid_content(OCSP_NO_CHECK, vec![5, 0]));
        Ok(Credentials { chain: vec![self.sign(&params, &signer_of(&key))], key })
    }

    pub(crate) fn signer(&self) -> &Signer {
        self.issuer.key()
    }

    fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> CertificateDer<'static> {
        let certificate = params.signed_by(key, &self.issuer).expect("checked names and dates always encode");
        certificate.der().clone()
    }
}

fn server_names(names: &[String]) -> Result<Vec<SanType>, IssueError> {
    if names.is_empty() {
        return Err(IssueError::NoName);
    }
    if names.len() > NAMES_LIMIT {
        return Err(IssueError::TooManyNames { count: names.len() });
    }
    names.iter().map(|name| server_name(name)).collect()
}

pub(crate) fn signer_of(key: &PrivateKeyDer<'_>) -> Signer {
    Signer::new(key).expect("keys made here are P-256 or RSA, in PKCS#8")
}
