//! What the limiter has done since the last look worth having.

use std::time::Duration;

use super::Seen;
use crate::status::Totals;
use crate::timestamp::Timestamp;

/// A window is twice the latency long, within these bounds (Netflix, concurrency-limits: `WindowedLimit`): shorter, and what comes
/// back in it was begun under another limit.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);
/// Fewer services say nothing (the same).
const SERVICES: u64 = 10;
/// Until when so few are waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was seen in one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Services that ended.
    pub(super) services: f64,
    /// Their mean latency in seconds, above 0.
    pub(super) latency: f64,
    /// Mean number in flight, of one look per tick.
    pub(super) in_flight: f64,
}

/// The running window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    began: Option<(Timestamp, Totals)>,
    in_flight: f64,
    looks: f64,
}

impl Window {
    /// Begins anew.
    pub(super) fn begin(&mut self, seen: &Seen, now: Timestamp) {
        *self = Self { began: Some((now, seen.totals)), in_flight: 0.0, looks: 0.0 };
    }

    /// What was measured, if the window has ended; `Some(None)`: too little came back. `latency` is that of the last.
    pub(super) fn tick(
        &mut self,
        seen: &Seen,
        latency: f64,
        now: Timestamp,
    ) -> Option<Option<Measured>> {
        let Some((began, before)) = self.began else {
            self.begin(seen, now);
            return None;
        };
        self.in_flight += f64::from(seen.in_flight);
        self.looks += 1.0;
        let age = now.saturating_since(began);
        let services = seen.totals.services.saturating_sub(before.services);
        let length = Duration::try_from_secs_f64(latency * 2.0).unwrap_or(LONGEST);
        if age < length.clamp(SHORTEST, LONGEST) || (services < SERVICES && age < PATIENCE) {
            return None;
        }
        let nanos = seen.totals.service_nanos.saturating_sub(before.service_nanos);
        let idle = seen.totals.idle_nanos.saturating_sub(before.idle_nanos);
        let nanos = nanos.saturating_sub(idle);
        let latency = nanos as f64 / 1e9 / services.max(1) as f64;
        let in_flight = self.in_flight / self.looks;
        self.begin(seen, now);
        let is_enough = services >= SERVICES && latency > 0.0;
        Some(is_enough.then_some(Measured { services: services as f64, latency, in_flight }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_the_upstream_was_idle_is_none_of_its_latency() {
        let at = |millis: u64| Timestamp::from_nanos(millis * 1_000_000);
        let mut seen = Seen { in_flight: 10, ..Seen::default() };
        let mut window = Window::default();
        window.begin(&seen, at(0));
        seen.totals.services = 10;
        seen.totals.service_nanos = 10 * 500_000_000;
        seen.totals.idle_nanos = 10 * 480_000_000;
        let measured = window.tick(&seen, 0.0, at(100)).unwrap().unwrap();
        assert!((measured.latency - 0.02).abs() < 1e-9, "{measured:?}");
    }
}
