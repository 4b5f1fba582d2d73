//! What can be seen of a journey.

use floodgate_config::{KeySource, Sticky};
use floodgate_limiter::EntryStatus;

use super::Journey;
use crate::grant::token::Invalid;

/// What can be seen of a journey, one number for one thing wherever it is shown.
#[derive(Debug)]
pub(crate) struct JourneyStatus {
    /// As it is typed.
    pub sticky: &'static str,
    /// Where the keys come from, and how many there are; `None` where nothing is signed.
    pub keys: Option<(KeySource, usize)>,
    /// What is wrong with them where they stand, so that those of before are live.
    pub keys_problem: Option<String>,
    /// Who gets a grant.
    pub entry: EntryStatus,
    /// Grants that were given.
    pub given: u64,
    /// Journeys that came to their end, each once.
    pub finished: u64,
    /// Grants that the origin ended.
    pub ended: u64,
    /// Calls that were let in by a grant, or by their step.
    pub calls: u64,
    /// Grants that were shown and count as none, by [`Invalid::index`].
    pub invalid: [u64; Invalid::ALL.len()],
    /// Bytes for the times at which refused customers were told to come back.
    pub return_memory: usize,
}

// === impl Journey ===

impl Journey {
    /// What can be seen of it. For people and scrapers, not for requests.
    pub(crate) fn status(&self) -> JourneyStatus {
        let (counted, entry) = (self.stats.sums(), self.entry.status());
        let keys = || (self.keyring.source().clone(), self.keyring.keys().count());
        JourneyStatus {
            sticky: self.sticky.as_str(),
            keys: (self.sticky == Sticky::Grant).then(keys),
            keys_problem: self.keyring.problem(),
            given: entry.given,
            finished: counted.finished + entry.finished,
            ended: counted.ended,
            calls: counted.calls,
            invalid: counted.invalid,
            return_memory: self.returns.memory(),
            entry,
        }
    }
}
