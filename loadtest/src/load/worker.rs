//! One generator thread: one single-threaded runtime, its connections, its books.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use tokio::{
    runtime::LocalOptions,
    sync::Notify,
    time::{Instant, interval_at},
};

use crate::rng::Rng;

use super::{
    board::Seat,
    connection::{self, Job, Slot},
    exchange::Scratch,
    metronome,
    plan::Plan,
    reason::Reasons,
    recorder::{Books, Recorder},
    sample::Sample,
    schedule::Arrival,
};

/// Room for what one read takes in.
const SCRATCH_BYTES: usize = 64 * 1024;
/// A generator that turns to an arrival later than this was too busy, and the arrival is late.
const LATE: Duration = Duration::from_millis(5);

/// How long after the last patience has ended a run may still settle.
const GRACE: Duration = Duration::from_secs(5);

/// The random stream that closes connections.
const FRESH_STREAM: u64 = u64::MAX;

/// What one thread has seen.
#[derive(Debug)]
pub(super) struct Findings {
    /// Arrivals in its part of the schedule.
    pub(super) arrivals: u64,
    pub(super) books: Books,
    pub(super) reasons: Reasons,
}

/// What the tasks of one generator thread share.
#[derive(Debug)]
pub(super) struct Worker {
    connections: Cell<usize>,
    /// Rung when the last job ends after the last arrival.
    drained: Notify,
    /// Whether the last arrival has come.
    exhausted: Cell<bool>,
    /// Share of requests that give up their connection, and what decides which.
    fresh: (f64, RefCell<Rng>),
    idle: RefCell<Vec<Rc<Slot>>>,
    max_connections: usize,
    max_waiting: usize,
    /// Jobs that have not ended, waiting ones among them.
    outstanding: Cell<usize>,
    reasons: RefCell<Reasons>,
    recorder: RefCell<Recorder>,
    /// Per class: the bytes, and whether the answer has no body.
    requests: Vec<(Vec<u8>, bool)>,
    scratch: Scratch,
    start: Instant,
    target: SocketAddr,
    timeout: Duration,
    waiting: RefCell<VecDeque<Job>>,
}

/// Runs worker `index` of a plan to its end. Of `threads` workers each takes every `threads`-th
/// arrival.
///
/// # Errors
/// The runtime could not be built.
pub(super) fn run(
    plan: &Plan,
    index: usize,
    start: std::time::Instant,
    stop: &AtomicBool,
    seat: &Seat,
) -> io::Result<Findings> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let schedule = || plan.schedule().skip(index).step_by(plan.threads);
    let bell = Notify::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            metronome::run(schedule().map(|arrival| arrival.intended), start, stop, &bell);
        });
        let worker = Rc::new(Worker::new(plan, Instant::from_std(start)));
        let arrivals = runtime.block_on(worker.drive(schedule(), &bell, stop, seat));
        // Connections hold the worker; they end with the runtime.
        drop(runtime);
        let reasons = worker.reasons.take();
        let books = worker.recorder.replace(Recorder::new(plan)).books;
        Ok(Findings { arrivals, books, reasons })
    })
}

// === impl Worker ===

impl Worker {
    fn new(plan: &Plan, start: Instant) -> Self {
        let request = |template: &super::plan::Template| {
            (template.to_bytes(plan.target), template.method == "HEAD")
        };
        Self {
            connections: Cell::new(0),
            drained: Notify::new(),
            exhausted: Cell::new(false),
            fresh: (plan.fresh_share, RefCell::new(Rng::new(plan.seed, FRESH_STREAM))),
            idle: RefCell::default(),
            max_connections: plan.connections / plan.threads,
            max_waiting: plan.waiting / plan.threads,
            outstanding: Cell::new(0),
            reasons: RefCell::new(Reasons::default()),
            recorder: RefCell::new(Recorder::new(plan)),
            requests: plan.templates.iter().map(request).collect(),
            scratch: Rc::new(RefCell::new(vec![0; SCRATCH_BYTES].into())),
            start,
            target: plan.target,
            timeout: plan.timeout,
            waiting: RefCell::default(),
        }
    }

