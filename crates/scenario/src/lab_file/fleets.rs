//! Fleets: many phones of one kind, each with an account of its own.

use std::collections::BTreeMap;

use super::people::{Person, PersonKind, Role, SecondFactorKind, Secret};
use super::phones::Phone;
use super::{Lab, check};
use crate::mistakes::Mistake;
use crate::yaml::record::record;
use crate::yaml::{Located, Mac, Node, Reader};

/// The most phones of a fleet: more addresses than that no site has on real sockets.
pub const FLEET_MAX: u32 = 28_000;

record! {
    /// Many phones of one kind, each with an account of its own. In `upn`, `password` and `line`, `{n}` stands for the
    /// phone's number, from 0; `{n:05}` for the same with five digits. The phones are called after the fleet: `office0`.
    "a fleet" pub struct Fleet {
        /// How many.
        "count" count: u32 => count_is_right,
        /// The site whose network they are plugged into.
        "site" site: Located<String>,
        /// Their model.
        "model" model: Located<String> => check::model,
        /// Their firmware.
        "firmware" firmware: String = "5.9.6.2327".to_owned() => check::firmware,
        /// The hardware address of the first; each further one has the next.
        "mac" mac: Located<Mac> = Located { value: Mac([0x00, 0x04, 0xf2, 0, 0, 0]), place: Default::default() },
        /// The sign-in names, with `{n}`: addresses in the lab's domain.
        "upn" upn: Located<String> => upn_is_right,
        /// The passwords.
        "password" password: Secret => password_is_right,
        /// How their owners prove a sign-in beside the password. The secret follows from the lab file alone.
        "second-factor" second_factor: SecondFactorKind = SecondFactorKind::None,
        /// The telephone numbers, with `+` and `{n}`.
        "line" line: Option<Located<String>> => line_is_right,
        /// Parameters set on each before it gets power. Fleets usually switch the phone's own web server off
        /// (`httpd.enabled: "0"`), as administrators do: each would want two ports.
        "parameters" parameters: BTreeMap<String, String>,
    }
}

fn wrong(node: &Node, title: impl Into<String>, reader: &mut Reader) -> Option<()> {
    reader.wrong(Mistake::new(node.place, title));
    None
}

fn count_is_right(count: &u32, node: &Node, reader: &mut Reader) -> Option<()> {
    match count {
        1..=FLEET_MAX => Some(()),
        _ => wrong(node, format!("a fleet has 1 to {FLEET_MAX} phones"), reader),
    }
}

fn upn_is_right(pattern: &Located<String>, node: &Node, reader: &mut Reader) -> Option<()> {
    if numbered(&pattern.value, 0) == numbered(&pattern.value, 1) {
        return wrong(node, "all phones would have one account: write `{n}` where the number goes", reader);
    }
    let last = Located { value: numbered(&pattern.value, FLEET_MAX), place: pattern.place };
    check::upn(&last, node, reader)
}

fn password_is_right(password: &Secret, node: &Node, reader: &mut Reader) -> Option<()> {
    check::password(&Some(password.clone()), node, reader)
}

fn line_is_right(pattern: &Option<Located<String>>, node: &Node, reader: &mut Reader) -> Option<()> {
    let Some(pattern) = pattern else { return Some(()) };
    if numbered(&pattern.value, 0) == numbered(&pattern.value, 1) {
        return wrong(node, "all phones would have one number: write `{n}` where theirs goes", reader);
    }
    [0, FLEET_MAX].into_iter().try_for_each(|n| {
        let line = Located { value: numbered(&pattern.value, n), place: pattern.place };
        check::line(&Some(line), node, reader)
    })
}

