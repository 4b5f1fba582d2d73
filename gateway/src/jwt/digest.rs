//! A seeded digest of a token, by which it is known again.
//!
//! NH of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway: "UMAC: Fast and Secure Message Authentication",
//! CRYPTO 1999; RFC 4418 §5.2), on 64-bit words and two Toeplitz shifts: of any two tokens of one length, chosen
//! by whomever does not know the seed, the digests are the same with a chance of 2^-128. That is what decides
//! who somebody is, so a hash for tables would not do; and a cryptographic one takes three times as long. To keep
//! the tokens and compare them would do too, but takes 550 to 900 bytes of memory for each, most of which is in no
//! cache when it is asked for; this reads nothing but the token that came and a seed that every token reads.

use super::verify::MAX_TOKEN;

/// Words that a token has at most, in pairs.
const WORDS: usize = MAX_TOKEN / 8;
/// By how many words the seed is shifted for the second half.
const SHIFT: usize = 2;

/// What one token is known by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Digest {
    /// In halves of 64 bits, the lower first: an integer of 128 would make whoever holds it larger.
    halves: [[u64; 2]; 2],
    len: u16,
}

/// Drawn once per worker, and never told.
pub(super) struct Seed(Box<[u64; WORDS + SHIFT]>);

// === impl Digest ===

impl Digest {
    /// Well mixed bits, to find a place by.
    pub(super) const fn place(self) -> usize {
        // The middle of a product is its best part.
        (self.halves[0][0] >> 60 | self.halves[0][1] << 4) as usize
    }

    /// Others, to tell those of one place apart by at a glance.
    pub(super) const fn tag(self) -> u32 {
        (self.halves[1][0] >> 48 | self.halves[1][1] << 16) as u32
    }
}

// === impl Seed ===

impl Seed {
    /// A new one.
    ///
    /// # Errors
    /// One sentence: the system has no random numbers.
    pub(super) fn random() -> Result<Self, String> {
        let mut bytes = vec![0; (WORDS + SHIFT) * 8];
        getrandom::fill(&mut bytes)
            .map_err(|e| format!("the system gives no random numbers: {e}"))?;
        let mut seed = Box::new([0; WORDS + SHIFT]);
        for (word, bytes) in seed.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = word_of(bytes);
        }
        Ok(Self(seed))
    }

    /// The digest of `token`; `None` if that is too long to be one.
    pub(super) fn digest(&self, token: &[u8]) -> Option<Digest> {
        let len = u16::try_from(token.len()).ok().filter(|_| token.len() <= MAX_TOKEN)?;
        let (pairs, rest) = token.as_chunks::<16>();
        let (keys, _) = self.0.as_chunks::<2>();
        let mut sums = [0; 2];
        // Nothing is looked up by its index: the bounds of that would cost a fifth.
        for ((pair, first), second) in pairs.iter().zip(keys).zip(keys.iter().skip(1)) {
            add(&mut sums, pair, [first, second]);
        }
        if let (false, Some([first, second, ..])) = (rest.is_empty(), keys.get(pairs.len()..)) {
            // Some of it a second time: of two tokens of one length all that differs is still in it.
            let last = token.last_chunk().copied().unwrap_or_else(|| {
                let mut padded = [0; 16];
                padded[..rest.len()].copy_from_slice(rest);
                padded
            });
            add(&mut sums, &last, [first, second]);
        }
        Some(Digest { halves: sums.map(|sum| [sum as u64, (sum >> 64) as u64]), len })
    }
}

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Adds what two words come to, once with each pair of keys.
#[inline(always)]
fn add(sums: &mut [u128; 2], pair: &[u8; 16], keys: [&[u64; 2]; 2]) {
    let (one, other) = (word_of(&pair[..8]), word_of(&pair[8..]));
    for (sum, key) in sums.iter_mut().zip(keys) {
        let product = u128::from(one.wrapping_add(key[0])) * u128::from(other.wrapping_add(key[1]));
        *sum = sum.wrapping_add(product);
    }
}

fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_the_length_count() {
        let seed = Seed::random().unwrap();
        for len in [0, 1, 7, 8, 15, 16, 17, 40, 100] {
            let token = vec![b'x'; len];
            let digest = seed.digest(&token).unwrap();
            assert_eq!(seed.digest(&token), Some(digest));
            for at in 0..len {
                let mut other = token.clone();
                other[at] ^= 1;
                assert_ne!(seed.digest(&other), Some(digest), "{len} {at}");
            }
            let longer = [&token[..], &[0]].concat();
            assert_ne!(seed.digest(&longer), Some(digest), "{len}");
        }
    }

    #[test]
    fn a_token_has_a_length_and_another_seed_another_digest() {
        let (one, other) = (Seed::random().unwrap(), Seed::random().unwrap());
        let longest = vec![b'x'; MAX_TOKEN];
        assert!(one.digest(&longest).is_some());
        assert!(one.digest(&[&longest[..], b"x"].concat()).is_none());
        assert_ne!(one.digest(&longest), other.digest(&longest));
    }
}
