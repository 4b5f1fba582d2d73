//! How many requests may be at an upstream at once: a number, or how that number is found.

use std::time::Duration;

use floodgate_limiter::{AdaptiveSettings, Algorithm, MAX_IN_FLIGHT};
use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::duration::{Time, Timeout};
use crate::problem::Report;
use crate::reader::Reader;
use crate::source::{Span, quote};
use crate::suggest::nearest;
use crate::table::table;
use crate::validate::narrow;
use crate::value::{Complaint, Integer, Setting, Text, Value};

const MOST: u64 = MAX_IN_FLIGHT as u64;

/// The floor unless given; below it a mean says little.
const MIN: u32 = 8;

/// A fixed number, 0 included, or bounds.
type Fixed = Integer<0, MOST>;
type Bound = Integer<1, MOST>;

table! {
    /// How the number of permits is found.
    FileAdaptive {
        /// The floor: there are never fewer. Left out: 8, or `max` if that is less.
        optional min: Bound,
        /// The most there ever are.
        required max: Bound,
        /// How many there are at first, and as long as `shadow` is on: what the last load test has shown. Left out: `max`.
        optional start: Bound,
        /// How it is found: `"gradient2"`, `"vegas"`, `"aimd"` or `"water_level"`; `"fixed"`: it stays at `start`.
        default algorithm: Algorithm = Algorithm::Gradient2,
        /// The mean time of a request at the upstream above which the number never grows, whatever the algorithm takes for healthy. Left out: none.
        optional max_latency: Timeout,
        /// Whether the number that is found is only shown, in metrics and `/api/status`.
        default shadow: bool = true,
    }
}

/// How many requests may be at an upstream at once.
#[derive(Clone, Debug)]
pub(crate) enum InFlight {
    Fixed(Fixed),
    Found(Box<FileAdaptive>),
}

// === impl InFlight ===

impl Value for InFlight {
    fn schema() -> Json {
        json!({ "anyOf": [Fixed::schema(), FileAdaptive::schema()] })
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        match value.get_ref() {
            DeValue::Table(_) => Some(Self::Found(Box::new(FileAdaptive::read(value, reader)?))),
            DeValue::Integer(_) => Some(Self::Fixed(Fixed::read(value, reader)?)),
            _ => {
                let most = format!(
                    "a whole number from 0 to {MOST}, or a table such as {{ min = 8, max = 400, start = 200 }}"
                );
                reader.wrong_type(value, &most);
                None
            }
        }
    }

    fn show(&self) -> Json {
        match self {
            Self::Fixed(number) => number.show(),
            Self::Found(table) => table.show(),
        }
    }
}

impl InFlight {
    /// The keys that were typed, with the places of their values; none if it is a number.
    pub(crate) fn typed(&self) -> Vec<(&'static str, Span)> {
        let Self::Found(table) = self else { return Vec::new() };
        let path = |key| match key {
            "min" => "max_in_flight.min",
            "max" => "max_in_flight.max",
            "start" => "max_in_flight.start",
            "algorithm" => "max_in_flight.algorithm",
            "max_latency" => "max_in_flight.max_latency",
            _ => "max_in_flight.shadow",
        };
        table.typed().into_iter().map(|(key, span)| (path(key), span)).collect()
    }

    /// What is meant by what stands at `path`.
    pub(crate) fn settings(&self, path: &str, report: &mut Report<'_>) -> Option<AdaptiveSettings> {
        let table = match self {
            Self::Fixed(number) => return Some(AdaptiveSettings::fixed(narrow(number.0))),
            Self::Found(table) => table,
        };
        let number = |it: &Setting<Bound>| narrow::<u32>(it.0);
        // What is missing or wrong has been reported.
        let max = number(table.max.as_ref()?);
        let min = table.min.as_ref().map_or(MIN.min(max), number);
        let start = table.start.as_ref().map_or(max, number);
        let settings = AdaptiveSettings::new(table.algorithm.value, min, max, start);
        let told = |error: floodgate_limiter::AdaptiveError| {
            let (key, typed) = match table.start.as_ref() {
                Some(start) if min <= max => ("start", Some(start)),
                _ => ("min", table.min.as_ref()),
            };
            let span = typed.and_then(|it| it.span).unwrap_or(table.span);
            let suggestion = "`min` is the floor, `max` the most, `start` one of them or between";
            report.error(format!("{path}.{key}"), span, error.to_string(), suggestion);
        };
        let max_latency = table.max_latency.as_ref().map(|latency| latency.0);
        let settings = settings.map_err(told).ok()?;
        Some(settings.with_max_latency(max_latency).with_shadow(table.shadow.value))
    }

    /// What is legal and probably not what was meant: the key, its place, what and why.
    pub(crate) fn odd(
        &self,
        settings: &AdaptiveSettings,
        longest_deadline: Duration,
    ) -> Vec<(&'static str, Span, String, String)> {
        let Self::Found(table) = self else { return Vec::new() };
        let mut odd = Vec::new();
        let at = |span: Option<Span>| span.unwrap_or(table.span);
        let start = settings.start();
        if settings.moves() && table.start.is_none() {
            let message = "`start` is left out: a sale begins with the most permits there ever are";
            let suggestion = "give what the last load test has shown, so that its first seconds are not spent learning";
            odd.push(("start", table.span, message.to_owned(), suggestion.to_owned()));
        }
        if settings.algorithm() != Algorithm::Fixed && settings.min() == settings.max() {
            let message = "`min` and `max` are the same: there is nothing to find";
            let suggestion = format!("give the number itself, max_in_flight = {start}");
            odd.push((
                "min",
                at(table.min.as_ref().and_then(|it| it.span)),
                message.to_owned(),
                suggestion,
            ));
        }
        if let Some(latency) = table.max_latency.as_ref().filter(|it| it.0 > longest_deadline) {
            let message = "`max_latency` is longer than any tier's deadline";
            let suggestion = "the deadline always comes first";
            odd.push(("max_latency", at(latency.span), message.to_owned(), suggestion.to_owned()));
        }
        odd
    }
}

// === impl Algorithm ===

impl Text for Algorithm {
    const FORM: &'static str = "\"fixed\", \"aimd\", \"gradient2\", \"vegas\" or \"water_level\"";
    const PATTERN: Option<&'static str> = Some("^(fixed|aimd|gradient2|vegas|water_level)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            let message = format!("{} is no algorithm", quote(text));
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

/// What rules at a limit that is found, in words: `8 to 400 permits, found by gradient2 from 200 on`.
pub(crate) fn in_words(settings: &AdaptiveSettings) -> String {
    let (min, max, start) = (settings.min(), settings.max(), settings.start());
    let algorithm = settings.algorithm().as_str();
    let latency = settings.max_latency().map(|latency| Text::show(&Time(latency)));
    let latency = latency.map_or(String::new(), |it| format!(", no more above {it}"));
    match (settings.algorithm(), settings.is_shadow()) {
        (Algorithm::Fixed, _) => format!("{start} permits"),
        (_, true) => format!(
            "{start} permits (in the shadow: {min} to {max}, found by {algorithm}{latency})"
        ),
        (_, false) => {
            format!("{min} to {max} permits, found by {algorithm} from {start} on{latency}")
        }
    }
}
