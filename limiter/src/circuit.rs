//! A circuit: refuses what would go to somebody who fails or is slow, whatever our own level.
//!
//! ```text
//!              rate reached, or min_calls bad in a row
//!   closed ──────────────────────────────────────────> open, twice as long each time
//!     ^                                                 │ ^
//!     │ last step                             time over │ │ rate reached in a step
//!     └──────────── half-open: n, 2n, 4n … 32n calls <──┘─┘
//! ```
//!
//! The states are those of Nygard ("Release It!", 2007). Where a single probe decides, one lucky call lets everybody in at once, and a
//! probe that is lost keeps everybody out for ever; so here a bounded number of calls asks, then twice as many while
//! they go well, at least [`STEP`] apart; and a call that ends without a word gives its place back.
//!
//! A refusal is one relaxed load of [`Circuit::word`]. Probes are taken from the same word by compare-and-exchange. What
//! became of a call is told under a lock, which no refusal takes.

mod settings;
mod status;
mod window;
mod word;

use std::sync::Arc;
use std::time::Duration;

pub use settings::{CircuitError, CircuitSettings};
pub use status::{CircuitStatus, Opened, RampStatus, Transitions};
pub use window::{CallCounts, CallOutcome, CircuitCause};
use window::{LANES, Window};
use word::Word;

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, Padded, lock};
use crate::timestamp::Timestamp;

/// Doublings of the ramp, after which the circuit is closed.
const RAMP: u32 = 5;
/// Least time of each of its steps but the last, so that an upstream that answers fast, perhaps since it fails, is not
/// given everything within a few round trips.
const STEP: Duration = Duration::from_millis(100);
/// Doublings of the open time that are counted.
const MAX_STREAK: u32 = 16;
/// By how much the open time is spread, as a part of it.
const JITTER: f64 = 0.1;

/// Whether a circuit admits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CircuitState {
    /// It does.
    Closed,
    /// It does not.
    Open,
    /// A few, to find out.
    HalfOpen,
}

/// One circuit. Shared by all cores.
#[derive(Debug)]
pub struct Circuit {
    word: Padded<AtomicU64>,
    would_refuse: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: CircuitSettings,
    window: Window,
    /// Number of the state, or of the step of the ramp: what began in an earlier one says nothing.
    epoch: u32,
    ramp: Ramp,
    /// How often it opened without having been closed for long.
    streak: u32,
    closed_at: Timestamp,
    opened: Option<Opened>,
    transitions: Transitions,
    random: u64,
}

/// The step of the ramp that a circuit is at.
#[derive(Clone, Copy, Debug, Default)]
struct Ramp {
    step: u32,
    /// How many calls it takes.
    calls: u32,
    began: Timestamp,
    ended: CallCounts,
    /// Since when nobody gets in, and how many had ended then.
    stuck: Option<(Timestamp, u64)>,
}

/// What becomes of a call that asks to be let in.
#[derive(Debug)]
pub enum Entered {
    /// It goes, and what becomes of it counts.
    In(Call),
    /// It goes, since the circuit is a shadow, and does not count.
    Unseen,
    /// It does not.
    Refused,
}

/// A call that was let in. Dropped without a [`report`](Self::report), it says nothing, and its place is free again.
#[derive(Debug)]
pub struct Call {
    circuit: Arc<Circuit>,
    epoch: u32,
    is_probe: bool,
}

// === impl CircuitState ===

impl CircuitState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

// === impl Circuit ===

impl Circuit {
    /// Lanes that calls are told apart by; any other number is taken modulo this.
    pub const LANES: usize = LANES;

