//! What entry control promises, case by case and whatever happens.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod grants;
mod model;
mod rate;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use floodgate_limiter::{Begun, Entry, EntrySettings, Load, Standing, Timestamp, Totals};
use support::at;

pub(crate) const TTL_MILLIS: u64 = 120_000;

pub(crate) fn settings() -> EntrySettings {
    EntrySettings {
        steps: 5,
        headroom: 0.95,
        ttl: Duration::from_millis(TTL_MILLIS),
        calls: 4,
        max_grants: 1_000,
    }
}

/// An upstream of 450 requests per second through 5 permits, as seen after `services`.
pub(crate) fn load(services: u64, limit: u32) -> Load {
    let mut totals = Totals::default();
    totals.services = services;
    totals.service_nanos = services * 11_111_111;
    totals.limit = limit;
    Load { upstream: 1, totals, steps: 5 }
}

/// Entry control that knows that upstream, at `at(1_000)`.
pub(crate) fn informed(settings: EntrySettings) -> Arc<Entry> {
    let entry = Arc::new(Entry::new(settings, at(0)));
    entry.tick(&[load(0, 5)], at(0));
    entry.tick(&[load(450, 5)], at(1_000));
    entry
}

pub(crate) fn admit(
    entry: &Arc<Entry>,
    standing: Standing,
    spare: bool,
    now: Timestamp,
) -> Vec<Begun> {
    let mut all = Vec::new();
    while let Some(begun) = entry.take(standing, spare, now) {
        all.push(begun);
        assert!(all.len() < 10_000, "no end of it");
    }
    all
}

pub(crate) fn early() -> Standing {
    Standing::Early { told: at(60_000) }
}

/// Somebody with the grant of `nonce`.
pub(crate) fn holder(entry: &Arc<Entry>, nonce: u64, now: Timestamp) {
    entry.take(Standing::OnTime, true, now).unwrap().grant(nonce, now);
}
