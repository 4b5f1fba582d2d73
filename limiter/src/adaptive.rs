//! A limit that is found while it holds: how many requests an upstream takes at once without a queue of its own.
//!
//! ```text
//! tick ─> Window ──> Baseline ─────> law: aimd, gradient2, ─────> guards ─────> limit
//!         n, latency  unloaded        vegas, water_level          frozen, half,
//!         per 100 ms  latency         sample(&Sample) -> f64      max_latency, min..max
//! ```
//!
//! Nothing is written per request but what the limiter counts anyway: how many services there were, and how long they took
//! together. Who calls [`tick`](Adaptive::tick) looks at that, and at the number in flight, every 20 ms or so.
//!
//! Every law needs to know what a request takes when nobody is in its way, and no law can tell from latency alone: an
//! upstream that has become slower looks like one that has too much to do. What tells them apart is what
//! happens when there is *less*: a queue shortens the latency in proportion, anything else does not. So each fall of what is in flight by a
//! quarter is [judged](baseline), and if there was none for long, the limit is lowered to seven tenths for about half a
//! second: the *sounding*. It has nothing to do with the floor, and is never lower.

mod aimd;
mod baseline;
mod gradient2;
mod settings;
mod status;
mod vegas;
mod water_level;
mod window;

use std::time::Duration;

use baseline::{Baseline, Verdict};
pub use settings::{AdaptiveError, AdaptiveSettings, Algorithm};
pub use status::{AdaptiveStatus, Rests, Why};
use window::{Measured, Window};

use crate::status::Totals;
use crate::timestamp::Timestamp;

/// Services that the latency a law sees is a mean of, at least: every law takes noise for a queue, but not for the lack of one.
const SMOOTHING: f64 = 200.0;
/// What a sounding leaves of the limit: far enough below for a queue to show against the noise of 200 services.
const SOUNDING: f64 = 0.7;
/// Windows until a sounding is given up, if what is in flight does not follow.
const SOUNDING_WINDOWS: u32 = 16;
/// Time between soundings while they find something new, and at most: doubled from one to the other.
const SOUNDING_EVERY: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(30)];

/// What the controller looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// What the limiter has done.
    pub totals: Totals,
    /// Permits out.
    pub in_flight: u32,
    /// A pressure on the process that says nothing of the upstream, 0..1, such as memory. Only the water level looks at it.
    pub pressure: f64,
    /// What comes back says nothing of how many are right: a circuit is open.
    pub frozen: bool,
}

/// One window as a law sees it. Latencies are in seconds.
#[derive(Clone, Copy, Debug)]
struct Sample {
    /// The limit as it is.
    limit: f64,
    /// Mean latency with as many in flight as the limit.
    latency: f64,
    /// Mean latency with few in flight.
    baseline: f64,
    /// Above it the latency is bad, whatever the baseline; infinite if there is no such bound.
    max_latency: f64,
    /// As in [`Seen`].
    pressure: f64,
}

/// How a limit follows what is seen.
trait Law {
    /// The limit after this window. The guards come after it.
    fn sample(&mut self, sample: &Sample) -> f64;
}

/// A law with its state.
#[derive(Clone, Copy, Debug)]
enum State {
    Fixed,
    Aimd(aimd::Aimd),
    Gradient2(gradient2::Gradient2),
    Vegas(vegas::Vegas),
    WaterLevel(water_level::WaterLevel),
}

/// A limit, and what it was learnt from. One thread at a time.
#[derive(Clone, Debug)]
pub struct Adaptive {
    settings: AdaptiveSettings,
    limit: f64,
    law: State,
    window: Window,
    baseline: Baseline,
    sounding: Option<Sounding>,
    /// When the last ended, and how long after it the next is due.
    sounded_at: Timestamp,
    sound_after: Duration,
    latency: f64,
    why: Why,
    moved_at: Timestamp,
    rests: Option<Rests>,
}

/// A limit that is lowered to learn something.
#[derive(Clone, Copy, Debug)]
struct Sounding {
    windows: u32,
    /// The unloaded latency as it was known before.
    before: f64,
}

impl Adaptive {
    /// A limit that nothing is known of yet.
    #[must_use]
    pub fn new(settings: AdaptiveSettings, now: Timestamp) -> Self {
        Self {
            limit: f64::from(settings.start()),
            law: State::of(settings.algorithm()),
            settings,
            window: Window::default(),
            baseline: Baseline::default(),
            sounding: None,
            sounded_at: now,
            sound_after: Duration::ZERO,
            latency: 0.0,
            why: Why::Start,
            moved_at: now,
            rests: None,
        }
    }

