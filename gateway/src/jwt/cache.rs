//! Tokens that were seen, in memory of a fixed size.
//!
//! Sets of eight places. In a full set one goes that nobody has asked for again; where all have been asked for,
//! that is forgotten and one goes at random (not recently used): nothing is ever moved and a look costs one set.

use super::digest::Digest;

/// Places of a set.
const WAYS: usize = 8;

/// What is known of so many tokens.
#[derive(Debug)]
pub(super) struct Cache<V> {
    /// Empty until the first is put in.
    entries: Vec<Option<Entry<V>>>,
    /// How many sets there are to be: a power of two.
    sets: usize,
}

#[derive(Debug)]
struct Entry<V> {
    digest: Digest,
    is_wanted: bool,
    value: V,
}

// === impl Cache ===

impl<V> Cache<V> {
    /// With room for at least so many.
    pub(super) fn new(capacity: usize) -> Self {
        let sets = capacity.div_ceil(WAYS).next_power_of_two();
        Self { entries: Vec::new(), sets }
    }

    /// How many are in it.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.iter().flatten().count()
    }

    /// What is known of the token of this digest.
    pub(super) fn get(&mut self, digest: Digest) -> Option<&V> {
        let entry = self.set(digest).iter_mut().flatten().find(|entry| entry.digest == digest)?;
        entry.is_wanted = true;
        Some(&entry.value)
    }

    /// Remembers `value` of the token of this digest, in the place of another if it must be.
    pub(super) fn put(&mut self, digest: Digest, value: V) {
        if self.entries.is_empty() {
            self.entries.resize_with(self.sets * WAYS, || None);
        }
        // Whichever comes first: with a seeded digest no one can aim.
        let begin = digest.place() / self.sets;
        let set = self.set(digest);
        let same = |entry: &Entry<V>| entry.digest == digest;
        let at = set
            .iter()
            .position(|entry| entry.as_ref().is_some_and(same))
            .or_else(|| set.iter().position(Option::is_none));
        let at = at.unwrap_or_else(|| {
            let is_wanted = |way: &usize| set[*way].as_ref().is_some_and(|entry| entry.is_wanted);
            let unwanted = (0..WAYS).map(|step| (begin + step) % WAYS).find(|way| !is_wanted(way));
            unwanted.unwrap_or_else(|| {
                set.iter_mut().flatten().for_each(|entry| entry.is_wanted = false);
                begin % WAYS
            })
        });
        set[at] = Some(Entry { digest, is_wanted: false, value });
    }

    /// Forgets all but what is as `is_kept` has it.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&V) -> bool) {
        for entry in &mut self.entries {
            *entry = entry.take().filter(|entry| is_kept(&entry.value));
        }
    }

    fn set(&mut self, digest: Digest) -> &mut [Option<Entry<V>>] {
        let begin = (digest.place() % self.sets) * WAYS;
        self.entries.get_mut(begin..begin + WAYS).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::digest::Seed;

    fn digests(count: u32) -> Vec<Digest> {
        let seed = Seed::random().unwrap();
        (0..count).map(|n| seed.digest(&n.to_le_bytes()).unwrap()).collect()
    }

    #[test]
    fn what_was_put_in_is_found_until_there_is_no_room() {
        let digests = digests(10_000);
        let mut cache = Cache::new(1_000);
        for (n, &digest) in digests.iter().enumerate() {
            assert_eq!(cache.get(digest), None);
            cache.put(digest, n);
            assert_eq!(cache.get(digest), Some(&n), "the newest always");
            assert!(cache.len() <= 1_024);
        }
        let found = digests.iter().enumerate().filter(|(n, d)| cache.get(**d) == Some(n)).count();
        assert_eq!(found, cache.len());
        assert!(found > 1_000, "{found}");
        cache.put(digests[9_999], 0);
        assert_eq!(cache.get(digests[9_999]), Some(&0));
        assert_eq!(cache.len(), found);
    }

    #[test]
    fn what_is_asked_for_stays() {
        let digests = digests(50_000);
        let mut cache = Cache::new(1_000);
        let (regulars, strangers) = digests.split_at(200);
        regulars.iter().for_each(|&digest| cache.put(digest, ()));
        let mut lost = 0;
        for strangers in strangers.chunks(500) {
            for &digest in regulars {
                if cache.get(digest).is_none() {
                    lost += 1;
                    cache.put(digest, ());
                }
            }
            strangers.iter().for_each(|&digest| cache.put(digest, ()));
        }
        let asked = regulars.len() * strangers.len().div_ceil(500);
        assert!(lost * 5 < asked, "{lost} of {asked}");
    }

    #[test]
    fn what_is_not_kept_is_forgotten() {
        let digests = digests(100);
        let mut cache = Cache::new(1_000);
        cache.retain(|_| false);
        digests.iter().zip(0..).for_each(|(&digest, n)| cache.put(digest, n));
        let before = cache.len();
        cache.retain(|n: &i32| n % 2 == 0);
        assert_eq!(cache.len(), before / 2);
        assert!(digests.iter().zip(0..).all(|(&d, n)| cache.get(d).is_some() == (n % 2 == 0)));
    }
}
