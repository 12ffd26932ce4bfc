//! The address lease (RFC 2131) and what came with it.

/// What DHCP says to clients of class `MS-UC-Client` (options 43 and 120).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UcClient {
    /// The certificate provisioning service, put together from the parts below.
    pub sts_url: Option<String>,
    /// Sub-option 3.
    pub host: Option<String>,
    /// Sub-option 4.
    pub port: Option<u16>,
    /// Sub-option 5.
    pub path: Option<String>,
    /// Option 120: the registrar's name.
    pub registrar: Option<String>,
}

/// The lease and its upkeep.
#[derive(Debug)]
pub struct Lease {}
