//! Who is let in, at what rate.

use std::sync::Arc;

use floodgate_limiter::{Entry, EntrySettings, Standing};

use crate::support::at;
use crate::{TTL_MILLIS, admit, early, holder, informed, load, settings};

#[test]
fn before_the_upstream_was_seen_nobody_comes_in() {
    let entry = Arc::new(Entry::new(settings(), at(0)));
    assert!(!entry.peek(Standing::OnTime, true, at(0)));
    assert!(entry.take(Standing::OnTime, true, at(0)).is_none());
}

#[test]
fn while_nothing_is_measured_spare_permits_are_used_within_bounds() {
    let entry = Arc::new(Entry::new(settings(), at(0)));
    entry.tick(&[load(0, 5)], at(0));
    assert!(entry.peek(Standing::New, true, at(0)));
    let begun = admit(&entry, Standing::New, true, at(0));
    assert!((5..=20).contains(&begun.len()), "{}", begun.len());
    drop(begun);
    // Each is answered at once, and still there are not so many that it matters.
    let mut given = 0;
    while entry.peek(Standing::New, true, at(1)) {
        holder(&entry, given, at(1));
        given += 1;
    }
    assert_eq!(given, 20);
}

#[test]
fn a_closed_upstream_lets_nobody_in() {
    let entry = informed(settings());
    assert!(entry.peek(Standing::New, true, at(1_000)));
    entry.tick(&[load(450, 0)], at(1_010));
    assert!(!entry.peek(Standing::OnTime, true, at(1_010)));
    entry.tick(&[load(450, 5)], at(1_020));
    assert!(entry.peek(Standing::New, true, at(1_020)));
}

#[test]
fn a_new_limit_counts_at_once() {
    let entry = informed(settings());
    assert!((entry.status().capacity - 450.0).abs() < 1.0);
    entry.tick(&[load(450, 10)], at(1_010));
    assert!((entry.status().capacity - 900.0).abs() < 1.0);
    assert!((entry.status().rate - 0.95 * 180.0).abs() < 2.0);
}

#[test]
fn the_upstream_with_the_least_for_its_steps_sets_the_rate() {
    let entry = Arc::new(Entry::new(settings(), at(0)));
    let loads = |services| {
        let mut fast = load(services, 50);
        fast.steps = 4;
        let mut slow = load(services, 1);
        slow.steps = 1;
        let mut idle = load(0, 0);
        idle.steps = 0;
        [fast, slow, idle]
    };
    entry.tick(&loads(0), at(0));
    entry.tick(&loads(450), at(1_000));
    // 90 calls per second for one step of five.
    assert!((entry.status().capacity - 450.0).abs() < 1.0);
}

#[test]
fn what_is_dropped_without_a_grant_is_given_back() {
    let entry = informed(settings());
    let admitted = admit(&entry, Standing::OnTime, false, at(1_000));
    assert!(!admitted.is_empty());
    assert!(!entry.peek(Standing::OnTime, false, at(1_000)));
    let number = admitted.len();
    drop(admitted);
    assert_eq!(entry.status().begun, 0);
    assert_eq!(admit(&entry, Standing::OnTime, false, at(1_000)).len(), number);
}

#[test]
fn what_a_grant_costs_is_learnt_from_those_that_ended() {
    let entry = informed(EntrySettings { max_grants: 100_000, ..settings() });
    assert!((entry.status().calls_per_grant - 5.0).abs() < 0.01);
    for nonce in 0..2_000 {
        let now = at(1_000 + nonce);
        let mut seen = load(450 + nonce * 450 / 1_000, 5);
        // Every call got its permit.
        seen.totals.ranked = nonce;
        entry.tick(&[seen], now);
        if let Some(begun) = entry.take(Standing::OnTime, true, now) {
            begun.grant(nonce, now);
            entry.call(nonce, at(1_000 + nonce + TTL_MILLIS), now).unwrap();
            entry.end(nonce, now);
        }
    }
    let status = entry.status();
    assert!((status.calls_per_grant - 2.0).abs() < 0.3, "{status:?}");
    assert!(status.rate > 200.0 * 0.9, "{status:?}");
}

