//! What an origin is told: limit, service times, size of its answers.

use std::{fmt, io, str::FromStr, time::Duration};

use crate::rng::Rng;

/// What an origin is told before it runs.
#[derive(Clone, Debug)]
pub struct OriginConfig {
    /// Bytes of the answer's body.
    pub body_bytes: usize,
    /// Requests at once above which a request counts as over the limit.
    pub concurrency_limit: usize,
    /// One stall of the whole service.
    pub freeze: Option<Freeze>,
    /// Headers on every answer, in order.
    pub headers: Vec<(String, String)>,
    /// Seed of the random service times.
    pub seed: u64,
    /// How long a request is worked on.
    pub service_time: ServiceTime,
    /// Other service times by path prefix; the longest prefix wins.
    pub service_times: Vec<(String, ServiceTime)>,
}

/// One stall: no answer leaves for a while, whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The stall begins when this many requests have been received before.
    pub after_requests: u64,
    /// How long it lasts.
    pub lasting: Duration,
}

/// How long the origin works on a request, from its last byte to the first of the answer.
///
/// The timer below ticks in milliseconds. Its error is measured and taken off again, so that the
/// *mean* is true; a single request may deviate by a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceTime {
    /// Exponential, cut at 20 times the mean.
    Exponential {
        /// The mean.
        mean: Duration,
    },
    /// Always the same; zero answers at once.
    Fixed(Duration),
    /// Evenly spread.
    Uniform {
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
}

/// The text is no [`ServiceTime`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseServiceTimeError(String);

// === impl OriginConfig ===

impl OriginConfig {
    /// Largest body of an answer.
    pub const MAX_BODY_BYTES: usize = 64 << 20;
    /// Longest service time or delay.
    pub const MAX_SERVICE_TIME: Duration = Duration::from_secs(600);

    /// Refuses what would make a broken answer.
    pub(super) fn validate(&self) -> io::Result<()> {
        let invalid = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        if self.body_bytes > Self::MAX_BODY_BYTES {
            return invalid(format!(
                "a body of {} bytes is too large; use at most {}",
                self.body_bytes,
                Self::MAX_BODY_BYTES
            ));
        }
        let longest = self.service_times.iter().map(|(_, time)| time.longest()).max();
        if longest.max(Some(self.service_time.longest())) > Some(Self::MAX_SERVICE_TIME) {
            return invalid("a service time is longer than 600s; use a shorter one".to_owned());
        }
        for (name, value) in &self.headers {
            let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*".contains(&byte);
            if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
                return invalid(format!("{name:?}: {value:?} is not a header; use NAME: VALUE"));
            }
        }
        Ok(())
    }

    /// The service time of a path.
    pub(super) fn service_time_of(&self, path: &str) -> ServiceTime {
        self.service_times
            .iter()
            .filter(|(prefix, _)| path.starts_with(prefix.as_str()))
            .max_by_key(|(prefix, _)| prefix.len())
            .map_or(self.service_time, |(_, time)| *time)
    }
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            body_bytes: 16,
            concurrency_limit: usize::MAX,
            freeze: None,
            headers: Vec::new(),
            seed: 1,
            service_time: ServiceTime::Fixed(Duration::ZERO),
            service_times: Vec::new(),
        }
    }
}

// === impl ServiceTime ===

impl ServiceTime {
    /// The mean of the distribution.
    #[must_use]
    pub fn mean(&self) -> Duration {
        match self {
            Self::Exponential { mean } => *mean,
            Self::Fixed(time) => *time,
            Self::Uniform { min, max } => (*min + *max) / 2,
        }
    }

    pub(super) fn sample(&self, rng: &mut Rng) -> Duration {
        match self {
            Self::Exponential { mean } => rng.exponential_duration(*mean),
            Self::Fixed(time) => *time,
            Self::Uniform { min, max } => *min + max.saturating_sub(*min).mul_f64(rng.fraction()),
        }
    }

    fn longest(&self) -> Duration {
        match self {
            Self::Exponential { mean } => mean.saturating_mul(20),
            Self::Fixed(time) => *time,
            Self::Uniform { min, max } => *min.max(max),
        }
    }
}

/// `5ms`, `2ms..8ms` or `exp:5ms`.
impl FromStr for ServiceTime {
    type Err = ParseServiceTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration = |part: &str| {
            humantime::parse_duration(part.trim())
                .map_err(|_| ParseServiceTimeError(text.to_owned()))
        };
        if let Some(mean) = text.strip_prefix("exp:") {
            return Ok(Self::Exponential { mean: duration(mean)? });
        }
        match text.split_once("..") {
            Some((min, max)) => {
                let (min, max) = (duration(min)?, duration(max)?);
                if min > max {
                    return Err(ParseServiceTimeError(text.to_owned()));
                }
                Ok(Self::Uniform { min, max })
            }
            None => duration(text).map(Self::Fixed),
        }
    }
}

impl fmt::Display for ServiceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |time: &Duration| humantime::format_duration(*time).to_string();
        match self {
            Self::Exponential { mean } => write!(f, "exp:{}", show(mean)),
            Self::Fixed(time) => write!(f, "{}", show(time)),
            Self::Uniform { min, max } => write!(f, "{}..{}", show(min), show(max)),
        }
    }
}

// === impl ParseServiceTimeError ===

impl fmt::Display for ParseServiceTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no service time; write 5ms, 2ms..8ms or exp:5ms", self.0)
    }
}

impl std::error::Error for ParseServiceTimeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_times_read_back_as_written() {
        for text in ["5ms", "2ms..8ms", "exp:5ms"] {
            let time: ServiceTime = text.parse().unwrap();
            assert_eq!(time.to_string(), text);
        }
        for text in ["", "5", "8ms..2ms", "exp:"] {
            assert!(text.parse::<ServiceTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn longest_prefix_decides_the_service_time() {
        let fixed = |ms| ServiceTime::Fixed(Duration::from_millis(ms));
        let config = OriginConfig {
            service_time: fixed(1),
            service_times: vec![("/orders".into(), fixed(2)), ("/orders/pay".into(), fixed(3))],
            ..OriginConfig::default()
        };
        assert_eq!(config.service_time_of("/coupons"), fixed(1));
        assert_eq!(config.service_time_of("/orders/7"), fixed(2));
        assert_eq!(config.service_time_of("/orders/pay/7"), fixed(3));
    }

    #[test]
    fn a_header_that_would_split_the_answer_is_refused() {
        let config = OriginConfig {
            headers: vec![("x-a".into(), "1\r\nx-b: 2".into())],
            ..OriginConfig::default()
        };
        assert!(config.validate().is_err());
    }
}
