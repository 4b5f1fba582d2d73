//! What is legal and probably not what was meant.

use std::collections::HashMap;
use std::time::Duration;

use floodgate_limiter::Rate;

use crate::address::ServerAddress;
use crate::config::{Config, Route, Tier, Upstream};
use crate::derived::{most_waiting, per_second, places};
use crate::file::FileConfig;
use crate::journeys;
use crate::problem::Report;
use crate::retries::Retry;
use crate::tenants;

/// Pairs of routes that are compared: enough for 2,000 routes in a few milliseconds.
const PAIRS: usize = 2_000_000;

/// Reports every warning about a good configuration. Tables of `file` and values of `config` are in the same order.
pub(crate) fn warn(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    server(file, config, report);
    upstreams(file, config, report);
    tiers(file, config, report);
    routes(file, config, report);
    journeys::warn(file, config, report);
    tenants::warn(file, config, report);
}

fn server(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    let (typed, server) = (&file.server, &config.server);
    let per_client = typed.max_connections_per_client.span;
    if let Some(span) =
        per_client.filter(|_| server.max_connections_per_client > server.max_connections)
    {
        let message = "`max_connections_per_client` is more than `max_connections`";
        let suggestion = format!("there are never more than {} in all", server.max_connections);
        report.warning("server.max_connections_per_client", span, message, suggestion);
    }
    let longest = longest_deadline(config);
    if let Some(span) = typed.drain.span.filter(|_| server.drain < longest) {
        let message = "`drain` is shorter than the longest deadline";
        let suggestion = "requests in flight may be cut off at a stop";
        report.warning("server.drain", span, message, suggestion);
    }
}

fn upstreams(file: &FileConfig, config: &Config, report: &mut Report<'_>) {
    // The upstream that a server was first listed in.
    let mut seen: HashMap<String, usize> = HashMap::new();
    let typed = file.upstreams.iter().flat_map(|upstreams| &upstreams.0);
    for (index, ((name, typed), upstream)) in typed.zip(&config.upstreams).enumerate() {
        let path = format!("upstreams.{}", name.value);
        let at = name.span.unwrap_or(typed.span);
        if upstream.limits.max_in_flight() == 0 {
            let span = typed.max_in_flight.span.unwrap_or(at);
            let message = format!("the upstream `{}` is closed", name.value);
            report.warning(format!("{path}.max_in_flight"), span, message, "0 permits");
        }
        for (key, span, message, suggestion) in
            typed.max_in_flight.odd(&upstream.in_flight, longest_deadline(config))
        {
            report.warning(format!("{path}.max_in_flight.{key}"), span, message, suggestion);
        }
        if let Some((message, suggestion)) = buffer(upstream, index, config) {
            let span = typed.buffer.span.unwrap_or(at);
            report.warning(format!("{path}.buffer"), span, message, suggestion);
        }
        if config.routes.iter().all(|route| route.upstream != index) {
            let message = format!("no route leads to the upstream `{}`", name.value);
            report.warning(path.clone(), at, message, "add a route or leave it out");
        }
        let circuit = typed.circuit.as_ref().and_then(|it| it.table());
        if let Some(slow_after) = circuit.and_then(|it| it.slow_after.as_ref())
            && slow_after.0 > longest_deadline(config)
        {
            let span = slow_after.span.unwrap_or(at);
            let message = "`slow_after` is longer than any tier's deadline";
            let key = format!("{path}.circuit.slow_after");
            report.warning(key, span, message, "the deadline always comes first");
        }
        if typed.connect_timeout.0 > longest_deadline(config) {
            let span = typed.connect_timeout.span.unwrap_or(at);
            let message = "`connect_timeout` is longer than any tier's deadline";
            let key = format!("{path}.connect_timeout");
            report.warning(key, span, message, "the deadline always comes first");
        }
        for (position, server) in typed.servers.iter().flat_map(|servers| &servers.0).enumerate() {
            let Some(first) = seen.insert(one_name(&server.value), index) else { continue };
            let message = match first == index {
                true => format!("the server `{}` is listed twice", server.value),
                false => {
                    let first = config.upstreams.get(first).map_or("", |first| &first.name);
                    format!("the server `{}` is in the upstream `{first}` too", server.value)
                }
            };
            let suggestion = match first == index {
                true => "leave one of them out",
                false => "permits are counted for each upstream alone",
            };
            let key = format!("{path}.servers[{position}]");
            report.warning(key, server.span.unwrap_or(at), message, suggestion);
        }
    }
}

