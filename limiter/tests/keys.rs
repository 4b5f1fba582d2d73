//! Rates per key: what a key may do, what becomes of it when there are too many, what a reload changes.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use floodgate_limiter::{Digest, Keys, Rate, RefusedKeys, Seed, Timestamp};
use support::at;

const SECOND: Duration = Duration::from_secs(1);

fn rate(count: u64, burst: u32) -> Rate {
    Rate::new(count, SECOND, burst).unwrap()
}

fn key(seed: &Seed, n: u64) -> Digest {
    seed.digest(&n.to_be_bytes())
}

fn spend(keys: &Keys, key: Digest, now: Timestamp) -> u32 {
    let mut taken = 0;
    while keys.take(key, now).is_ok() {
        taken += 1;
        assert!(taken < 10_000, "there is no end to it");
    }
    taken
}

#[test]
fn each_key_has_a_burst_and_then_its_rate_to_the_nanosecond() {
    let seed = Seed::new();
    let keys = Keys::new(rate(10, 20), 100);
    for n in 0..50 {
        assert_eq!(spend(&keys, key(&seed, n), at(0)), 20);
    }
    let one = key(&seed, 7);
    let tenth = 100_000_000;
    assert_eq!(keys.peek(one, at(0)), Err(Duration::from_nanos(tenth)));
    assert_eq!(keys.take(one, Timestamp::from_nanos(1)), Err(Duration::from_nanos(tenth - 1)));
    assert_eq!(keys.peek(one, Timestamp::from_nanos(tenth - 1)), Err(Duration::from_nanos(1)));
    assert_eq!(keys.peek(one, Timestamp::from_nanos(tenth)), Ok(()));
    assert_eq!(spend(&keys, one, Timestamp::from_nanos(tenth)), 1);
    assert_eq!(spend(&keys, one, at(10_000)), 20);
}

#[test]
fn a_burst_of_one_and_a_rate_of_nothing() {
    let one = key(&Seed::new(), 1);
    let keys = Keys::new(rate(1, 1), 1);
    assert_eq!(spend(&keys, one, at(0)), 1);
    assert_eq!(keys.take(one, at(999)), Err(Duration::from_millis(1)));
    assert_eq!(spend(&keys, one, at(1_000)), 1);
    let closed = Keys::new(Rate::CLOSED, 1);
    assert_eq!(closed.peek(one, at(0)), Err(Duration::MAX));
    assert_eq!(closed.take(one, Timestamp::MAX), Err(Duration::MAX));
    assert_eq!(closed.status().keys, 0);
}

#[test]
fn a_look_changes_nothing() {
    let seed = Seed::new();
    let keys = Keys::new(rate(10, 2), 100);
    spend(&keys, key(&seed, 0), at(0));
    let before = format!("{keys:?}");
    for n in 0..1_000 {
        assert_eq!(keys.peek(key(&seed, n), at(0)).is_ok(), n > 0);
    }
    assert!(keys.take(key(&seed, 0), at(0)).is_err());
    assert_eq!(format!("{keys:?}"), before);
}

#[test]
fn what_a_core_remembers_is_what_it_would_find() {
    let (seed, refused) = (Seed::new(), RefusedKeys::new());
    let keys = Keys::new(rate(10, 2), 5_000);
    let other = Keys::new(rate(10, 2), 5_000);
    for n in 0..3_000 {
        spend(&keys, key(&seed, n), at(0));
    }
    for now in [0, 0, 50, 99, 100, 99, 150, 300] {
        for n in 0..3_000 {
            let one = key(&seed, n);
            assert_eq!(keys.peek_by(&refused, one, at(now)), keys.peek(one, at(now)), "{n} {now}");
            assert_eq!(other.peek_by(&refused, one, at(now)), Ok(()));
        }
    }
    let one = key(&seed, 1);
    spend(&keys, one, at(400));
    assert!(keys.peek_by(&refused, one, at(400)).is_err());
    assert_eq!(keys.peek_by(&refused, one, at(450)), Err(Duration::from_millis(50)));
    let faster = keys.changed(rate(100, 20), 5_000, at(450));
    assert_eq!(faster.peek_by(&refused, one, at(450)), Ok(()));
    let closed = keys.changed(Rate::CLOSED, 5_000, at(450));
    assert_eq!(closed.peek_by(&refused, one, at(450)), Err(Duration::MAX));
    assert_eq!(closed.peek_by(&refused, one, at(450)), Err(Duration::MAX));
}

