//! Limits that are found, against upstreams whose best number at once is known.
//!
//! `cargo test --release -p floodgate-limiter --test adaptive -- --nocapture` prints the table of the README.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod simulated;

use std::time::Duration;

use floodgate_limiter::{Adaptive, AdaptiveSeen, AdaptiveSettings, Algorithm, Rests, Timestamp};
use simulated::{Demand, Run, Upstream};

const LAWS: [Algorithm; 4] =
    [Algorithm::Aimd, Algorithm::Gradient2, Algorithm::Vegas, Algorithm::WaterLevel];

/// Runs of each kind; without optimisation each takes its time.
const SEEDS: u64 = if cfg!(debug_assertions) { 1 } else { 25 };
/// The same, of those that take longer.
const FEW_SEEDS: u64 = if cfg!(debug_assertions) { 1 } else { 5 };

/// Upstreams that serve so many at once, with a mean service time in milliseconds.
const UPSTREAMS: [(u32, f64); 3] = [(40, 50.0), (200, 50.0), (64, 20.0)];

/// What is not as it should be: all of it, so that one run shows what a changed constant does.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "{:#?}", self.0);
    }
}

/// Median, the 99th of a hundred, and the largest.
fn spread(values: &mut [f64]) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    [values[last / 2], values[last * 99 / 100], values[last]]
}

/// Seconds of several runs as the README has them.
fn seconds(values: &mut [f64]) -> String {
    let [median, _, most] = spread(values);
    format!("{median:.1}, at most {most:.1} s")
}

fn settings(algorithm: Algorithm, start: u32) -> AdaptiveSettings {
    AdaptiveSettings::new(algorithm, 4, 2_000, start).unwrap()
}

/// Finds the limit of an upstream of `servers` from `start`; seconds until it is within 15 %, and the run.
fn find(algorithm: Algorithm, (servers, millis): (u32, f64), start: u32, seed: u64) -> (f64, Run) {
    let mut run = Run::new(Upstream { servers, millis }, settings(algorithm, start), seed);
    run.go(40.0);
    (run.settled_after(0.0, servers.into()), run)
}

#[test]
fn from_a_seed_within_twice_it_is_found_within_five_seconds_and_kept() {
    let mut wrong = Wrong::default();
    for algorithm in LAWS {
        let (mut afters, mut offs, mut deviations, mut least) = (vec![], vec![], vec![], f64::MAX);
        for upstream @ (servers, _) in UPSTREAMS {
            for start in [servers / 2, servers, servers * 2] {
                for seed in 1..=SEEDS {
                    let (after, run) = find(algorithm, upstream, start, seed);
                    let (mean, deviation) = run.mean_and_deviation(10.0, 40.0);
                    let off = mean / f64::from(servers) - 1.0;
                    let served = run.served(10.0, 40.0) / run.upstream_capacity();
                    afters.push(after);
                    offs.push(off * 100.0);
                    deviations.push(deviation / mean * 100.0);
                    least = least.min(served);
                    // One run in a hundred takes noise for news once.
                    wrong.unless(after <= 10.0, || {
                        format!("{algorithm:?} {servers} from {start}, {seed}: {after} s")
                    });
                    wrong.unless(off.abs() <= 0.15, || {
                        format!("{algorithm:?} {servers} from {start}, {seed}: {off}")
                    });
                    wrong.unless(served >= 0.9, || {
                        format!("{algorithm:?} {servers} from {start}, {seed}: serves {served}")
                    });
                }
            }
        }
        let late = afters.iter().filter(|&&after| after > 5.0).count();
        wrong.unless(late * 100 <= afters.len(), || format!("{algorithm:?}: {late} too late"));
        let [median, most_of_them, most] = spread(&mut afters);
        let [_, _, highest] = spread(&mut offs);
        println!(
            "{:<12} seed: {median:.1} s, 99 % {most_of_them:.1} s, at most {most:.1} s, {late} of {} over 5 s; \
             stays at {:+.0} to {highest:+.0} %, ±{:.1}; serves {:.1} % at least",
            algorithm.as_str(),
            afters.len(),
            offs[0],
            spread(&mut deviations)[0],
            least * 100.0
        );
    }
}

