//! Random lives of keys against exact arithmetic over a map that forgets nobody.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::collections::HashMap;
use std::time::Duration;

use floodgate_limiter::{Digest, Keys, Rate, RefusedKeys, Seed, Timestamp};
use proptest::prelude::*;
use support::Random;

/// Generic cell rate algorithm as a leaky bucket, in whole nanoseconds: the content falls with time, a request adds
/// an interval to it. Not the form that is tested.
struct Bucket {
    content: u128,
    at: u64,
}

struct Exact {
    interval: u128,
    burst: u128,
    buckets: HashMap<u64, Bucket>,
}

impl Exact {
    fn of(rate: Rate) -> Self {
        let interval = rate.per().as_nanos().div_ceil(u128::from(rate.count()));
        Self { interval, burst: rate.burst().into(), buckets: HashMap::new() }
    }

    fn take(&mut self, key: u64, now: u64) -> Result<(), u128> {
        let bucket = self.buckets.entry(key).or_insert(Bucket { content: 0, at: now });
        bucket.content = bucket.content.saturating_sub((now - bucket.at).into());
        bucket.at = now;
        let room = self.interval * (self.burst - 1);
        if bucket.content > room {
            return Err(bucket.content - room);
        }
        bucket.content += self.interval;
        Ok(())
    }
}

fn digest(seed: &Seed, n: u64) -> Digest {
    seed.digest(&n.to_be_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// With a place for everybody, the answers are those of the map that forgets nobody, waits included.
    #[test]
    fn with_room_for_all_it_is_exact(
        count in 1_u64..2_000,
        per in prop_oneof![Just(1_u64), Just(60), Just(3_600)],
        burst in 1_u32..50,
        steps in prop::collection::vec((0_u64..12, 0_u64..2_000_000_000), 1..300),
    ) {
        let rate = Rate::new(count, Duration::from_secs(per), burst).unwrap();
        let (keys, seed, refused) = (Keys::new(rate, 10_000), Seed::new(), RefusedKeys::new());
        let (mut exact, mut now) = (Exact::of(rate), 0);
        for (key, gap) in steps {
            // Many at the same moment, some long after.
            now += if gap % 3 == 0 { 0 } else { gap >> (gap % 31) };
            let at = Timestamp::from_nanos(now);
            let peeked = keys.peek(digest(&seed, key), at);
            prop_assert_eq!(keys.peek_by(&refused, digest(&seed, key), at), peeked);
            let taken = keys.take(digest(&seed, key), at);
            prop_assert_eq!(peeked, taken);
            let expected = exact.take(key, now);
            prop_assert_eq!(taken.map_err(|wait| wait.as_nanos()), expected);
        }
    }

    /// However few places there are and however the clock is read, `n <= burst + rate * t`.
    #[test]
    fn with_too_little_room_nobody_gets_more(
        max_keys in 1_usize..40,
        burst in 1_u32..10,
        seed in any::<u64>(),
    ) {
        let rate = Rate::new(10, Duration::from_secs(1), burst).unwrap();
        let (keys, digests, mut random) = (Keys::new(rate, max_keys), Seed::new(), Random::new(seed));
        let (mut now, mut first, mut latest) = (1_000_000_000_u64, u64::MAX, 0);
        let mut admitted = HashMap::<u64, u64>::new();
        for _ in 0..3_000 {
            now += random.below(20_000_000);
            let at = now - random.below(50_000_000);
            (first, latest) = (first.min(at), latest.max(at));
            let key = random.below(100);
            if keys.take(digest(&digests, key), Timestamp::from_nanos(at)).is_ok() {
                *admitted.entry(key).or_default() += 1;
            }
            prop_assert!(keys.status().keys <= max_keys);
        }
        let most = u64::from(burst) + (latest - first) / 100_000_000;
        for (key, count) in admitted {
            prop_assert!(count <= most, "{}: {} of {}", key, count, most);
        }
    }

    /// Whatever rates came one after the other, the waits stay within one interval beyond what a burst owes.
    #[test]
    fn changes_of_the_rate_leave_nobody_locked_out_nor_with_a_fresh_burst(
        rates in prop::collection::vec((1_u64..500, 1_u32..40), 1..30),
    ) {
        let seed = Seed::new();
        let one = digest(&seed, 1);
        let rate = |(count, burst)| Rate::new(count, Duration::from_secs(60), burst).unwrap();
        let mut keys = Keys::new(rate((100, 20)), 10);
        let now = Timestamp::from_nanos(5_000_000_000);
        while keys.take(one, now).is_ok() {}
        let mut most = 20;
        for (count, burst) in rates {
            keys = keys.changed(rate((count, burst)), 10, now);
            // Requests owed stay owed: only a burst that is larger than ever before leaves something.
            let spendable = burst.saturating_sub(most);
            let mut spent = 0;
            while keys.take(one, now).is_ok() {
                spent += 1;
            }
            most = burst;
            prop_assert!(spent <= spendable + 1, "{} of {}", spent, spendable);
            let interval = Duration::from_secs(60).as_nanos().div_ceil(count.into()) as u64;
            let wait = keys.peek(one, now).unwrap_err();
            prop_assert!(wait <= Duration::from_nanos(interval), "{:?}", wait);
        }
    }
}