    /// A closed one that has seen nothing. `seed` makes its times differ from those of others.
    #[must_use]
    pub fn new(settings: CircuitSettings, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            word: Padded(AtomicU64::new(Word::closed(0, settings.shadow).0)),
            would_refuse: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                window: Window::new(settings.window),
                settings,
                epoch: 0,
                ramp: Ramp::default(),
                streak: 0,
                closed_at: Timestamp::default(),
                opened: None,
                transitions: Transitions::default(),
                random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            }),
        })
    }

    /// Whether a call at `now` would be refused: one relaxed load.
    #[must_use]
    pub fn refuses(&self, now: Timestamp) -> bool {
        let word = self.word();
        word.is_shut(now) && !word.is_shadow()
    }

    /// What it is now. Whether that is refused at the moment tells [`refuses`](Self::refuses).
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.word().state()
    }

    /// Whether it only counts.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.word().is_shadow()
    }

    /// When an open one asks again; `None` if it is not open.
    #[must_use]
    pub fn probes_at(&self) -> Option<Timestamp> {
        let word = self.word();
        (word.state() == CircuitState::Open).then(|| word.until())
    }

    /// Lets a call in at `now`, or does not.
    pub fn enter(self: &Arc<Self>, now: Timestamp) -> Entered {
        loop {
            let word = self.word();
            if word.is_shut(now) {
                if !word.is_shadow() {
                    return Entered::Refused;
                }
                self.would_refuse.fetch_add(1, Ordering::Relaxed);
                return Entered::Unseen;
            }
            match word.state() {
                CircuitState::Closed => return Entered::In(self.call(word.epoch(), false)),
                CircuitState::Open => self.probe(now),
                CircuitState::HalfOpen => {
                    // One less free.
                    if self.exchange(word, Word(word.0 - 1)) {
                        return Entered::In(self.call(word.epoch(), true));
                    }
                }
            }
        }
    }

    /// Looks after a ramp: on to the next step when it is time, and anew if its calls were lost. Often. True if the state
    /// has changed.
    pub fn tick(&self, now: Timestamp) -> bool {
        let word = self.word();
        if word.state() == CircuitState::Closed {
            return false;
        }
        let mut inner = lock(&self.inner);
        match self.word().state() {
            CircuitState::Closed => false,
            CircuitState::Open => {
                // A clock that went back must not keep it open for as long.
                let latest = now + inner.settings.max_open;
                let word = self.word();
                if word.until() > latest {
                    self.set(Word::open(latest, word.is_shadow()));
                }
                false
            }
            CircuitState::HalfOpen => self.go_on(&mut inner, now),
        }
    }

    /// Other settings from `now` on; what is known and the state are kept, and a ramp does its step anew.
    pub fn apply(&self, settings: CircuitSettings, now: Timestamp) {
        let mut inner = lock(&self.inner);
        let old = std::mem::replace(&mut inner.settings, settings);
        if old == settings {
            return;
        }
        inner.window.resize(settings.window, now);
        match self.word().state() {
            CircuitState::HalfOpen => {
                let step = inner.ramp.step;
                self.begin_step(&mut inner, step, now);
            }
            CircuitState::Closed => self.set(Word::closed(inner.epoch, settings.shadow)),
            CircuitState::Open => {
                let until = self.word().until().min(now + settings.max_open);
                self.set(Word::open(until, settings.shadow));
            }
        }
    }

    /// Lane number `i` was number `from[i]` until now.
    pub fn move_lanes(&self, from: &[Option<usize>]) {
        lock(&self.inner).window.move_lanes(from);
    }

    /// Closed, and nothing is known.
    pub fn reset(&self) {
        let mut inner = lock(&self.inner);
        inner.window.clear();
        (inner.streak, inner.opened) = (0, None);
        inner.epoch = inner.epoch.wrapping_add(1);
        self.set(Word::closed(inner.epoch, inner.settings.shadow));
    }

    /// What can be seen of it at `now`.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> CircuitStatus {
        let mut inner = lock(&self.inner);
        let word = self.word();
        inner.window.advance(now);
        let Inner { settings, window, ramp, opened, transitions, .. } = &*inner;
        let ended = u32::try_from(ramp.ended.calls).unwrap_or(u32::MAX);
        let ramp = RampStatus {
            step: ramp.step,
            calls: ramp.calls,
            free: word.free(),
            under_way: ramp.calls.saturating_sub(ended).saturating_sub(word.free()),
            ended: ramp.ended,
        };
        CircuitStatus {
            state: word.state(),
            settings: *settings,
            counts: window.totals(),
            runs: CircuitCause::ALL.map(|cause| window.run(cause)),
            opened: *opened,
            probes_at: (word.state() == CircuitState::Open).then(|| word.until()),
            ramp: (word.state() == CircuitState::HalfOpen).then_some(ramp),
            transitions: *transitions,
            would_refuse: self.would_refuse.load(Ordering::Relaxed),
        }
    }

    fn word(&self) -> Word {
        Word(self.word.load(Ordering::Relaxed))
    }

    /// Under the lock only. Takers and givers of probes may be overtaken: they see that the epoch is another one.
    /// An exchange and no store: a place that is given back at the same moment is so before it, or sees it.
    fn set(&self, word: Word) {
        self.word.swap(word.0, Ordering::AcqRel);
    }

    fn exchange(&self, old: Word, new: Word) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        self.word.compare_exchange(old.0, new.0, success, failure).is_ok()
    }

    fn call(self: &Arc<Self>, epoch: u32, is_probe: bool) -> Call {
        Call { circuit: Arc::clone(self), epoch, is_probe }
    }

    // ## Open => HalfOpen
    fn probe(&self, now: Timestamp) {
        let mut inner = lock(&self.inner);
        // Somebody else may have been here.
        let word = self.word();
        if word.state() == CircuitState::Open && !word.is_shut(now) {
            inner.window.clear();
            inner.transitions.half_opened += 1;
            self.begin_step(&mut inner, 0, now);
        }
    }

    fn begin_step(&self, inner: &mut MutexGuard<'_, Inner>, step: u32, now: Timestamp) {
        let calls = inner.settings.probes << step;
        inner.ramp = Ramp { step, calls, began: now, ended: CallCounts::default(), stuck: None };
        inner.epoch = inner.epoch.wrapping_add(1);
        self.set(Word::half_open(inner.epoch, calls, inner.settings.shadow));
    }

    /// What became of a call in the `epoch`.
    fn hear(&self, call: &Call, lane: usize, outcome: CallOutcome, now: Timestamp) -> bool {
        let mut inner = lock(&self.inner);
        let word = self.word();
        let is_of_now = word.state() != CircuitState::Open && word.epoch() == call.epoch;
        if !is_of_now {
            return false;
        }
        inner.window.record(lane, outcome, now);
        if call.is_probe {
            let ended = &mut inner.ramp.ended;
            ended.calls += 1;
            ended.failures += u64::from(outcome.failed);
            ended.slow += u64::from(outcome.slow);
            return self.go_on(&mut inner, now);
        }
        // ## Closed => Open
        let Some(cause) = inner.window.verdict(&inner.settings) else { return false };
        let counts = inner.window.totals();
        self.open(&mut inner, cause, counts, now);
        true
    }

    /// Judges the step of the ramp. True if the state has changed.
    fn go_on(&self, inner: &mut MutexGuard<'_, Inner>, now: Timestamp) -> bool {
        let Inner { settings, ramp, .. } = &**inner;
        let Ramp { step, calls, began, ended, stuck } = *ramp;
        let passed = now.saturating_since(began);
        let all_ended = ended.calls >= u64::from(calls);
        // Few come: what there is of them has to do.
        let has_waited = passed >= settings.window && ended.calls > 0;
        // What is certain need not be awaited.
        let of = if all_ended || !has_waited { u64::from(calls) } else { ended.calls };
        let cause = CircuitCause::ALL
            .into_iter()
            .find(|cause| cause.threshold(settings).is_reached(ended.bad(*cause), of));
        // ## HalfOpen => Open
        if let Some(cause) = cause {
            self.open(inner, cause, ended, now);
            return true;
        }
        if !(all_ended || has_waited) {
            self.give_up_lost(inner, stuck, now);
            return false;
        }
        // ## HalfOpen => Closed
        if step >= RAMP {
            inner.epoch = inner.epoch.wrapping_add(1);
            inner.closed_at = now;
            inner.transitions.closed += 1;
            self.set(Word::closed(inner.epoch, inner.settings.shadow));
            return true;
        }
        if passed >= STEP {
            self.begin_step(inner, step + 1, now);
        }
        false
    }

    /// Calls that keep all others out and have not ended within their time are taken for lost.
    fn give_up_lost(
        &self,
        inner: &mut MutexGuard<'_, Inner>,
        stuck: Option<(Timestamp, u64)>,
        now: Timestamp,
    ) {
        let (ended, deadline) = (inner.ramp.ended.calls, inner.settings.probe_deadline);
        if self.word().free() > 0 {
            inner.ramp.stuck = None;
            return;
        }
        match stuck.filter(|(_, then)| *then == ended) {
            None => inner.ramp.stuck = Some((now, ended)),
            Some((since, _)) if now.saturating_since(since) >= deadline => {
                let free = inner.ramp.calls - u32::try_from(ended).unwrap_or(inner.ramp.calls);
                inner.ramp.stuck = None;
                inner.epoch = inner.epoch.wrapping_add(1);
                self.set(Word::half_open(inner.epoch, free, inner.settings.shadow));
            }
            Some(_) => {}
        }
    }

    fn open(
        &self,
        inner: &mut MutexGuard<'_, Inner>,
        cause: CircuitCause,
        counts: CallCounts,
        now: Timestamp,
    ) {
        let is_closed = self.word().state() == CircuitState::Closed;
        if is_closed && now.saturating_since(inner.closed_at) >= inner.settings.max_open {
            inner.streak = 0;
        }
        let lasts = inner.open_time();
        inner.streak = (inner.streak + 1).min(MAX_STREAK);
        inner.opened = Some(Opened { at: now, lasts, cause, counts, run: inner.window.run(cause) });
        inner.transitions.opened += 1;
        // What was admitted before must not count in what follows.
        inner.epoch = inner.epoch.wrapping_add(1);
        inner.window.clear();
        self.set(Word::open(now + lasts, inner.settings.shadow));
    }

    /// A place of the ramp, given back unless its step is over.
    fn give_back(&self, epoch: u32) {
        loop {
            let word = self.word();
            if word.state() != CircuitState::HalfOpen || word.epoch() != epoch {
                return;
            }
            if self.exchange(word, Word(word.0 + 1)) {
                return;
            }
        }
    }
}

