//! "Did you mean": the known word nearest to a mistyped one.

/// The nearest of `known` to `typed`, if one is near enough to be meant.
pub(super) fn nearest<'k>(typed: &str, known: &[&'k str]) -> Option<&'k str> {
    // A word that long is not a slip of the finger, and the distance is quadratic.
    if typed.len() > 64 {
        return None;
    }
    let allowed = (typed.chars().count() / 3).clamp(1, 3);
    let near = known.iter().map(|word| (distance(typed, word), *word));
    near.filter(|(distance, _)| *distance <= allowed).min().map(|(_, word)| word)
}

/// Levenshtein's distance, one row of the matrix at a time.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let known = ["overload", "patience", "poisson"];
        assert_eq!(nearest("overlaod", &known), Some("overload"));
        assert_eq!(nearest("patiense", &known), Some("patience"));
        assert_eq!(nearest("colour", &known), None);
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
    }
}