/// What is odd about the buffer of an upstream: the first that applies.
fn buffer(upstream: &Upstream, index: usize, config: &Config) -> Option<(String, String)> {
    let (name, buffer) = (&upstream.name, upstream.limits.buffer());
    let message = format!("nobody waits for the upstream `{name}`");
    if buffer == 0 {
        return Some((message, "without places every small burst is refused".to_owned()));
    }
    if config.tiers.iter().all(|tier| tier.max_wait.is_zero()) {
        return Some((message, format!("`max_wait` of every tier is 0, with {buffer} places")));
    }
    let connections = config.server.max_connections;
    if buffer > connections {
        let message = format!("the buffer of the upstream `{name}` can never be full");
        return Some((message, format!("there are at most {connections} connections")));
    }
    let first = config.tiers.first()?;
    let enforced = |tier: &Tier| match tier.watermarks.is_shadow() {
        true => 1.0,
        false => tier.watermarks.high(),
    };
    let (high, first_places) = (enforced(first), places(&upstream.limits, 0));
    if let Some(most) = most_of_first_tier(upstream, index, config, first)
        && most < f64::from(first_places)
    {
        let message = format!(
            "`high` of the tier `{}` can never be reached at the upstream `{name}`",
            first.name
        );
        let suggestion = format!(
            "at its rate at most {most:.0} wait at once, and `high` is at {first_places} of {buffer} places"
        );
        return Some((message, suggestion));
    }
    let tiers = config.tiers.windows(2).enumerate();
    for (index, pair) in tiers {
        let [higher, lower] = pair else { continue };
        let (above, below) = (places(&upstream.limits, index), places(&upstream.limits, index + 1));
        if above == below && enforced(higher) > enforced(lower) {
            let message = format!(
                "the buffer of the upstream `{name}` keeps no place for the tier `{}` from `{}`",
                higher.name, lower.name
            );
            let suggestion = format!("`high` of both is {above} of {buffer} places, rounded up");
            return Some((message, suggestion));
        }
    }
    if high < 1.0 && first_places == buffer {
        let message =
            format!("`high` of the tier `{}` is the whole buffer of `{name}`", first.name);
        return Some((message, format!("{high} of {buffer} places is rounded up to {buffer}")));
    }
    None
}

