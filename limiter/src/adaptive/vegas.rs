//! By the length of the upstream's queue (Brakmo and Peterson, 1994; Netflix, concurrency-limits: `VegasLimit`).

use super::{Law, Sample};

/// The queue that is wanted, as multiples of the logarithm of the limit (`alpha`, `beta`: published 3 and 6). At 40 those are a
/// queue of 5 to 10, an eighth to a quarter too many; these are half of that.
const ALPHA: f64 = 1.5;
const BETA: f64 = 3.0;
/// And at least these parts of the limit: of 200, a latency that is off by a twentieth is a queue of 10, and would
/// be taken for one at any limit above the band.
const LEAST_ALPHA: f64 = 0.03;
const LEAST_BETA: f64 = 0.09;
/// The least decrease, as a part of the limit (`decrease`, published the logarithm): from twice too many, 2 per window
/// would take ten seconds.
const DECREASE: f64 = 0.05;

/// The law. It has no state but the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vegas;

impl Law for Vegas {
    fn sample(&mut self, sample: &Sample) -> f64 {
        let limit = sample.limit;
        let log = limit.log10().max(1.0);
        let alpha = (ALPHA * log).max(LEAST_ALPHA * limit);
        let beta = (BETA * log).max(LEAST_BETA * limit);
        // Those who are not being served, by Little's law.
        let queue = limit * (1.0 - sample.baseline / sample.latency);
        if queue <= alpha / 3.0 {
            // Far from it: by the whole queue that is wanted at most (`threshold`, published).
            limit + beta
        } else if queue < alpha {
            limit + log
        } else if queue > beta {
            // Never by more than half of what is too many: half of that may be noise.
            limit - ((queue - alpha) / 2.0).min(log.max(DECREASE * limit))
        } else {
            limit
        }
    }
}
