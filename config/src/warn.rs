//! What is legal and probably not what was meant.

use crate::config::{Config, Route};
use crate::file::FileConfig;
use crate::problem::Report;

/// Pairs of routes that are compared: enough for 2,000 routes in a few milliseconds.
const PAIRS: usize = 2_000_000;

/// Reports every warning about a good configuration. Tables of `file` and values of `config` are in the same order.
pub(crate) fn warn(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    upstreams(file, config, report);
    tiers(file, config, report);
    routes(file, config, report);
}

fn upstreams(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    let typed = file.upstreams.iter().flat_map(|upstreams| &upstreams.0);
    for (index, (name, typed)) in typed.enumerate() {
        let path = format!("upstreams.{}", name.value);
        let at = name.span.unwrap_or(typed.span);
        if typed.max_in_flight.0 == 0 {
            let span = typed.max_in_flight.span.unwrap_or(at);
            let message = format!("the upstream `{}` is closed", name.value);
            report.warning(format!("{path}.max_in_flight"), span, message, "0 permits");
        }
        if typed.buffer.0 == 0 {
            let span = typed.buffer.span.unwrap_or(at);
            let message = format!("nobody waits for the upstream `{}`", name.value);
            let suggestion = "without places every small burst is refused";
            report.warning(format!("{path}.buffer"), span, message, suggestion);
        }
        if config.routes.iter().all(|route| route.upstream != index) {
            let message = format!("no route leads to the upstream `{}`", name.value);
            report.warning(path.clone(), at, message, "add a route or leave it out");
        }
        let longest = config.tiers.iter().map(|tier| tier.deadline).max();
        if longest.is_some_and(|longest| typed.connect_timeout.0 > longest) {
            let span = typed.connect_timeout.span.unwrap_or(at);
            let message = "`connect_timeout` is longer than any tier's deadline";
            let key = format!("{path}.connect_timeout");
            report.warning(key, span, message, "the deadline always comes first");
        }
    }
}

fn tiers(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    for (index, (typed, tier)) in file.tiers.values().zip(&config.tiers).enumerate() {
        let path = format!("tiers[{index}]");
        let at = typed.span;
        if tier.max_wait > tier.deadline {
            let span = typed.max_wait.as_ref().and_then(|it| it.span).unwrap_or(at);
            let message =
                format!("`max_wait` of the tier `{}` is longer than its deadline", tier.name);
            let suggestion = "the deadline always comes first";
            report.warning(format!("{path}.max_wait"), span, message, suggestion);
        }
        let high = tier.watermarks.high();
        let lower = &config.tiers[index + 1..];
        if let Some(lower) = lower.iter().find(|lower| lower.watermarks.high() > high) {
            let span = typed.watermarks.as_ref().and_then(|it| it.span).unwrap_or(at);
            let message = format!(
                "the tier `{}` is refused before the lower tier `{}`",
                tier.name, lower.name
            );
            let suggestion = "a higher tier wants a higher `high`";
            report.warning(format!("{path}.watermarks.high"), span, message, suggestion);
        }
    }
}

fn routes(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    let mut pairs = 0;
    for (index, (typed, route)) in file.routes.values().zip(&config.routes).enumerate() {
        let at = typed.span;
        let path = format!("routes[{index}]");
        for method in typed.methods.iter().flat_map(|methods| &methods.0) {
            if let Some(meant) = method.value.slip_of() {
                let message = format!("`{}` is no method of the standards", method.value.0);
                let suggestion = format!("did you mean \"{meant}\"?");
                report.warning(
                    format!("{path}.methods"),
                    method.span.unwrap_or(at),
                    message,
                    suggestion,
                );
            }
        }
        pairs += index;
        if pairs > PAIRS {
            continue;
        }
        if let Some(earlier) = config.routes[..index].iter().find(|earlier| covers(earlier, route))
        {
            let span = typed.name.as_ref().and_then(|name| name.span).unwrap_or(at);
            let message = format!("the route `{}` is never taken", route.name);
            let suggestion = format!("the earlier `{}` matches all of it", earlier.name);
            report.warning(path, span, message, suggestion);
        }
    }
}

/// Whether whatever takes `later` would take `earlier`.
fn covers(earlier: &Route, later: &Route) -> bool {
    let methods = match (&earlier.methods, &later.methods) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(earlier), Some(later)) => later.iter().all(|method| earlier.contains(method)),
    };
    methods && earlier.path.covers(&later.path)
}
