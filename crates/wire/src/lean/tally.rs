//! What was served, and what could not be: counts instead of notes.

use std::collections::BTreeMap;

/// How many different words a list of causes holds; a stranger finds many ways to be wrong.
const CAUSES_MAX: usize = 64;

/// What is counted under when a list is full.
const OTHERS: &str = "others";

/// How often something happened, by why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Causes(BTreeMap<String, u64>);

impl Causes {
    /// Counts one more.
    pub fn add(&mut self, why: &str) {
        if let Some(count) = self.0.get_mut(why) {
            *count += 1;
        } else if self.0.len() < CAUSES_MAX {
            self.0.insert(why.to_owned(), 1);
        } else {
            *self.0.entry(OTHERS.to_owned()).or_default() += 1;
        }
    }

    /// How often, whatever the cause.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Each cause and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(why, count)| (why.as_str(), *count))
    }
}

/// What a world has served since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Datagrams that came.
    pub datagrams_in: u64,
    /// Datagrams that the kernel took.
    pub datagrams_out: u64,
    /// Datagrams that the kernel refused for good.
    pub datagrams_refused: u64,
    /// Datagrams that came and that the kernel threw away because this process did not read them in time; `None` if the
    /// kernel does not say.
    pub datagrams_dropped: Option<u64>,
    /// How often the kernel had no room for a datagram, so that reading stopped until it had.
    pub full: u64,
    /// Pieces of streams that came; with TLS, decrypted.
    pub pieces_in: u64,
    /// Pieces of streams that actors wrote.
    pub pieces_out: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that are open.
    pub open: usize,
    /// The most that were open at a time.
    pub peak: usize,
    /// Connections that were closed at once because there were too many.
    pub turned_away: u64,
    /// How often accepting had to pause because the process had too many files open.
    pub exhausted: u64,
    /// TLS handshakes that were completed.
    pub handshakes: u64,
    /// Handshakes that were not, by cause.
    pub handshakes_failed: Causes,
    /// Connections that were up and ended otherwise than in good order, by cause.
    pub broken: Causes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_causes_stays_short_and_loses_no_count() {
        let mut causes = Causes::default();
        for number in 0..1000 {
            causes.add(&format!("cause {}", number % 500));
        }
        assert_eq!(causes.total(), 1000);
        assert!(causes.iter().count() <= CAUSES_MAX + 1);
    }
}
