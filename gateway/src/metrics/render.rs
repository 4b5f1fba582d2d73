//! The shards as Prometheus text, beside what the exporter knows.

mod circuits;
mod journeys;
mod keyed;
mod limits;
mod machine;
mod objectives;
mod retries;
mod tenants;

use std::fmt::{Display, Write};

use floodgate_config::Stage;

use super::{Totals, names};
use crate::clock;
use crate::keyed::Rule;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Appends everything that is counted and measured to `text`.
pub(crate) fn render(shared: &Shared, text: &mut String) {
    let snapshot = &shared.snapshot.load_full();
    let mut page = Page(text);
    process(shared, snapshot, &mut page);
    routes(snapshot, &mut page);
    upstreams(snapshot, &mut page);
    retries::render(snapshot, &mut page);
    circuits::render(snapshot, &mut page);
    tiers(snapshot, &mut page);
    objectives::render(shared, snapshot, &mut page);
    limits::render(shared, snapshot, &mut page);
    machine::render(shared, &mut page);
    journeys::render(snapshot, &mut page);
    tenants::render(shared, snapshot, &mut page);
    keyed::render(snapshot, &mut page);
}

fn process(shared: &Shared, snapshot: &Snapshot, page: &mut Page<'_>) {
    page.family(names::CONFIG_GENERATION, "gauge", "Number of the live configuration.");
    page.sample(names::CONFIG_GENERATION, &[], snapshot.generation);
    keys(snapshot, page);
    page.family(names::CONNECTIONS, "gauge", "Downstream connections by state.");
    let upgraded: u32 = snapshot.upstreams.iter().map(|upstream| upstream.upgraded.taken()).sum();
    page.sample(names::CONNECTIONS, &[("state", "open")], shared.connections.open());
    page.sample(names::CONNECTIONS, &[("state", "upgraded")], upgraded);
    let lines = shared.access_log.counts();
    page.family(names::ACCESS_LOG_LINES, "counter", "Lines of the access log that were written.");
    page.sample(names::ACCESS_LOG_LINES, &[], lines.written);
    page.family(names::ACCESS_LOG_DROPPED, "counter", "Lines of the access log that were dropped.");
    page.sample(names::ACCESS_LOG_DROPPED, &[("why", "no_room")], lines.no_room);
    page.sample(names::ACCESS_LOG_DROPPED, &[("why", "unwritten")], lines.unwritten);
}

/// Whether the keys can be read.
fn keys(snapshot: &Snapshot, page: &mut Page<'_>) {
    let tokens = snapshot.jwt.iter().map(|jwt| ("jwt.keys".to_owned(), jwt.keyring().problem()));
    let journeys = snapshot
        .journeys
        .iter()
        .map(|journey| (format!("journeys.{}.keys", journey.name), journey.keyring().problem()));
    page.family(
        names::KEYS_BROKEN,
        "gauge",
        "1 while keys cannot be read and those of before stay.",
    );
    for (path, problem) in tokens.chain(journeys) {
        page.sample(names::KEYS_BROKEN, &[("keys", &path)], u8::from(problem.is_some()));
    }
}

/// Appends what a shadow configuration would have done.
pub(crate) fn render_shadow(snapshot: &Snapshot, text: &mut String) {
    let mut page = Page(text);
    let rows: Vec<_> = snapshot
        .routes
        .iter()
        .map(|route| {
            (
                route.name.as_str(),
                snapshot.tiers[route.tier.index()].name.as_str(),
                route.stats.sums(),
            )
        })
        .collect();
    page.family(names::SHADOW_REQUESTS, "counter", "Requests as the shadow would have decided.");
    for (route, tier, sums) in &rows {
        for (outcome, count) in [("admitted", sums.admitted), ("rejected", sums.all_rejected())] {
            page.sample(
                names::SHADOW_REQUESTS,
                &[("route", route), ("tier", tier), ("outcome", outcome)],
                count,
            );
        }
    }
    page.family(
        names::SHADOW_REJECTIONS,
        "counter",
        "What the shadow would have refused, by reason.",
    );
    for (route, tier, sums) in &rows {
        page.by_reason(names::SHADOW_REJECTIONS, route, tier, &sums.rejected);
    }
}

