//! The tables in the terminal.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use floodgate_loadtest::load::{Latencies, Latency, Report, Second};

/// Head of the lines of [`second`]. Latencies are in milliseconds, from the intended start.
pub(crate) const SECOND_HEAD: &str = "   s  class               offered  success  refused   failed  \
     timeout  dropped | success p50      p99    p99.9 | refusal p50      p99    p99.9";

/// One line per class.
pub(crate) fn second(second: &Second) -> String {
    let mut out = String::new();
    for class in &second.classes {
        let counts = class.counts;
        row(
            &mut out,
            format_args!(
                "{:>4}  {:<18} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} |{} |{}{}",
                second.index,
                clip(&class.class),
                counts.offered,
                counts.success,
                counts.refused,
                counts.failed,
                counts.timeout,
                counts.dropped,
                latency(&class.success_latency),
                latency(&class.refusal_latency),
                reasons(&class.refused_by_reason, &class.failed_by_reason),
            ),
        );
    }
    out
}

/// The whole run.
pub(crate) fn report(report: &Report, target: SocketAddr) -> String {
    let mut out = String::new();
    let counts = report.counts();
    row(
        &mut out,
        format_args!(
            "target {target}: {} arrivals = {} success + {} refused + {} failed + {} timeout \
             + {} dropped",
            report.arrivals,
            counts.success,
            counts.refused,
            counts.failed,
            counts.timeout,
            counts.dropped
        ),
    );
    row(&mut out, format_args!("latency in ms, from the intended start:"));
    row(
        &mut out,
        format_args!(
            "{:<29} {:>10} {:>8} {:>8} {:>8} {:>8}",
            "", "count", "p50", "p99", "p99.9", "max"
        ),
    );
    for class in &report.classes {
        for (kind, latencies) in [
            ("success", &class.success_latency),
            ("refused", &class.refusal_latency),
            ("failed", &class.failure_latency),
        ] {
            if latencies.count() > 0 {
                latency_row(&mut out, &class.class, kind, latencies);
            }
        }
        let reasons = reasons(&class.refused_by_reason, &class.failed_by_reason);
        if !reasons.is_empty() {
            row(&mut out, format_args!("  {}{reasons}", clip(&class.class)));
        }
    }
    latency_row(&mut out, "generator", "lag", &report.lag);
    row(
        &mut out,
        format_args!(
            "late {} dropped {} retried {}; verdict: {}",
            report.late,
            counts.dropped,
            report.retried,
            report.verdict()
        ),
    );
    out
}

fn latency_row(out: &mut String, class: &str, kind: &str, latencies: &Latencies) {
    let Latency { count, p50, p99, p999, max, .. } = latencies.summary();
    let [p50, p99, p999, max] = [p50, p99, p999, max].map(millis);
    row(
        out,
        format_args!(
            "  {:<18} {kind:<8} {count:>10} {p50:>8.2} {p99:>8.2} {p999:>8.2} {max:>8.2}",
            clip(class)
        ),
    );
}

fn row(out: &mut String, line: std::fmt::Arguments<'_>) {
    out.push_str(&line.to_string());
    out.push('\n');
}

fn latency(latency: &Latency) -> String {
    if latency.count == 0 {
        return format!(" {:>11} {:>8} {:>8}", "-", "-", "-");
    }
    let [p50, p99, p999] = [latency.p50, latency.p99, latency.p999].map(millis);
    format!(" {p50:>11.2} {p99:>8.2} {p999:>8.2}")
}

fn reasons(refused: &BTreeMap<String, u64>, failed: &BTreeMap<String, u64>) -> String {
    refused.iter().chain(failed).map(|(reason, count)| format!("  {reason} {count}")).collect()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn clip(name: &str) -> String {
    name.chars().take(18).collect()
}