#[test]
fn a_clock_that_goes_backwards_or_jumps_admits_no_more() {
    let one = key(&Seed::new(), 1);
    let keys = Keys::new(rate(10, 5), 10);
    assert_eq!(spend(&keys, one, at(3_600_000)), 5);
    assert_eq!(spend(&keys, one, at(3_599_990)), 0);
    assert_eq!(keys.peek(one, at(3_599_990)), Err(Duration::from_millis(110)));
    // Back to the start: the hour has been accounted for.
    assert_eq!(spend(&keys, one, at(0)), 0);
    assert_eq!(keys.peek(one, at(0)), Err(Duration::from_millis(3_600_100)));
    assert_eq!(spend(&keys, one, at(7_200_000)), 5);
}

#[test]
fn the_end_of_time_admits_no_more_than_a_burst() {
    let one = key(&Seed::new(), 1);
    for count in [1, 1_000_000] {
        let keys = Keys::new(Rate::new(count, SECOND, 9).unwrap(), 10);
        assert_eq!(spend(&keys, one, Timestamp::MAX), 9);
        assert_eq!(spend(&keys, one, Timestamp::MAX), 0);
    }
}

#[test]
fn another_rate_keeps_what_is_owed() {
    let seed = Seed::new();
    let (spent, half, fresh) = (key(&seed, 0), key(&seed, 1), key(&seed, 2));
    let keys = Keys::new(Rate::new(10, SECOND * 3_600, 10).unwrap(), 10);
    assert_eq!(spend(&keys, spent, at(0)), 10);
    (0..5).for_each(|_| keys.take(half, at(0)).unwrap());

    // A raised one lets nobody wait as long as the old one would have.
    let raised = keys.changed(rate(10, 10), 10, at(0));
    assert_eq!(raised.peek(spent, at(0)), Err(Duration::from_millis(100)));
    assert_eq!(spend(&raised, half, at(0)), 5);
    assert_eq!(spend(&raised, fresh, at(0)), 10);
    assert_eq!(spend(&raised, spent, at(500)), 5);

    // A lowered one gives nobody a fresh burst.
    let lowered = raised.changed(rate(1, 10), 10, at(500));
    for one in [spent, half] {
        assert_eq!(spend(&lowered, one, at(500)), if one == half { 5 } else { 0 });
    }
    assert_eq!(lowered.peek(spent, at(500)), Err(SECOND));
    // The same again is no change.
    let same = lowered.changed(rate(1, 10), 10, at(800));
    assert_eq!(same.peek(spent, at(800)), Err(Duration::from_millis(700)));
}

#[test]
fn times_mean_the_same_however_late_a_rate_came() {
    // governor counts from when it was made: a limiter made after an hour must not find an hour owed.
    let one = key(&Seed::new(), 1);
    let keys = Keys::new(rate(10, 5), 10);
    let hour = 3_600_000;
    assert_eq!(spend(&keys, one, at(hour)), 5);
    let later = keys.changed(rate(20, 5), 10, at(hour));
    assert_eq!(later.peek(one, at(hour)), Err(Duration::from_millis(50)));
    assert_eq!(spend(&later, one, at(hour + 250)), 5);
}

#[test]
fn no_more_keys_than_allowed_for_and_no_key_gets_more_than_its_rate() {
    let seed = Seed::new();
    for max_keys in [1, 3, 100, 5_000] {
        let keys = Keys::new(rate(1, 3), max_keys);
        let mut admitted = [0; 64];
        for n in 0..40_000 {
            let n = n * 31 % 9_973;
            if keys.take(key(&seed, n), at(0)).is_ok() && n < 64 {
                admitted[n as usize] += 1;
            }
        }
        assert!(keys.status().keys <= max_keys, "{:?}", keys.status());
        assert!(admitted.iter().all(|&count| count <= 3), "{admitted:?}");
        assert!(keys.status().in_company > 0);
    }
}

