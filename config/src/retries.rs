//! What is sent a second time, to which requests that happens, and how often.

use floodgate_limiter::RetryLimits;

use crate::problem::Report;
use crate::source::{Span, quote};
use crate::suggest::nearest;
use crate::table::table;
use crate::validate::narrow;
use crate::value::{Complaint, Fraction, Integer, List, Setting, Text};

/// Most failures that can be listed: all there are.
const MOST: usize = 102;

table! {
    /// Requests that are sent again, to another server, when one has failed.
    FileRetries {
        /// For each request that was admitted in the last ten seconds so many may be sent again; 0: none but those of `min_per_second`.
        default budget: Fraction = Fraction(0.1),
        /// So many may be sent again each second however few were admitted.
        default min_per_second: Integer<0, 1_000_000> = Integer(3),
        /// How often one request is sent again at most; 0: never.
        default attempts: Integer<0, 5> = Integer(1),
        /// After which failures: `"connect"`: there is no connection, or nothing of the request went over it; `"broken"`: it ended, or brought no HTTP, before there was an answer; a status from `"500"` to `"599"`.
        default on: List<RetryOn, 0, MOST> = List([RetryOn::Connect, RetryOn::Broken].map(Setting::default).to_vec()),
    }
}

/// A failure after which a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// Nothing of it was sent.
    Connect,
    /// It may have been, and there is no answer.
    Broken,
    /// An answer with this status, 500 to 599.
    Status(u16),
}

/// Which requests of a route are sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retry {
    /// None.
    Off,
    /// Those of which nothing was sent.
    Unsent,
    /// These, and those whose method is idempotent (RFC 9110 §9.2.2).
    #[default]
    Idempotent,
}

/// What is sent again, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Retries {
    /// How much in all.
    pub budget: RetryLimits,
    /// How often one request; 0: never.
    pub attempts: u32,
    /// After which failures.
    pub on: Vec<RetryOn>,
}

// === impl FileRetries ===

impl FileRetries {
    /// The keys that were typed, with the places of their values.
    pub(crate) fn typed_below(&self) -> Vec<(&'static str, Span)> {
        let path = |key| match key {
            "budget" => "retries.budget",
            "min_per_second" => "retries.min_per_second",
            "attempts" => "retries.attempts",
            _ => "retries.on",
        };
        self.typed().into_iter().map(|(key, span)| (path(key), span)).collect()
    }

    /// What is meant by what stands at `path`.
    pub(crate) fn meant(&self, path: &str, report: &mut Report<'_>) -> Option<Retries> {
        // The reader has checked both numbers.
        let told = |error: floodgate_limiter::RetryLimitsError| {
            report.error(path.to_owned(), self.span, error.to_string(), "choose other numbers");
        };
        let limits = RetryLimits::new(self.budget.0, narrow(self.min_per_second.0));
        Some(Retries {
            budget: limits.map_err(told).ok()?,
            attempts: narrow(self.attempts.0),
            on: self.on.values().copied().collect(),
        })
    }
}

// === impl RetryOn ===

impl Text for RetryOn {
    const FORM: &'static str = "\"connect\", \"broken\" or a status from \"500\" to \"599\"";
    const PATTERN: Option<&'static str> = Some("^(connect|broken|5[0-9][0-9])$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let is_status = text.len() == 3 && text.starts_with('5');
        let status = || text.parse().ok().filter(|_| is_status);
        match text {
            "connect" => Ok(Self::Connect),
            "broken" => Ok(Self::Broken),
            _ => status().map(Self::Status).ok_or_else(|| {
                let message = format!("after {} nothing is sent again", quote(text));
                let suggestion = match nearest(text, ["connect", "broken"]) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => format!("expected {}", Self::FORM),
                };
                Complaint::new(message, suggestion)
            }),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl std::fmt::Display for RetryOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Broken => f.write_str("broken"),
            Self::Status(status) => write!(f, "{status}"),
        }
    }
}

// === impl Retry ===

impl Retry {
    const ALL: [Self; 3] = [Self::Off, Self::Unsent, Self::Idempotent];

    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Unsent => "unsent",
            Self::Idempotent => "idempotent",
        }
    }
}

impl Text for Retry {
    const FORM: &'static str = "\"off\", \"unsent\" or \"idempotent\"";
    const PATTERN: Option<&'static str> = Some("^(off|unsent|idempotent)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            let message = format!("{} does not say what is sent again", quote(text));
            let suggestion = match nearest(text, Self::ALL.map(Self::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("expected {}", Self::FORM),
            };
            Complaint::new(message, suggestion)
        })
    }

    fn show(&self) -> String {
        self.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["connect", "broken", "500", "599"] {
            assert_eq!(RetryOn::parse(text).map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "timeout", "499", "600", "5xx", "+500", "0500"] {
            assert!(RetryOn::parse(text).is_err(), "{text}");
        }
        for text in ["off", "unsent", "idempotent"] {
            assert_eq!(Retry::parse(text).map(Retry::as_str), Ok(text));
        }
        assert_eq!(
            Retry::parse("idempotemt").unwrap_err().suggestion,
            "did you mean \"idempotent\"?"
        );
    }
}
