//! Entry control: who gets a grant, at what rate.
//!
//! A grant is worth a whole checkout only if its holder is served at every step, so no more are given than the upstreams
//! can serve to the end; and as many, because a permit that idles is a checkout that was not sold.
//!
//! - **Tokens** are earned at the planned rate: the upstreams' capacity in calls per second over the calls that a grant costs,
//!   times a factor that falls when holders wait.
//! - **Filling up**: while a permit is free and nobody waits, an entry needs no token, as long as no more grants are in progress
//!   than keep the upstreams busy (Little's law).
//! - **Bounds**: neither tokens nor spare capacity are good for more entries at a time, or more grants in progress, than
//!   can be served.
//!
//! Of all three a share is kept for customers who come when they were told to, and a smaller one for new ones against
//! those who come too early.

use std::fmt;
use std::sync::{Arc, TryLockError};
use std::time::Duration;

use crate::grants::{Ended, Grants, Pace};
use crate::returns::Standing;
use crate::status::Totals;
use crate::sync::{AtomicU64, Mutex, Ordering, Padded, lock};
use crate::timestamp::{Timestamp, saturating_nanos};

mod plan;
mod recent;
mod tokens;

use plan::{Plan, Planner};
use tokens::Tokens;

/// How often the upstreams are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// An upstream that serves nobody for so long may stand still.
const STALLED_AFTER: Duration = Duration::from_millis(100);

/// What is asked of entry control.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EntrySettings {
    /// Steps of the journey, the entry among them: what a grant costs before that is measured.
    pub steps: u32,
    /// Share of the capacity that is planned with at first, 0..1.
    pub headroom: f64,
    /// How long a grant is good.
    pub ttl: Duration,
    /// How many calls a grant is good for, the entry among them.
    pub calls: u32,
    /// Grants that are kept account of at most; no more are given.
    pub max_grants: usize,
}

/// One upstream with steps of the journey.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Which one: under another number nothing that was measured before says anything about it.
    pub upstream: u64,
    /// What it has done.
    pub totals: Totals,
    /// How many steps it serves.
    pub steps: u32,
}

/// What can be seen of entry control.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct EntryStatus {
    /// Planned entries per second; 0: closed, or nothing is known yet.
    pub rate: f64,
    /// Calls per second that the upstreams can serve; 0: not known yet.
    pub capacity: f64,
    /// Calls that a grant costs.
    pub calls_per_grant: f64,
    /// Share of the capacity that is planned with now.
    pub factor: f64,
    /// Entries that were let in and have no answer yet.
    pub begun: u64,
    /// Grants in progress.
    pub in_progress: u64,
    /// Up to how many of them entries fill up spare capacity.
    pub wanted_in_progress: u64,
    /// Grants in the table.
    pub live: u64,
    /// After how long without a call a grant counts as silent.
    pub silence: Duration,
    /// Mean wait of holders for a permit in the last window.
    pub holders_wait: Duration,
    /// Grants given since the start.
    pub given: u64,
    /// Grants that finished since the start.
    pub finished: u64,
}

/// Entry control of one journey, shared by all cores.
pub struct Entry {
    /// Read by every newcomer; written by entries and at the end of windows.
    line: Padded<Line>,
    given: AtomicU64,
    finished: AtomicU64,
    grants: Grants,
    control: Mutex<Control>,
}

/// All that is looked at for a newcomer, beside the number of grants.
struct Line {
    tokens: Tokens,
    begun: AtomicU64,
    /// For customers on time, new ones, and early ones.
    bounds: [Bounds; 3],
    most: AtomicU64,
    max_grants: AtomicU64,
    calls: AtomicU64,
    ttl: AtomicU64,
    /// How long the upstreams have stood still, in nanoseconds.
    stalled: AtomicU64,
    /// When the upstreams are to be looked at next, in nanoseconds.
    due: AtomicU64,
}

/// Up to where somebody is let in.
#[derive(Default)]
struct Bounds {
    /// Entries under way.
    backlog: AtomicU64,
    /// Grants in progress, without a token.
    fill: AtomicU64,
}

struct Control {
    settings: EntrySettings,
    planner: Planner,
    served: u64,
    /// When the upstreams last served anybody.
    moved: Timestamp,
    looked: Timestamp,
    plan: Plan,
}

/// An entry that was let in; dropped without a [`grant`](Self::grant), it gives back what it took.
#[must_use = "an entry that is dropped is given back"]
pub struct Begun {
    /// Empty once settled.
    entry: Option<Arc<Entry>>,
    /// Whether it took a token.
    token: bool,
}

