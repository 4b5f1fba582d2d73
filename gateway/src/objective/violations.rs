//! The last requests that were not served as promised, in memory of a fixed size. Each is written by its worker and
//! read by the operator: the locks are free but for that. Who is refused is only counted: a storm of refusals would push
//! out everything else.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use floodgate_config::Stage;
use floodgate_limiter::Timestamp;

use super::{Blame, Cause, Promise};
use crate::explain::RouteNames;
use crate::upstream::Server;

/// How many are kept, of each worker so that there are as many of all, whoever had them.
pub(crate) const MOST: usize = 1_000;

/// The trace that a request belongs to (W3C Trace Context, `trace-id`); all zeros: none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct TraceId([u8; 16]);

/// A request that was not served as promised.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    /// When it ended.
    pub at: Timestamp,
    /// What was promised.
    pub promise: Arc<Promise>,
    /// Whose it was.
    pub route: Arc<RouteNames>,
    /// Who was asked.
    pub server: Option<Arc<Server>>,
    pub trace: TraceId,
    pub cause: Cause,
    pub blame: Blame,
    /// Nanoseconds in each stage, in the order of [`Stage::ALL`].
    pub took: [u64; Stage::ALL.len()],
}

/// The last violations of a process.
#[derive(Debug)]
pub(crate) struct Violations(Box<[Ring]>);

/// One worker's, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Ring(Mutex<Kept>);

/// Round the end, the oldest at `next` once it is full.
#[derive(Debug, Default)]
struct Kept {
    /// Empty until there is something to keep, then with room for all.
    violations: Vec<Violation>,
    next: usize,
}

// === impl TraceId ===

impl TraceId {
    /// That of a `traceparent` field: `00-TRACE-PARENT-FLAGS`, or of a later version, which begins so. Zeros if it is none.
    pub(crate) fn of(traceparent: &[u8]) -> Self {
        Self::parse(traceparent.trim_ascii()).unwrap_or_default()
    }

    fn parse(field: &[u8]) -> Option<Self> {
        let (version, rest) = field.split_first_chunk::<2>()?;
        let (digits, rest) = rest.strip_prefix(b"-")?.split_first_chunk::<32>()?;
        if version == b"ff" || !rest.starts_with(b"-") {
            return None;
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            // Small letters only.
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(id))
    }

    /// The same, unless there is none.
    pub(crate) fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }

    /// In hexadecimal digits, if there is one.
    pub(crate) fn text(self) -> Option<String> {
        self.known().map(|id| id.to_string())
    }
}

/// In hexadecimal digits.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

// === impl Violations ===

impl Violations {
    /// None yet, of so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Ring::default()).collect())
    }

    /// One more of `worker`.
    pub(crate) fn push(&self, worker: usize, violation: Violation) {
        self.0[worker].0.lock().unwrap_or_else(PoisonError::into_inner).push(violation);
    }

    /// The last ones, the newest first, at most `limit` and [`MOST`].
    pub(crate) fn last(&self, limit: usize) -> Vec<Violation> {
        let mut all = Vec::new();
        for ring in &self.0 {
            let kept = ring.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(kept.violations.iter().cloned());
        }
        all.sort_by_key(|violation| std::cmp::Reverse(violation.at));
        all.truncate(limit.min(MOST));
        all
    }
}

// === impl Kept ===

impl Kept {
    fn push(&mut self, violation: Violation) {
        if self.violations.is_empty() {
            self.violations.reserve_exact(MOST);
        }
        if self.violations.len() < MOST {
            self.violations.push(violation);
        } else {
            self.violations[self.next] = violation;
            self.next = (self.next + 1) % MOST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_trace_is_known_by_its_traceparent_and_by_nothing_that_looks_like_one() {
        for good in ["00-ID-b7ad6b7169203331-01", " 00-ID-b7ad6b7169203331-00 ", "cc-ID-1-2-3"] {
            let good = good.replace("ID", ID);
            assert_eq!(TraceId::of(good.as_bytes()).text().as_deref(), Some(ID), "{good}");
        }
        for bad in ["", "00-", "ff-ID-b7ad6b7169203331-01", "00-ID", "00_ID-1-01", "0-ID-1-01"] {
            let bad = bad.replace("ID", ID);
            assert_eq!(TraceId::of(bad.as_bytes()).text(), None, "{bad}");
        }
        let zeros = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
        assert_eq!(TraceId::of(zeros.as_bytes()).text(), None);
        let capitals = format!("00-{}-b7ad6b7169203331-01", ID.to_uppercase());
        assert_eq!(TraceId::of(capitals.as_bytes()).text(), None);
    }
}
