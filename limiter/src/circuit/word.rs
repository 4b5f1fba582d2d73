//! What a circuit's one word says: its state, and what is needed to refuse by it.
//!
//! ```text
//! bits 63..62  0 closed          1 open           2 half-open
//! bit  61      only counts
//! the rest     32 bits of epoch  open until (ns)  32 bits of epoch, 24 of free probes
//! ```

use super::CircuitState;
use crate::timestamp::Timestamp;

const STATE: u32 = 62;
const SHADOW: u64 = 1 << 61;
const EPOCH: u32 = 24;
const FREE: u64 = (1 << EPOCH) - 1;
const UNTIL: u64 = SHADOW - 1;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Word(pub(super) u64);

impl Word {
    pub(super) const fn closed(epoch: u32, shadow: bool) -> Self {
        Self((epoch as u64) << EPOCH).with_shadow(shadow)
    }

    pub(super) fn open(until: Timestamp, shadow: bool) -> Self {
        Self((1 << STATE) | until.as_nanos().min(UNTIL)).with_shadow(shadow)
    }

    pub(super) const fn half_open(epoch: u32, free: u32, shadow: bool) -> Self {
        Self((2 << STATE) | ((epoch as u64) << EPOCH) | (free as u64 & FREE)).with_shadow(shadow)
    }

    pub(super) const fn with_shadow(self, shadow: bool) -> Self {
        Self(if shadow { self.0 | SHADOW } else { self.0 & !SHADOW })
    }

    pub(super) const fn state(self) -> CircuitState {
        match self.0 >> STATE {
            0 => CircuitState::Closed,
            1 => CircuitState::Open,
            _ => CircuitState::HalfOpen,
        }
    }

    pub(super) const fn is_shadow(self) -> bool {
        self.0 & SHADOW != 0
    }

    /// Of a word that is not open.
    pub(super) const fn epoch(self) -> u32 {
        (self.0 >> EPOCH) as u32
    }

    /// Of a word that is half-open.
    pub(super) const fn free(self) -> u32 {
        (self.0 & FREE) as u32
    }

    /// Of a word that is open.
    pub(super) const fn until(self) -> Timestamp {
        Timestamp::from_nanos(self.0 & UNTIL)
    }

    /// Whether nobody gets in at `now`, if it is no shadow.
    pub(super) fn is_shut(self, now: Timestamp) -> bool {
        match self.state() {
            CircuitState::Closed => false,
            CircuitState::Open => now < self.until(),
            CircuitState::HalfOpen => self.free() == 0,
        }
    }
}
