//! Counts of more keys than there is room for: count-min with conservative update (Cormode and Muthukrishnan, 2005; Estan and
//! Varghese, 2002).

use crate::keys::Digest;

/// Rows, each of which counts every key.
const ROWS: usize = 4;

/// Cells of a row, a power of two. With 4 rows of 1,024, of n samples of keys that never repeat, one key is counted about
/// n / 1,024 too often.
const COLUMNS: usize = 1_024;

/// Counts that are never too low, and too high by what other keys in the same cells of all rows have counted.
#[derive(Debug)]
pub(super) struct Sketch {
    cells: Box<[[u32; COLUMNS]; ROWS]>,
}

// === impl Sketch ===

impl Sketch {
    pub(super) fn new() -> Self {
        Self { cells: Box::new([[0; COLUMNS]; ROWS]) }
    }

    /// Counts one more of `key`: how many there are now.
    pub(super) fn add(&mut self, key: Digest) -> u32 {
        // The digest is as good as random: each row takes bits of its own.
        let column = |row: usize| (key.high() >> (row * 16)) as usize & (COLUMNS - 1);
        let rows = self.cells.iter().enumerate();
        let least = rows.map(|(row, cells)| cells[column(row)]).min().unwrap_or(0);
        let count = least.saturating_add(1);
        for (row, cells) in self.cells.iter_mut().enumerate() {
            let cell = &mut cells[column(row)];
            *cell = (*cell).max(count);
        }
        count
    }

    pub(super) fn scale(&mut self, scale: impl Fn(u32) -> u32) {
        self.cells.iter_mut().flatten().for_each(|cell| *cell = scale(*cell));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Seed;

    #[test]
    fn counts_are_never_too_low_and_seldom_much_too_high() {
        let (seed, mut sketch) = (Seed::new(), Sketch::new());
        let key = |n: u64| seed.digest(&n.to_be_bytes());
        for round in 1..=100 {
            for n in 0..10 {
                assert!(sketch.add(key(n)) >= round);
            }
            for n in 0..100 {
                sketch.add(key(1_000 + u64::from(round) * 100 + n));
            }
        }
        assert!((101..150).contains(&sketch.add(key(0))));
        sketch.scale(|count| count / 2);
        assert!((51..80).contains(&sketch.add(key(0))));
        sketch.scale(|_| u32::MAX);
        assert_eq!(sketch.add(key(0)), u32::MAX);
    }
}
