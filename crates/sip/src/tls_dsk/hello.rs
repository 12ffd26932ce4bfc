//! The client's hello (RFC 5246 §7.4.1.2), read before an engine is chosen, and the choice.

use super::reader::Reader;
use super::{DskError, records};

/// The type of the message.
const CLIENT_HELLO: u8 = 1;
/// TLS 1.2, as hellos write it.
const TLS_1_2: [u8; 2] = [3, 3];
/// "I would speak a newer version, but that failed" (RFC 7507).
const FALLBACK_SCSV: u16 = 0x5600;
/// "I know of secure renegotiation" (RFC 5746 §3.3), said by suite …
const RENEGOTIATION_SCSV: u16 = 0x00FF;
/// … or said by extension (RFC 5746 §3.2).
pub(super) const RENEGOTIATION_INFO: u16 = 0xFF01;

/// What a client's hello says, as far as this side acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientHello {
    /// The newest version the client speaks.
    pub version: [u8; 2],
    /// The client's random.
    pub random: [u8; 32],
    /// The suites, the client's favourite first.
    pub suites: Vec<u16>,
    /// Whether the client takes records that are not compressed, as it must.
    pub takes_uncompressed: bool,
    /// Whether the client wants to hear of secure renegotiation.
    pub knows_renegotiation: bool,
}

impl ClientHello {
    /// Reads a flight that is one hello and nothing else. Returns the hello, and the message as a transcript keeps
    /// it.
    pub(super) fn read(flight: &[u8]) -> Result<(ClientHello, Vec<u8>), DskError> {
        let message = records::handshake_payload(&records::split(flight)?)?;
        let hello = ClientHello::parse(&message).ok_or(DskError::NotMessages("not one client hello"))?;
        Ok((hello, message))
    }

    fn parse(message: &[u8]) -> Option<ClientHello> {
        let mut reader = Reader::new(message);
        if reader.u8()? != CLIENT_HELLO {
            return None;
        }
        let mut body = Reader::new(reader.vector24()?);
        reader.end()?;
        let version = body.array()?;
        let random = body.array()?;
        let session_id = body.vector8()?;
        let suites = body.vector16()?;
        let compressions = body.vector8()?;
        if session_id.len() > 32 || suites.is_empty() || !suites.len().is_multiple_of(2) {
            return None;
        }
        let suites: Vec<u16> =
            suites.chunks_exact(2).map(|suite| u16::from_be_bytes([suite[0], suite[1]])).collect();
        let mut knows_renegotiation = suites.contains(&RENEGOTIATION_SCSV);
        // A hello of TLS 1.0 may end here; what follows is one vector of extensions (RFC 4366 §2.1).
        if !body.is_empty() {
            let mut extensions = Reader::new(body.vector16()?);
            body.end()?;
            while !extensions.is_empty() {
                let kind = u16::from_be_bytes(extensions.array()?);
                extensions.vector16()?;
                knows_renegotiation |= kind == RENEGOTIATION_INFO;
            }
        }
        Some(ClientHello {
            version,
            random,
            suites,
            takes_uncompressed: compressions.contains(&0),
            knows_renegotiation,
        })
    }

    /// Whether the client knows nothing newer than TLS 1.1, or nothing of TLS 1.2 that this side knows too.
    pub(super) fn is_old(&self, modern_suites: &[u16]) -> bool {
        self.version < TLS_1_2 || !self.suites.iter().any(|suite| modern_suites.contains(suite))
    }

    /// Whether the client claims to know nothing newer than TLS 1.1.
    pub(super) fn claims_to_be_old(&self) -> bool {
        self.version < TLS_1_2
    }

    /// Whether the client says that it would speak a newer version (RFC 7507): then somebody cut its first try.
    pub(super) fn has_fallen_back(&self) -> bool {
        self.claims_to_be_old() && self.suites.contains(&FALLBACK_SCSV)
    }
}
