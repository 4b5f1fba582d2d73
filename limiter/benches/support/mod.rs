//! What both benchmarks need.
#![allow(unreachable_pub, reason = "compiled into each benchmark")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{Decision, Limiter, Limits, TierId, TierLimits, Timestamp, Watermarks};

pub const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);

pub fn first() -> TierId {
    TierId::new(0).unwrap()
}

/// Three tiers, with breakers that trip at a full buffer only.
pub fn limiter(max_in_flight: u32, buffer: u32) -> Arc<Limiter> {
    let tier = TierLimits {
        max_wait: Duration::from_secs(3_600),
        weight: NonZeroU32::MIN,
        watermarks: Watermarks::new(1.0, 0.5).unwrap(),
    };
    Limiter::new(&Limits::new(max_in_flight, buffer, vec![tier; 3]).unwrap())
}

pub fn acquire(limiter: &Arc<Limiter>) -> Decision {
    limiter.acquire(first(), NOW, Timestamp::MAX)
}

/// One permit out and the buffer full: what has to be kept alive.
pub fn fill(limiter: &Arc<Limiter>) -> Vec<Decision> {
    let mut held = vec![];
    while limiter.check(first()).is_ok() {
        held.push(acquire(limiter));
    }
    held
}
