//! governor's algorithm over our table, at the time that is given.
//!
//! Its limiter counts from the first reading of its clock, cannot change its quota and owns its store. So one is made for
//! each decision, of references: its clock says first that it is the epoch, then that it is now. Times therefore mean the
//! same to all of them, and the quota is whatever is in force.

use std::cell::Cell;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{NotUntil, RateLimiter};

use super::digest::Digest;
use super::quota::{Quota, nanos};
use super::table::Table;
use super::word::Word;
use crate::timestamp::Timestamp;

/// Whether a request of `key` would conform at `now`; nothing is written.
///
/// # Errors
/// The time after which one would.
pub(super) fn peek(
    table: &Table,
    quota: &Quota,
    key: Digest,
    now: Timestamp,
) -> Result<(), Duration> {
    decide(Looking { table, quota }, quota, key, now)
}

/// Accounts for a request of `key`, if it conforms.
///
/// # Errors
/// The time after which one would.
pub(super) fn take(
    table: &Table,
    quota: &Quota,
    key: Digest,
    now: Timestamp,
) -> Result<(), Duration> {
    decide(Taking { table, quota, now: nanos(now) }, quota, key, now)
}

fn decide(
    store: impl StateStore<Key = Digest>,
    quota: &Quota,
    key: Digest,
    now: Timestamp,
) -> Result<(), Duration> {
    let Some(governed) = quota.governed() else { return Err(Duration::MAX) };
    let now = Nanos::new(nanos(now));
    let limiter =
        RateLimiter::<_, _, _, NoOpMiddleware<_>>::new(governed, store, Readings::of(now));
    limiter.check_key(&key).map_err(|until: NotUntil<Nanos>| until.wait_time_from(now))
}

/// A clock that stands at the epoch when it is read first, and at `now` from then on.
struct Readings {
    next: Cell<Nanos>,
    now: Nanos,
}

/// A table that is only looked at.
struct Looking<'t> {
    table: &'t Table,
    quota: &'t Quota,
}

/// A table that is written to.
struct Taking<'t> {
    table: &'t Table,
    quota: &'t Quota,
    now: u64,
}

// === impl Readings ===

impl Readings {
    fn of(now: Nanos) -> Self {
        Self { next: Cell::new(Nanos::default()), now }
    }
}

impl Clock for Readings {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.next.replace(self.now)
    }
}

// === impl Looking ===

impl StateStore for Looking<'_> {
    type Key = Digest;

    fn measure_and_replace<T, F, E>(&self, key: &Digest, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        decide(known(self.quota, self.table.read(*key))).map(|(outcome, _)| outcome)
    }
}

// === impl Taking ===

impl StateStore for Taking<'_> {
    type Key = Digest;

    fn measure_and_replace<T, F, E>(&self, key: &Digest, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let account = |word| {
            let (outcome, next) = decide(known(self.quota, word))?;
            Ok((outcome, self.quota.word(next.as_u64(), word)))
        };
        self.table.change(*key, self.quota, self.now, account)
    }
}

fn known(quota: &Quota, word: Word) -> Option<Nanos> {
    (!word.is_nothing()).then(|| Nanos::new(quota.time(word)))
}
