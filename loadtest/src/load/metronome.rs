//! Wakes a worker when an arrival is due.
//!
//! The runtime's timer ticks in milliseconds, which would blur everything below. A thread that
//! parks until the next arrival is true to about 60 us (the kernel's timer slack). It walks its
//! own copy of the schedule, so that the worker has nothing to tell it.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// Arrivals closer together than this share one wake-up.
const QUANTUM: Duration = Duration::from_micros(100);

/// How long a stop may go unseen.
const MAX_PARK: Duration = Duration::from_millis(50);

/// Rings `bell` for every arrival, at its time or up to a quantum later. Blocks to the end of the
/// schedule, or until `stop` is set.
pub(crate) fn run(
    due: impl Iterator<Item = Duration>,
    start: Instant,
    stop: &AtomicBool,
    bell: &Notify,
) {
    let mut rung = Duration::ZERO;
    // An instant in the future has zero elapsed.
    for due in due {
        if due <= rung && rung > Duration::ZERO {
            continue;
        }
        let wake = due.max(rung + QUANTUM);
        let mut now = start.elapsed();
        while now < wake {
            if stop.load(Relaxed) {
                bell.notify_one();
                return;
            }
            thread::park_timeout((wake - now).min(MAX_PARK));
            now = start.elapsed();
        }
        rung = now;
        bell.notify_one();
    }
}