    /// Changes the settings. What was found is kept, within the new bounds; with another `start` or algorithm it begins
    /// there, and what is known of latency is kept.
    pub fn apply(&mut self, settings: AdaptiveSettings, now: Timestamp) {
        let old = std::mem::replace(&mut self.settings, settings);
        if old == settings {
            return;
        }
        let before = self.limit;
        if old.algorithm() != settings.algorithm() {
            self.law = State::of(settings.algorithm());
            // What is in it may be of an hour ago, when the number was last not fixed.
            self.window = Window::default();
            self.sounding = None;
        }
        if settings.algorithm() == Algorithm::Fixed || old.start() != settings.start() {
            self.limit = f64::from(settings.start());
        }
        self.limit = settings.clamp(self.limit);
        if self.limit != before {
            (self.why, self.moved_at) = (Why::Settings, now);
        }
    }

    /// The limit that rules.
    #[must_use]
    pub fn limit(&self) -> u32 {
        if self.settings.is_shadow() || matches!(self.law, State::Fixed) {
            return self.settings.start();
        }
        let part = if self.sounding.is_some() { SOUNDING } else { 1.0 };
        // A float becomes an integer by saturation.
        self.settings.clamp((self.limit * part).round()) as u32
    }

    /// What rules it.
    #[must_use]
    pub fn settings(&self) -> &AdaptiveSettings {
        &self.settings
    }

    /// Looks at the limiter, often: every 20 ms or so. The limit that rules from now on.
    pub fn tick(&mut self, seen: &Seen, now: Timestamp) -> u32 {
        if matches!(self.law, State::Fixed) {
            self.rests = Some(Rests::Fixed);
        } else if seen.frozen {
            self.window.begin(seen, now);
            self.sounding = None;
            self.rests = Some(Rests::Frozen);
        } else if let Some(measured) = self.window.tick(seen, self.latency, now) {
            match measured {
                Some(measured) => self.learn(&measured, seen, now),
                None => {
                    self.sounding = None;
                    self.rests = Some(Rests::Idle);
                }
            }
        }
        self.limit()
    }

    /// What can be seen of it.
    #[must_use]
    pub fn status(&self) -> AdaptiveStatus {
        let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        AdaptiveStatus {
            algorithm: self.settings.algorithm(),
            shadow: self.settings.is_shadow(),
            limit: self.limit,
            latency: duration(self.latency),
            baseline: duration(self.baseline.least()),
            why: self.why,
            moved_at: self.moved_at,
            rests: self.rests,
        }
    }

    fn learn(&mut self, measured: &Measured, seen: &Seen, now: Timestamp) {
        let was_settled = self.baseline.is_settled();
        let is_light = measured.in_flight < self.limit / 2.0;
        let known = self.baseline.least();
        let verdict = self.baseline.observe(measured, is_light);
        let newest = if was_settled { (measured.services / SMOOTHING).min(0.5) } else { 1.0 };
        self.latency += newest * (measured.latency - self.latency);
        if let Some(sounding) = &mut self.sounding {
            sounding.windows += 1;
            let before = sounding.before;
            if verdict.is_none() && sounding.windows < SOUNDING_WINDOWS {
                self.rests = Some(Rests::Sounding);
                return;
            }
            self.sounding = None;
            self.rests = Some(Rests::Sounding);
            self.end_sounding(verdict, before, now);
            return;
        }
        if verdict == Some(Verdict::Upstream) && self.is_news(known) {
            // A fall that came by itself was maybe short: the queue of before was still going. It had better be confirmed.
            (self.sounded_at, self.sound_after) = (now, SOUNDING_EVERY[0]);
        }
        if is_light {
            // The hour before a sale: what is learnt in it need not be sounded in the first seconds.
            self.baseline.confirm(measured);
            if self.baseline.is_confirmed() {
                (self.sounded_at, self.sound_after) = (now, SOUNDING_EVERY[1]);
            }
            self.rests = Some(Rests::Unsaturated);
            return;
        }
        if !self.baseline.is_settled() {
            self.rests = Some(Rests::Settling);
            return;
        }
        if self.baseline.least() == 0.0 || self.baseline.is_judging() {
            self.rests = Some(Rests::Sounding);
            return;
        }
        if self.wants_sounding(measured, now) {
            self.sounding = Some(Sounding { windows: 0, before: self.baseline.least() });
            self.baseline.anchor(measured);
            self.rests = Some(Rests::Sounding);
            return;
        }
        // More than the limit are in flight where that was just lowered, or is a shadow. The upstream then serves as many
        // per second with fewer, so that by Little's law the latency is shorter in proportion.
        let part = (self.limit / measured.in_flight).min(1.0);
        let latency = (self.latency * part).max(self.latency.min(self.baseline.least()));
        let sample = Sample {
            limit: self.limit,
            latency,
            baseline: self.baseline.least(),
            max_latency: self.settings.max_latency().map_or(f64::INFINITY, |it| it.as_secs_f64()),
            pressure: seen.pressure,
        };
        let limit = self.settings.clamp(self.law.sample(&sample));
        if limit > self.limit && latency > sample.max_latency {
            self.rests = Some(Rests::MaxLatency);
        } else {
            self.move_to(limit, if limit > self.limit { Why::Grew } else { Why::Shrank }, now);
        }
    }

