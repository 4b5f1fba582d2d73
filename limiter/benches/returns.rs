//! What it costs to tell a refused customer when to come back.
//!
//! `cargo bench -p floodgate-limiter --bench returns`
#![allow(missing_docs, reason = "a benchmark, not an API")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use floodgate_limiter::{Calendar, Returns, Standing, Timestamp};

/// Customers in the table, and customers who come: so that most looks miss the cache, as in a sale.
const CUSTOMERS: usize = 1_000_000;

/// Digests as a keyed hash would give them.
struct Digests(u64);

impl Digests {
    fn next(&mut self) -> u64 {
        self.0 = self.0 % CUSTOMERS as u64 + 1;
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

fn told() -> Returns {
    let (returns, mut digests) = (Returns::new(CUSTOMERS), Digests(0));
    for _ in 0..CUSTOMERS {
        returns.tell(digests.next(), Timestamp::from_nanos(0), Timestamp::from_nanos(1 << 34));
    }
    returns
}

fn returns(c: &mut Criterion) {
    let (table, calendar, mut digests) = (told(), Calendar::new(1), Digests(0));
    let mut group = c.benchmark_group("returns");
    group.bench_function("look, of a million", |b| {
        b.iter(|| black_box(table.standing(digests.next(), Timestamp::from_nanos(1 << 33))));
    });

    let mut now = Timestamp::from_nanos(1 << 33);
    group.bench_function("book", |b| {
        b.iter(|| {
            now = now + Duration::from_micros(100);
            black_box(calendar.book(now, 9_000.0))
        });
    });
    group.bench_function("book, the horizon full", |b| {
        b.iter(|| {
            now = now + Duration::from_micros(1);
            black_box(calendar.book(now, 45.0))
        });
    });
    group.bench_function("book, a budget that never stands still", |b| {
        let mut budget = 0.0;
        b.iter(|| {
            now = now + Duration::from_micros(100);
            budget = (budget + 7.0) % 500.0;
            black_box(calendar.book(now, budget))
        });
    });

    // Nobody whose note still matters comes again: all are new, are booked and told.
    let step = Duration::from_secs(100) / CUSTOMERS as u32;
    group.bench_function("look, book and tell, of a million", |b| {
        b.iter(|| {
            now = now + step;
            let customer = digests.next();
            let at = match table.standing(customer, now) {
                Standing::Early { told } => told,
                Standing::New | Standing::OnTime => {
                    let at = calendar.book(now, 45.0);
                    table.tell(customer, now, at);
                    at
                }
            };
            black_box(at)
        });
    });
    group.finish();
}

criterion_group!(benches, returns);
criterion_main!(benches);
