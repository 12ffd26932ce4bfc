//! Checks inside one part of a lab: each looks at one value where it is read.

use std::time::Duration;

use super::*;
use crate::lab_file::{ConditionalAccess, Identity, Person, PersonKind, Pool, Role, Rule, Secret};
use crate::yaml::{Kind, Located, Shift};

/// The longest sign-in name that a phone takes.
const LONGEST_UPN: usize = 45;
/// The longest password that the identity service takes.
const LONGEST_PASSWORD: usize = 128;

type Checked = Option<()>;

fn wrong(node: &Node, title: impl Into<String>, reader: &mut Reader) -> Checked {
    reader.wrong(Mistake::new(node.place, title));
    None
}

fn wrong_at(node: &Node, key: &str, title: impl Into<String>, reader: &mut Reader) -> Checked {
    wrong(node.get(key).unwrap_or(node), title, reader)
}

/// Spans from `least` to `most` seconds.
pub(in crate::lab_file) fn secs(least: u64, most: u64) -> impl Fn(&Duration, &Node, &mut Reader) -> Checked {
    move |value, node, reader| {
        let (least, most) = (Duration::from_secs(least), Duration::from_secs(most));
        if (least..=most).contains(value) {
            return Some(());
        }
        let title = format!("a span from {} to {} is wanted here", written(least), written(most));
        wrong(node, title, reader)
    }
}

/// A span as it is written in a file.
fn written(span: Duration) -> String {
    let secs = span.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    match units.iter().find(|(unit, _)| secs > 0 && secs.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", secs / unit),
        None => format!("{secs}s"),
    }
}

pub(in crate::lab_file) fn upn(upn: &Located<String>, node: &Node, reader: &mut Reader) -> Checked {
    let upn = &upn.value;
    let local = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
    let shaped = upn.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty() && name.chars().all(local) && !domain.is_empty() && !domain.contains('@')
    });
    if shaped && upn.len() <= LONGEST_UPN {
        return Some(());
    }
    let mistake = Mistake::new(node.place, format!("`{}` is not a sign-in name", brief(upn)));
    let help = format!("for example `alice@contoso.example`; {LONGEST_UPN} characters at most");
    reader.wrong(mistake.help(help));
    None
}

pub(in crate::lab_file) fn line(line: &Option<Located<String>>, node: &Node, reader: &mut Reader) -> Checked {
    let Some(Located { value: line, .. }) = line else { return Some(()) };
    let digits = line.strip_prefix('+').unwrap_or("");
    if (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Some(());
    }
    let mistake = Mistake::new(node.place, format!("`{}` is not a telephone number", brief(line)));
    reader.wrong(mistake.label("`+` and 7 to 15 digits, such as `+15550101`"));
    None
}

pub(in crate::lab_file) fn password(password: &Option<Secret>, node: &Node, reader: &mut Reader) -> Checked {
    let length = password.as_ref().map_or(1, |password| password.reveal().len());
    match (1..=LONGEST_PASSWORD).contains(&length) {
        true => Some(()),
        false => wrong(node, format!("a password has 1 to {LONGEST_PASSWORD} characters"), reader),
    }
}

pub(in crate::lab_file) fn person(person: &Person, node: &Node, reader: &mut Reader) -> Checked {
    if person.password.is_none() && person.kind == PersonKind::Person {
        let mistake = Mistake::new(node.place, "a person needs `password`").label("`password` is missing");
        reader.wrong(mistake.help("only a `kind: common-area` account has none: the portal draws it"));
        return None;
    }
    if person.kind == PersonKind::CommonArea && person.role == Role::Administrator {
        return wrong_at(node, "role", "a common-area account is not an administrator", reader);
    }
    Some(())
}

pub(in crate::lab_file) fn pool_host(host: &Located<String>, node: &Node, reader: &mut Reader) -> Checked {
    hosts::check(&host.value, node.place, "a pool's host", reader)
}

pub(in crate::lab_file) fn port(port: &u16, node: &Node, reader: &mut Reader) -> Checked {
    match port {
        0 => wrong(node, "ports are from 1 to 65535", reader),
        80 => wrong(node, "port 80 is the pool's plain web service", reader),
        443 => wrong(node, "port 443 is the pool's web service", reader),
        _ => Some(()),
    }
}

pub(in crate::lab_file) fn plain_port(wanted: &u16, node: &Node, reader: &mut Reader) -> Checked {
    if *wanted == 0 { Some(()) } else { port(wanted, node, reader) }
}

/// A pool's TCP ports must differ.
pub(in crate::lab_file) fn pool_ports(pool: &Pool, node: &Node, reader: &mut Reader) -> Checked {
    let Some(plain) = &pool.plain_sip else { return Some(()) };
    let ports = [("sip", pool.sip), ("tcp", plain.tcp), ("ws", plain.ws), ("wss", plain.wss)];
    for (at, (name, port)) in ports.iter().enumerate() {
        if let Some((other, _)) = ports[..at].iter().find(|(_, other)| *port != 0 && other == port) {
            let title = format!("`{other}` and `{name}` want one port: {port}");
            return wrong(node, title, reader);
        }
    }
    Some(())
}

