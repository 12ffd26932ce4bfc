//! Checks across the parts of a lab: what belongs together fits, and what must differ does.
//!
//! They look at the tree and not at the finished [`super::Lab`], so that a mistake in one part does not hide
//! those between the others.

mod hosts;
mod parts;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::mistakes::{Mistake, Place};
use crate::yaml::reader::brief;
use crate::yaml::{Content, Entry, Mac, Node, Reader, Subnet, Value};

pub(crate) use parts::min_digits;
pub(super) use parts::{
    conditional_access, firmware, gmt_offset, identity, identity_host, line, model, password, person,
    plain_port, pool_host, pool_ports, port, provisioning_url, secs, site_domain, tenant, time_server, upn,
    verification_url,
};

/// The lab's own servers live here; no site may.
const CLOUD: Subnet = Subnet { address: Ipv4Addr::new(192, 0, 2, 0), prefix: 24 };
/// The longest name that a story may have to write.
const LONGEST_NAME: usize = 32;
/// Names that mean something else already.
const RESERVED: &[&str] = &["all", "lab", "nobody", "none"];

/// Checks everything that concerns more than one part.
pub(super) fn lab(node: &Node, reader: &mut Reader) {
    domain(node, reader);
    names(node, reader);
    accounts(node, reader);
    pools(node, reader);
    sites(node, reader);
    phones(node, reader);
    provisioning(node, reader);
    epoch(node, reader);
}

fn entries<'n>(node: &'n Node, key: &str) -> &'n [Entry] {
    node.get(key).map_or(&[], Node::entries)
}

fn text(node: Option<&Node>) -> Option<(&str, Place)> {
    match node {
        Some(Node { content: Content::Scalar { text, .. }, place }) => Some((text, *place)),
        _ => None,
    }
}

/// The value, if it is a right one; a wrong one was told when it was read.
fn quiet<T: Value>(node: Option<&Node>) -> Option<T> {
    T::read(node?, &mut Reader::default())
}

fn lab_domain(node: &Node) -> &str {
    text(node.get("domain")).map_or("contoso.example", |(domain, _)| domain)
}

fn domain(node: &Node, reader: &mut Reader) {
    if let Some((domain, place)) = text(node.get("domain")) {
        hosts::check(domain, place, "the lab's domain", reader);
    }
}

/// Names are short words, and no two parties share one: stories call them by it alone.
fn names(node: &Node, reader: &mut Reader) {
    let mut seen: BTreeMap<&str, (&str, Place)> = BTreeMap::new();
    let kinds = [
        ("people", "a person"),
        ("phones", "a phone"),
        ("sites", "a site"),
        ("pools", "a pool"),
        ("fleets", "a fleet"),
    ];
    for (key, noun) in kinds {
        for entry in entries(node, key) {
            word(&entry.key, entry.key_place, reader);
            let name = entry.key.as_str();
            if super::SERVICES.contains(&name) || RESERVED.contains(&name) {
                let title = format!("{noun} cannot be called `{name}`: the word has a meaning of its own");
                reader.wrong(Mistake::new(entry.key_place, title));
            } else if let Some((other, place)) = seen.insert(name, (noun, entry.key_place)) {
                let title = format!("`{}` is {other} already, and cannot be {noun} too", brief(name));
                let mistake = Mistake::new(entry.key_place, title).label("named again");
                reader.wrong(mistake.related(place, "first named here"));
            }
        }
    }
}

fn word(name: &str, place: Place, reader: &mut Reader) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let right = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && !name.ends_with('-')
        && name.len() <= LONGEST_NAME;
    if !right {
        let title = format!("`{}` is not a name for stories", brief(name));
        let help = format!("small letters, digits and `-`, a letter first, {LONGEST_NAME} at most");
        reader.wrong(Mistake::new(place, title).help(help));
    }
}

/// Says of two equal values that they may not be.
fn told_twice(
    seen: &mut BTreeMap<String, Place>,
    value: String,
    place: Place,
    what: &str,
    reader: &mut Reader,
) {
    if let Some(first) = seen.get(&value) {
        let mistake = Mistake::new(place, format!("{what} `{}` is given twice", brief(&value)));
        reader.wrong(mistake.label("here again").related(*first, "first given here"));
        return;
    }
    seen.insert(value, place);
}

