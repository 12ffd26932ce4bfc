//! The little cryptography that web tickets need: digests, keyed digests, and the proof key.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Takes base64 with or without padding, as it comes from clients.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Base64 as in MIME, in one line.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64 with white space in it; `None` if it is none or would make more than `limit` octets.
pub fn from_base64(text: &str, limit: usize) -> Option<Vec<u8>> {
    // Twice the octets leaves room for line ends; past that it is refused before it is copied.
    if text.len() > limit.saturating_mul(2).saturating_add(4) {
        return None;
    }
    let dense: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    LENIENT.decode(dense).ok().filter(|bytes| bytes.len() <= limit)
}

/// SHA-1, which XML signatures of this age are made of.
pub fn sha1(message: &[u8]) -> [u8; 20] {
    Sha1::digest(message).into()
}

/// SHA-256.
pub fn sha256(message: &[u8]) -> [u8; 32] {
    Sha256::digest(message).into()
}

/// HMAC-SHA1 (RFC 2104).
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// HMAC-SHA256 (RFC 2104).
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The proof key of a web ticket: P_SHA1 (RFC 2246 §5) with the client's entropy as secret and the server's as
/// seed, as long as the client's entropy (WS-Trust 1.3, computed key PSHA1).
pub fn proof_key(client_entropy: &[u8], server_entropy: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(client_entropy.len() + 20);
    let mut a = hmac_sha1(client_entropy, server_entropy);
    while key.len() < client_entropy.len() {
        key.extend_from_slice(&hmac_sha1(client_entropy, &[&a, server_entropy].concat()));
        a = hmac_sha1(client_entropy, &a);
    }
    key.truncate(client_entropy.len());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_digests_agree_with_rfc_2202_and_rfc_4231() {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let what = b"what do ya want for nothing?";
        assert_eq!(hex(&hmac_sha1(b"Jefe", what)), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(
            hex(&hmac_sha256(b"Jefe", what)),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_proof_key_is_as_long_as_the_clients_entropy() {
        for length in [1, 19, 20, 21, 32, 64] {
            let key = proof_key(&vec![7; length], b"server");
            assert_eq!(key.len(), length);
        }
        // The definition, written out for two blocks.
        let (secret, seed) = ([7u8; 32], b"server");
        let a1 = hmac_sha1(&secret, seed);
        let a2 = hmac_sha1(&secret, &a1);
        let mut wanted = hmac_sha1(&secret, &[&a1[..], seed].concat()).to_vec();
        wanted.extend_from_slice(&hmac_sha1(&secret, &[&a2[..], seed].concat())[..12]);
        assert_eq!(proof_key(&secret, seed), wanted);
    }

    #[test]
    fn base64_is_read_in_lines_and_not_past_its_limit() {
        assert_eq!(from_base64("QUJD\r\n REVG", 6).as_deref(), Some(&b"ABCDEF"[..]));
        assert_eq!(from_base64("QUI", 6).as_deref(), Some(&b"AB"[..]));
        assert_eq!(from_base64("QUJDREVG", 5), None);
        assert_eq!(from_base64("not base64!", 100), None);
    }
}
