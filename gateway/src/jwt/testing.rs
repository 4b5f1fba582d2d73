//! Keys and tokens for tests.

use std::sync::Arc;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use floodgate_config::Algorithm;

use super::TokenKeys;
use super::verify::{Rules, Verified, verify};
use crate::base64url;
use crate::grant::keyring::KeyText as _;

/// Somebody who issues tokens.
pub(crate) enum Issuer {
    Secret(String),
    Rsa(Box<RsaKeyPair>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

// === impl Issuer ===

impl Issuer {
    /// One with a new key of this kind.
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hs256 => Self::Secret(crate::grant::keys::generate().unwrap()),
            Algorithm::Rs256 => {
                Self::Rsa(Box::new(rsa::KeyPair::generate(KeySize::Rsa2048).unwrap()))
            }
            Algorithm::Es256 => {
                Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            Algorithm::EdDsa => Self::Ed(Ed25519KeyPair::generate().unwrap()),
        }
    }

    /// One with a new secret, which costs the least.
    pub(crate) fn any() -> Self {
        Self::new(Algorithm::Hs256)
    }

    /// A token with this header and this payload.
    pub(crate) fn sign(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
        let (bytes, random) = (signed.as_bytes(), SystemRandom::new());
        let signature = match self {
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                hmac::sign(&key, bytes).as_ref().to_vec()
            }
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, bytes).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(bytes).as_ref().to_vec(),
        };
        format!("{signed}.{}", encode(&signature))
    }

    /// A good token with this payload.
    pub(crate) fn token(&self, payload: &str) -> String {
        self.sign(&format!(r#"{{"alg":"{}","typ":"JWT"}}"#, self.algorithm()), payload)
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Secret(_) => Algorithm::Hs256,
            Self::Rsa(_) => Algorithm::Rs256,
            Self::Ec(_) => Algorithm::Es256,
            Self::Ed(_) => Algorithm::EdDsa,
        }
    }

    /// What stands in a key file: PEM, or the secret.
    pub(crate) fn text(&self) -> String {
        let der = match self {
            Self::Secret(secret) => return secret.clone(),
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ec(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        let base64 = encode(&der).replace('-', "+").replace('_', "/");
        let padding = "=".repeat((4 - base64.len() % 4) % 4);
        format!("-----BEGIN PUBLIC KEY-----\n{base64}{padding}\n-----END PUBLIC KEY-----\n")
    }

    /// The same as a JWK with these members more.
    pub(crate) fn jwk(&self, more: &str) -> String {
        let members = match self {
            Self::Secret(secret) => format!(r#""kty":"oct","k":"{}""#, encode(secret.as_bytes())),
            Self::Rsa(pair) => {
                // SEQUENCE, INTEGER with a leading zero of 257 bytes, INTEGER 65537 (RFC 8017 §A.1.1).
                let der = pair.public_key().as_ref();
                let (n, e) = (&der[9..9 + 256], &der[der.len() - 3..]);
                format!(r#""kty":"RSA","n":"{}","e":"{}""#, encode(n), encode(e))
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                format!(r#""kty":"EC","crv":"P-256","x":"{x}","y":"{y}""#)
            }
            Self::Ed(pair) => {
                let x = encode(pair.public_key().as_ref());
                format!(r#""kty":"OKP","crv":"Ed25519","x":"{x}""#)
            }
        };
        format!("{{{members}{more}}}")
    }
}

/// A good token that says whose it is.
pub(crate) fn verified(sub: &str) -> Verified {
    let text = "[upstreams.a]\nservers = [\"127.0.0.1:9\"]\n[jwt]\nkeys = \"file:keys\"\n";
    let config = floodgate_config::parse("test", text).unwrap();
    let rules = Arc::new(Rules::new(&config.jwt.unwrap(), &["sub"]));
    let issuer = Issuer::any();
    let keys = TokenKeys::parse(&issuer.text()).unwrap();
    let token = issuer.token(&format!(r#"{{"sub":"{sub}","exp":9e9}}"#));
    verify(token.as_bytes(), &keys, &rules, 0).result.unwrap()
}

/// Base64url.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = vec![0; base64url::encoded_len(bytes.len())];
    base64url::encode(bytes, &mut text);
    String::from_utf8(text).unwrap()
}
