//! The ratio of unloaded to present latency, and a headroom on top (Netflix, concurrency-limits: `Gradient2Limit`).

use super::{Law, Sample};

/// So much longer than unloaded is still no queue (`rttTolerance`, published 1.5, at least 1). With a slow average as the
/// unloaded latency 1.5 keeps noise away; with a least one it would be half as many again as the upstream serves.
const TOLERANCE: f64 = 1.0;
/// The most that one window takes away (published).
const STEEPEST: f64 = 0.5;
/// How fast the limit follows (`smoothing`, published 0.2).
const SMOOTHING: f64 = 0.4;

/// The law. It has no state but the limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gradient2;

impl Law for Gradient2 {
    fn sample(&mut self, sample: &Sample) -> f64 {
        let gradient = (TOLERANCE * sample.baseline / sample.latency).clamp(STEEPEST, 1.0);
        let wanted = sample.limit * gradient + headroom(sample.limit);
        sample.limit + SMOOTHING * (wanted - sample.limit)
    }
}

/// What is tried beyond what is known to be good, and so what stands in the upstream's queue (`queueSize`, published 4, or a
/// function of the limit). Four would take four minutes from 20 to 200: the root of the limit is Envoy's, a
/// tenth keeps it short of the knee where the root is more.
fn headroom(limit: f64) -> f64 {
    (limit / 10.0).min(limit.sqrt()).max(1.0)
}
