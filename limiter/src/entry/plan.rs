//! How many entries the upstreams can take: what was measured, and what follows from it.
//!
//! Pure arithmetic over windows of a second or 2,000 requests; whatever goes in, what comes out are numbers.

use std::time::Duration;

use crate::grants::Heard;
use crate::status::Totals;
use crate::timestamp::Timestamp;

use super::recent::Recent;
use super::{EntrySettings, Load};

/// A window ends after this, as DAGOR's does (Zhou et al., 2018) ...
const WINDOW: Duration = Duration::from_secs(1);
/// ... or with this many requests, ...
const REQUESTS: u64 = 2_000;
/// ... but while nothing is known yet, as soon as this much is: a sale that begins at full load is not to wait a second.
const FIRST_WINDOW: Duration = Duration::from_millis(50);
const FIRST_REQUESTS: u64 = 16;
/// Fewer requests say too little: the window goes on, ...
const FEWEST_REQUESTS: u64 = 8;
/// ... though not for ever.
const LONGEST_WINDOW: Duration = Duration::from_secs(10);

/// Calls per grant are a mean over about this many: a standard error of some 2 % where customers abandon at random.
const GRANTS_REMEMBERED: f64 = 500.0;
/// What the number of steps counts as before any grant has ended.
const GRANTS_ASSUMED: f64 = 20.0;

/// A mean wait of holders that says that there are too many: DAGOR's threshold, ...
const LONG_WAIT: f64 = 0.020;
/// ... or the time in which so many permits come back, where they take longer: a holder waits for a few of them even
/// when holders have four fifths of the upstream.
const LONG_WAIT_PERMITS: f64 = 10.0;
/// DAGOR's steps.
const DECREASE: f64 = 0.95;
const INCREASE: f64 = 1.01;
const LEAST_FACTOR: f64 = 0.3;
const MOST_FACTOR: f64 = 1.25;

/// How long, in seconds, an entry may be expected to wait for a permit: less than the patience of any queue before it.
const LONGEST_BACKLOG: f64 = 0.1;

/// Time between two calls of a grant before any was measured: less than people take, so that at first there are rather too
/// few in progress than too many.
const GAP_ASSUMED: f64 = 0.2;
/// A grant is silent after so many times the mean gap, or the mean and so many standard deviations.
const SILENT_GAPS: f64 = 3.0;
const SILENT_DEVIATIONS: f64 = 4.0;
const LEAST_SILENCE: f64 = 0.5;
/// Gaps are a mean over about this many.
const GAPS_REMEMBERED: f64 = 2_000.0;

/// What is asked of newcomers until the next window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Entries per second.
    pub(crate) rate: f64,
    /// Tokens at most.
    pub(crate) burst: u64,
    /// For customers on time, new ones, and early ones.
    pub(crate) bounds: [Bound; 3],
    /// Grants in progress up to which tokens are good.
    pub(crate) most: u64,
    /// After how long without a call a grant counts as silent.
    pub(crate) silence: Duration,
}

/// Up to where somebody is let in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bound {
    /// Entries under way.
    pub(crate) backlog: u64,
    /// Grants in progress, without a token.
    pub(crate) fill: u64,
}

/// One upstream: its totals at the start of the window, and what a permit of it serves per second.
#[derive(Debug, Default)]
struct Upstream {
    /// Which one it is.
    number: u64,
    began: Totals,
    /// When what a permit serves was measured last.
    measured: Totals,
    latest: Totals,
    steps: u32,
    per_permit: Recent,
}

/// All that was measured.
#[derive(Debug)]
pub(crate) struct Planner {
    upstreams: Vec<Upstream>,
    /// Start of the window; none before the first look.
    began: Option<Timestamp>,
    sampled: Timestamp,
    /// Calls of holders in the window.
    calls: u64,
    /// Grants in progress, times seconds, in the window.
    progress: f64,
    /// Looks in the window, and those that found too few tokens for a newcomer.
    samples: u32,
    short: u32,
    /// Calls per second of a grant in progress that does not wait.
    pace: Recent,
    factor: f64,
    // Sums that fade.
    ended: f64,
    ended_calls: f64,
    asked: f64,
    served: f64,
    gaps: f64,
    gap_seconds: f64,
    gap_squares: f64,
    wait: f64,
}

