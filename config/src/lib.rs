//! The configuration of Floodgate: text in, checked values out. No threads, no sockets, no state.
//!
//! ```text
//! text ── parse ──> FileConfig ── validate ──> Config ── effective.rs ──> changes, explain
//!  load.rs          file.rs        validate.rs  config.rs                  what is different,
//!  reader.rs        what was typed warn.rs      what is meant              where it comes from
//!  environment.rs
//! ```
//!
//! All problems are reported at once, each with its place and a suggestion ([`Problems`]).
//!
//! ```
//! let config = floodgate_config::parse(
//!     "minimal.toml",
//!     "[upstreams.checkout]\nservers = [\"127.0.0.1:9000\"]\n",
//! )?;
//! assert_eq!(config.tiers[0].name, "l1");
//!
//! let problems = floodgate_config::parse("typo.toml", "[upstreams.checkout]\nserver = []\n").unwrap_err();
//! assert!(problems.to_string().contains("did you mean `servers`?"));
//! # Ok::<(), floodgate_config::Problems>(())
//! ```
#![forbid(unsafe_code)]

mod access_log;
mod address;
mod changes;
mod circuit;
mod config;
mod derived;
mod duration;
mod effective;
mod environment;
mod explain;
mod file;
mod given;
mod in_flight;
mod journey;
mod journeys;
mod jwt;
mod key;
mod limits;
mod load;
mod names;
mod objective;
mod pattern;
mod problem;
mod rate;
mod reader;
mod retries;
mod schema;
mod size;
mod sku;
mod source;
mod suggest;
mod table;
mod tenants;
mod validate;
mod value;
mod warn;
mod word;

pub use access_log::{ClientShown, LogTarget};
pub use address::{Cidr, ServerAddress};
pub use changes::{Change, changes};
pub use circuit::FailureKind;
pub use config::{
    AccessLog, Circuit, CircuitOverride, Config, Explain, Finish, Isolate, Journey, Jwt, Latch,
    Limit, Once, Route, Server, Tenant, Tier, Upstream,
};
pub use derived::{TierFigures, UpstreamFigures};
pub use explain::{EffectiveValue, Explanation, explain};
pub use given::Given;
pub use journey::{Identity, KeySource, Sticky};
pub use jwt::{Algorithm, TenantSource};
pub use key::{Key, KeyPart, MissingKey};
pub use load::{LoadError, Loaded, MAX_FILE, check, check_with, load, load_with, parse, unusable};
pub use objective::{Objective, Stage};
pub use pattern::{Pattern, Segment};
pub use problem::{Problem, Problems, Severity};
pub use retries::{Retries, Retry, RetryOn};
pub use schema::schema;
pub use sku::SkuSource;
pub use source::Place;
pub use tenants::NO_TENANT;
