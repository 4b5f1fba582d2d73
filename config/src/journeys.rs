//! What was typed of journeys to what is meant, and what is odd about them.

use std::collections::HashMap;

use crate::config::{Config, Finish, Journey, Route};
use crate::file::{FileConfig, FileJourney};
use crate::journey::{Identity, KeySource, Sticky};
use crate::names::{Names, refer};
use crate::problem::Report;
use crate::retries::Retry;
use crate::source::{Span, quote};
use crate::tenants::beside;
use crate::validate::{EVERYTHING_ELSE, name_or, narrow, span_of};

/// The methods that change nothing (RFC 9110 §9.2.1).
const SAFE: [&str; 4] = ["GET", "HEAD", "OPTIONS", "TRACE"];

/// The route of a step, and where it was first made one.
type Taken = HashMap<usize, (Span, String)>;

/// The journeys that `file` means. Steps are indices into the routes that were typed.
pub(crate) fn journeys(file: &FileConfig, report: &mut Report<'_>) -> Vec<Journey> {
    if file.journeys.0.is_empty() {
        return Vec::new();
    }
    let routes: Vec<String> = match file.routes.0.is_empty() {
        true => vec![EVERYTHING_ELSE.to_owned()],
        false => (file.routes.values().enumerate())
            .map(|(index, it)| name_or(it.name.as_ref(), || format!("route-{}", index + 1)))
            .collect(),
    };
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let mut names = Names::new("journey");
    let mut taken = Taken::new();
    let mut journeys = Vec::new();
    for (index, typed) in file.journeys.values().enumerate() {
        let path = format!("journeys[{index}]");
        if let Some(name) = &typed.name {
            let span = span_of(&typed.name, typed.span);
            names.declare(&name.0, span, format!("{path}.name"), report);
        }
        journeys.extend(journey(typed, &path, &routes, &mut taken, report));
    }
    journeys
}

/// What follows from the journeys for routes and upstreams.
pub(crate) fn refer_back(config: &mut Config) {
    for (index, journey) in config.journeys.iter().enumerate() {
        for (step, route) in journey.steps.iter().enumerate() {
            let Some(route) = config.routes.get_mut(*route) else { continue };
            route.journey = Some((index, step));
            if step == journey.finish.step {
                route.retry = Retry::Off;
            }
            let upstream = config.upstreams.get_mut(route.upstream);
            if let Some(upstream) = upstream.filter(|_| journey.sticky != Sticky::Off) {
                let permits = f64::from(upstream.limits.max_in_flight());
                // A float becomes an integer by saturation; the little bit makes up for its rounding.
                let reserved = (journey.reserve * permits + 1e-6) as u32;
                upstream.reserved = upstream.reserved.max(reserved);
            }
        }
    }
}

fn journey(
    typed: &FileJourney,
    path: &str,
    routes: &[&str],
    taken: &mut Taken,
    report: &mut Report<'_>,
) -> Option<Journey> {
    let typed_steps = typed.steps.as_ref()?;
    let name = typed.name.as_ref().map_or("", |name| &name.0);
    let mut steps = Vec::with_capacity(typed_steps.0.len());
    for (index, step) in typed_steps.0.iter().enumerate() {
        let key = format!("{path}.steps[{index}]");
        let Some(route) = refer(step, "route", routes, key.clone(), report) else { continue };
        let span = step.span.unwrap_or(typed.span);
        if let Some((first, other)) = taken.get(&route) {
            let message = match other == path {
                true => format!("the route {} is a step of this journey twice", quote(&step.0)),
                false => format!("the route {} is a step of another journey", quote(&step.0)),
            };
            let suggestion = "a route is one step: give each a route of its own";
            report.collision(key, span, *first, message, suggestion);
        } else {
            taken.insert(route, (span, path.to_owned()));
            steps.push(route);
        }
    }
    let finish = match &typed.finish.step {
        Some(step) => {
            let names: Vec<&str> = typed_steps.values().map(|step| step.0.as_str()).collect();
            refer(step, "step", &names, format!("{path}.finish.step"), report)?
        }
        None => typed_steps.0.len().saturating_sub(1),
    };
    let mut status: Vec<u16> = typed.finish.status.values().map(|it| narrow(it.0)).collect();
    status.sort_unstable();
    status.dedup();
    Some(Journey {
        name: name.to_owned(),
        identity: typed.identity.as_ref().map_or(Identity::Device, |it| it.value.clone()),
        sticky: typed.sticky.value,
        steps,
        finish: Finish { step: finish, status },
        ttl: typed.ttl.0,
        headroom: typed.headroom.0,
        keys: typed.keys.as_ref().map_or(KeySource::Random, |keys| beside(&keys.value, report)),
        calls: narrow(typed.calls.0),
        reserve: typed.reserve.0,
        max_grants: narrow(typed.max_grants.0),
        max_customers: narrow(typed.max_customers.0),
    })
}

