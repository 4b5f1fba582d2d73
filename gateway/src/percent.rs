//! Percent-encoding undone (RFC 3986 §2.1): what is meant by a part of a target, however it is spelled.

/// What the two digits at the beginning of `digits` stand for.
pub(crate) fn octet(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    digit(0).zip(digit(1)).map(|(high, low)| (high * 16 + low) as u8)
}

/// Gives the bytes that `text` stands for to `take`, in pieces; in a query (`has_plus`) a plus stands for a space. What is
/// no encoding stands for itself.
pub(crate) fn pieces(text: &[u8], has_plus: bool, mut take: impl FnMut(&[u8])) {
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let is_plain = |byte: &u8| *byte != b'%' && !(has_plus && *byte == b'+');
        let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        if plain > 0 {
            take(&rest[..plain]);
            rest = &rest[plain..];
        } else if first == b'+' {
            take(b" ");
            rest = behind;
        } else if let Some(octet) = octet(behind) {
            take(&[octet]);
            rest = &behind[2..];
        } else {
            take(b"%");
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str, has_plus: bool) -> String {
        let mut out = Vec::new();
        pieces(text.as_bytes(), has_plus, |piece| out.extend_from_slice(piece));
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn one_thing_is_one_however_it_is_written() {
        for (text, path, query) in [
            ("hot", "hot", "hot"),
            ("h%6ft", "hot", "hot"),
            ("%68%6F%74", "hot", "hot"),
            ("a+b", "a+b", "a b"),
            ("a%20b", "a b", "a b"),
            ("a%2Bb+", "a+b+", "a+b "),
            ("100%", "100%", "100%"),
            ("%zz%4", "%zz%4", "%zz%4"),
            ("%%41", "%A", "%A"),
            ("", "", ""),
        ] {
            assert_eq!(decoded(text, false), path, "{text}");
            assert_eq!(decoded(text, true), query, "{text}");
        }
    }
}
