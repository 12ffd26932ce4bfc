//! Device certificates: what an appliance shows before anybody has enrolled it.
//!
//! Such a certificate is signed by its own key and names the hardware address of the device, so that administrators
//! can tell devices apart without knowing a password.

use std::time::Duration;

use net::tls::Credentials;
use net::{Crypto, Random, Wall};
use rcgen::DnType;

use crate::authority::{IssueError, signer_of};
use crate::profile::{fresh_serial, leaf_params, server_name};

/// The first moment of every device certificate, in Unix seconds: 2010-01-01. A device whose clock was never set must
/// find it valid soon, and nobody asks a device for the day it was made.
const NOT_BEFORE: i64 = 1_262_304_000;
/// How long such a certificate lives: the device must not outlive it.
const LIFE: Duration = Duration::from_secs(30 * 365 * 86_400);

/// A certificate for the device whose hardware address reads `address` (the common name, and its only DNS name), made
/// by `organization` (the subject's O); signed by its own P-256 key.
///
/// # Errors
///
/// If `address` cannot stand as a DNS name.
pub fn device_credentials(
    address: &str,
    organization: &str,
    crypto: Crypto,
    random: &mut Random,
) -> Result<Credentials, IssueError> {
    let key = crypto.p256_key(random);
    let signer = signer_of(&key);
    let not_before = Wall::from_unix_secs(NOT_BEFORE);
    let mut params = leaf_params(address, fresh_serial(random), not_before, not_before.plus(LIFE));
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = vec![server_name(address)?];
    let certificate = params.self_signed(&signer).expect("a certificate with a checked name always encodes");
    Ok(Credentials { chain: vec![certificate.der().clone()], key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Certificate;

    #[test]
    fn a_device_names_its_hardware_address_and_its_maker() {
        let make = || {
            device_credentials("0004F2A1B2C3", "Polycom Inc.", Crypto::Seeded, &mut Random::named(7, "desk"))
        };
        let credentials = make().expect("a certificate");
        let read = Certificate::read(&credentials.chain[0]).expect("it can be read");
        assert_eq!(read.common_name.as_deref(), Some("0004F2A1B2C3"));
        assert_eq!(
            credentials.chain,
            make().expect("a certificate").chain,
            "the same seed, the same certificate"
        );
        let subject = x509_parser::parse_x509_certificate(&credentials.chain[0]).expect("it can be read").1;
        assert_eq!(subject.subject().to_string(), "CN=0004F2A1B2C3, O=Polycom Inc.");
    }
}
