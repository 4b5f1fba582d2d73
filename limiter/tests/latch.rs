//! The sold-out latch, from outside.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use floodgate_limiter::{LatchSettings, Latches, Look, Seen, Stock, Timestamp};
use proptest::prelude::*;
use support::{Random, at};

const SKU: u64 = 0x5EED_0001;
const TTL: Duration = Duration::from_secs(2);
const SETTINGS: LatchSettings = LatchSettings { max_skus: 64, ttl: TTL, low: 0 };
const SERVED: Seen = Seen { remaining: None, state: None, sold_out: false };
const REFUSED: Seen = Seen { remaining: None, state: None, sold_out: true };

fn left(remaining: u64) -> Seen {
    Seen { remaining: Some(remaining), ..SERVED }
}

fn is(stock: Stock) -> Seen {
    Seen { state: Some(stock), ..SERVED }
}

/// An answer that comes at once.
fn observe(latches: &Latches, seen: Seen, now: Timestamp) -> Option<Stock> {
    latches.observe(SKU, "shoe", seen, now, now)
}

fn latched(stock: Stock) -> Latches {
    let latches = Latches::new(SETTINGS);
    assert_eq!(observe(&latches, is(stock), at(0)), Some(stock));
    latches
}

#[test]
fn what_nobody_said_anything_about_passes() {
    let latches = Latches::new(SETTINGS);
    assert_eq!(latches.look(SKU, at(0)), Look::Pass);
    assert_eq!(observe(&latches, SERVED, at(0)), None);
    assert!(latches.list().is_empty() && !latches.claim_canary(SKU, at(9_000)));
}

#[test]
fn an_explicit_state_or_an_empty_stock_latches_at_once() {
    let latches = Latches::new(SETTINGS);
    assert_eq!(observe(&latches, left(5), at(0)), None);
    assert_eq!(observe(&latches, left(0), at(1)), Some(Stock::ReservedOut));
    assert_eq!(latches.look(SKU, at(1)), Look::Refuse(Stock::ReservedOut));
    assert_eq!(observe(&latches, is(Stock::SoldOut), at(2)), Some(Stock::SoldOut));
    assert_eq!(latches.look(SKU, at(2)), Look::Refuse(Stock::SoldOut));
    assert_eq!(observe(&latches, left(0), at(3)), None);
    assert_eq!(latches.look(SKU, at(3)), Look::Refuse(Stock::SoldOut));
    assert_eq!(latches.changes(), 2);
}

#[test]
fn little_stock_is_low_and_passes() {
    let latches = Latches::new(LatchSettings { low: 3, ..SETTINGS });
    assert_eq!(observe(&latches, left(4), at(0)), None);
    assert_eq!(observe(&latches, left(3), at(1)), Some(Stock::Low));
    assert_eq!(latches.look(SKU, at(1)), Look::Pass);
    // It was under way when the stock became low, and it counts: nothing was latched.
    let late = latches.observe(SKU, "shoe", left(0), at(0), at(2));
    assert_eq!(late, Some(Stock::ReservedOut));
}

#[test]
fn an_answer_to_an_older_question_neither_opens_nor_latches() {
    let latches = latched(Stock::SoldOut);
    assert_eq!(observe(&latches, left(7), at(2_000)), Some(Stock::Open));
    for seen in [left(0), is(Stock::SoldOut), is(Stock::ReservedOut), REFUSED, REFUSED, REFUSED] {
        assert_eq!(latches.observe(SKU, "shoe", seen, at(1_999), at(2_001)), None);
    }
    assert_eq!(observe(&latches, is(Stock::SoldOut), at(2_001)), Some(Stock::SoldOut));
    for seen in [left(9), is(Stock::Open), is(Stock::Low), SERVED] {
        assert_eq!(latches.observe(SKU, "shoe", seen, at(2_000), at(9_000)), None);
    }
    assert_eq!(latches.look(SKU, at(2_002)), Look::Refuse(Stock::SoldOut));
}

#[test]
fn the_third_refusal_within_a_second_latches() {
    let latches = Latches::new(SETTINGS);
    assert_eq!(observe(&latches, REFUSED, at(0)), None);
    assert_eq!(observe(&latches, REFUSED, at(500)), None);
    assert_eq!(observe(&latches, REFUSED, at(1_001)), None);
    assert_eq!(observe(&latches, REFUSED, at(1_500)), Some(Stock::SoldOut));
}