fn routes(snapshot: &Snapshot, page: &mut Page<'_>) {
    let mut rows: Vec<_> = snapshot
        .routes
        .iter()
        .map(|route| {
            (
                route.name.as_str(),
                snapshot.tiers[route.tier.index()].name.as_str(),
                route.stats.sums(),
            )
        })
        .collect();
    rows.extend(
        snapshot
            .retired
            .iter()
            .map(|((route, tier), stats)| (route.as_str(), tier.as_str(), stats.sums())),
    );
    rows.push(("", "", snapshot.unmatched.sums()));
    page.family(names::ARRIVALS, "counter", "Requests that came.");
    for (route, tier, sums) in &rows {
        page.sample(names::ARRIVALS, &[("route", route), ("tier", tier)], sums.arrivals);
    }
    page.family(names::ADMITTED, "counter", "Requests that got a permit.");
    for (route, tier, sums) in &rows {
        page.sample(names::ADMITTED, &[("route", route), ("tier", tier)], sums.admitted);
    }
    page.family(names::REQUESTS, "counter", "Requests by how they ended.");
    for (route, tier, sums) in &rows {
        let outcomes = [
            ("completed", sums.completed),
            ("failed", sums.failed),
            ("rejected", sums.all_rejected()),
            ("abandoned", sums.abandoned),
        ];
        for (outcome, count) in outcomes {
            page.sample(
                names::REQUESTS,
                &[("route", route), ("tier", tier), ("outcome", outcome)],
                count,
            );
        }
    }
    page.family(names::REPLAYS, "counter", "Requests that were answered as the same before.");
    for (route, tier, sums) in &rows {
        page.sample(names::REPLAYS, &[("route", route), ("tier", tier)], sums.replayed);
    }
    page.family(names::CLIENT_DEADLINES, "counter", "Requests that said how long they wait.");
    for (route, tier, sums) in &rows {
        let kinds = [("shorter", sums.deadlines_shorter), ("ignored", sums.deadlines_ignored)];
        for (kind, count) in kinds.into_iter().filter(|(_, count)| *count > 0) {
            let labels = [("route", *route), ("tier", *tier), ("kind", kind)];
            page.sample(names::CLIENT_DEADLINES, &labels, count);
        }
    }
    page.family(names::REJECTIONS, "counter", "Refused requests by reason.");
    for (route, tier, sums) in &rows {
        page.by_reason(names::REJECTIONS, route, tier, &sums.rejected);
    }
    page.family(names::SHADOW_RULE_REFUSALS, "counter", "Would be refused, but for a shadow.");
    for (route, tier, sums) in &rows {
        // Only those that have said something: most are never in the shadow.
        for (rule, count) in Rule::ALL.iter().zip(sums.would_refuse).filter(|(_, it)| *it > 0) {
            let labels = [("rule", rule.as_str()), ("route", route), ("tier", tier)];
            page.sample(names::SHADOW_RULE_REFUSALS, &labels, count);
        }
    }
    page.family(names::FAILURES, "counter", "Admitted requests that failed, by reason.");
    for (route, tier, sums) in &rows {
        page.by_reason(names::FAILURES, route, tier, &sums.failures);
    }
}

fn upstreams(snapshot: &Snapshot, page: &mut Page<'_>) {
    let now = clock::now();
    let rows: Vec<_> = snapshot
        .upstreams
        .iter()
        .map(|upstream| (upstream, upstream.limiter.status(now)))
        .collect();
    page.family(names::IN_FLIGHT, "gauge", "Requests at an upstream now.");
    for (upstream, status) in &rows {
        page.sample(names::IN_FLIGHT, &[("upstream", &upstream.name)], status.in_flight);
    }
    page.family(names::IN_FLIGHT_LIMIT, "gauge", "How many may be there at once.");
    for (upstream, status) in &rows {
        page.sample(names::IN_FLIGHT_LIMIT, &[("upstream", &upstream.name)], status.limit);
    }
    page.family(names::UPGRADED, "gauge", "Upgraded connections now.");
    for (upstream, _) in &rows {
        page.sample(names::UPGRADED, &[("upstream", &upstream.name)], upstream.upgraded.taken());
    }
    page.family(names::PRESSURE, "gauge", "How full, 0 to 1.");
    for (upstream, status) in &rows {
        page.sample(names::PRESSURE, &[("upstream", &upstream.name)], status.pressure);
    }
    let tiers: Vec<_> = rows
        .iter()
        .flat_map(|(upstream, status)| {
            status
                .tiers
                .iter()
                .zip(&snapshot.tiers)
                .map(|(row, tier)| (&upstream.name, &tier.name, row))
        })
        .collect();
    page.family(names::QUEUE_DEPTH, "gauge", "Waiting requests.");
    for (upstream, tier, row) in &tiers {
        page.sample(names::QUEUE_DEPTH, &[("upstream", upstream), ("tier", tier)], row.waiting);
    }
    if tiers.iter().any(|(.., row)| row.in_flight.is_some()) {
        page.family(names::TIER_IN_FLIGHT, "gauge", "Requests of a tier at an upstream now.");
        for (upstream, tier, row) in &tiers {
            if let Some(in_flight) = row.in_flight {
                let labels = [("upstream", upstream.as_str()), ("tier", tier.as_str())];
                page.sample(names::TIER_IN_FLIGHT, &labels, in_flight);
            }
        }
        page.family(names::TIER_GUARANTEED, "gauge", "Permits that a tier is guaranteed.");
        for (upstream, tier, row) in &tiers {
            let labels = [("upstream", upstream.as_str()), ("tier", tier.as_str())];
            page.sample(names::TIER_GUARANTEED, &labels, row.guaranteed);
        }
    }
    page.family(names::BREAKER_STATE, "gauge", "0 closed, 1 open.");
    for (upstream, tier, row) in &tiers {
        page.sample(
            names::BREAKER_STATE,
            &[("upstream", upstream), ("tier", tier)],
            u8::from(row.open),
        );
    }
    page.family(names::BREAKER_TRIPS, "counter", "Times the breaker tripped.");
    for (upstream, tier, row) in &tiers {
        page.sample(names::BREAKER_TRIPS, &[("upstream", upstream), ("tier", tier)], row.trips);
    }
    page.family(names::SERVER_EJECTED, "gauge", "1 while a server is left out.");
    for (upstream, _) in &rows {
        for server in &upstream.servers {
            let labels =
                [("upstream", upstream.name.as_str()), ("server", &server.address.to_string())];
            page.sample(names::SERVER_EJECTED, &labels, u8::from(server.is_ejected(now)));
        }
    }
}

