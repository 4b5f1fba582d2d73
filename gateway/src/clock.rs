//! The one place that reads the clock for the limiter, which takes `now` as an argument.

use std::sync::OnceLock;
use std::time::Duration;

use floodgate_limiter::Timestamp;
use tokio::time::Instant;

static EPOCH: OnceLock<Instant> = OnceLock::new();

#[cfg(test)]
thread_local! {
    /// How often this thread has asked: what is refused asks once.
    pub(crate) static READS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

fn epoch() -> Instant {
    *EPOCH.get_or_init(Instant::now)
}

/// Time since the process first asked for it; never goes back.
pub(crate) fn now() -> Timestamp {
    #[cfg(test)]
    READS.set(READS.get() + 1);
    Timestamp::from_nanos(u64::try_from(epoch().elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// The same moment for the runtime's timers.
pub(crate) fn instant(at: Timestamp) -> Instant {
    // A century is beyond every deadline and within every platform's range.
    const FAR: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;
    epoch() + Duration::from_nanos(at.as_nanos().min(FAR))
}
