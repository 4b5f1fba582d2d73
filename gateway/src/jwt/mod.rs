//! Bearer tokens (RFC 7519), verified once each: whatever goes by what a token says asks here.
//!
//! ```text
//! Authorization: Bearer … ──> digest ──> cache ──> the claims that are asked for, or why not
//!                                          │ not seen yet          ^
//!                                          └──> signature, times ──┘   at most so many bad ones a second
//! key file ──> keyring ──> keys ────────────────────┘
//! ```
//!
//! A key is of one algorithm and a token that names another is refused (RFC 8725 §2.1, §3.1), so that neither
//! `none` nor a public key in the place of a secret gets anywhere.

mod budget;
mod cache;
mod digest;
mod invalid;
mod json;
mod jwks;
mod keys;
mod pem;
mod stats;
#[cfg(test)]
pub(crate) mod testing;
mod tokens;
mod verify;

pub(crate) use invalid::InvalidToken;
pub(crate) use keys::TokenKeys;
pub(crate) use stats::TokenStats;
pub(crate) use tokens::{Jwt, Tokens, open_keys};
pub(crate) use verify::Verified;
