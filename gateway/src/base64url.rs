//! Base64 for URLs and cookies (RFC 4648 §5), without padding, and one text per value only.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What each byte stands for; everything above 63 is not in the alphabet.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// Characters that so many bytes take.
pub(crate) const fn encoded_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// Writes `bytes` as text, which has to be [`encoded_len`] long.
pub(crate) fn encode(bytes: &[u8], text: &mut [u8]) {
    debug_assert_eq!(text.len(), encoded_len(bytes.len()));
    for (bytes, text) in bytes.chunks(3).zip(text.chunks_mut(4)) {
        let mut group = [0; 4];
        group[1..=bytes.len()].copy_from_slice(bytes);
        let group = u32::from_be_bytes(group);
        for (at, character) in text.iter_mut().enumerate() {
            *character = ALPHABET[(group >> (18 - 6 * at)) as usize & 63];
        }
    }
}

/// Reads `text` into the front of `bytes`: how many there are. `None` if it is not the text of any
/// bytes, or of more than there is room for.
pub(crate) fn decode(text: &[u8], bytes: &mut [u8]) -> Option<usize> {
    let len = text.len() * 3 / 4;
    let room = bytes.get_mut(..len)?;
    for (text, bytes) in text.chunks(4).zip(room.chunks_mut(3)) {
        let mut group = 0;
        for (at, &character) in text.iter().enumerate() {
            let value = VALUES[usize::from(character)];
            if value > 63 {
                return None;
            }
            group |= u32::from(value) << (18 - 6 * at);
        }
        let group = group.to_be_bytes();
        bytes.copy_from_slice(&group[1..=bytes.len()]);
        // Bits that say nothing are zero, so that no two texts mean the same.
        if group[1 + bytes.len()..].iter().any(|&byte| byte != 0) {
            return None;
        }
    }
    (text.len() % 4 != 1).then_some(len)
}

/// The bytes of a text in either alphabet, with or without padding, as people have it in files.
pub(crate) fn decode_standard(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text
        .trim_end_matches('=')
        .bytes()
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            byte => byte,
        })
        .collect();
    let mut bytes = vec![0; text.len()];
    let len = decode(&text, &mut bytes)?;
    bytes.truncate(len);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut text = vec![0; encoded_len(bytes.len())];
        encode(bytes, &mut text);
        text
    }

    fn decoded(text: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = vec![0; text.len()];
        let len = decode(text, &mut bytes)?;
        bytes.truncate(len);
        Some(bytes)
    }

    #[test]
    fn the_rfcs_own_examples_hold() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encoded(bytes.as_bytes()), text.as_bytes());
            assert_eq!(decoded(text.as_bytes()).unwrap(), bytes.as_bytes());
        }
        assert_eq!(encoded(&[0xfb, 0xff]), b"-_8");
    }

    #[test]
    fn what_is_no_text_of_bytes_is_none() {
        for text in ["Z", "Zm9vY", "Zg==", "Zm9v\n", "Zm+v", "Zm/v", "Zh", "Zm9", "Zm 9"] {
            assert_eq!(decoded(text.as_bytes()), None, "{text}");
        }
        assert_eq!(decode(b"Zm9v", &mut [0; 2]), None);
    }

    proptest! {
        #[test]
        fn every_value_has_one_text_and_comes_back(bytes: Vec<u8>) {
            prop_assert_eq!(decoded(&encoded(&bytes)), Some(bytes));
        }

        #[test]
        fn every_text_that_is_read_is_written_the_same(text: Vec<u8>) {
            if let Some(bytes) = decoded(&text) {
                prop_assert_eq!(encoded(&bytes), text);
            }
        }
    }
}
