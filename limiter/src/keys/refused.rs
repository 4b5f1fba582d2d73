//! Which keys have to be refused until when, as far as one core has seen: a storm of one client is refused by memory that
//! no other core reads or writes.

use std::cell::Cell;
use std::time::Duration;

use super::digest::Digest;
use crate::timestamp::{Timestamp, saturating_nanos};

/// Keys that are remembered, a power of two: 32 KiB. The last of those that meet in a place stays.
const PLACES: usize = 1_024;

/// What one core has seen of keys that are over their rate. Until a key's next request conforms nothing can make it
/// conform sooner but another rate, which counts as another [`Keys`](super::Keys): so what is remembered stays true, and
/// nothing has to be told when a table changes.
#[derive(Debug)]
pub struct RefusedKeys(Box<[Cell<Option<Refused>>]>);

#[derive(Clone, Copy, Debug)]
struct Refused {
    /// Number of the keys that it belongs to.
    keys: u32,
    key: Digest,
    /// When its next request conforms.
    until: Timestamp,
}

// === impl RefusedKeys ===

impl RefusedKeys {
    /// Nobody is known.
    #[must_use]
    pub fn new() -> Self {
        Self((0..PLACES).map(|_| Cell::new(None)).collect())
    }

    /// How long `key` of the keys with this number has to be refused from `now` on, if that is known.
    pub(super) fn wait(&self, keys: u32, key: Digest, now: Timestamp) -> Option<Duration> {
        let refused = self.place(keys, key).get()?;
        let is_it = refused.keys == keys && refused.key == key && refused.until > now;
        is_it.then(|| refused.until.saturating_since(now))
    }

    /// Notes that `key` has to be refused for so long.
    pub(super) fn note(&self, keys: u32, key: Digest, now: Timestamp, wait: Duration) {
        // One that is closed is refused without a look anyway.
        if saturating_nanos(wait) < u64::MAX {
            self.place(keys, key).set(Some(Refused { keys, key, until: now + wait }));
        }
    }

    fn place(&self, keys: u32, key: Digest) -> &Cell<Option<Refused>> {
        &self.0[(key.high() as usize).wrapping_add(keys as usize) & (PLACES - 1)]
    }
}

impl Default for RefusedKeys {
    fn default() -> Self {
        Self::new()
    }
}
