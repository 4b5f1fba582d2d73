//! A circuit opens when it has to, no sooner, and closes again whatever becomes of its probes.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{
    Call, CallOutcome, Circuit, CircuitCause, CircuitSettings, CircuitState, Entered, Timestamp,
};

const GOOD: CallOutcome = CallOutcome { failed: false, slow: false };
const BAD: CallOutcome = CallOutcome { failed: true, slow: false };
const SLOW: CallOutcome = CallOutcome { failed: false, slow: true };
const HOUR: u64 = 3_600_000;

fn at(millis: u64) -> Timestamp {
    // Not at the epoch, so that a clock can go back.
    Timestamp::from_nanos((10 * HOUR + millis) * 1_000_000)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn new() -> CircuitSettings {
    CircuitSettings::default()
}

#[track_caller]
fn let_in(circuit: &Arc<Circuit>, now: Timestamp) -> Call {
    match circuit.enter(now) {
        Entered::In(call) => call,
        other => panic!("{other:?}"),
    }
}

fn is_refused(circuit: &Arc<Circuit>, now: Timestamp) -> bool {
    let refused = matches!(circuit.enter(now), Entered::Refused);
    assert_eq!(refused, circuit.refuses(now));
    refused
}

#[track_caller]
fn calls(circuit: &Arc<Circuit>, count: u64, outcome: CallOutcome, now: Timestamp) {
    for _ in 0..count {
        let_in(circuit, now).report(0, outcome, now);
    }
}

/// One that has opened at the moment.
fn opened(settings: CircuitSettings, now: Timestamp) -> Arc<Circuit> {
    let circuit = Circuit::new(settings, 7);
    calls(&circuit, settings.min_calls().into(), BAD, now);
    assert_eq!(circuit.state(), CircuitState::Open);
    circuit
}

/// When it asks again.
fn due(circuit: &Circuit) -> Timestamp {
    circuit.probes_at().unwrap()
}

/// Goes through steps of the ramp that end well, as many as there are, at least 100 ms each.
fn recover(circuit: &Arc<Circuit>, mut now: Timestamp) -> Timestamp {
    while circuit.state() != CircuitState::Closed {
        while let Entered::In(call) = circuit.enter(now) {
            call.report(0, GOOD, now);
            if circuit.state() == CircuitState::Closed {
                return now;
            }
        }
        now = now + Duration::from_millis(20);
        circuit.tick(now);
    }
    now
}

#[test]
fn it_opens_at_exactly_the_threshold_and_not_one_below() {
    for percent in [1, 5, 30, 31, 50, 99, 100] {
        let rate = percent as f64 / 100.0;
        for (outcome, settings) in [
            (BAD, new().with_rates(rate, 1.0).unwrap()),
            (SLOW, new().with_rates(1.0, rate).unwrap()),
        ] {
            let settings = settings.with_window(secs(10), 100).unwrap();
            let circuit = Circuit::new(settings, 1);
            calls(&circuit, 100 - percent, GOOD, at(0));
            calls(&circuit, percent - 1, outcome, at(0));
            assert_eq!(circuit.state(), CircuitState::Closed, "{percent} %");
            calls(&circuit, 1, outcome, at(0));
            assert_eq!(circuit.state(), CircuitState::Open, "{percent} %");

            let below = Circuit::new(settings, 1);
            calls(&below, 101 - percent, GOOD, at(0));
            calls(&below, percent - 1, outcome, at(0));
            assert_eq!(below.state(), CircuitState::Closed, "one below {percent} %");
        }
    }
}

#[test]
fn below_the_minimum_volume_nothing_opens_it() {
    let circuit = Circuit::new(new(), 1);
    calls(&circuit, 19, BAD, at(0));
    assert_eq!(circuit.state(), CircuitState::Closed);
    // By the time there are more, those are too old.
    calls(&circuit, 19, BAD, at(10_000));
    assert_eq!(circuit.state(), CircuitState::Closed);
    calls(&circuit, 1, BAD, at(10_000));
    assert_eq!(circuit.state(), CircuitState::Open);
}

#[test]
fn one_call_may_be_the_whole_volume() {
    let settings = new().with_window(secs(10), 1).unwrap().with_rates(1.0, 1.0).unwrap();
    opened(settings, at(0));
}

#[test]
fn what_dies_under_load_is_found_out_within_the_minimum_volume() {
    for outcome in [BAD, SLOW] {
        let circuit = Circuit::new(new(), 1);
        for millis in 0..10_000 {
            calls(&circuit, 1, GOOD, at(millis));
        }
        calls(&circuit, 19, outcome, at(10_000));
        assert_eq!(circuit.state(), CircuitState::Closed);
        calls(&circuit, 1, outcome, at(10_000));
        assert_eq!(circuit.state(), CircuitState::Open, "{outcome:?}");
    }
}

#[test]
fn while_part_of_the_calls_are_well_the_others_do_not_open_it() {
    for (sick, of) in [(1, 2), (3, 4), (19, 20)] {
        let circuit = Circuit::new(new(), 1);
        for n in 0..20_000 {
            let is_sick = n % of < sick;
            let outcome = if is_sick { BAD } else { GOOD };
            let now = at(n / 10);
            let_in(&circuit, now).report(usize::from(!is_sick), outcome, now);
        }
        assert_eq!(circuit.state(), CircuitState::Closed, "{sick} of {of}");
        // Then those fail too.
        for n in 0..400 {
            if let Entered::In(call) = circuit.enter(at(2_000)) {
                call.report(usize::from(n % of >= sick), BAD, at(2_000));
            }
        }
        assert_eq!(circuit.state(), CircuitState::Open, "{sick} of {of}");
    }
}

#[test]
fn while_it_is_open_nobody_gets_in_and_then_as_many_as_there_are_probes() {
    let circuit = opened(new(), at(0));
    let due = due(&circuit);
    assert!((at(10_000)..=at(11_000)).contains(&due), "{due:?}");
    let before = Timestamp::from_nanos(due.as_nanos() - 1);
    assert!(is_refused(&circuit, at(0)) && is_refused(&circuit, before));
    let mut probes: Vec<Call> = (0..10).map(|_| let_in(&circuit, due)).collect();
    assert!(probes.iter().all(Call::is_probe));
    assert!(is_refused(&circuit, due));
    // What ends without a word is free again; what says something is used up.
    drop(probes.pop());
    probes.push(let_in(&circuit, due));
    assert!(is_refused(&circuit, due));
    probes.pop().unwrap().report(0, GOOD, due);
    assert!(is_refused(&circuit, due));
    let ramp = circuit.status(due).ramp.unwrap();
    assert_eq!((ramp.step, ramp.free, ramp.under_way, ramp.ended.calls), (0, 0, 9, 1));
}

#[test]
fn the_ramp_doubles_and_takes_its_time() {
    let circuit = opened(new(), at(0));
    let (mut now, mut admitted) = (due(&circuit), Vec::new());
    while circuit.state() != CircuitState::Closed {
        let mut count = 0;
        while circuit.state() != CircuitState::Closed
            && let Entered::In(call) = circuit.enter(now)
        {
            call.report(0, GOOD, now);
            count += 1;
        }
        admitted.push(count);
        now = now + Duration::from_millis(100);
        circuit.tick(now);
    }
    assert_eq!(admitted, [10, 20, 40, 80, 160, 320]);
    assert!(!is_refused(&circuit, now));
}

#[test]
fn where_few_come_the_ramp_does_not_wait_for_more() {
    let circuit = opened(new(), at(0));
    let mut now = due(&circuit);
    for _ in 0..7 {
        let_in(&circuit, now).report(0, GOOD, now);
        now = now + secs(10);
        circuit.tick(now);
    }
    assert_eq!(circuit.state(), CircuitState::Closed);
}

#[test]
fn failures_at_the_threshold_open_it_again_for_twice_as_long() {
    let circuit = opened(new(), at(0));
    let mut last = at(0);
    for seconds in [10, 20, 40, 60, 60] {
        let due = due(&circuit);
        let lasted = due.saturating_since(last).as_secs_f64();
        let (least, most) = match seconds {
            60 => (54.0, 60.0),
            _ => (f64::from(seconds), f64::from(seconds) * 1.1),
        };
        assert!((least..=most).contains(&lasted), "{seconds}: {lasted}");
        let probes: Vec<Call> = (0..10).map(|_| let_in(&circuit, due)).collect();
        for (n, probe) in probes.into_iter().enumerate() {
            // Half of ten: as soon as that is certain.
            assert_eq!(probe.report(0, BAD, due), n == 4);
        }
        assert_eq!(circuit.state(), CircuitState::Open);
        last = due;
    }
}

#[test]
fn the_doubling_is_forgotten_once_it_has_been_closed_for_long() {
    for (closed_for, seconds) in [(59, 20.0), (60, 10.0)] {
        let circuit = opened(new(), at(0));
        let now = recover(&circuit, due(&circuit)) + secs(closed_for);
        calls(&circuit, 20, BAD, now);
        let lasts = due(&circuit).saturating_since(now).as_secs_f64();
        assert!((seconds..=seconds * 1.1).contains(&lasts), "{closed_for} s: {lasts}");
    }
}

#[test]
fn a_probe_that_is_lost_keeps_nobody_out_for_ever() {
    let settings = new().with_probes(3, secs(5)).unwrap();
    let circuit = opened(settings, at(0));
    let mut now = due(&circuit);
    for _ in 0..3 {
        std::mem::forget(let_in(&circuit, now));
    }
    circuit.tick(now);
    now = now + Duration::from_millis(4_999);
    circuit.tick(now);
    assert!(is_refused(&circuit, now));
    now = now + Duration::from_millis(1);
    circuit.tick(now);
    recover(&circuit, now);
}

#[test]
fn what_began_before_says_nothing_afterwards() {
    let circuit = Circuit::new(new(), 1);
    let early: Vec<Call> = (0..100).map(|_| let_in(&circuit, at(0))).collect();
    calls(&circuit, 20, BAD, at(0));
    let due = due(&circuit);
    let probe = let_in(&circuit, due);
    for call in early {
        assert!(!call.report(0, BAD, due));
    }
    let ramp = circuit.status(due).ramp.unwrap();
    assert_eq!((circuit.state(), ramp.ended.calls), (CircuitState::HalfOpen, 0));
    drop(probe);
    assert_eq!(circuit.status(due).ramp.unwrap().free, 10);
}

#[test]
fn probes_of_an_earlier_opening_say_nothing_of_a_later_one() {
    let circuit = opened(new(), at(0));
    let first = due(&circuit);
    let mut probes: Vec<Call> = (0..10).map(|_| let_in(&circuit, first)).collect();
    for probe in probes.drain(..5) {
        probe.report(0, BAD, first);
    }
    let second = due(&circuit);
    let probe = let_in(&circuit, second);
    probes.pop().unwrap().report(0, GOOD, second);
    drop(probes);
    let ramp = circuit.status(second).ramp.unwrap();
    assert_eq!((ramp.free, ramp.under_way, ramp.ended.calls), (9, 1, 0));
    drop(probe);
}

#[test]
fn a_clock_that_goes_back_or_jumps_neither_opens_it_nor_keeps_it_open() {
    let circuit = Circuit::new(new(), 1);
    calls(&circuit, 19, BAD, at(0));
    // An hour on: those are too old. An hour back: nothing of the future counts.
    calls(&circuit, 19, BAD, at(HOUR));
    calls(&circuit, 19, BAD, at(0));
    assert_eq!(circuit.state(), CircuitState::Closed);
    // A little back is the same moment.
    let back = Timestamp::from_nanos(at(0).as_nanos() - 5_000_000_000);
    calls(&circuit, 1, BAD, back);
    assert_eq!(circuit.state(), CircuitState::Open);

    let circuit = opened(new(), at(HOUR));
    circuit.tick(at(0));
    assert!(is_refused(&circuit, at(59_999)) && !is_refused(&circuit, at(60_000)));
    let circuit = opened(new(), at(0));
    assert!(!is_refused(&circuit, at(HOUR)));
    assert!(!is_refused(&opened(new(), at(0)), Timestamp::MAX));
}

#[test]
fn a_shadow_counts_what_it_would_refuse_and_refuses_nothing() {
    let circuit = opened(new().with_shadow(true), at(0));
    assert!(!circuit.refuses(at(1)));
    for _ in 0..3 {
        assert!(matches!(circuit.enter(at(1)), Entered::Unseen));
    }
    let due = due(&circuit);
    let probes: Vec<Entered> = (0..12).map(|_| circuit.enter(due)).collect();
    assert_eq!(probes.iter().filter(|it| matches!(it, Entered::Unseen)).count(), 2);
    assert_eq!(circuit.status(due).would_refuse, 5);
}

#[test]
fn other_settings_keep_what_is_known() {
    let circuit = Circuit::new(new(), 1);
    calls(&circuit, 19, BAD, at(0));
    circuit.apply(new().with_window(secs(60), 25).unwrap(), at(1_000));
    assert_eq!(circuit.status(at(1_000)).counts.failures, 19);
    calls(&circuit, 6, BAD, at(2_000));
    assert_eq!(circuit.state(), CircuitState::Open);
    let before = due(&circuit);
    circuit.apply(new(), at(3_000));
    assert_eq!(due(&circuit), before);
    circuit.apply(new().with_open(secs(1), secs(2)).unwrap(), at(3_000));
    assert_eq!(due(&circuit), at(5_000), "never longer than the longest");
    let probe = let_in(&circuit, at(5_000));
    circuit.apply(new().with_probes(2, secs(5)).unwrap(), at(5_000));
    drop(probe);
    assert_eq!(circuit.status(at(5_000)).ramp.unwrap().free, 2);
    circuit.apply(new().with_shadow(true), at(5_000));
    assert!(!circuit.refuses(at(5_000)) && circuit.state() == CircuitState::HalfOpen);
    circuit.reset();
    assert_eq!(circuit.state(), CircuitState::Closed);
}

#[test]
fn lanes_move_with_what_they_stand_for() {
    let circuit = Circuit::new(new(), 1);
    let_in(&circuit, at(0)).report(1, BAD, at(0));
    let_in(&circuit, at(0)).report(0, GOOD, at(0));
    circuit.move_lanes(&[Some(1), None]);
    let counts = circuit.status(at(0)).counts;
    assert_eq!((counts.calls, counts.failures), (1, 1));
    assert_eq!(circuit.status(at(10_000)).counts.calls, 0);
}

#[test]
fn it_tells_how_much_worse_it_may_get() {
    let settings = new().with_window(secs(10), 100).unwrap();
    for (good, bad) in [(0, 0), (1, 0), (60, 20), (70, 29), (99, 0), (400, 99)] {
        let circuit = Circuit::new(settings, 1);
        calls(&circuit, good, GOOD, at(0));
        calls(&circuit, bad, BAD, at(0));
        let more = circuit.status(at(0)).to_open(CircuitCause::Failures);
        calls(&circuit, more - 1, BAD, at(0));
        assert_eq!(circuit.state(), CircuitState::Closed, "{good} {bad}: {more}");
        calls(&circuit, 1, BAD, at(0));
        assert_eq!(circuit.state(), CircuitState::Open, "{good} {bad}: {more}");
    }
}

/// Two transitions in ten seconds at most, and none for most of the time.
#[test]
fn a_noisy_error_rate_below_the_threshold_does_not_flap() {
    for per_second in [5, 20, 100, 1_000] {
        for seed in 1..=20_u64 {
            let circuit = Circuit::new(new(), seed);
            let (mut random, mut changes, mut state) = (seed, Vec::new(), CircuitState::Closed);
            let mut see = |state_now: CircuitState, millis: u64| {
                if state_now != state {
                    changes.push(millis);
                    state = state_now;
                }
            };
            for n in 0..60 * per_second {
                let millis = n * 1_000 / per_second;
                circuit.tick(at(millis));
                see(circuit.state(), millis);
                if let Entered::In(call) = circuit.enter(at(millis)) {
                    see(circuit.state(), millis);
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let failed = (random >> 33) % 100 < 40;
                    call.report(0, CallOutcome { failed, slow: false }, at(millis));
                    see(circuit.state(), millis);
                }
            }
            for (n, first) in changes.iter().enumerate() {
                let within = changes[n..].iter().take_while(|at| *at - first < 10_000).count();
                assert!(within <= 2, "{per_second}/s, seed {seed}: {changes:?}");
            }
        }
    }
}
