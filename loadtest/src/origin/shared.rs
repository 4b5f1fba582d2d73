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
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::rng::Rng;

use super::{
    answer::{self, FILLING},
    config::OriginConfig,
    stats::Stats,
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
    /// The configured headers as lines.
    pub(super) header_lines: Vec<String>,
    /// The plain answer, whole, when it is small.
    pub(super) ready: Option<Vec<u8>>,
    pub(super) stats: Arc<Stats>,
    epoch: Instant,
    /// End of the freeze, in nanoseconds from the epoch; 0 before it.
    frozen_until: AtomicU64,
    /// Mean error of the timer, in nanoseconds.
    overshoot: AtomicU64,
    rng: Mutex<Rng>,
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
        Ok(Self {
            held: watch::Sender::new(false),
            header_lines,
            ready,
            stats: Arc::new(Stats::new(config.concurrency_limit)),
            epoch: Instant::now(),
            frozen_until: AtomicU64::new(0),
            overshoot: AtomicU64::new(0),
            rng: Mutex::new(Rng::new(config.seed, 0)),
            config,
        })
    }

    /// The service time of the next request to this path.
    pub(super) fn service_time(&self, path: &str) -> Duration {
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

    /// Whether [`work`](Self::work) would be done at once.
    pub(super) fn is_idle_work(&self, time: Duration) -> bool {
        time.is_zero() && !*self.held.borrow() && self.frozen_until().is_none()
    }

    /// The service time, then a freeze or hold that lasts longer.
    pub(super) async fn work(&self, time: Duration) {
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
        (nanos > 0 && until > Instant::now()).then_some(until)
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