/// A pattern with the number in its place: `{n}`, or `{n:05}` with leading zeros.
pub fn numbered(pattern: &str, n: u32) -> String {
    let mut text = String::with_capacity(pattern.len() + 6);
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("{n") {
        text.push_str(before);
        let width = after.split_once('}').and_then(|(format, _)| match format.strip_prefix(':') {
            None if format.is_empty() => Some(0),
            None => None,
            Some(width) => width.parse::<usize>().ok().filter(|width| *width <= 9),
        });
        match (width, after.split_once('}')) {
            (Some(width), Some((_, behind))) => {
                text.push_str(&format!("{n:0width$}"));
                rest = behind;
            }
            _ => {
                text.push_str("{n");
                rest = after;
            }
        }
    }
    text + rest
}

impl Fleet {
    /// What the phone of that number is called.
    pub fn phone_name(fleet: &str, n: u32) -> String {
        format!("{fleet}{n}")
    }

    fn phone(&self, n: u32) -> Phone {
        let [.., a, b, c] = self.mac.value.0;
        let number = u32::from_be_bytes([0, a, b, c]).wrapping_add(n).to_be_bytes();
        let mut mac = self.mac.value;
        mac.0[3..].copy_from_slice(&number[1..]);
        Phone {
            model: self.model.clone(),
            firmware: self.firmware.clone(),
            mac: Located { value: mac, place: self.mac.place },
            site: self.site.clone(),
            parameters: self.parameters.clone(),
        }
    }

    fn person(&self, n: u32) -> Person {
        let at =
            |pattern: &Located<String>| Located { value: numbered(&pattern.value, n), place: pattern.place };
        Person {
            upn: at(&self.upn),
            password: Some(self.password.numbered(n)),
            second_factor: self.second_factor,
            line: self.line.as_ref().map(at),
            kind: PersonKind::Person,
            role: Role::User,
            pool: None,
            enabled: true,
        }
    }
}

impl Lab {
    /// Adds every fleet's phones and accounts to the lab's own, each by the phone's name.
    ///
    /// # Errors
    ///
    /// The name, account or hardware address that would be there twice.
    pub(crate) fn with_fleets(mut self) -> Result<Lab, String> {
        let mut upns: std::collections::BTreeSet<String> =
            self.people.values().map(|person| person.value.upn.value.to_lowercase()).collect();
        let mut macs: std::collections::BTreeSet<Mac> =
            self.phones.values().map(|phone| phone.value.mac.value).collect();
        for (fleet, facts) in std::mem::take(&mut self.fleets) {
            let place = facts.place;
            for n in 0..facts.value.count {
                let name = Fleet::phone_name(&fleet, n);
                let (phone, person) = (facts.value.phone(n), facts.value.person(n));
                if !macs.insert(phone.mac.value) {
                    return Err(format!("two phones have the hardware address {}", phone.mac.value));
                }
                if !upns.insert(person.upn.value.to_lowercase()) {
                    return Err(format!("two accounts are called `{}`", person.upn.value));
                }
                let is_taken = self.phones.insert(name.clone(), Located { value: phone, place }).is_some()
                    || self.people.insert(name.clone(), Located { value: person, place }).is_some();
                if is_taken {
                    return Err(format!("`{name}` is somebody else's name already"));
                }
            }
            self.fleets.insert(fleet, facts);
        }
        Ok(self)
    }

    /// Whether an account of a lab with fleets is one of a fleet's, and not one of `people`.
    pub(crate) fn is_of_fleet(&self, name: &str) -> bool {
        let fleet = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let of = |digits: &str| -> Option<u32> { digits.parse().ok() };
        // A fleet's own name may end in digits.
        (fleet.len()..name.len()).any(|cut| {
            let fleet = self.fleets.get(&name[..cut]);
            fleet.is_some_and(|fleet| of(&name[cut..]).is_some_and(|n| n < fleet.value.count))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_where_the_pattern_says() {
        assert_eq!(numbered("load{n}@contoso.example", 7), "load7@contoso.example");
        assert_eq!(numbered("+1555{n:05}", 42), "+155500042");
        assert_eq!(numbered("{n}-{n:03}", 5), "5-005");
        assert_eq!(numbered("{name} {n:x} {n", 5), "{name} {n:x} {n");
    }
}
