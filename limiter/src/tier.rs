//! The class of service of a request.

/// The most tiers one limiter can have: one bit mask of the gate is this wide.
pub const MAX_TIERS: usize = 8;

/// A tier by its place in the order of priority: 0 is served first.
///
/// An index beyond the tiers a limiter has means its last tier.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TierId(u8);

impl TierId {
    /// The tier at `index`; `None` from [`MAX_TIERS`] on.
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        if (index as usize) < MAX_TIERS { Some(Self(index)) } else { None }
    }

    /// The place in the order of priority, below [`MAX_TIERS`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