#[test]
fn a_sale_between_refusals_starts_the_count_anew() {
    let latches = Latches::new(SETTINGS);
    for sale in [SERVED, left(3), is(Stock::Open), Seen { remaining: Some(3), ..REFUSED }] {
        for _ in 0..2 {
            assert_eq!(observe(&latches, REFUSED, at(0)), None);
        }
        assert_eq!(observe(&latches, sale, at(0)), None);
    }
    assert_eq!(latches.look(SKU, at(0)), Look::Pass);
}

#[test]
fn what_statuses_latched_a_status_opens_and_what_words_latched_only_words() {
    let by_status = Latches::new(SETTINGS);
    let last = (0..3).map(|_| observe(&by_status, REFUSED, at(0))).last().flatten();
    assert_eq!(last, Some(Stock::SoldOut));
    assert_eq!(observe(&by_status, SERVED, at(2_000)), Some(Stock::Open));

    let by_word = latched(Stock::ReservedOut);
    assert_eq!(observe(&by_word, SERVED, at(2_000)), None);
    assert_eq!(by_word.look(SKU, at(2_001)), Look::Canary(Stock::ReservedOut));
    assert_eq!(observe(&by_word, left(1), at(2_001)), Some(Stock::Open));
}

#[test]
fn one_canary_goes_per_ttl_and_a_lost_one_costs_a_ttl() {
    let latches = latched(Stock::SoldOut);
    assert!(!latches.claim_canary(SKU, at(1_999)));
    assert_eq!(latches.look(SKU, at(1_999)), Look::Refuse(Stock::SoldOut));
    assert_eq!(latches.look(SKU, at(2_000)), Look::Canary(Stock::SoldOut));
    assert!(latches.claim_canary(SKU, at(2_000)));
    assert_eq!(latches.look(SKU, at(2_000)), Look::Refuse(Stock::SoldOut));
    assert!(!latches.claim_canary(SKU, at(3_999)));
    assert!(latches.claim_canary(SKU, at(4_000)));
    assert_eq!(observe(&latches, left(2), at(4_000)), Some(Stock::Open));
    assert_eq!(latches.look(SKU, at(4_000)), Look::Pass);
}

#[test]
fn the_operator_has_the_last_word_on_what_was_asked_before() {
    let latches = latched(Stock::SoldOut);
    assert_eq!(latches.set(SKU, "shoe", Stock::Open, at(1_000)), Some(Stock::Open));
    assert_eq!(latches.observe(SKU, "shoe", is(Stock::SoldOut), at(999), at(1_001)), None);
    assert_eq!(latches.look(SKU, at(1_001)), Look::Pass);
    assert_eq!(latches.set(SKU, "shoe", Stock::ReservedOut, at(2_000)), Some(Stock::ReservedOut));
    assert_eq!(latches.observe(SKU, "shoe", left(8), at(1_999), at(2_001)), None);
    assert_eq!(latches.look(SKU, at(2_001)), Look::Refuse(Stock::ReservedOut));
    assert_eq!(observe(&latches, left(8), at(2_002)), Some(Stock::Open));
}

#[test]
fn a_full_table_forgets_what_can_be_bought_before_what_is_out() {
    let latches = Latches::new(LatchSettings { max_skus: 3, ..SETTINGS });
    let say = |sku: u64, seen, now| latches.observe(sku << 8, &sku.to_string(), seen, now, now);
    let names = || {
        let mut names: Vec<_> = latches.list().into_iter().map(|sku| sku.name).collect();
        names.sort();
        names.concat()
    };
    say(1, is(Stock::SoldOut), at(1));
    say(2, left(5), at(2));
    say(3, is(Stock::SoldOut), at(3));
    say(4, left(5), at(4));
    assert_eq!(names(), "134");
    say(5, is(Stock::SoldOut), at(5));
    assert_eq!(names(), "135");
    // All are out: what can be bought needs no place, what is out takes that of the one longest not heard of.
    say(6, left(5), at(6));
    assert_eq!(names(), "135");
    say(1, is(Stock::SoldOut), at(7));
    say(7, is(Stock::SoldOut), at(8));
    assert_eq!(names(), "157");
    assert_eq!(latches.latched(), 3);
}

