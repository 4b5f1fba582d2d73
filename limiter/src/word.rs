//! The state word: requests in flight and waiting, side by side.
//!
//! ```text
//!  63          32 31           0
//! +--------------+--------------+
//! |  in flight   |   waiting    |
//! +--------------+--------------+
//! ```
//!
//! One word, because each side decides about the other: a permit is taken or given back without the lock only while
//! nobody waits, and a waiter takes a place only while no permit is free. Whoever loses the race to change the word reads
//! it again, so neither can miss the other.

/// One request in flight.
pub(crate) const IN_FLIGHT: u64 = 1 << 32;
/// One waiter.
pub(crate) const WAITING: u64 = 1;

/// The state word as it was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    pub(crate) const fn in_flight(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) const fn waiting(self) -> u32 {
        self.0 as u32
    }

    /// Whether a newcomer may take a permit past the buffer: nobody waits and one is free.
    pub(crate) const fn is_free(self, limit: u32) -> bool {
        self.waiting() == 0 && self.in_flight() < limit
    }
}
