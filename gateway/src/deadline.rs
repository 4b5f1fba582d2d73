//! How long an answer is worth waiting for, as clients say: `x-request-deadline-ms`, milliseconds, and `grpc-timeout`, both of
//! what is left from the arrival of the head.
//!
//! A client can shorten the deadline of its tier, never lengthen it. What is no number is ignored and counted: it is a hint,
//! and nobody shall lose a purchase by a bad one. Zero and less are numbers: it is over.

use std::time::Duration;

use floodgate_limiter::Timestamp;

use crate::admission;
use crate::fields::Fields;
use crate::journey::Part;
use crate::metrics::RouteShard;
use crate::reason::Reason;
use crate::snapshot::{Route, Snapshot};
use crate::tenant::Tenancy;

/// The field that a gateway in front of this one sends, and this one to its upstreams.
pub(crate) const MILLIS: &str = "x-request-deadline-ms";
/// The field of gRPC over HTTP/2: "TimeoutValue TimeoutUnit".
pub(crate) const GRPC: &str = "grpc-timeout";

/// The most digits of a `grpc-timeout`, by its grammar.
const GRPC_DIGITS: usize = 8;

/// How long the answer to a request is worth waiting for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Deadline {
    /// From its arrival.
    pub left: Duration,
    /// It is the client's own, which is shorter than its tier's.
    pub is_shorter: bool,
    /// The client said something that says nothing.
    pub is_ignored: bool,
}

// === impl Deadline ===

impl Deadline {
    /// That of a request with these fields, in a tier that allows for `most`.
    pub(crate) fn of(fields: Fields<'_>, most: Duration) -> Self {
        let mut deadline = Self { left: most, is_shorter: false, is_ignored: false };
        let millis = fields.all(MILLIS).map(parse_millis);
        for said in millis.chain(fields.all(GRPC).map(parse_grpc)) {
            match said {
                Some(left) if left < deadline.left => {
                    (deadline.left, deadline.is_shorter) = (left, true);
                }
                Some(_) => {}
                None => deadline.is_ignored = true,
            }
        }
        deadline
    }

    /// Whether a request of `route` that is this `part` can be answered in time, as far as can be told by
    /// reading. Its tier's own deadline is not judged: who says nothing waits for what the operator thinks right.
    ///
    /// # Errors
    /// It is over, or will be: the wait for a permit and the mean time of the route are longer.
    pub(crate) fn look(
        self,
        snapshot: &Snapshot,
        (route, shard): (&Route, &RouteShard),
        (part, tenancy): (Part, Tenancy),
        now: Timestamp,
    ) -> Result<(), Reason> {
        if !self.is_shorter {
            return Ok(());
        }
        let wait = admission::expected_wait(snapshot, route, part, tenancy);
        let expected = wait.saturating_add(shard.pace.mean(now));
        if self.left.is_zero() || self.left < expected {
            return Err(Reason::Deadline);
        }
        Ok(())
    }
}

/// What is `left` as a `grpc-timeout`: number and unit, rounded down, in the finest unit that has room for it.
pub(crate) fn grpc_timeout(left: Duration) -> (u64, char) {
    let most = 10_u128.pow(GRPC_DIGITS as u32);
    let units = [(left.as_micros(), 'u'), (left.as_millis(), 'm')];
    let (number, unit) = units
        .into_iter()
        .find(|(number, _)| *number < most)
        .unwrap_or((u128::from(left.as_secs()).min(most - 1), 'S'));
    (number as u64, unit)
}

/// Whole milliseconds; what is below zero is zero.
fn parse_millis(value: &[u8]) -> Option<Duration> {
    let (digits, is_over) = unsigned(value.trim_ascii());
    let millis = number(digits)?;
    Some(if is_over { Duration::ZERO } else { Duration::from_millis(millis) })
}

