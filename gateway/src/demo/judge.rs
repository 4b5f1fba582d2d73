//! What has to hold, and whether it does.

use floodgate_loadtest::load::{ClassReport, Report, Verdict};
use floodgate_loadtest::origin::OriginStats;

use super::figures::count;
use super::gate_watch::Seen;
use crate::metrics::{Account, Books};
use crate::reason::Reason;

/// All that is known when the run is over.
#[derive(Debug)]
pub(super) struct Evidence {
    /// What the gateway counted.
    pub(super) books: Books,
    /// What the gate was seen to do.
    pub(super) gate: Seen,
    /// What the origin counted.
    pub(super) origin: OriginStats,
    /// What the customers counted.
    pub(super) report: Report,
}

/// Whether one thing holds that has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) holds: bool,
    /// With the figures.
    pub(super) text: String,
}

/// Judges the evidence; `tiers` are the names of the tiers.
pub(super) fn judge(evidence: &Evidence, tiers: &[String]) -> Vec<Finding> {
    vec![
        ledger(&evidence.books),
        agreement(&evidence.books, &evidence.report),
        origin(&evidence.origin),
        priority(&evidence.gate, tiers),
    ]
}

/// The gateway's books close.
fn ledger(books: &Books) -> Finding {
    let total = books.total();
    let Account { arrivals, admitted, completed, failed, abandoned, .. } = total;
    let rejected = total.all_rejected();
    let [arrivals, admitted, completed, failed, abandoned, rejected] =
        [arrivals, admitted, completed, failed, abandoned, rejected].map(count);
    let holds = total.closes() && books.tiers.iter().all(Account::closes);
    let (verb, sign) = if holds { ("closes", "=") } else { ("does not close", "against") };
    let text = format!(
        "the ledger {verb}: {arrivals} arrivals {sign} {admitted} admitted + {rejected} rejected + \
         {abandoned} abandoned; {admitted} admitted {sign} {completed} completed + {failed} failed"
    );
    Finding { holds, text }
}

/// The customers counted what the gateway counted, tier by tier and reason by reason.
fn agreement(books: &Books, report: &Report) -> Finding {
    let mut differences: Vec<_> = (report.classes.iter().zip(&books.tiers))
        .flat_map(|(class, account)| differences(class, account, report.retried))
        .collect();
    if books.unmatched.arrivals > 0 {
        differences.push(format!("{} arrivals on no route", count(books.unmatched.arrivals)));
    }
    let text = match differences.as_slice() {
        [] => "the customers counted the same, tier by tier and reason by reason".to_owned(),
        [..] => format!("the customers counted otherwise: {}", differences.join("; ")),
    };
    Finding { holds: differences.is_empty(), text }
}

/// Where one tier's customers and the gateway differ. A request that was sent again on another connection, because the
/// first had just been closed, may have arrived twice.
fn differences(class: &ClassReport, account: &Account, retried: u64) -> Vec<String> {
    let counts = &class.counts;
    let refused = |reason: Reason| class.refused_by_reason.get(reason.as_str()).copied();
    let sent = counts.offered - counts.dropped;
    let mut pairs = vec![
        ("arrivals", account.arrivals, sent),
        ("completed", account.completed, counts.success),
        ("rejected", account.all_rejected(), counts.refused),
        ("failed or abandoned", account.failed + account.abandoned, counts.failed + counts.timeout),
    ];
    pairs.extend(Reason::ALL.iter().map(|reason| {
        (reason.as_str(), account.rejected_for(*reason), refused(*reason).unwrap_or(0))
    }));
    pairs
        .into_iter()
        .filter(|(_, gateway, customers)| !(*customers..=customers + retried).contains(gateway))
        .map(|(what, gateway, customers)| {
            let (gateway, customers) = (count(gateway), count(customers));
            format!("{} {what}: gateway {gateway}, customers {customers}", class.class)
        })
        .collect()
}

/// The origin never saw more than it can take.
fn origin(stats: &OriginStats) -> Finding {
    let OriginStats { peak_concurrency: peak, concurrency_limit: limit, over_limit, .. } = *stats;
    let holds = peak <= limit && over_limit == 0;
    let text = match holds {
        true => format!("the origin saw at most {peak} of {limit} requests at once"),
        false => format!(
            "the origin saw {peak} requests at once, its limit is {limit}: {} came above it",
            count(over_limit)
        ),
    };
    Finding { holds, text }
}

