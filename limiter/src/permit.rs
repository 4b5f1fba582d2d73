//! The right to be at the upstream now.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::limiter::Limiter;
use crate::shares::Share;
use crate::timestamp::Timestamp;

/// One of the requests in flight, until it is given back.
///
/// Dropping it gives it back too, at the latest time that the limiter has seen, and measures nothing: that is for a panic or a
/// cancelled future.
#[must_use = "a permit that is dropped is given back at once"]
pub struct Permit {
    /// Empty once given back.
    limiter: Option<Arc<Limiter>>,
    given: Given,
}

/// What is known of a permit that was given: since when, and where it is counted.
///
/// In one word, as decisions are handed about more than anything else. That leaves 58 bits for the nanoseconds: 9 years from
/// the epoch, and who is given a permit later is given it then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given(u64);

impl Permit {
    pub(crate) const fn new(limiter: Arc<Limiter>, given: Given) -> Self {
        Self { limiter: Some(limiter), given }
    }

    /// Gives it to the next waiter, or back.
    pub fn release(mut self, now: Timestamp) {
        if let Some(limiter) = self.limiter.take() {
            let service = now.saturating_since(self.given.since());
            limiter.give_back(self.given.share(), Some(service), now);
        }
    }

    /// The same, where for `idle` of the time the upstream had nothing to do: whoever reads its answer did not. As long as that the permit
    /// was not another's, so estimates of waits count it; what an upstream can serve at once is not told by it.
    pub fn release_idle(self, idle: Duration, now: Timestamp) {
        if let Some(limiter) = &self.limiter
            && !idle.is_zero()
        {
            limiter.counters.idle(idle.min(now.saturating_since(self.given.since())));
        }
        self.release(now);
    }

    /// The same, where the time it was held says nothing of the upstream: the customer left, or nothing was asked.
    pub fn cancel(mut self, now: Timestamp) {
        if let Some(limiter) = self.limiter.take() {
            limiter.give_back(self.given.share(), None, now);
        }
    }

    /// When it was given.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.given.since()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limiter) = self.limiter.take() {
            let now = limiter.counters.latest();
            limiter.give_back(self.given.share(), None, now);
        }
    }
}

impl Given {
    pub(crate) const fn new(since: Timestamp, share: Share) -> Self {
        let nanos = since.as_nanos();
        let most = u64::MAX >> Share::BITS;
        Self((if nanos < most { nanos } else { most }) << Share::BITS | share.bits())
    }

    pub(crate) const fn since(self) -> Timestamp {
        Timestamp::from_nanos(self.0 >> Share::BITS)
    }

    pub(crate) const fn share(self) -> Share {
        Share::from_bits(self.0)
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("since", &self.given.since()).finish_non_exhaustive()
    }
}
