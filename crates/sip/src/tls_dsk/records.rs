//! Flights as TLS records (RFC 5246 §6.2): cut, and judged by their kind, before an engine sees them.

use super::DskError;

/// A record that says that the next ones are protected.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
/// A record with an alert.
pub(super) const ALERT: u8 = 21;
/// A record with handshake messages.
pub(super) const HANDSHAKE: u8 = 22;
/// TLS 1.0, as records write it.
pub(super) const TLS_1_0: [u8; 2] = [3, 1];
/// The octets before a record's fragment.
pub(super) const HEADER_OCTETS: usize = 5;
/// The longest fragment of a plain record.
pub(super) const PLAIN_MAX: usize = 1 << 14;
/// The longest fragment of an encrypted record.
const FRAGMENT_MAX: usize = PLAIN_MAX + 2048;

/// Cuts a flight into whole records.
pub(super) fn split(flight: &[u8]) -> Result<Vec<&[u8]>, DskError> {
    let mut records = Vec::new();
    let mut rest = flight;
    while !rest.is_empty() {
        let Some((header, fragment)) = rest.split_at_checked(HEADER_OCTETS) else {
            return Err(DskError::NotRecords("the last one has no whole header"));
        };
        if !matches!(header[0], CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE) {
            return Err(DskError::NotRecords("one of another kind than a handshake's"));
        }
        // The first hello may say 3.1 for the sake of old servers (RFC 5246 §E.1).
        if header[1] != 3 || !(1..=3).contains(&header[2]) {
            return Err(DskError::NotRecords("one of another version than TLS 1.0 to 1.2"));
        }
        let len = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if len == 0 || len > FRAGMENT_MAX {
            return Err(DskError::NotRecords("one that is empty or too long"));
        }
        if fragment.len() < len {
            return Err(DskError::NotRecords("the last one is not whole"));
        }
        let (record, after) = rest.split_at(HEADER_OCTETS + len);
        records.push(record);
        rest = after;
    }
    Ok(records)
}

/// What plain handshake records carry, one behind the other: a message may span several.
pub(super) fn handshake_payload(records: &[&[u8]]) -> Result<Vec<u8>, DskError> {
    let mut payload = Vec::new();
    for record in records {
        let fragment = &record[HEADER_OCTETS..];
        match record[0] {
            HANDSHAKE if fragment.len() <= PLAIN_MAX => payload.extend_from_slice(fragment),
            HANDSHAKE => return Err(DskError::NotRecords("one that is empty or too long")),
            _ => return Err(DskError::NotMessages("another record among the handshake's")),
        }
    }
    Ok(payload)
}

/// A record of TLS 1.0 around a fragment, which is never longer than a record takes.
pub(super) fn write(kind: u8, fragment: &[u8]) -> Vec<u8> {
    let len = u16::try_from(fragment.len()).expect("fragments are cut to size");
    let mut record = vec![kind, TLS_1_0[0], TLS_1_0[1]];
    record.extend(len.to_be_bytes());
    record.extend_from_slice(fragment);
    record
}

/// Whether any record of a flight is an alert.
pub(super) fn has_alert(flight: &[u8]) -> bool {
    split(flight).is_ok_and(|records| records.iter().any(|record| record[0] == ALERT))
}

/// A fatal alert: the version of the hello is not spoken here (RFC 5246 §7.2.2).
pub(super) const PROTOCOL_VERSION_ALERT: [u8; 7] = [ALERT, 3, 1, 0, 2, 2, 70];
/// A fatal alert: the handshake failed. An old client hears this one whatever was wrong, so that no answer helps to
/// find out what its flight was decrypted to.
pub(super) const HANDSHAKE_FAILURE_ALERT: [u8; 7] = [ALERT, 3, 1, 0, 2, 2, 40];

/// Whether a flight begins like the hello of a client that knows nothing newer than TLS 1.1, whole or not.
pub(super) fn claims_to_be_old(flight: &[u8]) -> bool {
    const CLIENT_HELLO: u8 = 1;
    match flight {
        [HANDSHAKE, 3, _, _, _, CLIENT_HELLO, _, _, _, major, minor, ..] => (*major, *minor) < (3, 3),
        _ => false,
    }
}
