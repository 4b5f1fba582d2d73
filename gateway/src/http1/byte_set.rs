//! Sets of bytes, which every head is held against.

/// Some of the 256 bytes: a look-up instead of comparisons.
#[derive(Debug)]
pub(super) struct ByteSet([bool; 256]);

/// A registered name (RFC 3986 §3.2.2) without the comma.
pub(super) const REG_NAME: ByteSet =
    ByteSet::of(b"-._~%!$&'()*+;=").and(b'0', b'9').and(b'A', b'Z').and(b'a', b'z');

/// The same without what begins an escape.
pub(super) const UNESCAPED: ByteSet =
    ByteSet::of(b"-._~!$&'()*+;=").and(b'0', b'9').and(b'A', b'Z').and(b'a', b'z');

/// A path: RFC 3986 §3.3 plus what browsers leave as it is (WHATWG URL, path percent-encode set).
pub(super) const PATH: ByteSet =
    ByteSet::of(b"!=").and(0x24, 0x3b).and(0x40, 0x5b).and(0x5d, 0x5f).and(0x61, 0x7e);

/// The same for a query, which starts with its question mark.
pub(super) const QUERY: ByteSet = ByteSet::of(b"!=").and(0x24, 0x3b).and(0x3f, 0x7e);

// === impl ByteSet ===

impl ByteSet {
    const fn of(bytes: &[u8]) -> Self {
        let mut set = Self([false; 256]);
        let mut at = 0;
        while at < bytes.len() {
            set.0[bytes[at] as usize] = true;
            at += 1;
        }
        set
    }

    /// And those from `first` to `last`.
    const fn and(mut self, first: u8, last: u8) -> Self {
        let mut byte = first as usize;
        while byte <= last as usize {
            self.0[byte] = true;
            byte += 1;
        }
        self
    }

    /// How many of `bytes` are in the set before one is not.
    pub(super) fn prefix(&self, bytes: &[u8]) -> usize {
        bytes.iter().position(|&byte| !self.0[usize::from(byte)]).unwrap_or(bytes.len())
    }

    /// Whether all of `bytes` are in the set.
    pub(super) fn has_all(&self, bytes: &[u8]) -> bool {
        bytes.iter().all(|&byte| self.0[usize::from(byte)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_the_grammars_say() {
        let unreserved_and_sub_delims = "AZaz09-._~!$&'()*+;=%";
        for byte in 0..=u8::MAX {
            let is_visible = byte.is_ascii_graphic();
            let text = char::from(byte);
            let is_name = text.is_ascii_alphanumeric() || unreserved_and_sub_delims.contains(text);
            assert_eq!(REG_NAME.has_all(&[byte]), is_name, "{text:?}");
            assert_eq!(
                PATH.has_all(&[byte]),
                is_visible && !"\"#<>?\\`".contains(text),
                "{text:?}"
            );
            assert_eq!(QUERY.has_all(&[byte]), is_visible && !"\"#<>".contains(text), "{text:?}");
        }
    }
}