/// The most requests of the first tier that can wait at once; `None`: nothing but the buffer bounds them, or none come.
fn most_of_first_tier(
    upstream: &Upstream,
    index: usize,
    config: &Config,
    first: &Tier,
) -> Option<f64> {
    if first.max_wait.is_zero() {
        return None;
    }
    let own = config.routes.iter().filter(|it| it.upstream == index && it.tier.index() == 0);
    let rates = own.map(|route| route.rate).collect::<Option<Vec<_>>>();
    let open = |rate: &Rate| !rate.is_closed();
    let routes = rates.map(|rates| {
        rates.into_iter().filter(open).map(|rate| most_waiting(rate, first.max_wait)).sum::<f64>()
    });
    let shared = [upstream.rate, first.rate].into_iter().flatten();
    let shared = shared.filter(open).map(|rate| most_waiting(rate, first.max_wait));
    let most = shared.chain(routes).fold(f64::INFINITY, f64::min);
    (most.is_finite() && most > 0.0).then_some(most)
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
        let marks = typed.watermarks.as_ref().and_then(|it| it.span).unwrap_or(at);
        let high = tier.watermarks.high();
        let mut higher = config.tiers[..index].iter();
        if let Some(higher) =
            higher.find(|it| it.watermarks.high() < high && !it.watermarks.is_shadow())
        {
            let message = format!("`high` of the tier `{}` can never be reached", tier.name);
            let suggestion = format!(
                "the higher tier `{}` has {}, which counts for those below it too",
                higher.name,
                higher.watermarks.high()
            );
            report.warning(format!("{path}.watermarks.high"), marks, message, suggestion);
        }
        if tier.watermarks.low() == 0.0 {
            let message = format!("the breaker of the tier `{}` resets at 0 only", tier.name);
            let suggestion = "when nobody waits any more, the upstream may run dry";
            report.warning(format!("{path}.watermarks.low"), marks, message, suggestion);
        }
        if let Some(span) = typed.weight.span.filter(|_| index == 0 && typed.weight.0 != 1) {
            let message = format!("`weight` of the first tier `{}` is not used", tier.name);
            let suggestion = "it is served first, the others share what it leaves";
            report.warning(format!("{path}.weight"), span, message, suggestion);
        }
        if let Some((message, suggestion)) = guarantee(tier, index, config) {
            let span = typed.guaranteed.span.unwrap_or(at);
            report.warning(format!("{path}.guaranteed"), span, message, suggestion);
        }
    }
}

/// What is wrong with what `tier` is guaranteed.
fn guarantee(tier: &Tier, index: usize, config: &Config) -> Option<(String, String)> {
    let name = &tier.name;
    if tier.guaranteed == 0.0 {
        return None;
    }
    if tier.max_wait.is_zero() {
        let message = format!("what the tier `{name}` is guaranteed is never its own");
        let suggestion = "permits come back to those who wait: give it a `max_wait`".to_owned();
        return Some((message, suggestion));
    }
    let is_without = |upstream: &&Upstream| {
        upstream.limits.max_in_flight() > 0 && upstream.limits.guarantee(index).permits == 0
    };
    let upstream = config.upstreams.iter().find(is_without)?;
    let message =
        format!("the tier `{name}` is guaranteed no permit at the upstream `{}`", upstream.name);
    let permits = upstream.limits.max_in_flight();
    let suggestion = format!("the tiers before it are guaranteed all {permits} of them");
    Some((message, suggestion))
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
        if let Some(suggestion) = lower_ceiling(route, config) {
            let span = typed.rate.as_ref().and_then(|rate| rate.span).unwrap_or(at);
            let message = format!("`rate` of the route `{}` can never be reached", route.name);
            report.warning(format!("{path}.rate"), span, message, suggestion);
        }
        // To type the default is to leave it out.
        let is_told = |typed| typed != Retry::default() && typed != route.retry;
        if let Some(span) = typed.retry.span.filter(|_| is_told(typed.retry.value)) {
            let message = format!("nothing of the route `{}` is sent again", route.name);
            let suggestion = "it buys, or finishes a journey: leave `retry` out, or \"off\"";
            report.warning(format!("{path}.retry"), span, message, suggestion);
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

/// What has a ceiling below that of `route`.
fn lower_ceiling(route: &Route, config: &Config) -> Option<String> {
    let own = per_second(route.rate?);
    let tier = config.tiers.get(route.tier.index())?;
    let upstream = config.upstreams.get(route.upstream)?;
    let above = [("tier", &tier.name, tier.rate), ("upstream", &upstream.name, upstream.rate)];
    let lower = |(_, _, rate): &(_, _, Option<_>)| rate.is_some_and(|rate| per_second(rate) < own);
    let (what, name, _) = above.into_iter().find(lower)?;
    Some(format!("its {what} `{name}` has a lower one"))
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

fn longest_deadline(config: &Config) -> Duration {
    config.tiers.iter().map(|tier| tier.deadline).max().unwrap_or_default()
}

/// A server under one of the names that it goes by.
fn one_name(server: &ServerAddress) -> String {
    let name = server.to_string().to_ascii_lowercase();
    match name.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => name,
    }
}
