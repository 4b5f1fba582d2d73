//! What an origin is told: limit, service times, size of its answers.

use std::{fmt, io, str::FromStr, time::Duration};

use crate::rng::Rng;

use super::{fault::Fault, shop::Shop};

/// What an origin is told before it runs.
#[derive(Clone, Debug)]
pub struct OriginConfig {
    /// Bytes of the answer's body.
    pub body_bytes: usize,
    /// Requests at once above which a request counts as over the limit.
    pub concurrency_limit: usize,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// One stall of the whole service.
    pub freeze: Option<Freeze>,
    /// Headers on every answer, in order.
    pub headers: Vec<(String, String)>,
    /// Whether orders with the same `idempotency-key` are one order, and an order that is paid twice
    /// is charged once.
    pub idempotent: bool,
    /// Seed of the random service times and faults.
    pub seed: u64,
    /// How long a request is worked on.
    pub service_time: ServiceTime,
    /// Other service times by path prefix; the longest prefix wins.
    pub service_times: Vec<(String, ServiceTime)>,
    /// By how much a service time grows for each `workers` requests that wait: at 0.5 a service
    /// with as many waiting as working takes half as long again. At most tenfold.
    pub slowdown: f64,
    /// Units by SKU. With stock the origin trades; see the README for its steps.
    pub stock: Vec<(String, u64)>,
    /// Requests worked on at once; the others wait in line, and what is begun is finished even if
    /// its client leaves. Without it everything is worked on at once. Its capacity is this over
    /// the mean service time.
    pub workers: Option<usize>,
}

/// One stall: no answer leaves for a while, whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// The stall begins when this many requests have been received before.
    pub after_requests: u64,
    /// How long it lasts.
    pub lasting: Duration,
}

/// How long something takes: the origin's work on a request, from its last byte to the first of the
/// answer, or a customer's thinking.
///
/// The origin's timer ticks in milliseconds. Its error is measured and taken off again, so that the
/// *mean* is true; a single request may deviate by a millisecond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ServiceTime {
    /// Exponential, cut at 20 times the mean.
    Exponential {
        /// The mean.
        mean: Duration,
    },
    /// Always the same; zero answers at once.
    Fixed(Duration),
    /// Its logarithm is normal, as times of people are; cut at 20 times the median.
    LogNormal {
        /// The median.
        median: Duration,
        /// Deviation of the logarithm.
        sigma: f64,
    },
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
    /// Most faults.
    pub const MAX_FAULTS: usize = 64;
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
        if self.faults.len() > Self::MAX_FAULTS {
            return invalid(format!("use at most {} faults", Self::MAX_FAULTS));
        }
        if self.workers == Some(0) || !(0.0..=10.0).contains(&self.slowdown) {
            return invalid("use at least one worker, and a slowdown of 0 to 10".to_owned());
        }
        Shop::new(&self.stock, self.idempotent)?;
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
            faults: Vec::new(),
            freeze: None,
            headers: Vec::new(),
            idempotent: true,
            seed: 1,
            service_time: ServiceTime::Fixed(Duration::ZERO),
            service_times: Vec::new(),
            slowdown: 0.0,
            stock: Vec::new(),
            workers: None,
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
            Self::LogNormal { median, sigma } => median.mul_f64((sigma * sigma / 2.0).exp()),
            Self::Uniform { min, max } => (*min + *max) / 2,
        }
    }

    pub(crate) fn sample(&self, rng: &mut Rng) -> Duration {
        match self {
            Self::Exponential { mean } => rng.exponential_duration(*mean),
            Self::Fixed(time) => *time,
            Self::LogNormal { median, sigma } => {
                median.mul_f64((sigma * rng.normal()).exp().min(20.0))
            }
            Self::Uniform { min, max } => *min + max.saturating_sub(*min).mul_f64(rng.fraction()),
        }
    }

    /// The longest that can come of it.
    pub(crate) fn longest(&self) -> Duration {
        match self {
            Self::Exponential { mean } => mean.saturating_mul(20),
            Self::Fixed(time) => *time,
            Self::LogNormal { median, .. } => median.saturating_mul(20),
            Self::Uniform { min, max } => *min.max(max),
        }
    }
}

/// `5ms`, `2ms..8ms`, `exp:5ms` or `lognormal:5ms,0.7`.
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
        if let Some(rest) = text.strip_prefix("lognormal:") {
            let unusable = || ParseServiceTimeError(text.to_owned());
            let (median, sigma) = rest.split_once(',').ok_or_else(unusable)?;
            let sigma: f64 = sigma.trim().parse().map_err(|_| unusable())?;
            let sigma = Some(sigma).filter(|sigma| (0.0..=3.0).contains(sigma));
            return Ok(Self::LogNormal {
                median: duration(median)?,
                sigma: sigma.ok_or_else(unusable)?,
            });
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
            Self::LogNormal { median, sigma } => write!(f, "lognormal:{},{sigma}", show(median)),
            Self::Uniform { min, max } => write!(f, "{}..{}", show(min), show(max)),
        }
    }
}

// === impl ParseServiceTimeError ===

impl fmt::Display for ParseServiceTimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no time; write 5ms, 2ms..8ms, exp:5ms or lognormal:5ms,0.7", self.0)
    }
}

impl std::error::Error for ParseServiceTimeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_times_read_back_as_written() {
        for text in ["5ms", "2ms..8ms", "exp:5ms", "lognormal:5ms,0.7"] {
            let time: ServiceTime = text.parse().unwrap();
            assert_eq!(time.to_string(), text);
        }
        for text in ["", "5", "8ms..2ms", "exp:", "lognormal:5ms", "lognormal:5ms,nan"] {
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
