//! Additive increase, multiplicative decrease (Chiu and Jain, 1989; Netflix, concurrency-limits: `AIMDLimit`).

use super::{Law, Sample};

/// What a latency that is too long leaves of the limit (`backoffRatio`).
const BACKOFF: f64 = 0.9;
/// Too long is so much more than the unloaded latency. The published timeout is a fixed time, which is
/// [`max_latency`](super::AdaptiveSettings::max_latency) here: the shorter of the two counts.
const TOLERANCE: f64 = 1.13;
/// Growth per window up to the first decrease, as a TCP begins slowly (RFC 5681).
const SLOW_START: f64 = 1.1;
/// Growth per window after it, as a part of the limit: with a window of twice the latency, what one more per round trip comes to
/// is less than that from 66 on, and a sale does not wait.
const INCREASE: f64 = 0.03;

/// The law. True: it was too slow once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aimd {
    has_backed_off: bool,
}

impl Law for Aimd {
    fn sample(&mut self, sample: &Sample) -> f64 {
        if sample.latency > sample.max_latency.min(sample.baseline * TOLERANCE) {
            self.has_backed_off = true;
            return sample.limit * BACKOFF;
        }
        if self.has_backed_off {
            sample.limit + (sample.limit * INCREASE).max(1.0)
        } else {
            (sample.limit * SLOW_START).max(sample.limit + 1.0)
        }
    }
}
