//! Random lives: the table against a plain one, and numbers that are none of anybody's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{Ended, Entry, EntrySettings, Load, Standing, Timestamp, Totals};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::at;
use crate::{TTL_MILLIS, early, informed, load, settings};

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
