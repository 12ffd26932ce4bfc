//! The pool, and what it tells phones.

use std::time::Duration;

use super::check;
use super::identity::ConditionalAccess;
use crate::yaml::Located;
use crate::yaml::record::{record, words};

record! {
    /// A pool: autodiscover, web tickets, certificates, registration.
    "a pool" pub struct Pool {
        /// Its host name.
        "host" host: Located<String> => check::pool_host,
        /// The port of SIP over TLS.
        "sip" sip: u16 = 5061 => check::port,
        /// How long the certificates live that it gives to phones.
        "certificate-life" certificate_life: Duration = Duration::from_secs(180 * 86_400)
            => check::secs(60, 3650 * 86_400),
        /// The longest registration that it grants.
        "registration" registration: Duration = Duration::from_secs(2 * 3600) => check::secs(60, 86_400),
        /// Whether its web services take tokens of the identity service.
        "modern-auth" modern_auth: bool = true,
        /// Whether its web services take passwords over HTTP Basic as well, second factor or not: clients such as
        /// pidgin-sipe know no other way. Without modern authentication they always do.
        "basic-auth" basic_auth: bool = true,
        /// Whether it makes phones honest: stale nonces, shorter expiries, paths that move.
        "strict" strict: bool = false,
        /// Where it serves ordinary SIP user agents, such as softphones, by their passwords; `{}` means the usual
        /// ports. Without this key it serves none.
        "plain-sip" plain_sip: Option<PlainSip>,
    }
    check check::pool_ports
}

record! {
    /// Where ordinary SIP user agents are served. A port of 0 is not opened.
    "`plain-sip`" pub struct PlainSip {
        /// The port of SIP over UDP.
        "udp" udp: u16 = 5060 => check::plain_port,
        /// The port of SIP over TCP.
        "tcp" tcp: u16 = 5060 => check::plain_port,
        /// Whether they are served at the pool's own port of SIP over TLS too.
        "tls" tls: bool = true,
        /// The port of SIP over WebSocket.
        "ws" ws: u16 = 5066 => check::plain_port,
        /// The port of SIP over WebSocket over TLS.
        "wss" wss: u16 = 7443 => check::plain_port,
        /// Which proofs of a password it asks for: `both`, `md5`, `sha-256`, or `none`, which believes everybody. Older
        /// softphones give up at a challenge that is not MD5.
        "digest" digest: DigestOffer = DigestOffer::Both,
    }
}

words! {
    /// Which digest algorithms a pool offers.
    "a digest offer" pub enum DigestOffer {
        /// SHA-256 first, then MD5.
        "both" Both,
        /// MD5 alone.
        "md5" Md5,
        /// SHA-256 alone.
        "sha-256" Sha256,
        /// None at all: whoever says to be somebody is believed. For measuring; never where strangers reach the pool.
        "none" None,
    }
}

impl Pool {
    /// Whether a password alone buys a web ticket.
    pub fn takes_passwords(&self) -> bool {
        self.basic_auth || !self.modern_auth
    }
}

record! {
    /// Policies of the tenant.
    "`policies`" pub struct Policies {
        /// What the pool tells phones about their lock.
        "phone-lock" phone_lock: PhoneLock = PhoneLock::standard(),
        /// The conditional access rules of the identity service.
        "conditional-access" conditional_access: Vec<ConditionalAccess>,
    }
}

impl Policies {
    /// What they are when `lab.yaml` says nothing.
    pub fn standard() -> Policies {
        Policies { phone_lock: PhoneLock::standard(), conditional_access: Vec::new() }
    }
}

record! {
    /// What the pool tells phones about their lock.
    "`phone-lock`" pub struct PhoneLock {
        /// Whether phones must be locked by a code.
        "enforce" enforce: bool = true,
        /// The fewest digits of a code: 4 to 15.
        "min-digits" min_digits: u8 = 6 => check::min_digits,
        /// How long a phone waits before it locks itself: less than an hour.
        "idle" idle: Duration = Duration::from_secs(10 * 60) => check::secs(60, 3599),
    }
}

impl PhoneLock {
    /// What it is when `lab.yaml` says nothing.
    pub fn standard() -> PhoneLock {
        PhoneLock { enforce: true, min_digits: 6, idle: Duration::from_secs(10 * 60) }
    }
}
