//! Which keys come most, in fixed memory: a sketch of counts per core that forgets by half, and a list of the keys that
//! stand out in it.
//!
//! Only a sample is shown to it, one in [`SAMPLED`]; the sum over all cores is made when somebody asks.

use std::fmt;
use std::time::Duration;

use crate::keys::Digest;
use crate::sync::{Mutex, Padded, lock};
use crate::timestamp::Timestamp;

mod sketch;

use sketch::Sketch;

/// One in so many requests is shown: with a thousand samples a second, a key of 1 % is off by a third at most, mostly.
pub const SAMPLED: u32 = 64;

/// Keys that each core keeps in its list.
const LISTED: usize = 32;

/// All counts are halved this often: what is shown is of about the last two of these.
const WINDOW: Duration = Duration::from_secs(5);

/// Longest text of a key that is kept, in bytes.
const TEXT: usize = 64;

/// Which keys come most.
#[derive(Debug)]
pub struct HotKeys {
    cores: Box<[Padded<Mutex<Core>>]>,
}

/// A key as it was written, as far as there is room: 64 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyText {
    bytes: [u8; TEXT],
    len: usize,
}

/// A key that comes often.
#[derive(Clone, Debug, PartialEq)]
pub struct HotKey {
    /// What stands for it.
    pub digest: Digest,
    /// As it was written when it came into the list, cut to 64 bytes.
    pub text: KeyText,
    /// Requests per second of it, estimated: never too few but for chance, and too many by the little that the sketch
    /// mixes up.
    pub per_second: f64,
    /// Of all requests that were shown, 0 to 1.
    pub share: f64,
}

/// Picks one in [`SAMPLED`], at random, so that no pattern of requests goes unseen. One per core.
#[derive(Debug)]
pub struct Sampler(std::cell::Cell<u32>);

#[derive(Debug, Default)]
struct Core {
    /// Made for the first that is shown: most cores of most tables see none.
    sketch: Option<Sketch>,
    listed: Vec<Listed>,
    /// All samples, halved like the others.
    all: u32,
    /// When the counts were last halved.
    halved: Timestamp,
}

#[derive(Debug)]
struct Listed {
    digest: Digest,
    count: u32,
    text: KeyText,
}

// === impl Sampler ===

impl Sampler {
    /// Starts anywhere; `seed` makes cores differ.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        Self(std::cell::Cell::new(seed.wrapping_mul(0x9e37_79b9) | 1))
    }

    /// Whether this request is one of those that are shown.
    pub fn picks(&self) -> bool {
        // xorshift32 (Marsaglia, 2003).
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        self.0.set(state);
        state.is_multiple_of(SAMPLED)
    }
}

// === impl KeyText ===

impl KeyText {
    /// Appends what fits.
    pub fn push(&mut self, text: &[u8]) {
        let len = text.len().min(TEXT - self.len);
        self.bytes[self.len..][..len].copy_from_slice(&text[..len]);
        self.len += len;
    }

    /// What was appended.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Write for KeyText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

// === impl HotKeys ===

impl HotKeys {
    /// For `cores` cores. 18 KiB are taken for each once it is shown something.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let core = |_| Padded(Mutex::new(Core::default()));
        Self { cores: (0..cores.max(1)).map(core).collect() }
    }

    /// Shows a sampled request of `key` to `core`, which writes its text if it comes into the list. The lock is that of
    /// the core, which nobody else takes but who asks for the list.
    pub fn show(&self, core: usize, key: Digest, now: Timestamp, text: impl FnOnce(&mut KeyText)) {
        if let Some(core) = self.cores.get(core) {
            lock(core).show(key, now, text);
        }
    }

    /// The `most` keys that come most at `now`, the first first.
    #[must_use]
    pub fn top(&self, most: usize, now: Timestamp) -> Vec<HotKey> {
        let mut found: Vec<HotKey> = Vec::new();
        let mut all = 0.0;
        for core in &self.cores {
            let mut core = lock(core);
            core.halve(now);
            // Counts are of the window before, halved again and again, and of what has passed of this one.
            let seconds = (WINDOW + now.saturating_since(core.halved)).as_secs_f64();
            let per_second = |count: u32| f64::from(count) * f64::from(SAMPLED) / seconds;
            all += per_second(core.all);
            for listed in &core.listed {
                match found.iter_mut().find(|key| key.digest == listed.digest) {
                    Some(key) => key.per_second += per_second(listed.count),
                    None => found.push(HotKey {
                        digest: listed.digest,
                        text: listed.text,
                        per_second: per_second(listed.count),
                        share: 0.0,
                    }),
                }
            }
        }
        for key in &mut found {
            key.share = if all > 0.0 { (key.per_second / all).min(1.0) } else { 0.0 };
        }
        found.retain(|key| key.per_second > 0.0);
        found.sort_by(|one, other| other.per_second.total_cmp(&one.per_second));
        found.truncate(most);
        found
    }
}

// === impl Core ===

