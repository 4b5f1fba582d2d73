//! What the customers of a run share: the plan, the clock, the books.

use std::{
    cell::{Cell, RefCell},
    net::Ipv4Addr,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};

use crate::load::{
    Kind, Latencies,
    board::Seat,
    exchange::Scratch,
    reason::{ReasonId, Reasons},
    recorder::{Books, Recorder},
    sample::Sample,
    schedule::Arrival,
};

use super::{client::ClientClass, plan::JourneyPlan};

/// Room for what one read takes in.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Addresses that customers come from: 28,000 ports each, a minute long.
const SOURCES: u8 = 64;
/// Width of a bucket of [`Traffic::completions`].
pub(crate) const BUCKET: Duration = Duration::from_millis(100);

/// What one thread of customers shares.
#[derive(Debug)]
pub(super) struct Venue {
    pub(super) plan: Arc<JourneyPlan>,
    pub(super) start: Instant,
    pub(super) drained: Notify,
    /// Connections so far.
    connections: Cell<u8>,
    live: Cell<usize>,
    recorder: RefCell<Recorder>,
    pub(super) reasons: RefCell<Reasons>,
    pub(super) scratch: Scratch,
    traffic: RefCell<Traffic>,
    /// Milliseconds since 1970 at the start.
    unix_start_ms: u64,
}

/// Journeys of one kind of client, by ending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JourneyTally {
    /// Intents.
    pub started: u64,
    /// Whose first step succeeded while others still came.
    pub admitted: u64,
    /// Of these, were through before patience ran out.
    pub admitted_completed: u64,
    /// Of these, gave up all the same.
    pub admitted_gave_up: u64,
    /// Whose first step succeeded after the last intent: room is left then for those who come back, with
    /// what patience they have left.
    pub late_admitted: u64,
    /// Of these, were through before patience ran out.
    pub late_completed: u64,
    /// Were through before patience ran out.
    pub completed: u64,
    /// Left of their own accord.
    pub abandoned: u64,
    /// Ran out of patience or of attempts.
    pub gave_up: u64,
    /// Were told that nothing is left.
    pub sold_out: u64,
    /// Were cut off by the end of the run.
    pub unfinished: u64,
}

/// What a run with customers found, beside its requests.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Intents of the schedule.
    pub intents: u64,
    /// Of these, started more than 5 ms late because the generator was busy.
    pub late: u64,
    /// Of these, not started because there were too many live journeys.
    pub dropped: u64,
    /// Most journeys under way at once.
    pub peak_live: u64,
    /// In the order of [`ClientClass::ALL`].
    pub customers: [JourneyTally; 4],
    /// Identities of bots.
    pub bots: JourneyTally,
    /// Journeys started and completed, by second.
    pub seconds: Vec<(u64, u64)>,
    /// Journeys completed, by 100 ms.
    pub completions: Vec<u32>,
    /// From intent to completion, of the completed.
    pub length: Latencies,
    /// Requests of customers and of bots.
    pub requests: u64,
    /// Of these, of bots.
    pub bot_requests: u64,
    /// Of these, on a new connection.
    pub fresh: u64,
    /// Of these, extra clicks.
    pub clicks: u64,
    /// Refused requests of customers whose answer said when to come back.
    pub advised: u64,
    /// Of these, those whose client honours it.
    pub honoured: u64,
    /// Successful calls of customers that completed.
    pub useful_calls: u64,
    /// Successful calls of customers that did not: waste.
    pub wasted_calls: u64,
    /// Answers that slow readers read to their end, and those that were cut off.
    pub slow_reads: (u64, u64),
    /// Unfinished heads that the target closed.
    pub heads_closed: u64,
}

/// How a journey ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Abandoned,
    Completed,
    GaveUp,
    SoldOut,
    Unfinished,
}

// === impl Venue ===

