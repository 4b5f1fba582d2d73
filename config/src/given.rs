//! Where an effective value comes from.

use std::collections::HashMap;
use std::fmt;

use crate::circuit::typed_keys;
use crate::effective::{Section, budget_key};
use crate::file::{FileConfig, FileJourney, FileTier, FileUpstream};
use crate::objective::Stage;
use crate::source::{Source, Span};

/// Where an effective value comes from. `Display` as `checkout.toml:11`, `environment: FLOODGATE__…` or `default`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// Nobody gave it.
    Default,
    /// A variable of the environment.
    Environment(String),
    /// The file.
    File {
        /// Its name.
        name: String,
        /// Line, counted from 1.
        line: usize,
    },
}

/// What was typed where, for every value that was typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    file: String,
    tables: HashMap<(Section, usize), Vec<(&'static str, Line)>>,
}

/// A line of the file or, with the variable's name, of the environment.
#[derive(Clone, Debug)]
struct Line {
    variable: Option<String>,
    line: usize,
}

// === impl Given ===

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(variable) => write!(f, "environment: {variable}"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
        }
    }
}

// === impl Sources ===

impl Sources {
    pub(crate) fn of(file: &FileConfig, source: &Source<'_>) -> Self {
        let mut sources = Self { file: source.name.to_owned(), tables: HashMap::new() };
        let mut add = |section, index, typed: Vec<(&'static str, Span)>| {
            let line = |(key, span)| {
                let (variable, line) = source.line(span);
                (key, Line { variable: variable.map(str::to_owned), line })
            };
            sources.tables.insert((section, index), typed.into_iter().map(line).collect());
        };
        add(Section::Server, 0, file.server.typed());
        let upstreams = file.upstreams.iter().flat_map(|upstreams| &upstreams.0);
        for (index, (_, upstream)) in upstreams.enumerate() {
            add(Section::Upstreams, index, upstream_typed(upstream));
        }
        for (index, tier) in file.tiers.values().enumerate() {
            add(Section::Tiers, index, tier_typed(tier));
        }
        for (index, route) in file.routes.values().enumerate() {
            add(Section::Routes, index, route.typed());
        }
        for (index, journey) in file.journeys.values().enumerate() {
            add(Section::Journeys, index, journey_typed(journey));
        }
        if let Some(jwt) = &file.jwt {
            add(Section::Jwt, 0, jwt.value.typed());
        }
        let tenants = file.tenants.iter().flat_map(|tenants| &tenants.0);
        for (index, (_, tenant)) in tenants.enumerate() {
            add(Section::Tenants, index, tenant.typed());
        }
        add(Section::Latch, 0, file.latch.typed());
        add(Section::Once, 0, file.once.typed());
        add(Section::Explain, 0, file.explain.typed());
        add(Section::AccessLog, 0, file.access_log.typed());
        sources
    }

    /// Where the value of `key` in the table of this index comes from.
    pub(crate) fn given(&self, section: Section, index: usize, key: &str) -> Given {
        let table = self.tables.get(&(section, index));
        match table.and_then(|table| table.iter().find(|(typed, _)| *typed == key)) {
            None => Given::Default,
            Some((_, Line { variable: Some(name), .. })) => Given::Environment(name.clone()),
            Some((_, Line { line, .. })) => Given::File { name: self.file.clone(), line: *line },
        }
    }
}

/// With the keys that say how the number of permits is found in place of their table, and those of the retries.
fn upstream_typed(upstream: &FileUpstream) -> Vec<(&'static str, Span)> {
    let mut typed = upstream.typed();
    let found = upstream.max_in_flight.typed();
    typed.retain(|(key, _)| *key != "max_in_flight" || found.is_empty());
    typed.extend(found);
    typed.extend(upstream.retries.typed_below());
    let circuit = upstream.circuit.as_ref().and_then(|it| it.table());
    inner_typed(&mut typed, circuit.map(|table| table.typed()));
    typed
}

/// With the keys of the watermarks and of the objective in place of their tables.
fn tier_typed(tier: &FileTier) -> Vec<(&'static str, Span)> {
    let mut typed = tier.typed();
    typed.retain(|(key, _)| *key != "watermarks");
    for (key, span) in tier.watermarks.iter().flat_map(|pair| pair.typed()) {
        let key = match key {
            "high" => "watermarks.high",
            "low" => "watermarks.low",
            _ => "watermarks.shadow",
        };
        typed.push((key, span));
    }
    let objective = &tier.objective;
    for (key, span) in objective.typed() {
        let key = match key {
            "availability" => "objective.availability",
            "latency" => "objective.latency",
            "percentile" => "objective.percentile",
            "window" => "objective.window",
            _ => "objective.refusals",
        };
        typed.push((key, span));
    }
    for (key, span) in objective.budgets.typed() {
        let stage = Stage::ALL.into_iter().find(|stage| stage.as_str() == key);
        typed.extend(stage.map(|stage| (budget_key(stage), span)));
    }
    let circuit = tier.circuit.as_ref().and_then(|it| it.table());
    inner_typed(&mut typed, circuit.map(|table| table.typed()));
    typed
}

/// The keys of the table `circuit`, if it is one, in its place.
fn inner_typed(typed: &mut Vec<(&'static str, Span)>, circuit: Option<Vec<(&'static str, Span)>>) {
    if let Some(circuit) = circuit {
        typed.retain(|(key, _)| *key != "circuit");
        typed.extend(typed_keys(circuit));
    }
}

/// With the two keys that say which answer ends it.
fn journey_typed(journey: &FileJourney) -> Vec<(&'static str, Span)> {
    let mut typed = journey.typed();
    for (key, span) in journey.finish.typed() {
        typed.push((if key == "step" { "finish.step" } else { "finish.status" }, span));
    }
    typed
}
