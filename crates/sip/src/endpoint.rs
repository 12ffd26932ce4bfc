//! Endpoints: the epid, the instance UUID made of it, and the GRUU made of that.
//!
//! An endpoint is one device of one user. Its epid (MS-SIPRE §2.2.1) is a short token that the device makes up
//! once; the instance UUID follows from it (MS-SIPRE §3.2.5.1), so that a registrar can check one by the other.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use sha1::{Digest as _, Sha1};
use thiserror::Error;

use crate::uri::Uri;
use crate::value::is_token;

/// The longest epid, in characters. The number is a guess: no published text states it.
pub const EPID_MAX: usize = 16;

/// Name space of instance UUIDs, `fcacfb03-8a73-46ef-91b1-e5ebeeaba4fe`, in GUID byte order.
const NAME_SPACE: [u8; 16] =
    [0x03, 0xfb, 0xac, 0xfc, 0x73, 0x8a, 0xef, 0x46, 0x91, 0xb1, 0xe5, 0xeb, 0xee, 0xab, 0xa4, 0xfe];

/// Whether `text` can be an epid: a token of at most [`EPID_MAX`] characters.
pub fn is_epid(text: &str) -> bool {
    is_token(text) && text.len() <= EPID_MAX
}

/// An epid of 12 hexadecimal digits for a name that is unique among endpoints, such as user and MAC address.
pub fn epid_of(name: &str) -> String {
    let digest = Sha1::digest(name.as_bytes());
    digest[14..].iter().map(|b| format!("{b:02x}")).collect()
}

/// Why what a client says of its endpoint is not believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// It names neither epid nor instance (MS-SIPREGE §3.1.2.5.1).
    #[error("neither epid nor +sip.instance")]
    Missing,
    /// The epid is no token or too long.
    #[error("`{0}` is no epid")]
    NotEpid(String),
    /// The instance is no UUID.
    #[error("`{0}` is no instance UUID")]
    NotInstance(String),
    /// The instance does not follow from the epid (MS-SIPAE §3.3.5.2).
    #[error("instance {presented} does not belong to epid {epid}, {derived} does")]
    Mismatch {
        /// The epid.
        epid: String,
        /// The instance that was presented.
        presented: Instance,
        /// The instance that follows from the epid.
        derived: Instance,
    },
}

/// The endpoint that a client presents by the `epid` of its From and the `+sip.instance` of its Contact.
///
/// # Errors
///
/// If neither is there, one is not what it must be, or they do not belong together.
pub fn identify(epid: Option<&str>, sip_instance: Option<&str>) -> Result<Instance, EndpointError> {
    let presented = sip_instance
        .map(|text| Instance::parse(text).ok_or_else(|| EndpointError::NotInstance(text.to_owned())))
        .transpose()?;
    match (epid, presented) {
        (None, None) => Err(EndpointError::Missing),
        (None, Some(instance)) => Ok(instance),
        (Some(epid), _) if !is_epid(epid) => Err(EndpointError::NotEpid(epid.to_owned())),
        (Some(epid), presented) => {
            let derived = Instance::of_epid(epid);
            match presented {
                Some(presented) if presented != derived => {
                    Err(EndpointError::Mismatch { epid: epid.to_owned(), presented, derived })
                }
                _ => Ok(derived),
            }
        }
    }
}

/// The UUID of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(
    /// In GUID byte order: the first three fields little-endian.
    [u8; 16],
);

impl Instance {
    /// The instance that belongs to `epid`.
    pub fn of_epid(epid: &str) -> Instance {
        let mut hash = Sha1::new();
        hash.update(NAME_SPACE);
        hash.update(epid.as_bytes());
        let digest = hash.finalize();
        let mut guid = [0; 16];
        guid.copy_from_slice(&digest[..16]);
        // Version 5 and variant of RFC 4122, in the little-endian layout.
        guid[7] = guid[7] & 0x0f | 0x50;
        guid[8] = guid[8] & 0x3f | 0x80;
        Instance(guid)
    }

    /// Reads a UUID as headers and web services write it: plain, in braces, as `urn:uuid:`, in angle brackets or
    /// quotes.
    pub fn parse(text: &str) -> Option<Instance> {
        let mut text = text.trim();
        for (open, close) in [("\"", "\""), ("<", ">"), ("{", "}")] {
            text = text.strip_prefix(open).and_then(|t| t.strip_suffix(close)).unwrap_or(text);
        }
        if let Some((urn, uuid)) = text.split_at_checked("urn:uuid:".len())
            && urn.eq_ignore_ascii_case("urn:uuid:")
        {
            text = uuid;
        }
        let groups: Vec<&str> = text.split('-').collect();
        if groups.iter().map(|g| g.len()).ne([8, 4, 4, 4, 12]) {
            return None;
        }
        let digits = groups.concat();
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let number = u128::from_str_radix(&digits, 16).ok()?;
        Some(Instance(swap_fields(number.to_be_bytes())))
    }

    /// The value of `+sip.instance` on a Contact (RFC 5626 §4.1), quotes included.
    pub fn sip_instance(&self) -> String {
        format!("\"<urn:uuid:{self}>\"")
    }

    /// As web services name the device: in braces.
    pub fn device_id(&self) -> String {
        format!("{{{self}}}")
    }

    /// The endpoint's part of a GRUU: 24 characters.
    pub fn gruu_id(&self) -> String {
        let mut octets = [0; 18];
        octets[..16].copy_from_slice(&self.0);
        URL_SAFE.encode(octets)
    }

