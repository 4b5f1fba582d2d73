//! A grant as text: 68 characters that go through URLs, cookies and header fields as they are.
//!
//! ```text
//! version  key id  journey  nonce  issued  lifetime  customer  signature
//!    1       4        4       8      6        4         8         16      bytes
//! ```
//!
//! Times are in milliseconds. Signed is all that stands before the signature, the whole name of the journey and
//! the whole identity of the customer; their digests stand in the token so that one that is used for
//! another journey or by another customer can be told from one that nobody signed.

use std::time::Duration;

use hmac::Mac as _;
use http::HeaderValue;

use super::journey::JourneyId;
use super::keys::{Key, Keys, Signer};
use crate::base64url;

const VERSION: u8 = 1;
const SIGNED: usize = 35;
const SIGNATURE: usize = 16;
const BYTES: usize = SIGNED + SIGNATURE;
// A multiple of three: no bit of the text is without meaning.
const LEN: usize = base64url::encoded_len(BYTES);

/// How far the clock of the gateway that signed may be ahead.
const SKEW_MS: u64 = 2_000;
/// Six bytes hold no more.
const LAST_MS: u64 = (1 << 48) - 1;

/// What a valid token grants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Grant {
    /// Its number, which no other has.
    pub nonce: u64,
    /// When it was given, in milliseconds since 1970.
    pub issued_ms: u64,
    /// When it ends, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// A grant, signed, as text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Token([u8; LEN]);

/// Why a token grants nothing, in the order of looks. Only what has expired is known to be signed: the
/// first four are said before the signature is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Invalid {
    /// It is none.
    Malformed,
    /// No live key has its id.
    UnknownKey,
    /// It is for another journey.
    OtherJourney,
    /// It is another customer's.
    OtherCustomer,
    /// The signature is wrong, or it comes from the future.
    Forged,
    /// It has ended.
    Expired,
}

// === impl Grant ===

impl Grant {
    /// Grant number `nonce`, from now on for `ttl`.
    pub(crate) fn new(nonce: u64, now_ms: u64, ttl: Duration) -> Self {
        let issued_ms = now_ms.min(LAST_MS);
        let lifetime = u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX);
        Self { nonce, issued_ms, expires_ms: issued_ms + u64::from(lifetime) }
    }

    /// Itself, if it has begun and not ended.
    fn at(self, now_ms: u64) -> Result<Self, Invalid> {
        if self.issued_ms > now_ms.saturating_add(SKEW_MS) {
            Err(Invalid::Forged)
        } else if now_ms >= self.expires_ms {
            Err(Invalid::Expired)
        } else {
            Ok(self)
        }
    }
}

// === impl Token ===

impl Token {
    /// As it goes to the customer.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&Token> for HeaderValue {
    fn from(token: &Token) -> Self {
        Self::from_bytes(token.as_bytes()).expect("letters and digits")
    }
}

// === impl Invalid ===

impl Invalid {
    /// All of them, in the order of [`Invalid::index`].
    pub(crate) const ALL: [Self; 6] = [
        Self::Malformed,
        Self::UnknownKey,
        Self::OtherJourney,
        Self::OtherCustomer,
        Self::Forged,
        Self::Expired,
    ];

    /// Position in [`Invalid::ALL`], for tables.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// As it stands in metrics and decisions.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Forged => "forged",
            Self::Malformed => "malformed",
            Self::OtherCustomer => "other_customer",
            Self::OtherJourney => "other_journey",
            Self::UnknownKey => "unknown_key",
        }
    }
}

// === impl Keys ===

impl Keys {
    /// The text of a grant to `customer` for `journey`.
    pub(crate) fn mint(&self, grant: Grant, journey: &JourneyId, customer: &[u8]) -> Token {
        let key = self.newest();
        let lifetime = grant.expires_ms.saturating_sub(grant.issued_ms).min(u64::from(u32::MAX));
        let mut bytes = [0; BYTES];
        bytes[0] = VERSION;
        bytes[1..5].copy_from_slice(&key.id());
        bytes[5..9].copy_from_slice(&journey.digest());
        bytes[9..17].copy_from_slice(&grant.nonce.to_be_bytes());
        bytes[17..23].copy_from_slice(&grant.issued_ms.min(LAST_MS).to_be_bytes()[2..]);
        bytes[23..27].copy_from_slice(&(lifetime as u32).to_be_bytes());
        bytes[27..SIGNED].copy_from_slice(&digest(key, customer));
        let (signed, signature) = bytes.split_at_mut(SIGNED);
        let whole = sign(key, signed, journey, customer).finalize().into_bytes();
        signature.copy_from_slice(&whole[..SIGNATURE]);
        let mut text = [0; LEN];
        base64url::encode(&bytes, &mut text);
        Token(text)
    }

    /// What `text` grants to `customer` on `journey` now. Allocates nothing, and takes as long for a
    /// signature that is nearly right as for any other.
    ///
    /// # Errors
    /// Why it grants nothing.
    pub(crate) fn verify(
        &self,
        text: &[u8],
        journey: &JourneyId,
        customer: &[u8],
        now_ms: u64,
    ) -> Result<Grant, Invalid> {
        let mut bytes = [0; BYTES];
        if text.len() != LEN || base64url::decode(text, &mut bytes).is_none() {
            return Err(Invalid::Malformed);
        }
        let (signed, signature) = bytes.split_at(SIGNED);
        if signed[0] != VERSION {
            return Err(Invalid::Malformed);
        }
        let mut invalid = Invalid::UnknownKey;
        for key in self.of(field(&signed[1..5])) {
            invalid = if signed[5..9] != journey.digest() {
                Invalid::OtherJourney
            } else if signed[27..] != digest(key, customer) {
                Invalid::OtherCustomer
            } else if sign(key, signed, journey, customer).verify_truncated_left(signature).is_err()
            {
                Invalid::Forged
            } else {
                return read(signed).at(now_ms);
            };
        }
        Err(invalid)
    }
}

/// What a token says, believed.
fn read(signed: &[u8]) -> Grant {
    let [a, b, c, d, e, f] = field(&signed[17..23]);
    let issued_ms = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let lifetime = u32::from_be_bytes(field(&signed[23..27]));
    Grant {
        nonce: u64::from_be_bytes(field(&signed[9..17])),
        issued_ms,
        expires_ms: issued_ms + u64::from(lifetime),
    }
}

fn field<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(bytes);
    field
}

fn digest(key: &Key, customer: &[u8]) -> [u8; 8] {
    let whole = key.customers.clone().chain_update(customer).finalize().into_bytes();
    field(&whole[..8])
}

/// The signature to be: with the length of what has no fixed one, so that nothing can move from one
/// name into the next.
fn sign(key: &Key, signed: &[u8], journey: &JourneyId, customer: &[u8]) -> Signer {
    let mut signer = key.grants.clone();
    signer.update(signed);
    for part in [journey.name().as_bytes(), customer] {
        signer.update(&(part.len() as u64).to_be_bytes());
        signer.update(part);
    }
    signer
}

#[cfg(test)]
mod tests;
