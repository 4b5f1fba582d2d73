//! Pure admission: who may go to an upstream now, who waits, who is refused.
//!
//! No HTTP, no file format, no runtime, no clock: `now` is an argument.
//!
//! ```
//! use std::{num::NonZeroU32, time::Duration};
//! use floodgate_limiter::{Decision, Limiter, Limits, TierId, TierLimits, Timestamp, Watermarks};
//!
//! let tier = TierLimits {
//!     max_wait: Duration::from_millis(500),
//!     weight: NonZeroU32::MIN,
//!     watermarks: Watermarks::new(0.95, 0.80)?,
//! };
//! let limiter = Limiter::new(&Limits::new(1, 0, vec![tier])?);
//! let (first, now) = (TierId::new(0).unwrap(), Timestamp::from_nanos(0));
//!
//! let Decision::Admit(permit) = limiter.acquire(first, now, Timestamp::MAX) else { panic!() };
//! assert!(matches!(limiter.acquire(first, now, Timestamp::MAX), Decision::Reject(_)));
//! permit.release(now + Duration::from_millis(3));
//! assert!(matches!(limiter.acquire(first, now, Timestamp::MAX), Decision::Admit(_)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod adaptive;
mod breaker;
mod buffer;
mod calendar;
mod chain;
mod circuit;
mod class;
mod control;
mod counters;
mod delay;
mod entry;
mod gate;
mod gcra;
mod grants;
mod handover;
#[cfg(not(loom))]
mod holdings;
#[cfg(not(loom))]
mod hot;
#[cfg(not(loom))]
mod keys;
mod latch;
mod limiter;
mod limits;
mod once;
mod permit;
mod queue;
mod rate;
mod rejection;
mod retries;
mod returns;
mod shares;
mod slab;
mod status;
mod stock;
mod sync;
mod ticket;
mod tier;
mod timestamp;
mod wakers;
mod watermarks;
mod word;

pub use adaptive::{
    Adaptive, AdaptiveError, AdaptiveSettings, AdaptiveStatus, Algorithm, Rests,
    Seen as AdaptiveSeen, Why,
};
pub use calendar::Calendar;
pub use circuit::{
    Call, CallCounts, CallOutcome, Circuit, CircuitCause, CircuitError, CircuitSettings,
    CircuitState, CircuitStatus, Entered, Opened, RampStatus, Transitions,
};
pub use class::{Class, MAX_RANKS, Rank};
pub use entry::{Begun, Entry, EntrySettings, EntryStatus, Load};
pub use gate::Refused;
pub use gcra::Gcra;
pub use grants::Ended;
#[cfg(not(loom))]
pub use holdings::{Holding, Holdings};
#[cfg(not(loom))]
pub use hot::{HotKey, HotKeys, KeyText, SAMPLED, Sampler};
#[cfg(not(loom))]
pub use keys::{Digest, Digesting, Keys, KeysStatus, RefusedKeys, Seed};
pub use latch::{LatchSettings, Latches, Look, SkuStatus};
pub use limiter::{Decision, Limiter};
pub use limits::{Guarantee, Limits, LimitsError, MAX_BUFFER, MAX_IN_FLIGHT, TierLimits};
pub use once::{Begin, Claim, Follow, Followed, MAX_FOLLOWERS, Once, OnceSettings, OnceStatus};
pub use permit::Permit;
pub use rate::{Rate, RateError};
pub use rejection::Rejection;
pub use retries::{RetryBudget, RetryLimits, RetryLimitsError, RetryStatus};
pub use returns::{Returns, Standing};
pub use status::{Status, TierStatus, Totals};
pub use stock::{Seen, Stock};
pub use ticket::Ticket;
pub use tier::{MAX_TIERS, TierId};
pub use timestamp::Timestamp;
pub use watermarks::{Watermarks, WatermarksError};
