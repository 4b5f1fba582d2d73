//! Durations as people write them: `"500ms"`, `"2s"`, `"1m"`.

use std::time::Duration;

use crate::source::quote;
use crate::value::{Complaint, Text};

/// The longest duration: anything longer is a slip.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The units, the longest first: `show` takes the first that divides.
const UNITS: [(&str, u64); 5] =
    [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// A duration from 0 to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) Duration);

/// A duration from 1 ms to a day, for what would never happen with 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeout(pub(crate) Duration);

/// A duration from `MIN` to `MAX` milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period<const MIN: u64, const MAX: u64>(pub(crate) Duration);

// === impl Time ===

impl Time {
    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl Text for Time {
    const FORM: &'static str = "a duration in quotes, such as \"500ms\", \"2s\" or \"1m\"";
    const PATTERN: Option<&'static str> = Some("^[0-9]+(us|ms|s|m|h)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let Some(duration) = exact(text) else {
            let message = format!("{} is not a duration", quote(text));
            return Err(match meant(text) {
                Some(meant) => Complaint::new(message, format!("did you mean \"{meant}\"?")),
                None => Complaint::new(message, format!("expected {}", Self::FORM)),
            });
        };
        if duration > LONGEST {
            let message = format!("{} is too long", quote(text));
            return Err(Complaint::new(message, "at most a day, \"24h\""));
        }
        Ok(Self(duration))
    }

    fn show(&self) -> String {
        let micros = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        let (unit, size) = match micros {
            0 => ("ms", 1_000),
            _ => {
                UNITS.into_iter().find(|(_, size)| micros.is_multiple_of(*size)).unwrap_or(UNITS[4])
            }
        };
        format!("{}{unit}", micros / size)
    }
}

// === impl Timeout ===

impl Timeout {
    pub(crate) const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl Text for Timeout {
    const FORM: &'static str = Time::FORM;
    const PATTERN: Option<&'static str> = Time::PATTERN;

    fn parse(text: &str) -> Result<Self, Complaint> {
        let Time(duration) = Time::parse(text)?;
        if duration < Duration::from_millis(1) {
            let message = format!("{} is too short", quote(text));
            return Err(Complaint::new(message, "at least \"1ms\""));
        }
        Ok(Self(duration))
    }

    fn show(&self) -> String {
        Text::show(&Time(self.0))
    }
}

// === impl Period ===

impl<const MIN: u64, const MAX: u64> Period<MIN, MAX> {
    pub(crate) const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl<const MIN: u64, const MAX: u64> Text for Period<MIN, MAX> {
    const FORM: &'static str = Time::FORM;
    const PATTERN: Option<&'static str> = Time::PATTERN;

    fn parse(text: &str) -> Result<Self, Complaint> {
        let Time(duration) = Time::parse(text)?;
        let (least, most) = (Time::from_millis(MIN), Time::from_millis(MAX));
        let form = || format!("from \"{}\" to \"{}\"", least.show(), most.show());
        if duration < least.0 {
            return Err(Complaint::new(format!("{} is too short", quote(text)), form()));
        }
        if duration > most.0 {
            return Err(Complaint::new(format!("{} is too long", quote(text)), form()));
        }
        Ok(Self(duration))
    }

    fn show(&self) -> String {
        Text::show(&Time(self.0))
    }
}

/// A whole number and a unit, nothing else.
fn exact(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_micros(number.parse::<u64>().ok()?.checked_mul(size)?))
}

/// What somebody meant who wrote `5 sec`.
fn meant(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "m" | "min" | "mins" | "minute" | "minutes" => "m",
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "us" | "usec" | "µs" | "micros" | "microsecond" | "microseconds" => "us",
        _ => return None,
    };
    let meant = format!("{number}{unit}");
    exact(&meant).is_some_and(|duration| duration <= LONGEST).then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["0ms", "250us", "500ms", "2s", "90s", "1m", "24h"] {
            let time = Time::parse(text).unwrap();
            assert_eq!(Time::parse(&Text::show(&time)), Ok(time), "{text}");
        }
        assert_eq!(Text::show(&Time::from_millis(60_000)), "1m");
    }

    #[test]
    fn other_spellings_are_refused_with_the_one_that_is_meant() {
        let suggestion = |text| Time::parse(text).unwrap_err().suggestion;
        assert_eq!(suggestion("5 sec"), "did you mean \"5s\"?");
        assert_eq!(suggestion("2S"), "did you mean \"2s\"?");
        assert_eq!(suggestion("10 minutes"), "did you mean \"10m\"?");
        for text in ["", "5", "s", "-1s", "1.5s", "1m30s", "5 parsecs", "99999999999999999999s"] {
            assert!(suggestion(text).starts_with("expected"), "{text}");
        }
        assert_eq!(suggestion("25h"), "at most a day, \"24h\"");
        assert_eq!(suggestion("18446744073709551615h"), format!("expected {}", Time::FORM));
    }

    #[test]
    fn a_period_has_bounds() {
        let parsed = |text| Period::<1_000, 3_600_000>::parse(text);
        for text in ["1s", "60m", "1h", "1500ms"] {
            assert!(parsed(text).is_ok(), "{text}");
        }
        for text in ["999ms", "0s", "61m", "25h"] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert_eq!(parsed("0s").unwrap_err().suggestion, "from \"1s\" to \"1h\"");
    }

    #[test]
    fn a_timeout_is_not_zero() {
        assert!(Timeout::parse("0s").is_err());
        assert!(Timeout::parse("999us").is_err());
        assert!(Timeout::parse("1ms").is_ok());
    }
}
