//! The latency of an upstream that has nothing else to do, learnt without ever leaving it idle.
//!
//! The published laws take the least round trip of late, which an upstream that became slower never reaches again, or a slow
//! average, which in a long overload becomes the overload (failsafe-go#127, Netflix concurrency-limits#134). Here the least is
//! believed until something contradicts it: less in flight, and the latency no shorter. Then that latency is nobody's
//! queue, and is the new least. So it follows an upstream that becomes slower or faster, and no overload of any length.

use super::window::Measured;

/// So many services make a mean whose error is a few hundredths, if their deviation is as large as their mean.
const ENOUGH: f64 = 300.0;
/// Services that the unloaded latency is a mean of.
const MEMORY: f64 = 2_000.0;
/// What is shorter, or longer, by more than this is no noise of [`ENOUGH`] services: what was known before no longer holds.
const NEWS: f64 = 0.25;
/// A fall of what is in flight to this part of the reference is judged.
const FALL: f64 = 0.75;
/// Above this part of it the reference follows.
const SAME: f64 = 0.85;
/// A window with so much more or less in flight than the one before tells of neither: after a rise, for one, the short
/// services of the newcomers come back before their long ones.
const SETTLED: f64 = 0.2;
/// How fast it does, per window.
const FOLLOW: f64 = 0.3;
/// Windows that a judgement takes, and after which it is made of what there is.
const WINDOWS: [u32; 2] = [3, 10];

/// What less in flight has shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The latency fell too: it was a queue.
    Queue,
    /// It did not: it is the upstream's own.
    Upstream,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    in_flight: f64,
    latency: f64,
}

/// Windows since the fall.
#[derive(Clone, Copy, Debug, Default)]
struct Judging {
    windows: u32,
    services: f64,
    /// Sums of latency and in flight, times services.
    latency: f64,
    in_flight: f64,
}

/// The unloaded latency.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baseline {
    /// Seconds; 0: not known yet.
    least: f64,
    /// Services that it is a mean of; 0: it is the least that was seen, and no sounding has confirmed it.
    weight: f64,
    /// Mean of the last [`ENOUGH`] services or so, and how many it is of.
    smoothed: f64,
    seen: f64,
    /// In flight in the last window; whether that was about the same as in the one before.
    in_flight: f64,
    is_settled: bool,
    reference: Option<Point>,
    judging: Option<Judging>,
}

impl Baseline {
    /// The unloaded latency in seconds; 0: not known yet.
    pub(super) const fn least(&self) -> f64 {
        self.least
    }

    /// Whether less in flight has shown that it is no queue's.
    pub(super) fn is_confirmed(&self) -> bool {
        self.weight > 0.0
    }

    /// Whether less is in flight and it is not known yet what that shows: the limit had better rest.
    pub(super) const fn is_judging(&self) -> bool {
        self.judging.is_some()
    }

    /// Whether the last window tells of as many as were in flight in it.
    pub(super) const fn is_settled(&self) -> bool {
        self.is_settled
    }

    /// Whether it is known what the latency is with as many in flight as now.
    pub(super) fn is_anchored(&self) -> bool {
        self.is_settled && self.seen >= ENOUGH
    }

    /// What a fall from here on is held against.
    pub(super) fn anchor(&mut self, measured: &Measured) {
        let latency = if self.smoothed > 0.0 { self.smoothed } else { measured.latency };
        self.reference = Some(Point { in_flight: measured.in_flight, latency });
        self.judging = None;
    }

    /// Takes in that so few were in flight in a window that they were in nobody's way.
    pub(super) fn confirm(&mut self, measured: &Measured) {
        let is_alike = (measured.latency / self.least - 1.0).abs() <= NEWS;
        if self.is_settled && self.least > 0.0 && is_alike {
            self.average(measured.latency, measured.services);
        }
    }

