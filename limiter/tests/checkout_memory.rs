//! What the latch and the store take of the heap, as the allocator sees it.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "support/heap.rs"]
mod heap;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{
    Begin, Claim, LatchSettings, Latches, Look, Once, OnceSettings, Seen, Stock, Timestamp,
};
use heap::{allocations, peak};

const NOW: Timestamp = Timestamp::from_nanos(0);

/// A number for each `n`, all over the place: splitmix64 (Steele, Lea and Flood, 2014).
fn digest(n: u64) -> u64 {
    let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ n >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ n >> 31
}

fn key(n: u64) -> u128 {
    u128::from(digest(n)) << 64 | u128::from(digest(!n))
}

#[test]
fn a_look_at_the_latch_allocates_nothing_and_changes_nothing() {
    let latches =
        Latches::new(LatchSettings { max_skus: 100, ttl: Duration::from_secs(2), low: 0 });
    for sku in 0..50 {
        let seen = Seen { remaining: Some(sku % 2), ..Seen::default() };
        latches.observe(digest(sku), "sku", seen, NOW, NOW);
    }
    let before = format!("{latches:?}");
    let count = allocations(|| {
        for sku in 0..100_000 {
            let later = NOW + Duration::from_secs(sku % 4);
            black_box(latches.look(digest(sku % 100), later));
        }
    });
    assert_eq!(count, 0);
    assert_eq!(format!("{latches:?}"), before);
}

#[test]
fn what_is_known_or_replayed_allocates_nothing() {
    let once = Once::new(OnceSettings { memory: 1 << 20, ttl: Duration::from_secs(900) });
    let Begin::First(claim) = once.begin(1, 0, NOW) else { panic!() };
    assert!(claim.finish(Some(Arc::<[u8]>::from([1, 2, 3])), 3, NOW));
    let count = allocations(|| {
        for other in 0..10_000 {
            assert!(once.knows(1, NOW) && !once.knows(other + 2, NOW));
            assert!(matches!(once.begin(1, 0, NOW), Begin::Replay(_)));
        }
    });
    assert_eq!(count, 0);
}

/// Of `number` SKUs that somebody invented, an upstream says something about each.
fn invented_skus(number: u64) {
    const MAX_SKUS: usize = 10_000;
    let settings = LatchSettings { max_skus: MAX_SKUS, ttl: Duration::from_secs(2), low: 0 };
    let name = "a-name-that-is-as-long-as-whoever-invented-it-cared-to-make-it-for-once-and-more";
    let peak = peak(|| {
        let latches = Latches::new(settings);
        let gone = Seen { state: Some(Stock::SoldOut), ..Seen::default() };
        latches.observe(digest(0), "real", gone, NOW, NOW);
        for n in 1..=number {
            let now = Timestamp::from_nanos(n * 10_000);
            let seen = match n % 3 {
                0 => Seen { sold_out: true, ..Seen::default() },
                1 => Seen { remaining: Some(n), ..Seen::default() },
                _ => Seen { state: Some(Stock::Open), ..Seen::default() },
            };
            latches.observe(digest(n), name, seen, now, now);
        }
        assert_eq!(latches.look(digest(0), NOW), Look::Refuse(Stock::SoldOut));
        let all_out = latches.list().len();
        assert_eq!((all_out, latches.latched()), (MAX_SKUS, 1));
    });
    // The table, the records with what they may grow by, the names, and the list of them all for people.
    assert!(peak < MAX_SKUS as isize * 850, "{} bytes a SKU", peak / MAX_SKUS as isize);
}

/// `number` customers with a key of their own each, some of whom are answered, at whatever length; a thousand purchases are
/// under way all the time.
fn invented_keys(number: u64, memory: usize) {
    let mut stored = 0;
    let peak = peak(|| {
        let once = Once::new(OnceSettings { memory, ttl: Duration::from_secs(900) });
        let begin = |n: u64, now| match once.begin(key(n), 1, now) {
            Begin::First(claim) => Some(claim),
            Begin::Full => None,
            other => panic!("{other:?}"),
        };
        let under_way: Vec<Claim<Arc<[u8]>>> = (0..1_000).map(|n| begin(n, NOW).unwrap()).collect();
        for n in 1_000..number {
            let now = Timestamp::from_nanos(n * 1_000);
            let Some(claim) = begin(n, now) else { panic!("full") };
            // Short ones and long ones in turns, so that the slab is at its largest when the bytes come.
            let bytes = match n / 100_000 % 3 {
                0 => 0,
                1 => (digest(n) % 600) as usize,
                _ => 8_000,
            };
            if n % 7 == 0 {
                drop(claim);
            } else {
                let answer = Some(Arc::from(vec![0; bytes]));
                // The counts in front of the bytes, and the length they are rounded up to.
                stored += u64::from(claim.finish(answer, bytes + 24, now));
            }
            if n % 1_000 == 0 {
                let status = once.status();
                assert!(status.used <= memory && status.in_flight == 1_000, "{status:?}");
            }
        }
        let now = Timestamp::from_nanos(number * 1_000);
        for (n, claim) in under_way.into_iter().enumerate() {
            let n = n as u64;
            assert!(once.knows(key(n), now), "one in flight was lost");
            assert!(claim.finish(Some(Arc::from([1])), 25, now));
            assert!(matches!(once.begin(key(n), 1, now), Begin::Replay(_)));
        }
    });
    // What the test itself holds: a claim each, and an answer on its way in, twice.
    let own = 1_000 * size_of::<Claim<Arc<[u8]>>>() + 20_000;
    assert!(peak <= (memory + own) as isize, "{peak} bytes of {memory}");
    assert!(stored > number / 2, "{stored} answers were stored");
}

#[test]
fn invented_skus_leave_memory_at_its_bound() {
    invented_skus(100_000);
}

#[test]
#[ignore = "takes a while: run with --release"]
fn ten_million_invented_skus_leave_memory_at_its_bound() {
    invented_skus(10_000_000);
}

#[test]
fn invented_keys_leave_memory_at_its_bound_and_what_is_in_flight() {
    invented_keys(300_000, 1 << 20);
    invented_keys(300_000, 9 << 20);
}

#[test]
#[ignore = "takes a while: run with --release"]
fn ten_million_invented_keys_leave_memory_at_its_bound_and_what_is_in_flight() {
    invented_keys(10_000_000, 64 << 20);
}
