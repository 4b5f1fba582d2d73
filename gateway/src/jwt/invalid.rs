//! What is wrong with a token.

/// Why a token counts for nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum InvalidToken {
    /// It is none: cut off, too long, said twice, or to be read in two ways.
    Malformed,
    /// It is signed in a way that is not allowed, or not at all.
    Algorithm,
    /// No live key has signed it.
    UnknownKey,
    /// The signature is wrong.
    Forged,
    /// It has ended, or does not say when it ends.
    Expired,
    /// It has not begun.
    NotYet,
    /// Somebody else has issued it.
    Issuer,
    /// It is meant for others.
    Audience,
}

// === impl InvalidToken ===

impl InvalidToken {
    /// All of them, in the order of [`InvalidToken::index`].
    pub(crate) const ALL: [Self; 8] = [
        Self::Malformed,
        Self::Algorithm,
        Self::UnknownKey,
        Self::Forged,
        Self::Expired,
        Self::NotYet,
        Self::Issuer,
        Self::Audience,
    ];

    /// Position in [`InvalidToken::ALL`], for tables.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// The string that stands for it in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::NotYet => "not_yet",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
        }
    }
}