/// Reports what is legal and probably not what was meant. Tables of `file` and values of `config` are in the same order.
pub(crate) fn warn(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    for (index, (typed, journey)) in file.journeys.values().zip(&config.journeys).enumerate() {
        let path = format!("journeys[{index}]");
        let at = span_of(&typed.name, typed.span);
        let steps = typed.steps.iter().flat_map(|steps| &steps.0);
        let tier = |step: &usize| config.routes.get(*step).map(|route| route.tier.index());
        let entry = journey.steps.first().and_then(tier);
        for (position, (typed, step)) in steps.zip(&journey.steps).enumerate() {
            if tier(step) > entry {
                let message =
                    format!("the step {} is in a lower tier than the entry", quote(&typed.0));
                let suggestion = "whoever was let in may be refused here while others enter";
                let span = typed.span.unwrap_or(at);
                report.warning(format!("{path}.steps[{position}]"), span, message, suggestion);
            }
        }
        if journey.sticky == Sticky::Grant && (journey.calls as usize) < journey.steps.len() {
            let message = format!(
                "`calls` {} is fewer than the {} steps",
                journey.calls,
                journey.steps.len()
            );
            let suggestion =
                "nobody can finish: allow for one each, the entry included, and for some retries";
            report.warning(
                format!("{path}.calls"),
                typed.calls.span.unwrap_or(at),
                message,
                suggestion,
            );
        }
        match journey.sticky {
            Sticky::Grant if typed.keys.is_none() => {
                let message = format!(
                    "the journey `{}` signs with a random key of this process",
                    journey.name
                );
                let suggestion = "grants end with it and other gateways do not know them: add `keys = \"file:PATH\"`";
                report.warning(format!("{path}.keys"), at, message, suggestion);
            }
            Sticky::Grant => {}
            Sticky::Stage | Sticky::Off => unused(typed, journey, &path, report),
        }
    }
    for (index, (typed, route)) in file.routes.values().zip(&config.routes).enumerate() {
        if let Some(span) = typed.once.span.filter(|_| route.once && is_safe(route)) {
            let message = format!("`once` on the route `{}`, which takes no purchases", route.name);
            let suggestion = "its methods change nothing, so they may come twice";
            report.warning(format!("routes[{index}].once"), span, message, suggestion);
        }
    }
}

/// Reports the keys of a journey that mean nothing without grants.
fn unused(typed: &FileJourney, journey: &Journey, path: &str, report: &mut Report<'_>) {
    let keys = [
        ("ttl", typed.ttl.span),
        ("headroom", typed.headroom.span),
        ("keys", typed.keys.as_ref().and_then(|keys| keys.span)),
        ("calls", typed.calls.span),
        ("max_grants", typed.max_grants.span),
    ];
    let typed = keys.into_iter().filter_map(|(key, span)| Some((key, span?)));
    for (key, span) in typed {
        let message = format!("`{key}` of the journey `{}` is not used", journey.name);
        let suggestion =
            format!("it is about grants, and `sticky` is \"{}\"", journey.sticky.as_str());
        report.warning(format!("{path}.{key}"), span, message, suggestion);
    }
}

fn is_safe(route: &Route) -> bool {
    let methods = route.methods.as_ref();
    methods.is_some_and(|methods| methods.iter().all(|it| SAFE.contains(&it.as_str())))
}