#[test]
fn only_who_owes_nothing_makes_room() {
    let seed = Seed::new();
    let keys = Keys::new(rate(1, 4), 8);
    let owing: Vec<Digest> = (0..8).map(|n| key(&seed, n)).collect();
    owing.iter().for_each(|key| assert_eq!(spend(&keys, *key, at(0)), 4));
    for n in 100..10_000 {
        let _taken = keys.take(key(&seed, n), at(n % 1_000));
    }
    // Each has earned one, and no more.
    owing.iter().for_each(|key| assert_eq!(spend(&keys, *key, at(1_000)), 1));
    assert_eq!(keys.status().keys, 8);
    // They have been silent for long: all of them may be forgotten, and are the same when they come back.
    for n in 100..200 {
        let _taken = keys.take(key(&seed, n), at(60_000));
    }
    owing.iter().for_each(|key| assert!(spend(&keys, *key, at(60_000)) <= 4));
}

#[test]
fn who_was_in_company_brings_along_what_was_used_there() {
    let seed = Seed::new();
    let keys = Keys::new(rate(1, 4), 1);
    let (first, second) = (key(&seed, 1), key(&seed, 2));
    keys.take(first, at(0)).unwrap();
    // No place: the only company there is.
    assert_eq!(spend(&keys, second, at(0)), 4);
    assert_eq!(keys.status().in_company, 4);
    // The place is free from a second on; the burst is not given anew.
    assert_eq!(spend(&keys, second, at(1_000)), 1);
    assert_eq!(keys.status().in_company, 4);
    assert_eq!(spend(&keys, second, at(2_000)), 1);
}

#[test]
fn a_crowd_of_invented_keys_does_not_drive_out_the_regulars() {
    let seed = Seed::new();
    let keys = Keys::new(rate(10, 20), 1_000);
    let regulars: Vec<Digest> = (0..500).map(|n| key(&seed, n)).collect();
    let (mut refused, mut invented) = (0, 1_000_000);
    // Each comes every second, at a tenth of its rate, while 50,000 others come once.
    for step in 0..20_000 {
        let now = at(step);
        if step % 2 == 0 {
            let regular = regulars[step as usize / 2 % 500];
            refused += u32::from(keys.peek(regular, now).is_err());
            refused += u32::from(keys.take(regular, now).is_err());
        }
        if step >= 2_000 {
            for _ in 0..50 {
                invented += 1;
                let _taken = keys.take(key(&seed, invented), now);
            }
        }
    }
    assert_eq!(refused, 0);
    assert!(keys.status().in_company > 0, "it was no crowd");
}

#[test]
fn regulars_beyond_the_room_there_is_make_room_for_each_other() {
    let seed = Seed::new();
    let keys = Keys::new(rate(10, 20), 1_000);
    let mut refused = 0;
    // As many as there is room for, each at a tenth of its rate; then twice as many.
    for step in 0..50_000_u64 {
        let (regular, now) = match step {
            0..4_000 => (step % 1_000, step),
            _ => (step * 7_919 % 2_000, 4_000 + (step - 4_000) / 2),
        };
        refused += u32::from(keys.take(key(&seed, regular), at(now)).is_err());
    }
    assert!(refused < 500, "{refused} of 50,000 who kept to their rate were refused");
}

#[test]
fn fewer_places_are_reached_as_they_become_free_and_more_are_there_at_once() {
    let seed = Seed::new();
    let keys = Keys::new(rate(10, 1), 1_000);
    for n in 0..1_000 {
        keys.take(key(&seed, n), at(0)).unwrap();
    }
    let fewer = keys.changed(rate(10, 1), 10, at(0));
    assert_eq!(spend(&fewer, key(&seed, 5), at(0)), 0);
    for n in 1_000..2_000 {
        let _taken = fewer.take(key(&seed, n), at(n));
    }
    assert!(fewer.status().keys <= 10, "{:?}", fewer.status());
    let more = fewer.changed(rate(10, 1), 2_000, at(2_000));
    for n in 2_000..3_000 {
        more.take(key(&seed, n), at(3_000)).unwrap();
    }
    assert!(more.status().keys >= 1_000, "{:?}", more.status());
}