    /// Takes a window in. `is_light`: with few in flight, whose number means nothing.
    pub(super) fn observe(&mut self, measured: &Measured, is_light: bool) -> Option<Verdict> {
        let before = std::mem::replace(&mut self.in_flight, measured.in_flight);
        self.is_settled = is_light || (measured.in_flight - before).abs() <= SETTLED * before;
        if !self.is_settled {
            self.seen = 0.0;
            if measured.in_flight > before {
                self.judging = None;
            }
            return None;
        }
        self.seen += measured.services;
        let part = (measured.services / self.seen.min(1.5 * ENOUGH)).min(1.0);
        self.smoothed += part * (measured.latency - self.smoothed);
        // Not the least of all: of a hundred means, the least is low by its error.
        let (enough, news) = if self.weight == 0.0 { (1.0, 1.0) } else { (1.5, 1.0 - NEWS) };
        if self.seen >= enough * ENOUGH && (self.least == 0.0 || self.smoothed < self.least * news)
        {
            self.least = self.smoothed;
            if std::mem::take(&mut self.weight) > 0.0 {
                // What is older may be of the upstream as it was.
                (self.smoothed, self.seen) = (measured.latency, measured.services);
            }
        }
        let Some(reference) = &mut self.reference else {
            self.anchor(measured);
            return None;
        };
        let part = measured.in_flight / reference.in_flight;
        if part > FALL {
            self.judging = None;
            // Between the two it comes down slowly: a fall may be on its way.
            let follow = if part > SAME { FOLLOW } else { FOLLOW / 10.0 };
            reference.in_flight += follow * (measured.in_flight - reference.in_flight);
            reference.latency += follow * (measured.latency - reference.latency);
            return None;
        }
        let judging = self.judging.get_or_insert_default();
        judging.windows += 1;
        judging.services += measured.services;
        judging.latency += measured.services * measured.latency;
        judging.in_flight += measured.services * measured.in_flight;
        let windows = if judging.services >= 2.0 * ENOUGH { 1 } else { WINDOWS[0] };
        let is_enough = judging.services >= ENOUGH && judging.windows >= windows;
        (is_enough || judging.windows >= WINDOWS[1]).then(|| self.judge())
    }

    fn judge(&mut self) -> Verdict {
        let judging = self.judging.take().unwrap_or_default();
        let services = judging.services.max(1.0);
        let now =
            Point { in_flight: judging.in_flight / services, latency: judging.latency / services };
        let before = self.reference.replace(now).unwrap_or(now);
        // By how much of the fall the latency fell too: 1 if all of it was a queue, 0 if none was.
        let fell = (now.latency / before.latency).ln() / (now.in_flight / before.in_flight).ln();
        (self.smoothed, self.seen) = (now.latency, judging.services);
        let is_queue = fell > 0.5;
        if self.weight == 0.0 || (now.latency / self.least - 1.0).abs() > NEWS {
            if !is_queue || now.latency < self.least || self.least == 0.0 {
                (self.least, self.weight) = (now.latency, if is_queue { 0.0 } else { services });
            }
        } else if !is_queue {
            self.average(now.latency, services);
        }
        if is_queue { Verdict::Queue } else { Verdict::Upstream }
    }

    fn average(&mut self, latency: f64, services: f64) {
        self.weight = (self.weight + services).min(MEMORY);
        self.least += (services / self.weight).min(1.0) * (latency - self.least);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An upstream that serves `at_once` requests of `latency` each at once.
    fn window(in_flight: f64, at_once: f64, latency: f64) -> Measured {
        let latency = latency * (in_flight / at_once).max(1.0);
        Measured { services: 150.0, latency, in_flight }
    }

    fn after(baseline: &mut Baseline, windows: u32, measured: Measured) -> Option<Verdict> {
        (0..windows).filter_map(|_| baseline.observe(&measured, false)).last()
    }

    #[test]
    fn less_in_flight_tells_a_queue_from_a_slow_upstream() {
        let mut baseline = Baseline::default();
        assert_eq!(after(&mut baseline, 20, window(80.0, 40.0, 0.05)), None);
        assert!((baseline.least() - 0.1).abs() < 1e-9, "all that is known yet");
        assert_eq!(after(&mut baseline, 5, window(50.0, 40.0, 0.05)), Some(Verdict::Queue));
        assert!((baseline.least() - 0.0625).abs() < 1e-9);
        assert_eq!(after(&mut baseline, 5, window(36.0, 40.0, 0.05)), Some(Verdict::Queue));
        assert!((baseline.least() - 0.05).abs() < 1e-9);
        after(&mut baseline, 20, window(40.0, 40.0, 0.15));
        assert!((baseline.least() - 0.05).abs() < 1e-9, "however long it lasts");
        assert_eq!(after(&mut baseline, 5, window(28.0, 40.0, 0.15)), Some(Verdict::Upstream));
        assert!((baseline.least() - 0.15).abs() < 1e-9);
    }

    #[test]
    fn a_fall_that_is_taken_back_is_no_evidence() {
        let mut baseline = Baseline::default();
        after(&mut baseline, 20, window(40.0, 40.0, 0.05));
        assert_eq!(after(&mut baseline, 2, window(20.0, 40.0, 0.15)), None);
        assert!(baseline.is_judging());
        assert_eq!(after(&mut baseline, 1, window(40.0, 40.0, 0.15)), None);
        assert!(!baseline.is_judging());
        assert!((baseline.least() - 0.05).abs() < 1e-9);
    }
}