fn tiers(snapshot: &Snapshot, page: &mut Page<'_>) {
    page.family(names::QUEUE_WAIT, "histogram", "Arrival to permit of admitted requests.");
    for tier in &snapshot.tiers {
        page.histogram(
            names::QUEUE_WAIT,
            &[("tier", &tier.name)],
            &tier.stats.totals(|shard| &shard.queue_wait),
        );
    }
    page.family(names::STAGE, "histogram", "Time per stage.");
    for tier in &snapshot.tiers {
        let upstream = tier.stats.totals(|shard| &shard.upstream);
        page.histogram(names::STAGE, &[("stage", "upstream"), ("tier", &tier.name)], &upstream);
        let total = tier.stats.totals(|shard| &shard.total);
        page.histogram(names::STAGE, &[("stage", "total"), ("tier", &tier.name)], &total);
        for stage in Stage::ALL {
            let labels = [("stage", stage.as_str()), ("tier", &tier.name)];
            page.histogram(names::STAGE, &labels, &tier.stats.stage(stage));
        }
    }
}

/// Text in the making. Writing to a string cannot fail.
struct Page<'a>(&'a mut String);

// === impl Page ===

impl Page<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            self.0.push(if at == 0 { '{' } else { ',' });
            self.write(format_args!("{label}=\""));
            for character in text.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    other => self.0.push(other),
                }
            }
            self.0.push('"');
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{end} {value}\n"));
    }

    /// Only reasons that have occurred: most never do.
    fn by_reason(&mut self, name: &str, route: &str, tier: &str, counts: &[u64]) {
        for (reason, &count) in Reason::ALL.iter().zip(counts) {
            if count > 0 {
                self.sample(
                    name,
                    &[("route", route), ("tier", tier), ("reason", reason.as_str())],
                    count,
                );
            }
        }
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], totals: &Totals) {
        for (end, count) in totals.cumulative() {
            let end = if end.is_finite() { end.to_string() } else { "+Inf".to_owned() };
            let labels = [labels, &[("le", end.as_str())]].concat();
            self.sample(&format!("{name}_bucket"), &labels, count);
        }
        self.sample(&format!("{name}_sum"), labels, totals.seconds());
        self.sample(&format!("{name}_count"), labels, totals.count());
    }

    fn write(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _infallible = self.0.write_fmt(arguments);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::open_keys::OpenKeys;

    #[test]
    #[ignore = "prints figures: cargo test --release -p floodgate-gateway --lib -- --ignored --nocapture figures_of_a_scrape"]
    fn figures_of_a_scrape() {
        let routes: String = (0..1_000)
            .map(|n| format!("[[routes]]\nname = \"r{n}\"\npath = \"/r{n}\"\n"))
            .collect();
        let text = format!("[upstreams.u]\nservers = [\"127.0.0.1:9\"]\n{routes}");
        let config = floodgate_config::parse("figures", &text).unwrap();
        let snapshot = Snapshot::compile(config, OpenKeys::default(), None, 2, clock::now());
        for route in &snapshot.routes {
            // Each has been refused for three reasons, and has failed for one.
            for reason in [Reason::Watermark, Reason::Rate, Reason::QueueTimeout] {
                route.stats.shard(0).turn_away(reason);
            }
            route.stats.shard(1).failures[Reason::UpstreamError.index()].increment();
        }
        let shared = Shared::new(snapshot, 2, 100);
        let mut times: Vec<Duration> = Vec::new();
        let mut text = String::new();
        for _ in 0..51 {
            text.clear();
            let begun = Instant::now();
            render(&shared, &mut text);
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        println!(
            "1,000 routes: {} lines, {} KiB in {:?} (median of 51), {:?} (longest)",
            text.lines().count(),
            text.len() / 1024,
            times[25],
            times[50]
        );
        assert!(times[25] < Duration::from_millis(20));
    }
}
