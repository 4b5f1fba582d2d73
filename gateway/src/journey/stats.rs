//! What is counted of a journey, a shard per core.

use crate::grant::token::Invalid;
use crate::metrics::Counter;

/// One core's counters of one journey, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct JourneyShard {
    /// Calls that were let in by a grant, or by their step.
    pub calls: Counter,
    /// Journeys by step that came to their end; of grants, entry control knows.
    pub finished: Counter,
    /// Grants that the origin ended.
    pub ended: Counter,
    /// Grants that were shown and count as none, by [`Invalid::index`].
    pub invalid: [Counter; Invalid::ALL.len()],
}

/// A journey's counters.
#[derive(Debug)]
pub(crate) struct JourneyStats(Box<[JourneyShard]>);

/// A journey's counters, added up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JourneySums {
    pub calls: u64,
    pub finished: u64,
    pub ended: u64,
    pub invalid: [u64; Invalid::ALL.len()],
}

// === impl JourneyStats ===

impl JourneyStats {
    /// At zero, for `cores` cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| JourneyShard::default()).collect())
    }

    /// The shard of one core.
    pub(crate) fn shard(&self, core: usize) -> &JourneyShard {
        &self.0[core]
    }

    /// All cores together.
    pub(crate) fn sums(&self) -> JourneySums {
        let sum = |counter: fn(&JourneyShard) -> &Counter| {
            self.0.iter().map(|shard| counter(shard).value()).sum()
        };
        JourneySums {
            calls: sum(|shard| &shard.calls),
            finished: sum(|shard| &shard.finished),
            ended: sum(|shard| &shard.ended),
            invalid: std::array::from_fn(|index| {
                self.0.iter().map(|shard| shard.invalid[index].value()).sum()
            }),
        }
    }
}
