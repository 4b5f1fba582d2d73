//! Tokens as an issuer makes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use aws_lc_rs::{hmac, rsa};

/// Somebody who issues tokens.
#[derive(Debug)]
pub(crate) enum Issuer {
    Secret(&'static str),
    Rsa(RsaKeyPair),
}

// === impl Issuer ===

impl Issuer {
    /// One with a new RSA key.
    pub(crate) fn rsa() -> Self {
        Self::Rsa(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap())
    }

    /// A token with these claims, beside an end that is an hour away.
    pub(crate) fn token(&self, claims: &str) -> String {
        self.sign(&format!("{{\"exp\":{},{claims}}}", from_now(3600)))
    }

    /// A token with this payload.
    pub(crate) fn sign(&self, payload: &str) -> String {
        let alg = match self {
            Self::Secret(_) => "HS256",
            Self::Rsa(_) => "RS256",
        };
        self.sign_as(&format!("{{\"alg\":\"{alg}\"}}"), payload)
    }

    /// A token with this header and this payload.
    pub(crate) fn sign_as(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", base64(header.as_bytes()), base64(payload.as_bytes()));
        let signature = match self {
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{signed}.{}", base64(&signature))
    }

    /// What stands in the key file.
    pub(crate) fn file(&self) -> String {
        match self {
            Self::Secret(secret) => (*secret).to_owned(),
            Self::Rsa(pair) => {
                let der = pair.public_key().as_der().unwrap();
                let base64 = base64(der.as_ref()).replace('-', "+").replace('_', "/");
                format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n")
            }
        }
    }
}

/// Seconds since 1970, so many from now.
pub(crate) fn from_now(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    now.as_secs() + seconds
}

/// Base64url (RFC 4648 §5).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..=group.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}
