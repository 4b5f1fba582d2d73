//! What stands for a key in tables: the key itself is in none.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::{array, fmt};

/// What a key is hashed with: SipHash-1-3 under two random keys of 128 bits (Aumasson and Bernstein, 2012), so that
/// nobody outside can choose keys that meet in a table, or one that meets somebody else's.
#[derive(Clone, Debug)]
pub struct Seed([RandomState; 2]);

/// 128 bits that stand for a key; not the same in another process.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Digest {
    low: u64,
    high: u64,
}

/// A digest that is being made, of one part of the key after the other.
pub struct Digesting {
    halves: [<RandomState as BuildHasher>::Hasher; 2],
    /// Bytes of the part that has begun.
    len: usize,
}

/// Takes one half of a digest for the hash that it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs;

/// The half of the digest that was written.
#[derive(Debug, Default)]
pub(crate) struct Half(u64);

// === impl Seed ===

impl Seed {
    /// A random one.
    #[must_use]
    pub fn new() -> Self {
        Self(array::from_fn(|_| RandomState::new()))
    }

    /// Begins the digest of a key.
    #[must_use]
    pub fn begin(&self) -> Digesting {
        let [low, high] = &self.0;
        Digesting { halves: [low.build_hasher(), high.build_hasher()], len: 0 }
    }

    /// The digest of a key of one part.
    #[must_use]
    pub fn digest(&self, part: &[u8]) -> Digest {
        let mut digesting = self.begin();
        digesting.part(part);
        digesting.end()
    }
}

impl Default for Seed {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Digesting ===

impl Digesting {
    /// The next part. Where one ends and the next begins counts: `ab` and `c` are not `a` and `bc`.
    pub fn part(&mut self, part: &[u8]) {
        self.more(part);
        self.end_part();
    }

    /// A piece of the next part; it does not matter in how many pieces it comes.
    pub fn more(&mut self, piece: &[u8]) {
        self.len += piece.len();
        self.halves.iter_mut().for_each(|half| half.write(piece));
    }

    /// Ends the part that was made of pieces.
    pub fn end_part(&mut self) {
        let len = std::mem::take(&mut self.len);
        self.halves.iter_mut().for_each(|half| half.write_usize(len));
    }

    /// The digest of the parts.
    #[must_use]
    pub fn end(self) -> Digest {
        let [low, high] = self.halves;
        Digest { low: low.finish(), high: high.finish() }
    }
}

impl fmt::Debug for Digesting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digesting").finish_non_exhaustive()
    }
}

// === impl Digest ===

impl Digest {
    /// The half that maps do not look at: for whatever else has to be spread by keys.
    pub(crate) const fn high(self) -> u64 {
        self.high
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.high, self.low)
    }
}

// === impl AsItIs ===

impl BuildHasher for AsItIs {
    type Hasher = Half;

    fn build_hasher(&self) -> Half {
        Half(0)
    }
}

// === impl Half ===

impl Hasher for Half {
    /// `Digest` writes its low half first, its high half then.
    fn write_u64(&mut self, half: u64) {
        if self.0 == 0 {
            self.0 = half;
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(seed: &Seed, parts: &[&str]) -> Digest {
        let mut digesting = seed.begin();
        parts.iter().for_each(|part| digesting.part(part.as_bytes()));
        digesting.end()
    }

    #[test]
    fn parts_are_told_apart_and_a_seed_repeats_itself() {
        let seed = Seed::new();
        assert_eq!(digest(&seed, &["ab", "c"]), digest(&seed, &["ab", "c"]));
        for other in [&["a", "bc"][..], &["abc"], &["abc", ""], &["", "abc"], &["c", "ab"]] {
            assert_ne!(digest(&seed, &["ab", "c"]), digest(&seed, other), "{other:?}");
        }
        assert_ne!(digest(&seed, &["ab"]), digest(&Seed::new(), &["ab"]));
        assert_eq!(seed.digest(b"ab"), digest(&seed, &["ab"]));
        let mut pieces = seed.begin();
        [&b"a"[..], b"", b"b"].into_iter().for_each(|piece| pieces.more(piece));
        pieces.end_part();
        pieces.part(b"c");
        assert_eq!(pieces.end(), digest(&seed, &["ab", "c"]));
    }

    #[test]
    fn both_halves_are_of_the_whole_key_and_a_map_takes_the_low_one() {
        let seed = Seed::new();
        let all: Vec<Digest> = (0_u32..10_000).map(|n| seed.digest(&n.to_be_bytes())).collect();
        for half in [|digest: &Digest| digest.low, |digest: &Digest| digest.high] {
            let mut halves: Vec<u64> = all.iter().map(half).collect();
            halves.sort_unstable();
            halves.dedup();
            assert_eq!(halves.len(), all.len());
        }
        assert_eq!(AsItIs.hash_one(all[0]), all[0].low);
    }
}
