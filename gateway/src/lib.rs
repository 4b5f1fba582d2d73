//! Floodgate: a flash-sale admission gateway.
//!
//! A request that is refused by its head ends in `turnstile`; a plain one goes through `direct`; the life of any
//! other is `proxy::handle`. Where to read about the stages:
//!
//! ```text
//! accept ─────> turnstile ─> classify ─> admission ────> forward ───────> observe
//! accept        turnstile    decide      request_body    service          exchange
//! worker        verdict      classify    admission       forward, retry   metrics
//! connections   refusals     fields      (limiter)       upstream, pool   explain
//! connection    http1        journey     come_back       headers
//! wheel         inlet, link  grant       capacity        outbound
//! closing                    stock       respond         response_body    stages, objective
//!                            purchase                    tunnel
//!                            client_address
//!                            permits, memory, keyed, deadline              machine
//!                            circuits
//! ```
//!
//! What is live is a `snapshot`, all cores share it in `shared`, [`control`] changes it, `admin` shows it, and
//! [`gateway`] is the process.

pub mod allocator;
pub mod control;
pub mod demo;
pub mod gateway;

mod accept;
mod access_log;
mod admin;
mod admission;
mod alone;
mod base64url;
mod capacity;
mod circuits;
mod classify;
mod client_address;
mod clock;
mod closing;
mod come_back;
mod connection;
mod connections;
mod date;
mod deadline;
mod decide;
mod descriptors;
#[cfg(test)]
mod differential;
mod direct;
mod exchange;
mod explain;
mod fields;
mod forward;
mod grant;
mod headers;
mod http1;
mod inlet;
mod journey;
mod jwt;
mod keyed;
mod link;
mod listener;
mod machine;
mod memory;
mod metrics;
mod objective;
mod open_keys;
mod outbound;
mod percent;
mod permits;
mod places;
mod plain;
mod pool;
mod probes;
mod proxy;
mod purchase;
mod reason;
mod refusals;
mod request_body;
mod respond;
mod response_body;
mod retry;
mod service;
mod shadow;
mod shared;
mod snapshot;
mod stages;
mod stock;
mod stripped;
mod tenant;
mod tunnel;
mod turnstile;
mod upstream;
mod verdict;
mod wheel;
mod worker;
