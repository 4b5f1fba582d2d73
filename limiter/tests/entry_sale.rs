//! Entry control in whole sales, in virtual time: how much of what is possible is sold.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod sale;

use sale::{Law, Outcome, Sale, THINK, run};

/// Runs a sale; what came of it is seen where a test fails.
fn sell(sale: &Sale) -> Outcome {
    let outcome = run(sale);
    println!("{sale:?}\n{}", outcome.summary());
    outcome
}

/// Nearly all that is possible is sold, to holders who hardly wait.
#[track_caller]
fn sells_well(sale: &Sale, efficiency: f64) -> Outcome {
    let outcome = sell(sale);
    assert!(outcome.efficiency >= efficiency, "{:.3} < {efficiency}", outcome.efficiency);
    assert!(outcome.finish_ratio() >= 0.98, "{:.3}", outcome.finish_ratio());
    assert!(outcome.holder_wait_ms < 20.0, "{:.1}", outcome.holder_wait_ms);
    outcome
}

#[test]
fn the_load_that_fits_is_let_in() {
    // Random arrivals at the very capacity leave some of it idle, whatever is done.
    sells_well(&Sale { overload: 1.0, ..Sale::default() }, 0.92);
}

#[test]
fn at_twice_the_load_nearly_all_that_is_possible_is_sold() {
    for law in Law::ALL {
        sells_well(&Sale { overload: 2.0, law, ..Sale::default() }, 0.95);
    }
}

#[test]
fn from_five_times_the_load_on_holders_finish() {
    for (overload, law) in [(5.0, Law::Fixed), (10.0, Law::Exponential), (20.0, Law::Uniform)] {
        let outcome = sells_well(&Sale { overload, law, ..Sale::default() }, 0.96);
        assert!(outcome.finish_ratio() >= 0.99, "{:.3}", outcome.finish_ratio());
    }
}

#[test]
fn at_fifty_times_the_load_holders_finish() {
    let outcome = sells_well(&Sale { overload: 50.0, seconds: 12.0, ..Sale::default() }, 0.96);
    assert!(outcome.finish_ratio() >= 0.99, "{:.3}", outcome.finish_ratio());
}

#[test]
fn slow_customers_fill_the_upstream_as_well() {
    let think = THINK.map(|(from, to)| (from * 10.0, to * 10.0));
    let slow = Sale {
        think,
        overload: 5.0,
        patience: 60.0,
        warm_up: 20.0,
        seconds: 60.0,
        ..Sale::default()
    };
    sells_well(&slow, 0.96);
}

#[test]
fn customers_in_step_with_each_other_fill_the_upstream_as_well() {
    sells_well(&Sale { think: [(240.0, 240.0); 5], ..Sale::default() }, 0.96);
}

#[test]
fn who_leaves_is_made_up_for() {
    let outcome = sell(&Sale { abandon: 0.05, ..Sale::default() });
    // L = (1 - 0.95^5) / 0.05 calls per grant, of which 0.95^4 finish: 0.90 of C / k can be had.
    let best = 0.95_f64.powi(4) * 5.0 / ((1.0 - 0.95_f64.powi(5)) / 0.05);
    assert!(outcome.efficiency >= 0.96 * best, "{:.3} of {best:.3}", outcome.efficiency);
}

#[test]
fn bots_that_never_go_on_cost_one_call_each_and_leave_their_places() {
    // Nothing tells them from new customers, of whom 900 come per second. So of the grants one in six and a half is a
    // customer's, a grant costs 1.6 calls, and (450 / 1.6) * 0.15 = 42 checkouts per second are what is left.
    let outcome = sell(&Sale { bots: 5_000.0, ..Sale::default() });
    let best = 900.0 / 5_900.0 * 5.0 / (1.0 + 4.0 * 900.0 / 5_900.0);
    assert!(outcome.efficiency >= 0.95 * best, "{:.3} of {best:.3}", outcome.efficiency);
    assert!(outcome.finish_ratio() >= 0.99, "{:.3}", outcome.finish_ratio());
}

#[test]
fn after_a_freeze_of_three_seconds_it_sells_as_before_within_two() {
    let outcome = sell(&Sale { freeze: Some((8.0, 11.0)), patience: 8.0, ..Sale::default() });
    let (before, after) = (outcome.rate(4.0, 8.0), outcome.rate(13.0, 17.0));
    assert!(outcome.rate(12.0, 13.0) >= 0.95 * before, "{:.1}", outcome.rate(12.0, 13.0));
    assert!(after >= 0.95 * before, "{before:.1} before, {after:.1} after");
}

