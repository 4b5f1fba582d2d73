//! The keys that tokens are verified with. What a key is says how it verifies, never what a token says.

use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use aws_lc_rs::{digest, hmac};
use floodgate_config::Algorithm;

use super::{jwks, pem};
use crate::base64url;
use crate::grant::keyring::KeyText;

/// Shortest secret: as long as what it is hashed with gives (RFC 7518 §3.2).
const SHORTEST: usize = 32;
/// Most keys: a token that does not say which has signed it is tried with all.
const MOST: usize = 16;
/// How a secret begins that is no text.
const BASE64: &str = "base64:";

/// What tells one key from another; no secret.
pub(super) type Fingerprint = [u8; 16];

/// One key.
pub(super) struct Key {
    /// What it verifies.
    pub(super) algorithm: Algorithm,
    /// What tokens call it.
    pub(super) kid: Option<Box<str>>,
    /// What tells it from the others.
    pub(super) fingerprint: Fingerprint,
    material: Material,
}

enum Material {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

/// The live keys.
pub(crate) struct TokenKeys(Vec<Key>);

// === impl Key ===

impl Key {
    /// An RSA key of 2,048 bits or more.
    pub(super) fn rsa(key: ParsedPublicKey, kid: Option<&str>) -> Self {
        Self::public(Algorithm::Rs256, key, kid)
    }

    /// A point of P-256.
    pub(super) fn ec(key: ParsedPublicKey, kid: Option<&str>) -> Self {
        Self::public(Algorithm::Es256, key, kid)
    }

    /// An Ed25519 key.
    pub(super) fn ed(key: ParsedPublicKey, kid: Option<&str>) -> Self {
        Self::public(Algorithm::EdDsa, key, kid)
    }

    /// A secret.
    ///
    /// # Errors
    /// It can be guessed.
    pub(super) fn secret(secret: &[u8], kid: Option<&str>) -> Result<Self, String> {
        if secret.len() < SHORTEST {
            let len = secret.len();
            return Err(format!(
                "a secret of {len} bytes can be guessed, {SHORTEST} are needed: \
                 `openssl rand -hex 32` makes one"
            ));
        }
        let algorithm = Algorithm::Hs256;
        let fingerprint = fingerprint(algorithm, secret);
        let material = Material::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, secret)));
        Ok(Self { algorithm, kid: kid.map(Into::into), fingerprint, material })
    }

    fn public(algorithm: Algorithm, key: ParsedPublicKey, kid: Option<&str>) -> Self {
        let fingerprint = fingerprint(algorithm, key.as_ref());
        Self { algorithm, kid: kid.map(Into::into), fingerprint, material: Material::Public(key) }
    }

    /// Whether this key has made `signature` of `message`.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Public(key) => key.verify_sig(message, signature).is_ok(),
            Material::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}

fn fingerprint(algorithm: Algorithm, key: &[u8]) -> Fingerprint {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(algorithm.as_str().as_bytes());
    context.update(&[0]);
    context.update(key);
    let mut fingerprint = Fingerprint::default();
    let len = fingerprint.len();
    fingerprint.copy_from_slice(&context.finish().as_ref()[..len]);
    fingerprint
}

impl Eq for Key {}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (self.fingerprint, &self.kid) == (other.fingerprint, &other.kid)
    }
}

// === impl TokenKeys ===

impl TokenKeys {
    /// Those that may have signed a token which says so of itself: of this algorithm, and of this name if
    /// it says one and they have one.
    pub(super) fn candidates<'a>(
        &'a self,
        algorithm: Algorithm,
        kid: Option<&'a [u8]>,
    ) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| {
            let is_named_so = match (kid, &key.kid) {
                (Some(kid), Some(own)) => own.as_bytes() == kid,
                _ => true,
            };
            key.algorithm == algorithm && is_named_so
        })
    }

    /// Whether one of them is this one.
    pub(super) fn has(&self, fingerprint: Fingerprint) -> bool {
        self.0.iter().any(|key| key.fingerprint == fingerprint)
    }

    /// What each of them verifies, in their order.
    pub(crate) fn algorithms(&self) -> impl ExactSizeIterator<Item = Algorithm> {
        self.0.iter().map(|key| key.algorithm)
    }
}

impl KeyText for TokenKeys {
    const MISSING: &'static str = "put the public keys of whoever issues the tokens there";
    const READABLE: &'static str = "make tokens";

    /// Those of a text: a JWK Set, PEM, or secrets, one a line.
    fn parse(text: &str) -> Result<Self, String> {
        let keys = if jwks::is_jwks(text) {
            jwks::keys(text)?
        } else if pem::is_pem(text) {
            pem::keys(text)?
        } else {
            secrets(text)?
        };
        if keys.len() > MOST {
            return Err(format!("{} keys are too many, at most {MOST}", keys.len()));
        }
        if let Some(at) = (1..keys.len()).find(|&at| keys[..at].contains(&keys[at])) {
            return Err(format!("key {} is there twice: remove it", at + 1));
        }
        Ok(Self(keys))
    }

    fn random() -> Result<Self, String> {
        Err("what nobody knows has signed no token".to_owned())
    }

    fn is_secret(&self) -> bool {
        self.0.iter().any(|key| matches!(key.material, Material::Secret(_)))
    }
}

impl Eq for TokenKeys {}

impl PartialEq for TokenKeys {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.algorithms()).finish()
    }
}

/// One a line, as it stands there or, behind `base64:`, in base64.
fn secrets(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            continue;
        }
        let wrong = |problem: String| format!("line {}: {problem}", at + 1);
        // The DER of a public key in base64. As a secret it would be known to everybody.
        if line.starts_with("MII") || line.starts_with("MCow") || line.starts_with("MFkw") {
            return Err(wrong("a key without its PEM lines: put them back".to_owned()));
        }
        let key = match line.strip_prefix(BASE64) {
            Some(base64) => {
                let secret = base64url::decode_standard(base64)
                    .ok_or_else(|| wrong("no base64".to_owned()))?;
                Key::secret(&secret, None)
            }
            None => Key::secret(line.as_bytes(), None),
        };
        keys.push(key.map_err(wrong)?);
    }
    if keys.is_empty() {
        return Err("there is no key in it".to_owned());
    }
    Ok(keys)
}

#[cfg(test)]
mod tests;
