//! Public keys as PEM (RFC 7468): only those, and never what has to stay secret.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
};

use super::keys::Key;
use crate::base64url;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Shortest modulus in bytes: RFC 7518 §3.3.
pub(super) const SHORTEST_MODULUS: usize = 256;

/// Whether `text` is meant to be PEM.
pub(super) fn is_pem(text: &str) -> bool {
    text.contains(BEGIN)
}

/// The keys of `text`, in its order.
///
/// # Errors
/// One sentence that says what to do.
pub(super) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    let mut lines = text.lines().map(str::trim).enumerate();
    while let Some((at, line)) = lines.next() {
        // What stands between keys is comment.
        let Some(label) = line.strip_prefix(BEGIN).and_then(|it| it.strip_suffix(DASHES)) else {
            continue;
        };
        let mut base64 = String::new();
        loop {
            match lines.next() {
                Some((_, line)) if line.starts_with(END) => break,
                Some((_, line)) => base64.push_str(line),
                None => return Err(format!("line {}: the key has no END", at + 1)),
            }
        }
        keys.push(key(label, &base64).map_err(|problem| format!("line {}: {problem}", at + 1))?);
    }
    Ok(keys)
}

fn key(label: &str, base64: &str) -> Result<Key, String> {
    match label {
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {}
        label if label.ends_with("PRIVATE KEY") => {
            return Err("a private key has no business here: `openssl pkey -pubout` gives the \
                        public one"
                .to_owned());
        }
        "CERTIFICATE" => {
            return Err("a certificate: `openssl x509 -noout -pubkey` gives its key".to_owned());
        }
        label => return Err(format!("{label:?} is no public key")),
    }
    let der = base64url::decode_standard(base64).ok_or("what stands there is no base64")?;
    if let Ok(public) = rsa::PublicKey::from_der(&der) {
        let len = modulus_len(public.as_ref()).unwrap_or(0);
        if len < SHORTEST_MODULUS {
            return Err(format!("an RSA key of {} bits is too short", len * 8));
        }
        // One encoding, whichever it came in: the same key is the same.
        let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public.as_ref());
        return parsed.map(|parsed| Key::rsa(parsed, None)).map_err(|e| e.to_string());
    }
    if let Ok(parsed) = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &der) {
        return Ok(Key::ec(parsed, None));
    }
    if let Ok(parsed) = ParsedPublicKey::new(&ED25519, &der) {
        return Ok(Key::ed(parsed, None));
    }
    Err("neither RSA, nor P-256, nor Ed25519".to_owned())
}

/// Bytes of the modulus of an RSAPublicKey (RFC 8017 §A.1.1), which is a sequence that begins with it.
fn modulus_len(der: &[u8]) -> Option<usize> {
    let (_, inner) = value(der, 0x30)?;
    let (len, modulus) = value(inner, 0x02)?;
    Some(len - usize::from(modulus.first() == Some(&0)))
}

/// How long the value at the front of `der` is, and what begins with it.
fn value(der: &[u8], tag: u8) -> Option<(usize, &[u8])> {
    let (_, rest) = der.split_first().filter(|(found, _)| **found == tag)?;
    let (&first, rest) = rest.split_first()?;
    let count = usize::from(first & 0x7f);
    if first < 0x80 {
        return Some((count, rest));
    }
    let (bytes, rest) = rest.split_at_checked(count).filter(|_| count <= 4)?;
    Some((bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest))
}