fn accounts(node: &Node, reader: &mut Reader) {
    let domain = lab_domain(node).to_owned();
    let (mut upns, mut lines) = (BTreeMap::new(), BTreeMap::new());
    for entry in entries(node, "people").iter().chain(entries(node, "fleets")) {
        if let Some((upn, place)) = text(entry.value.get("upn")) {
            told_twice(&mut upns, upn.to_lowercase(), place, "the sign-in name", reader);
            if let Some((_, of)) = upn.rsplit_once('@')
                && !of.eq_ignore_ascii_case(&domain)
            {
                let title = format!("`{}` is not in the lab's domain", brief(upn));
                let local = upn.split('@').next().unwrap_or_default();
                let mistake =
                    Mistake::new(place, title).label(format!("for example `{}@{domain}`", brief(local)));
                reader.wrong(mistake);
            }
        }
        if let Some((line, place)) = text(entry.value.get("line")) {
            told_twice(&mut lines, line.to_owned(), place, "the line", reader);
        }
        if let Some((pool, place)) = text(entry.value.get("pool")) {
            let _ = reader.check(crate::yaml::Kind::Pool, pool, place);
        }
    }
}

fn pools(node: &Node, reader: &mut Reader) {
    if let (Some(pool), Some(pools)) = (node.get("pool"), node.get("pools")) {
        let mistake = Mistake::new(pools.place, "a lab has `pool` or `pools`, not both");
        reader.wrong(mistake.related(pool.place, "the pool").help("move it under `pools`, by the name `fe`"));
    }
    let domain = lab_domain(node).to_owned();
    let mut seen = BTreeMap::new();
    let identity = text(node.get("identity").and_then(|identity| identity.get("host")));
    let single = node.get("pool").and_then(|pool| text(pool.get("host")));
    let several = entries(node, "pools").iter().filter_map(|entry| text(entry.value.get("host")));
    for (host, place) in identity.into_iter().chain(single).chain(several) {
        told_twice(&mut seen, host.to_lowercase(), place, "the host name", reader);
        if !host.to_lowercase().ends_with(&format!(".{}", domain.to_lowercase())) {
            let title = format!("`{}` is not a host in the lab's domain", brief(host));
            reader.wrong(Mistake::new(place, title).label(format!("for example `fe.{domain}`")));
        }
    }
}

fn sites(node: &Node, reader: &mut Reader) {
    let mut seen: Vec<(&str, Subnet, Place)> = Vec::new();
    for entry in entries(node, "sites") {
        let Some(written) = entry.value.get("subnet") else { continue };
        let Some(subnet) = quiet::<Subnet>(Some(written)) else { continue };
        if subnet.prefix > 22 {
            let mistake = Mistake::new(written.place, format!("{subnet} is too small for a site"));
            reader.wrong(mistake.help("servers, computers and phones each have a block: a /22 or larger"));
        }
        if subnet.overlaps(CLOUD) {
            let title = format!("{subnet} overlaps {CLOUD}, where the lab's own servers are");
            reader.wrong(Mistake::new(written.place, title));
        }
        let private = [("10.0.0.0", 8), ("172.16.0.0", 12), ("192.168.0.0", 16), ("100.64.0.0", 10)];
        let inside = private.iter().any(|(address, prefix)| {
            let address = address.parse().expect("written above");
            let block = Subnet { address, prefix: *prefix };
            block.contains(subnet.address) && block.contains(subnet.last())
        });
        if !inside {
            let mistake = Mistake::new(written.place, format!("{subnet} is not a private network"));
            reader.wrong(mistake.help("take one in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 (RFC 1918)"));
        }
        if let Some((other, with, place)) = seen.iter().find(|(_, other, _)| other.overlaps(subnet)) {
            let other = brief(other);
            let title = format!("{subnet} overlaps {with} of `{other}`");
            reader.wrong(
                Mistake::new(written.place, title).related(*place, format!("the network of `{other}`")),
            );
        }
        seen.push((&entry.key, subnet, written.place));
    }
}

fn phones(node: &Node, reader: &mut Reader) {
    let mut seen = BTreeMap::new();
    for entry in entries(node, "phones").iter().chain(entries(node, "fleets")) {
        if let Some((site, place)) = text(entry.value.get("site")) {
            let _ = reader.check(crate::yaml::Kind::Site, site, place);
        }
        if let Some(mac) = quiet::<Mac>(entry.value.get("mac")) {
            let place = entry.value.get("mac").map_or(entry.value.place, |mac| mac.place);
            told_twice(&mut seen, mac.to_string(), place, "the hardware address", reader);
        }
    }
}

fn provisioning(node: &Node, reader: &mut Reader) {
    for entry in entries(node, "provisioning") {
        let name = &entry.key;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(plain) {
            let title = format!("`{}` is not a file name that a phone asks for", brief(name));
            let mistake = Mistake::new(entry.key_place, title);
            reader.wrong(mistake.help("letters, digits, `.`, `-` and `_`: `000000000000.cfg`"));
        }
    }
}

fn epoch(node: &Node, reader: &mut Reader) {
    let written = node.get("epoch");
    let (Some(epoch), Some(written)) = (quiet::<net::Wall>(written), written) else { return };
    let year = epoch.date_time().year();
    if !(2000..=2099).contains(&year) {
        let title = format!("the lab cannot open in {year}");
        reader.wrong(Mistake::new(written.place, title).label("from 2000 to 2099"));
    }
}
