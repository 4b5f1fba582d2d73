//! What a limit per key costs a request, on one thread.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use floodgate_limiter::{Digest, Keys, Rate, RefusedKeys, Seed, Timestamp};

const KNOWN: u64 = 100_000;

fn at(micros: u64) -> Timestamp {
    Timestamp::from_nanos(micros * 1_000)
}

fn digests(seed: &Seed, range: std::ops::Range<u64>) -> Vec<Digest> {
    range.map(|n| seed.digest(&n.to_be_bytes())).collect()
}

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keys");
    let seed = Seed::new();
    let known = digests(&seed, 0..KNOWN);
    let next = |n: &mut usize| {
        *n = (*n + 7_919) % KNOWN as usize;
        *n
    };

    group.bench_function("digest of an address", |bencher| {
        bencher.iter(|| seed.digest(black_box(&[192, 0, 2, 1])));
    });

    let fast = Keys::new(Rate::new(1_000_000, Duration::from_secs(1), 1_000_000).unwrap(), 200_000);
    known.iter().for_each(|key| fast.take(*key, at(0)).unwrap());
    let mut n = 0;
    group.bench_function("take, one known key", |bencher| {
        bencher.iter(|| fast.take(black_box(known[0]), at(10_000_000)));
    });
    group.bench_function("take, of 100,000 known keys", |bencher| {
        bencher.iter(|| fast.take(known[next(&mut n)], at(10_000_000)));
    });
    group.bench_function("look, of 100,000 known keys", |bencher| {
        bencher.iter(|| fast.peek(known[next(&mut n)], at(10_000_000)));
    });

    let slow = Keys::new(Rate::new(1, Duration::from_secs(3_600), 1).unwrap(), 200_000);
    known.iter().for_each(|key| slow.take(*key, at(0)).unwrap());
    group.bench_function("refused by a look, one key", |bencher| {
        bencher.iter(|| slow.peek(black_box(known[0]), at(1)));
    });
    let refused = RefusedKeys::new();
    group.bench_function("refused by what the core remembers, one key", |bencher| {
        bencher.iter(|| slow.peek_by(&refused, black_box(known[0]), at(1)));
    });
    // Both write to the lock of one piece of the map.
    group.bench_function("refused by a look, one key, two threads", |bencher| {
        bencher.iter_custom(|times| {
            let begun = Instant::now();
            std::thread::scope(|scope| {
                let look = || {
                    for _ in 0..times {
                        let _looked = black_box(slow.peek(known[0], at(1)));
                    }
                };
                let threads = [scope.spawn(look), scope.spawn(look)];
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
            begun.elapsed()
        });
    });
    group.bench_function("refused by a look, of 100,000 keys", |bencher| {
        bencher.iter(|| slow.peek(known[next(&mut n)], at(1)));
    });

    // Every newcomer finds the place of one whose bucket is full again.
    let churned = Keys::new(Rate::new(1_000, Duration::from_secs(1), 1).unwrap(), 100_000);
    let newcomers = digests(&seed, KNOWN..3 * KNOWN + KNOWN);
    let mut at_newcomer = 0;
    group.bench_function("take, a new key in a full table", |bencher| {
        bencher.iter(|| {
            at_newcomer = (at_newcomer + 1) % newcomers.len();
            let now = at(at_newcomer as u64 * 1_000_000);
            churned.take(newcomers[at_newcomer], now)
        });
    });

    // Nobody makes room: each is accounted for in company, or refused with it.
    let mut m = 0;
    group.bench_function("take, a new key where nobody makes room", |bencher| {
        bencher.iter(|| {
            m = (m + 1) % newcomers.len();
            slow.take(newcomers[m], at(m as u64))
        });
    });
    group.finish();
}

criterion_group!(benches, keys);
criterion_main!(benches);
