//! Certificates in the shapes that others take: PEM, DER, PKCS #12, and a configuration file for real phones.

use std::fmt::Write as _;

use net::tls::Credentials;
use p12_keystore::{
    Certificate as P12Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKey,
    PrivateKeyChain,
};
use pki::Certificate;
use rustls_pki_types::CertificateDer;

/// How often a password is hashed before it opens a file.
const ITERATIONS: u32 = 10_000;

/// The slots of a phone for certificates of authorities: the application's, of which the sixth belongs to the pool's own
/// (`reg.x.lync.autoProvisionCertLocation`), and the platform's.
const APPLICATION_SLOTS: usize = 5;
const PLATFORM_SLOTS: usize = 2;

/// How a PKCS #12 file is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Encryption {
    /// Triple DES and HMAC-SHA-1: every Windows, macOS and OpenSSL opens it
    #[default]
    Des3,
    /// AES-256 and HMAC-SHA-256: OpenSSL 1.1, Windows 10 and newer
    Aes256,
}

/// A PKCS #12 file (RFC 7292) with a server's key, its chain and the root.
///
/// # Errors
///
/// A sentence if the parts cannot be written so.
pub fn pkcs12(
    name: &str,
    credentials: &Credentials,
    root: &CertificateDer<'_>,
    password: &str,
    encryption: Encryption,
) -> Result<Vec<u8>, String> {
    let told = |why: p12_keystore::error::Error| format!("{name}: cannot be written as PKCS #12: {why}");
    let read = |der: &CertificateDer<'_>| P12Certificate::from_der(der).map_err(told);
    let mut chain = credentials.chain.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if credentials.chain.last().is_some_and(|last| **last != **root) {
        chain.push(read(root)?);
    }
    let key = PrivateKey::from_der(credentials.key.secret_der()).map_err(told)?;
    // The key and its certificate know each other by this.
    let id = Certificate::read(&credentials.chain[0]).map_err(|why| format!("{name}: {why}"))?.fingerprint;
    let mut store = KeyStore::new();
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(&id[..20], key, chain)));
    written(&store, password, encryption).map_err(told)
}

fn written(
    store: &KeyStore,
    password: &str,
    encryption: Encryption,
) -> Result<Vec<u8>, p12_keystore::error::Error> {
    let (algorithm, mac) = match encryption {
        Encryption::Des3 => (EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc, MacAlgorithm::HmacSha1),
        Encryption::Aes256 => (EncryptionAlgorithm::PbeWithHmacSha256AndAes256, MacAlgorithm::HmacSha256),
    };
    let writer = store.writer(password).encryption_algorithm(algorithm).mac_algorithm(mac);
    writer.encryption_iterations(ITERATIONS).mac_iterations(ITERATIONS).write()
}

/// A configuration file that has a phone trust these roots, the public one first, for signing in, SIP and provisioning.
pub fn phone_file(domain: &str, roots: &[CertificateDer<'static>]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n");
    let _ = writeln!(text, "<!-- The authorities of the lab {domain}: name this file in CONFIG_FILES. -->");
    text.push_str("<lab-authorities\n");
    let mut parameter = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name}=\"{value}\"");
    };
    for (index, root) in roots.iter().enumerate().take(APPLICATION_SLOTS) {
        parameter(&format!("sec.TLS.customCaCert.{}", index + 1), &attribute(root));
    }
    // `device.` parameters are taken only where `device.set` and the parameter's own `.set` say so.
    parameter("device.set", "1");
    for (index, root) in roots.iter().enumerate().take(PLATFORM_SLOTS) {
        let name = format!("device.sec.TLS.customCaCert{}", index + 1);
        parameter(&name, &attribute(root));
        parameter(&format!("{name}.set"), "1");
    }
    parameter("device.sec.TLS.profile.caCertList1", "All");
    parameter("device.sec.TLS.profile.caCertList1.set", "1");
    parameter("sec.TLS.profileSelection.SIP", "PlatformProfile1");
    text.push_str("/>\n");
    text
}

/// PEM as an attribute's value: line ends survive XML's normalisation as character references (XML 1.0 §3.3.3).
fn attribute(root: &CertificateDer<'static>) -> String {
    pki::pem::certificates([root]).trim_end().replace('\n', "&#10;")
}
