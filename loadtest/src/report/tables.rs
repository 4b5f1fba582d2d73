//! The tables of a page.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    load::Counts,
    record::{Groups, JourneyCounts, Percentiles, Record, Saturation},
};

use super::{
    document::{card, escape},
    figure::{bytes, count, latency, number, share},
};

/// A table in the making: cells are escaped, unless they are markup of ours.
#[derive(Debug, Default)]
pub(crate) struct Table(String);

// === impl Table ===

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        let cells: String = head.iter().map(|cell| format!("<th>{}</th>", escape(cell))).collect();
        Self(format!("<thead><tr>{cells}</tr></thead><tbody>"))
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        let mut cells = cells.iter();
        let head = cells.next().map(|cell| format!("<th>{}</th>", escape(cell)));
        let rest: String = cells.map(|cell| format!("<td>{}</td>", cell_markup(cell))).collect();
        self.0.push_str(&format!("<tr>{}{rest}</tr>", head.unwrap_or_default()));
    }

    pub(crate) fn finish(self) -> String {
        format!("<div class=\"scroll\"><table>{}</tbody></table></div>", self.0)
    }
}

/// `12 | 3 %` becomes a figure with a smaller one beside it.
fn cell_markup(cell: &str) -> String {
    match cell.split_once(" | ") {
        Some((figure, part)) => {
            format!("{} <span class=\"part\">{}</span>", escape(figure), escape(part))
        }
        None => escape(cell),
    }
}

/// `name: value` pairs.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let rows: String = rows
        .map(|(name, value)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(&value)))
        .collect();
    format!("<dl>{rows}</dl>")
}

fn with_share(part: u64, whole: u64) -> String {
    if part == 0 {
        return "0".to_owned();
    }
    format!("{} | {}", count(part), share(part as f64, whole as f64))
}

/// Requests by ending, and latencies, by tier and by what is finer.
pub(super) fn requests(record: &Record) -> String {
    let head = ["tier", "offered", "success", "in time", "refused", "failed", "timeout", "dropped"];
    let mut endings = Table::new(&head);
    let row = |name: &str, counts: &Counts, in_time: Option<u64>| {
        let of = |part| with_share(part, counts.offered);
        vec![
            name.to_owned(),
            count(counts.offered),
            of(counts.success),
            in_time.map_or("-".to_owned(), of),
            of(counts.refused),
            of(counts.failed),
            of(counts.timeout),
            of(counts.dropped),
        ]
    };
    for tier in record.tiers.iter().filter(|tier| tier.counts.offered > 0) {
        let deadline = tier.deadline_ms.map_or(String::new(), |ms| format!(" ({})", latency(ms)));
        endings.row(&row(&format!("{}{deadline}", tier.tier), &tier.counts, Some(tier.in_time)));
    }
    if record.tiers.iter().filter(|tier| tier.counts.offered > 0).count() > 1 {
        endings.row(&row("all", &record.counts(), Some(record.in_time())));
    }
    let mut out = endings.finish();
    let finer: Vec<_> = record.classes.iter().collect();
    if !finer.is_empty() {
        let mut table = Table::new(&head);
        for class in finer {
            table.row(&row(&class.class, &class.counts, None));
        }
        out.push_str("<details><summary>by class of request</summary>");
        out.push_str(&table.finish());
        out.push_str("</details>");
    }
    let lede = "Beside each tier its deadline; in time is what succeeded within it, from the \
                intended start.";
    let mut cards = card("wide", "Requests by outcome", lede, &out);
    cards.push_str(&card(
        "wide",
        "Latency from the intended start",
        "Successes, refusals and everything that ended, apart: refusals are quick and would make any target come true.",
        &latencies(record),
    ));
    cards
}

fn latencies(record: &Record) -> String {
    let mut table = Table::new(&["tier", "of", "count", "p50", "p90", "p99", "p99.9", "max"]);
    for tier in &record.tiers {
        for (kind, figures) in
            [("successes", &tier.success), ("refusals", &tier.refusal), ("all", &tier.all)]
        {
            if figures.count > 0 {
                let mut row = vec![tier.tier.clone(), kind.to_owned()];
                row.extend(percentiles(figures));
                table.row(&row);
            }
        }
    }
    table.finish()
}

fn percentiles(figures: &Percentiles) -> [String; 6] {
    let ms = |value| if figures.count > 0 { latency(value) } else { "-".to_owned() };
    [
        count(figures.count),
        ms(figures.p50_ms),
        ms(figures.p90_ms),
        ms(figures.p99_ms),
        ms(figures.p999_ms),
        ms(figures.max_ms),
    ]
}

