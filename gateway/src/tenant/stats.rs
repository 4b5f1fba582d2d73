//! What is counted of a tenant, a shard per core.

use crate::metrics::Counter;

/// A limit of a tenant's own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rule {
    /// Its ceiling.
    Rate,
    /// Its share of permits and places.
    Share,
}

/// One core's counters of one tenant, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct TenantShard {
    /// Requests that came.
    pub arrivals: Counter,
    /// Of these, served in a lower tier than that of their route.
    pub lowered: Counter,
    /// Refused by its own limits, by [`Rule::index`].
    pub refused: [Counter; Rule::ALL.len()],
    /// Let in, though they would have been.
    pub would_refuse: [Counter; Rule::ALL.len()],
}

/// A tenant's counters.
#[derive(Debug)]
pub(crate) struct TenantStats(Box<[TenantShard]>);

/// A tenant's counters, added up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TenantSums {
    pub arrivals: u64,
    pub lowered: u64,
    pub refused: [u64; Rule::ALL.len()],
    pub would_refuse: [u64; Rule::ALL.len()],
}

// === impl Rule ===

impl Rule {
    /// All of them, in the order of [`Rule::index`].
    pub(crate) const ALL: [Self; 2] = [Self::Rate, Self::Share];

    /// Position in [`Rule::ALL`], for tables.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The key of the configuration.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Share => "share",
        }
    }
}

// === impl TenantStats ===

impl TenantStats {
    /// At zero, for `cores` cores.
    pub(crate) fn new(cores: usize) -> Self {
        Self((0..cores).map(|_| TenantShard::default()).collect())
    }

    /// The shard of one core.
    pub(crate) fn shard(&self, core: usize) -> &TenantShard {
        &self.0[core]
    }

    /// All cores together.
    pub(crate) fn sums(&self) -> TenantSums {
        let sum = |counter: &dyn Fn(&TenantShard) -> u64| self.0.iter().map(counter).sum();
        let table = |of: fn(&TenantShard) -> &[Counter; Rule::ALL.len()]| {
            std::array::from_fn(|at| sum(&|shard| of(shard)[at].value()))
        };
        TenantSums {
            refused: table(|shard| &shard.refused),
            would_refuse: table(|shard| &shard.would_refuse),
            lowered: sum(&|shard| shard.lowered.value()),
            arrivals: sum(&|shard| shard.arrivals.value()),
        }
    }
}