impl Core {
    fn show(&mut self, key: Digest, now: Timestamp, text: impl FnOnce(&mut KeyText)) {
        self.halve(now);
        self.all = self.all.saturating_add(1);
        let count = self.sketch.get_or_insert_with(Sketch::new).add(key);
        if let Some(listed) = self.listed.iter_mut().find(|listed| listed.digest == key) {
            listed.count = count;
            return;
        }
        if self.listed.len() < LISTED {
            self.listed.push(Listed::new(key, count, text));
        } else if let Some(least) = self.listed.iter_mut().min_by_key(|listed| listed.count)
            && least.count < count
        {
            *least = Listed::new(key, count, text);
        }
    }

    /// Halves what was counted for each window that has passed.
    fn halve(&mut self, now: Timestamp) {
        let windows = now.saturating_since(self.halved).as_nanos() / WINDOW.as_nanos();
        if windows == 0 {
            return;
        }
        // After 32 nothing is left.
        let times = windows.min(32) as u32;
        let half = |count: u32| count.checked_shr(times).unwrap_or(0);
        if let Some(sketch) = &mut self.sketch {
            sketch.scale(half);
        }
        self.listed.iter_mut().for_each(|listed| listed.count = half(listed.count));
        self.listed.retain(|listed| listed.count > 0);
        self.all = half(self.all);
        let passed = u64::try_from(windows * WINDOW.as_nanos()).unwrap_or(u64::MAX);
        self.halved = self.halved + Duration::from_nanos(passed);
    }
}

// === impl Listed ===

impl Listed {
    fn new(digest: Digest, count: u32, write: impl FnOnce(&mut KeyText)) -> Self {
        let mut text = KeyText { bytes: [0; TEXT], len: 0 };
        write(&mut text);
        Self { digest, count, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Seed;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn texts(top: &[HotKey]) -> Vec<String> {
        top.iter().map(|key| String::from_utf8_lossy(key.text.as_bytes()).into_owned()).collect()
    }

    #[test]
    fn the_hot_ones_are_found_among_many_with_their_rates() {
        let (seed, hot) = (Seed::new(), HotKeys::new(2));
        let mut crowd = 0;
        // For twenty seconds, per core and 10 ms: 30 samples of a, 20 of b, 50 of others that never repeat.
        for step in 0..2_000_u64 {
            for core in 0..2 {
                for n in 0..100_u32 {
                    let name = match n {
                        0..30 => "a".to_owned(),
                        30..50 => "b".to_owned(),
                        _ => {
                            crowd += 1;
                            format!("other {crowd}")
                        }
                    };
                    let key = seed.digest(name.as_bytes());
                    hot.show(core, key, at(step * 10), |text| text.push(name.as_bytes()));
                }
            }
        }
        let top = hot.top(2, at(20_000));
        assert_eq!(texts(&top), ["a", "b"]);
        for (key, (share, samples)) in top.iter().zip([(0.3, 6_000.0), (0.2, 4_000.0)]) {
            let off = key.per_second / (samples * f64::from(SAMPLED)) - 1.0;
            assert!((-0.1..0.4).contains(&off), "{key:?}");
            assert!((key.share - share).abs() < 0.1, "{key:?}");
        }
    }

    #[test]
    fn what_was_hot_is_forgotten() {
        let (seed, hot) = (Seed::new(), HotKeys::new(1));
        for _ in 0..1_000 {
            hot.show(0, seed.digest(b"a"), at(0), |text| text.push(b"a"));
        }
        let rates: Vec<f64> = [0, 5_000, 10_000]
            .map(|now| hot.top(1, at(now)).first().map_or(0.0, |key| key.per_second))
            .to_vec();
        assert!(rates[0] > rates[1] && rates[1] > rates[2] && rates[2] > 0.0, "{rates:?}");
        assert!(hot.top(1, at(3_600_000)).is_empty());
        assert!(hot.top(1, at(0)).is_empty(), "a clock that goes back finds nothing");
    }

    #[test]
    fn texts_are_cut_and_an_unknown_core_counts_nothing() {
        let (seed, hot) = (Seed::new(), HotKeys::new(1));
        let key = seed.digest(b"a");
        (0..3)
            .for_each(|_| hot.show(0, key, at(0), |text| (0..1_000).for_each(|_| text.push(b"x"))));
        hot.show(0, seed.digest(b"b"), at(0), |text| text.push(b"y"));
        hot.show(7, key, at(0), |text| text.push(b"z"));
        let top = hot.top(10, at(0));
        assert_eq!(texts(&top), ["x".repeat(TEXT), "y".into()]);
        let off = (top[0].share - 0.75).abs() + (top[1].share - 0.25).abs();
        assert!(off < 1e-9, "{top:?}");
    }

    #[test]
    fn the_sampler_picks_its_part() {
        let sampler = Sampler::new(3);
        let picked = (0..640_000).filter(|_| sampler.picks()).count();
        assert!((9_500..10_500).contains(&picked), "{picked}");
    }
}
