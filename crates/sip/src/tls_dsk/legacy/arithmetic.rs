//! The arithmetic of TLS 1.0 (RFC 2246 §5, §6.3, §8): from a pre-master secret to every key that comes of it.

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::{Digest as _, Sha1};

use crate::signature::SaKeys;

/// Both digests of a handshake so far, MD5 first: what CertificateVerify and Finished speak of.
pub(super) const DIGESTS_OCTETS: usize = 36;

/// A cipher suite of the old engine: AES in CBC mode with HMAC-SHA1, keys carried by RSA (RFC 3268).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    /// TLS_RSA_WITH_AES_256_CBC_SHA.
    Aes256,
    /// TLS_RSA_WITH_AES_128_CBC_SHA.
    Aes128,
}

impl Suite {
    /// All of them, the best first.
    pub(super) const ALL: [Suite; 2] = [Suite::Aes256, Suite::Aes128];

    /// Its number on the wire.
    pub(super) const fn number(self) -> u16 {
        match self {
            Suite::Aes256 => 0x0035,
            Suite::Aes128 => 0x002F,
        }
    }

    const fn key_octets(self) -> usize {
        match self {
            Suite::Aes256 => 32,
            Suite::Aes128 => 16,
        }
    }
}

/// What protects the records of one direction.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Direction {
    pub mac_key: [u8; 20],
    /// 16 or 32 octets, as the suite has it.
    pub key: Vec<u8>,
    pub iv: [u8; 16],
}

/// The pseudo-random function: `N` octets of P_MD5 over the one half of the secret, XOR P_SHA1 over the other.
pub(super) fn prf<const N: usize>(secret: &[u8], label: &[u8], seeds: &[&[u8]]) -> [u8; N] {
    let half = secret.len().div_ceil(2);
    let mut output = [0; N];
    p_hash::<Hmac<Md5>>(&secret[..half], label, seeds, &mut output);
    p_hash::<Hmac<Sha1>>(&secret[secret.len() - half..], label, seeds, &mut output);
    output
}

/// XORs the stream of P_hash onto `output`.
fn p_hash<M: Mac + KeyInit + Clone>(secret: &[u8], label: &[u8], seeds: &[&[u8]], output: &mut [u8]) {
    let keyed = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes keys of any length");
    let seeded = |mut mac: M| {
        mac.update(label);
        seeds.iter().for_each(|seed| mac.update(seed));
        mac.finalize().into_bytes()
    };
    let mut a = seeded(keyed.clone());
    for chunk in output.chunks_mut(a.len()) {
        let mut mac = keyed.clone();
        mac.update(&a);
        for (octet, stream) in chunk.iter_mut().zip(seeded(mac)) {
            *octet ^= stream;
        }
        let mut mac = keyed.clone();
        mac.update(&a);
        a = mac.finalize().into_bytes();
    }
}

/// MD5 and SHA-1 of the handshake messages so far.
pub(super) fn digests(transcript: &[u8]) -> [u8; DIGESTS_OCTETS] {
    let mut both = [0; DIGESTS_OCTETS];
    both[..16].copy_from_slice(&Md5::digest(transcript));
    both[16..].copy_from_slice(&Sha1::digest(transcript));
    both
}

/// Who a Finished message is from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Client,
    Server,
}

/// The master secret of a handshake, and the randoms it is used with.
#[derive(Clone)]
pub(super) struct Master {
    secret: [u8; 48],
    client_random: [u8; 32],
    server_random: [u8; 32],
}

impl Master {
    pub(super) fn new(pre_master: &[u8; 48], client_random: [u8; 32], server_random: [u8; 32]) -> Master {
        let secret = prf(pre_master, b"master secret", &[&client_random, &server_random]);
        Master { secret, client_random, server_random }
    }

    /// What protects the client's records, and the server's (RFC 2246 §6.3).
    pub(super) fn directions(&self, suite: Suite) -> [Direction; 2] {
        // The longest key block; a shorter one is its beginning.
        let block: [u8; 136] =
            prf(&self.secret, b"key expansion", &[&self.server_random, &self.client_random]);
        let key_octets = suite.key_octets();
        let (macs, rest) = block.split_at(40);
        let (keys, ivs) = rest.split_at(2 * key_octets);
        [0, 1].map(|side| {
            let mut direction = Direction {
                mac_key: [0; 20],
                key: keys[side * key_octets..][..key_octets].to_vec(),
                iv: [0; 16],
            };
            direction.mac_key.copy_from_slice(&macs[side * 20..][..20]);
            direction.iv.copy_from_slice(&ivs[side * 16..][..16]);
            direction
        })
    }

