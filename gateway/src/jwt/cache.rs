//! Tokens that were seen, in memory of a fixed size.
//!
//! Sets of eight places. In a full set one goes that nobody has asked for again; where all have been asked for,
//! that is forgotten and one goes at random (not recently used): nothing is ever moved. A look costs two lines of memory: the
//! tags of a set share one, and a place has one of its own.

use super::digest::Digest;

/// Places of a set.
const WAYS: usize = 8;

/// What is known of so many tokens.
#[derive(Debug)]
pub(super) struct Cache<V> {
    /// Empty until the first is put in.
    sets: Vec<Set<V>>,
    /// How many sets there are to be: a power of two.
    count: usize,
}

#[derive(Debug)]
#[repr(C, align(64))]
struct Set<V> {
    /// Each on a line of its own, if a value takes 24 bytes.
    places: [Option<Entry<V>>; WAYS],
    /// Part of the digest of each place that is taken; it says where to look, and nothing else.
    tags: [u32; WAYS],
    /// A bit for each place: it has been asked for again.
    wanted: u8,
}

#[derive(Debug)]
struct Entry<V> {
    digest: Digest,
    value: V,
}

// === impl Cache ===

impl<V> Cache<V> {
    /// With room for at least so many.
    pub(super) fn new(capacity: usize) -> Self {
        let count = capacity.div_ceil(WAYS).next_power_of_two();
        Self { sets: Vec::new(), count }
    }

    /// How many are in it.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sets.iter().flat_map(|set| set.places.iter().flatten()).count()
    }

    /// What is known of the token of this digest.
    pub(super) fn get(&mut self, digest: Digest) -> Option<&V> {
        let set = self.sets.get_mut(digest.place() % self.count)?;
        let way = set.find(digest)?;
        // Written once: what is only read stays where it is.
        if set.wanted >> way & 1 == 0 {
            set.wanted |= 1 << way;
        }
        set.places[way].as_ref().map(|entry| &entry.value)
    }

    /// Remembers `value` of the token of this digest, in the place of another if it must be.
    pub(super) fn put(&mut self, digest: Digest, value: V) {
        if self.sets.is_empty() {
            self.sets.resize_with(self.count, Set::default);
        }
        // Whichever comes first: with a seeded digest no one can aim.
        let (at, begin) = (digest.place() % self.count, digest.place() / self.count % WAYS);
        let Some(set) = self.sets.get_mut(at) else { return };
        let way = set.find(digest).or_else(|| set.places.iter().position(Option::is_none));
        let way = way.unwrap_or_else(|| {
            let from_there = (0..WAYS).map(|step| (begin + step) % WAYS);
            let mut unwanted = from_there.filter(|way| set.wanted >> way & 1 == 0);
            unwanted.next().unwrap_or_else(|| {
                set.wanted = 0;
                begin
            })
        });
        set.tags[way] = digest.tag();
        set.wanted &= !(1 << way);
        set.places[way] = Some(Entry { digest, value });
    }

    /// Forgets all but what is as `is_kept` has it.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&V) -> bool) {
        for place in self.sets.iter_mut().flat_map(|set| &mut set.places) {
            *place = place.take().filter(|entry| is_kept(&entry.value));
        }
    }
}

// === impl Set ===

impl<V> Set<V> {
    /// The place of this digest.
    fn find(&self, digest: Digest) -> Option<usize> {
        let tag = digest.tag();
        let mut places = self.tags.iter().zip(&self.places);
        places.position(|(other, place)| {
            *other == tag && place.as_ref().is_some_and(|entry| entry.digest == digest)
        })
    }
}

impl<V> Default for Set<V> {
    fn default() -> Self {
        Self { places: [const { None }; WAYS], tags: [0; WAYS], wanted: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwt::digest::Seed;

    #[test]
    fn a_place_is_a_line_of_memory() {
        assert_eq!(size_of::<Option<Entry<(u64, u64, std::rc::Rc<()>)>>>(), 64);
        assert_eq!(std::mem::offset_of!(Set<()>, places), 0);
    }

    fn digests(count: u32) -> Vec<Digest> {
        let seed = Seed::random().unwrap();
        // As far apart as signatures are: of successive numbers some seeds make neighbours.
        let spread = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
        (0..count).map(|n| seed.digest(&spread(n)).unwrap()).collect()
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
