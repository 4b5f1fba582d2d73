//! What entry control costs a request.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use floodgate_limiter::{Entry, EntrySettings, Load, Standing, Timestamp, Totals};

fn at(micros: u64) -> Timestamp {
    Timestamp::from_nanos(micros * 1_000)
}

fn load(services: u64) -> Load {
    let mut totals = Totals::default();
    totals.services = services;
    totals.service_nanos = services * 11_111_111;
    totals.limit = 5;
    Load { upstream: 1, totals, steps: 5 }
}

fn entry() -> Arc<Entry> {
    let settings = EntrySettings {
        steps: 5,
        headroom: 0.95,
        ttl: Duration::from_secs(120),
        calls: u32::MAX,
        max_grants: 1_000_000,
    };
    let entry = Arc::new(Entry::new(settings, at(0)));
    entry.tick(&[load(0)], at(0));
    entry.tick(&[load(450)], at(1_000_000));
    entry
}

fn entries(criterion: &mut Criterion) {
    let now = at(1_000_000);
    let mut group = criterion.benchmark_group("entry");

    let full = entry();
    let mut kept = Vec::new();
    while let Some(begun) = full.take(Standing::OnTime, true, now) {
        kept.push(begun);
    }
    group.bench_function("refused by a look", |bencher| {
        bencher.iter(|| full.peek(black_box(Standing::New), false, black_box(now)));
    });

    let open = entry();
    let mut nonce = 0_u64;
    group.bench_function("let in, grant, finish", |bencher| {
        bencher.iter(|| {
            nonce += 1;
            // A thousandth of a second each: they expire as fast as they come.
            let now = at(1_000_000 + nonce * 1_000);
            open.take(Standing::OnTime, true, now).unwrap().grant(nonce, now);
            open.finish(nonce, now);
        });
    });

    let busy = entry();
    for nonce in 0..100_000 {
        busy.call(nonce, at(1_000_000_000), now).unwrap();
    }
    group.bench_function("a call, of 100,000 holders", |bencher| {
        bencher.iter(|| {
            nonce = nonce.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            busy.call((nonce >> 33) % 100_000, at(1_000_000_000), now)
        });
    });

    group.bench_function("a tick that is not due", |bencher| {
        bencher.iter(|| busy.tick(black_box(&[load(450)]), black_box(at(1_000_001))));
    });
    let mut micros = 1_000_000;
    group.bench_function("a tick that is due", |bencher| {
        bencher.iter(|| {
            micros += 10_000;
            busy.tick(&[load(micros / 2_000)], at(micros));
        });
    });
    group.finish();
    drop(kept);
}

criterion_group!(benches, entries);
criterion_main!(benches);
