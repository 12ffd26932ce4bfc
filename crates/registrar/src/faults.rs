//! Faults: answers that a story has asked to go wrong.

use std::collections::BTreeMap;

/// A kind of exchange whose next answers can be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exchange {
    /// Autodiscover documents.
    Discovery,
    /// Service metadata (WSDL).
    Metadata,
    /// Web tickets.
    WebTicket,
    /// Client certificates.
    Certificate,
    /// The anonymous root chain download.
    RootChain,
    /// SIP REGISTER.
    Register,
    /// SIP SUBSCRIBE.
    Subscribe,
}

impl Exchange {
    /// The exchange of this name in a story: `discovery`, `web-ticket`, `certificate` …
    pub fn named(name: &str) -> Option<Exchange> {
        Exchange::ALL.iter().find(|(known, _)| *known == name).map(|(_, exchange)| *exchange)
    }

    /// Every exchange with its name in a story.
    pub const ALL: &[(&str, Exchange)] = &[
        ("discovery", Exchange::Discovery),
        ("metadata", Exchange::Metadata),
        ("web-ticket", Exchange::WebTicket),
        ("certificate", Exchange::Certificate),
        ("root-chain", Exchange::RootChain),
        ("register", Exchange::Register),
        ("subscribe", Exchange::Subscribe),
    ];
}

/// The answers that are still to go wrong.
#[derive(Debug, Default)]
pub struct Faults(BTreeMap<Exchange, (u32, u16)>);

impl Faults {
    /// Answers the next `count` exchanges of this kind with `status`, whatever they ask.
    pub fn answer_next(&mut self, exchange: Exchange, count: u32, status: u16) {
        self.0.insert(exchange, (count, status));
    }

    /// The status that the next exchange of this kind is to be answered with, without counting down.
    pub fn peek(&self, exchange: Exchange) -> Option<u16> {
        self.0.get(&exchange).map(|(_, status)| *status)
    }

    /// The status that this exchange must be answered with, if it is to go wrong; counts down.
    pub fn take(&mut self, exchange: Exchange) -> Option<u16> {
        let (left, status) = self.0.get_mut(&exchange)?;
        let status = *status;
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.0.remove(&exchange);
        }
        Some(status)
    }
}
