//! What is counted, where, and how it is written out.
//!
//! Everything a request counts goes into its own core's shard: plain loads and stores, no line of
//! memory that two cores write, no look-up by label. A scrape adds the shards up.

mod books;
mod counter;
mod histogram;
pub(crate) mod names;
mod pace;
mod render;
mod shards;

pub(crate) use books::{Account, Books};
pub(crate) use counter::Counter;
pub(crate) use histogram::{Histogram, Increase, Totals};
pub(crate) use render::{render, render_shadow};
pub(crate) use shards::{RouteShard, RouteStats, Sums, TierShard, TierStats};
