//! Floodgate: a flash-sale admission gateway.
//!
//! A request that is refused by its head ends in `turnstile`; the life of any other is
//! `proxy::handle`. Where to read about the stages:
//!
//! ```text
//! accept ─────> turnstile ─> classify ─> admission ────> forward ───────> observe
//! accept        turnstile    decide      request_body    forward          exchange
//! worker        verdict      classify    admission       upstream, pool   metrics
//! connections   refusals                 (limiter)       headers
//! connection    http1                    retry_after     outbound
//! wheel         inlet, link              respond         response_body
//! closing                                                tunnel
//! ```
//!
//! What is live is a `snapshot`, all cores share it in `shared`, [`control`] changes it, `admin`
//! shows it, and [`gateway`] is the process.

pub mod control;
pub mod demo;
pub mod gateway;

mod accept;
mod admin;
mod admission;
mod allocator;
mod classify;
mod clock;
mod closing;
mod connection;
mod connections;
mod date;
mod decide;
mod descriptors;
#[cfg(test)]
mod differential;
mod exchange;
#[allow(dead_code)] // until journeys are decided by it
mod fields;
mod forward;
#[allow(dead_code)] // until journeys are decided by it
mod grant;
mod headers;
mod http1;
mod inlet;
mod link;
mod listener;
mod metrics;
mod outbound;
mod places;
mod pool;
mod proxy;
mod reason;
mod refusals;
mod request_body;
mod respond;
mod response_body;
mod retry_after;
mod shadow;
mod shared;
mod snapshot;
mod tunnel;
mod turnstile;
mod upstream;
mod verdict;
mod wheel;
mod worker;
