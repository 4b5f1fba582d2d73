//! Mean wait in the buffer over windows of a second or 2,000 waiters, whichever ends first.
//!
//! The window is that of DAGOR (Zhou et al., "Overload Control for Scaling WeChat Microservices", 2018), whose finding is that
//! the mean queueing time tells overload where load and response time do not.

use std::time::Duration;

use crate::timestamp::Timestamp;

const WINDOW: Duration = Duration::from_secs(1);
const SAMPLES: u32 = 2_000;

/// The running window, and the mean of the one before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WaitWindow {
    began: Timestamp,
    samples: u32,
    sum: Duration,
    mean: Duration,
}

impl WaitWindow {
    /// A waiter left at `now`, served or expired, after `wait`.
    pub(crate) fn record(&mut self, wait: Duration, now: Timestamp) {
        if self.samples > 0
            && (self.samples >= SAMPLES || now.saturating_since(self.began) >= WINDOW)
        {
            self.mean = self.sum / self.samples;
            self.samples = 0;
        }
        if self.samples == 0 {
            self.began = now;
            self.sum = Duration::ZERO;
        }
        self.samples += 1;
        self.sum = self.sum.saturating_add(wait);
    }

    /// Mean wait of the last finished window.
    pub(crate) const fn mean(&self) -> Duration {
        self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_by_time_or_by_count() {
        let at = |millis: u64| Timestamp::from_nanos(millis * 1_000_000);
        let wait = Duration::from_millis(30);
        let mut window = WaitWindow::default();
        window.record(wait, at(0));
        window.record(wait * 3, at(999));
        assert_eq!(window.mean(), Duration::ZERO);
        window.record(Duration::ZERO, at(1_000));
        assert_eq!(window.mean(), wait * 2);
        for _ in 0..SAMPLES {
            window.record(Duration::ZERO, at(1_000));
        }
        assert_eq!(window.mean(), Duration::ZERO);
    }
}
