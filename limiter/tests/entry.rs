//! What entry control promises, case by case and whatever happens.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use floodgate_limiter::{Begun, Ended, Entry, EntrySettings, Load, Standing, Timestamp, Totals};
use proptest::collection::vec;
use proptest::prelude::*;
use support::at;

const TTL_MILLIS: u64 = 120_000;

fn settings() -> EntrySettings {
    EntrySettings {
        steps: 5,
        headroom: 0.95,
        ttl: Duration::from_millis(TTL_MILLIS),
        calls: 4,
        max_grants: 1_000,
    }
}

/// An upstream of 450 requests per second through 5 permits, as seen after `services`.
fn load(services: u64, limit: u32) -> Load {
    let mut totals = Totals::default();
    totals.services = services;
    totals.service_nanos = services * 11_111_111;
    totals.limit = limit;
    Load { upstream: 1, totals, steps: 5 }
}

/// Entry control that knows that upstream, at `at(1_000)`.
fn informed(settings: EntrySettings) -> Arc<Entry> {
    let entry = Arc::new(Entry::new(settings, at(0)));
    entry.tick(&[load(0, 5)], at(0));
    entry.tick(&[load(450, 5)], at(1_000));
    entry
}

fn admit(entry: &Arc<Entry>, standing: Standing, spare: bool, now: Timestamp) -> Vec<Begun> {
    let mut all = Vec::new();
    while let Some(begun) = entry.take(standing, spare, now) {
        all.push(begun);
        assert!(all.len() < 10_000, "no end of it");
    }
    all
}

fn early() -> Standing {
    Standing::Early { told: at(60_000) }
}

/// Somebody with the grant of `nonce`.
fn holder(entry: &Arc<Entry>, nonce: u64, now: Timestamp) {
    entry.take(Standing::OnTime, true, now).unwrap().grant(nonce, now);
}

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

#[test]
fn whether_a_grant_is_good_can_be_seen_without_using_it() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in [7, 8] {
        holder(&entry, nonce, at(1_000));
    }
    for _ in 1..4 {
        assert!((0..9).all(|_| entry.is_good(7, expires, at(1_001))));
        assert_eq!(entry.call(7, expires, at(1_001)), Ok(()));
    }
    assert!(!entry.is_good(7, expires, at(1_001)), "has made its calls");
    entry.give_back(7, at(1_001));
    assert!(entry.is_good(7, expires, at(1_001)));
    entry.end(8, at(1_001));
    assert!(!entry.is_good(8, expires, at(1_001)), "was ended");
    // Of one that is not in the table only the time is known.
    assert!(entry.is_good(9, expires, at(1_001)));
    assert!(!entry.is_good(9, at(1_001), at(1_001)), "is over");
}

#[test]
fn a_grant_is_good_for_its_calls_and_for_no_more() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    holder(&entry, 7, at(1_000));
    for _ in 1..4 {
        assert_eq!(entry.call(7, expires, at(1_001)), Ok(()));
    }
    assert_eq!(entry.call(7, expires, at(1_002)), Err(Ended::Calls));
    entry.apply(EntrySettings { calls: 5, ..settings() }, at(1_003));
    assert_eq!(entry.call(7, expires, at(1_003)), Ok(()));
    assert_eq!(entry.call(7, expires, at(1_003)), Err(Ended::Calls));
}

#[test]
fn a_call_that_is_given_back_may_be_made_again_and_no_more_than_that() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    holder(&entry, 7, at(1_000));
    for _ in 0..9 {
        assert_eq!(entry.call(7, expires, at(1_001)), Ok(()));
        entry.give_back(7, at(1_001));
    }
    // The entry was made: there is nothing more to give back.
    entry.give_back(7, at(1_001));
    for _ in 1..4 {
        assert_eq!(entry.call(7, expires, at(1_002)), Ok(()));
    }
    assert_eq!(entry.call(7, expires, at(1_002)), Err(Ended::Calls));
    // Of one that is not in the table there is nothing to be given back either.
    entry.give_back(8, at(1_002));
    assert_eq!(entry.status().live, 1);
}

