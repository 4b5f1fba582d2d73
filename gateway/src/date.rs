//! The wall clock of a worker: the Date of answers (RFC 9110 §6.6.1), written once a second.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// Bytes of an HTTP date, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) const LEN: usize = 29;

/// The present second as text.
#[derive(Debug)]
pub(crate) struct Date {
    unix_ms: Cell<u64>,
    second: Cell<u64>,
    text: RefCell<[u8; LEN]>,
}

// === impl Date ===

impl Date {
    /// The second of `now`.
    pub(crate) fn new(now: SystemTime) -> Self {
        let date = Self {
            unix_ms: Cell::new(0),
            second: Cell::new(u64::MAX),
            text: RefCell::new([b' '; LEN]),
        };
        date.turn(now);
        date
    }

    /// Goes on to the second of `now`.
    pub(crate) fn turn(&self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.unix_ms.set(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let second = since.as_secs();
        if self.second.replace(second) != second {
            let date = HttpDate::from(UNIX_EPOCH + Duration::from_secs(second));
            // All dates are of this length.
            let _written = write!(&mut self.text.borrow_mut()[..], "{date}");
        }
    }

    /// Milliseconds since 1970, as of the last turn.
    pub(crate) fn unix_ms(&self) -> u64 {
        self.unix_ms.get()
    }

    /// As it stands in a field.
    pub(crate) fn text(&self) -> [u8; LEN] {
        *self.text.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_its_second() {
        let at = UNIX_EPOCH + Duration::from_secs(784_111_777);
        let date = Date::new(at);
        assert_eq!(&date.text(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        date.turn(at + Duration::from_millis(999));
        assert_eq!(&date.text(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        date.turn(at + Duration::from_millis(1000));
        assert_eq!(&date.text(), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
