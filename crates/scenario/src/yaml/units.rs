//! Values with a form of their own, in one word: spans, shares, drifts, networks, hardware addresses.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::node::Node;
use super::reader::{Reader, Value};
use crate::schema::Shapes;

const UNITS: &[(&str, u64)] = &[
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Ten years: longer than any story, and far from where instants saturate.
const LONGEST_SPAN: Duration = Duration::from_secs(3650 * 86_400);

/// A span: numbers with units, largest first: `12ms`, `0.5s`, `2h 30m`, `180d`.
impl Value for Duration {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "a span of time such as `12ms`, `90s`, `2h 30m` or `180d`", span)
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)( ?\d+(\.\d+)?(ms|s|m|h|d))*$" })
    }
}

/// A span of time as written: `12ms`, `0.5s`, `2h 30m`.
///
/// # Errors
///
/// Says in a few words what is not right about it.
pub fn span(text: &str) -> Result<Duration, String> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err("nothing is written".to_owned());
    }
    let (mut nanos, mut last) = (0_u64, u64::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let known = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, nanos)| *nanos);
        let Some(unit_nanos) = known else {
            return Err("a number needs a unit: ms, s, m, h or d".to_owned());
        };
        if unit_nanos >= last {
            return Err("larger units come first, each once".to_owned());
        }
        let part = times(number, unit_nanos).ok_or("the number is not one")?;
        nanos = nanos.checked_add(part).ok_or("the span is longer than 584 years")?;
        (rest, last) = (tail.trim_start(), unit_nanos);
    }
    match Duration::from_nanos(nanos) {
        span if span > LONGEST_SPAN => Err("the longest span is 3650d".to_owned()),
        span => Ok(span),
    }
}

/// A decimal number of units, without going through floating point.
fn times(number: &str, unit: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) || number.ends_with('.') {
        return None;
    }
    let scale = 10_u128.pow(decimals.len() as u32);
    let value = whole.parse::<u128>().ok()? * scale + decimals.parse::<u128>().unwrap_or(0);
    u64::try_from(value * u128::from(unit) / scale).ok()
}

/// A span forward or, with a minus, backward: `2h`, `-90s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// How far.
    pub span: Duration,
    /// Whether into the past.
    pub back: bool,
}

impl Value for Shift {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "a span of time, with a sign, such as `2h` or `-90s`", |text| {
            let (back, rest) = match text.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, text.strip_prefix('+').unwrap_or(text)),
            };
            Ok(Shift { span: span(rest)?, back })
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string", "pattern": r"^[-+]?\d+(\.\d+)?(ms|s|m|h|d)( ?\d+(\.\d+)?(ms|s|m|h|d))*$" })
    }
}

/// A share of a whole, from 0 to 1; written in percent: `0.5%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Share(pub f64);

impl Value for Share {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "a share such as `0.5%`", |text| {
            let number = text.strip_suffix('%').ok_or("a share is written in percent, with `%`")?.trim();
            let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            match number.parse::<f64>() {
                Ok(percent) if plain && (0.0..=100.0).contains(&percent) => Ok(Share(percent / 100.0)),
                _ => Err("from 0% to 100%".to_owned()),
            }
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string", "pattern": r"^\d+(\.\d+)?%$" })
    }
}

/// How fast a clock runs: parts per million too fast, or with a minus too slow: `50ppm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift(pub i32);

impl Value for Drift {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "a drift such as `50ppm` or `-200ppm`", |text| {
            let number = text.strip_suffix("ppm").ok_or("parts per million are written with `ppm`")?.trim();
            match number.parse::<i32>() {
                Ok(ppm) if (-500_000..=500_000).contains(&ppm) => Ok(Drift(ppm)),
                _ => Err("from -500000ppm to 500000ppm".to_owned()),
            }
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string", "pattern": r"^[-+]?\d+ppm$" })
    }
}

/// An IPv4 network: `10.20.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    /// Its first address.
    pub address: Ipv4Addr,
    /// How many leading bits are the network's: 8 to 29.
    pub prefix: u8,
}

impl Subnet {
    /// The last address of the network.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.address) | (u32::MAX >> self.prefix))
    }

    /// Whether `address` lies in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        (self.address..=self.last()).contains(&address)
    }

    /// Whether the two share an address.
    pub fn overlaps(self, other: Subnet) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Value for Subnet {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "a network such as `10.20.0.0/16`", |text| {
            let (address, prefix) = text.split_once('/').ok_or("the prefix length is missing: `/16`")?;
            let address: Ipv4Addr = address.parse().map_err(|_| "the address is not IPv4")?;
            let prefix: u8 = prefix.parse().map_err(|_| "the prefix length is not a number")?;
            if !(8..=29).contains(&prefix) {
                return Err("the prefix length is 8 to 29".to_owned());
            }
            let first = Ipv4Addr::from(u32::from(address) & !(u32::MAX >> prefix));
            if first != address {
                return Err(format!("the network that holds it is {first}/{prefix}"));
            }
            Ok(Subnet { address, prefix })
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string", "pattern": r"^\d+\.\d+\.\d+\.\d+/\d+$" })
    }
}

/// A hardware address: twelve hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Value for Mac {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "a hardware address such as `0004f2a1b2c3`", |text| {
            let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
            if digits.len() != 12 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err("twelve hex digits, with or without `:`".to_owned());
            }
            let mut mac = [0; 6];
            for (byte, pair) in mac.iter_mut().zip(digits.as_bytes().chunks(2)) {
                let pair = std::str::from_utf8(pair).expect("hex digits are ASCII");
                *byte = u8::from_str_radix(pair, 16).expect("hex digits were checked");
            }
            if mac[0] & 1 == 1 {
                return Err("the first byte is odd: that is a group's address, not a phone's".to_owned());
            }
            Ok(Mac(mac))
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": ["string", "integer"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Result<u128, String> {
        span(text).map(|span| span.as_millis())
    }

    #[test]
    fn a_span_is_numbers_with_units_largest_first() {
        assert_eq!(millis("12ms"), Ok(12));
        assert_eq!(millis("0.5s"), Ok(500));
        assert_eq!(millis("2h 30m"), Ok(9_000_000));
        assert_eq!(millis("2h30m"), Ok(9_000_000));
        assert_eq!(millis("3650d"), Ok(315_360_000_000));
    }

    #[test]
    fn what_is_almost_a_span_is_refused() {
        for text in
            ["", "5", "m", "5 m", "-5m", "1.m", ".5m", "1.2.3s", "30m 2h", "1h 1h", "5minutes", "3651d"]
        {
            assert!(span(text).is_err(), "{text}");
        }
        assert!(span("99999999999999999999d").is_err());
        assert!(span("999999999999999999d").is_err());
    }

    #[test]
    fn networks_overlap_when_they_share_an_address() {
        let net = |text: &str, prefix| Subnet { address: text.parse().unwrap(), prefix };
        assert!(net("10.20.0.0", 16).overlaps(net("10.20.255.0", 24)));
        assert!(net("10.20.255.0", 24).overlaps(net("10.20.0.0", 16)));
        assert!(!net("10.20.0.0", 16).overlaps(net("10.21.0.0", 16)));
    }
}
