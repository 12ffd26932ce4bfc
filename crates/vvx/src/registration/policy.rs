//! In-band policy: what the pool wants of its phones (MS-SIPREGE ServerConfiguration), the lock above all.
//!
//! A value that is missing or makes no sense leaves the last good one; before there was a good one, the
//! published defaults hold, which lock. Nothing that a pool sends can open a phone by being broken.

use std::time::Duration;

use crate::sign_in::xml::{self, Element};

/// The media type of the question and the answer.
pub const MEDIA_TYPE: &str = "application/vnd-microsoft-roaming-provisioning-v2+xml";
/// The event package.
pub const EVENT: &str = "vnd-microsoft-provisioning-v2";
/// The question.
pub const QUESTION: &str = "<provisioningGroupList xmlns=\"http://schemas.microsoft.com/2006/09/sip/provisioninggrouplist\">\
     <provisioningGroup name=\"ServerConfiguration\"/><provisioningGroup name=\"ucPolicy\"/>\
     <provisioningGroup name=\"endpointConfiguration\"/></provisioningGroupList>";

/// The values that this phone acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether the phone must be lockable (`ucEnforcePinLock`).
    pub enforce_lock: bool,
    /// The shortest lock code, in digits, 4 to 15 (`ucMinPinLength`).
    pub least_digits: usize,
    /// How long nobody touches the phone before it locks; `None` never (`ucPhoneTimeOut`, 0).
    pub idle: Option<Duration>,
}

impl Default for Policy {
    /// A lock of at least six digits that closes after ten minutes.
    fn default() -> Policy {
        Policy { enforce_lock: true, least_digits: 6, idle: Some(Duration::from_secs(600)) }
    }
}

impl Policy {
    /// Takes over what a document says and makes sense; tells in words what did not.
    pub fn take(&mut self, document: &[u8]) -> Vec<String> {
        let list = match xml::read(document) {
            Ok(list) if list.name == "provisionGroupList" => list,
            Ok(other) => return vec![format!("a document of `{}`", other.name)],
            Err(why) => return vec![why.to_string()],
        };
        let group =
            list.all("provisionGroup").find(|group| group.attribute("name") == Some("ServerConfiguration"));
        let Some(group) = group else {
            return Vec::new();
        };
        let mut odd = Vec::new();
        if let Some(text) = value(group, "ucEnforcePinLock") {
            match text.to_ascii_lowercase().as_str() {
                "true" | "1" => self.enforce_lock = true,
                "false" | "0" => self.enforce_lock = false,
                _ => odd.push(odd_value("ucEnforcePinLock", text)),
            }
        }
        if let Some(text) = value(group, "ucMinPinLength") {
            match text.parse() {
                Ok(digits @ 4..=15) => self.least_digits = digits,
                _ => odd.push(odd_value("ucMinPinLength", text)),
            }
        }
        if let Some(text) = value(group, "ucPhoneTimeOut") {
            match text.parse() {
                Ok(0) => self.idle = None,
                Ok(minutes @ 1..=60) => self.idle = Some(Duration::from_secs(60 * minutes)),
                _ => odd.push(odd_value("ucPhoneTimeOut", text)),
            }
        }
        odd
    }

    /// As it is kept in flash.
    pub fn print(&self) -> String {
        let minutes = self.idle.map_or(0, |idle| idle.as_secs() / 60);
        format!("{} {} {minutes}", u8::from(self.enforce_lock), self.least_digits)
    }

    /// As it was kept in flash; the defaults if it cannot be read.
    pub fn parse(text: &str) -> Policy {
        let parts: Vec<u64> = text.split(' ').filter_map(|part| part.parse().ok()).collect();
        match parts[..] {
            [enforce @ 0..=1, digits @ 4..=15, minutes @ 0..=60] => Policy {
                enforce_lock: enforce == 1,
                least_digits: digits as usize,
                idle: (minutes > 0).then(|| Duration::from_secs(60 * minutes)),
            },
            _ => Policy::default(),
        }
    }
}

fn value<'a>(group: &'a Element, name: &str) -> Option<&'a str> {
    group.children.iter().find(|child| child.name.eq_ignore_ascii_case(name)).map(Element::trimmed)
}

fn odd_value(name: &str, text: &str) -> String {
    format!("{name} is `{}`", text.chars().take(20).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(lock: &str, digits: &str, minutes: &str) -> String {
        format!(
            "<provisionGroupList><provisionGroup name='ServerConfiguration'><ucEnforcePinLock>{lock}</ucEnforcePinLock>\
             <ucMinPinLength>{digits}</ucMinPinLength><ucPhoneTimeOut>{minutes}</ucPhoneTimeOut></provisionGroup>\
             </provisionGroupList>"
        )
    }

    #[test]
    fn good_values_come_into_force_and_survive_the_flash() {
        let mut policy = Policy::default();
        assert!(policy.take(document("false", "8", "0").as_bytes()).is_empty());
        assert_eq!(policy, Policy { enforce_lock: false, least_digits: 8, idle: None });
        assert_eq!(Policy::parse(&policy.print()), policy);
    }

    #[test]
    fn malformed_values_keep_the_last_good_ones() {
        let mut policy = Policy::default();
        for (digits, minutes) in [("3", "61"), ("16", "-1"), ("", "ten"), ("6.5", "99999999999999999999")] {
            assert_eq!(policy.take(document("maybe", digits, minutes).as_bytes()).len(), 3);
            assert_eq!(policy, Policy::default(), "locked, not open");
        }
        assert_eq!(policy.take(b"<provisionGroupList").len(), 1);
    }

    #[test]
    fn both_ends_of_the_range_of_digits_are_good() {
        for digits in ["4", "15"] {
            let mut policy = Policy::default();
            assert!(policy.take(document("true", digits, "60").as_bytes()).is_empty());
            assert_eq!(policy.least_digits.to_string(), digits);
        }
    }

    proptest! {
        #[test]
        fn no_document_makes_the_reader_panic(text in ".{0,200}", lock in ".{0,9}", digits in ".{0,9}") {
            let _ = Policy::default().take(text.as_bytes());
            let _ = Policy::default().take(document(&xml::escape(&lock), &xml::escape(&digits), &xml::escape(&lock)).as_bytes());
            let _ = Policy::parse(&text);
        }
    }
}
