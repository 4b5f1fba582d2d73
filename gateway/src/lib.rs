//! Floodgate: a flash-sale admission gateway.
//!
//! The life of a request, and where to read about it:
//!
//! ```text
//! accept ─> turnstile ─> classify ─> admission ─> forward ─> observe
//! worker    turnstile    classify    admission    forward    exchange
//! listener  http1                    (limiter)    pool       metrics
//! connection                         respond      headers
//! ```

pub mod admin;
pub mod admission;
pub mod body;
pub mod classify;
pub mod clock;
pub mod connection;
pub mod core;
pub mod demo;
pub mod discard;
pub mod exchange;
pub mod forward;
pub mod gateway;
pub mod headers;
pub mod http1;
pub mod limits;
pub mod listener;
pub mod metrics;
pub mod pool;
pub mod proxy;
pub mod reason;
pub mod request_body;
pub mod respond;
pub mod retry_after;
pub mod server;
pub mod shared;
pub mod snapshot;
pub mod status;
pub mod token;
pub mod tunnel;
pub mod turnstile;
pub mod worker;
