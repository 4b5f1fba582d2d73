//! What the customers of a tier are promised, and how much of that each stage of a request may take.

use std::time::Duration;

use crate::duration::Time;
use crate::file::{FileBudgets, FileObjective};
use crate::problem::Report;
use crate::source::{Span, quote};
use crate::value::{Complaint, Setting, Text};

/// Shortest and longest time over which an error budget is counted.
const WINDOW: (Duration, Duration) = (hours(1), hours(90 * 24));

/// More hours than anybody means.
const MANY: u64 = 1_000_000;

/// What the customers of a tier are promised.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Share of the requests that are to be answered, above 0 and below 1.
    pub availability: f64,
    /// How long that may take, from the connection accepted or the first byte of the head to the last of the answer.
    pub latency: Duration,
    /// Share of the answers that are to come within that, above 0 and below 1.
    pub percentile: f64,
    /// Over what the two shares are counted.
    pub window: Duration,
    /// Whether those who are refused for want of capacity were to be answered.
    pub refusals: bool,
    /// How much of `latency` each stage may take, in the order of [`Stage::ALL`]: together at most all of it.
    pub budgets: [Duration; Stage::ALL.len()],
}

/// A part of a request's way. Each begins where the one before ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stage {
    /// Until the worker looks at the new connection; nothing on one that is kept.
    Accept,
    /// First byte of the head to its last.
    Head,
    /// Until a permit is asked for: the rules, and what has to be here before, such as the body.
    Decide,
    /// Waiting for the permit.
    Queue,
    /// Until there is a connection to a server; nothing on one that is kept.
    Connect,
    /// Until the upstream's answer begins.
    FirstByte,
    /// Until it has come to its end.
    LastByte,
}

/// What a tier promises whose keys are left out.
#[derive(Clone, Copy)]
pub(crate) struct Promised {
    pub(crate) availability: f64,
    pub(crate) latency: Duration,
}

/// Over what an error budget is counted: an hour to 90 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window(pub(crate) Duration);

// === impl Stage ===

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Accept,
        Self::Head,
        Self::Decide,
        Self::Queue,
        Self::Connect,
        Self::FirstByte,
        Self::LastByte,
    ];

    /// Its name in metrics and in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Head => "head",
            Self::Decide => "decide",
            Self::Queue => "queue",
            Self::Connect => "connect",
            Self::FirstByte => "first_byte",
            Self::LastByte => "last_byte",
        }
    }

    /// Its place in [`Stage::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Twentieths of the latency that are its own where nobody says otherwise: most of it is the upstream's.
    const fn twentieths(self) -> u64 {
        match self {
            Self::Queue => 5,
            Self::FirstByte => 9,
            Self::LastByte => 2,
            Self::Accept | Self::Head | Self::Decide | Self::Connect => 1,
        }
    }
}

// === impl Window ===

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

impl Window {
    pub(crate) const fn from_days(days: u64) -> Self {
        Self(hours(days * 24))
    }
}

impl Text for Window {
    const FORM: &'static str = "a duration in quotes, such as \"30d\" or \"12h\"";
    const PATTERN: Option<&'static str> = Some("^[0-9]+(us|ms|s|m|h|d)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let duration = match (unit, number.parse::<u64>()) {
            ("d", Ok(days)) => hours(days.saturating_mul(24).min(MANY)),
            ("h", Ok(number)) => hours(number.min(MANY)),
            _ => Time::parse(text)?.0,
        };
        let form = || "from \"1h\" to \"90d\"";
        match duration {
            short if short < WINDOW.0 => {
                Err(Complaint::new(format!("{} is too short", quote(text)), form()))
            }
            long if long > WINDOW.1 => {
                Err(Complaint::new(format!("{} is too long", quote(text)), form()))
            }
            fits => Ok(Self(fits)),
        }
    }

    fn show(&self) -> String {
        let days = self.0.as_secs() / hours(24).as_secs();
        match self.0 == hours(days * 24) {
            true => format!("{days}d"),
            false => Time(self.0).show(),
        }
    }
}

/// The objective of the tier at `path` that `typed` means, with what is left out as `promised`.
pub(crate) fn objective(
    typed: &FileObjective,
    promised: Promised,
    path: &str,
    report: &mut Report<'_>,
) -> Option<Objective> {
    let path = format!("{path}.objective");
    let availability = typed.availability.as_ref().map_or(promised.availability, |it| it.0);
    let percentile = typed.percentile.0;
    let latency = typed.latency.as_ref().map_or(promised.latency, |it| it.0);
    let span_of = |span: Option<Span>| span.unwrap_or(typed.span);
    let shares = [
        ("availability", availability, typed.availability.as_ref().and_then(|it| it.span)),
        ("percentile", percentile, typed.percentile.span),
    ];
    let mut is_good = true;
    for (key, share, span) in shares {
        if share >= 1.0 {
            let message = format!("`{key}` of 1 leaves nothing that may go wrong");
            report.error(format!("{path}.{key}"), span_of(span), message, "below 1, as 0.9999");
            is_good = false;
        }
    }
    let budgets = budgets(&typed.budgets, latency, &path, report)?;
    is_good.then_some(Objective {
        availability,
        latency,
        percentile,
        window: typed.window.0,
        refusals: typed.refusals.value,
        budgets,
    })
}

/// What each stage may take: what was typed, and of the rest of `latency` what is left to the others.
fn budgets(
    typed: &FileBudgets,
    latency: Duration,
    path: &str,
    report: &mut Report<'_>,
) -> Option<[Duration; Stage::ALL.len()]> {
    let settings = typed.by_stage();
    let mut sum = Duration::ZERO;
    for (stage, setting) in Stage::ALL.into_iter().zip(settings) {
        let Some(setting) = setting else { continue };
        sum += setting.0;
        if sum > latency {
            let (sum, latency) = (Time(sum).show(), Time(latency).show());
            report.error(
                format!("{path}.budgets.{}", stage.as_str()),
                setting.span.unwrap_or(typed.span),
                format!(
                    "the budgets up to this stage add up to {sum}, and the latency is {latency}"
                ),
                "all stages together have `latency` to spend: lower one of them, or raise it",
            );
            return None;
        }
    }
    let left = u64::try_from((latency - sum).as_micros()).unwrap_or(u64::MAX);
    let free = Stage::ALL.into_iter().zip(settings).filter(|(_, setting)| setting.is_none());
    let shares: u64 = free.map(|(stage, _)| stage.twentieths()).sum();
    Some(Stage::ALL.map(|stage| match settings[stage.index()] {
        Some(setting) => setting.0,
        // At most 9 times 24 hours.
        None => Duration::from_micros(left * stage.twentieths() / shares),
    }))
}

// === impl FileBudgets ===

impl FileBudgets {
    fn by_stage(&self) -> [Option<&Setting<Time>>; Stage::ALL.len()] {
        Stage::ALL.map(|stage| match stage {
            Stage::Accept => self.accept.as_ref(),
            Stage::Head => self.head.as_ref(),
            Stage::Decide => self.decide.as_ref(),
            Stage::Queue => self.queue.as_ref(),
            Stage::Connect => self.connect.as_ref(),
            Stage::FirstByte => self.first_byte.as_ref(),
            Stage::LastByte => self.last_byte.as_ref(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_shown_as_it_is_typed() {
        for text in ["30d", "1d", "1h", "36h", "90d", "90m"] {
            assert_eq!(Window::parse(text).unwrap().show(), text);
        }
        for text in ["59m", "91d", "d", "-1d", "99999999999999999999d", "1.5d"] {
            assert!(Window::parse(text).is_err(), "{text}");
        }
    }
}
