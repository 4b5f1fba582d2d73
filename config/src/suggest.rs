//! "Did you mean": the known word nearest to a mistyped one.

/// Words that are looked at, so that a wrong file with very many names is answered in time.
const LOOKED_AT: usize = 100;

/// The nearest of `known`, the first hundred of them, to `typed`, if one is near enough to be meant.
pub(crate) fn nearest<'k>(
    typed: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    // A word that long is not a slip of the finger, and the distance is quadratic.
    if typed.chars().count() > 64 {
        return None;
    }
    let allowed = (typed.chars().count() / 3).min(3);
    known
        .into_iter()
        .take(LOOKED_AT)
        .map(|word| (distance(typed, word), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours.
/// Case and `-` against `_` do not count.
fn distance(from: &str, to: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (from, to) = (letters(from), letters(to));
    // Rows of the usual matrix: the one before last, the last, and the one being filled.
    let mut before: Vec<usize> = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let replaced = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_slips_of_the_finger() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("tires", "tiers", 1),
            ("max-wait", "Max_Wait", 0),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }

    #[test]
    fn the_nearest_is_suggested_and_the_far_is_not() {
        let known = ["max_in_flight", "max_upgraded", "rate"];
        assert_eq!(nearest("max_inflight", known), Some("max_in_flight"));
        assert_eq!(nearest("Rate", known), Some("rate"));
        assert_eq!(nearest("watermarks", known), None);
        // Every name of two letters would be near to every other.
        assert_eq!(nearest("l3", ["l1", "l2"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