// === impl Inner ===

impl Inner {
    /// How long it is to be open now: longer by up to a tenth, so that gateways do not ask together; never longer than
    /// the longest time, and then shorter by as much.
    fn open_time(&mut self) -> Duration {
        let CircuitSettings { open, max_open, .. } = self.settings;
        let part = JITTER * self.random();
        let doubled = open.saturating_mul(1 << self.streak);
        if doubled >= max_open {
            return max_open.mul_f64(1.0 - part);
        }
        doubled.mul_f64(1.0 + part).min(max_open)
    }

    /// 0 to 1, by xorshift64.
    fn random(&mut self) -> f64 {
        let mut x = self.random;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random = x;
        (x >> 11) as f64 / (1_u64 << 53) as f64
    }
}

// === impl Call ===

impl Call {
    /// Whether it helps to find out whether a circuit may be closed.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.is_probe
    }

    /// What became of it at `now`, on `lane`: what it has in common with some of the calls and not with others. A circuit that
    /// opens because of what is so on one lane only would refuse the others for nothing: while there is a lane that is
    /// well, it stays closed. True if the state has changed.
    pub fn report(mut self, lane: usize, outcome: CallOutcome, now: Timestamp) -> bool {
        let changed = self.circuit.hear(&self, lane, outcome, now);
        // Its place is used up.
        self.is_probe = false;
        changed
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_probe {
            self.circuit.give_back(self.epoch);
        }
    }
}
