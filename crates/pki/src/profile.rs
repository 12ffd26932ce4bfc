//! Profiles: what the certificates of authorities and of leaves look like (RFC 5280 §4).

use std::net::IpAddr;

use net::{Random, Wall};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyIdMethod, KeyUsagePurpose,
    RevocationReason, SanType, SerialNumber,
};

use crate::authority::IssueError;
use crate::certificate::Serial;
use crate::revocation::Reason;

/// The longest common name, in characters (ub-common-name, RFC 5280 Appendix A.1).
const COMMON_NAME_LIMIT: usize = 64;

/// 128 random bits, and never zero.
pub(crate) fn fresh_serial(random: &mut Random) -> SerialNumber {
    let mut octets = random.bytes::<16>();
    octets[15] |= 1;
    SerialNumber::from_slice(&octets)
}

pub(crate) fn serial_number(serial: &Serial) -> SerialNumber {
    let octets = serial.as_bytes();
    SerialNumber::from_slice(if octets.is_empty() { &[0] } else { octets })
}

fn subject(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if common_name.chars().count() <= COMMON_NAME_LIMIT {
        name.push(DnType::CommonName, common_name);
    }
    name
}

pub(crate) fn authority_params(
    common_name: &str,
    serial: SerialNumber,
    not_before: Wall,
    not_after: Wall,
) -> CertificateParams {
    // An issuer must have a name (RFC 5280 §4.1.2.4), so an over-long one is cut instead of left out.
    let name: String = common_name.chars().take(COMMON_NAME_LIMIT).collect();
    let name = if name.is_empty() { "Authority" } else { &name };
    let mut params = dated_params(name, serial, not_before, not_after);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub(crate) fn leaf_params(
    common_name: &str,
    serial: SerialNumber,
    not_before: Wall,
    not_after: Wall,
) -> CertificateParams {
    let mut params = dated_params(common_name, serial, not_before, not_after);
    // Says that it is no authority, and brings the subject key identifier with it.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn dated_params(
    common_name: &str,
    serial: SerialNumber,
    not_before: Wall,
    not_after: Wall,
) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(common_name);
    params.serial_number = Some(serial);
    params.not_before = not_before.date_time();
    params.not_after = not_after.date_time();
    params.key_identifier_method = KeyIdMethod::Sha256;
    params
}

pub(crate) fn server_name(name: &str) -> Result<SanType, IssueError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SanType::IpAddress(address));
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_')
    };
    let bad = || IssueError::BadName { name: name.escape_debug().to_string(), kind: "host name" };
    // A wildcard stands for the leftmost label (RFC 6125 §6.4.3).
    let plain = name.strip_prefix("*.").unwrap_or(name);
    if name.len() > 253 || !plain.split('.').all(is_label) {
        return Err(bad());
    }
    Ia5String::try_from(name).map(SanType::DnsName).map_err(|_| bad())
}

pub(crate) fn reason_code(reason: Reason) -> Option<RevocationReason> {
    match reason {
        // RFC 5280 §5.3.1: the unspecified reason is said by saying nothing.
        Reason::Unspecified => None,
        Reason::KeyCompromise => Some(RevocationReason::KeyCompromise),
        Reason::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
        Reason::Superseded => Some(RevocationReason::Superseded),
        Reason::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
        Reason::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
    }
}
