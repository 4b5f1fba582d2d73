//! The name of one decision: which process, which of its cores, and which decision of that.

use std::fmt;
use std::str::FromStr;

/// The name of one decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Id {
    /// Drawn when the process began: decisions of two gateways, or of one that was started anew, are not
    /// taken for each other.
    pub process: u32,
    /// Index of the worker.
    pub worker: usize,
    /// Counts the decisions of that worker.
    pub number: u64,
}

/// It names no decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NoId;

// === impl Id ===

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}-{}", self.process, self.worker, self.number)
    }
}

impl FromStr for Id {
    type Err = NoId;

    /// Only what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, NoId> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(NoId);
        let id = Self {
            process: u32::from_str_radix(part()?, 16).map_err(|_| NoId)?,
            worker: part()?.parse().map_err(|_| NoId)?,
            number: part()?.parse().map_err(|_| NoId)?,
        };
        // So that one decision has one name.
        (id.to_string() == text).then_some(id).ok_or(NoId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written_and_no_other_way() {
        let id = Id { process: 0xab, worker: 3, number: u64::MAX };
        assert_eq!(id.to_string().parse(), Ok(id));
        for other in
            ["", "ab-3-1", "000000ab-3", "000000ab-3-1-", "000000ab-+3-1", "000000AB-3-1", "x-0-0"]
        {
            assert_eq!(other.parse::<Id>(), Err(NoId), "{other}");
        }
    }
}
