//! Who was told to come back when, and how many at once.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use floodgate_limiter::{Calendar, Returns, Standing, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

const SLOT: u64 = 100_000_000;
const SECOND: Duration = Duration::from_secs(1);

fn millis(millis: u64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

/// A digest as a keyed hash would give it.
fn digest(customer: u64) -> u64 {
    let x = customer.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ x >> 29).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

fn is_early(standing: Standing) -> bool {
    matches!(standing, Standing::Early { .. })
}

/// Return times by slot, as anybody could count them.
#[derive(Default)]
struct Counted(HashMap<u64, u32>);

impl Counted {
    fn add(&mut self, at: Timestamp) -> u64 {
        let slot = at.as_nanos() / SLOT;
        *self.0.entry(slot).or_default() += 1;
        slot
    }

    fn between(&self, first: u64, end: u64) -> u32 {
        (first..end).map(|slot| self.0.get(&slot).copied().unwrap_or(0)).sum()
    }

    /// The most in any second, wherever it begins.
    fn most_in_a_second(&self) -> u32 {
        let (first, last) = (self.0.keys().min(), self.0.keys().max());
        let (Some(&first), Some(&last)) = (first, last) else { return 0 };
        (first.saturating_sub(9)..=last).map(|slot| self.between(slot, slot + 10)).max().unwrap()
    }
}

proptest! {
    #[test]
    fn no_second_is_booked_beyond_its_budget_and_none_is_left_idle_before_another(
        seed: u64,
        per_second in 0.0..400.0_f64,
        start in 0..10_000_000_u64,
        gaps in vec(prop_oneof![4 => Just(0), 3 => 0..20_u64, 1 => 0..3_000_u64], 1..600),
    ) {
        let calendar = Calendar::new(seed);
        let budget = per_second.max(1.0);
        let (mut counted, mut now) = (Counted::default(), start);
        // What 30 s hold: the horizon is never full.
        for gap in gaps.into_iter().take((30.0 * budget) as usize) {
            now += gap;
            let at = calendar.book(millis(now), per_second);
            let wait = at.saturating_since(millis(now));
            prop_assert!((SECOND..=32 * SECOND).contains(&wait), "{wait:?}");

            let slot = counted.add(at);
            let first = (millis(now) + SECOND).as_nanos().div_ceil(SLOT);
            prop_assert!(slot >= first);
            let possible = (slot - first) as f64 * budget / 10.0 - 1.0;
            prop_assert!(f64::from(counted.between(first, slot)) >= possible, "room was left");
        }
        prop_assert!(f64::from(counted.most_in_a_second()) <= budget.ceil());
    }

    #[test]
    fn a_budget_that_changes_is_kept_to_slot_by_slot(
        seed: u64,
        changes in vec((1.0..300.0_f64, 1..200_usize, 0..500_u64), 1..30),
    ) {
        let calendar = Calendar::new(seed);
        let (mut counted, mut now) = (Counted::default(), 0);
        let highest = changes.iter().map(|change| change.0).fold(1.0, f64::max);
        let full = millis(24_000);
        for (budget, bookings, pause) in changes {
            now += pause;
            for _ in 0..bookings {
                let at = calendar.book(millis(now), budget);
                if at.saturating_since(millis(now)) >= full.saturating_since(millis(0)) {
                    return Ok(());
                }
                let slot = counted.add(at);
                // The slot had room by the budget that was asked for.
                prop_assert!(f64::from(counted.between(slot, slot + 1)) <= (budget / 10.0).ceil());
            }
        }
        prop_assert!(f64::from(counted.most_in_a_second()) <= highest.ceil() + 9.0);
    }

    #[test]
    fn no_budget_and_no_time_is_too_odd(
        seed: u64,
        calls in vec((any::<u64>(), any::<f64>()), 1..200),
    ) {
        let calendar = Calendar::new(seed);
        for (now, per_second) in calls {
            let now = Timestamp::from_nanos(now);
            let at = calendar.book(now, per_second);
            prop_assert!(at >= now || now + 33 * SECOND == Timestamp::MAX);
            prop_assert!(at <= now + 32 * SECOND);
        }
    }

    #[test]
    fn a_customer_stands_as_it_was_told_whatever_the_time_is(
        start in prop_oneof![0..1_u64 << 40, any::<u64>()],
        wait in 0..40_000_u64,
        later in 0..120_000_u64,
        customer: u64,
    ) {
        let returns = Returns::new(64);
        let now = Timestamp::from_nanos(start.min(u64::MAX - (1 << 40)));
        let told = now + Duration::from_millis(wait);
        returns.tell(customer, now, told);

        let later = now + Duration::from_millis(later);
        let tolerance = Duration::from_millis((wait / 20).max(50));
        let rounding = Duration::from_millis(15);
        match returns.standing(customer, later) {
            Standing::Early { told: noted } => {
                prop_assert!(noted <= told && told.saturating_since(noted) < rounding);
                prop_assert!(told.saturating_since(later) + rounding > tolerance);
            }
            Standing::OnTime => {
                prop_assert!(told.saturating_since(later) <= tolerance + rounding);
                prop_assert!(later.saturating_since(told) <= 60 * SECOND);
            }
            Standing::New => prop_assert!(later.saturating_since(told) + rounding > 60 * SECOND),
        }
    }
}

#[test]
fn returns_are_even_over_the_slots() {
    let calendar = Calendar::new(3);
    let mut counted = Counted::default();
    for _ in 0..45 * 20 {
        counted.add(calendar.book(millis(0), 45.0));
    }
    assert!(counted.0.values().all(|count| (4..=5).contains(count)), "{:?}", counted.0);
    assert!((10..200).all(|slot| counted.between(slot, slot + 10) == 45));
}

#[test]
fn returns_are_even_within_a_slot() {
    let calendar = Calendar::new(5);
    let mut tenths = [0_u32; 10];
    for _ in 0..10_000 {
        let at = calendar.book(millis(0), 10_000.0);
        tenths[(at.as_nanos() % SLOT / (SLOT / 10)) as usize] += 1;
    }
    assert!(tenths.iter().all(|count| (800..1_200).contains(count)), "{tenths:?}");
}

#[test]
fn somebody_comes_every_second_even_without_a_budget() {
    for budget in [0.0, -3.0, f64::NAN, 0.4, 1.0] {
        let calendar = Calendar::new(4);
        let mut counted = Counted::default();
        for _ in 0..30 {
            counted.add(calendar.book(millis(0), budget));
        }
        assert!(
            (10..310).step_by(10).all(|slot| counted.between(slot, slot + 10) == 1),
            "{budget}"
        );
    }
}

#[test]
fn the_cores_do_not_meet_in_one_slot() {
    let slots: Vec<u64> =
        (0..64).map(|core| Calendar::new(core).book(millis(0), 1.0).as_nanos() / SLOT).collect();
    for slot in 10..20 {
        let met = slots.iter().filter(|&&other| other == slot).count();
        assert!(met <= 16, "{met} of 64 in slot {slot}");
    }
}

#[test]
fn who_finds_the_horizon_full_is_spread_over_its_last_quarter() {
    let calendar = Calendar::new(9);
    for _ in 0..31 * 45 {
        calendar.book(millis(0), 45.0);
    }
    let mut counted = Counted::default();
    for _ in 0..8_000 {
        let at = calendar.book(millis(0), 45.0);
        assert!((24 * SECOND..=32 * SECOND).contains(&at.saturating_since(millis(0))));
        counted.add(at);
    }
    assert!((240..320).all(|slot| (50..200).contains(&counted.between(slot, slot + 1))));
}

#[test]
fn a_budget_that_rises_fills_up_what_had_been_full() {
    let calendar = Calendar::new(1);
    for _ in 0..100 {
        calendar.book(millis(0), 10.0);
    }
    // Not looked through again within the same slot of time, but later.
    assert!(calendar.book(millis(0), 100.0) >= millis(10_000));
    // Ten seconds are booked at 10 per second. With 100 per second each of them takes 90 more.
    for _ in 0..900 {
        let at = calendar.book(millis(100), 100.0);
        assert!(at < millis(11_200), "{at:?}");
    }
    // And at 10 per second again they are all full.
    assert!(calendar.book(millis(100), 10.0) >= millis(11_000));
}

#[test]
fn a_calendar_begins_anew_after_a_silence_and_when_the_clock_is_another() {
    let calendar = Calendar::new(2);
    for _ in 0..100_000 {
        calendar.book(millis(3_600_000), 10.0);
    }
    let soon = |now: u64| calendar.book(millis(now), 10.0).saturating_since(millis(now));
    assert!(soon(3_600_000 + 33_000) < 2 * SECOND);
    assert!(soon(5_000) < 2 * SECOND);
}

#[test]
fn a_step_back_of_the_clock_does_not_begin_anew() {
    let calendar = Calendar::new(2);
    let mut counted = Counted::default();
    for booking in 0..1_000_u64 {
        let now = 60_000 + booking * 10 - booking % 7 * 20;
        counted.add(calendar.book(millis(now), 50.0));
    }
    assert!(counted.most_in_a_second() <= 50);
}

#[test]
fn whoever_hammers_keeps_the_time_it_was_told() {
    let returns = Returns::new(100);
    returns.tell(7, millis(1_000), millis(9_000));
    let mut first = None;
    for now in 1_000..8_500 {
        let Standing::Early { told } = returns.standing(7, millis(now)) else { panic!("{now}") };
        assert_eq!(*first.get_or_insert(told), told);
    }
    assert_eq!(returns.standing(7, millis(8_700)), Standing::OnTime);
}

#[test]
fn being_on_time_counts_once_when_it_is_forgotten() {
    let returns = Returns::new(100);
    returns.tell(7, millis(0), millis(2_000));
    returns.tell(8, millis(0), millis(2_000));
    returns.forget(7);
    returns.forget(9);
    assert_eq!(returns.standing(7, millis(2_000)), Standing::New);
    assert_eq!(returns.standing(8, millis(2_000)), Standing::OnTime);
}

#[test]
fn what_was_told_days_ago_does_not_matter() {
    let returns = Returns::new(100);
    returns.tell(7, millis(0), millis(2_000));
    for hours in 1..13 * 24 {
        assert_eq!(returns.standing(7, millis(hours * 3_600_000)), Standing::New, "{hours}");
    }
}

#[test]
fn told_again_is_told_instead_and_costs_nobody_the_place() {
    // One bucket.
    let returns = Returns::new(4);
    let told = |customer: u64| millis(10_000 + customer * 100);
    for customer in (1..=8).chain([3, 3, 8, 5, 5, 1]) {
        returns.tell(customer, millis(0), told(customer));
    }
    for customer in 1..=8 {
        let standing = returns.standing(customer, millis(9_000));
        let Standing::Early { told: noted } = standing else { panic!("{customer}: {standing:?}") };
        assert!(told(customer).saturating_since(noted) < Duration::from_millis(5));
    }
    // Its tag is that of an empty word.
    assert_eq!(Returns::new(4).standing(0, millis(0)), Standing::New);
    let empty = Returns::new(4);
    empty.tell(1, millis(0), told(1));
    assert_eq!(empty.standing(0, millis(0)), Standing::New);
}

#[test]
fn without_room_everybody_is_new() {
    let returns = Returns::new(0);
    returns.tell(7, millis(0), millis(2_000));
    returns.forget(7);
    assert_eq!(returns.standing(7, millis(1_000)), Standing::New);
    assert_eq!(returns.memory(), 0);
}

#[test]
fn as_many_as_there_is_room_for_are_remembered() {
    let returns = Returns::new(100_000);
    for customer in 0..100_000 {
        returns.tell(digest(customer), millis(0), millis(10_000));
    }
    let early = (0..100_000).filter(|&c| is_early(returns.standing(digest(c), millis(1)))).count();
    assert!(early >= 98_500, "{early} of 100,000");
}

#[test]
fn a_flood_of_invented_customers_takes_no_memory_and_nobodys_place() {
    // Ten million take 10 s without optimisation.
    const FLOOD: u64 = if cfg!(debug_assertions) { 2_000_000 } else { 10_000_000 };
    const ROOM: u64 = 50_000;
    let returns = Returns::new(ROOM as usize);
    let honest = |customer| digest(u64::MAX / 2 + customer);
    for customer in 0..ROOM / 10 {
        returns.tell(honest(customer), millis(0), millis(12_000));
    }
    for invented in 0..FLOOD {
        let now = millis(1 + invented * 10_000 / FLOOD);
        returns.tell(digest(invented), now, now + Duration::from_secs(28));
    }
    assert!(returns.memory() <= ROOM as usize * 16 * 102 / 100, "{} bytes", returns.memory());

    // The flood lasted 10 s. Those who were told before it, to come before it, are still known.
    let known = (0..ROOM / 10).filter(|&c| is_early(returns.standing(honest(c), millis(10_000))));
    assert!(known.count() as u64 > ROOM / 10 * 98 / 100);
    let strangers = (0..1_000_000).map(|c| digest(u64::MAX / 4 + c));
    let mistaken = strangers.filter(|&c| returns.standing(c, millis(10_000)) != Standing::New);
    // 0.06 are expected: more than 3 in one of 10^6 tables.
    assert!(mistaken.count() <= 3);
}

#[test]
fn to_come_on_time_counts_once_for_every_time_that_was_told() {
    let returns = Returns::new(64);
    assert!(!returns.redeem(digest(1), millis(0)), "was told nothing");
    for told in [5_000, 20_000] {
        returns.tell(digest(1), millis(told - 4_000), millis(told));
        assert!(!returns.redeem(digest(1), millis(told - 1_000)), "too early");
        assert!(
            is_early(returns.standing(digest(1), millis(told - 1_000))),
            "which changes nothing"
        );
        assert!(!returns.redeem(digest(2), millis(told)), "somebody else");
        assert!(returns.redeem(digest(1), millis(told)));
        assert!(!returns.redeem(digest(1), millis(told)));
        assert_eq!(returns.standing(digest(1), millis(told)), Standing::New);
    }
    returns.tell(digest(1), millis(30_000), millis(31_000));
    assert!(!returns.redeem(digest(1), millis(200_000)), "too late");
}

#[test]
fn of_many_requests_of_one_customer_at_once_one_is_on_time() {
    const THREADS: u64 = 4;
    let (returns, barrier) = (Returns::new(64), Barrier::new(THREADS as usize));
    let redeemed: Vec<AtomicU64> = (0..2_000).map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (returns, barrier, redeemed) = (&returns, &barrier, &redeemed);
            scope.spawn(move || {
                for (customer, count) in (0..).map(digest).zip(redeemed) {
                    if thread == 0 {
                        returns.tell(customer, millis(0), millis(1_000));
                    }
                    barrier.wait();
                    let is_on_time = returns.redeem(customer, millis(1_000));
                    count.fetch_add(u64::from(is_on_time), Ordering::Relaxed);
                    barrier.wait();
                }
            });
        }
    });
    assert!(redeemed.into_iter().all(|count| count.into_inner() == 1));
}

#[test]
fn cores_that_write_together_mix_no_customers() {
    const THREADS: u64 = 4;
    let (returns, barrier) = (Returns::new(64), Barrier::new(THREADS as usize));
    let wrong = AtomicU64::new(0);
    // Whose time is whose can be read off the time.
    let told = |customer: u64| millis(10_000 + customer * 10);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (returns, barrier, wrong) = (&returns, &barrier, &wrong);
            scope.spawn(move || {
                barrier.wait();
                for round in 0..50_000 {
                    let customer = digest(round * THREADS + seed) % 1_000;
                    returns.tell(digest(customer), millis(0), told(customer));
                    let other = digest(round) % 1_000;
                    if let Standing::Early { told: noted } =
                        returns.standing(digest(other), millis(0))
                        && told(other).saturating_since(noted) >= Duration::from_millis(5)
                    {
                        wrong.fetch_add(1, Ordering::Relaxed);
                    }
                    if round % 5 == 0 {
                        returns.forget(digest(other));
                    }
                }
            });
        }
    });
    assert_eq!(wrong.into_inner(), 0);
}
