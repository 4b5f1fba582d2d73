//! How much of an upstream one key may take, so that what is hot leaves room for the rest.

use std::sync::Arc;
use std::time::Duration;

use floodgate_config::Pattern;
use floodgate_limiter::{Holding, Holdings, HotKeys, KeyText, Timestamp};

use super::key::{self, Key};
use super::{Asked, Looked, Shard};
use crate::reason::Reason;
use crate::snapshot::Snapshot;

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
    pub(super) stats: Arc<[Shard]>,
}

/// What isolates the keys of a route.
#[derive(Debug)]
pub(super) struct Isolate {
    pub(super) meant: floodgate_config::Isolate,
    pub(super) across: Across,
    /// Whose permits they are: the index of the upstream.
    upstream: usize,
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
            stats: Shard::all(cores),
        })
    }
}

// === impl Isolate ===

impl Isolate {
    pub(super) fn compile(
        meant: &floodgate_config::Isolate,
        across: Across,
        path: &Pattern,
        upstream: usize,
        shares: Arc<Shares>,
    ) -> Self {
        Self { upstream, across, key: Key::compile(&meant.key, path), meant: meant.clone(), shares }
    }

    pub(super) fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    /// What a key may hold, of the permits there are now: they may be fewer than there may ever be.
    pub(super) fn most(&self, snapshot: &Snapshot) -> u32 {
        share_of(self.meant.share, snapshot.upstreams[self.upstream].limiter.totals().limit)
    }

    /// What there is to say of a request.
    pub(super) fn look(&self, asked: &Asked<'_>, is_shown: bool, now: Timestamp) -> Looked {
        let found = self.key.digest(asked.snapshot, asked.head);
        let Shares { holdings, hot, .. } = &*self.shares;
        if let Some(digest) = found.filter(|_| is_shown) {
            let write = |out: &mut KeyText| self.key.write(asked.snapshot, asked.head, out);
            hot.show(asked.worker.index, digest, now, write);
        }
        let digest = found.unwrap_or_else(|| key::of_client(asked.snapshot, asked.head));
        let is_over = holdings.held(digest) >= self.most(asked.snapshot);
        Looked { over: is_over.then_some(Duration::ZERO), is_missing: found.is_none() }
    }

    /// One of the share of the request's key; without one, or with two, of its client's address, or else whoever sends its key
    /// twice would have no share to keep to.
    ///
    /// # Errors
    /// The key holds all of its share.
    pub(super) fn hold(&self, asked: &Asked<'_>) -> Result<Holding, Reason> {
        let found = self.key.digest(asked.snapshot, asked.head);
        let digest = found.unwrap_or_else(|| key::of_client(asked.snapshot, asked.head));
        // In the shadow it is only counted how many there are.
        let most = if self.meant.shadow { u32::MAX } else { self.most(asked.snapshot) };
        match self.shares.holdings.take(digest, most) {
            Some(holding) => Ok(holding),
            None => {
                self.shares.stats[asked.worker.index].refused.increment();
                Err(Reason::KeyShare)
            }
        }
    }
}

/// A part of so many permits, at least one.
fn share_of(share: f64, permits: u32) -> u32 {
    // The little bit makes up for rounding; a float becomes an integer by saturation.
    ((share * f64::from(permits) + 1e-6) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_at_least_one() {
        for (permits, most) in [(0, 1), (1, 1), (9, 2), (10, 3), (13, 3), (100, 30)] {
            assert_eq!(share_of(0.3, permits), most, "of {permits}");
        }
    }
}
