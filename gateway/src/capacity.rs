//! How many requests an upstream can take, as far as its permits have shown.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use floodgate_limiter::Totals;

/// Assumed while nothing was measured: services of 50 ms.
const ASSUMED_PER_PERMIT: f64 = 20.0;

/// Requests per second that an upstream can take, learnt from how long it keeps a permit.
#[derive(Debug)]
pub(crate) struct Capacity {
    /// Bits of an `f64`.
    per_s: AtomicU64,
    seen: Mutex<Totals>,
}

// === impl Capacity ===

impl Capacity {
    /// Of an upstream with `limit` permits that nobody has asked anything yet.
    pub(crate) fn assumed(limit: u32) -> Self {
        let per_s = ASSUMED_PER_PERMIT * f64::from(limit);
        Self { per_s: AtomicU64::new(per_s.to_bits()), seen: Mutex::default() }
    }

    /// Requests per second.
    pub(crate) fn per_s(&self) -> f64 {
        f64::from_bits(self.per_s.load(Relaxed))
    }

    /// Learns from what was measured since the last time. Once a second.
    pub(crate) fn learn(&self, totals: Totals) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let services = totals.services.saturating_sub(seen.services) as f64;
        let seconds = totals.service_nanos.saturating_sub(seen.service_nanos) as f64 / 1e9;
        *seen = totals;
        // As many as fit into a second of all permits (Little's law).
        let per_s = f64::from(totals.limit) * services / seconds;
        if per_s.is_finite() && services > 0.0 {
            self.per_s.store(per_s.to_bits(), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_into_a_second_of_all_permits_is_learnt_from_the_last_second() {
        let capacity = Capacity::assumed(5);
        assert_eq!(capacity.per_s(), 100.0);
        let totals = |services, millis: u64| {
            let mut totals = Totals::default();
            totals.services = services;
            totals.service_nanos = millis * 1_000_000;
            totals.limit = 5;
            totals
        };
        capacity.learn(totals(0, 0));
        assert_eq!(capacity.per_s(), 100.0, "nothing was measured");
        capacity.learn(totals(100, 1_000));
        assert_eq!(capacity.per_s(), 500.0);
        capacity.learn(totals(110, 2_000));
        assert_eq!(capacity.per_s(), 50.0, "what was before does not count");
    }
}
