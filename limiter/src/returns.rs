//! How a customer stands to the time he was told to come back at.

use crate::timestamp::Timestamp;

/// How a customer who comes stands to what he was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Nothing is known of him, or it is too long ago to matter.
    New,
    /// Comes when he was told to, or a little later.
    OnTime,
    /// Comes before that: it is still `told` that he should come at, and no other time is booked for him.
    Early {
        /// When he was told to come.
        told: Timestamp,
    },
}
