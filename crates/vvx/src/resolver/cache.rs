//! What DNS servers said, for as long as they said it holds.

use std::collections::BTreeMap;
use std::time::Duration;

use net::Time;

use super::Answer;
use super::message::Key;

/// Answers that are remembered; beyond that the one that ends first goes.
const ANSWERS_LIMIT: usize = 256;
/// No answer is remembered for longer.
const LIFE_LIMIT: Duration = Duration::from_secs(86_400);

/// Answers by what was asked; `None` remembers that there is nothing.
#[derive(Debug, Default)]
pub(super) struct Cache {
    answers: BTreeMap<Key, (Option<Answer>, Time)>,
}

impl Cache {
    pub(super) fn find(&self, key: &Key, now: Time) -> Option<&Option<Answer>> {
        let (answer, until) = self.answers.get(key)?;
        (now < *until).then_some(answer)
    }

    pub(super) fn life(&self, key: &Key, now: Time) -> Option<Duration> {
        let (_, until) = self.answers.get(key)?;
        (now < *until).then(|| *until - now)
    }

    pub(super) fn keep(&mut self, key: Key, answer: Option<Answer>, ttl: u32, now: Time) {
        if ttl == 0 {
            return;
        }
        let until = now + Duration::from_secs(ttl.into()).min(LIFE_LIMIT);
        self.answers.insert(key, (answer, until));
        if self.answers.len() > ANSWERS_LIMIT {
            self.answers.retain(|_, (_, until)| now < *until);
        }
        while self.answers.len() > ANSWERS_LIMIT {
            let first = self.answers.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| key.clone());
            first.and_then(|key| self.answers.remove(&key));
        }
    }
}
