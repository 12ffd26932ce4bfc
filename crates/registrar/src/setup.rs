//! What a pool is built from.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use net::tls::{ServerTls, Trust};
use net::{Crypto, Random, WallClock};
use pki::Authority;
use sip::digest::Algorithm;

use crate::accounts::fleet::Fleet;
use crate::accounts::{Account, PasswordCost};
use crate::sip::inner::InnerKey;

/// The identity service whose access tokens the pool takes: known by address, trust and published keys only.
#[derive(Clone, Debug)]
pub struct IdentityService {
    /// Its host name, which its certificate must prove: `login.contoso.example`.
    pub host: String,
    /// Where it listens.
    pub address: IpAddr,
    /// Its HTTPS port, usually 443.
    pub port: u16,
    /// Path of its published keys (RFC 7517): `/common/discovery/keys`.
    pub keys_path: String,
    /// The `iss` values that count.
    pub issuers: Vec<String>,
    /// The `aud` values that mean this pool.
    pub audiences: Vec<String>,
    /// Whose word counts for its TLS certificate.
    pub trust: Trust,
}

/// What a pool is built from.
#[derive(Debug)]
pub struct Setup {
    /// Its name in the story.
    pub name: String,
    /// Its host name: `fe.contoso.example`. The TLS-DSK `targetname` and the host of every URL it hands out.
    pub host: String,
    /// The SIP domain it serves: `contoso.example`.
    pub domain: String,
    /// Its static address.
    pub address: IpAddr,
    /// What it believes the date is.
    pub clock: WallClock,
    /// Its chance.
    pub random: Random,
    /// The cryptography of its world.
    pub crypto: Crypto,
    /// What it shows at its TLS ports. It must be good for `host` and for the autodiscover names of the domain.
    pub tls: Arc<ServerTls>,
    /// Who signs the client certificates it issues; its root is what phones download.
    pub authority: Authority,
    /// The RSA key that it shows to clients which know no newer TLS than 1.0 inside TLS-DSK; `None` refuses them.
    pub inner_key: Option<InnerKey>,
    /// Whose access tokens it takes; `None` takes none.
    pub identity: Option<IdentityService>,
    /// Modern authentication: the `authorization_uri` it sends clients to; `None` offers only HTTP Basic.
    pub modern_auth: Option<String>,
    /// Whether the HTTP Basic way to a web ticket is open. It may be beside the modern one: each has a port of its
    /// own, and clients take the one that they know.
    pub basic_auth: bool,
    /// Who is known here.
    pub accounts: Vec<Account>,
    /// How much work a pool password costs that an administrator sets; those of `accounts` should be of this cost
    /// as well, or a stranger can tell who is known by the time an answer takes.
    pub password_cost: PasswordCost,
    /// How long an issued client certificate lives; 180 days in a real pool. Taken as 8 hours if shorter: clients ask
    /// again and again for one that is about to end. Taken as 365 days if longer.
    pub certificate_life: Duration,
    /// How long a web ticket lives; 8 hours in a real pool.
    pub ticket_life: Duration,
    /// The longest registration it grants, in whole seconds.
    pub registration_life: Duration,
    /// The SIP over TLS port, usually 5061.
    pub sip_port: u16,
    /// Makes clients honest: shorter lives, random realm and paths, refused good nonces.
    pub strict: bool,
    /// Where ordinary SIP user agents are served, which prove themselves by digest; `None` serves none.
    pub plain_sip: Option<PlainSip>,
    /// Many accounts more, that go by a pattern.
    pub fleet: Option<Fleet>,
    /// Whether bindings are written to the disk, so that they outlive the power. Without, a REGISTER waits for nothing.
    pub keeps_bindings: bool,
}

/// Where ordinary SIP user agents are served (RFC 3261, RFC 7118): the ports, and whether the TLS port is theirs too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlainSip {
    /// SIP over UDP.
    pub udp: Option<u16>,
    /// SIP over TCP.
    pub tcp: Option<u16>,
    /// Whether the pool's SIP over TLS port serves clients without an endpoint identifier by digest.
    pub tls: bool,
    /// SIP over WebSocket.
    pub ws: Option<u16>,
    /// SIP over WebSocket over TLS.
    pub wss: Option<u16>,
    /// Which proofs of a password are asked for.
    pub digest: DigestOffer,
}

/// Which digest algorithms a pool offers. RFC 8760 wants a client to skip what it does not know, but older ones give up
/// at the first challenge that is not MD5, wherever it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestOffer {
    /// SHA-256 and behind it MD5 (RFC 8760 §2.4).
    Both,
    /// MD5 alone.
    Md5,
    /// SHA-256 alone.
    Sha256,
    /// None: whoever says to be somebody is believed. For measuring what the rest costs, and for peers that do the same.
    None,
}

impl DigestOffer {
    /// The algorithms, the preferred one first.
    pub fn algorithms(self) -> Vec<Algorithm> {
        match self {
            DigestOffer::Both => vec![Algorithm::SHA_256, Algorithm::MD5],
            DigestOffer::Md5 => vec![Algorithm::MD5],
            DigestOffer::Sha256 => vec![Algorithm::SHA_256],
            DigestOffer::None => Vec::new(),
        }
    }
}

impl PlainSip {
    /// Both digests, and the usual ports: 5060 for UDP and TCP, TLS shared, and 5066 and 7443, which no standard names, for WebSocket.
    pub const USUAL: PlainSip = PlainSip {
        udp: Some(5060),
        tcp: Some(5060),
        tls: true,
        ws: Some(5066),
        wss: Some(7443),
        digest: DigestOffer::Both,
    };
}

impl Setup {
    /// A pool with nobody in it: the usual lives and port, passwords by HTTP Basic, no tokens, no plain SIP. It serves
    /// the domain that its host name is in.
    pub fn new(
        name: &str,
        host: &str,
        address: IpAddr,
        clock: WallClock,
        random: Random,
        tls: Arc<ServerTls>,
        authority: Authority,
    ) -> Setup {
        Setup {
            name: name.to_owned(),
            host: host.to_owned(),
            domain: host.split_once('.').map_or(host, |(_, domain)| domain).to_owned(),
            address,
            clock,
            random,
            crypto: Crypto::Seeded,
            tls,
            authority,
            inner_key: None,
            identity: None,
            modern_auth: None,
            basic_auth: true,
            accounts: Vec::new(),
            password_cost: PasswordCost::Light,
            certificate_life: Setup::CERTIFICATE_LIFE,
            ticket_life: Setup::TICKET_LIFE,
            registration_life: Setup::REGISTRATION_LIFE,
            sip_port: Setup::SIP_PORT,
            strict: false,
            plain_sip: None,
            fleet: None,
            keeps_bindings: true,
        }
    }

    /// The default life of a client certificate: 180 days.
    pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(180 * 24 * 3600);
    /// The default life of a web ticket: 8 hours.
    pub const TICKET_LIFE: Duration = Duration::from_secs(8 * 3600);
    /// The default longest registration: 10 minutes.
    pub const REGISTRATION_LIFE: Duration = Duration::from_secs(600);
    /// The SIP over TLS port (RFC 3261 §19.1.2).
    pub const SIP_PORT: u16 = 5061;
}
