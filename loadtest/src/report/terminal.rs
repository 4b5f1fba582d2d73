//! The tables in the terminal, and a bar while a run lasts.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, IsTerminal as _, Stdout, Write},
    time::Duration,
};

use crate::{
    load::Counts,
    record::{GatewaySecond, Percentiles, Record, SecondRow},
};

use super::figure;

/// Width of the bar, in characters.
const BAR: usize = 32;
/// Head of [`gateway`].
const GATEWAY_HEAD: &str = "    buffer  breaker\n";

/// Shows a run while it lasts: a line per second, and below them a bar if a person is watching.
#[derive(Debug)]
pub struct Progress<W: Write = Stdout> {
    /// Whether there are columns of what the gateway says of itself.
    has_gateway: bool,
    out: W,
    /// Whether the last line may be written over.
    is_live: bool,
    is_bar_shown: bool,
    rows: u32,
    total: Duration,
}

// === impl Progress ===

impl Progress {
    /// On standard output, for a run that is to last `total`.
    #[must_use]
    pub fn stdout(total: Duration) -> Self {
        let out = io::stdout();
        let is_live = out.is_terminal();
        Self::new(out, is_live, total)
    }
}

impl<W: Write> Progress<W> {
    /// On `out`; with a bar if `is_live`.
    #[must_use]
    pub fn new(out: W, is_live: bool, total: Duration) -> Self {
        Self { has_gateway: false, out, is_live, is_bar_shown: false, rows: 0, total }
    }

    /// With the gateway's buffer and breakers beside the figures, if it is looked at.
    #[must_use]
    pub fn with_gateway(self, has_gateway: bool) -> Self {
        Self { has_gateway, ..self }
    }

    /// Shows one more second. A reader that has gone is no reason to end the run.
    pub fn second(&mut self, row: &SecondRow) {
        let mut text = String::new();
        if self.rows.is_multiple_of(20) {
            text.push_str(&head());
            text.push_str(if self.has_gateway { GATEWAY_HEAD } else { "\n" });
        }
        self.rows += 1;
        text.push_str(&second(row));
        text.push_str(&if self.has_gateway { gateway(row.gateway.as_ref()) } else { "\n".into() });
        self.show(&text, Some(Duration::from_secs(u64::from(row.second) + 1)));
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        self.show("", None);
    }

    fn show(&mut self, text: &str, at: Option<Duration>) {
        let mut all = String::new();
        if self.is_bar_shown {
            all.push_str("\r\x1b[K");
        }
        all.push_str(text);
        self.is_bar_shown = self.is_live && at.is_some();
        if let Some(at) = at.filter(|_| self.is_live) {
            all.push_str(&bar(at, self.total));
        }
        drop(self.out.write_all(all.as_bytes()).and_then(|()| self.out.flush()));
    }
}

/// `━━━━━━━━╺───── 40 %  12 s of 30 s`
fn bar(at: Duration, total: Duration) -> String {
    let share = (at.as_secs_f64() / total.as_secs_f64().max(1e-9)).min(1.0);
    let full = (share * BAR as f64) as usize;
    let bar = format!("{}{}", "━".repeat(full), "─".repeat(BAR - full));
    let phase = if at > total { "waiting for the last answers" } else { "" };
    format!(
        "{bar} {:>3.0} %  {} s of {:.0} s  {phase}",
        share * 100.0,
        at.as_secs().min(total.as_secs_f64().ceil() as u64),
        total.as_secs_f64()
    )
}

fn head() -> String {
    format!(
        "{:>4} {:<10} {:>8} {:>8} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "s",
        "phase",
        "offered",
        "success",
        "refused",
        "failed",
        "success p50",
        "ok p99",
        "refusal p50",
        "no p99",
        "checkouts"
    )
}

/// One line, all tiers together; latencies are those of the first tier that has some.
fn second(row: &SecondRow) -> String {
    let counts = row.tiers.iter().fold(Counts::default(), |mut sum, tier| {
        sum.add(&tier.counts);
        sum
    });
    let first = |pick: fn(&crate::record::TierSecond) -> Percentiles| {
        row.tiers.iter().map(pick).find(|figures| figures.count > 0).unwrap_or_default()
    };
    let (success, refusal) = (first(|tier| tier.success), first(|tier| tier.refusal));
    format!(
        "{:>4} {:<10} {:>8} {:>8} {:>8} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}",
        row.second,
        clip(&row.phase, 10),
        counts.offered,
        counts.success,
        counts.refused,
        counts.failed + counts.timeout,
        millis(&success, success.p50_ms),
        millis(&success, success.p99_ms),
        millis(&refusal, refusal.p50_ms),
        millis(&refusal, refusal.p99_ms),
        row.completed,
    )
}

