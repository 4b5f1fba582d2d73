//! What an operator does to a limiter while it runs, and sees of it.

use crate::limiter::Limiter;
use crate::limits::Limits;
use crate::rejection::Rejection;
use crate::status::{Status, TierStatus};
use crate::sync::{Ordering, lock};
use crate::timestamp::Timestamp;
use crate::word::Limit;

impl Limiter {
    /// Changes the limits live. A higher limit, or a smaller reserve, is handed to waiters at once; a lower one evicts nobody and gives nothing
    /// until enough has come back; 0 refuses the waiters as [`Rejection::Closed`]; a smaller buffer evicts nobody.
    pub fn apply(&self, limits: &Limits, now: Timestamp) {
        let same: Vec<Option<usize>> = (0..limits.tiers().len()).map(Some).collect();
        self.apply_from(limits, &same, now);
    }

    /// The same where tiers have changed places: the new tier at each index goes on as the old one at the index that
    /// `from` says, with its waiters and its breaker. `None`, or an index that is named twice: it begins anew. Waiters of
    /// a tier that is gone go to the end of the last one.
    pub fn apply_from(&self, limits: &Limits, from: &[Option<usize>], now: Timestamp) {
        {
            let mut buffer = lock(&self.buffer);
            buffer.apply(limits, from);
            self.count_shares(&mut buffer);
            self.counters.limit.store(Limit::new(limits).0, Ordering::Release);
            self.publish(&mut buffer, now);
        }
        if limits.max_in_flight() == 0 {
            self.in_batches(now, |buffer, wakers| {
                // Another change may have opened it since.
                self.counters.limit().all() != 0
                    || self.refuse_all(buffer, wakers, Rejection::Closed)
            });
        } else {
            self.in_batches(now, |buffer, wakers| self.hand_out(buffer, wakers, now));
        }
    }

    /// Changes the number of permits live, with how many of them are kept for ranks above the ordinary and guaranteed to the
    /// tiers, to those of `limits`. All else stays as it was applied. For a limit that is found while it holds; closing is
    /// for [`apply`](Self::apply), so that 0 is 1 here.
    pub fn resize(&self, limits: &Limits, now: Timestamp) {
        let limit = Limit::of_numbers(limits.max_in_flight().max(1), limits.reserved_permits());
        if self.counters.limit() == limit {
            return;
        }
        {
            let mut buffer = lock(&self.buffer);
            buffer.guarantee(limits);
            self.counters.limit.store(limit.0, Ordering::Release);
            self.publish(&mut buffer, now);
        }
        self.in_batches(now, |buffer, wakers| self.hand_out(buffer, wakers, now));
    }

    /// Permits out, as one load.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.counters.word().in_flight()
    }

    /// Refuses waiters and newcomers as [`Rejection::Draining`] from now on; permits are not touched.
    pub fn drain(&self, now: Timestamp) {
        self.in_batches(now, |buffer, wakers| {
            buffer.drain();
            self.refuse_all(buffer, wakers, Rejection::Draining)
        });
    }

    /// A pressure from outside the buffer, 0..1, such as memory in use over its limit, until it is set anew. It counts for every
    /// tier whose high watermark it has reached, until it is 0.05 below that: however low the other watermark is.
    pub fn set_external_pressure(&self, pressure: f64, now: Timestamp) {
        let mut buffer = lock(&self.buffer);
        buffer.set_external_pressure(pressure);
        self.publish(&mut buffer, now);
    }

    /// How full it is at `now`: the largest pressure of any tier, 0..1. Takes the lock, and allocates nothing.
    #[must_use]
    pub fn pressure(&self, now: Timestamp) -> f64 {
        let mut buffer = lock(&self.buffer);
        self.publish(&mut buffer, now);
        buffer.pressure()
    }

    /// Everything that can be seen, as of `now`. Takes the lock: for people and scrapers, not for requests.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        let mut buffer = lock(&self.buffer);
        self.publish(&mut buffer, now);
        let is_counted = buffer.has_guarantees();
        let in_flight = |counter| is_counted.then(|| self.shares.in_flight(counter));
        let tiers: Vec<TierStatus> = (buffer.tiers().iter())
            .map(|tier| TierStatus { in_flight: in_flight(tier.counter), ..tier.status() })
            .collect();
        let limit = self.counters.limit();
        Status {
            in_flight: self.counters.word().in_flight(),
            limit: limit.all(),
            reserved: limit.all() - limit.ordinary(),
            waiting: buffer.waiting(),
            capacity: buffer.capacity(),
            pressure: buffer.pressure(),
            mean_service: self.counters.service().mean,
            queue_delay: buffer.queue_delay(),
            draining: buffer.is_draining(),
            tiers,
        }
    }
}
