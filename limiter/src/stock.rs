//! What is known of a SKU's stock, and what one answer of the upstream says about it.

use std::fmt;

/// How much of a SKU is left, as far as the gateway has been told. The upstream decides; this only ever spares it questions.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Stock {
    /// It can be bought.
    #[default]
    Open,
    /// It can be bought, and not for long.
    Low,
    /// All of it is in somebody's hands, who may give some back.
    ReservedOut,
    /// There is no more.
    SoldOut,
}

impl Stock {
    /// All of them, from plenty to nothing.
    pub const ALL: [Self; 4] = [Self::Open, Self::Low, Self::ReservedOut, Self::SoldOut];

    /// Whether nobody gets it now.
    #[must_use]
    pub const fn is_out(self) -> bool {
        matches!(self, Self::ReservedOut | Self::SoldOut)
    }

    /// The state as it stands in metrics, headers and bodies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Low => "low",
            Self::ReservedOut => "reserved_out",
            Self::SoldOut => "sold_out",
        }
    }

    /// The state of that name, as [`as_str`](Self::as_str) gives it; letters of either case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stock| stock.as_str().eq_ignore_ascii_case(name))
    }

    /// Position in [`Stock::ALL`], for tables.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) const fn bits(self) -> u64 {
        self as u64
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Open,
            1 => Self::Low,
            2 => Self::ReservedOut,
            _ => Self::SoldOut,
        }
    }
}

impl fmt::Display for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one answer of the upstream says about a SKU.
///
/// Only what the upstream itself answered is to be shown: a timeout or a 503 says nothing about stock. All fields at their
/// defaults is an answer too: somebody was served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// How many are left.
    pub remaining: Option<u64>,
    /// The state in so many words.
    pub state: Option<Stock>,
    /// The status says that it is gone, such as a 409 or 410. Believed alone only when it is said again and again.
    pub sold_out: bool,
}

/// What it comes down to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Says {
    /// In so many words.
    Is(Stock),
    /// None is left, which does not say whether some may come back.
    NoneLeft,
    /// By the status alone.
    Refused,
    /// Somebody was served.
    Served,
}

impl Seen {
    /// Where its parts contradict each other, what closes wins: it costs a question, the other a sale that cannot be.
    pub(crate) fn says(self, low: u64) -> Says {
        match (self.state, self.remaining) {
            (Some(stock), _) if stock.is_out() => Says::Is(stock),
            (_, Some(0)) => Says::NoneLeft,
            (Some(Stock::Low), _) => Says::Is(Stock::Low),
            (_, Some(remaining)) if remaining <= low => Says::Is(Stock::Low),
            (Some(_), _) | (_, Some(_)) => Says::Is(Stock::Open),
            (None, None) if self.sold_out => Says::Refused,
            (None, None) => Says::Served,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_go_there_and_back() {
        for stock in [Stock::Open, Stock::Low, Stock::ReservedOut, Stock::SoldOut] {
            assert_eq!(Stock::from_name(stock.as_str()), Some(stock));
            assert_eq!(Stock::from_bits(stock.bits()), stock);
        }
        assert_eq!(Stock::from_name("Sold_Out"), Some(Stock::SoldOut));
        assert_eq!(Stock::from_name("gone"), None);
    }

    #[test]
    fn of_what_contradicts_itself_the_closed_half_counts() {
        let says = |remaining, state, sold_out| Seen { remaining, state, sold_out }.says(3);
        assert_eq!(says(Some(5), Some(Stock::SoldOut), false), Says::Is(Stock::SoldOut));
        assert_eq!(says(Some(0), Some(Stock::Open), false), Says::NoneLeft);
        assert_eq!(says(Some(0), None, true), Says::NoneLeft);
        assert_eq!(says(Some(3), Some(Stock::Open), false), Says::Is(Stock::Low));
        // A conflict of another kind: the stock is there.
        assert_eq!(says(Some(4), None, true), Says::Is(Stock::Open));
        assert_eq!(says(None, Some(Stock::Open), true), Says::Is(Stock::Open));
        assert_eq!(says(None, None, true), Says::Refused);
        assert_eq!(says(None, None, false), Says::Served);
    }
}
