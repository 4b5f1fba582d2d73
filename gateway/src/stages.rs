//! The stage clock of a request: how long it has been in each part of its way.
//!
//! ```text
//! accept ─> head ─> decide ─> queue ─> connect ─> first byte ─> last byte
//! ```
//!
//! Every moment belongs to one stage, so they add up to what the customer waited. Only what is admitted has one.

use std::cell::Cell;
use std::fmt::Write;

use floodgate_config::Stage;
use floodgate_limiter::Timestamp;
use http::header::{HeaderName, HeaderValue};

/// By this field proxies that are trusted ask for [`SERVER_TIMING`]; anybody else asks in vain.
pub(crate) const ASKS_FOR_TIMING: HeaderName = HeaderName::from_static("x-floodgate-timing");
/// Says where the time of an answer went (W3C Server Timing).
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What was spent before the head was complete, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    /// The connection waited for its worker; nothing unless this is its first request.
    pub accept: u64,
    /// From the first byte of the head that was seen to the last.
    pub head: u64,
}

/// How long a request has been in each stage.
#[derive(Debug)]
pub(crate) struct Stages {
    /// Nanoseconds, in the order of [`Stage::ALL`].
    took: [Cell<u64>; Stage::ALL.len()],
    /// Where it is.
    at: Cell<Stage>,
    /// Up to where `took` goes.
    until: Cell<Timestamp>,
}

// === impl Stages ===

impl Stages {
    /// The head is complete at `now`.
    pub(crate) const fn begin(before: Before, now: Timestamp) -> Self {
        let took = [
            Cell::new(before.accept),
            Cell::new(before.head),
            Cell::new(0),
            Cell::new(0),
            Cell::new(0),
            Cell::new(0),
            Cell::new(0),
        ];
        Self { took, at: Cell::new(Stage::Decide), until: Cell::new(now) }
    }

    /// The stage it is in ends at `now`, and `next` begins; be it one that it has been in before.
    pub(crate) fn enter(&self, next: Stage, now: Timestamp) {
        self.end(now);
        self.at.set(next);
    }

    /// As [`enter`](Self::enter), in no time that would be worth reading the clock.
    pub(crate) fn skip_to(&self, next: Stage) {
        self.at.set(next);
    }

    /// The time until `now` was spent in the stage it is in.
    pub(crate) fn end(&self, now: Timestamp) {
        // Some moments are known before others that were read earlier; no time counts twice.
        let until = self.until.get();
        if now > until {
            let took = &self.took[self.at.get().index()];
            took.set(took.get() + (now.as_nanos() - until.as_nanos()));
            self.until.set(now);
        }
    }

    /// Where it is.
    pub(crate) const fn at(&self) -> Stage {
        self.at.get()
    }

    /// The stages until the head of the answer at `now`, in milliseconds: `accept;dur=0, head;dur=0.105, …`.
    pub(crate) fn server_timing(&self, now: Timestamp) -> Option<HeaderValue> {
        self.end(now);
        let mut text = String::with_capacity(128);
        // What the last one takes is not known yet.
        for (stage, nanos) in Stage::ALL.into_iter().zip(self.took()).take(Stage::LastByte.index())
        {
            let separator = if text.is_empty() { "" } else { ", " };
            let millis = (nanos / 1_000) as f64 / 1e3;
            let _infallible = write!(text, "{separator}{};dur={millis}", stage.as_str());
        }
        text.try_into().ok()
    }

    /// Nanoseconds in each stage so far, in the order of [`Stage::ALL`].
    pub(crate) fn took(&self) -> [u64; Stage::ALL.len()] {
        std::array::from_fn(|at| self.took[at].get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_belongs_to_one_stage() {
        let at = Timestamp::from_nanos;
        let stages = Stages::begin(Before { accept: 3, head: 4 }, at(100));
        stages.enter(Stage::Queue, at(110));
        // The permit was there before that was looked at.
        stages.enter(Stage::Connect, at(105));
        stages.enter(Stage::FirstByte, at(140));
        // Another attempt.
        stages.enter(Stage::Connect, at(150));
        stages.skip_to(Stage::FirstByte);
        stages.end(at(200));
        assert_eq!(stages.took(), [3, 4, 10, 0, 30, 60, 0]);
        assert_eq!(stages.took().iter().sum::<u64>(), 3 + 4 + 100);
    }
}
