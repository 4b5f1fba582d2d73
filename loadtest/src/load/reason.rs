//! Reasons, interned: a sample carries two bytes, not a string.

/// Reasons kept apart; more are counted as `other`.
const MAX_REASONS: usize = 48;
/// Longest reason that is believed.
const MAX_BYTES: usize = 48;

/// The header that names the reason of a refusal.
pub(crate) const REASON_HEADER: &str = "x-floodgate-reason";

/// Index in a [`Reasons`].
pub(crate) type ReasonId = u16;

/// The reasons that were seen so far. They come from outside and are bounded.
#[derive(Clone, Debug)]
pub(crate) struct Reasons(Vec<Box<str>>);

// === impl Reasons ===

impl Reasons {
    /// No reason: what a success has.
    pub(crate) const NONE: ReasonId = 0;
    const OTHER: ReasonId = 1;

    /// The index of a reason; allocates when it is seen for the first time.
    pub(crate) fn intern(&mut self, reason: &[u8]) -> ReasonId {
        if let Some(index) = self.0.iter().position(|known| known.as_bytes() == reason) {
            return index as ReasonId;
        }
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match std::str::from_utf8(reason) {
            Ok(text)
                if self.0.len() < MAX_REASONS
                    && text.len() <= MAX_BYTES
                    && text.as_bytes().iter().all(token) =>
            {
                self.0.push(text.into());
                (self.0.len() - 1) as ReasonId
            }
            _ => Self::OTHER,
        }
    }

    pub(crate) fn name(&self, reason: ReasonId) -> &str {
        self.0.get(usize::from(reason)).map_or("other", |name| name)
    }
}

impl Default for Reasons {
    fn default() -> Self {
        Self(vec!["".into(), "other".into()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_bounded_and_keep_their_names() {
        let mut reasons = Reasons::default();
        let rate = reasons.intern(b"rate");
        assert_eq!(reasons.intern(b"rate"), rate);
        assert_eq!(reasons.name(rate), "rate");
        assert_eq!(reasons.intern(b""), Reasons::NONE);
        assert_eq!(reasons.intern(b"two words"), Reasons::OTHER);
        for n in 0..1000 {
            reasons.intern(format!("r{n}").as_bytes());
        }
        assert_eq!(reasons.0.len(), MAX_REASONS);
    }
}
