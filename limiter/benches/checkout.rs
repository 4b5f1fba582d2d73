//! One thread: what a look at the sold-out latch and at the purchases of this sale costs.
//!
//! `cargo bench -p floodgate-limiter --bench checkout`
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark, not an API")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use floodgate_limiter::{
    Begin, LatchSettings, Latches, Once, OnceSettings, Seen, Stock, Timestamp,
};

const NOW: Timestamp = Timestamp::from_nanos(1_000_000_000);
/// How many different ones are asked for in turn: more than the nearest cache holds.
const ASKED: u64 = 4_096;

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

fn latch(c: &mut Criterion) {
    let mut group = c.benchmark_group("latch");
    let settings = LatchSettings { max_skus: 10_000, ttl: Duration::from_secs(2), low: 0 };
    let latches = Latches::new(settings);
    for sku in 0..10_000 {
        let stock = if sku % 2 == 0 { Stock::SoldOut } else { Stock::Open };
        latches.observe(
            digest(sku),
            "sku",
            Seen { state: Some(stock), ..Seen::default() },
            NOW,
            NOW,
        );
    }
    let skus = |first: u64, step: u64| -> Vec<u64> {
        (0..ASKED).map(|n| digest(first + n * step)).collect()
    };
    for (name, skus) in [
        ("look, sold out", skus(0, 2)),
        ("look, open", skus(1, 2)),
        ("look, unknown", skus(1 << 32, 1)),
    ] {
        let mut skus = skus.iter().cycle();
        group.bench_function(name, |b| {
            b.iter(|| black_box(latches.look(*skus.next().unwrap(), NOW)));
        });
    }
    let sold_out = digest(0);
    group.bench_function("look, sold out, the same again", |b| {
        b.iter(|| black_box(latches.look(black_box(sold_out), NOW)));
    });
    let seen = Seen { remaining: Some(5), ..Seen::default() };
    let mut skus = skus(1, 2).into_iter().cycle();
    group.bench_function("observe, nothing new", |b| {
        b.iter(|| black_box(latches.observe(skus.next().unwrap(), "sku", seen, NOW, NOW)));
    });
    group.finish();
}

fn once(c: &mut Criterion) {
    let mut group = c.benchmark_group("once");
    let once = Once::new(OnceSettings { memory: 64 << 20, ttl: Duration::from_secs(900) });
    let answer: Arc<[u8]> = Arc::from(vec![0; 300]);
    for n in 0..50_000 {
        if let Begin::First(claim) = once.begin(key(n), 0, NOW) {
            claim.finish(Some(Arc::clone(&answer)), 324, NOW);
        }
    }
    let keys = |first: u64| -> Vec<u128> { (first..first + ASKED).map(key).collect() };
    let mut known = keys(0).into_iter().cycle();
    group.bench_function("knows, finished", |b| {
        b.iter(|| black_box(once.knows(known.next().unwrap(), NOW)));
    });
    let mut unknown = keys(1 << 32).into_iter().cycle();
    group.bench_function("knows, nothing", |b| {
        b.iter(|| black_box(once.knows(unknown.next().unwrap(), NOW)));
    });
    let mut known = keys(0).into_iter().cycle();
    group.bench_function("duplicate, replayed", |b| {
        b.iter(|| black_box(once.begin(known.next().unwrap(), 0, NOW)));
    });
    let _claim = once.begin(1, 0, NOW);
    group.bench_function("duplicate, follows and leaves", |b| {
        b.iter(|| black_box(once.begin(black_box(1), 0, NOW)));
    });
    let mut fresh = 1 << 40;
    group.bench_function("first, answered, with the oldest gone", |b| {
        b.iter(|| {
            fresh += 1;
            if let Begin::First(claim) = once.begin(key(fresh), 0, NOW) {
                claim.finish(Some(Arc::clone(&answer)), 324, NOW);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, latch, once);
criterion_main!(benches);
