//! The line of memory that every admission writes: the state word, and what is counted on the way.

use std::time::Duration;

use crate::class::Rank;
use crate::limits::Limits;
use crate::status::Totals;
use crate::sync::{AtomicU64, Ordering};
use crate::timestamp::{Timestamp, saturating_nanos};
use crate::word::{Limit, Word};

pub(crate) struct Counters {
    /// A [`Word`].
    pub(crate) state: AtomicU64,
    /// A [`Limit`].
    pub(crate) limit: AtomicU64,
    /// Exponentially weighted mean of the service time in nanoseconds; 0: not known yet. Read, then
    /// written: of two permits returned at once one may go uncounted, which moves a mean of many by an eighth of one.
    mean_service: AtomicU64,
    /// The latest `now` of any admission or return, in nanoseconds; approximate in the same way.
    latest: AtomicU64,
    services: AtomicU64,
    service_nanos: AtomicU64,
    ranked: AtomicU64,
    ranked_wait_nanos: AtomicU64,
    /// Written where there was idleness only, so it may lie beyond the line.
    idle_nanos: AtomicU64,
}

/// From this rank on a request counts as ranked in the [`Totals`].
const FIRST_COUNTED: Rank = Rank::new(2);

/// How fast the upstream takes: what estimates are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) limit: Limit,
    /// Mean time from a permit to its return; zero: not known yet.
    pub(crate) mean: Duration,
}

impl Service {
    /// The time in which `requests` of `permits` come back.
    pub(crate) fn time_for(self, requests: u64, permits: u32) -> Duration {
        let nanos = saturating_nanos(self.mean).saturating_mul(requests);
        Duration::from_nanos(nanos / u64::from(permits.max(1)))
    }
}

impl Counters {
    pub(crate) fn new(limits: &Limits) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            state: zero(),
            limit: AtomicU64::new(Limit::new(limits).0),
            mean_service: zero(),
            latest: zero(),
            services: zero(),
            service_nanos: zero(),
            ranked: zero(),
            ranked_wait_nanos: zero(),
            idle_nanos: zero(),
        }
    }

    /// What it has done since it began. Only reads.
    pub(crate) fn totals(&self) -> Totals {
        let read = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        Totals {
            services: read(&self.services),
            service_nanos: read(&self.service_nanos),
            ranked: read(&self.ranked),
            ranked_wait_nanos: read(&self.ranked_wait_nanos),
            idle_nanos: read(&self.idle_nanos),
            limit: self.limit().all(),
        }
    }

    pub(crate) fn exchange(&self, word: Word, new: u64) -> Result<(), Word> {
        // What was done under a permit happens before what is done under the next.
        self.state
            .compare_exchange(word.0, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
            .map_err(Word)
    }

    pub(crate) fn word(&self) -> Word {
        Word(self.state.load(Ordering::Acquire))
    }

    pub(crate) fn limit(&self) -> Limit {
        Limit(self.limit.load(Ordering::Acquire))
    }

    pub(crate) fn service(&self) -> Service {
        let mean = Duration::from_nanos(self.mean_service.load(Ordering::Relaxed));
        Service { limit: self.limit(), mean }
    }

    /// The latest time that anybody came or went.
    pub(crate) fn latest(&self) -> Timestamp {
        Timestamp::from_nanos(self.latest.load(Ordering::Relaxed))
    }

    pub(crate) fn see(&self, now: Timestamp) {
        if now > self.latest() {
            self.latest.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    /// Counts one service into the mean, with a weight of 1/8 (as TCP does a round trip: RFC 6298).
    pub(crate) fn measure(&self, service: Duration) {
        let service = saturating_nanos(service);
        let mean = self.mean_service.load(Ordering::Relaxed);
        let new = if mean == 0 { service } else { mean - mean / 8 + service / 8 };
        if new != mean {
            self.mean_service.store(new, Ordering::Relaxed);
        }
        self.services.fetch_add(1, Ordering::Relaxed);
        self.service_nanos.fetch_add(service, Ordering::Relaxed);
    }

    /// Counts for how much of a service the upstream had nothing to do.
    pub(crate) fn idle(&self, idle: Duration) {
        self.idle_nanos.fetch_add(saturating_nanos(idle), Ordering::Relaxed);
    }

    /// Counts a permit that one of `rank` got after `wait`.
    pub(crate) fn count(&self, rank: Rank, wait: Duration) {
        if rank >= FIRST_COUNTED {
            self.ranked.fetch_add(1, Ordering::Relaxed);
            self.ranked_wait_nanos.fetch_add(saturating_nanos(wait), Ordering::Relaxed);
        }
    }
}
