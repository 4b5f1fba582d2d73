//! One rate per key of one route.

use std::sync::Arc;
use std::time::Duration;

use floodgate_config::{MissingKey, Pattern};
use floodgate_limiter::{Digest, HotKeys, KeyText, Keys, Timestamp};

use super::key::{self, Key};
use super::{Asked, Looked, Shard};

/// Which limit refused a request, and when the next one of its key conforms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limited {
    /// Its place among those of the route.
    pub limit: u8,
    /// The time until then; [`Duration::MAX`] if never.
    pub wait: Duration,
}

/// A rate for each key.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) meant: floodgate_config::Limit,
    key: Key,
    pub(super) keys: Keys,
    pub(super) hot: Arc<HotKeys>,
    pub(super) stats: Arc<[Shard]>,
}

// === impl Limit ===

impl Limit {
    pub(super) fn compile(
        meant: &floodgate_config::Limit,
        path: &Pattern,
        old: Option<&Self>,
        cores: usize,
        now: Timestamp,
    ) -> Self {
        Self {
            key: Key::compile(&meant.key, path),
            keys: match old {
                Some(old) => old.keys.changed(meant.rate, meant.max_keys, now),
                None => Keys::new(meant.rate, meant.max_keys),
            },
            hot: old.map_or_else(|| Arc::new(HotKeys::new(cores)), |old| Arc::clone(&old.hot)),
            stats: old.map_or_else(|| Shard::all(cores), |old| Arc::clone(&old.stats)),
            meant: meant.clone(),
        }
    }

    /// Whether its state is that of `meant`: other keys are other things, whatever the name.
    pub(super) fn is_same(&self, meant: &floodgate_config::Limit) -> bool {
        self.meant.name == meant.name && self.meant.key == meant.key
    }

    /// What there is to say of a request.
    pub(super) fn look(&self, asked: &Asked<'_>, is_shown: bool, now: Timestamp) -> Looked {
        let found = self.key.digest(asked.snapshot, asked.head);
        if let Some(digest) = found.filter(|_| is_shown) {
            let write = |out: &mut KeyText| self.key.write(asked.snapshot, asked.head, out);
            self.hot.show(asked.worker.index, digest, now, write);
        }
        let is_missing = found.is_none();
        let digest = found.or_else(|| self.instead(asked));
        let refused = &asked.worker.refused_keys;
        let over = digest.and_then(|digest| self.keys.peek_by(refused, digest, now).err());
        Looked { over, is_missing }
    }

    /// Accounts for the request.
    ///
    /// # Errors
    /// The time after which the next one conforms.
    pub(super) fn take(&self, asked: &Asked<'_>, now: Timestamp) -> Result<(), Duration> {
        let found = self.key.digest(asked.snapshot, asked.head);
        let Some(digest) = found.or_else(|| self.instead(asked)) else { return Ok(()) };
        match self.keys.take(digest, now) {
            // What it would refuse was counted when it was looked at.
            Err(wait) if !self.meant.shadow => {
                self.stats[asked.worker.index].refused.increment();
                Err(wait)
            }
            _ => Ok(()),
        }
    }

    /// What a request goes by that does not have the key.
    fn instead(&self, asked: &Asked<'_>) -> Option<Digest> {
        match self.meant.missing {
            MissingKey::ClientIp => Some(key::of_client(asked.snapshot, asked.head)),
            MissingKey::Pass => None,
        }
    }
}