    /// Goes through the schedule; the number of its arrivals.
    async fn drive(
        self: &Rc<Self>,
        schedule: impl Iterator<Item = Arrival>,
        bell: &Notify,
        stop: &AtomicBool,
        seat: &Seat,
    ) -> u64 {
        const SECOND: Duration = Duration::from_secs(1);
        let mut schedule = schedule.peekable();
        let mut arrivals = 0;
        let mut second = interval_at(self.start + SECOND, SECOND);
        let mut latest_end = Duration::ZERO;
        loop {
            let now = self.now();
            while let Some(arrival) = schedule.next_if(|arrival| arrival.intended <= now) {
                arrivals += 1;
                latest_end = arrival.intended + self.timeout + GRACE;
                self.dispatch(arrival, now);
            }
            if stop.load(Relaxed) {
                arrivals += schedule.by_ref().count() as u64;
            }
            self.exhausted.set(schedule.peek().is_none());
            // By then patience has ended everything; what is left was lost, and the books show it.
            if self.exhausted.get() && (self.outstanding.get() == 0 || now > latest_end) {
                break;
            }
            tokio::select! {
                _ = second.tick() => self.roll(seat),
                () = bell.notified() => {}
                () = self.drained.notified() => {}
            }
        }
        self.roll(seat);
        arrivals
    }

    fn dispatch(self: &Rc<Self>, arrival: Arrival, now: Duration) {
        self.recorder.borrow_mut().offered(&arrival);
        let job = Job { arrival, assigned: now, lag: now.saturating_sub(arrival.intended) };
        if let Some(slot) = self.idle.borrow_mut().pop() {
            slot.assign(job);
        } else if self.connections.get() < self.max_connections {
            self.connections.set(self.connections.get() + 1);
            tokio::task::spawn_local(connection::run(Rc::clone(self), job));
        } else if self.waiting.borrow().len() < self.max_waiting {
            self.waiting.borrow_mut().push_back(job);
        } else {
            self.recorder.borrow_mut().dropped(&arrival);
            return;
        }
        self.outstanding.set(self.outstanding.get() + 1);
    }

    fn roll(&self, seat: &Seat) {
        seat.roll(&mut self.recorder.borrow_mut().second, &self.reasons.borrow());
    }

    // --- for connections ---

    /// Time since the start of the run.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// When the patience for an arrival ends.
    pub(super) fn deadline(&self, arrival: &Arrival) -> Instant {
        self.start + arrival.intended + self.timeout
    }

    /// The bytes of a request, and whether its answer has no body.
    pub(super) fn request(&self, arrival: &Arrival) -> (&[u8], bool) {
        let (bytes, is_head) = &self.requests[usize::from(arrival.class)];
        (bytes, *is_head)
    }

    pub(super) fn reasons(&self) -> &RefCell<Reasons> {
        &self.reasons
    }

    pub(super) fn scratch(&self) -> Scratch {
        Rc::clone(&self.scratch)
    }

    pub(super) fn target(&self) -> SocketAddr {
        self.target
    }

    /// Notes that a job is begun now.
    pub(super) fn turn_to(&self, job: &Job) {
        let lag = job.lag + self.now().saturating_sub(job.assigned);
        self.recorder.borrow_mut().lag(lag, lag > LATE);
    }

    /// Whether the request that ended just now was the last on its connection.
    pub(super) fn closes(&self) -> bool {
        let (share, rng) = &self.fresh;
        *share > 0.0 && rng.borrow_mut().fraction() < *share
    }

    pub(super) fn retried(&self) {
        self.recorder.borrow_mut().books.retried += 1;
    }

    pub(super) fn done(&self, sample: &Sample) {
        self.recorder.borrow_mut().done(sample);
        self.outstanding.set(self.outstanding.get() - 1);
        if self.exhausted.get() && self.outstanding.get() == 0 {
            self.drained.notify_one();
        }
    }

    pub(super) fn next_waiting(&self) -> Option<Job> {
        let job = self.waiting.borrow_mut().pop_front()?;
        Some(Job { assigned: self.now(), ..job })
    }

    pub(super) fn idle(&self, slot: &Rc<Slot>) {
        self.idle.borrow_mut().push(Rc::clone(slot));
    }

    pub(super) fn forget_idle(&self, slot: &Rc<Slot>) {
        self.idle.borrow_mut().retain(|idle| !Rc::ptr_eq(idle, slot));
    }

    pub(super) fn connection_ended(&self) {
        self.connections.set(self.connections.get() - 1);
    }
}