impl Venue {
    pub(super) fn new(plan: Arc<JourneyPlan>, start: Instant) -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let ahead = start.saturating_duration_since(Instant::now());
        let buckets = plan.end().as_millis().div_ceil(BUCKET.as_millis()) as usize + 1;
        let seconds = plan.end().as_secs() as usize + 1;
        let traffic = Traffic {
            seconds: vec![(0, 0); seconds],
            completions: vec![0; buckets],
            ..Traffic::default()
        };
        Self {
            start,
            drained: Notify::new(),
            connections: Cell::new(0),
            live: Cell::new(0),
            recorder: RefCell::new(Recorder::new(&plan.ledger())),
            reasons: RefCell::new(Reasons::default()),
            scratch: Rc::new(RefCell::new(vec![0; SCRATCH_BYTES].into())),
            traffic: RefCell::new(traffic),
            unix_start_ms: (unix + ahead).as_millis() as u64,
            plan,
        }
    }

    /// Since the start of the run.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// When everything is over.
    pub(super) fn end(&self) -> Instant {
        self.start + self.plan.end()
    }

    /// An instant as milliseconds since 1970.
    pub(super) fn unix_ms(&self, at: Instant) -> u64 {
        self.unix_start_ms + at.saturating_duration_since(self.start).as_millis() as u64
    }

    /// The loopback's address that the next connection comes from.
    pub(super) fn source(&self) -> Ipv4Addr {
        let next = self.connections.get();
        self.connections.set((next + 1) % SOURCES);
        Ipv4Addr::new(127, 0, 0, 2 + next)
    }

    pub(super) fn traffic(&self, change: impl FnOnce(&mut Traffic)) {
        change(&mut self.traffic.borrow_mut());
    }

    // --- journeys ---

    pub(super) fn live(&self) -> usize {
        self.live.get()
    }

    /// Counts an intent; `false` when there is no room for its journey.
    pub(super) fn admit(&self, lag: Duration, is_late: bool) -> bool {
        let has_room = self.live.get() < self.plan.max_live;
        self.recorder.borrow_mut().lag(lag, false);
        self.traffic(|traffic| {
            traffic.intents += 1;
            traffic.late += u64::from(is_late);
            traffic.dropped += u64::from(!has_room);
        });
        has_room
    }

    /// One more customer, bot or nuisance; [`leave`](Self::leave) ends it.
    pub(super) fn enter(&self) {
        self.live.set(self.live.get() + 1);
        let live = self.live.get() as u64;
        self.traffic(|traffic| traffic.peak_live = traffic.peak_live.max(live));
    }

    pub(super) fn leave(&self) {
        self.live.set(self.live.get() - 1);
        if self.live.get() == 0 {
            self.drained.notify_one();
        }
    }

    pub(super) fn started(&self, class: ClientClass) {
        let second = self.now().as_secs() as usize;
        self.traffic(|traffic| {
            traffic.customers[class as usize].started += 1;
            if let Some((started, _)) = traffic.seconds.get_mut(second) {
                *started += 1;
            }
        });
    }

    /// A customer who wanted something from when it was `intended` on, made so many `calls` and got the
    /// first of them answered when it was `let_in`, is done.
    pub(super) fn ended(
        &self,
        class: ClientClass,
        ending: Ending,
        (intended, let_in): (Instant, Option<Instant>),
        calls: u32,
    ) {
        let now = self.now();
        let last_intent = self.start + self.plan.duration;
        let length = Instant::now().saturating_duration_since(intended);
        self.traffic(|traffic| {
            let tally = &mut traffic.customers[class as usize];
            tally.count(ending);
            let completed = u64::from(ending == Ending::Completed);
            match let_in {
                Some(at) if at < last_intent => {
                    tally.admitted += 1;
                    tally.admitted_completed += completed;
                    tally.admitted_gave_up += u64::from(ending == Ending::GaveUp);
                }
                Some(_) => {
                    tally.late_admitted += 1;
                    tally.late_completed += completed;
                }
                None => {}
            }
            if ending != Ending::Completed {
                traffic.wasted_calls += u64::from(calls);
                return;
            }
            traffic.useful_calls += u64::from(calls);
            traffic.length.record(length);
            if let Some((_, completed)) = traffic.seconds.get_mut(now.as_secs() as usize) {
                *completed += 1;
            }
            let bucket = (now.as_millis() / BUCKET.as_millis()) as usize;
            if let Some(bucket) = traffic.completions.get_mut(bucket) {
                *bucket += 1;
            }
        });
    }

    // --- requests ---

    /// Counts a request whose turn has come; to be followed by [`done`](Self::done).
    pub(super) fn offered(&self, class: u16, intended: Instant) -> Arrival {
        let last = self.plan.end().saturating_sub(Duration::from_nanos(1));
        let intended = intended.saturating_duration_since(self.start).min(last);
        let arrival = Arrival { intended, phase: 0, class };
        self.recorder.borrow_mut().offered(&arrival);
        self.traffic(|traffic| traffic.requests += 1);
        arrival
    }

    pub(super) fn done(&self, arrival: Arrival, kind: Kind, reason: ReasonId) {
        let sample = Sample { arrival, ended: self.now(), kind, reason };
        self.recorder.borrow_mut().done(&sample);
    }

    pub(super) fn retried(&self) {
        self.recorder.borrow_mut().books.retried += 1;
    }

    pub(super) fn roll(&self, seat: &Seat) {
        seat.publish(&self.traffic.borrow().seconds);
        seat.roll(&mut self.recorder.borrow_mut().second, &self.reasons.borrow());
    }

    /// Everything that was written down; the venue is empty then.
    pub(super) fn take(&self) -> (Books, Reasons, Traffic) {
        let empty = Recorder::new(&self.plan.ledger());
        let books = self.recorder.replace(empty).books;
        (books, self.reasons.take(), self.traffic.take())
    }
}

// === impl JourneyTally ===

impl JourneyTally {
    pub(super) fn count(&mut self, ending: Ending) {
        match ending {
            Ending::Abandoned => self.abandoned += 1,
            Ending::Completed => self.completed += 1,
            Ending::GaveUp => self.gave_up += 1,
            Ending::SoldOut => self.sold_out += 1,
            Ending::Unfinished => self.unfinished += 1,
        }
    }

    /// Adds the counts of others.
    pub fn add(&mut self, other: &Self) {
        self.started += other.started;
        self.admitted += other.admitted;
        self.admitted_completed += other.admitted_completed;
        self.admitted_gave_up += other.admitted_gave_up;
        self.late_admitted += other.late_admitted;
        self.late_completed += other.late_completed;
        self.completed += other.completed;
        self.abandoned += other.abandoned;
        self.gave_up += other.gave_up;
        self.sold_out += other.sold_out;
        self.unfinished += other.unfinished;
    }

    /// Whether every journey has one ending.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let ended = self.completed + self.abandoned + self.gave_up + self.sold_out;
        self.started == ended + self.unfinished
    }
}

// === impl Traffic ===

impl Traffic {
    /// All customers, bots not among them.
    #[must_use]
    pub fn total(&self) -> JourneyTally {
        let mut total = JourneyTally::default();
        self.customers.iter().for_each(|tally| total.add(tally));
        total
    }
}
