//! The judge of Floodgate: an origin that counts what reaches it, and an open-loop client.
//!
//! Nothing here knows the gateway; everything is a black box over HTTP/1.1.
//!
//! - [`descriptors`]: room for connections before they are opened.
//! - [`floor`]: the least that refusing can cost, to compare gateways with.
//! - [`journey`]: virtual customers that go through whole checkouts.
//! - [`origin`]: a stand-in checkout service that observes concurrency and misbehaves on request.
//! - [`load`]: an open-loop generator; latency counts from the intended start of a request.
//! - [`record`]: what one run found, as one value.
//! - [`report`]: the same for people: terminal, JSON, HTML.
//! - [`run`]: a scenario, run and judged.
//! - [`scenario`]: who comes, what serves them, what must hold; from a file.
//! - [`scrape`]: what the gateway says of itself meanwhile.
//! - [`sweep`]: one scenario at several overload factors.

mod rng;
mod wire;

pub mod descriptors;
pub mod floor;
pub mod journey;
pub mod load;
pub mod machine;
pub mod origin;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod scrape;
pub mod sweep;
