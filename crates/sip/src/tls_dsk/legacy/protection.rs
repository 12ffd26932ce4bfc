//! The one protected record that each side sends: Finished, under HMAC-SHA1 and AES-CBC (RFC 2246 §6.2.3).
//!
//! Its length is known beforehand, so reading it takes the same steps whatever is inside: padding, MAC and contents
//! come out as one yes or no.

use aes::{Aes128, Aes256};
use cbc::cipher::{Array, BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, consts::U16};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use super::arithmetic::{Direction, Suite};
use crate::tls_dsk::records::{HANDSHAKE, TLS_1_0};

/// The whole Finished message, header included.
pub(super) const FINISHED_OCTETS: usize = 16;
const MAC_OCTETS: usize = 20;
const BLOCK_OCTETS: usize = 16;
/// Message, MAC, and the shortest padding, which is what everybody sends.
const SHORTEST: usize = (FINISHED_OCTETS + MAC_OCTETS) / BLOCK_OCTETS * BLOCK_OCTETS + BLOCK_OCTETS;
/// Padding, its length octet included, is at most 256 octets long.
const LONGEST: usize = (FINISHED_OCTETS + MAC_OCTETS + 256) / BLOCK_OCTETS * BLOCK_OCTETS;

/// Protects a Finished message as the first record of its direction.
pub(super) fn seal(suite: Suite, direction: &Direction, finished: &[u8; FINISHED_OCTETS]) -> Vec<u8> {
    let mut fragment = finished.to_vec();
    fragment.extend(mac(direction, finished));
    let padding = SHORTEST - fragment.len();
    // Every octet of the padding, the last one too, says how many there are before the last.
    fragment.resize(SHORTEST, (padding - 1) as u8);
    encrypt(suite, direction, &mut fragment);
    fragment
}

/// Whether a fragment is the protected form of just this Finished message.
pub(super) fn opens_to(
    suite: Suite,
    direction: &Direction,
    fragment: &[u8],
    finished: &[u8; FINISHED_OCTETS],
) -> bool {
    let len = fragment.len();
    if !(SHORTEST..=LONGEST).contains(&len) || !len.is_multiple_of(BLOCK_OCTETS) {
        return false;
    }
    let mut opened = fragment.to_vec();
    decrypt(suite, direction, &mut opened);
    let mut wanted = finished.to_vec();
    // With other contents the MAC could only be right for those; they are compared as well.
    wanted.extend(mac(direction, finished));
    let padding = len - wanted.len();
    wanted.resize(len, (padding - 1) as u8);
    opened.ct_eq(&wanted).into()
}

fn mac(direction: &Direction, finished: &[u8; FINISHED_OCTETS]) -> [u8; MAC_OCTETS] {
    let mut mac = Hmac::<Sha1>::new_from_slice(&direction.mac_key).expect("HMAC takes keys of any length");
    // Numbered from 0 behind ChangeCipherSpec, and nothing follows.
    mac.update(&0_u64.to_be_bytes());
    mac.update(&[HANDSHAKE, TLS_1_0[0], TLS_1_0[1], 0, FINISHED_OCTETS as u8]);
    mac.update(finished);
    mac.finalize().into_bytes().into()
}

fn blocks(fragment: &mut [u8]) -> &mut [Array<u8, U16>] {
    Array::slice_as_chunks_mut(fragment).0
}

fn encrypt(suite: Suite, direction: &Direction, fragment: &mut [u8]) {
    const FITS: &str = "a direction has its suite's key";
    let Direction { key, iv, .. } = direction;
    match suite {
        Suite::Aes256 => {
            cbc::Encryptor::<Aes256>::new_from_slices(key, iv).expect(FITS).encrypt_blocks(blocks(fragment))
        }
        Suite::Aes128 => {
            cbc::Encryptor::<Aes128>::new_from_slices(key, iv).expect(FITS).encrypt_blocks(blocks(fragment))
        }
    }
}

fn decrypt(suite: Suite, direction: &Direction, fragment: &mut [u8]) {
    const FITS: &str = "a direction has its suite's key";
    let Direction { key, iv, .. } = direction;
    match suite {
        Suite::Aes256 => {
            cbc::Decryptor::<Aes256>::new_from_slices(key, iv).expect(FITS).decrypt_blocks(blocks(fragment))
        }
        Suite::Aes128 => {
            cbc::Decryptor::<Aes128>::new_from_slices(key, iv).expect(FITS).decrypt_blocks(blocks(fragment))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(suite: Suite) -> Direction {
        let key = vec![7; if suite == Suite::Aes256 { 32 } else { 16 }];
        Direction { mac_key: [3; 20], key, iv: [9; 16] }
    }

    #[test]
    fn what_is_sealed_opens_and_nothing_else_does() {
        for suite in Suite::ALL {
            let direction = direction(suite);
            let finished = [20, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
            let sealed = seal(suite, &direction, &finished);
            assert_eq!(sealed.len(), 48);
            assert!(opens_to(suite, &direction, &sealed, &finished));
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(!opens_to(suite, &direction, &changed, &finished), "octet {at}");
            }
            for len in [0, 16, 47, 64] {
                assert!(!opens_to(suite, &direction, &vec![0; len], &finished), "{len} octets");
            }
        }
    }

    /// RFC 2246 §6.2.3.2: padding may be longer than it must be, up to 255 octets and its length.
    #[test]
    fn padding_may_be_longer_than_it_must() {
        let (suite, direction) = (Suite::Aes256, direction(Suite::Aes256));
        let finished = [20, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        for len in (SHORTEST..=LONGEST + BLOCK_OCTETS).step_by(BLOCK_OCTETS) {
            let mut fragment = finished.to_vec();
            fragment.extend(mac(&direction, &finished));
            let padding = len - fragment.len() - 1;
            fragment.resize(len, padding as u8);
            encrypt(suite, &direction, &mut fragment);
            assert_eq!(opens_to(suite, &direction, &fragment, &finished), padding <= 255, "{len} octets");
        }
    }
}