impl Entry {
    /// Entry control that knows nothing yet.
    #[must_use]
    pub fn new(settings: EntrySettings, now: Timestamp) -> Self {
        let entry = Self {
            line: Padded(Line {
                tokens: Tokens::none(),
                begun: AtomicU64::new(0),
                bounds: std::array::from_fn(|_| Bounds::default()),
                most: AtomicU64::new(0),
                max_grants: AtomicU64::new(0),
                calls: AtomicU64::new(0),
                ttl: AtomicU64::new(0),
                stalled: AtomicU64::new(0),
                due: AtomicU64::new(0),
            }),
            given: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            grants: Grants::new(),
            control: Mutex::new(Control {
                settings,
                planner: Planner::new(&settings),
                served: 0,
                moved: now,
                looked: now,
                plan: Plan::default(),
            }),
        };
        entry.publish(&settings);
        entry.grants.set_silence(settings.ttl);
        entry
    }

    /// Changes the settings live. What was measured and the grants stay.
    pub fn apply(&self, settings: EntrySettings, now: Timestamp) {
        let mut control = lock(&self.control);
        let old = std::mem::replace(&mut control.settings, settings);
        control.planner.apply(&old, &settings);
        self.publish(&settings);
        self.replan(&mut control, now);
    }

    /// Whether somebody of this standing would be let in now; `spare`: a permit is free and nobody waits. Reads only.
    #[must_use]
    pub fn peek(&self, standing: Standing, spare: bool, now: Timestamp) -> bool {
        let (by_token, by_spare) = self.ways(standing, spare);
        by_spare || (by_token && self.line.tokens.has(kept(standing), now))
    }

    /// Lets somebody of this standing in, if it is so.
    pub fn take(
        self: &Arc<Self>,
        standing: Standing,
        spare: bool,
        now: Timestamp,
    ) -> Option<Begun> {
        let (by_token, by_spare) = self.ways(standing, spare);
        let token = by_token && self.line.tokens.take(kept(standing), now);
        if !token && !by_spare {
            return None;
        }
        self.line.begun.fetch_add(1, Ordering::Relaxed);
        Some(Begun { entry: Some(Arc::clone(self)), token })
    }

    /// A holder's call.
    ///
    /// # Errors
    /// Why the grant is not good for it.
    pub fn call(&self, nonce: u64, expires: Timestamp, now: Timestamp) -> Result<(), Ended> {
        self.grants.call(nonce, expires, (self.calls(), self.max_grants()), self.pace(now))
    }

    /// Whether a holder's [`call`](Self::call) would be let in. Takes nothing, though it locks a part of the table for
    /// the look.
    #[must_use]
    pub fn is_good(&self, nonce: u64, expires: Timestamp, now: Timestamp) -> bool {
        self.grants.is_good(nonce, expires, self.calls(), self.pace(now))
    }

    /// A call that was let in was refused behind this, and cost the upstreams nothing: it does not count against
    /// the grant's budget.
    pub fn give_back(&self, nonce: u64, now: Timestamp) {
        self.grants.give_back(nonce, self.pace(now));
    }

    /// The holder has got what the journey was for; calls that are left may still be made.
    pub fn finish(&self, nonce: u64, now: Timestamp) {
        self.grants.finish(nonce, self.pace(now));
    }

    /// The grant is good for nothing any more.
    pub fn end(&self, nonce: u64, now: Timestamp) {
        self.grants.end(nonce, self.expiry(now), self.max_grants(), self.pace(now));
    }

    /// Looks at the upstreams, if that is due. Anybody may call it as often as it pleases.
    pub fn tick(&self, loads: &[Load], now: Timestamp) {
        if now.as_nanos() < self.line.due.load(Ordering::Relaxed) {
            return;
        }
        let mut control = match self.control.try_lock() {
            Ok(control) => control,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody else is at it.
            Err(TryLockError::WouldBlock) => return,
        };
        self.line.due.store((now + LOOK).as_nanos(), Ordering::Relaxed);
        self.watch(&mut control, loads, now);
        let pace = self.pace(now);
        let heard = self.grants.collect(pace);
        self.finished.fetch_add(heard.finished, Ordering::Relaxed);
        let is_short = !self.line.tokens.has(kept(Standing::New), now);
        let control = &mut *control;
        let clock = Timestamp::default() + pace.clock;
        control.planner.look(loads, heard, self.grants.active(), is_short, clock);
        self.replan(control, now);
    }

