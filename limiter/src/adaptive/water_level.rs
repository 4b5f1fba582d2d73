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
/// By so much at most (as published).
const GROW: f64 = 0.3;
const SHRINK: f64 = 0.2;
/// Where a step down ends if it would end lower: water that neither grows nor shrinks the limit.
const REST: f64 = 0.4;
/// Every turn halves the step up, as a bisection does, down to this part of it; two steps the same way double it again. Steps of
/// the published size can jump over the band for ever: from 0.9 of the best one leads to 1.17.
const FINEST: f64 = 1.0 / 16.0;
/// An unloaded latency that has changed by more than this part is another upstream's, and the steps begin anew.
const NEWS: f64 = 0.15;
/// The delay in the upstream's queue that is full water, as a part of the unloaded latency.
const TARGET: f64 = 0.18;
/// Weight of the newest sample.
const SMOOTHING: f64 = 0.5;
/// The water after a step: what was seen before is of the old limit.
const MIDDLE: f64 = f64::midpoint(LOW, HIGH);

/// The law.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaterLevel {
    water: f64,
    /// Samples in a row below or above.
    below: u32,
    above: u32,
    /// Part of the step up that is made, and which way the last ones went: how many, those down below 0.
    fineness: f64,
    trend: i32,
    /// The unloaded latency that this was learnt with.
    baseline: f64,
}

impl Default for WaterLevel {
    fn default() -> Self {
        Self { water: MIDDLE, below: 0, above: 0, fineness: 1.0, trend: 0, baseline: 0.0 }
    }
}

impl WaterLevel {
    /// Forgets the samples that led to a step, and says what part of it is made if it goes `way`.
    fn step(&mut self, way: i32) -> f64 {
        if self.trend * way < 0 {
            self.fineness = (self.fineness / 2.0).max(FINEST);
            self.trend = 0;
        }
        self.trend += way;
        if self.trend.abs() >= 2 {
            self.fineness = (self.fineness * 2.0).min(1.0);
            self.trend = way;
        }
        (self.below, self.above, self.water) = (0, 0, MIDDLE);
        self.fineness
    }
}

impl Law for WaterLevel {
    fn sample(&mut self, sample: &Sample) -> f64 {
        if (sample.baseline - self.baseline).abs() > NEWS * self.baseline {
            (self.fineness, self.trend, self.baseline) = (1.0, 0, sample.baseline);
        }
        let delay = (sample.latency - sample.baseline).max(0.0);
        let target =
            (sample.baseline * TARGET).min((sample.max_latency - sample.baseline).max(0.0));
        let now = if target > 0.0 { delay / target } else { f64::from(u8::from(delay > 0.0)) };
        // What is used of our memory says nothing of the upstream: it counts only where there is too much of it, or a limit in a
        // process that is half full would never grow.
        let is_pressed = sample.pressure > HIGH;
        let now = if is_pressed { now.max(sample.pressure) } else { now };
        // Beyond twice the target it makes no difference, and would take long to go down again.
        let now = now.min(2.0);
        self.water += SMOOTHING * (now - self.water);
        self.below = if self.water < LOW { self.below + 1 } else { 0 };
        self.above = if self.water > HIGH { self.above + 1 } else { 0 };
        if self.above >= SAMPLES {
            self.step(-1);
            // How many are too many is known here, by Little's law; below the knee nothing tells how many are too few.
            let wanted = sample.baseline.min(sample.max_latency) + REST * target;
            let enough = if is_pressed { 0.0 } else { (wanted / sample.latency).min(1.0) };
            sample.limit * (1.0 - SHRINK).max(enough)
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

    #[test]
    fn a_step_down_ends_where_the_queue_is_short_enough() {
        let after = |latency, max_latency| {
            let mut law = WaterLevel::default();
            let sample =
                Sample { limit: 100.0, latency, baseline: 0.1, max_latency, pressure: 0.0 };
            (0..10).map(|_| law.sample(&sample)).find(|limit| *limit < 100.0)
        };
        assert_eq!(after(0.2, f64::INFINITY), Some(80.0), "as published");
        let near = after(0.12, f64::INFINITY).unwrap();
        assert!((near - 100.0 * 0.1072 / 0.12).abs() < 1e-9, "{near}");
        assert_eq!(after(0.111, f64::INFINITY), None, "it rests");
        assert_eq!(after(0.1, 0.05), None, "what is no queue is not shortened");
        assert_eq!(after(0.101, 0.05), Some(80.0), "too long, whatever is unloaded");
    }
}