/// No higher tier was refused for capacity while a lower one was let in.
fn priority(gate: &Seen, tiers: &[String]) -> Finding {
    let looks = count(gate.looks);
    let text = match gate.first {
        Some((at, inversion)) => format!(
            "{} was refused for capacity while {} was let in: {} of {looks} looks at the gate, first after {:.1} s",
            tiers[inversion.refused],
            tiers[inversion.let_in],
            count(gate.inversions),
            at.as_secs_f64()
        ),
        None if gate.looks == 0 => {
            "nobody looked at the gate: its watch has broken down".to_owned()
        }
        None => format!(
            "no tier was refused for capacity while a lower one was let in: {looks} looks at the gate, \
             {} while it refused",
            count(gate.refusing)
        ),
    };
    Finding { holds: gate.first.is_none() && gate.looks > 0, text }
}

/// How well the generator kept to its plan. If it did not, latencies tell of the machine rather than
/// of the gateway; what is judged does not depend on them.
pub(super) fn generator(report: &Report) -> String {
    match report.verdict() {
        Verdict::Fail(why) => format!(
            "fell behind: {why}; the latencies above are this machine's rather than the gateway's"
        ),
        Verdict::Pass => {
            format!(
                "kept up: {} of {} requests started late",
                count(report.late),
                count(report.arrivals)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use floodgate_loadtest::load::{Counts, Latencies};

    use super::super::gate_watch::Inversion;
    use super::*;

    /// Two tiers; the second had 3 of its 10 refused.
    fn evidence() -> Evidence {
        let mut refused = Account { arrivals: 10, admitted: 7, completed: 7, ..Account::default() };
        refused.rejected[Reason::Watermark.index()] = 3;
        let all = Account { arrivals: 5, admitted: 5, completed: 5, ..Account::default() };
        let class = |name: &str, success, refused| ClassReport {
            class: name.to_owned(),
            counts: Counts { offered: success + refused, success, refused, ..Counts::default() },
            refused_by_reason: [("watermark".to_owned(), refused)].into(),
            ..ClassReport::default()
        };
        let report = Report {
            arrivals: 15,
            classes: vec![class("l1", 5, 0), class("l2", 7, 3)],
            late: 0,
            lag: Latencies::default(),
            phases: Vec::new(),
            retried: 0,
            seconds: Vec::new(),
            timeline: Vec::new(),
            broken_threads: 0,
        };
        let origin =
            OriginStats { peak_concurrency: 64, concurrency_limit: 64, ..OriginStats::default() };
        Evidence {
            books: Books { tiers: vec![all, refused], unmatched: Account::default() },
            gate: Seen { looks: 9, ..Seen::default() },
            origin,
            report,
        }
    }

    /// Which findings do not hold.
    fn failures(evidence: &Evidence) -> Vec<String> {
        let findings = judge(evidence, &["l1".to_owned(), "l2".to_owned()]);
        findings.into_iter().filter(|one| !one.holds).map(|one| one.text).collect()
    }

    #[test]
    fn a_run_in_which_everything_held_has_no_failure() {
        assert_eq!(failures(&evidence()), Vec::<String>::new());
    }

    #[test]
    fn each_breach_is_found_and_told_with_its_figures() {
        type Breach = fn(&mut Evidence);
        let breaches: [(Breach, &[&str]); 6] = [
            (|it| it.books.tiers[0].failed = 1, &["does not close", "l1 failed or abandoned"]),
            (
                |it| it.books.tiers[1].rejected = [0; Reason::ALL.len()],
                &["does not", "l2 rejected"],
            ),
            (|it| it.report.classes[1].counts.success = 6, &["gateway 7, customers 6"]),
            (|it| it.origin.over_limit = 2, &["2 came above it"]),
            (|it| it.gate.looks = 0, &["nobody looked"]),
            (
                |it| {
                    let case = Inversion { refused: 0, let_in: 1 };
                    (it.gate.inversions, it.gate.first) = (4, Some((Duration::ZERO, case)));
                },
                &["l1 was refused for capacity while l2 was let in: 4 of 9"],
            ),
        ];
        for (at, (breach, told)) in breaches.iter().enumerate() {
            let mut evidence = evidence();
            breach(&mut evidence);
            let failures = failures(&evidence);
            assert_eq!(failures.len(), told.len(), "{at}: {failures:?}");
            for (failure, told) in failures.iter().zip(*told) {
                assert!(failure.contains(told), "{at}: {failure}");
            }
        }
    }

    #[test]
    fn a_request_sent_again_may_have_arrived_twice() {
        let mut evidence = evidence();
        evidence.books.tiers[0].arrivals += 1;
        evidence.books.tiers[0].abandoned += 1;
        assert_eq!(failures(&evidence).len(), 1);
        evidence.report.retried = 1;
        assert_eq!(failures(&evidence), Vec::<String>::new());
    }
}