/// Reasons by tier, beside what the gateway counted itself.
pub(super) fn reasons(record: &Record) -> String {
    let mut reasons: BTreeSet<&str> = BTreeSet::new();
    let mut failures: BTreeSet<&str> = BTreeSet::new();
    for tier in &record.tiers {
        reasons.extend(tier.refused_by_reason.keys().map(String::as_str));
        failures.extend(tier.failed_by_reason.keys().map(String::as_str));
    }
    let ledger = record.gateway.as_ref();
    if let Some(ledger) = ledger {
        reasons.extend(ledger.rejections.keys().map(String::as_str));
    }
    if reasons.is_empty() && failures.is_empty() {
        return String::new();
    }
    let mut head = vec!["reason"];
    head.extend(record.tiers.iter().map(|tier| tier.tier.as_str()));
    head.extend(["all", if ledger.is_some() { "gateway's count" } else { "" }]);
    let mut table = Table::new(&head);
    let mut add = |reason: &str,
                   pick: fn(&crate::record::TierRecord) -> &BTreeMap<String, u64>,
                   theirs: Option<u64>| {
        let of = |tier| pick(tier).get(reason).copied().unwrap_or(0);
        let counts: Vec<u64> = record.tiers.iter().map(of).collect();
        let mut row = vec![reason.to_owned()];
        row.extend(counts.iter().map(|value| count(*value)));
        row.extend([count(counts.iter().sum()), theirs.map(count).unwrap_or_default()]);
        table.row(&row);
    };
    for reason in reasons {
        let theirs = ledger.map(|ledger| ledger.rejections.get(reason).copied().unwrap_or(0));
        add(reason, |tier| &tier.refused_by_reason, theirs);
    }
    for reason in failures {
        add(reason, |tier| &tier.failed_by_reason, None);
    }
    let lede = match ledger {
        Some(_) => {
            "Refusals, then failures. The gateway's own count differs where the client left before \
             the answer came, and where others asked too."
        }
        None => "Refusals, then failures.",
    };
    card("wide", "Reasons", lede, &table.finish())
}

/// Customers by ending.
pub(super) fn journeys(record: &Record) -> String {
    let Some(journeys) = &record.journeys else { return String::new() };
    let mut table = Table::new(&[
        "class of client",
        "started",
        "admitted",
        "of these through",
        "completed",
        "abandoned",
        "gave up",
        "sold out",
        "unfinished",
        "late success",
    ]);
    let row = |name: &str, counts: &JourneyCounts| {
        let of = |part| with_share(part, counts.started);
        vec![
            name.to_owned(),
            count(counts.started),
            of(counts.admitted),
            counts.completion().map_or("-".to_owned(), |it| share(it, 1.0)),
            of(counts.completed),
            of(counts.abandoned),
            of(counts.gave_up),
            of(counts.sold_out),
            of(counts.unfinished),
            of(counts.late_success),
        ]
    };
    for (class, counts) in &journeys.by_class {
        table.row(&row(class, counts));
    }
    table.row(&row("all", &journeys.total));
    let length = &journeys.length;
    let length = if length.count == 0 {
        String::new()
    } else {
        let (p50, p99) = (latency(length.p50_ms), latency(length.p99_ms));
        format!(" From intent to paid: median {p50}, 99th percentile {p99}.")
    };
    let lede = format!(
        "Admitted: the first step succeeded. Through: without those who left of their own accord or \
         found nothing left. \
         Late success: the origin finished the last step after the customer had given up.{length}"
    );
    card("wide", "Customers", &lede, &table.finish())
}

/// Who worked how hard, and whether the generator was up to it.
pub(super) fn health(record: &Record) -> String {
    let mut rows = String::new();
    for part in &record.saturation.parts {
        let bar = |share: f64| {
            let class = if share >= Saturation::FULL { "bar full" } else { "bar" };
            let width = (share.clamp(0.0, 1.0) * 100.0).round();
            format!("<span class=\"{class}\"><i style=\"width:{width}%\"></i></span> ")
        };
        let name = part.part.name();
        let cpu = part.cpu_share();
        rows.push_str(&format!(
            "<tr><th>{name}, CPU</th><td class=\"meter\">{}{}</td><td>{} s of {} s</td></tr>",
            bar(cpu),
            share(cpu, 1.0),
            number(part.cpu_s),
            number(part.available_s)
        ));
        if let Some(capacity) = part.capacity_share {
            rows.push_str(&format!(
                "<tr><th>{name}, capacity</th><td class=\"meter\">{}{}</td><td></td></tr>",
                bar(capacity),
                share(capacity, 1.0)
            ));
        }
    }
    let table = if rows.is_empty() {
        "<p class=\"lede\">Not known.</p>".to_owned()
    } else {
        format!("<div class=\"scroll\"><table><tbody>{rows}</tbody></table></div>")
    };
    let lede = format!("From {} % on a part counts as saturated.", Saturation::FULL * 100.0);
    let mut out = card("half", "What was saturated", &lede, &table);
    let health = &record.generator;
    let of = |part| format!("{} ({})", count(part), share(part as f64, health.arrivals as f64));
    let facts = pairs([
        ("arrivals planned", count(health.arrivals)),
        ("requests offered", count(health.offered)),
        ("turned to late", of(health.late)),
        ("dropped", of(health.dropped)),
        ("sent twice", count(health.retried)),
        (
            "lag",
            format!(
                "p50 {}, p99 {}, max {}",
                latency(health.lag.p50_ms),
                latency(health.lag.p99_ms),
                latency(health.lag.max_ms)
            ),
        ),
        ("CPU time", format!("{} s; threads: {}", number(health.cpu_s), health.threads)),
    ]);
    let lede = "A generator that was late or dropped more than 1 % measured itself.";
    out.push_str(&card("half", "Generator", lede, &facts));
    out
}

