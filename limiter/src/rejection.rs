//! Why a request is not admitted.

use std::fmt;

/// A refusal: the product working, not an error.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Rejection {
    /// No place in the buffer is free, or a higher tier took it.
    BufferFull,
    /// The limit is 0.
    Closed,
    /// The deadline has passed, or would before a permit is to be expected.
    Deadline,
    /// The limiter is shutting down.
    Draining,
    /// Waited its tier's `max_wait`, or would have to.
    QueueTimeout,
    /// Above a rate. The limiter never says so itself: it is for the caller who holds a [`Gcra`](crate::Gcra).
    Rate,
    /// The tier's breaker is open, or the tier has filled its share of the buffer.
    Watermark,
}

impl Rejection {
    /// The reason as it stands in metrics, headers and bodies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::Closed => "closed",
            Self::Deadline => "deadline",
            Self::Draining => "draining",
            Self::QueueTimeout => "queue_timeout",
            Self::Rate => "rate",
            Self::Watermark => "watermark",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
