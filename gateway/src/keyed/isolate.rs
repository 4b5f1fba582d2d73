//! How much of an upstream one key may take, so that what is hot leaves room for the rest.

use std::sync::Arc;

use floodgate_config::Pattern;
use floodgate_limiter::{Holding, Holdings, HotKeys, Timestamp};

use super::Asked;
use super::key::Key;
use crate::metrics::Counter;
use crate::reason::Reason;

/// Over what the keys share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Across {
    /// One route.
    Route,
    /// All routes of an upstream.
    Upstream,
}

/// Who holds how many, and what was refused for it; kept through reloads.
#[derive(Debug)]
pub(crate) struct Shares {
    /// Of which key: the shares of other keys are other shares.
    key: floodgate_config::Key,
    pub(super) holdings: Arc<Holdings>,
    pub(super) hot: HotKeys,
    pub(super) stats: Box<[ShareShard]>,
}

/// One core's counters, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct ShareShard {
    /// Requests that were refused.
    pub(super) refused: Counter,
    /// Requests that would have been refused, in the shadow.
    pub(super) would_refuse: Counter,
    /// Requests that did not have the key.
    pub(super) missing: Counter,
}

/// What isolates the keys of a route.
#[derive(Debug)]
pub(super) struct Isolate {
    pub(super) meant: floodgate_config::Isolate,
    pub(super) across: Across,
    /// What a key may hold.
    pub(super) most: u32,
    key: Key,
    pub(super) shares: Arc<Shares>,
}

// === impl Shares ===

impl Shares {
    /// Those of `meant`, which are `old` ones if the key is still the same, for `cores` cores.
    pub(crate) fn carry(
        meant: &floodgate_config::Isolate,
        old: Option<&Arc<Self>>,
        cores: usize,
    ) -> Arc<Self> {
        if let Some(old) = old.filter(|old| old.key == meant.key) {
            return Arc::clone(old);
        }
        Arc::new(Self {
            key: meant.key.clone(),
            holdings: Holdings::new(),
            hot: HotKeys::new(cores),
            stats: (0..cores).map(|_| ShareShard::default()).collect(),
        })
    }

    pub(super) fn sum(&self, field: impl Fn(&ShareShard) -> &Counter) -> u64 {
        self.stats.iter().map(|shard| field(shard).value()).sum()
    }
}

// === impl Isolate ===

impl Isolate {
    pub(super) fn compile(
        meant: &floodgate_config::Isolate,
        across: Across,
        path: &Pattern,
        permits: u32,
        shares: Arc<Shares>,
    ) -> Self {
        // The little bit makes up for rounding; a float becomes an integer by saturation.
        let most = (meant.share * f64::from(permits) + 1e-6) as u32;
        Self {
            most: most.max(1),
            across,
            key: Key::compile(&meant.key, path),
            meant: meant.clone(),
            shares,
        }
    }

    pub(super) fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// # Errors
    /// The key of the request holds all of its share.
    pub(super) fn look(
        &self,
        asked: &Asked<'_>,
        is_shown: bool,
        now: Timestamp,
    ) -> Result<(), Reason> {
        let (core, Shares { holdings, hot, stats, .. }) = (asked.worker.index, &*self.shares);
        let Some(digest) = self.key.digest(asked.snapshot, asked.head) else {
            stats[core].missing.increment();
            return Ok(());
        };
        if is_shown {
            let write = |out: &mut Vec<u8>| self.key.write(asked.snapshot, asked.head, out);
            hot.show(core, digest, now, write);
        }
        if holdings.held(digest) < self.most {
            return Ok(());
        }
        if self.meant.shadow {
            stats[core].would_refuse.increment();
            return Ok(());
        }
        stats[core].refused.increment();
        Err(Reason::KeyShare)
    }

    /// One of the share of the request's key; `None` if it has none.
    ///
    /// # Errors
    /// As [`look`](Self::look).
    pub(super) fn hold(&self, asked: &Asked<'_>) -> Result<Option<Holding>, Reason> {
        let Some(digest) = self.key.digest(asked.snapshot, asked.head) else { return Ok(None) };
        // In the shadow it is only counted how many there are.
        let most = if self.meant.shadow { u32::MAX } else { self.most };
        match self.shares.holdings.take(digest, most) {
            Some(holding) => Ok(Some(holding)),
            None => {
                self.shares.stats[asked.worker.index].refused.increment();
                Err(Reason::KeyShare)
            }
        }
    }
}
