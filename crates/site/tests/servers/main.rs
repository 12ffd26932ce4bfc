//! The office network's servers, seen from outside: a packet at a time in, exact packets out.

mod bench;
mod dhcp;
mod dns;
mod network;
mod ntp;
mod provisioning;

use std::collections::BTreeSet;

#[test]
fn every_event_is_published_once_and_in_kebab_case() {
    let names: BTreeSet<&str> = site::events::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), site::events::ALL.len());
    assert!(names.iter().all(|name| name.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'-')));
    assert!(site::events::ALL.iter().all(|(_, meaning)| !meaning.is_empty()));
}