#[test]
fn a_finished_grant_may_still_ask_and_an_ended_one_may_not() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in [7, 8] {
        holder(&entry, nonce, at(1_000));
        assert_eq!(entry.call(nonce, expires, at(1_001)), Ok(()));
    }
    assert_eq!(entry.status().in_progress, 2);
    entry.finish(7, at(1_002));
    entry.end(8, at(1_002));
    assert_eq!(entry.status().in_progress, 0);
    assert_eq!(entry.call(7, expires, at(1_003)), Ok(()));
    assert_eq!(entry.call(8, expires, at(1_003)), Err(Ended::Over));
    // One that was never heard of here, too.
    entry.end(9, at(1_003));
    assert_eq!(entry.call(9, expires, at(1_004)), Err(Ended::Over));
    assert_eq!(entry.status().in_progress, 0);
}

#[test]
fn a_grant_from_elsewhere_is_counted_from_its_first_call_on() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    for _ in 1..4 {
        assert_eq!(entry.call(7, expires, at(1_000)), Ok(()));
    }
    assert_eq!(entry.call(7, expires, at(1_000)), Err(Ended::Calls));
    assert_eq!(entry.status().in_progress, 1);
}

#[test]
fn a_full_table_gives_no_grants_and_lets_unknown_holders_pass_uncounted() {
    let entry = informed(EntrySettings { max_grants: 3, ..settings() });
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in 0..3 {
        holder(&entry, nonce, at(1_000));
    }
    assert!(!entry.peek(Standing::OnTime, true, at(1_000)));
    assert!(entry.take(Standing::OnTime, true, at(1_000)).is_none());
    for _ in 0..10 {
        assert_eq!(entry.call(99, expires, at(1_000)), Ok(()));
    }
    assert_eq!(entry.status().live, 3);
    assert_eq!((1..4).filter(|_| entry.call(1, expires, at(1_000)).is_ok()).count(), 3);
    assert_eq!(entry.call(1, expires, at(1_000)), Err(Ended::Calls));
}

#[test]
fn what_has_expired_is_forgotten() {
    let entry = informed(settings());
    for nonce in 0..500 {
        assert_eq!(entry.call(nonce, at(2_000), at(1_000)), Ok(()));
    }
    assert_eq!(entry.call(3, at(2_000), at(2_000)), Err(Ended::Over));
    entry.tick(&[load(450, 5)], at(2_000));
    let status = entry.status();
    assert_eq!((status.live, status.in_progress), (0, 0));
}

#[test]
fn a_grant_that_was_renewed_stays_known() {
    let entry = informed(settings());
    assert_eq!(entry.call(7, at(2_000), at(1_000)), Ok(()));
    assert_eq!(entry.call(7, at(3_000), at(1_500)), Ok(()));
    entry.tick(&[load(450, 5)], at(2_500));
    assert_eq!(entry.status().live, 1);
    assert_eq!(entry.call(7, at(3_000), at(2_500)), Ok(()));
    assert_eq!(entry.call(7, at(3_000), at(2_500)), Err(Ended::Calls));
    entry.tick(&[load(450, 5)], at(3_000));
    assert_eq!(entry.status().live, 0);
}

#[test]
fn a_holder_who_is_gone_holds_no_place_and_counts_again_when_he_speaks() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    let served = |millis: u64| [load(450 + millis, 5)];
    for nonce in 0..20 {
        holder(&entry, nonce, at(1_000));
        entry.tick(&served(0), at(1_000));
    }
    // The usual gap is 200 ms; half of them go on with it.
    for millis in [200, 400, 600, 800, 1_000, 1_200, 1_400_u64] {
        for nonce in 0..10 {
            // The budget ends calls, not silence.
            entry.call(nonce + 100 * millis, expires, at(1_000 + millis)).ok();
            if millis < 700 {
                assert_eq!(entry.call(nonce, expires, at(1_000 + millis)), Ok(()));
            }
        }
        entry.tick(&served(millis), at(1_000 + millis));
    }
    let status = entry.status();
    assert!(status.silence < Duration::from_secs(1), "{status:?}");
    for millis in 1_400..4_000 {
        entry.tick(&served(millis), at(1_000 + millis));
    }
    assert_eq!(entry.status().in_progress, 0);
    assert_eq!(entry.call(15, expires, at(5_000)), Ok(()));
    assert_eq!(entry.status().in_progress, 1);
}

