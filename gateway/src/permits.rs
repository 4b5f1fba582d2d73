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
            pressure: f64::from_bits(self.pressure.load(Relaxed)),
            frozen,
        };
        let limit = found.adaptive.tick(&seen, now);
        if settings.moves() {
            limiter.resize(limit, found.limits.reserved_at(limit), now);
        }
    }

    /// The pressure of the process, 0..1.
    pub(crate) fn press(&self, pressure: f64) {
        self.pressure.store(pressure.to_bits(), Relaxed);
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