    /// The endpoint that a GRUU leads to.
    pub fn of_gruu(uri: &Uri<'_>) -> Option<Instance> {
        let id = uri.params.get("opaque")?.strip_prefix("user:epid:")?;
        if !uri.params.has("gruu") {
            return None;
        }
        let octets = URL_SAFE_NO_PAD.decode(id.trim_end_matches('=')).ok()?;
        let (guid, rest) = octets.split_first_chunk::<16>()?;
        (rest == [0, 0]).then_some(Instance(*guid))
    }

    /// The GRUU of this endpoint for the user whose address is `user` (`sip:alice@contoso.example`), in the form
    /// of MS-SIPREGE's example.
    pub fn gruu(&self, user: &str) -> String {
        format!("{user};opaque=user:epid:{};gruu", self.gruu_id())
    }
}

/// Between RFC 4122 order and GUID order, either way.
fn swap_fields(mut octets: [u8; 16]) -> [u8; 16] {
    octets[..4].reverse();
    octets[4..6].reverse();
    octets[6..8].reverse();
    octets
}

impl std::fmt::Display for Instance {
    /// Lower case, without braces.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hex = format!("{:032x}", u128::from_be_bytes(swap_fields(self.0)));
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instance({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_follows_from_its_epid() {
        for (epid, uuid, gruu) in [
            ("d8d053f0ae7f", "90d996f0-7299-5868-a49b-0ead64bc43e3", Some("8JbZkJlyaFikmw6tZLxD4wAA")),
            ("01010101", "4b1682a8-f968-5701-83fc-7c6741dc6697", None),
            ("0123456789", "5e5c2644-a457-508f-8e27-680c7b557b04", None),
        ] {
            let instance = Instance::of_epid(epid);
            assert_eq!(instance.to_string(), uuid);
            assert_eq!(Instance::parse(uuid), Some(instance));
            if let Some(gruu) = gruu {
                assert_eq!(instance.gruu_id(), gruu);
            }
        }
    }

    #[test]
    fn a_gruu_follows_from_its_instance() {
        for (uuid, gruu) in [
            ("c1589240-e660-594f-a8b3-4b55f358cbc1", "QJJYwWDmT1mos0tV81jLwQAA"),
            ("34d859db-6585-5f91-a3b4-de853c15347d", "21nYNIVlkV-jtN6FPBU0fQAA"),
        ] {
            assert_eq!(Instance::parse(uuid).unwrap().gruu_id(), gruu);
        }
        let instance = Instance::of_epid("d8d053f0ae7f");
        assert_eq!(
            instance.gruu("sip:alice@contoso.example"),
            "sip:alice@contoso.example;opaque=user:epid:8JbZkJlyaFikmw6tZLxD4wAA;gruu"
        );
    }

    #[test]
    fn a_uuid_is_read_in_every_dress_it_wears() {
        let plain = Instance::parse("90d996f0-7299-5868-a49b-0ead64bc43e3");
        assert!(plain.is_some());
        for dressed in [
            "{90D996F0-7299-5868-A49B-0EAD64BC43E3}",
            "<urn:uuid:90d996f0-7299-5868-a49b-0ead64bc43e3>",
            "\"<URN:UUID:90d996f0-7299-5868-a49b-0ead64bc43e3>\"",
        ] {
            assert_eq!(Instance::parse(dressed), plain, "{dressed}");
        }
        for wrong in
            ["", "{}", "90d996f072995868a49b0ead64bc43e3", "+0d996f0-7299-5868-a49b-0ead64bc43e3", "é"]
        {
            assert_eq!(Instance::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_gruu_leads_back_to_its_endpoint() {
        let instance = Instance::of_epid("01010101");
        let gruu = instance.gruu("sip:alice@contoso.example");
        assert_eq!(Instance::of_gruu(&Uri::parse(&gruu).unwrap()), Some(instance));
        for other in [
            "sip:alice@contoso.example",
            "sip:alice@contoso.example;opaque=user:epid:8JbZkJlyaFikmw6tZLxD4wAA",
            "sip:alice@contoso.example;opaque=user:epid:8JbZkJlyaFikmw6tZLxD4wAB;gruu",
            "sip:alice@contoso.example;opaque=user:epid:8JbZ;gruu",
            "sip:alice@contoso.example;opaque=app:conf;gruu",
        ] {
            assert_eq!(Instance::of_gruu(&Uri::parse(other).unwrap()), None, "{other}");
        }
    }

    #[test]
    fn an_endpoint_is_believed_if_its_names_belong_together() {
        let instance = Instance::of_epid("d8d053f0ae7f");
        let urn = "<urn:uuid:90d996f0-7299-5868-a49b-0ead64bc43e3>";
        assert_eq!(identify(Some("d8d053f0ae7f"), Some(urn)), Ok(instance));
        assert_eq!(identify(Some("d8d053f0ae7f"), None), Ok(instance));
        assert_eq!(identify(None, Some(urn)), Ok(instance));
        assert_eq!(identify(None, None), Err(EndpointError::Missing));
        assert_eq!(identify(Some("x y"), Some(urn)), Err(EndpointError::NotEpid("x y".to_owned())));
        assert_eq!(identify(None, Some("x")), Err(EndpointError::NotInstance("x".to_owned())));
        assert!(matches!(identify(Some("01010101"), Some(urn)), Err(EndpointError::Mismatch { .. })));
    }

    #[test]
    fn an_epid_is_a_short_token() {
        assert_eq!(epid_of("sip:alice@contoso.example:host:192.0.2.10").len(), 12);
        assert!(is_epid("0123456789abcdef"));
        assert!(!is_epid("0123456789abcdef0"));
        assert!(!is_epid("a;b"));
        assert!(!is_epid(""));
    }
}
