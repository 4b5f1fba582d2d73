//! What clients say of themselves that only the gateway may say: taken off, and counted.

use crate::metrics::Counter;

/// One core's counters, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Stripped([Counter; Self::FIELDS.len()]);

// === impl Stripped ===

impl Stripped {
    /// The fields, as they are told of; the last is for all that begin so.
    pub(crate) const FIELDS: [&'static str; 4] =
        ["x-tier", "x-priority", "x-tenant-id", "x-floodgate-"];

    /// Counts a field that was taken off; `name` is in lower case, and has `-` for `_`.
    pub(crate) fn count(&self, name: &str) {
        let at = match name {
            "x-tier" => 0,
            "x-priority" => 1,
            "x-tenant-id" => 2,
            // What customers are given to bring along.
            "x-floodgate-grant" => return,
            _ if name.starts_with("x-floodgate-") => 3,
            _ => return,
        };
        self.0[at].increment();
    }

    /// What was counted elsewhere.
    pub(crate) fn add(&self, other: &Self) {
        for (own, other) in self.0.iter().zip(&other.0) {
            // Not a write for nothing.
            match other.value() {
                0 => {}
                count => own.add(count),
            }
        }
    }

    /// How often, in the order of [`Stripped::FIELDS`].
    pub(crate) fn counts(&self) -> [u64; Self::FIELDS.len()] {
        std::array::from_fn(|at| self.0[at].value())
    }
}
