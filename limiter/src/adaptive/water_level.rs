//! Large steps by level, after three samples in a row: an elastic pool, with the sign that a limit in front of an upstream needs.
//!
//! A pool of *workers* grows when its queue is long, because it is the server. A limit is not: where the upstream is full, more at
//! once only queue there, so high water must lower it and low water raise it. And for the same reason the water must be
//! the upstream's. Our own queue, and in flight over limit, say how many *want* to go there; in a sale that is always more than may.
//! With either sign they would run the limit to one of its ends: raised by demand to the most, or lowered by it to the
//! least, which lengthens the queue that lowered it.

use super::{Law, Sample};

/// Below and above these the limit moves (as published).
const LOW: f64 = 0.3;
const HIGH: f64 = 0.75;
/// For so many samples in a row (as published).
const SAMPLES: u32 = 3;
/// By so much at first (as published).
const GROW: f64 = 0.3;
const SHRINK: f64 = 0.2;
/// Every turn halves the step, as a bisection does, down to this part of it; three steps the same way double it again. Steps of the
/// published size can jump over the band for ever.
const FINEST: f64 = 1.0 / 16.0;
/// The delay in the upstream's queue that is full water, as a part of the unloaded latency.
const TARGET: f64 = 0.2;
/// Weight of the newest sample.
const SMOOTHING: f64 = 0.4;

/// The law.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaterLevel {
    water: f64,
    /// Samples in a row below or above.
    below: u32,
    above: u32,
    /// Part of the step that is made, and which way the last ones went: how many, those down below 0.
    fineness: f64,
    trend: i32,
}

impl Default for WaterLevel {
    fn default() -> Self {
        Self { water: f64::midpoint(LOW, HIGH), below: 0, above: 0, fineness: 1.0, trend: 0 }
    }
}

impl WaterLevel {
    /// The part of a step that goes `way`, and forgets the samples that led to it: they are of the old limit.
    fn step(&mut self, way: i32) -> f64 {
        if self.trend * way < 0 {
            self.fineness = (self.fineness / 2.0).max(FINEST);
            self.trend = 0;
        }
        self.trend += way;
        if self.trend.abs() >= 3 {
            self.fineness = (self.fineness * 2.0).min(1.0);
            self.trend = way;
        }
        (self.below, self.above) = (0, 0);
        self.fineness
    }
}

impl Law for WaterLevel {
    fn sample(&mut self, sample: &Sample) -> f64 {
        let delay = (sample.latency - sample.baseline).max(0.0);
        let target =
            (sample.baseline * TARGET).min((sample.max_latency - sample.baseline).max(0.0));
        let now = if target > 0.0 { delay / target } else { f64::from(u8::from(delay > 0.0)) };
        // Beyond twice the target it makes no difference, and would take long to go down again.
        // What is used of our memory says nothing of the upstream: it counts only where there is too much of it, or a limit in a
        // process that is half full would never grow.
        let now = if sample.pressure > HIGH { now.max(sample.pressure) } else { now };
        let now = now.min(2.0);
        self.water += SMOOTHING * (now - self.water);
        self.below = if self.water < LOW { self.below + 1 } else { 0 };
        self.above = if self.water > HIGH { self.above + 1 } else { 0 };
        if self.above >= SAMPLES {
            sample.limit * (1.0 - SHRINK * self.step(-1))
        } else if self.below >= SAMPLES {
            sample.limit * (1.0 + GROW * self.step(1))
        } else {
            sample.limit
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_high_pressure_of_the_process_keeps_the_limit_from_growing() {
        let after = |pressure| {
            let mut law = WaterLevel::default();
            let sample = |limit| Sample {
                limit,
                latency: 0.01,
                baseline: 0.01,
                max_latency: f64::INFINITY,
                pressure,
            };
            (0..20).fold(10.0, |limit, _| law.sample(&sample(limit)))
        };
        assert_eq!(after(0.7), after(0.0));
        assert!(after(0.7) > 10.0);
        assert!(after(0.9) < 10.0);
    }
}