    fn wants_sounding(&self, measured: &Measured, now: Timestamp) -> bool {
        // Where the limit is a shadow, or does not bind, a lower one shows nothing.
        let binds = measured.in_flight >= 0.9 * self.limit && !self.settings.is_shadow();
        let has_room = self.settings.clamp(self.limit * SOUNDING) <= 0.8 * self.limit;
        let [soon, _] = SOUNDING_EVERY;
        let after = if self.baseline.is_confirmed() {
            self.sound_after
        } else {
            self.sound_after.min(soon)
        };
        let is_due = now.saturating_since(self.sounded_at) >= after;
        binds && has_room && is_due && self.baseline.is_anchored()
    }

    fn end_sounding(&mut self, verdict: Option<Verdict>, before: f64, now: Timestamp) {
        self.sounded_at = now;
        let is_news = self.is_news(before);
        let [soon, late] = SOUNDING_EVERY;
        self.sound_after = match verdict {
            Some(Verdict::Queue) => {
                // As many were served with fewer: these are enough, and maybe fewer still.
                let limit = self.settings.clamp(self.limit * SOUNDING);
                self.move_to(limit, Why::QueueFound, now);
                Duration::ZERO
            }
            Some(Verdict::Upstream) if is_news => soon,
            Some(Verdict::Upstream) | None => (self.sound_after * 2).clamp(soon, late),
        };
    }

    /// Whether the unloaded latency is another than it was `before`.
    fn is_news(&self, before: f64) -> bool {
        (self.baseline.least() - before).abs() > 0.15 * before
    }

    fn move_to(&mut self, limit: f64, why: Why, now: Timestamp) {
        if limit == self.limit {
            self.rests = Some(Rests::Steady);
            return;
        }
        self.limit = limit;
        (self.why, self.moved_at, self.rests) = (why, now, None);
    }
}

impl State {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Fixed => Self::Fixed,
            Algorithm::Aimd => Self::Aimd(aimd::Aimd::default()),
            Algorithm::Gradient2 => Self::Gradient2(gradient2::Gradient2),
            Algorithm::Vegas => Self::Vegas(vegas::Vegas),
            Algorithm::WaterLevel => Self::WaterLevel(water_level::WaterLevel::default()),
        }
    }

    fn sample(&mut self, sample: &Sample) -> f64 {
        match self {
            Self::Fixed => sample.limit,
            Self::Aimd(law) => law.sample(sample),
            Self::Gradient2(law) => law.sample(sample),
            Self::Vegas(law) => law.sample(sample),
            Self::WaterLevel(law) => law.sample(sample),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_law_does_not_begin_with_what_was_seen_long_before() {
        let settings = |algorithm| AdaptiveSettings::new(algorithm, 1, 100, 10).unwrap();
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let mut adaptive = Adaptive::new(settings(Algorithm::Vegas), at(0));
        adaptive.tick(&Seen::default(), at(0));
        adaptive.apply(AdaptiveSettings::fixed(10), at(1));
        adaptive.apply(settings(Algorithm::Vegas), at(3_600));
        let totals = Totals { services: 1_000, service_nanos: 10_000_000_000, ..Totals::default() };
        adaptive.tick(&Seen { totals, in_flight: 10, ..Seen::default() }, at(3_600));
        assert!(adaptive.status().latency.is_zero());
    }
}
