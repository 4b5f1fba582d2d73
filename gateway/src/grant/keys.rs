//! The keys that grants are signed with, and what is derived from them.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::keyring::KeyText;
use crate::base64url;

/// Shortest key: as long as what it is hashed with gives.
const SHORTEST: usize = 32;
/// Longest key, and with it the longest line.
const LONGEST: usize = 1024;
/// A key with fewer different bytes was typed, not drawn.
const FEWEST_BYTES: usize = 8;

/// HMAC-SHA-256 of a key, which is hashed in once and not for every message.
pub(super) type Signer = Hmac<Sha256>;

/// One key. Holds what is derived from it, a signer for each purpose, so that nothing signed for one
/// passes for another; never printed.
#[derive(Clone)]
pub(super) struct Key {
    fingerprint: [u8; 32],
    /// Signs grants.
    pub(super) grants: Signer,
    /// Hashes customers into grants.
    pub(super) customers: Signer,
    /// Signs device ids.
    pub(super) devices: Signer,
}

/// The live keys: the first signs, and what any of them has signed is valid. Two, so that one can take
/// over from another while what that one has signed is still about.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Keys {
    newest: Key,
    other: Option<Key>,
}

/// A new key as it stands in a key file: 256 random bits in base64.
///
/// # Errors
/// One sentence: the system has no random numbers.
pub(crate) fn generate() -> Result<String, String> {
    let mut text = [0; base64url::encoded_len(SHORTEST)];
    base64url::encode(&random::<SHORTEST>()?, &mut text);
    Ok(text.iter().copied().map(char::from).collect())
}

/// So many random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| format!("the system gives no random numbers: {e}"))?;
    Ok(bytes)
}

// === impl Key ===

impl Key {
    fn new(secret: &[u8]) -> Self {
        // No length is invalid for HMAC.
        let signer = |key: &[u8]| Signer::new_from_slice(key).expect("any length of key");
        let secret = signer(secret);
        let derive = |purpose: &[u8]| -> [u8; 32] {
            let derived = secret.clone().chain_update(b"floodgate v1 ").chain_update(purpose);
            derived.finalize().into_bytes().into()
        };
        Self {
            fingerprint: derive(b"key id"),
            grants: signer(&derive(b"grants")),
            customers: signer(&derive(b"customers")),
            devices: signer(&derive(b"devices")),
        }
    }

    /// What tells it from the other; no secret.
    pub(super) fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.fingerprint;
        [a, b, c, d]
    }
}

impl Eq for Key {}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

// === impl Keys ===

impl Keys {
    /// How many.
    pub(crate) fn count(&self) -> usize {
        1 + usize::from(self.other.is_some())
    }

    /// The one that signs.
    pub(super) fn newest(&self) -> &Key {
        &self.newest
    }

    /// Those of this id; all but never more than one.
    pub(super) fn of(&self, id: [u8; 4]) -> impl Iterator<Item = &Key> {
        [Some(&self.newest), self.other.as_ref()]
            .into_iter()
            .flatten()
            .filter(move |k| k.id() == id)
    }
}

impl KeyText for Keys {
    const MISSING: &'static str = "make one with `umask 077; floodgate key > FILE`";
    const READABLE: &'static str = "sign grants";

