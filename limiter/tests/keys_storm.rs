//! Ten million invented keys: how much memory they take, and how long anybody waits for it.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(unsafe_code, reason = "a global allocator cannot be written without")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use floodgate_limiter::{Keys, Rate, Seed, Timestamp};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands everything to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Each comes once, a microsecond after the other. What was held at most beyond what there was before, and what took longest.
fn storm(keys: u64, max_keys: usize, rate: Rate) -> (usize, Duration, Keys) {
    let (seed, before) = (Seed::new(), HELD.load(Relaxed));
    let table = Keys::new(rate, max_keys);
    let (mut longest, mut most) = (Duration::ZERO, 0);
    for n in 0..keys {
        let key = seed.digest(&n.to_be_bytes());
        let begun = Instant::now();
        let _taken = table.take(key, Timestamp::from_nanos(n * 1_000));
        longest = longest.max(begun.elapsed());
        if n % 1_024 == 0 {
            most = most.max(HELD.load(Relaxed) - before);
        }
    }
    (most, longest, table)
}

#[test]
fn memory_stays_within_what_was_said() {
    for (max_keys, per_hour) in [(1_000, 1), (20_000, 1), (20_000, 360_000), (100, 3_600_000)] {
        let rate = Rate::new(per_hour, Duration::from_secs(3_600), 1).unwrap();
        let (held, _, table) = storm(200_000, max_keys, rate);
        let most = Keys::MAX_BYTES_PER_KEY * max_keys + 16 * 1_024;
        assert!(held <= most, "{held} > {most} for {max_keys}: {:?}", table.status());
        assert!(table.status().keys <= max_keys);
    }
}

#[test]
#[ignore = "prints figures: cargo test --release -p floodgate-limiter --test keys_storm -- --ignored --nocapture"]
fn figures_of_ten_million_keys() {
    const STORM: u64 = 10_000_000;
    let hourly = Rate::new(1, Duration::from_secs(3_600), 1).unwrap();
    let fast = Rate::new(10, Duration::from_secs(1), 20).unwrap();
    for (max_keys, rate, what) in [
        (10_000_000, hourly, "a place for everybody"),
        (1_000_000, hourly, "nobody makes room"),
        (100_000, fast, "10/s, room is made"),
    ] {
        let begun = Instant::now();
        let (held, longest, table) = storm(STORM, max_keys, rate);
        println!(
            "{what}: max_keys = {max_keys}: {:.0} ns each, {longest:?} the longest, {:.1} MB, {:.0} bytes per key, {:?}",
            begun.elapsed().as_secs_f64() * 1e9 / STORM as f64,
            held as f64 / 1e6,
            held as f64 / max_keys as f64,
            table.status()
        );
    }
}