#[test]
fn a_capacity_that_changes_is_followed() {
    for (times, best) in [(0.5, 45.0), (2.0, 180.0)] {
        let outcome = sell(&Sale { change: Some((8.0, times)), ..Sale::default() });
        let after = outcome.rate(14.0, 22.0);
        assert!(after >= 0.93 * best && after <= 1.02 * best, "{after:.1} of {best}");
    }
}

#[test]
fn more_permits_are_filled_at_once() {
    let outcome = sell(&Sale { relimit: Some((8.0, 10)), ..Sale::default() });
    let after = outcome.rate(10.0, 22.0);
    assert!(after >= 0.95 * 180.0, "{after:.1}");
}

#[test]
fn a_large_upstream_is_filled_as_well() {
    let large = Sale {
        capacity: 4_500.0,
        workers: 100,
        buffer: 1_000,
        overload: 5.0,
        seconds: 12.0,
        ..Sale::default()
    };
    sells_well(&large, 0.96);
}

#[test]
fn a_small_upstream_is_filled_as_well() {
    let small = Sale { capacity: 50.0, workers: 2, seconds: 60.0, ..Sale::default() };
    let outcome = sell(&small);
    assert!(outcome.efficiency >= 0.95, "{:.3}", outcome.efficiency);
    assert!(outcome.finish_ratio() >= 0.98, "{:.3}", outcome.finish_ratio());
}

#[test]
fn an_upstream_with_a_queue_of_its_own_is_not_overfilled() {
    // Ten times as many permits as workers: what is ahead of whom cannot be told there, only how many there are.
    let outcome = sell(&Sale { permits: Some(50), buffer: 500, ..Sale::default() });
    assert!(outcome.efficiency >= 0.95, "{:.3}", outcome.efficiency);
    assert!(outcome.finish_ratio() >= 0.99, "{:.3}", outcome.finish_ratio());
    assert!(outcome.in_progress_max < 250, "{}", outcome.in_progress_max);
}

#[test]
fn a_sale_that_begins_out_of_nothing_sells_at_once() {
    let outcome = sell(&Sale { quiet: 10.0, ..Sale::default() });
    // The first is through after the time of one checkout.
    assert!(outcome.rate(11.0, 16.0) >= 0.93 * 90.0, "{:.1}", outcome.rate(11.0, 16.0));
}

/// The table of the README: `cargo test --release -p floodgate-limiter --test entry_sale -- --ignored --nocapture table`.
#[test]
#[ignore = "prints figures, proves nothing"]
fn table() {
    let row = |name: &str, sale: &Sale| {
        let outcomes: Vec<Outcome> =
            (1..=5).map(|seed| run(&Sale { seed, ..sale.clone() })).collect();
        let mean = |of: fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / 5.0;
        println!(
            "| {name} | {:.3} | {:.1} % | {:.1} ms |",
            mean(|outcome| outcome.efficiency),
            mean(|outcome| outcome.finish_ratio() * 100.0),
            mean(|outcome| outcome.holder_wait_ms),
        );
    };
    for overload in [1.0, 2.0, 5.0, 10.0, 20.0, 50.0] {
        row(&format!("{overload} times the load"), &Sale { overload, ..Sale::default() });
    }
    row("10, exponential service times", &Sale { law: Law::Exponential, ..Sale::default() });
    let think = THINK.map(|(from, to)| (from * 10.0, to * 10.0));
    let slow = Sale { think, patience: 60.0, warm_up: 20.0, seconds: 60.0, ..Sale::default() };
    row("10, think times ten times as long, 60 s of patience", &slow);
    row("10, all think times 240 ms", &Sale { think: [(240.0, 240.0); 5], ..Sale::default() });
    row("10, 5 % leave at each step (at best 0.900)", &Sale { abandon: 0.05, ..Sale::default() });
    let bots = Sale { bots: 5_000.0, ..Sale::default() };
    row("10, and 5,000 a second that never go on (at best 0.474)", &bots);
    row(
        "10, at 4,500 a second through 100 permits",
        &Sale { capacity: 4_500.0, workers: 100, buffer: 1_000, ..Sale::default() },
    );
    row(
        "10, at 50 a second through 2 permits",
        &Sale { capacity: 50.0, workers: 2, seconds: 60.0, ..Sale::default() },
    );
    row(
        "10, 50 permits for 5 workers",
        &Sale { permits: Some(50), buffer: 500, ..Sale::default() },
    );
}
