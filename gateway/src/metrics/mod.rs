//! What is counted, where, and how it is written out.
//!
//! Everything a request counts goes into its own core's shard: plain loads and stores, no line of
//! memory that two cores write, no look-up by label. A scrape adds the shards up.

mod counter;
mod histogram;
pub mod names;
mod render;
mod shards;

pub use counter::Counter;
pub use histogram::{Histogram, Totals};
pub use render::render;
pub use shards::{RouteShard, RouteStats, Sums, TierShard, TierStats};