#[test]
fn the_factor_falls_while_holders_wait_and_rises_while_newcomers_lack_tokens() {
    let entry = informed(settings());
    let mut kept = Vec::new();
    let mut run = |millis: std::ops::Range<u64>, waits: u64| {
        for millis in millis {
            let mut seen = load(450 * millis / 1_000, 5);
            seen.totals.ranked = 360 * millis / 1_000;
            seen.totals.ranked_wait_nanos = seen.totals.ranked * waits;
            entry.tick(&[seen], at(millis));
            kept.extend(entry.take(Standing::OnTime, true, at(millis)));
            if kept.len() > 3 {
                // Never granted, and not given back either: tokens run out.
                std::mem::forget(kept.pop());
            }
        }
        entry.status().factor
    };
    assert!((run(1_000..1_500, 0) - 0.95).abs() < 0.02);
    let fallen = run(1_500..12_000, 50_000_000);
    assert!(fallen < 0.95 * 0.95_f64.powi(8), "{fallen}");
    assert!(fallen >= 0.95 * 0.3);
    let wanted = entry.status().wanted_in_progress;
    let lowest = run(12_000..60_000, 50_000_000);
    assert!(entry.status().wanted_in_progress < wanted);
    assert!((lowest - 0.95 * 0.3).abs() < 0.01, "{lowest}");
}

#[test]
fn a_token_is_given_back_too() {
    let entry = informed(settings());
    // So many are in progress that only tokens are good.
    for nonce in 0..300 {
        assert_eq!(entry.call(nonce, at(60_000), at(1_000)), Ok(()));
    }
    for _ in 0..1_000 {
        assert!(entry.take(Standing::OnTime, true, at(1_000)).is_some());
    }
    let mut given = 0;
    while let Some(begun) = entry.take(Standing::OnTime, true, at(1_000)) {
        given += 1;
        begun.grant(1_000 + given, at(1_000));
    }
    assert!((1..20).contains(&given), "{given}");
}

#[test]
fn a_look_changes_nothing_and_agrees_with_what_follows() {
    let entry = informed(settings());
    let mut kept = Vec::new();
    for step in 0..2_000_u64 {
        let now = at(1_000 + step);
        let standing = [Standing::OnTime, Standing::New, early()][step as usize % 3];
        let spare = step % 5 == 0;
        let before = entry.status();
        let seen = entry.peek(standing, spare, now);
        assert_eq!(entry.status(), before);
        let begun = entry.take(standing, spare, now);
        assert_eq!(begun.is_some(), seen);
        kept.extend(begun);
        if step % 7 == 0
            && let Some(begun) = kept.pop()
        {
            begun.grant(step, now);
        }
    }
}

#[test]
fn who_comes_on_time_goes_before_new_ones_and_those_before_early_ones() {
    let entry = informed(settings());
    let admitted = [early(), Standing::New, Standing::OnTime].map(|standing| {
        let begun = admit(&entry, standing, true, at(5_000));
        let number = begun.len();
        // They stay.
        std::mem::forget(begun);
        number
    });
    assert!(admitted.iter().all(|&number| number > 0), "{admitted:?}");
}

#[test]
fn early_ones_are_let_in_while_nobody_else_comes() {
    let entry = informed(settings());
    let mut given = 0;
    for millis in 1_000..6_000 {
        entry.tick(&[load(millis * 450 / 1_000, 5)], at(millis));
        if let Some(begun) = entry.take(early(), false, at(millis)) {
            begun.grant(millis, at(millis));
            entry.finish(millis, at(millis));
            given += 1;
        }
    }
    assert!(given > 5 * 80, "{given}");
}

#[test]
fn what_was_measured_of_an_upstream_says_nothing_about_another() {
    let entry = informed(settings());
    let [mut one, mut other] = [load(450, 5); 2];
    other.upstream = 2;
    // It has served more, under more permits, before the journey came to it.
    other.totals.services = 1_000_000;
    other.totals.service_nanos = 1_000;
    entry.tick(&[other], at(1_020));
    assert!(entry.status().capacity <= 0.0, "{:?}", entry.status());
    // Side by side, in whatever order, each keeps what is known of it.
    let entry = informed(settings());
    (one.steps, other.steps) = (5, 0);
    entry.tick(&[other, one], at(1_020));
    assert!((entry.status().capacity - 450.0).abs() < 1.0, "{:?}", entry.status());
    entry.tick(&[one], at(1_040));
    assert!((entry.status().capacity - 450.0).abs() < 1.0, "{:?}", entry.status());
}