#[test]
fn without_a_seed_it_is_found_within_twenty_seconds() {
    let mut wrong = Wrong::default();
    for algorithm in LAWS {
        let mut afters = vec![];
        for upstream @ (servers, _) in UPSTREAMS {
            for start in [8, servers * 10] {
                for seed in 7..7 + FEW_SEEDS {
                    let (after, _) = find(algorithm, upstream, start, seed);
                    afters.push(after);
                    wrong.unless(after <= 20.0, || {
                        format!("{algorithm:?} {servers} from {start}, {seed}: {after} s")
                    });
                }
            }
        }
        println!("{:<12} no seed: {}", algorithm.as_str(), seconds(&mut afters));
    }
}

#[test]
fn an_upstream_three_times_as_slow_and_back_is_no_overload() {
    let mut wrong = Wrong::default();
    for algorithm in LAWS {
        let (mut slows, mut backs, mut lowest) = (vec![], vec![], f64::MAX);
        for (servers, millis) in UPSTREAMS {
            for seed in 11..11 + FEW_SEEDS {
                let upstream = Upstream { servers, millis };
                let mut run = Run::new(upstream, settings(algorithm, servers), seed);
                run.go(40.0);
                run.set_millis(millis * 3.0);
                run.go(80.0);
                run.set_millis(millis);
                run.go(120.0);
                let slow = run.settled_after(40.0, servers.into());
                let back = run.settled_after(80.0, servers.into());
                let least = run.extremes(40.0, 120.0).0 / f64::from(servers);
                slows.push(slow);
                backs.push(back);
                lowest = lowest.min(least);
                wrong.unless(slow <= 20.0 && back <= 20.0, || {
                    format!("{algorithm:?} {servers}, {seed}: {slow} s, {back} s")
                });
                wrong.unless(least >= 0.4, || format!("{algorithm:?} {servers}, {seed}: {least}"));
            }
        }
        println!(
            "{:<12} x3: {}; back: {}; never below {lowest:.2} of the best",
            algorithm.as_str(),
            seconds(&mut slows),
            seconds(&mut backs)
        );
    }
}

#[test]
fn an_upstream_that_loses_half_its_servers_gets_half_as_many() {
    let mut wrong = Wrong::default();
    for algorithm in LAWS {
        let (mut halves, mut backs) = (vec![], vec![]);
        for seed in 5..5 + FEW_SEEDS {
            let upstream = Upstream { servers: 100, millis: 30.0 };
            let mut run = Run::new(upstream, settings(algorithm, 100), seed);
            run.go(20.0);
            run.set_servers(50);
            run.go(60.0);
            let half = run.settled_after(20.0, 50.0);
            run.set_servers(100);
            run.go(100.0);
            let back = run.settled_after(60.0, 100.0);
            halves.push(half);
            backs.push(back);
            wrong.unless(half <= 20.0 && back <= 20.0, || {
                format!("{algorithm:?}, {seed}: {half} s, {back} s")
            });
        }
        println!(
            "{:<12} half the servers: {}; back: {}",
            algorithm.as_str(),
            seconds(&mut halves),
            seconds(&mut backs)
        );
    }
}

#[test]
fn a_shadow_shows_what_it_would_be_once_the_traffic_has_shown_the_upstream_unloaded() {
    for algorithm in LAWS {
        let upstream = Upstream { servers: 40, millis: 50.0 };
        let mut run = Run::new(upstream, settings(algorithm, 80).with_shadow(true), 3);
        run.demand(Demand::PerSecond(500.0));
        run.go(10.0);
        run.demand(Demand::Endless);
        run.go(40.0);
        let (shown, _) = run.mean_and_deviation(20.0, 40.0);
        println!("{:<12} shows {shown:.1} for 40", algorithm.as_str());
        assert!((shown / 40.0 - 1.0).abs() <= 0.25, "{algorithm:?} shows {shown}");
        assert_eq!(run.ruling(), 80, "{algorithm:?}");
    }
}

#[test]
fn the_first_seconds_of_a_sale_are_not_spent_sounding() {
    for algorithm in LAWS {
        for (start, soon) in [(40, 0.5), (60, 5.0)] {
            let upstream = Upstream { servers: 40, millis: 50.0 };
            let mut run = Run::new(upstream, settings(algorithm, start), 3);
            // The hour before it.
            run.demand(Demand::PerSecond(200.0));
            run.go(30.0);
            run.demand(Demand::Endless);
            run.go(50.0);
            let after = run.settled_after(30.0, 40.0);
            let least = run.least_ruling(30.0, 40.0);
            println!("{:<12} sale from {start}: {after:.1} s, least {least}", algorithm.as_str());
            assert!(after <= soon, "{algorithm:?} from {start}: {after} s");
            assert!(least >= 32, "{algorithm:?} from {start}: {least}");
        }
    }
}

