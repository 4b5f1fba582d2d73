//! The judge of Floodgate: an origin that counts what reaches it, and an open-loop client.
//!
//! Nothing here knows the gateway; everything is a black box over HTTP/1.1.
//!
//! - [`origin`]: a stand-in checkout service that observes concurrency and misbehaves on request.
//! - [`load`]: an open-loop generator; latency counts from the intended start of a request.

mod rng;
mod wire;

pub mod load;
pub mod origin;
