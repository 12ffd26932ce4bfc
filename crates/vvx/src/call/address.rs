//! What a person dials, and the address that it leads to.

use sip::{NameAddr, Uri};

use super::way::{Numbers, Way};
use super::{CallError, Party};

/// The longest text that can be dialled.
pub const DIALLED_MAX: usize = 256;

/// The address behind what was dialled: a SIP or `tel` address, `user@host`, a number, or the name of a user of the
/// caller's own domain.
///
/// # Errors
///
/// If it is none of these.
pub fn of_dialled(text: &str, way: &Way) -> Result<String, CallError> {
    let wrong = || CallError::NotDialable(text.chars().take(64).collect());
    let text = text.trim();
    if text.is_empty() || text.len() > DIALLED_MAX {
        return Err(wrong());
    }
    let address = match text.split_once(':') {
        Some((scheme, number)) if scheme.eq_ignore_ascii_case("tel") => {
            // RFC 3966: parameters such as `ext` have no place in the user part of a number.
            of_number(number.split(';').next().unwrap_or_default(), way).ok_or_else(wrong)?
        }
        Some(_) => text.to_owned(),
        None if text.contains('@') => format!("sip:{text}"),
        None => match of_number(text, way) {
            Some(address) => address,
            None => format!("sip:{text}@{}", domain(way)),
        },
    };
    match Uri::parse(&address) {
        Ok(uri) if uri.is_sip() && uri.headers.is_none() => Ok(address),
        _ => Err(wrong()),
    }
}

/// The digits of a number alone, without what people put between them; `None` if it is no number.
pub fn digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')).collect();
    let rest = digits.strip_prefix('+').unwrap_or(&digits);
    let is_number = !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#'));
    is_number.then_some(digits)
}

fn of_number(text: &str, way: &Way) -> Option<String> {
    let digits = digits(text)?;
    let domain = domain(way);
    Some(match way.numbers {
        Numbers::Plain => format!("sip:{digits}@{domain}"),
        Numbers::Enterprise if digits.starts_with('+') => format!("sip:{digits}@{domain};user=phone"),
        Numbers::Enterprise => format!("sip:{digits};phone-context=enterprise@{domain};user=phone"),
    })
}

fn domain(way: &Way) -> &str {
    Uri::parse(&way.local.address).map_or("", |uri| uri.host)
}

/// One end of a call, from its From, To or Contact.
pub fn party(end: &NameAddr<'_>) -> Party {
    let name: String = end.display.chars().filter(|c| !c.is_control()).take(64).collect();
    Party { name, address: end.uri.as_str().to_owned() }
}

/// One end of a call, from the text of such a header.
pub fn party_of(text: &str) -> Option<Party> {
    NameAddr::parse(text).ok().map(|end| party(&end))
}

/// A party as a header writes it.
pub fn printed(party: &Party) -> String {
    let Party { name, address } = party;
    match name.as_str() {
        "" => format!("<{address}>"),
        name => format!("{} <{address}>", sip::value::quote(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::way;

    #[test]
    fn numbers_users_and_addresses_lead_somewhere() {
        let enterprise = way("alice");
        let plain = Way { numbers: Numbers::Plain, ..way("alice") };
        for (dialled, at_pool, at_plain) in [
            (
                "3002",
                "sip:3002;phone-context=enterprise@contoso.example;user=phone",
                "sip:3002@contoso.example",
            ),
            ("+1 (555) 0100", "sip:+15550100@contoso.example;user=phone", "sip:+15550100@contoso.example"),
            (
                "tel:+1-555-0100;ext=5",
                "sip:+15550100@contoso.example;user=phone",
                "sip:+15550100@contoso.example",
            ),
            (
                "*55#",
                "sip:*55#;phone-context=enterprise@contoso.example;user=phone",
                "sip:*55#@contoso.example",
            ),
            ("bob", "sip:bob@contoso.example", "sip:bob@contoso.example"),
            ("bob@fabrikam.example", "sip:bob@fabrikam.example", "sip:bob@fabrikam.example"),
            ("sip:bob@192.0.2.20:5070", "sip:bob@192.0.2.20:5070", "sip:bob@192.0.2.20:5070"),
        ] {
            assert_eq!(of_dialled(dialled, &enterprise).as_deref(), Ok(at_pool));
            assert_eq!(of_dialled(dialled, &plain).as_deref(), Ok(at_plain));
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for dialled in ["", "  ", "tel:bob", "mailto:bob@contoso.example", "a b", "sip:a@b?Replaces=x", "@"] {
            let refused = of_dialled(dialled, &way("alice"));
            assert!(matches!(refused, Err(CallError::NotDialable(_))), "{dialled}: {refused:?}");
        }
        assert!(of_dialled(&"1".repeat(257), &way("alice")).is_err());
    }
}
