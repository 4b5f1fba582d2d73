//! Whether what was promised held, and whether the figures mean anything.

use crate::{
    record::{Record, Verdict},
    scenario::{Bound, Need, missing},
};

use super::{Options, findings::Findings, measure};

/// Largest share of arrivals that may be late or dropped.
const MAX_FAULTS: f64 = 0.01;

/// Adds the verdicts of a run to its record: the generator's, the books', the scenario's.
pub(super) fn judge(record: &mut Record, findings: &Findings<'_>, options: &Options) {
    let mut verdicts = vec![generator(findings), books(record), reached(record)];
    if record.origin.as_ref().is_some_and(|origin| origin.shop.is_some()) {
        verdicts.push(sales(record, findings));
    }
    verdicts.extend(ledger(record, findings));
    for expect in &findings.scenario.expects {
        if let Some(need) = missing(&expect.needs, &options.has) {
            let (name, reason) = (expect.measure.name(), Need::reason(need));
            record.meta.notes.push(format!("{name} is not judged: {reason}"));
            continue;
        }
        let found = measure::value(expect, record, findings);
        let factor = if expect.measure.scales() { options.scale } else { 1.0 };
        let scaled = |bound: Option<f64>| bound.map(|bound| bound * factor);
        let Bound { at_least, at_most } = expect.bound;
        let bound = Bound { at_least: scaled(at_least), at_most: scaled(at_most) };
        let name = match expect.measure.is_by_tier() {
            true => format!("{} {}", record.tiers[expect.tier].tier, expect.measure.name()),
            false => expect.measure.name().to_owned(),
        };
        let detail = match found.is_nan() {
            true => format!("there was nothing to measure; expected {bound}"),
            false => format!("{found:.3}; expected {bound}"),
        };
        verdicts.push(Verdict { name, pass: bound.holds(found), detail });
    }
    record.verdicts = verdicts;
}

/// A generator that fell behind has measured itself.
fn generator(findings: &Findings<'_>) -> Verdict {
    let (arrivals, (late, dropped)) = (findings.arrivals(), findings.faults());
    let broken: usize = findings.reports().map(|report| report.broken_threads).sum();
    let pass = broken == 0 && (late + dropped) as f64 <= arrivals as f64 * MAX_FAULTS;
    let detail = match (pass, broken) {
        (true, _) => format!("{late} late and {dropped} dropped of {arrivals} arrivals"),
        (false, 0) => format!(
            "{late} late and {dropped} dropped of {arrivals} arrivals (limit 1 %): the figures \
             mean nothing; use a smaller --scale, or repeat it when nobody else is busy on this machine"
        ),
        (false, _) => format!("{broken} generator threads ended early; see their message"),
    };
    Verdict { name: "generator kept up".to_owned(), pass, detail }
}

fn books(record: &Record) -> Verdict {
    let mistakes = record.mistakes();
    let offered = record.counts().offered;
    let detail = match mistakes.first() {
        None => format!("every one of {offered} requests has one ending"),
        Some(_) => mistakes.join("; "),
    };
    Verdict { name: "books close".to_owned(), pass: mistakes.is_empty(), detail }
}

/// Without it the scenario judged something else.
fn reached(record: &Record) -> Verdict {
    let requests = record.origin.as_ref().map_or(0, |origin| origin.requests);
    let detail = match requests {
        0 => "nothing reached the origin; does the target forward to it?".to_owned(),
        requests => format!("{requests} requests reached the origin"),
    };
    Verdict { name: "origin reached".to_owned(), pass: requests > 0, detail }
}

/// What customers say they bought is what the origin sold, and not more than there was.
fn sales(record: &Record, findings: &Findings<'_>) -> Verdict {
    let shop = record.origin.as_ref().and_then(|origin| origin.shop.clone()).unwrap_or_default();
    let traffic = findings.journeys.as_ref().map(|journeys| &journeys.traffic);
    let bought = traffic.map_or(0, |t| t.total().completed + t.bots.completed);
    let units = findings.scenario.origin.units();
    let left: u64 = shop.stock.values().sum();
    Verdict {
        name: "stock adds up".to_owned(),
        pass: shop.oversold == 0 && shop.ordered + left == units && shop.paid >= bought,
        detail: format!(
            "{units} units: {} ordered, {left} left, {} oversold; {} paid, of which customers \
             know of {bought}",
            shop.ordered, shop.oversold, shop.paid
        ),
    }
}

/// What the gateway counted lies between what was answered and what was sent.
fn ledger(record: &Record, findings: &Findings<'_>) -> Option<Verdict> {
    let ledger = record.gateway.as_ref()?;
    let counts = record.counts();
    let no_connection: u64 =
        record.tiers.iter().filter_map(|tier| tier.failed_by_reason.get("no_connection")).sum();
    let nuisances = findings.journeys.as_ref().map_or(0, |journeys| {
        let (read, cut_off) = journeys.traffic.slow_reads;
        let nuisances = &findings.scenario.nuisances;
        let busy = (nuisances.slow_readers + nuisances.unfinished_heads) as u64;
        read + cut_off + journeys.traffic.heads_closed + busy
    });
    let least = counts.success + counts.refused;
    let sent = counts.offered - counts.dropped.min(counts.offered) - no_connection;
    let most = sent + record.generator.retried + nuisances;
    let refusals: u64 = ledger.rejections.values().sum();
    // Refusals that nobody read are among the timeouts and failures.
    let unread = counts.timeout + counts.failed + nuisances;
    let named = named_refusals(record);
    let arrivals_fit = (least..=most).contains(&ledger.arrivals);
    let refusals_fit = (named..=named + unread).contains(&refusals);
    Some(Verdict {
        name: "gateway agrees".to_owned(),
        pass: arrivals_fit && refusals_fit,
        detail: format!(
            "it counted {} arrivals, {least} to {most} expected; {refusals} refusals, {named} to \
             {} expected",
            ledger.arrivals,
            named + unread
        ),
    })
}

/// Refusals that carried the gateway's reason: an origin's bare 503 is none of its own.
fn named_refusals(record: &Record) -> u64 {
    let reasons = record.tiers.iter().flat_map(|tier| &tier.refused_by_reason);
    reasons.filter(|(reason, _)| !reason.starts_with("status_")).map(|(_, count)| count).sum()
}