    /// The keys of a text, the one that signs first: one a line (or between commas, where there are no
    /// lines), hexadecimal or base64 of either alphabet. Empty lines and what follows a `#` are nothing.
    fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<(usize, Key)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            for word in line.split(',').map(str::trim).filter(|word| !word.is_empty()) {
                let line = at + 1;
                let key = secret(word).map_err(|problem| format!("line {line}: {problem}"))?;
                let key = Key::new(&key);
                if let Some((first, _)) = keys.iter().find(|(_, other)| *other == key) {
                    return Err(format!("line {line} repeats the key of line {first}: remove it"));
                }
                if keys.len() == 2 {
                    return Err(format!(
                        "line {line} is a third key: keep the one that signs, first, and one other"
                    ));
                }
                keys.push((line, key));
            }
        }
        let mut keys = keys.into_iter().map(|(_, key)| key);
        let newest = keys.next().ok_or("there is no key in it: make one with `floodgate key`")?;
        Ok(Self { newest, other: keys.next() })
    }

    /// One random key.
    fn random() -> Result<Self, String> {
        Ok(Self { newest: Key::new(&random::<SHORTEST>()?), other: None })
    }

    fn is_secret(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// The bytes of one key.
fn secret(word: &str) -> Result<Vec<u8>, String> {
    if word.len() > 2 * LONGEST {
        return Err(format!("a key has at most {LONGEST} bytes"));
    }
    // Base64 of 32 random bytes is never without a letter beyond F, hexadecimal always.
    let bytes = if word.bytes().all(|b| b.is_ascii_hexdigit()) {
        hex(word)
    } else {
        base64url::decode_standard(word)
    };
    let bytes = bytes.ok_or("a key is hexadecimal or base64: make one with `floodgate key`")?;
    if bytes.len() < SHORTEST {
        let len = bytes.len();
        return Err(format!(
            "a key of {len} bytes can be guessed, {SHORTEST} are needed: make one with `floodgate key`"
        ));
    }
    let mut different = bytes.clone();
    different.sort_unstable();
    different.dedup();
    if different.len() < FEWEST_BYTES {
        return Err("this is no random key: make one with `floodgate key`".to_owned());
    }
    Ok(bytes)
}

fn hex(word: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = word.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        let keys = Keys::parse(HEX).unwrap();
        for text in [
            BASE64.to_owned(),
            BASE64.trim_end_matches('=').to_owned(),
            format!("# made in November\n\n  {HEX}  # the only one\r\n\n"),
        ] {
            assert_eq!(Keys::parse(&text).unwrap(), keys, "{text}");
        }
        let of = |bytes: [u8; 33]| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            Keys::parse(&hex).unwrap()
        };
        let mut bytes = [0; 33];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = at as u8 ^ 0xe8;
        }
        let mut text = [0; 44];
        base64url::encode(&bytes, &mut text);
        let text = std::str::from_utf8(&text).unwrap();
        assert_eq!(Keys::parse(text).unwrap(), of(bytes));
        let standard = text.replace('-', "+").replace('_', "/");
        assert_ne!(standard, text);
        assert_eq!(Keys::parse(&standard).unwrap(), of(bytes));
    }

    #[test]
    fn the_first_of_two_keys_signs() {
        let (first, second) = (generate().unwrap(), generate().unwrap());
        let only = Keys::parse(&first).unwrap();
        for text in [format!("{first}\n{second}\n"), format!("{first},{second}")] {
            let both = Keys::parse(&text).unwrap();
            assert!(both.newest() == only.newest());
            assert_ne!(both, only);
            assert_ne!(both, Keys::parse(&format!("{second}\n{first}")).unwrap());
        }
    }

    #[test]
    fn what_is_no_key_is_refused_with_what_to_do() {
        let keys = [generate().unwrap(), generate().unwrap(), generate().unwrap()];
        let [a, b, c] = &keys;
        for (text, says) in [
            (String::new(), "no key"),
            ("# nothing\n\n ,".to_owned(), "no key"),
            ("secret".to_owned(), "line 1"),
            (format!("{a}\npassword!"), "line 2: a key is hexadecimal or base64"),
            (HEX[..62].to_owned(), "31 bytes"),
            (HEX[..63].to_owned(), "hexadecimal"),
            ("ab".repeat(32), "no random key"),
            ("A".repeat(64), "no random key"),
            (format!("{a}\n{b}\n\n{c}"), "line 4 is a third key"),
            (format!("{a}\n#\n{a}"), "line 3 repeats the key of line 1"),
            (HEX.repeat(33), "at most 1024"),
        ] {
            let problem = Keys::parse(&text).unwrap_err();
            assert!(problem.contains(says), "{problem}");
            assert!(text.len() < 8 || !keys.iter().any(|key| problem.contains(key)), "{problem}");
        }
    }

    #[test]
    fn generated_keys_load_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, other);
        assert_ne!(Keys::parse(&one).unwrap(), Keys::parse(&other).unwrap());
        assert_ne!(Keys::random().unwrap(), Keys::random().unwrap());
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        assert_eq!(format!("{:?}", Keys::parse(HEX).unwrap()), "Keys(..)");
    }

    #[test]
    fn no_purpose_shares_its_signer_with_another() {
        let key = Key::new(&[7; 32]);
        let sign = |signer: &Signer| signer.clone().finalize().into_bytes();
        assert_ne!(sign(&key.grants), sign(&key.devices));
        assert_ne!(sign(&key.grants), sign(&key.customers));
        assert_ne!(sign(&key.customers), sign(&key.devices));
    }
}
