//! Reads numbers and vectors of TLS messages (RFC 5246 §4); `None` where the octets end too early.

/// What is left to read.
#[derive(Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads from the first of `octets`.
    pub(super) fn new(octets: &'a [u8]) -> Reader<'a> {
        Reader(octets)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many octets are left.
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    /// `None` if something is left.
    pub(super) fn end(&self) -> Option<()> {
        self.is_empty().then_some(())
    }

    /// The next `len` octets.
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next `N` octets.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// The next octet.
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    /// A vector with its length in one octet.
    pub(super) fn vector8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(len.into())
    }

    /// A vector with its length in two octets.
    pub(super) fn vector16(&mut self) -> Option<&'a [u8]> {
        let len = u16::from_be_bytes(self.array()?);
        self.take(len.into())
    }

    /// A vector with its length in three octets.
    pub(super) fn vector24(&mut self) -> Option<&'a [u8]> {
        let [a, b, c] = self.array()?;
        self.take(u32::from_be_bytes([0, a, b, c]) as usize)
    }
}