/// At most eight digits and a unit; what is below zero is zero.
fn parse_grpc(value: &[u8]) -> Option<Duration> {
    let (value, is_over) = unsigned(value.trim_ascii());
    let (unit, digits) = value.split_last()?;
    let number = number(digits).filter(|_| digits.len() <= GRPC_DIGITS)?;
    let left = match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    };
    Some(if is_over { Duration::ZERO } else { left })
}

/// Without its sign, and whether that was a minus.
fn unsigned(value: &[u8]) -> (&[u8], bool) {
    value.strip_prefix(b"-").map_or((value, false), |value| (value, true))
}

/// A number of any length: what does not fit is the largest.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    is_number.then(|| digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(2);

    fn of(fields: &[(&str, &str)]) -> Deadline {
        let parsed: Vec<_> = fields
            .iter()
            .map(|&(name, value)| httparse::Header { name, value: value.as_bytes() })
            .collect();
        Deadline::of(Fields::Parsed(&parsed), MOST)
    }

    fn shorter(nanos: u64) -> Deadline {
        let left = Duration::from_nanos(nanos);
        Deadline { left, is_shorter: true, is_ignored: false }
    }

    #[test]
    fn a_client_shortens_its_tiers_deadline_and_never_lengthens_it() {
        let tiers = Deadline { left: MOST, is_shorter: false, is_ignored: false };
        for (value, expected) in [
            ("0", shorter(0)),
            ("-1", shorter(0)),
            ("1", shorter(1_000_000)),
            ("1999", shorter(1_999_000_000)),
            ("00007", shorter(7_000_000)),
            ("2000", tiers),
            ("2001", tiers),
            ("99999999999999999999999999", tiers),
            ("-99999999999999999999999999", shorter(0)),
        ] {
            assert_eq!(of(&[(MILLIS, value)]), expected, "{value}");
        }
        assert_eq!(of(&[]), tiers);
    }

    #[test]
    fn all_units_of_grpc_are_known() {
        for (value, nanos) in [
            ("1n", 1),
            ("99999999n", 99_999_999),
            ("7u", 7_000),
            ("20m", 20_000_000),
            ("1S", 1_000_000_000),
            ("0S", 0),
            ("0H", 0),
            ("-3M", 0),
        ] {
            assert_eq!(of(&[(GRPC, value)]), shorter(nanos), "{value}");
        }
        for value in ["1H", "1M", "2S", "99999999H"] {
            assert!(!of(&[(GRPC, value)]).is_shorter, "{value}");
        }
    }

    #[test]
    fn what_is_no_number_is_ignored_and_the_least_of_what_is_counts() {
        for value in ["", "-", "soon", "1.5", "+5", "5ms", "5, 7", "0x5", "--5", "１"] {
            let deadline = of(&[(MILLIS, value)]);
            assert_eq!((deadline.left, deadline.is_ignored), (MOST, true), "{value}");
        }
        for value in ["", "S", "1", "1s", "1h", "1 S", "123456789m", "-S", "1.0S", "Sm"] {
            let deadline = of(&[(GRPC, value)]);
            assert_eq!((deadline.left, deadline.is_ignored), (MOST, true), "{value}");
        }
        let both = of(&[(MILLIS, "700"), ("GRPC-Timeout", "300m"), (MILLIS, "soon")]);
        assert_eq!(both, Deadline { is_ignored: true, ..shorter(300_000_000) });
    }

    #[test]
    fn a_timeout_that_is_written_is_read_as_the_same_rounded_down() {
        for (micros, expected) in [
            (0, (0, 'u')),
            (1_999_999, (1_999_999, 'u')),
            (99_999_999, (99_999_999, 'u')),
            (100_000_001, (100_000, 'm')),
            (86_400_000_999, (86_400_000, 'm')),
            (200_000_000_000, (200_000, 'S')),
            (u64::MAX, (99_999_999, 'S')),
        ] {
            assert_eq!(grpc_timeout(Duration::from_micros(micros)), expected);
        }
    }
}