/// How full the buffer was, and whose breaker was open; the rest of a line.
fn gateway(seen: Option<&GatewaySecond>) -> String {
    let Some(seen) = seen else { return format!(" {:>9}  -\n", "-") };
    let queued: u64 = seen.queue_depth.values().sum();
    let buffer = match seen.buffer {
        0 => queued.to_string(),
        places => format!("{queued}/{places}"),
    };
    let open = seen.breaker_open.iter().filter(|(_, open)| **open).map(|(tier, _)| tier.as_str());
    let circuit = (seen.circuits_open > 0).then_some("circuit");
    let open: Vec<_> = open.chain(circuit).collect();
    let breaker = if open.is_empty() { "closed".to_owned() } else { open.join(" ") };
    format!(" {buffer:>9}  {breaker}\n")
}

/// The whole run, as a person reads it when it is over.
#[must_use]
pub fn table(record: &Record) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_table(&mut out, record).unwrap_or_default();
    out
}

fn write_table(out: &mut String, record: &Record) -> std::fmt::Result {
    let meta = &record.meta;
    writeln!(
        out,
        "\n{} against {}: {} s at scale {}, overload {}, seed {}",
        meta.scenario,
        meta.target,
        figure::number(meta.duration_s),
        figure::number(meta.scale),
        figure::number(meta.overload),
        meta.seed
    )?;
    writeln!(out, "\nlatency from the intended start")?;
    writeln!(
        out,
        "  {:<16} {:<8} {:>10} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "", "count", "share", "p50", "p90", "p99", "p99.9", "max"
    )?;
    for tier in record.tiers.iter().filter(|tier| tier.counts.offered > 0) {
        let counts = &tier.counts;
        figures(out, &tier.tier, "success", counts.success, counts.offered, &tier.success)?;
        figures(out, "", "refused", counts.refused, counts.offered, &tier.refusal)?;
        for (what, count) in [
            ("in time", tier.in_time),
            ("failed", counts.failed),
            ("timeout", counts.timeout),
            ("dropped", counts.dropped),
        ] {
            if count > 0 && !(what == "in time" && tier.deadline_ms.is_none()) {
                figures(out, "", what, count, counts.offered, &Percentiles::default())?;
            }
        }
        for (what, reasons) in
            [("refused", &tier.refused_by_reason), ("failed", &tier.failed_by_reason)]
        {
            if !reasons.is_empty() {
                writeln!(out, "  {:<16} {what} by reason: {}", "", by_reason(reasons))?;
            }
        }
    }
    if let Some(journeys) = &record.journeys {
        let total = &journeys.total;
        writeln!(
            out,
            "\njourneys: {} started = {} completed + {} abandoned + {} gave up + {} sold out \
             + {} unfinished; {} late",
            total.started,
            total.completed,
            total.abandoned,
            total.gave_up,
            total.sold_out,
            total.unfinished,
            total.late_success
        )?;
        let optimum = journeys.optimum_per_s.map_or(String::new(), |optimum| {
            let share = figure::share(journeys.completed_per_s, optimum);
            format!(", {share} of the optimum {}/s", figure::number(optimum))
        });
        let per_s = figure::number(journeys.completed_per_s);
        writeln!(out, "completed checkouts: {per_s}/s{optimum}")?;
        if let Some(completion) = total.completion() {
            let (admitted, through) = (total.admitted, figure::share(completion, 1.0));
            writeln!(out, "admitted: {admitted}, of whom {through} got through")?;
        }
        if total.late_admitted > 0 {
            let (late, completed) = (total.late_admitted, total.late_completed);
            writeln!(
                out,
                "admitted after the last had come: {late}, of whom {completed} had the time"
            )?;
        }
    }
    let health = &record.generator;
    writeln!(
        out,
        "\ngenerator: {} late, {} dropped of {}; lag p99 {}, max {}; {} s of CPU",
        health.late,
        health.dropped,
        health.arrivals,
        figure::latency(health.lag.p99_ms),
        figure::latency(health.lag.max_ms),
        figure::number(health.cpu_s)
    )?;
    writeln!(out, "saturated: {}", saturated(record))?;
    for note in &meta.notes {
        writeln!(out, "note: {note}")?;
    }
    for mistake in record.mistakes() {
        writeln!(out, "the books do not close: {mistake}")?;
    }
    writeln!(out)?;
    for verdict in &record.verdicts {
        let mark = if verdict.pass { "pass" } else { "FAIL" };
        writeln!(out, "  {mark}  {}: {}", verdict.name, verdict.detail)?;
    }
    writeln!(out, "verdict: {}", if record.passed() { "pass" } else { "FAIL" })
}

