//! A configuration explained: every effective value with where it comes from, and what follows from them.

use std::fmt;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::derived::{TierFigures, UpstreamFigures};
use crate::duration::Time;
use crate::effective::Section;
use crate::given::Given;
use crate::in_flight;
use crate::load::Loaded;
use crate::problem::Problems;
use crate::value::Text;

/// Widest column of keys or values; what is longer stands out.
const COLUMN: usize = 44;

/// Every effective value with where it comes from, and what follows from them. `Display` renders it for people.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Every value, in the order of the file.
    pub values: Vec<EffectiveValue>,
    /// What follows for each upstream.
    pub upstreams: Vec<UpstreamFigures>,
    /// What is legal and probably not what was meant.
    pub warnings: Problems,
}

/// One effective value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveValue {
    /// Path of the key by name, such as `upstreams.checkout.max_in_flight`.
    pub key: String,
    /// As it is typed in the file, without the quotes of a string; a long list is cut.
    pub value: String,
    /// Where it comes from.
    pub given: Given,
}

/// Explains what was loaded. With `service`, the time that an upstream takes for a request, also what can be served.
pub fn explain(loaded: &Loaded, service: Option<Duration>) -> Explanation {
    let config = &loaded.config;
    let mut values = Vec::new();
    for section in Section::ALL {
        for (index, table) in section.tables(config).iter().enumerate() {
            values.extend(table.values.iter().map(|(key, value)| EffectiveValue {
                key: table.path(key),
                value: value.to_string(),
                given: loaded.sources.given(section, index, key),
            }));
        }
    }
    let figures = |upstream| UpstreamFigures::of(config, upstream, service);
    Explanation {
        values,
        upstreams: config.upstreams.iter().map(figures).collect(),
        warnings: loaded.warnings.clone(),
    }
}

// === impl Explanation ===

impl Explanation {
    /// `{values: [{key, value, given}], upstreams: [{name, permits, in_flight, reserved, places, per_second, tiers: […]}], warnings: […]}`.
    pub fn to_json(&self) -> Json {
        let value = |it: &EffectiveValue| json!({ "key": it.key, "value": it.value, "given": it.given.to_string() });
        let tier = |tier: &TierFigures| {
            json!({
                "name": tier.name,
                "places": tier.places,
                "guaranteed": tier.guaranteed,
                "max_wait_ms": tier.max_wait.as_secs_f64() * 1e3,
                "drains_at_per_second": tier.drains_at,
                "longest_answer_ms": tier.longest_answer.as_secs_f64() * 1e3,
                "served_in_time": tier.served_in_time,
            })
        };
        let upstream = |it: &UpstreamFigures| {
            json!({
                "name": it.name,
                "permits": it.permits,
                "in_flight": in_flight::in_words(&it.in_flight),
                "reserved": it.reserved,
                "places": it.places,
                "per_second": it.per_second,
                "tiers": it.tiers.iter().map(tier).collect::<Json>(),
            })
        };
        json!({
            "values": self.values.iter().map(value).collect::<Json>(),
            "upstreams": self.upstreams.iter().map(upstream).collect::<Json>(),
            "warnings": self.warnings.to_json(),
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&EffectiveValue) -> &str| {
            let lengths = self.values.iter().map(|value| text(value).chars().count());
            lengths.filter(|length| *length <= COLUMN).max().unwrap_or(0)
        };
        let (keys, values) = (width(|value| &value.key), width(|value| &value.value));
        for EffectiveValue { key, value, given } in &self.values {
            writeln!(f, "{key:keys$}  {value:values$}  {given}")?;
        }
        for upstream in &self.upstreams {
            write!(f, "\n{upstream}")?;
        }
        if !self.warnings.is_empty() {
            write!(f, "\n{}", self.warnings)?;
        }
        Ok(())
    }
}

// === impl UpstreamFigures ===

impl fmt::Display for UpstreamFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, permits: _, in_flight, reserved, places, per_second, tiers } = self;
        write!(f, "upstream {name}: {}", in_flight::in_words(in_flight))?;
        if *reserved > 0 {
            write!(f, " ({reserved} kept for journeys)")?;
        }
        write!(f, ", {places} places in the buffer")?;
        if let Some(per_second) = per_second {
            write!(f, ", serves {}/s", rounded(*per_second))?;
        }
        writeln!(f)?;
        tiers.iter().try_for_each(|tier| writeln!(f, "  tier {tier}"))
    }
}

// === impl TierFigures ===

impl fmt::Display for TierFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, answer) = (&self.name, Time(self.longest_answer).show());
        write!(f, "{name}: answered within {answer}; ")?;
        let Some(drains_at) = self.drains_at else { return f.write_str("never waits") };
        if self.guaranteed > 0 {
            let plural = if self.guaranteed == 1 { "" } else { "s" };
            write!(f, "guaranteed {} permit{plural}; ", self.guaranteed)?;
        }
        let (places, wait) = (self.places, Time(self.max_wait).show());
        let drains_at = rounded(drains_at);
        write!(f, "waits up to {wait} while fewer than {places} wait")?;
        match self.served_in_time.map(f64::floor) {
            None => write!(f, ", all in time from {drains_at}/s on"),
            Some(served) if served < f64::from(places) => {
                write!(
                    f,
                    ", of whom {served} are served in time; for all, {drains_at}/s are needed"
                )
            }
            Some(served) => write!(f, ", all in time; {served} would be"),
        }
    }
}

/// Whole from 10 on, with one decimal below.
fn rounded(per_second: f64) -> String {
    if per_second >= 10.0 { format!("{per_second:.0}") } else { format!("{per_second:.1}") }
}
