//! Rates as people write them: `"5000/s"`, `"300/m"`, `"10/h"`.

use std::time::Duration;

use floodgate_limiter::Rate;

use crate::source::quote;
use crate::value::{Complaint, Text};

/// So many requests in so much time; no burst yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ceiling {
    count: u64,
    per: Duration,
}

// === impl Ceiling ===

impl Ceiling {
    /// What was typed for `rate`.
    pub(crate) fn of(rate: Rate) -> Self {
        Self { count: rate.count(), per: rate.per() }
    }

    /// With the burst that was typed, or a tenth of a second's worth.
    pub(crate) fn with_burst(self, burst: Option<u32>) -> Result<Rate, String> {
        let burst = burst.unwrap_or_else(|| self.default_burst());
        Rate::new(self.count, self.per, burst).map_err(|error| error.to_string())
    }

    /// With the burst that was typed, or a second's worth: what one page asks for comes at once.
    pub(crate) fn of_key(self, burst: Option<u32>) -> Result<Rate, String> {
        let seconds = self.per.as_secs().max(1);
        let second = u32::try_from((self.count / seconds).max(1)).unwrap_or(u32::MAX);
        self.with_burst(Some(burst.unwrap_or(second)))
    }

    /// A tenth of a second's worth, at least 1: absorbs jitter without letting a second's worth through at once.
    fn default_burst(self) -> u32 {
        let tenths = u64::try_from(self.per.as_millis() / 100).unwrap_or(u64::MAX).max(1);
        u32::try_from((self.count / tenths).max(1)).unwrap_or(u32::MAX)
    }
}

impl Text for Ceiling {
    const FORM: &'static str = "a rate in quotes, such as \"5000/s\", \"300/m\" or \"10/h\"";
    const PATTERN: Option<&'static str> = Some("^[0-9]+/[smh]$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let wrong = || {
            let message = format!("{} is not a rate", quote(text));
            Complaint::new(message, format!("expected {}", Self::FORM))
        };
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let per = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            _ => return Err(wrong()),
        };
        if !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        Ok(Self { count: count.parse().map_err(|_| wrong())?, per })
    }

    fn show(&self) -> String {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        format!("{}/{unit}", self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_burst_is_a_tenth_of_a_second_and_at_least_one() {
        for (text, burst) in [("5000/s", 500), ("5/s", 1), ("0/s", 1), ("6000/m", 10), ("1/h", 1)] {
            let rate = Ceiling::parse(text).unwrap().with_burst(None).unwrap();
            assert_eq!(rate.burst(), burst, "{text}");
        }
    }

    #[test]
    fn a_rate_of_nothing_is_closed() {
        assert!(Ceiling::parse("0/s").unwrap().with_burst(Some(9)).unwrap().is_closed());
    }

    #[test]
    fn only_the_one_form_is_a_rate() {
        for text in ["", "/", "5", "5/", "/s", "-5/s", "+5/s", "5/d", "5 /s", "1e3/s"] {
            assert!(Ceiling::parse(text).is_err(), "{text}");
        }
        assert!(Ceiling::parse("99999999999999999999/s").is_err());
        assert!(Ceiling::parse("2000000000/s").unwrap().with_burst(None).is_err());
    }
}