/// Which of the three was at its limit, with its share.
pub(super) fn saturated(record: &Record) -> String {
    let parts = &record.saturation.parts;
    if parts.is_empty() {
        return "not known".to_owned();
    }
    let named: Vec<_> = record.saturation.saturated().map(|part| part.name()).collect();
    let shares = parts.iter().map(|part| {
        let capacity = part.capacity_share.map_or(String::new(), |share| {
            format!(", {} of its capacity", figure::share(share, 1.0))
        });
        let cpu = figure::share(part.cpu_share(), 1.0);
        format!("{} {cpu} of its CPU time{capacity}", part.part.name())
    });
    let shares = shares.collect::<Vec<_>>().join("; ");
    let named = if named.is_empty() { "nothing".to_owned() } else { named.join(" and ") };
    format!("{named} ({shares})")
}

fn figures(
    out: &mut String,
    tier: &str,
    what: &str,
    count: u64,
    offered: u64,
    latency: &Percentiles,
) -> std::fmt::Result {
    let [p50, p90, p99, p999, max] =
        [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms]
            .map(|ms| millis(latency, ms));
    writeln!(
        out,
        "  {:<16} {what:<8} {:>10} {:>7} {p50:>9} {p90:>9} {p99:>9} {p999:>9} {max:>9}",
        clip(tier, 16),
        figure::count(count),
        figure::share(count as f64, offered as f64),
    )
}

fn millis(latency: &Percentiles, ms: f64) -> String {
    if latency.count == 0 { "-".to_owned() } else { figure::latency(ms) }
}

/// `watermark 12, rate 3`, the most frequent first.
fn by_reason(reasons: &BTreeMap<String, u64>) -> String {
    let mut sorted: Vec<_> = reasons.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let words = sorted.iter().map(|(reason, count)| format!("{reason} {}", figure::count(**count)));
    words.collect::<Vec<_>>().join(", ")
}

fn clip(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    fn shown(is_live: bool) -> String {
        written(Progress::new(Vec::new(), is_live, Duration::from_secs(30)))
    }

    fn written(mut progress: Progress<Vec<u8>>) -> String {
        let record = example::record();
        record.seconds.iter().for_each(|row| progress.second(row));
        progress.end();
        String::from_utf8(progress.out).unwrap()
    }

    #[test]
    fn a_bar_is_shown_to_people_and_not_to_files() {
        assert!(shown(true).contains("s of 30 s"));
        assert!(shown(true).ends_with("\r\x1b[K"), "the bar is taken away");
        assert!(!shown(false).contains('━') && !shown(false).contains('\x1b'));
    }

    #[test]
    fn buffer_and_breakers_are_shown_while_the_run_lasts() {
        let progress = || Progress::new(Vec::new(), false, Duration::from_secs(30));
        let (with, without) = (written(progress().with_gateway(true)), written(progress()));
        assert!(with.contains("buffer  breaker") && !without.contains("breaker"));
        assert!(with.lines().any(|line| line.ends_with("  closed")), "{with}");
        assert!(with.lines().any(|line| line.ends_with("l3")), "{with}");
        assert_eq!(with.lines().count(), without.lines().count());
        assert!(gateway(None).ends_with(" -\n"), "a look that was missed");
    }

    #[test]
    fn the_bar_stays_within_its_width() {
        let total = Duration::from_secs(10);
        for at in [0, 5, 10, 999] {
            let drawn = bar(Duration::from_secs(at), total);
            let cells = drawn.chars().filter(|char| matches!(char, '━' | '─')).count();
            assert_eq!(cells, BAR, "{drawn}");
        }
        assert!(bar(total, Duration::ZERO).contains("100 %"));
    }

    #[test]
    fn the_table_says_what_the_record_says() {
        let mut record = example::record();
        let text = table(&record);
        for tier in &record.tiers {
            assert!(text.contains(&figure::count(tier.counts.success)), "{text}");
            assert!(text.contains(&figure::count(tier.counts.refused)), "{text}");
        }
        assert!(text.ends_with("verdict: pass\n"), "{text}");
        record.verdicts[0].pass = false;
        assert!(table(&record).ends_with("verdict: FAIL\n"));
        record.tiers[0].counts.success += 1;
        assert!(table(&record).contains("the books do not close"));
    }
}