#[test]
fn nothing_is_learnt_while_frozen_or_with_less_than_half_in_flight() {
    for algorithm in LAWS {
        let upstream = Upstream { servers: 40, millis: 50.0 };
        let mut run = Run::new(upstream, settings(algorithm, 100), 3);
        run.demand(Demand::PerSecond(300.0));
        run.go(20.0);
        assert_eq!(run.extremes(0.0, 20.0), (100.0, 100.0), "{algorithm:?}");
        assert_eq!(run.status().rests, Some(Rests::Unsaturated), "{algorithm:?}");
        run.freeze(true);
        run.demand(Demand::Endless);
        run.go(40.0);
        assert_eq!(run.extremes(0.0, 40.0), (100.0, 100.0), "{algorithm:?}");
        assert_eq!(run.status().rests, Some(Rests::Frozen), "{algorithm:?}");
        run.freeze(false);
        run.go(60.0);
        assert!(run.extremes(40.0, 60.0).0 < 60.0, "{algorithm:?}");
    }
}

#[test]
fn above_the_latency_that_is_told_it_never_grows_whatever_it_has_learnt() {
    for algorithm in LAWS {
        let settings = settings(algorithm, 20).with_max_latency(Some(Duration::from_millis(60)));
        // Ever slower, from the first day on: a baseline that is learnt takes it for healthy.
        let mut run = Run::new(Upstream { servers: 40, millis: 90.0 }, settings, 3);
        run.go(30.0);
        let (_, most) = run.extremes(0.0, 30.0);
        assert!(most <= 20.0, "{algorithm:?}: {most}");
    }
}

#[test]
fn it_stays_between_its_bounds() {
    for algorithm in LAWS {
        for (min, max, servers) in [(50, 60, 10), (50, 60, 400), (1, 1, 10)] {
            let settings = AdaptiveSettings::new(algorithm, min, max, min).unwrap();
            let mut run = Run::new(Upstream { servers, millis: 20.0 }, settings, 3);
            run.go(20.0);
            let (least, most) = run.extremes(0.0, 20.0);
            assert!(least >= f64::from(min) && most <= f64::from(max), "{algorithm:?}");
        }
    }
}

#[test]
fn new_settings_keep_what_was_found_unless_they_say_where_to_begin() {
    let mut run =
        Run::new(Upstream { servers: 40, millis: 50.0 }, settings(Algorithm::Vegas, 80), 3);
    run.go(10.0);
    let found = run.status().limit;
    let now = Timestamp::from_nanos(10_000_000_000);
    let mut limit: Adaptive = run.adaptive().clone();
    limit.apply(AdaptiveSettings::new(Algorithm::Vegas, 1, 500, 80).unwrap(), now);
    assert_eq!(limit.status().limit, found);
    limit.apply(AdaptiveSettings::new(Algorithm::Aimd, 1, 500, 80).unwrap(), now);
    assert_eq!(limit.status().limit, found);
    limit.apply(AdaptiveSettings::new(Algorithm::Aimd, 1, 30, 30).unwrap(), now);
    assert_eq!(limit.limit(), 30);
    limit.apply(AdaptiveSettings::fixed(0), now);
    assert_eq!(limit.limit(), 0);
    assert_eq!(limit.tick(&AdaptiveSeen::default(), now), 0);
}

#[test]
#[ignore = "for valgrind --tool=callgrind: a million ticks of each law that all end a window"]
fn ticks() {
    for algorithm in LAWS {
        let mut adaptive = Adaptive::new(settings(algorithm, 100), Timestamp::default());
        let mut seen = AdaptiveSeen { in_flight: 100, ..AdaptiveSeen::default() };
        for tick in 0..1_000_000 {
            seen.totals.services += 100;
            seen.totals.service_nanos += 100 * 20_000_000;
            std::hint::black_box(adaptive.tick(&seen, Timestamp::from_nanos(tick * 120_000_000)));
        }
    }
}
