//! Flights as TLS records (RFC 5246 §6.2): cut, and judged by their kind, before an engine sees them.

use super::DskError;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// The longest fragment of an encrypted record.
const FRAGMENT_MAX: usize = (1 << 14) + 2048;

/// Cuts a flight into whole records.
pub(super) fn split(flight: &[u8]) -> Result<Vec<&[u8]>, DskError> {
    let mut records = Vec::new();
    let mut rest = flight;
    while !rest.is_empty() {
        let Some((header, fragment)) = rest.split_at_checked(5) else {
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
        let (record, after) = rest.split_at(5 + len);
        records.push(record);
        rest = after;
    }
    Ok(records)
}

/// Whether any record of a flight is an alert.
pub(super) fn has_alert(flight: &[u8]) -> bool {
    split(flight).is_ok_and(|records| records.iter().any(|record| record[0] == ALERT))
}

/// A fatal alert: the version of the hello is not spoken here (RFC 5246 §7.2.2).
pub(super) const PROTOCOL_VERSION_ALERT: [u8; 7] = [ALERT, 3, 1, 0, 2, 2, 70];

/// Whether a flight begins with the hello of a client that knows nothing newer than TLS 1.1.
pub(super) fn is_old_hello(flight: &[u8]) -> bool {
    const CLIENT_HELLO: u8 = 1;
    match flight {
        [HANDSHAKE, 3, _, _, _, CLIENT_HELLO, _, _, _, major, minor, ..] => (*major, *minor) < (3, 3),
        _ => false,
    }
}
