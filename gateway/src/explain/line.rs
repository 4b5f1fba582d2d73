//! The field of an answer that says how it came about, without a place of its own on the heap.

use std::io::Write;

use super::id::Id;
use super::levels::Level;
use super::record::Outcome;

const NAME: &[u8] = b"x-floodgate-decision: ";
/// Room for the longest.
const LEN: usize = 128;

/// One line of a head, with what ends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DecisionField {
    text: [u8; LEN],
    len: usize,
}

// === impl DecisionField ===

impl DecisionField {
    /// What there is to be said; no level where there is no upstream.
    pub(crate) fn new(id: Id, outcome: Outcome, level: Option<Level>) -> Self {
        let mut line = Self { text: [0; LEN], len: 0 };
        let mut rest = &mut line.text[..];
        let reason = outcome.as_str();
        // It fits: a test has the longest of everything.
        let _written = rest.write_all(NAME);
        let _written = write!(rest, "id={id}; reason={reason}");
        if let Some(level) = level {
            let _written = write!(rest, "; level={level}");
        }
        let _written = rest.write_all(b"\r\n");
        line.len = LEN - rest.len();
        line
    }

    /// The line.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    /// What stands behind the name.
    pub(crate) fn value(&self) -> &[u8] {
        self.as_bytes().strip_prefix(NAME).unwrap_or_default().trim_ascii_end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;

    #[test]
    fn the_longest_line_fits() {
        let id = Id { process: u32::MAX, worker: 4_294_967_295, number: u64::MAX };
        for &reason in Reason::ALL {
            let line = DecisionField::new(id, Outcome::Refused(reason), Some(Level::new(1.0)));
            let text = std::str::from_utf8(line.as_bytes()).unwrap();
            let value = format!("id={id}; reason={}; level=1.00", reason.as_str());
            assert_eq!(text, format!("x-floodgate-decision: {value}\r\n"));
            assert_eq!(line.value(), value.as_bytes());
        }
        let line = DecisionField::new(id, Outcome::Admitted, None);
        assert!(line.value().ends_with(b"; reason=admitted"));
    }
}
