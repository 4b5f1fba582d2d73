//! A rate for each key, of a bounded number of keys: governor's algorithm over a table that neither grows nor forgets who
//! owes something.
//!
//! ```text
//! take ─> known? ── yes ──> its own time: one exchange
//!           │ no
//!           v
//!         the time of its company: refused by it?  ──> refused, nothing written
//!           │ no
//!           v
//!         lock of its segment: a place, or one whose bucket is full ──> a time of its own
//!                              none ──> accounted for in company
//! ```

use std::sync::Arc;
use std::time::Duration;

use crate::rate::Rate;
use crate::sync::{AtomicU32, Ordering};
use crate::timestamp::Timestamp;

mod digest;
mod governed;
mod quota;
mod refused;
mod segment;
mod table;
mod word;

pub(crate) use digest::AsItIs;
pub use digest::{Digest, Digesting, Seed};
use quota::Quota;
pub use refused::RefusedKeys;
use table::Table;

/// Admits `burst + rate * t` requests of each key in any time `t`, never more, on any number of threads; to the
/// nanosecond, by which an interval is rounded up.
///
/// At most `max_keys` keys have a time of their own. Only one whose bucket is full makes room for another, so that it is
/// the same when it comes back. A key that finds no place shares the time of a company of keys, and so gets less than its
/// rate, never more.
///
/// The epoch of the timestamps must be recent, such as the start of the process: after 9 years the clock stands
/// still here.
#[derive(Debug)]
pub struct Keys {
    table: Arc<Table>,
    quota: Quota,
    max_keys: usize,
    /// Tells what is remembered of these keys at this rate from what is of others.
    number: u32,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What a table of keys holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct KeysStatus {
    /// Keys that have a time of their own, be their buckets full.
    pub keys: usize,
    /// How many there may be.
    pub max_keys: usize,
    /// Requests that were accounted for in company since the start, since no place was free.
    pub in_company: u64,
}

// === impl Keys ===

impl Keys {
    /// Bytes that a key takes at most: its digest and time in a map that has grown once more than it had to
    /// (4.6 times 25), and its place in the ring (24), with its part of the companies.
    pub const MAX_BYTES_PER_KEY: usize = 141;

    /// `rate` for each of at most `max_keys` keys, at least 1.
    #[must_use]
    pub fn new(rate: Rate, max_keys: usize) -> Self {
        let max_keys = max_keys.max(1);
        Self {
            table: Arc::new(Table::new(max_keys)),
            quota: Quota::new(rate),
            max_keys,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The same keys with another rate from `now` on: who owed so many requests owes as many, at most a burst. Whoever
    /// still asks the former ones is told by the former rate, and accounted for here.
    ///
    /// Of many more keys than before each is moved, which takes milliseconds for each ten thousand; whoever asks meanwhile
    /// waits for two thousand of them at most.
    #[must_use]
    pub fn changed(&self, rate: Rate, max_keys: usize, now: Timestamp) -> Self {
        let max_keys = max_keys.max(1);
        let quota = self.quota.changed(rate, now);
        Self {
            table: self.table.with_max_keys(max_keys, &quota, quota::nanos(now)),
            quota,
            max_keys,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether a request of `key` would conform now. Nothing of the keys is written; the lock of a piece of the map is
    /// taken for reading.
    ///
    /// # Errors
    /// The time after which one would; [`Duration::MAX`] if closed.
    pub fn peek(&self, key: Digest, now: Timestamp) -> Result<(), Duration> {
        governed::peek(&self.table, &self.quota, key, now)
    }

    /// The same by what this core has `refused`, if it has: then nothing is touched that another core touches.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn peek_by(
        &self,
        refused: &RefusedKeys,
        key: Digest,
        now: Timestamp,
    ) -> Result<(), Duration> {
        if let Some(wait) = refused.wait(self.number, key, now) {
            return Err(wait);
        }
        self.peek(key, now).inspect_err(|wait| refused.note(self.number, key, now, *wait))
    }

    /// Accounts for a request of `key`, if it conforms; changes nothing if it does not.
    ///
    /// # Errors
    /// As [`peek`](Self::peek).
    pub fn take(&self, key: Digest, now: Timestamp) -> Result<(), Duration> {
        governed::take(&self.table, &self.quota, key, now)
    }

    /// The rate of each key.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.quota.rate()
    }

    /// What the table holds.
    #[must_use]
    pub fn status(&self) -> KeysStatus {
        KeysStatus {
            keys: self.table.len(),
            max_keys: self.max_keys,
            in_company: self.table.in_company(),
        }
    }
}
