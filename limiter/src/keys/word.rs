//! What is remembered of a key, in one word: the time up to which its requests are accounted for.

/// Bits of the time: 18 years of nanoseconds.
const TIME_BITS: u32 = 59;

/// Rates are told apart by their number modulo this.
pub(super) const TAGS: u8 = 16;

/// Times later than this, 9 years after the epoch, count as this: whatever is owed at most, 100 days, still fits.
pub(super) const LAST: u64 = 1 << (TIME_BITS - 1);

const TIME: u64 = (1 << TIME_BITS) - 1;
const RETURNED: u64 = 1 << 63;

/// The theoretical arrival time of a key, in nanoseconds since the epoch, with the number of the rate that it is
/// to be read with, and whether the key has come more than once. 0: nothing is known.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Word(u64);

impl Word {
    pub(super) const NOTHING: Self = Self(0);

    pub(super) const fn new(time: u64, tag: u8, has_returned: bool) -> Self {
        let time = if time > TIME { TIME } else { time };
        let returned = if has_returned { RETURNED } else { 0 };
        Self(returned | ((tag % TAGS) as u64) << TIME_BITS | time)
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn is_nothing(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn time(self) -> u64 {
        self.0 & TIME
    }

    pub(super) const fn tag(self) -> u8 {
        (self.0 >> TIME_BITS) as u8 % TAGS
    }

    /// The same of a key that has come once.
    pub(super) const fn first(self) -> Self {
        Self(self.0 & !RETURNED)
    }

    pub(super) const fn has_returned(self) -> bool {
        self.0 & RETURNED != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_into_a_word_is_read_from_it() {
        for (time, tag, has_returned) in [(0, 0, true), (1, 15, false), (TIME, 7, true)] {
            let word = Word::new(time, tag, has_returned);
            assert_eq!((word.time(), word.tag(), word.has_returned()), (time, tag, has_returned));
            assert_eq!(Word::from_bits(word.bits()), word);
            assert_eq!(word.first(), Word::new(time, tag, false));
        }
        assert_eq!(Word::new(u64::MAX, 16, false), Word::new(TIME, 0, false));
        assert!(Word::new(0, 0, false).is_nothing() && !Word::new(1, 0, false).is_nothing());
    }
}
