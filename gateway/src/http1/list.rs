//! Fields whose value is a list (RFC 9110 §5.6.1).

/// What stands between the commas of `value`, without the white space around it; empty elements too.
pub(crate) fn elements(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::elements;

    #[test]
    fn elements_are_what_stands_between_commas() {
        let found: Vec<_> = elements(b" a,b c\t,, d").collect();
        assert_eq!(found, [&b"a"[..], b"b c", b"", b"d"]);
        assert_eq!(elements(b"").collect::<Vec<_>>(), [b""]);
    }
}
