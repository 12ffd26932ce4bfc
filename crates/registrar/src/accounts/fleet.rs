//! A fleet: many accounts that go by a pattern, and take no room until one of them is changed.

use sip::digest::{Ha1, Hash};

use super::Account;

/// A text with a number in it: `load{n}`, or `phone{n:06}` with at least six digits. Without `{n}` it is the same for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    before: String,
    /// What stands behind the number; `None` if there is none.
    after: Option<String>,
    digits: usize,
}

/// The most digits that a pattern may ask for.
const DIGITS_MAX: usize = 20;

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// A sentence if what stands in braces is nothing that is known.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let wrong = || {
            format!("`{text}` is no pattern: `{{n}}` stands for the number, `{{n:06}}` for six digits of it")
        };
        let Some((before, rest)) = text.split_once('{') else {
            let is_plain = !text.contains('}');
            return is_plain
                .then(|| Pattern { before: text.to_owned(), after: None, digits: 0 })
                .ok_or_else(wrong);
        };
        let (what, after) = rest.split_once('}').ok_or_else(wrong)?;
        let digits = match what.strip_prefix('n').ok_or_else(wrong)? {
            "" => 0,
            width => width.strip_prefix(':').and_then(|width| width.parse().ok()).ok_or_else(wrong)?,
        };
        if digits > DIGITS_MAX || before.contains('}') || after.contains(['{', '}']) {
            return Err(wrong());
        }
        Ok(Pattern { before: before.to_owned(), after: Some(after.to_owned()), digits })
    }

    /// Whether it makes another text of each number.
    pub fn tells_apart(&self) -> bool {
        self.after.is_some()
    }

    /// The text for a number.
    pub fn text(&self, number: u64) -> String {
        match &self.after {
            Some(after) => format!("{}{number:0width$}{after}", self.before, width = self.digits),
            None => self.before.clone(),
        }
    }

    /// The number that makes this text.
    fn number(&self, text: &str) -> Option<u64> {
        let digits = text.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_deref()?)?;
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
        let number: u64 = digits.parse().ok().filter(|_| is_number)?;
        // One text for each number: neither more nor fewer leading zeros.
        let least = self.digits.max(1);
        let is_usual = digits.len() == least || digits.len() > least && !digits.starts_with('0');
        is_usual.then_some(number)
    }
}

/// Many accounts that go by a pattern, numbered from 0.
#[derive(Clone)]
pub struct Fleet {
    user: Pattern,
    password: Pattern,
    count: u64,
    domain: String,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fleet({} of {:?} at {})", self.count, self.user, self.domain)
    }
}

impl Fleet {
    /// The accounts `user` at `domain` with these passwords, of numbers below `count`.
    pub fn new(user: Pattern, password: Pattern, count: u64, domain: &str) -> Fleet {
        let lower = |text: &str| text.to_ascii_lowercase();
        let user = Pattern { before: lower(&user.before), after: user.after.as_deref().map(lower), ..user };
        Fleet { user, password, count, domain: lower(domain) }
    }

    /// How many accounts it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The number of the account with this address, in lower case.
    pub(super) fn number_of(&self, address: &str) -> Option<u64> {
        let user = address.strip_suffix(self.domain.as_str())?.strip_suffix('@')?;
        self.user.number(user).filter(|number| *number < self.count)
    }

    /// The account of a number, as if it stood in the directory. It has no password for the web services: those passwords
    /// are slow to hash on purpose.
    pub(super) fn account(&self, number: u64) -> Account {
        let user = self.user.text(number);
        let mut account = Account::new(&format!("{user}@{}", self.domain), &user);
        account.digest = super::DigestKeys::new(&account.address, &self.domain, &self.password.text(number));
        account
    }

    /// The digest key of a number for a name as a client wrote it.
    pub(super) fn key(&self, number: u64, name: &str, hash: Hash) -> Option<Ha1> {
        // The name has led here in one of its two forms, whatever its case; the key is that of the usual one.
        let user = self.user.text(number);
        let name = if name.contains('@') { format!("{user}@{}", self.domain) } else { user };
        matches!(hash, Hash::Md5 | Hash::Sha256)
            .then(|| Ha1::of(hash, &name, &self.domain, &self.password.text(number)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect("a pattern")
    }

    #[test]
    fn a_number_has_one_text_and_the_text_its_number() {
        for (text, number, made) in [
            ("load{n}", 7, "load7"),
            ("{n:03}-x", 7, "007-x"),
            ("{n:03}", 12345, "12345"),
            ("a{n:06}", 0, "a000000"),
        ] {
            assert_eq!(pattern(text).text(number), made);
            assert_eq!(pattern(text).number(made), Some(number));
        }
        for (text, other) in [
            ("load{n}", "load07"),
            ("load{n}", "load"),
            ("load{n}", "load+7"),
            ("{n:03}", "07"),
            ("{n:03}", "0007"),
            ("load{n}", "load99999999999999999999"),
        ] {
            assert_eq!(pattern(text).number(other), None, "{other}");
        }
        for wrong in ["{m}", "{n", "n}", "{n}{n}", "{n:x}", "{n:99}"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(pattern("secret").text(9), "secret");
    }

    #[test]
    fn a_fleets_account_is_the_one_that_a_directory_would_have() {
        let fleet = Fleet::new(pattern("Phone{n:06}"), pattern("pw-{n}"), 1_000_000, "Lab.Example");
        let number = fleet.number_of("phone000042@lab.example").expect("it is there");
        assert_eq!(number, 42);
        assert_eq!(fleet.number_of("phone1000000@lab.example"), None, "one too many");
        assert_eq!(fleet.number_of("phone000042@other.example"), None);
        let account = fleet.account(42);
        let keys = account.digest.as_ref().expect("it has a password");
        for name in ["phone000042", "phone000042@lab.example"] {
            for hash in [Hash::Md5, Hash::Sha256] {
                assert_eq!(fleet.key(42, name, hash).as_ref(), keys.of(name, hash));
            }
        }
        assert_eq!(
            keys.of("phone000042", Hash::Md5),
            Some(&Ha1::of(Hash::Md5, "phone000042", "lab.example", "pw-42"))
        );
    }
}
