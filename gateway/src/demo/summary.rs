//! What is shown at the end.

use std::io::{self, Write};
use std::time::Duration;

use floodgate_loadtest::load::{Latencies, Report};

use super::figures::{count, millis, wrap};
use super::judge::{self, Evidence, Finding};
use super::paint::Paint;
use super::scenario::{STORM, Scenario};
use super::stage::Stage;
use crate::clock;
use crate::metrics::Account;
use crate::reason::Reason;

/// Share of successes from which on a tier counts as recovered.
const RECOVERED: f64 = 0.99;

/// Writes the ledger, the latencies, what became of the origin and the tiers, and the verdict.
pub(super) fn write(
    evidence: &Evidence,
    findings: &[Finding],
    scenario: &Scenario,
    stage: &Stage,
    paint: Paint,
    out: &mut impl Write,
) -> io::Result<()> {
    let tiers = &stage.tiers;
    writeln!(out, "\n{}\n", paint.bold("Summary"))?;
    ledger(evidence, tiers, paint, out)?;
    writeln!(out)?;
    latencies(&evidence.report, paint, out)?;
    writeln!(out)?;
    let origin = &evidence.origin;
    let mut line = |what: &str, text: String| writeln!(out, "  {what:<10} {text}");
    line(
        "origin",
        format!(
            "{} requests, {} answered, {} left alone; at most {} at once of {}",
            count(origin.requests),
            count(origin.answered),
            count(origin.client_left),
            origin.peak_concurrency,
            origin.concurrency_limit
        ),
    )?;
    line("goodput", goodput(&evidence.report, scenario, tiers))?;
    line("recovery", recovery(&evidence.report, scenario))?;
    line("breakers", trips(stage))?;
    line("generator", wrap(&judge::generator(&evidence.report), 13))?;
    writeln!(out)?;
    for Finding { holds, text } in findings {
        let mark = if *holds { paint.green("holds") } else { paint.red("FAILS") };
        writeln!(out, "  {mark}  {}", wrap(text, 9))?;
    }
    writeln!(out)?;
    let passed = findings.iter().all(|finding| finding.holds);
    writeln!(out, "{}", if passed { paint.green("PASS") } else { paint.red("FAIL") })?;
    out.flush()
}

/// The gateway's books: a column per tier, only the lines that have something to say.
fn ledger(
    evidence: &Evidence,
    tiers: &[String],
    paint: Paint,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut accounts = evidence.books.tiers.clone();
    accounts.push(evidence.books.total());
    let names: String = tiers.iter().map(|tier| format!("{tier:>11}")).collect();
    writeln!(out, "{}", paint.dim(format_args!("  {:<26}{names}{:>11}", "requests", "all")))?;
    let mut row = |name: &str, of: &dyn Fn(&Account) -> u64| {
        let cells: String = accounts.iter().map(|one| format!("{:>11}", count(of(one)))).collect();
        writeln!(out, "  {name:<26}{cells}")
    };
    row("arrivals", &|one| one.arrivals)?;
    row("= admitted", &|one| one.admitted)?;
    for reason in Reason::ALL {
        if evidence.books.total().rejected_for(*reason) > 0 {
            row(&format!("+ rejected {}", reason.as_str()), &|one| one.rejected_for(*reason))?;
        }
    }
    row("+ abandoned", &|one| one.abandoned)?;
    row("admitted", &|one| one.admitted)?;
    row("= completed", &|one| one.completed)?;
    row("+ failed", &|one| one.failed)
}

/// Of the whole run, as the customers saw it.
fn latencies(report: &Report, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    let head = format!(
        "  {:<12}{:>27}{:>27}",
        "latency, ms", "successes p50   p99 p99.9", "refusals p50   p99 p99.9"
    );
    writeln!(out, "{}", paint.dim(head))?;
    for class in &report.classes {
        let [success, refusal] = [&class.success_latency, &class.refusal_latency].map(latency);
        writeln!(out, "  {:<12}{success:>27}{refusal:>27}", class.class)?;
    }
    Ok(())
}

fn latency(latencies: &Latencies) -> String {
    if latencies.count() == 0 {
        return format!("{:>6}{:>6}{:>6}", "-", "-", "-");
    }
    let figures = latencies.summary();
    let [p50, p99, p999] = [figures.p50, figures.p99, figures.p999].map(millis);
    format!("{p50:>6}{p99:>6}{p999:>6}")
}

/// What the first tier got out of the origin in the storm, its first second left out: in it the origin still serves
/// whom it had let in before.
fn goodput(report: &Report, scenario: &Scenario, tiers: &[String]) -> String {
    let storm = &report.phases[STORM];
    let whole = (storm.begins.as_secs() + 1)..storm.ends.as_secs();
    let seconds = report.seconds.iter().filter(|one| whole.contains(&u64::from(one.index)));
    let completed: u64 = seconds.map(|one| one.classes[0].counts.success).sum();
    let lasting = whole.end.saturating_sub(whole.start);
    if lasting == 0 {
        return "the storm was too short to tell".to_owned();
    }
    let (goodput, capacity) = (completed as f64 / lasting as f64, scenario.capacity());
    format!(
        "{} {goodput:.0}/s in the storm, {:.1} % of the {capacity:.0}/s that the origin can do",
        tiers[0],
        goodput / capacity * 100.0
    )
}

/// How long after the storm each tier's requests succeed again, to the end of the run.
fn recovery(report: &Report, scenario: &Scenario) -> String {
    let since = report.phases[STORM].ends;
    let lasting: Duration = scenario.phases().iter().skip(STORM + 1).map(|phase| phase.1).sum();
    let tiers = report.classes.iter().enumerate().map(|(index, class)| {
        match report.recovery(index, since, RECOVERED, lasting) {
            Some(after) => format!("{} {:.1} s", class.class, after.as_secs_f64()),
            None => format!("{} not until the end", class.class),
        }
    });
    let share = RECOVERED * 100.0;
    format!("{} after the storm (>= {share:.0} % succeed from then on)", join(tiers))
}

/// How often each tier's breaker has tripped.
fn trips(stage: &Stage) -> String {
    let snapshot = stage.gateway.shared().snapshot.load();
    let Some(upstream) = snapshot.upstreams.first() else { return String::new() };
    let status = upstream.limiter.status(clock::now());
    let tiers = status.tiers.iter().zip(&stage.tiers).map(|(tier, name)| {
        let state = if tier.open { " (and open now)" } else { "" };
        format!("{name} tripped {}x{state}", tier.trips)
    });
    join(tiers)
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