/// Where, what, and by whom; and the ratios that survive scaling.
pub(super) fn facts(record: &Record) -> String {
    let meta = &record.meta;
    let machine = &meta.machine;
    let memory = if machine.memory_bytes > 0 { bytes(machine.memory_bytes) } else { String::new() };
    let facts = pairs([
        ("command", meta.command.clone()),
        ("commit", meta.commit.clone().unwrap_or_else(|| "not known".to_owned())),
        ("target", meta.target.clone()),
        ("started", meta.started_at.clone()),
        ("lasted", format!("{} s", number(meta.duration_s))),
        ("seed", meta.seed.to_string()),
        ("scale, overload", format!("{}, {}", number(meta.scale), number(meta.overload))),
        ("processor", machine.cpu.clone()),
        ("cores", machine.cores.to_string()),
        ("memory", memory),
        ("kernel", machine.kernel.clone()),
        ("notes", meta.notes.join("; ")),
    ]);
    let mut out = card("half", "Where and how", "", &facts);
    let lede = "Two runs with the same nine are the same run at another scale.";
    out.push_str(&card("half", "Dimensionless groups", lede, &groups(&record.groups)));
    if let Some(origin) = &record.origin {
        let stats = serde_json::to_value(origin).unwrap_or_default();
        let lede = "What really reached the service behind, by its own count.";
        out.push_str(&card("half", "Origin", lede, &origin_facts(&stats)));
    }
    if let Some(ledger) = &record.gateway {
        let mut facts =
            vec![("arrivals", count(ledger.arrivals)), ("admitted", count(ledger.admitted))];
        facts.extend(ledger.outcomes.iter().map(|(name, value)| (name.as_str(), count(*value))));
        facts.push(("breaker trips", count(ledger.trips)));
        facts.push(("scrapes missed", count(ledger.missed_scrapes)));
        let lede = "Its own counters, end minus start.";
        out.push_str(&card("half", "Gateway", lede, &pairs(facts)));
    }
    out
}

fn groups(groups: &Groups) -> String {
    let rows = [
        ("ρ  overload of journeys", groups.rho),
        ("σ  stock per customer", groups.sigma),
        ("A  peak over baseline", groups.a),
        ("θ  patience over journey", groups.theta),
        ("r  attempts per intent", groups.r),
        ("h  honour Retry-After", groups.h),
        ("β  requests by bots", groups.beta),
        ("κ  requests on new connections", groups.kappa),
    ];
    pairs(rows.map(|(name, value)| (name, value.map_or("-".to_owned(), number))))
}

/// Numbers as they are; one level of names below.
fn origin_facts(stats: &Value) -> String {
    let mut facts: Vec<(String, String)> = Vec::new();
    for (name, value) in stats.as_object().into_iter().flatten() {
        let name = name.replace('_', " ");
        let text = |value: &Value| match value {
            Value::Null => String::new(),
            // Not told a limit.
            Value::Number(it) => it.as_u64().map_or_else(
                || number(it.as_f64().unwrap_or(f64::NAN)),
                |it| if it > u64::MAX / 4 { "none".to_owned() } else { count(it) },
            ),
            Value::String(it) => it.clone(),
            other => other.to_string(),
        };
        match value {
            Value::Object(inner) => facts.extend(
                inner.iter().take(24).map(|(key, value)| (format!("{name} {key}"), text(value))),
            ),
            Value::Array(_) => {}
            other => facts.push((name, text(other))),
        }
    }
    pairs(facts.iter().map(|(name, value)| (name.as_str(), value.clone())))
}
