//! The signed right of one customer to finish the checkout that was begun: nothing about it is stored,
//! whoever has the keys can tell.
//!
//! ```text
//! head ──> fields ──> identity ──> customer ─┐
//!            │        claim, device          ├──> token: valid, or why not
//!            └──────> cookie ──> text ───────┘      ^
//! key file ──> keyring ──> keys ────────────────────┘
//! ```

pub(crate) mod cookie;
pub(crate) mod device;
pub(crate) mod identity;
pub(crate) mod journey;
pub(crate) mod keyring;
pub(crate) mod keys;
pub(crate) mod nonce;
pub(crate) mod token;