#[test]
fn threads_together_admit_no_more_than_one_would() {
    let seed = Seed::new();
    let keys = Keys::new(rate(1, 100), 50);
    let admitted = std::thread::scope(|scope| {
        let threads = (0..4).map(|_| {
            scope.spawn(|| {
                let mut admitted = [0_u32; 200];
                for n in 0..200_000_u64 {
                    let n = (n * 48_271 % 200) as usize;
                    admitted[n] += u32::from(keys.take(key(&seed, n as u64), at(0)).is_ok());
                }
                admitted
            })
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().fold([0; 200], |mut sum, thread| {
            for (sum, one) in sum.iter_mut().zip(thread.join().unwrap()) {
                *sum += one;
            }
            sum
        })
    });
    assert!(admitted.iter().all(|&count| count <= 100), "{admitted:?}");
    assert!(admitted.iter().filter(|&&count| count == 100).count() >= 40, "{admitted:?}");
    assert!(keys.status().keys <= 50);
}

/// Places for eight times as many and more: everybody moves to a larger table.
#[test]
fn who_owes_something_owes_it_as_well_where_there_is_room_for_many_more() {
    let seed = Seed::new();
    let digest = |n: u64| seed.digest(&n.to_be_bytes());
    let few = Keys::new(rate(1, 4), 1_000);
    // More than have a place: some are in company.
    for n in 0..1_500 {
        for _ in 0..=n % 4 {
            let _taken = few.take(digest(n), at(0));
        }
    }
    let before: Vec<_> = (0..1_500).map(|n| few.peek(digest(n), at(0))).collect();
    let (status, more) = (few.status(), few.changed(rate(1, 4), 100_000, at(0)));
    assert_eq!((more.status().keys, more.status().in_company), (status.keys, status.in_company));
    for (n, known) in before.iter().enumerate() {
        let digest = digest(n as u64);
        assert_eq!(few.peek(digest, at(0)), *known, "by whoever still asks the former ones");
        // In a larger company there may be who owes more, never less.
        assert!(more.peek(digest, at(0)) == *known || (n >= 900 && known.is_ok()), "{n}");
    }
    // What is accounted for by one is by the other; whoever is new begins with what its company has used.
    let _spent = spend(&few, digest(9_999), at(0));
    assert!(more.take(digest(9_999), at(0)).is_err());
    let most = more.changed(rate(1, 4), 10_000_000, at(0));
    assert!(few.take(digest(9_999), at(0)).is_err() && most.take(digest(9_999), at(0)).is_err());
    assert_eq!(spend(&most, digest(9_999), at(3_000)), 3);
    assert_eq!(spend(&few, digest(9_999), at(3_000)) + spend(&more, digest(9_999), at(3_000)), 0);
    assert_eq!(most.status().keys, status.keys + 1);
}

#[test]
fn while_everybody_moves_nobody_gets_a_fresh_burst() {
    const KEYS: u64 = 5_000;
    const BURST: u32 = 8;
    let seed = Seed::new();
    for _ in 0..5 {
        let keys = Keys::new(rate(1, BURST), KEYS as usize);
        let admitted: Vec<AtomicU32> = (0..KEYS).map(|_| AtomicU32::new(0)).collect();
        let takes = |keys: &Keys| {
            for _ in 0..2 * BURST {
                for n in 0..KEYS {
                    if keys.take(seed.digest(&n.to_be_bytes()), at(0)).is_ok() {
                        admitted[n as usize].fetch_add(1, Relaxed);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| takes(&keys));
            scope.spawn(|| takes(&keys));
            let more = keys.changed(rate(1, BURST), 1_000_000, at(0));
            takes(&more);
        });
        for (n, count) in admitted.iter().enumerate() {
            assert!(count.load(Relaxed) <= BURST, "{n}: {count:?}");
        }
    }
}
