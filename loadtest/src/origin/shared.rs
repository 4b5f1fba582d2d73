//! What the connections of an origin share: configuration, counts, and the clock of its work.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::rng::Rng;

use super::{
    answer::{self, FILLING},
    config::{OriginConfig, ServiceTime},
    fault::{Fault, FaultKind},
    shop::Shop,
    stats::{OriginStats, Stats},
};

/// Most that the timer's error may take off a service time.
const MAX_CORRECTION: Duration = Duration::from_millis(1);
/// Largest plain answer that is kept ready.
const MAX_READY_BYTES: usize = 64 * 1024;

/// What the connections of an origin share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: OriginConfig,
    pub(super) held: watch::Sender<bool>,
    /// No shop, no line of workers, and nothing planned that goes wrong.
    is_plain: bool,
    /// The configured headers as lines.
    pub(super) header_lines: Vec<String>,
    /// The plain answer, whole, when it is small.
    pub(super) ready: Option<Vec<u8>>,
    pub(super) shop: Option<Shop>,
    pub(super) stats: Arc<Stats>,
    /// When the clock of faults and trade began.
    pub(super) begun: watch::Sender<Instant>,
    epoch: Instant,
    /// End of the freeze, in nanoseconds from the epoch; 0 before it.
    frozen_until: AtomicU64,
    /// Mean error of the timer, in nanoseconds.
    overshoot: AtomicU64,
    rng: Mutex<Rng>,
    workers: Option<Semaphore>,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(config: OriginConfig) -> io::Result<Self> {
        config.validate()?;
        let header_lines: Vec<_> =
            config.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let ready = (config.body_bytes <= MAX_READY_BYTES).then(|| {
            let mut ready = Vec::new();
            let framing = answer::framing(200, config.body_bytes);
            let lines = header_lines.iter().map(String::as_str);
            answer::head(&mut ready, 200, framing, "text/plain", true, lines);
            ready.extend_from_slice(&FILLING[..config.body_bytes]);
            ready
        });
        let shop = (!config.stock.is_empty())
            .then(|| Shop::new(&config.stock, config.idempotent))
            .transpose()?;
        let is_plain = shop.is_none()
            && config.workers.is_none()
            && config.faults.is_empty()
            && config.freeze.is_none();
        Ok(Self {
            begun: watch::Sender::new(Instant::now()),
            held: watch::Sender::new(false),
            header_lines,
            is_plain,
            ready,
            shop,
            stats: Arc::new(Stats::new(config.concurrency_limit)),
            epoch: Instant::now(),
            frozen_until: AtomicU64::new(0),
            overshoot: AtomicU64::new(0),
            rng: Mutex::new(Rng::new(config.seed, 0)),
            workers: config.workers.map(Semaphore::new),
            config,
        })
    }

    /// All counts.
    pub(super) fn stats(&self) -> OriginStats {
        OriginStats { shop: self.shop.as_ref().map(Shop::stats), ..self.stats.snapshot() }
    }

    /// The service time of the next request to this path.
    pub(super) fn service_time(&self, path: &str) -> Duration {
        if let ServiceTime::Fixed(time) = self.config.service_time_of(path) {
            return time;
        }
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        self.config.service_time_of(path).sample(&mut rng)
    }

    /// Begins the freeze, if this is the request that does.
    pub(super) fn note_request(&self, before: u64) {
        if let Some(freeze) = self.config.freeze.filter(|freeze| freeze.after_requests == before) {
            let end = self.epoch.elapsed() + freeze.lasting;
            self.frozen_until.store(end.as_nanos() as u64, Relaxed);
        }
    }

    /// The ready answer, when nothing has to be done or waited for before it: no shop, no line, no
    /// service time, nothing that goes wrong.
    pub(super) fn answer_at_once(&self, path: &str) -> Option<&[u8]> {
        let ready = self.ready.as_deref().filter(|_| self.is_plain)?;
        let at_once = self.service_time(path).is_zero() && !*self.held.borrow();
        at_once.then_some(ready)
    }

    /// Whether [`work`](Self::work) would be done at once.
    pub(super) fn is_idle_work(&self, time: Duration) -> bool {
        time.is_zero()
            && self.workers.is_none()
            && !*self.held.borrow()
            && self.frozen_until().is_none()
    }

    /// The service time, then a freeze or hold that lasts longer.
    pub(super) async fn work(&self, time: Duration) {
        let _place = self.place().await;
        let time = self.slowed(time);
        if !time.is_zero() {
            self.sleep_true(time).await;
        }
        while let Some(until) = self.frozen_until() {
            sleep_until(until).await;
        }
        if *self.held.borrow() {
            // The sender lives in `self`, so the wait cannot fail.
            drop(self.held.subscribe().wait_for(|held| !held).await);
        }
    }

    fn frozen_until(&self) -> Option<Instant> {
        let nanos = self.frozen_until.load(Relaxed);
        let until = self.epoch + Duration::from_nanos(nanos);
        let told = (nanos > 0 && until > Instant::now()).then_some(until);
        let freezes = |fault: &&Fault| fault.kind == FaultKind::Freeze;
        let (begun, now) = (*self.begun.borrow(), self.since_begin());
        let faults = self.config.faults.iter().filter(freezes).filter(|fault| fault.is_on(now));
        told.max(faults.map(|fault| begun + fault.end()).max())
    }

    /// Since the clock of faults and trade began.
    pub(super) fn since_begin(&self) -> Duration {
        self.begun.borrow().elapsed()
    }

    /// Whether work goes on when its client leaves.
    pub(super) fn finishes_work(&self) -> bool {
        self.workers.is_some()
    }

    /// What goes wrong with a request now, other than freezes and the origin being down.
    pub(super) fn fault(&self) -> Option<FaultKind> {
        if self.config.faults.is_empty() {
            return None;
        }
        let now = self.since_begin();
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let hits = |fault: &&Fault| {
            !matches!(fault.kind, FaultKind::Down | FaultKind::Freeze)
                && fault.is_on(now)
                && rng.fraction() < fault.share
        };
        self.config.faults.iter().find(hits).map(|fault| fault.kind)
    }

    /// A worker's place, in order of asking; `None` when there are as many as needed.
    async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.workers.as_ref()?.acquire().await.ok()
    }

    fn slowed(&self, time: Duration) -> Duration {
        let Some(workers) = self.config.workers.filter(|_| self.config.slowdown > 0.0) else {
            return time;
        };
        let waiting = self.stats.in_flight().saturating_sub(workers as u64) as f64;
        time.mul_f64((1.0 + self.config.slowdown * waiting / workers as f64).min(10.0))
    }

    /// Sleeps `time` in the mean: the timer rounds up, and what it added of late is taken off.
    async fn sleep_true(&self, time: Duration) {
        let mean = Duration::from_nanos(self.overshoot.load(Relaxed)).min(MAX_CORRECTION);
        let wanted = time.saturating_sub(mean);
        let begin = Instant::now();
        sleep(wanted).await;
        let error = begin.elapsed().saturating_sub(wanted).min(MAX_CORRECTION * 2);
        // A lost update loses one sample of a mean; nothing depends on it.
        let old = self.overshoot.load(Relaxed);
        self.overshoot.store(old - old / 32 + error.as_nanos() as u64 / 32, Relaxed);
    }
}