impl Upstream {
    /// Of which nothing is known yet.
    fn new(load: &Load) -> Self {
        let Load { upstream: number, totals, .. } = *load;
        Self { number, began: totals, measured: totals, ..Self::default() }
    }
}

impl Planner {
    pub(crate) fn new(settings: &EntrySettings) -> Self {
        let steps = f64::from(settings.steps.max(1));
        Self {
            upstreams: Vec::new(),
            began: None,
            sampled: Timestamp::default(),
            calls: 0,
            progress: 0.0,
            samples: 0,
            short: 0,
            pace: Recent::default(),
            factor: headroom(settings),
            ended: GRANTS_ASSUMED,
            ended_calls: GRANTS_ASSUMED * steps,
            asked: 0.0,
            served: 0.0,
            gaps: 0.0,
            gap_seconds: 0.0,
            gap_squares: 0.0,
            wait: 0.0,
        }
    }

    /// Takes over new settings: what was measured stays, the factor begins anew.
    pub(crate) fn apply(&mut self, old: &EntrySettings, new: &EntrySettings) {
        if old.headroom != new.headroom {
            self.factor = headroom(new);
        }
        if old.steps != new.steps {
            self.ended = GRANTS_ASSUMED;
            self.ended_calls = GRANTS_ASSUMED * f64::from(new.steps.max(1));
        }
    }

    /// Takes in what has been seen since the last look. `now` is by the clock that stands still with the upstreams.
    pub(crate) fn look(
        &mut self,
        loads: &[Load],
        heard: Heard,
        active: u64,
        is_short: bool,
        now: Timestamp,
    ) {
        self.match_upstreams(loads);
        let Some(began) = self.began else {
            self.began = Some(now);
            self.sampled = now;
            return;
        };
        let elapsed = now.saturating_since(self.sampled).as_secs_f64();
        self.sampled = self.sampled.max(now);
        self.progress += active as f64 * elapsed;
        self.samples += 1;
        self.short += u32::from(is_short);
        self.calls += heard.calls;
        self.remember(heard);
        let requests: u64 = self
            .upstreams
            .iter()
            .map(|upstream| since(upstream.latest, upstream.began).services)
            .fold(0, u64::saturating_add);
        let window = now.saturating_since(began);
        let enough = if self.is_known() {
            (window >= WINDOW || requests >= REQUESTS) && requests >= FEWEST_REQUESTS
        } else {
            window >= FIRST_WINDOW && requests >= FIRST_REQUESTS
        };
        if enough || window >= LONGEST_WINDOW {
            self.close(now);
        }
    }

    /// What follows from it.
    pub(crate) fn plan(&self, settings: &EntrySettings) -> Plan {
        let limit = self.limit();
        let silence = self.silence(settings);
        let Some(capacity) = self.capacity(settings) else {
            // Nothing is known: as many as there are permits at a time, and not so many in all that it matters.
            return Plan {
                bounds: [Bound { backlog: limit, fill: limit.saturating_mul(4) }; 3],
                most: u64::MAX,
                silence,
                ..Plan::default()
            };
        };
        if capacity <= 0.0 {
            return Plan { silence, ..Plan::default() };
        }
        let calls = self.calls_per_grant(settings);
        let entries = capacity / calls;
        let rate = entries * self.factor;
        let pace = self.pace.median();
        let per_call = pace.map_or(GAP_ASSUMED, |pace| 1.0 / pace);
        // Below the planned share holders wait: then there are to be fewer in progress, too.
        let share = (self.factor / headroom(settings)).min(1.0);
        let progress = entries * (calls - 1.0) * per_call * share;
        let own = limit as f64 / calls;
        let longest = entries * LONGEST_BACKLOG;
        Plan {
            rate,
            burst: whole(rate * 0.05).clamp(6, 1_000_000),
            bounds: [(5.0, 3.0), (4.0, 2.0), (0.0, 0.0)].map(|(waiting, slack)| Bound {
                backlog: whole(
                    own + (waiting * (own.sqrt() + 1.0)).min(longest.max(waiting.min(1.0))),
                ),
                fill: whole(progress + slack * (progress.sqrt() + 1.0)),
            }),
            most: pace.map_or(u64::MAX, |_| whole(2.0 * progress + 4.0 * progress.sqrt() + 8.0)),
            silence,
        }
    }

