//! The gateway as an HTTP/1 intermediary, held to RFC 9110 and RFC 9112 by raw bytes.
//!
//! A *case* is what a client sends, what the origin behind the gateway answers, and what must come
//! of it on both sides. Every case is judged twice: by its own expectation, and by what is unsafe
//! whatever is expected ([`safety`]): the origin must never get an ambiguous, smuggled or
//! hop-by-hop byte, and the client never a byte that belongs to another answer.
//!
//! `PROTOCOL_CASE=substring cargo test --test protocol -- --nocapture` runs the cases whose
//! `group/id` holds the substring.

mod case;
mod client;
mod expect;
mod gateway;
mod groups;
mod origin;
mod run;
mod safety;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use run::{Outcome, Verdict};

/// Cases that may fail, with the reason. A case in this list that passes is an error too.
const KNOWN: &[(&str, &str)] = &[(
    "interim/103-forwarded",
    "hyper's HTTP/1 server can write no interim response but its own 100",
)];

#[test]
fn an_intermediary_keeps_to_the_protocol() {
    let filter = std::env::var("PROTOCOL_CASE").unwrap_or_default();
    let cases: Vec<_> = groups::all()
        .into_iter()
        .filter(|(group, case)| format!("{group}/{}", case.id).contains(&filter))
        .collect();
    assert!(!cases.is_empty(), "no case matches {filter:?}");
    let mut ids = BTreeSet::new();
    for (group, case) in &cases {
        assert!(ids.insert((*group, &case.id)), "two cases are named {group}/{}", case.id);
    }

    let mut outcomes = run::run(cases);
    outcomes.sort_by(|a, b| (a.group, &a.id).cmp(&(b.group, &b.id)));
    println!("{}", table(&outcomes));
    let wrong: Vec<String> = outcomes.iter().filter_map(complaint).collect();
    assert!(wrong.is_empty(), "{} cases failed\n\n{}", wrong.len(), wrong.join("\n"));
}

/// Passed, failed and unsafe by group.
fn table(outcomes: &[Outcome]) -> String {
    let mut groups: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for outcome in outcomes {
        let column = match outcome.verdict {
            Verdict::Passed => 0,
            Verdict::Failed(_) => 1,
            Verdict::Unsafe(_) => 2,
        };
        for group in [outcome.group, "total"] {
            groups.entry(group).or_default()[column] += 1;
        }
    }
    let total = groups.remove_entry("total");
    let mut text = format!("{:<24}{:>8}{:>8}{:>8}", "group", "passed", "failed", "unsafe");
    for (group, [passed, failed, unsafe_]) in groups.into_iter().chain(total) {
        text += &format!("\n{group:<24}{passed:>8}{failed:>8}{unsafe_:>8}");
    }
    text
}

/// What is wrong with an outcome; `None` for a pass and for an accepted failure.
fn complaint(outcome: &Outcome) -> Option<String> {
    let name = format!("{}/{}", outcome.group, outcome.id);
    let known = KNOWN.iter().any(|(id, _)| *id == name);
    match &outcome.verdict {
        Verdict::Failed(_) if known => None,
        Verdict::Failed(message) => Some(format!("{name}: {message}\n{}", outcome.transcript)),
        Verdict::Passed if known => Some(format!("{name}: passes, but is listed as known to fail")),
        Verdict::Passed => None,
        Verdict::Unsafe(message) => {
            Some(format!("{name}: UNSAFE: {message}\n{}", outcome.transcript))
        }
    }
}
