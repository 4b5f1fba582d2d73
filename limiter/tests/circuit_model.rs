//! A closed circuit against one that remembers every call.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::Duration;

use floodgate_limiter::{
    CallCounts, CallOutcome, Circuit, CircuitSettings, CircuitState, Entered, Timestamp,
};
use proptest::collection::vec;
use proptest::prelude::*;

const BUCKETS: i128 = 10;

#[derive(Clone, Debug)]
enum Op {
    Call(bool, bool),
    /// On by so many nanoseconds, or back.
    Move(i64),
}

/// All calls, each with the bucket it fell into.
struct Reference {
    width: i128,
    newest: i128,
    calls: Vec<(i128, CallOutcome)>,
}

impl Reference {
    fn advance(&mut self, now: u64) {
        let at = i128::from(now) / self.width;
        if at + BUCKETS <= self.newest {
            self.calls.clear();
            self.newest = at;
        }
        self.newest = self.newest.max(at);
        let oldest = self.newest - BUCKETS;
        if self.calls.iter().all(|(bucket, _)| *bucket <= oldest) {
            self.calls.clear();
        }
    }

    fn counts(&self) -> CallCounts {
        let valid = self.calls.iter().filter(|(bucket, _)| *bucket > self.newest - BUCKETS);
        valid.fold(CallCounts::default(), |sum, (_, call)| CallCounts {
            calls: sum.calls + 1,
            failures: sum.failures + u64::from(call.failed),
            slow: sum.slow + u64::from(call.slow),
        })
    }

    fn opens(&self, percent: [u64; 2], least: u64) -> bool {
        let counts = self.counts();
        let bad = [counts.failures, counts.slow];
        let is_bad: [fn(&CallOutcome) -> bool; 2] = [|call| call.failed, |call| call.slow];
        counts.calls >= least
            && (0..2).any(|kind| {
                let run =
                    self.calls.iter().rev().take_while(|(_, call)| is_bad[kind](call)).count();
                bad[kind] * 100 >= counts.calls * percent[kind]
                    || (run as u64 >= least && bad[kind] >= least)
            })
    }
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let hour = 3_600_000_000_000_i64;
    let step = prop_oneof![
        8 => 0..300_000_000_i64,
        2 => -1_500_000_000..3_000_000_000_i64,
        1 => prop_oneof![Just(hour), Just(-hour), Just(10_000_000_000), Just(-10_000_000_000)],
    ];
    let call = (proptest::bool::weighted(0.4), proptest::bool::weighted(0.3));
    let op = prop_oneof![
        4 => call.prop_map(|(failed, slow)| Op::Call(failed, slow)),
        1 => step.prop_map(Op::Move),
    ];
    vec(op, 1..400)
}

proptest! {
    #[test]
    fn a_circuit_opens_exactly_when_all_calls_of_its_window_say_so(
        ops in ops(),
        percent in [1..=100_u64, 1..=100_u64],
        least in 1..40_u32,
        window in 1..20_u64,
    ) {
        let settings = CircuitSettings::default()
            .with_rates(percent[0] as f64 / 100.0, percent[1] as f64 / 100.0).unwrap()
            .with_window(Duration::from_secs(window), least).unwrap();
        let circuit = Circuit::new(settings, 1);
        let mut now = 20 * 3_600_000_000_000_u64;
        let width = i128::from(window * 1_000_000_000) / BUCKETS;
        let mut reference = Reference { width, newest: 0, calls: Vec::new() };
        for op in ops {
            match op {
                Op::Move(by) => now = now.saturating_add_signed(by),
                Op::Call(failed, slow) => {
                    let at = Timestamp::from_nanos(now);
                    let outcome = CallOutcome { failed, slow };
                    let Entered::In(call) = circuit.enter(at) else { panic!("refused") };
                    let changed = call.report(0, outcome, at);
                    reference.advance(now);
                    reference.calls.push((reference.newest, outcome));
                    let opens = reference.opens(percent, least.into());
                    prop_assert_eq!(changed, opens);
                    if opens {
                        prop_assert_eq!(circuit.state(), CircuitState::Open);
                        prop_assert_eq!(circuit.status(at).opened.unwrap().counts, reference.counts());
                        circuit.reset();
                        reference.calls.clear();
                    }
                }
            }
            reference.advance(now);
            prop_assert_eq!(circuit.status(Timestamp::from_nanos(now)).counts, reference.counts());
        }
    }

    /// Whatever becomes of the probes: from open, with an upstream that is well, it is closed within a bounded time.
    #[test]
    fn from_open_it_closes_whatever_becomes_of_some_probes(
        fates in vec(0..4_u8, 0..200),
        probes in 1..20_u32,
        seed in any::<u64>(),
    ) {
        let settings = CircuitSettings::default().with_probes(probes, Duration::from_secs(2)).unwrap();
        let circuit = Circuit::new(settings, seed);
        let mut now = Timestamp::from_nanos(1_000_000_000_000);
        let good = CallOutcome::default();
        for _ in 0..20 {
            let Entered::In(call) = circuit.enter(now) else { panic!("refused") };
            call.report(0, CallOutcome { failed: true, slow: false }, now);
        }
        let (mut fates, mut kept) = (fates.into_iter(), Vec::new());
        let end = now + Duration::from_secs(3_600);
        while circuit.state() != CircuitState::Closed {
            prop_assert!(now < end, "{:?}", circuit.status(now));
            while circuit.state() != CircuitState::Closed && let Entered::In(call) = circuit.enter(now) {
                match fates.next() {
                    // Given up, lost, or late.
                    Some(0) => drop(call),
                    Some(1) => std::mem::forget(call),
                    Some(2) => kept.push(call),
                    _ => { call.report(0, good, now); }
                }
            }
            now = now + Duration::from_millis(500);
            circuit.tick(now);
            if let Some(call) = kept.pop() {
                call.report(0, good, now);
            }
        }
    }
}