    /// Calls per second that the journey's steps can have in all; none while it is not known of every upstream.
    pub(crate) fn capacity(&self, settings: &EntrySettings) -> Option<f64> {
        let steps = f64::from(settings.steps.max(1));
        let mut least: Option<f64> = None;
        for upstream in self.upstreams.iter().filter(|upstream| upstream.steps > 0) {
            let capacity = match upstream.latest.limit {
                0 => 0.0,
                limit => upstream.per_permit.median()? * f64::from(limit),
            };
            let share = capacity * steps / f64::from(upstream.steps);
            least = Some(least.map_or(share, |least| least.min(share)));
        }
        least
    }

    /// Calls that a grant costs the upstreams, its entry among them.
    pub(crate) fn calls_per_grant(&self, settings: &EntrySettings) -> f64 {
        let most = f64::from(settings.calls.max(settings.steps).max(1));
        let calls = self.ended_calls / self.ended;
        // A call that was refused cost nothing.
        let served = if self.asked > 0.0 { (self.served / self.asked).min(1.0) } else { 1.0 };
        (1.0 + (calls - 1.0) * served).clamp(1.0, most)
    }

    pub(crate) fn factor(&self) -> f64 {
        self.factor
    }

    pub(crate) fn holders_wait(&self) -> Duration {
        Duration::from_secs_f64(self.wait)
    }

    /// Requests served in this window.
    pub(crate) fn served(loads: &[Load]) -> u64 {
        loads.iter().map(|load| load.totals.services).fold(0, u64::wrapping_add)
    }

    /// Whether an upstream that serves nobody for this long stands still.
    pub(crate) fn is_busy(&self, still: Duration) -> bool {
        let per_second: f64 = self
            .upstreams
            .iter()
            .filter_map(|u| Some(u.per_permit.median()? * f64::from(u.latest.limit)))
            .sum();
        still.as_secs_f64() * per_second > 20.0
    }

    fn is_known(&self) -> bool {
        self.upstreams.iter().any(|upstream| upstream.per_permit.median().is_some())
    }

    fn limit(&self) -> u64 {
        let of_steps = self.upstreams.iter().filter(|upstream| upstream.steps > 0);
        of_steps.map(|upstream| u64::from(upstream.latest.limit)).min().unwrap_or(0)
    }

    fn match_upstreams(&mut self, loads: &[Load]) {
        let numbers = self.upstreams.iter().map(|upstream| upstream.number);
        if !numbers.eq(loads.iter().map(|load| load.upstream)) {
            let mut before = std::mem::take(&mut self.upstreams);
            let known = |load: &Load| {
                let at = before.iter().position(|upstream| upstream.number == load.upstream);
                at.map_or_else(|| Upstream::new(load), |at| before.swap_remove(at))
            };
            self.upstreams = loads.iter().map(known).collect();
        }
        for (upstream, load) in self.upstreams.iter_mut().zip(loads) {
            upstream.latest = load.totals;
            upstream.steps = load.steps;
            if load.totals.services < upstream.began.services {
                // It counts anew.
                (upstream.began, upstream.measured) = (load.totals, load.totals);
            }
        }
    }

    fn remember(&mut self, heard: Heard) {
        self.ended += heard.ended as f64;
        self.ended_calls += heard.ended_calls as f64;
        // What went silent and speaks again is taken back, but never below what was there at the start.
        self.ended = self.ended.max(1.0);
        self.ended_calls = self.ended_calls.max(self.ended);
        let fade = (GRANTS_REMEMBERED / self.ended).min(1.0);
        self.ended *= fade;
        self.ended_calls *= fade;
        self.gaps += heard.gaps as f64;
        self.gap_seconds += heard.gap_seconds;
        self.gap_squares += heard.gap_squares;
        let fade = (GAPS_REMEMBERED / self.gaps.max(1.0)).min(1.0);
        self.gaps *= fade;
        self.gap_seconds *= fade;
        self.gap_squares *= fade;
    }