    /// The contents of a Finished message after these handshake messages (RFC 2246 §7.4.9).
    pub(super) fn verify_data(&self, side: Side, transcript: &[u8]) -> [u8; 12] {
        let label: &[u8] = match side {
            Side::Client => b"client finished",
            Side::Server => b"server finished",
        };
        prf(&self.secret, label, &[&digests(transcript)])
    }

    /// What both sides sign SIP messages with (MS-SIPAE §3.2.5.1).
    pub(super) fn signing_keys(&self) -> SaKeys {
        let exported: [u8; 128] =
            prf(&self.secret, b"client EAP encryption", &[&self.client_random, &self.server_random]);
        let mut keys = SaKeys { client: [0; 32], server: [0; 32] };
        keys.client.copy_from_slice(&exported[64..96]);
        keys.server.copy_from_slice(&exported[96..]);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(octet).collect()
    }

    fn array<const N: usize>(text: &str) -> [u8; N] {
        hex(text).try_into().unwrap()
    }

    /// From a run of pidgin-sipe 1.25.0 with suite 0x0035.
    fn seen() -> Master {
        Master::new(
            &array(
                "030134cac788f80d254962559bf7f0582aab308840d9cd3feb163d34fff12a8f\
                 fa50e7eb23395b37fbb8ed429703e146",
            ),
            array("6b047bdb69226065f17e9bcca3e9cb0fc85595905080a394bb8efc5a31b23e78"),
            array("6b047bdbbf661d4dbf297f928f1ebf7d26ef9cc265c4bd8d209cc44248224d71"),
        )
    }

    #[test]
    fn a_pre_master_secret_becomes_the_master_secret_that_was_seen() {
        let wanted = "442fa6899ee720887bf57842277d086c1456d58b210b98b82a2028e118ce62e4\
                      0f450d4a4fc7cd8e4b6f8b598288e20c";
        assert_eq!(seen().secret, array(wanted));
    }

    #[test]
    fn the_master_secret_becomes_the_signing_keys_that_were_seen() {
        let keys = seen().signing_keys();
        assert_eq!(keys.client, array("d42f2bb35236f7d0c40fe825a7a7d8b9ad583ccfc6b773446578c3c4367ae7b7"));
        assert_eq!(keys.server, array("29132a18087614552340d7e32aaa670677d08ba8377c74505dadf7eb0406d0a3"));
    }

    /// The signatures of the first signed REGISTER and of its 200, in the same run.
    #[test]
    fn the_signing_keys_make_the_signatures_that_were_seen() {
        let keys = seen().signing_keys();
        let call = "<SIP Communications Service><fe.contoso.example><CA71gBE55a32E7i5885m4DCFt8C67b78CFx8706x>\
                    <6><REGISTER><sip:alice@contoso.example><1145327061><sip:alice@contoso.example>";
        let sign = |key: &[u8], text: String| {
            let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(key).unwrap();
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        };
        let request = format!("<TLS-DSK><0f243f55><1>{call}<><><><>");
        assert_eq!(sign(&keys.client, request), hex("D796888947AA1C2593385BB1E463ECF3A7AA3EE6"));
        let response =
            format!("<TLS-DSK><0327CFB4><1>{call}<4A6211DF36DF89EB15621088D91E5A4D><><><7200><200>");
        assert_eq!(sign(&keys.server, response), hex("f7668016a2efa243f53110667adcc47892f26411"));
    }

    #[test]
    fn the_key_block_is_cut_as_the_suite_wants_it() {
        let block: [u8; 136] = {
            let master = seen();
            prf(&master.secret, b"key expansion", &[&master.server_random, &master.client_random])
        };
        let [client, server] = seen().directions(Suite::Aes256);
        assert_eq!((&client.mac_key[..], &server.mac_key[..]), (&block[..20], &block[20..40]));
        assert_eq!((&client.key[..], &server.key[..]), (&block[40..72], &block[72..104]));
        assert_eq!((&client.iv[..], &server.iv[..]), (&block[104..120], &block[120..136]));
        let [client, server] = seen().directions(Suite::Aes128);
        assert_eq!((&client.key[..], &server.key[..]), (&block[40..56], &block[56..72]));
        assert_eq!((&client.iv[..], &server.iv[..]), (&block[72..88], &block[88..104]));
    }
}
