//! Every interleaving of the races for a probe, under loom:
//! `RUSTFLAGS="--cfg loom" cargo test -p floodgate-limiter --test loom_circuit`.
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{CallOutcome, Circuit, CircuitSettings, CircuitState, Entered, Timestamp};
use loom::thread;

const GOOD: CallOutcome = CallOutcome { failed: false, slow: false };
const BAD: CallOutcome = CallOutcome { failed: true, slow: false };

fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// One that is open, with so many probes, and when it asks.
fn open(probes: u32) -> (Arc<Circuit>, Timestamp) {
    let second = Duration::from_secs(1);
    let settings = CircuitSettings::default().with_window(second, 1).unwrap();
    let circuit = Circuit::new(settings.with_probes(probes, second).unwrap(), 1);
    let now = Timestamp::from_nanos(1_000_000_000);
    let Entered::In(call) = circuit.enter(now) else { panic!("refused") };
    call.report(0, BAD, now);
    let due = circuit.probes_at().unwrap();
    (circuit, due)
}

#[test]
fn two_that_come_when_it_is_due_share_the_probes() {
    model(|| {
        let (circuit, due) = open(1);
        let other = {
            let circuit = Arc::clone(&circuit);
            thread::spawn(move || circuit.enter(due))
        };
        let entered = [circuit.enter(due), other.join().unwrap()];
        let is_in = |it: &&Entered| matches!(it, Entered::In(_));
        assert_eq!(entered.iter().filter(is_in).count(), 1);
        drop(entered);
        assert_eq!(circuit.status(due).ramp.unwrap().free, 1);
    });
}

#[test]
fn a_probe_that_is_given_back_is_free_and_one_that_is_told_is_not() {
    model(|| {
        let (circuit, due) = open(2);
        let Entered::In(first) = circuit.enter(due) else { panic!("refused") };
        let Entered::In(second) = circuit.enter(due) else { panic!("refused") };
        let other = thread::spawn(move || drop(first));
        second.report(0, GOOD, due);
        other.join().unwrap();
        let ramp = circuit.status(due).ramp.unwrap();
        assert_eq!((ramp.free, ramp.under_way, ramp.ended.calls), (1, 0, 1));
    });
}

#[test]
fn a_probe_that_comes_too_late_takes_and_gives_nothing() {
    model(|| {
        let (circuit, due) = open(2);
        let Entered::In(first) = circuit.enter(due) else { panic!("refused") };
        let Entered::In(second) = circuit.enter(due) else { panic!("refused") };
        let other = thread::spawn(move || drop(first));
        // Half of two: it opens again, while the other gives its place back.
        assert!(second.report(0, BAD, due));
        other.join().unwrap();
        assert_eq!(circuit.state(), CircuitState::Open);
        assert!(circuit.refuses(due));
    });
}