pub(in crate::lab_file) fn identity_host(
    host: &Option<Located<String>>,
    node: &Node,
    reader: &mut Reader,
) -> Checked {
    let Some(host) = host else { return Some(()) };
    hosts::check(&host.value, node.place, "the identity service", reader)
}

pub(in crate::lab_file) fn tenant(tenant: &str, node: &Node, reader: &mut Reader) -> Checked {
    let plain = tenant.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let taken = ["common", "consumers", "microsoft", "organizations"].contains(&tenant);
    if plain && !taken && (1..=32).contains(&tenant.len()) {
        return Some(());
    }
    let mistake = Mistake::new(node.place, format!("`{}` cannot be the tenant's name", brief(tenant)));
    reader.wrong(mistake.help("small letters, digits and `-`; not a word that the service itself uses"));
    None
}

pub(in crate::lab_file) fn verification_url(
    url: &Option<Located<String>>,
    node: &Node,
    reader: &mut Reader,
) -> Checked {
    let Some(Located { value: url, .. }) = url else { return Some(()) };
    let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(host) = parsed.as_ref().and_then(|url| url.host_str()) else {
        let mistake = Mistake::new(node.place, format!("`{}` is not a web address", brief(url)));
        reader.wrong(mistake.label("for example `https://login.contoso.example/device`"));
        return None;
    };
    hosts::check(host, node.place, "the address that phones show", reader)
}

pub(in crate::lab_file) fn identity(identity: &Identity, node: &Node, reader: &mut Reader) -> Checked {
    match identity.poll_interval < identity.code_life {
        true => Some(()),
        false => {
            let title = "no device asks in time: `code-life` is not longer than `poll-interval`";
            wrong_at(node, "poll-interval", title, reader)
        }
    }
}

pub(in crate::lab_file) fn conditional_access(
    rule: &ConditionalAccess,
    node: &Node,
    reader: &mut Reader,
) -> Checked {
    if rule.rule == Rule::Block || rule.people.0.is_empty() {
        return Some(());
    }
    let title = format!("`{}` holds for everybody: it takes no `people`", rule.rule.word());
    wrong_at(node, "people", title, reader)
}

pub(crate) fn min_digits(digits: &u8, node: &Node, reader: &mut Reader) -> Checked {
    match digits {
        4..=15 => Some(()),
        _ => wrong(node, "a lock code has at least 4 and at most 15 digits", reader),
    }
}

pub(in crate::lab_file) fn gmt_offset(shift: &Option<Shift>, node: &Node, reader: &mut Reader) -> Checked {
    let Some(Shift { span, .. }) = shift else { return Some(()) };
    let whole = span.as_secs().is_multiple_of(60) && span.subsec_nanos() == 0;
    match whole && *span <= Duration::from_secs(14 * 3600) {
        true => Some(()),
        false => wrong(node, "local time is whole minutes and at most 14h from UTC", reader),
    }
}

pub(in crate::lab_file) fn provisioning_url(
    url: &Option<String>,
    node: &Node,
    reader: &mut Reader,
) -> Checked {
    let Some(url) = url else { return Some(()) };
    let parsed = url::Url::parse(url).ok().filter(|url| url.scheme() == "http");
    let Some(host) = parsed.as_ref().and_then(|url| url.host_str()) else {
        let title = format!("`{}` is not an address of provisioning files", brief(url));
        reader.wrong(Mistake::new(node.place, title).label("for example `http://prov.hq/`"));
        return None;
    };
    match hosts::real_service(&host.to_lowercase()) {
        Some(real) => {
            wrong(node, format!("phones of a lab do not go to {real}: it is a real service"), reader)
        }
        None => Some(()),
    }
}

pub(in crate::lab_file) fn time_server(name: &Option<String>, node: &Node, reader: &mut Reader) -> Checked {
    match name {
        Some(name) if name.parse::<Ipv4Addr>().is_err() => {
            hosts::check(name, node.place, "the time server", reader)
        }
        _ => Some(()),
    }
}

pub(in crate::lab_file) fn site_domain(name: &Option<String>, node: &Node, reader: &mut Reader) -> Checked {
    match name {
        Some(name) => hosts::check(name, node.place, "the site's domain", reader),
        None => Some(()),
    }
}

pub(in crate::lab_file) fn model(model: &Located<String>, _: &Node, reader: &mut Reader) -> Checked {
    reader.check(Kind::Model, &model.value, model.place)
}

pub(in crate::lab_file) fn firmware(firmware: &str, node: &Node, reader: &mut Reader) -> Checked {
    let number = |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = firmware.split('.').collect();
    if (2..=4).contains(&parts.len()) && parts.iter().all(|part| number(part)) {
        return Some(());
    }
    let mistake = Mistake::new(node.place, format!("`{}` is not a firmware number", brief(firmware)));
    reader.wrong(mistake.label("for example `5.9.6.2327`"));
    None
}