#[test]
fn what_was_opened_and_forgotten_is_not_latched_by_an_older_answer() {
    let latches = Latches::new(LatchSettings { max_skus: 1, ..SETTINGS });
    observe(&latches, is(Stock::SoldOut), at(0));
    latches.set(SKU, "shoe", Stock::Open, at(100));
    latches.observe(SKU << 8, "hat", left(5), at(101), at(101));
    assert_eq!(latches.observe(SKU, "shoe", is(Stock::SoldOut), at(99), at(102)), None);
    assert_eq!(latches.look(SKU, at(102)), Look::Pass);
    assert_eq!(observe(&latches, is(Stock::SoldOut), at(103)), Some(Stock::SoldOut));
    // The same where the operator's word found no place.
    latches.set(SKU << 9, "coat", Stock::Open, at(200));
    assert_eq!(latches.observe(SKU << 9, "coat", is(Stock::SoldOut), at(199), at(201)), None);
}

#[test]
fn people_see_names_of_64_bytes_at_most_and_whole_letters() {
    let latches = Latches::new(SETTINGS);
    latches.observe(SKU, &"é".repeat(40), left(2), at(5), at(7));
    latches.observe(SKU << 8, "x", is(Stock::SoldOut), at(8), at(9));
    let [out, open] = &latches.list()[..] else { panic!() };
    assert_eq!((out.name.as_str(), out.stock, out.since), ("x", Stock::SoldOut, at(9)));
    assert_eq!(
        (open.name.clone(), open.remaining, open.observed),
        ("é".repeat(32), Some(2), at(7))
    );
}

#[test]
fn a_canary_that_found_nothing_out_does_not_cost_a_whole_ttl() {
    let latches = latched(Stock::SoldOut);
    assert!(latches.claim_canary(SKU, at(2_000)));
    // Refused behind the claim: the next may go at once.
    latches.unclaim_canary(SKU, at(2_000), false, at(2_001));
    assert_eq!(latches.look(SKU, at(2_001)), Look::Canary(Stock::SoldOut));
    assert!(latches.claim_canary(SKU, at(2_100)));
    // Asked, and nothing was said of the stock: not without end, however long that took.
    latches.unclaim_canary(SKU, at(2_100), true, at(2_900));
    assert_eq!(latches.look(SKU, at(3_099)), Look::Refuse(Stock::SoldOut));
    assert_eq!(latches.look(SKU, at(3_100)), Look::Canary(Stock::SoldOut));
    // One that comes back late takes nothing from the one that went after it.
    assert!(latches.claim_canary(SKU, at(3_100)));
    latches.unclaim_canary(SKU, at(2_100), false, at(3_100));
    assert_eq!(latches.look(SKU, at(5_099)), Look::Refuse(Stock::SoldOut));
    assert_eq!(observe(&latches, is(Stock::Open), at(5_100)), Some(Stock::Open));
    latches.unclaim_canary(SKU, at(3_100), false, at(5_101));
    assert_eq!(latches.look(SKU, at(5_101)), Look::Pass);
}

#[test]
fn another_size_keeps_what_is_known() {
    let latches = latched(Stock::SoldOut);
    latches.observe(SKU << 8, "hat", left(5), at(1), at(1));
    let larger = latches.resized(LatchSettings { max_skus: 1_000, ..SETTINGS });
    assert_eq!(larger.list(), latches.list());
    assert_eq!(Stock::ALL.map(|stock| larger.count(stock)), [1, 0, 0, 1]);
    assert_eq!(larger.look(SKU, at(1_999)), Look::Refuse(Stock::SoldOut));
    assert_eq!(larger.look(SKU, at(2_000)), Look::Canary(Stock::SoldOut));
    let smaller = latches.resized(LatchSettings { max_skus: 1, ..SETTINGS });
    assert_eq!(smaller.look(SKU, at(1)), Look::Refuse(Stock::SoldOut));
    assert_eq!(smaller.list().len(), 1);
}

#[test]
fn whoever_has_the_one_of_the_old_size_asks_and_tells_the_new_one() {
    let old = Latches::new(SETTINGS);
    let new = old.resized(LatchSettings { max_skus: 8, ..SETTINGS });
    assert_eq!(observe(&old, is(Stock::SoldOut), at(1)), Some(Stock::SoldOut));
    assert_eq!(new.look(SKU, at(1)), Look::Refuse(Stock::SoldOut));
    let newer = old.resized(LatchSettings { max_skus: 2, ..SETTINGS });
    assert!(newer.claim_canary(SKU, at(2_001)));
    assert_eq!(old.look(SKU, at(2_001)), Look::Refuse(Stock::SoldOut));
    newer.set(SKU, "shoe", Stock::Open, at(2_002));
    assert_eq!(old.look(SKU, at(2_002)), Look::Pass);
    let known = [&old, &*new, &*newer].map(|one| (one.list(), one.changes(), one.settings()));
    assert!(known.iter().all(|one| *one == known[2]), "{known:?}");
}

