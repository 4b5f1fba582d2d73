//! Keys as a JWK Set (RFC 7517, RFC 7518 §6, RFC 8037).

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
};
use serde_json::Value;

use super::keys::Key;
use super::pem::SHORTEST_MODULUS;
use crate::base64url;

/// Whether `text` is meant to be a JWK Set.
pub(super) fn is_jwks(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// The keys of `text`, in its order. Those for what is not done here are passed over (RFC 7517 §5).
///
/// # Errors
/// One sentence that says what to do and gives no key away.
pub(super) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let set: Value = serde_json::from_str(text)
        .map_err(|e| format!("no JSON from line {}, column {} on", e.line(), e.column()))?;
    let entries = match set.get("keys") {
        Some(Value::Array(entries)) => entries,
        _ if set.get("kty").is_some() => std::slice::from_ref(&set),
        _ => return Err("there is no `keys` in it, and it is no key itself".to_owned()),
    };
    let mut keys = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let wrong = |problem: String| format!("key {}: {problem}", at + 1);
        keys.extend(key(entry).map_err(wrong)?);
    }
    if keys.is_empty() {
        return Err("no key in it verifies HS256, RS256, ES256 or EdDSA".to_owned());
    }
    Ok(keys)
}

/// The key of `entry`; `None` if it is for something else.
fn key(entry: &Value) -> Result<Option<Key>, String> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let bytes = |name: &str| {
        let text = text(name).ok_or_else(|| format!("`{name}` is missing"))?;
        let mut bytes = vec![0; text.len()];
        let len = base64url::decode(text.as_bytes(), &mut bytes);
        bytes.truncate(len.ok_or_else(|| format!("`{name}` is no base64url"))?);
        Ok::<_, String>(bytes)
    };
    if text("use").is_some_and(|it| it != "sig") {
        return Ok(None);
    }
    if let Some(operations) = entry.get("key_ops").and_then(Value::as_array)
        && !operations.iter().any(|operation| operation == "verify")
    {
        return Ok(None);
    }
    let kid = text("kid");
    let curve = text("crv");
    let is_for = |algorithm: &str| text("alg").is_none_or(|it| it == algorithm);
    let unusable = |_| "no point of its curve, or no modulus".to_owned();
    Ok(match (text("kty").unwrap_or_default(), curve) {
        ("RSA", _) if is_for("RS256") => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            if n.len() < SHORTEST_MODULUS {
                return Err(format!("an RSA key of {} bits is too short", n.len() * 8));
            }
            let parsed = PublicKeyComponents { n, e }
                .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                .map_err(unusable)?;
            Some(Key::rsa(parsed, kid))
        }
        ("EC", Some("P-256")) if is_for("ES256") => {
            // Uncompressed: SEC 1, §2.3.3.
            let point = [vec![4], bytes("x")?, bytes("y")?].concat();
            let parsed =
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).map_err(unusable)?;
            Some(Key::ec(parsed, kid))
        }
        ("OKP", Some("Ed25519")) if is_for("EdDSA") || is_for("Ed25519") => {
            let parsed = ParsedPublicKey::new(&ED25519, bytes("x")?).map_err(unusable)?;
            Some(Key::ed(parsed, kid))
        }
        ("oct", _) if is_for("HS256") => Some(Key::secret(&bytes("k")?, kid)?),
        _ => None,
    })
}
