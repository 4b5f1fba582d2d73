//! How much of an upstream one key may take, so that what is hot leaves room for the rest.

use std::sync::Arc;
use std::time::Duration;

use floodgate_config::Pattern;
use floodgate_limiter::{Holding, Holdings, HotKeys, KeyText, Timestamp};

use super::key::Key;
use super::{Asked, Looked, Shard};
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
    pub(super) stats: Arc<[Shard]>,
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

    /// What there is to say of a request.
    pub(super) fn look(&self, asked: &Asked<'_>, is_shown: bool, now: Timestamp) -> Looked {
        let Some(digest) = self.key.digest(asked.snapshot, asked.head) else {
            return Looked { over: None, is_missing: true };
        };
        let Shares { holdings, hot, .. } = &*self.shares;
        if is_shown {
            let write = |out: &mut KeyText| self.key.write(asked.snapshot, asked.head, out);
            hot.show(asked.worker.index, digest, now, write);
        }
        let is_over = holdings.held(digest) >= self.most;
        Looked { over: is_over.then_some(Duration::ZERO), is_missing: false }
    }

    /// One of the share of the request's key; `None` if it has none.
    ///
    /// # Errors
    /// The key holds all of its share.
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