    /// Everything that can be seen. Takes the lock: for people and scrapers, not for requests.
    #[must_use]
    pub fn status(&self) -> EntryStatus {
        let control = lock(&self.control);
        EntryStatus {
            rate: control.plan.rate,
            capacity: control.planner.capacity(&control.settings).unwrap_or(0.0),
            calls_per_grant: control.planner.calls_per_grant(&control.settings),
            factor: control.planner.factor(),
            begun: self.begun(),
            in_progress: self.grants.active(),
            wanted_in_progress: control.plan.bounds[0].fill,
            live: self.grants.live(),
            silence: self.grants.silence(),
            holders_wait: control.planner.holders_wait(),
            given: self.given.load(Ordering::Relaxed),
            finished: self.finished.load(Ordering::Relaxed),
        }
    }

    /// Whether an entry is possible by token, and without one.
    fn ways(&self, standing: Standing, spare: bool) -> (bool, bool) {
        let line = &*self.line;
        let begun = self.begun();
        let active = self.grants.active().saturating_add(begun);
        if self.grants.unfinished().saturating_add(begun) >= self.max_grants() {
            return (false, false);
        }
        let below = |bound: &AtomicU64, taken| taken < bound.load(Ordering::Relaxed);
        let bounds = &line.bounds[kept(standing) as usize];
        let is_short = below(&bounds.backlog, begun);
        (is_short && below(&line.most, active), (spare || is_short) && below(&bounds.fill, active))
    }

    /// Stops the clock of silence while the upstreams serve nobody: whoever waits for them is not gone.
    fn watch(&self, control: &mut Control, loads: &[Load], now: Timestamp) {
        let served = Planner::served(loads);
        if served != control.served {
            control.served = served;
            control.moved = control.moved.max(now);
        }
        let still = now.saturating_since(control.moved);
        if still > STALLED_AFTER && control.planner.is_busy(still) {
            let since = control.looked.max(control.moved + STALLED_AFTER);
            let stalled = saturating_nanos(now.saturating_since(since));
            self.line.stalled.fetch_add(stalled, Ordering::Relaxed);
        }
        control.looked = control.looked.max(now);
    }

    fn replan(&self, control: &mut Control, now: Timestamp) {
        control.planner.bound(&control.settings);
        let plan = control.planner.plan(&control.settings);
        if plan == control.plan {
            return;
        }
        let line = &*self.line;
        if plan.rate != control.plan.rate || plan.burst != control.plan.burst {
            line.tokens.set(plan.rate, plan.burst, now);
        }
        for (live, planned) in line.bounds.iter().zip(&plan.bounds) {
            live.backlog.store(planned.backlog, Ordering::Relaxed);
            live.fill.store(planned.fill, Ordering::Relaxed);
        }
        line.most.store(plan.most, Ordering::Relaxed);
        self.grants.set_silence(plan.silence);
        control.plan = plan;
    }

    fn publish(&self, settings: &EntrySettings) {
        let line = &*self.line;
        // Grants are numbered with 32 bits.
        let max_grants = u64::try_from(settings.max_grants).unwrap_or(u64::MAX).min(1 << 31);
        line.max_grants.store(max_grants, Ordering::Relaxed);
        line.calls.store(u64::from(settings.calls), Ordering::Relaxed);
        line.ttl.store(saturating_nanos(settings.ttl), Ordering::Relaxed);
    }

    fn begun(&self) -> u64 {
        self.line.begun.load(Ordering::Relaxed)
    }

    fn calls(&self) -> u32 {
        u32::try_from(self.line.calls.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    fn max_grants(&self) -> u64 {
        self.line.max_grants.load(Ordering::Relaxed)
    }

    fn expiry(&self, now: Timestamp) -> Timestamp {
        now + Duration::from_nanos(self.line.ttl.load(Ordering::Relaxed))
    }

    fn pace(&self, now: Timestamp) -> Pace {
        let stalled = Duration::from_nanos(self.line.stalled.load(Ordering::Relaxed));
        self.grants.pace(now, stalled)
    }
}

impl Begun {
    /// The entry was answered as it should be, and with it goes the grant of `nonce`.
    pub fn grant(mut self, nonce: u64, now: Timestamp) {
        if let Some(entry) = self.entry.take() {
            entry.grants.begin(nonce, entry.expiry(now), entry.max_grants(), entry.pace(now));
            entry.given.fetch_add(1, Ordering::Relaxed);
            entry.line.begun.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            if self.token {
                entry.line.tokens.give_back();
            }
            entry.line.begun.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Thirds of the burst that are kept for others.
fn kept(standing: Standing) -> u64 {
    match standing {
        Standing::OnTime => 0,
        Standing::New => 1,
        Standing::Early { .. } => 2,
    }
}