#[test]
fn nobody_goes_silent_while_the_upstream_stands_still() {
    let entry = informed(settings());
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in 0..10 {
        holder(&entry, nonce, at(1_000));
        assert_eq!(entry.call(nonce, expires, at(1_200)), Ok(()));
    }
    for millis in 1_200..60_000 {
        // Nothing is served after the first tenth of a second.
        entry.tick(&[load(450 + (millis.min(1_300) - 1_200) / 2, 5)], at(millis));
    }
    assert_eq!(entry.status().in_progress, 10);
}

#[test]
fn whatever_threads_do_at_once_the_sums_close() {
    let entry = informed(settings());
    let looks = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (entry, looks) = (&entry, &looks);
            scope.spawn(move || {
                for turn in 0..20_000_u64 {
                    let now = at(1_000 + turn / 10);
                    let nonce = thread << 32 | turn;
                    if let Some(begun) = entry.take(Standing::OnTime, turn % 2 == 0, now) {
                        if turn % 3 == 0 {
                            drop(begun);
                        } else {
                            begun.grant(nonce, now);
                            entry.call(nonce, at(1_000 + TTL_MILLIS), now).unwrap();
                            entry.finish(nonce, now);
                        }
                    }
                    entry.tick(&[load(turn, 5)], now);
                    looks.fetch_add(
                        u32::from(entry.peek(Standing::New, true, now)),
                        Ordering::Relaxed,
                    );
                }
            });
        }
    });
    let status = entry.status();
    assert_eq!((status.begun, status.in_progress), (0, 0));
    // In a full table one may lose the place that was made for it to another.
    assert!(status.given > 1_000 && (900..=1_000).contains(&status.live), "{status:?}");
}

#[test]
fn who_has_finished_makes_room_in_a_full_table() {
    let entry = informed(EntrySettings { max_grants: 3, ..settings() });
    let expires = at(1_000 + TTL_MILLIS);
    for nonce in 0..1_000 {
        holder(&entry, nonce, at(1_000));
        assert!(entry.status().live <= 3);
        // Its calls are counted: it has its place.
        assert_eq!((0..9).filter(|_| entry.call(nonce, expires, at(1_000)).is_ok()).count(), 3);
        entry.finish(nonce, at(1_000));
    }
    assert!(entry.peek(Standing::OnTime, true, at(1_000)));
    entry.tick(&[load(450, 5)], expires);
    assert_eq!(entry.status().live, 0);
}

#[derive(Clone, Debug)]
enum Act {
    Advance(u64),
    Grant(u64),
    Call(u64),
    GiveBack(u64),
    Finish(u64),
    End(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let nonce = 0..40_u64;
    let act = prop_oneof![
        2 => (10..20_000_u64).prop_map(Act::Advance),
        3 => nonce.clone().prop_map(Act::Grant),
        6 => nonce.clone().prop_map(Act::Call),
        2 => nonce.clone().prop_map(Act::GiveBack),
        2 => nonce.clone().prop_map(Act::Finish),
        1 => nonce.prop_map(Act::End),
    ];
    vec(act, 1..300)
}

/// What is known of one grant.
#[derive(Clone, Copy)]
struct Known {
    expires: u64,
    calls: u32,
    over: bool,
    ended: bool,
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-1.0),
        Just(0.0),
        0.0..2.0_f64,
        any::<f64>(),
    ]
}

fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), 0..10_000_u64, any::<u64>()]
}

fn any_settings() -> impl Strategy<Value = EntrySettings> {
    let ttl = any_count().prop_map(Duration::from_nanos);
    let max = prop_oneof![Just(0), Just(usize::MAX), 0..100_usize];
    (any::<u32>(), any_number(), ttl, any::<u32>(), max).prop_map(
        |(steps, headroom, ttl, calls, max_grants)| EntrySettings {
            steps,
            headroom,
            ttl,
            calls,
            max_grants,
        },
    )
}