#[test]
fn nothing_that_is_told_while_the_size_changes_is_lost() {
    let old = Latches::new(LatchSettings { max_skus: 4_096, ..SETTINGS });
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let telling = scope.spawn(|| {
            for sku in 0..4_000 {
                old.observe(sku << 8, "one", is(Stock::SoldOut), at(1), at(1));
            }
            stop.store(true, Ordering::Relaxed);
        });
        let mut sizes = (4_097..).take(100);
        while !stop.load(Ordering::Relaxed) {
            let Some(max_skus) = sizes.next() else { break };
            drop(old.resized(LatchSettings { max_skus, ..SETTINGS }));
        }
        telling.join().unwrap();
    });
    assert_eq!(old.latched(), 4_000);
}

proptest! {
    #[test]
    fn it_never_opens_by_itself(
        steps in prop::collection::vec((0..3_000_u64, 0..6_u8, 0..3_000_u64), 1..60),
    ) {
        let latches = Latches::new(SETTINGS);
        let mut now = 10;
        observe(&latches, left(0), at(now));
        for (pause, step, ago) in steps {
            now += pause;
            match step {
                0 => drop(latches.claim_canary(SKU, at(now))),
                // Answers to what was asked before, and answers that say the same again or nothing.
                1 => drop(latches.observe(SKU, "shoe", left(9), at(9), at(now))),
                2 => drop(observe(&latches, left(0), at(now))),
                3 => drop(observe(&latches, REFUSED, at(now))),
                4 => drop(latches.observe(SKU, "shoe", SERVED, at(now.saturating_sub(ago)), at(now))),
                _ => latches.apply(LatchSettings { ttl: Duration::from_millis(ago), ..SETTINGS }),
            }
            prop_assert_ne!(latches.look(SKU, at(now)), Look::Pass);
        }
    }

    #[test]
    fn fewer_than_three_refusals_in_a_second_without_a_sale_never_latch(
        steps in prop::collection::vec((0..800_u64, any::<bool>()), 1..80),
    ) {
        let latches = Latches::new(SETTINGS);
        let mut now = 10_000;
        let mut refusals = vec![];
        for (pause, refused) in steps {
            now += pause;
            if !refused {
                refusals.clear();
                prop_assert_eq!(observe(&latches, SERVED, at(now)), None);
                continue;
            }
            refusals.retain(|&then| now - then <= 1_000);
            refusals.push(now);
            let expected = (refusals.len() >= 3).then_some(Stock::SoldOut);
            prop_assert_eq!(observe(&latches, REFUSED, at(now)), expected);
            if expected.is_some() {
                break;
            }
        }
    }
}

#[test]
fn from_any_number_of_threads_canaries_are_a_ttl_apart() {
    let latches = latched(Stock::SoldOut);
    let clock = AtomicU64::new(0);
    let mut claims: Vec<_> = thread::scope(|scope| {
        let claim = || {
            let mut claims = vec![];
            while clock.load(Ordering::Relaxed) < 400_000 {
                // Read a little late by some.
                let now = at(clock.fetch_add(1, Ordering::Relaxed));
                if let Look::Canary(_) = latches.look(SKU, now)
                    && latches.claim_canary(SKU, now)
                {
                    claims.push(now);
                }
            }
            claims
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(claim)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    claims.sort();
    assert!(claims.len() > 100, "only {} canaries", claims.len());
    for pair in claims.windows(2) {
        assert!(pair[1].saturating_since(pair[0]) >= TTL, "{pair:?}");
    }
}

#[test]
fn what_is_out_is_seen_as_out_while_others_come_and_go() {
    let latches = Latches::new(LatchSettings { max_skus: 64, ..SETTINGS });
    let out: Vec<u64> = (0..40_u64).map(|sku| sku.wrapping_mul(0x9E37_79B9_7F4A_7C15)).collect();
    for &sku in &out {
        latches.observe(sku, "out", is(Stock::SoldOut), at(0), at(0));
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for reader in 0..3 {
            let (latches, out, done) = (&latches, &out, &done);
            scope.spawn(move || {
                let mut random = Random::new(reader);
                while !done.load(Ordering::Relaxed) {
                    let sku = out[random.below(40) as usize];
                    assert_eq!(latches.look(sku, at(1)), Look::Refuse(Stock::SoldOut));
                }
            });
        }
        let mut random = Random::new(99);
        for _ in 0..50_000 {
            latches.observe(random.next() << 16, "open", left(1), at(1), at(1));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!((latches.latched(), latches.list().len()), (40, 64));
}