    fn silence(&self, settings: &EntrySettings) -> Duration {
        if self.gaps < 1.0 {
            return settings.ttl;
        }
        let mean = self.gap_seconds / self.gaps;
        let deviation = (self.gap_squares / self.gaps - mean * mean).max(0.0).sqrt();
        let silence =
            (mean * SILENT_GAPS).max(mean + SILENT_DEVIATIONS * deviation).max(LEAST_SILENCE);
        Duration::try_from_secs_f64(silence)
            .map_or(settings.ttl, |silence| silence.min(settings.ttl))
    }

    fn close(&mut self, now: Timestamp) {
        let (mut ranked, mut waited, mut turn) = (0_u64, 0_u64, 0.0_f64);
        for upstream in &mut self.upstreams {
            let Totals { ranked: more, ranked_wait_nanos, limit, .. } =
                since(upstream.latest, upstream.began);
            let Totals { services, service_nanos, .. } = since(upstream.latest, upstream.measured);
            if services >= FEWEST_REQUESTS / 2 && service_nanos > 0 {
                upstream.per_permit.push(services as f64 * 1e9 / service_nanos as f64);
                upstream.measured = upstream.latest;
            }
            if let Some(per_permit) = upstream.per_permit.median() {
                turn = turn.max(1.0 / (per_permit * f64::from(limit.max(1))));
            }
            ranked = more.saturating_add(ranked);
            waited = ranked_wait_nanos.saturating_add(waited);
            upstream.began = upstream.latest;
        }
        self.wait = if ranked > 0 { waited as f64 / ranked as f64 / 1e9 } else { 0.0 };
        let is_long = self.wait > LONG_WAIT.max(LONG_WAIT_PERMITS * turn);
        if is_long && ranked >= FEWEST_REQUESTS / 2 {
            self.factor *= DECREASE;
        } else if self.short * 2 > self.samples {
            self.factor *= INCREASE;
        }
        let calls = self.calls as f64;
        self.asked = self.asked * 0.8 + calls;
        self.served = self.served * 0.8 + ranked as f64;
        // The time that grants spent waiting is not theirs: counted, it would make room for more that wait.
        let thinking = self.progress - calls * self.wait;
        if self.calls >= FEWEST_REQUESTS && thinking > 0.0 && ranked > 0 {
            self.pace.push(calls / thinking);
        }
        (self.began, self.calls, self.progress) = (Some(now), 0, 0.0);
        (self.samples, self.short) = (0, 0);
    }

    /// Keeps the factor where it belongs.
    pub(crate) fn bound(&mut self, settings: &EntrySettings) {
        let least = headroom(settings) * LEAST_FACTOR;
        self.factor = self.factor.clamp(least, MOST_FACTOR.max(least));
    }
}

/// What was added between two looks; the limit is that of the later one.
fn since(latest: Totals, earlier: Totals) -> Totals {
    Totals {
        services: latest.services.saturating_sub(earlier.services),
        service_nanos: latest.service_nanos.saturating_sub(earlier.service_nanos),
        ranked: latest.ranked.saturating_sub(earlier.ranked),
        ranked_wait_nanos: latest.ranked_wait_nanos.saturating_sub(earlier.ranked_wait_nanos),
        idle_nanos: latest.idle_nanos.saturating_sub(earlier.idle_nanos),
        limit: latest.limit,
    }
}

/// The planned share of the capacity, as far as it makes sense.
fn headroom(settings: &EntrySettings) -> f64 {
    // A NaN is none.
    if settings.headroom > 0.0 { settings.headroom.clamp(0.01, 1.0) } else { 0.01 }
}

/// The next whole number above; what is none is 0.
fn whole(value: f64) -> u64 {
    value.ceil() as u64
}