fn any_load() -> impl Strategy<Value = Load> {
    let counts = (any_count(), any_count(), any_count(), any_count());
    (counts, any::<u32>(), any::<u32>()).prop_map(
        |((services, nanos, ranked, waits), limit, steps)| {
            let mut totals = Totals::default();
            totals.services = services;
            totals.service_nanos = nanos;
            totals.ranked = ranked;
            totals.ranked_wait_nanos = waits;
            totals.limit = limit;
            Load { upstream: 1, totals, steps }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn the_table_says_what_a_plain_one_says(acts in acts()) {
        // Time stands still for entry control, which is not asked; so nothing goes silent. There is room for
        // all of them.
        let entry = informed(settings());
        let mut known: HashMap<u64, Known> = HashMap::new();
        let mut now = 1_000;
        for act in acts {
            // Far from all of them are cleared up in passing: the whole table is looked at.
            entry.tick(&[load(450, 5)], at(now));
            known.retain(|_, grant| grant.expires > now);
            let fresh = Known { expires: now + TTL_MILLIS, calls: 1, over: false, ended: false };
            match act {
                Act::Advance(millis) => now += millis,
                Act::Grant(nonce) => {
                    let begun = entry.take(Standing::OnTime, true, at(now));
                    if let Some(begun) = begun {
                        begun.grant(nonce, at(now));
                        known.entry(nonce).or_insert(fresh);
                    }
                }
                Act::Call(nonce) => {
                    let expires = known.get(&nonce).map_or(fresh.expires, |grant| grant.expires);
                    let said = entry.call(nonce, at(expires), at(now));
                    let grant = known.entry(nonce).or_insert(fresh);
                    let expected = match *grant {
                        Known { ended: true, .. } => Err(Ended::Over),
                        Known { calls: 4.., .. } => Err(Ended::Calls),
                        _ => Ok(()),
                    };
                    grant.calls += u32::from(expected.is_ok());
                    prop_assert_eq!(said, expected);
                }
                Act::GiveBack(nonce) => {
                    entry.give_back(nonce, at(now));
                    if let Some(grant) = known.get_mut(&nonce) {
                        grant.calls = (grant.calls - 1).max(1);
                    }
                }
                Act::Finish(nonce) => {
                    entry.finish(nonce, at(now));
                    if let Some(grant) = known.get_mut(&nonce) {
                        grant.over = true;
                    }
                }
                Act::End(nonce) => {
                    entry.end(nonce, at(now));
                    known.entry(nonce).or_insert(fresh).ended = true;
                }
            }
            let status = entry.status();
            prop_assert_eq!(status.begun, 0);
            prop_assert_eq!(status.live, known.len() as u64);
            let active = known.values().filter(|grant| !grant.over && !grant.ended).count();
            prop_assert_eq!(status.in_progress, active as u64);
        }
    }

    #[test]
    fn whatever_is_measured_what_comes_out_are_numbers_within_bounds(
        first in any_settings(),
        then in any_settings(),
        looks in vec((vec(any_load(), 0..4), any_count(), any::<u64>()), 1..40),
    ) {
        let entry = Arc::new(Entry::new(first, Timestamp::default()));
        for (turn, (loads, time, nonce)) in looks.into_iter().enumerate() {
            let now = Timestamp::from_nanos(time);
            if turn == 20 {
                entry.apply(then, now);
            }
            entry.tick(&loads, now);
            let mut begun = Vec::new();
            for standing in [Standing::New, Standing::OnTime, early()] {
                let seen = entry.peek(standing, turn % 2 == 0, now);
                let taken = entry.take(standing, turn % 2 == 0, now);
                prop_assert_eq!(taken.is_some(), seen);
                begun.extend(taken);
            }
            if let Some(begun) = begun.pop() {
                begun.grant(nonce, now);
            }
            // Both may be refused: the times are anything.
            entry.call(nonce, Timestamp::MAX, now).ok();
            entry.call(!nonce, now, now).ok();
            entry.finish(nonce, now);
            let status = entry.status();
            let settings = if turn < 20 { first } else { then };
            prop_assert!(status.rate.is_finite() && status.rate >= 0.0, "{:?}", status);
            prop_assert!(status.capacity.is_finite() && status.capacity >= 0.0, "{:?}", status);
            prop_assert!(status.calls_per_grant >= 1.0, "{:?}", status);
            prop_assert!(status.calls_per_grant <= f64::from(settings.calls.max(settings.steps).max(1)));
            prop_assert!((0.001..=1.25).contains(&status.factor), "{:?}", status);
            prop_assert!(status.silence <= settings.ttl, "{:?}", status);
            prop_assert!(status.live <= first.max_grants.max(then.max_grants) as u64);
        }
    }
}
