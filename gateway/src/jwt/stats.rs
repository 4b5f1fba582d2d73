//! What is counted of tokens, a shard per core.

use super::InvalidToken;
use crate::metrics::Counter;

/// One core's counters, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct TokenShard {
    /// Tokens that were verified and are good.
    pub good: Counter,
    /// Tokens that were verified and are not, by [`InvalidToken::index`].
    pub bad: [Counter; InvalidToken::ALL.len()],
    /// Tokens that were not, since there were too many bad ones.
    pub unchecked: Counter,
}

/// The counters of tokens.
#[derive(Debug)]
pub(crate) struct TokenStats(Box<[TokenShard]>);

/// The counters of tokens, added up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenSums {
    pub good: u64,
    pub bad: [u64; InvalidToken::ALL.len()],
    pub unchecked: u64,
}

// === impl TokenStats ===

impl TokenStats {
    /// At zero, for `cores` cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| TokenShard::default()).collect())
    }

    /// The shard of one core.
    pub(crate) fn shard(&self, core: usize) -> &TokenShard {
        &self.0[core]
    }

    /// All cores together.
    pub(crate) fn sums(&self) -> TokenSums {
        let sum = |counter: fn(&TokenShard) -> &Counter| {
            self.0.iter().map(|it| counter(it).value()).sum()
        };
        let bad = |index: usize| self.0.iter().map(|shard| shard.bad[index].value()).sum();
        TokenSums {
            good: sum(|shard| &shard.good),
            bad: std::array::from_fn(bad),
            unchecked: sum(|shard| &shard.unchecked),
        }
    }
}
