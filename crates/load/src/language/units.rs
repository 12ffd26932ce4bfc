//! Rates and counts, each in one word.

use scenario::schema::Shapes;
use scenario::yaml::{Node, Reader, Value};
use serde_json::{Value as Json, json};

/// The highest rate that a plan may name, in pieces of work a second: beyond what any machine can send.
pub const RATE_MAX: f64 = 1e8;

/// How often, in pieces of work a second: `2000/s`, `2.5k/s`, `90/m`, `10/h`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(pub f64);

impl Value for Rate {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "a rate such as `2000/s`", rate)
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "type": "string", "pattern": r"^[0-9_]+(\.[0-9]+)?[kM]?/(s|m|h)$" })
    }
}

fn rate(text: &str) -> Result<Rate, String> {
    let (number, unit) = text.split_once('/').ok_or("a rate is a number, `/` and s, m or h")?;
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err("behind the `/` stands s, m or h".to_owned()),
    };
    let per_second = number_with_suffix(number.trim())? / seconds;
    match per_second <= RATE_MAX {
        true => Ok(Rate(per_second)),
        false => Err(format!("the highest rate is {RATE_MAX}/s")),
    }
}

/// How many: `10000`, `10_000`, `100k`, `1M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u32);

impl Value for Count {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.word(node, "a number such as `10000` or `100k`", |text| {
            let number = number_with_suffix(text)?;
            match number.fract() == 0.0 && number <= f64::from(u32::MAX) {
                true => Ok(Count(number as u32)),
                false => Err(format!("a whole number up to {}", u32::MAX)),
            }
        })
    }

    fn shape(_: &mut Shapes) -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": u32::MAX },
            { "type": "string", "pattern": r"^[0-9_]+(\.[0-9]+)?[kM]?$" },
        ] })
    }
}

fn number_with_suffix(text: &str) -> Result<f64, String> {
    let (digits, times) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1e3),
        Some(digits) => (digits, 1e6),
        None => (text, 1.0),
    };
    let is_plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'_'));
    let number = digits.replace('_', "").parse::<f64>().ok().filter(|_| is_plain);
    match number {
        Some(number) if (number * times).is_finite() => Ok(number * times),
        _ => Err("digits, with `k` for thousands or `M` for millions if you like".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_counted_by_the_second() {
        assert_eq!(rate("2000/s"), Ok(Rate(2_000.0)));
        assert_eq!(rate("2.5k/s"), Ok(Rate(2_500.0)));
        assert_eq!(rate("90/m"), Ok(Rate(1.5)));
        assert_eq!(rate("3_600/h"), Ok(Rate(1.0)));
        for wrong in ["2000", "-1/s", "/s", "1/d", "inf/s", "1e3/s", "NaN/s", "999M/s", "_/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }
}
