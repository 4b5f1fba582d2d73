//! How many permits an upstream has, where their number is found while it runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floodgate_limiter::{
    Adaptive, AdaptiveSeen, AdaptiveSettings, AdaptiveStatus, Algorithm, Limiter, Limits, Timestamp,
};

/// The number of permits of one upstream, carried over by its name. It is there also where the number is fixed, so that a
/// generation that was replaced and one that replaced it never both move it.
#[derive(Debug)]
pub(crate) struct Permits {
    found: Mutex<Found>,
    /// Pressure of the process, as the bits of an `f64`.
    pressure: AtomicU64,
}

#[derive(Debug)]
struct Found {
    adaptive: Adaptive,
    /// As configured, with as many permits as there may ever be.
    limits: Limits,
}

// === impl Permits ===

impl Permits {
    /// Of an upstream that nobody has asked anything yet, with its limiter.
    pub(crate) fn new(
        settings: AdaptiveSettings,
        limits: Limits,
        now: Timestamp,
    ) -> (Arc<Self>, Arc<Limiter>) {
        let adaptive = Adaptive::new(settings, now);
        let limiter = Limiter::new(&limits.clone().resized(adaptive.limit()));
        let found = Mutex::new(Found { adaptive, limits });
        (Arc::new(Self { found, pressure: AtomicU64::new(0) }), limiter)
    }

    /// Makes new settings and limits live, with what was found so far. The tiers stood where `from` says.
    pub(crate) fn apply(
        &self,
        limiter: &Limiter,
        settings: AdaptiveSettings,
        limits: Limits,
        from: &[Option<usize>],
        now: Timestamp,
    ) {
        let mut found = self.lock();
        found.adaptive.apply(settings, now);
        // At once what was found, never the most in between: that would let everybody in for a moment.
        limiter.apply_from(&limits.clone().resized(found.adaptive.limit()), from, now);
        found.limits = limits;
    }

    /// Looks at the limiter, and moves the number if that is called for. Often. `frozen`: what comes back tells nothing.
    pub(crate) fn tick(&self, limiter: &Limiter, frozen: bool, now: Timestamp) {
        let mut found = self.lock();
        let settings = *found.adaptive.settings();
        if settings.algorithm() == Algorithm::Fixed {
            return;
        }
        let seen = AdaptiveSeen {
            totals: limiter.totals(),
            in_flight: limiter.in_flight(),
            pressure: self.pressure(),
            frozen,
        };
        let limit = found.adaptive.tick(&seen, now);
        if settings.moves() {
            limiter.resize(&found.limits.clone().resized(limit), now);
        }
    }

    /// The pressure of the process, 0..1.
    pub(crate) fn press(&self, pressure: f64) {
        self.pressure.store(pressure.to_bits(), Relaxed);
    }

    /// The pressure that it was told last.
    pub(crate) fn pressure(&self) -> f64 {
        f64::from_bits(self.pressure.load(Relaxed))
    }

    /// What can be seen of it; `None`: the number is fixed.
    pub(crate) fn status(&self) -> Option<AdaptiveStatus> {
        let status = self.lock().adaptive.status();
        (status.algorithm != Algorithm::Fixed).then_some(status)
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use floodgate_limiter::{Decision, TierId, TierLimits, Watermarks};

    use super::*;

    fn limits(permits: u32) -> Limits {
        let tier = TierLimits {
            max_wait: Duration::from_secs(1),
            weight: NonZeroU32::MIN,
            watermarks: Watermarks::new(0.95, 0.8).unwrap(),
        };
        Limits::new(permits, 10, vec![tier]).unwrap().reserved(permits / 4)
    }

    fn live(start: u32) -> AdaptiveSettings {
        AdaptiveSettings::new(Algorithm::Vegas, 2, 100, start).unwrap()
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    /// As many requests at once as there may be, of 10 ms each, up to the second `end`.
    fn use_all(permits: &Permits, limiter: &Arc<Limiter>, frozen: bool, end: u64) {
        let tier = TierId::new(0).unwrap();
        for now in (end * 1_000 - 5_000..end * 1_000).step_by(10) {
            let mut inside = Vec::new();
            while let Decision::Admit(permit) = limiter.acquire(tier, at(now), Timestamp::MAX) {
                inside.push(permit);
            }
            permits.tick(limiter, frozen, at(now));
            inside.into_iter().for_each(|permit| permit.release(at(now + 10)));
        }
    }

    #[test]
    fn what_was_found_holds_through_a_reload_and_a_part_of_it_is_kept() {
        let (permits, limiter) = Permits::new(live(20), limits(100), at(0));
        assert_eq!(limiter.status(at(0)).limit, 20);
        use_all(&permits, &limiter, false, 5);
        let found = limiter.status(at(5_000));
        assert!(found.limit > 40, "{found:?}");
        assert_eq!(found.reserved, found.limit / 4);
        permits.apply(
            &limiter,
            live(20).with_max_latency(Some(Duration::from_secs(1))),
            limits(100),
            &[Some(0)],
            at(5_000),
        );
        assert_eq!(limiter.status(at(5_000)).limit, found.limit);
    }

    #[test]
    fn a_generation_that_was_replaced_does_not_move_what_the_next_has_fixed() {
        let (permits, limiter) = Permits::new(live(20), limits(100), at(0));
        use_all(&permits, &limiter, false, 5);
        permits.apply(&limiter, AdaptiveSettings::fixed(7), limits(7), &[Some(0)], at(5_000));
        use_all(&permits, &limiter, false, 10);
        assert_eq!(limiter.status(at(10_000)).limit, 7);
        assert_eq!(permits.status(), None);
    }

    #[test]
    fn frozen_it_stays_where_it_is() {
        let (permits, limiter) = Permits::new(live(20), limits(100), at(0));
        use_all(&permits, &limiter, true, 5);
        assert_eq!(limiter.status(at(5_000)).limit, 20);
    }
}
