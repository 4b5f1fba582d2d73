//! Random lives of a store against a model that searches a list.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use floodgate_limiter::{
    Begin, Claim, Follow, Followed, MAX_FOLLOWERS, Once, OnceSettings, Timestamp,
};
use support::{Random, at};

type Store = Once<u64>;

#[test]
fn any_life_of_a_store_agrees_with_the_model() {
    for seed in 0..300 {
        let life = std::panic::AssertUnwindSafe(|| Life::new(seed).live());
        if let Err(panic) = std::panic::catch_unwind(life) {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

struct Entry {
    key: u128,
    fingerprint: u64,
    cost: usize,
    /// The answer and when it was given; none: in flight.
    finished: Option<(u64, Timestamp)>,
    follow: Vec<Follow<u64>>,
}

struct Life {
    random: Random,
    once: Arc<Store>,
    settings: OnceSettings,
    /// Finished ones in the order of their finishing.
    entries: Vec<Entry>,
    claims: Vec<(u128, Claim<u64>)>,
    keys: u64,
    now: u64,
    answer: u64,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        // The second kind grows and shrinks a good deal.
        let (keys, entries) = if random.one_in(2) { (12, 12) } else { (400, 300) };
        let memory = (1 + random.below(entries) as usize) * Store::OVERHEAD;
        let settings = OnceSettings { memory, ttl: Duration::from_secs(random.below(60)) };
        Self {
            once: Once::new(settings),
            random,
            settings,
            entries: vec![],
            claims: vec![],
            keys,
            now: 0,
            answer: 0,
        }
    }

    fn live(mut self) {
        for _ in 0..1_500 {
            self.now += self.random.below(2) * self.random.below(1_000);
            match self.random.below(20) {
                0..12 => self.begin(),
                12..17 => self.finish(),
                17 => self.forget(),
                18 => {
                    if let Some(entry) = self.entries.iter_mut().find(|e| !e.follow.is_empty()) {
                        drop(entry.follow.remove(0));
                    }
                }
                _ if self.random.one_in(20) => {
                    let entries = self.random.below(self.keys) as usize;
                    self.settings.memory = entries * Store::OVERHEAD + 5;
                    self.once.apply(self.settings);
                    self.make_room(0);
                }
                _ => {}
            }
            self.check();
        }
        self.claims.clear();
        assert_eq!(self.once.status().in_flight, 0);
    }

    fn used(&self) -> usize {
        self.entries.iter().map(|entry| entry.cost).sum()
    }

    fn make_room(&mut self, need: usize) -> bool {
        while self.used().saturating_add(need) > self.settings.memory {
            let Some(oldest) = self.entries.iter().position(|entry| entry.finished.is_some())
            else {
                return false;
            };
            self.entries.remove(oldest);
        }
        true
    }

    fn find(&mut self, key: u128) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    fn begin(&mut self) {
        let key = u128::from(self.random.below(self.keys));
        let fingerprint = u64::from(self.random.one_in(10));
        let (now, ttl) = (at(self.now), self.settings.ttl);
        self.entries.retain(|entry| entry.finished.is_none_or(|(_, then)| then + ttl > now));
        let begun = self.once.begin(key, fingerprint, now);
        let Some(known) = self.find(key) else {
            if self.make_room(Store::OVERHEAD) {
                let Begin::First(claim) = begun else { panic!("{begun:?}") };
                self.claims.push((key, claim));
                let (cost, follow) = (Store::OVERHEAD, vec![]);
                self.entries.push(Entry { key, fingerprint, cost, finished: None, follow });
            } else {
                assert!(matches!(begun, Begin::Full), "{begun:?}");
            }
            return;
        };
        if known.fingerprint != fingerprint {
            assert!(matches!(begun, Begin::Mismatch), "{begun:?}");
        } else if let Some((answer, _)) = known.finished {
            assert!(matches!(begun, Begin::Replay(given) if given == answer), "{begun:?}");
        } else {
            let (is_first, is_full) =
                (known.cost == Store::OVERHEAD, known.follow.len() == MAX_FOLLOWERS);
            if is_full || is_first && !self.make_room(Store::FOLLOWERS_OVERHEAD) {
                assert!(matches!(begun, Begin::Busy), "{begun:?}");
                return;
            }
            let Begin::InFlight(follow) = begun else { panic!("{begun:?}") };
            let known = self.find(key).unwrap();
            known.cost = Store::OVERHEAD + Store::FOLLOWERS_OVERHEAD;
            known.follow.push(follow);
        }
    }

    fn claim(&mut self) -> Option<(u128, Claim<u64>)> {
        let which = self.random.below(self.claims.len().max(1) as u64) as usize;
        (!self.claims.is_empty()).then(|| self.claims.swap_remove(which))
    }

    fn finish(&mut self) {
        let Some((key, claim)) = self.claim() else { return };
        self.answer += 1;
        let bytes = self.random.below(3 * Store::OVERHEAD as u64) as usize;
        let stored = claim.finish(Some(self.answer), bytes, at(self.now));
        let index = self.entries.iter().position(|entry| entry.key == key).unwrap();
        let mut entry = self.entries.remove(index);
        for follow in &mut entry.follow {
            assert_eq!(poll(follow), Some(Followed::Replay(self.answer)));
        }
        entry.follow.clear();
        let held: usize =
            self.entries.iter().filter(|e| e.finished.is_none()).map(|e| e.cost).sum();
        entry.cost = Store::OVERHEAD + bytes;
        // Within what is in flight it fits, or the room was made in vain only because memory was taken away.
        let fits = held + entry.cost <= self.settings.memory && self.make_room(entry.cost);
        assert_eq!(stored, fits);
        if fits {
            entry.finished = Some((self.answer, at(self.now)));
            self.entries.push(entry);
        }
    }

    fn forget(&mut self) {
        let Some((key, claim)) = self.claim() else { return };
        if self.random.one_in(2) {
            drop(claim);
        } else {
            assert!(!claim.finish(None, 0, at(self.now)));
        }
        let index = self.entries.iter().position(|entry| entry.key == key).unwrap();
        for mut follow in self.entries.remove(index).follow {
            assert_eq!(poll(&mut follow), Some(Followed::Retry));
        }
    }

    fn check(&mut self) {
        let (now, ttl) = (at(self.now), self.settings.ttl);
        let is_over = |(_, then)| then + ttl <= now;
        // All of them is what takes the time.
        let all = self.random.one_in(32);
        let some = u128::from(self.random.below(self.keys));
        for key in if all { 0..u128::from(self.keys) } else { some..some + 1 } {
            let known = self.find(key).is_some_and(|entry| !entry.finished.is_some_and(is_over));
            assert_eq!(self.once.knows(key, now), known, "{key}");
        }
        let status = self.once.status();
        assert_eq!(status.in_flight, self.claims.len());
        let is_in_flight = |entry: &&Entry| entry.finished.is_none();
        let held: usize = self.entries.iter().filter(is_in_flight).map(|entry| entry.cost).sum();
        assert!(status.used <= self.settings.memory.max(held), "{status:?}");
        for entry in &mut self.entries {
            assert!(entry.follow.iter_mut().all(|follow| poll(follow).is_none()));
        }
    }
}

fn poll(follow: &mut Follow<u64>) -> Option<Followed<u64>> {
    match Pin::new(follow).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(followed) => Some(followed),
        Poll::Pending => None,
    }
}
