//! What a request is to a limiter: its tier, and its rank within it.

use crate::tier::TierId;

/// The most ranks there are: 0 to 7.
pub const MAX_RANKS: usize = 8;

/// A place in the order within a tier: the higher is served first.
///
/// Rank 0 is what a request has unless something speaks for it. Those above it are *preferred*: permits may be reserved for
/// them, and a breaker that sheds lets them pass. They are to be few, and the caller sees to that.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rank(u8);

impl Rank {
    /// The rank of a request that nothing speaks for.
    pub const ORDINARY: Self = Self(0);

    /// The rank `index`, at most the highest there is.
    #[must_use]
    pub const fn new(index: u8) -> Self {
        if (index as usize) < MAX_RANKS { Self(index) } else { Self(MAX_RANKS as u8 - 1) }
    }

    /// The place in the order, below [`MAX_RANKS`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Whether it is above the ordinary.
    #[must_use]
    pub const fn is_preferred(self) -> bool {
        self.0 > 0
    }
}

/// A tier, and a rank within it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Class {
    /// The class of service.
    pub tier: TierId,
    /// The order within it.
    pub rank: Rank,
}

impl From<TierId> for Class {
    /// An ordinary request of `tier`.
    #[inline]
    fn from(tier: TierId) -> Self {
        Self { tier, rank: Rank::ORDINARY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_beyond_the_highest_is_the_highest() {
        assert_eq!(Rank::new(u8::MAX), Rank::new(7));
        assert!(Rank::new(6) < Rank::new(7));
        assert_eq!(Class::from(TierId::new(3).unwrap()).rank, Rank::ORDINARY);
    }
}
