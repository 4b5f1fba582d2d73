//! A run with customers: its thread, its seconds as they come, what it found.

use std::{
    io,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::LocalOptions,
    sync::Notify,
    time::{Instant, interval_at},
};

use crate::load::{
    PlanError, Report, Second,
    board::{Board, Seat},
    metronome,
    reason::Reasons,
    recorder::Books,
};

use super::{
    bot,
    client::ClientClass,
    customer, nuisance,
    plan::JourneyPlan,
    venue::{Traffic, Venue},
};

/// A generator that turns to an intent later than this was too busy, and the intent is late.
const LATE: Duration = Duration::from_millis(5);
/// Until the first intent: time for the thread to get up.
const LEAD: Duration = Duration::from_millis(20);
/// How long after the end the last answers may be counted.
const GRACE: Duration = Duration::from_secs(2);

/// Customers under way. When it is dropped no more of them come.
#[derive(Debug)]
pub struct JourneyRun {
    board: Arc<Board>,
    plan: Arc<JourneyPlan>,
    read: usize,
    start: std::time::Instant,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<Findings>>>,
}

/// What a run with customers found.
#[derive(Clone, Debug)]
pub struct JourneyReport {
    /// Their requests; the classes are the steps, then bots, then the steps for other SKUs.
    pub requests: Report,
    /// The customers themselves.
    pub traffic: Traffic,
}

#[derive(Debug)]
struct Findings {
    books: Books,
    reasons: Reasons,
    traffic: Traffic,
}

/// Lets the customers come, on a thread of their own.
///
/// # Errors
/// The plan cannot be run, or the thread cannot be started.
pub fn start(plan: JourneyPlan) -> Result<JourneyRun, PlanError> {
    let board = Arc::new(Board::new(&plan.ledger()));
    let seat = board.seat(0);
    start_at(plan, std::time::Instant::now() + LEAD, &board, seat)
}

/// Lets the customers come from `start` on; their seconds go to a seat of a shared board.
///
/// # Errors
/// As [`start`].
pub(crate) fn start_at(
    plan: JourneyPlan,
    start: std::time::Instant,
    board: &Arc<Board>,
    seat: Seat,
) -> Result<JourneyRun, PlanError> {
    plan.intents().validate()?;
    plan.validate()?;
    let (plan, board, stop) = (Arc::new(plan), Arc::clone(board), Arc::new(AtomicBool::new(false)));
    let thread = {
        let (plan, stop) = (Arc::clone(&plan), Arc::clone(&stop));
        thread::Builder::new()
            .name("journeys".to_owned())
            .spawn(move || run(plan, start, &stop, &seat))
            .map_err(|error| PlanError::no_thread(&error))?
    };
    Ok(JourneyRun { board, plan, read: 0, start, stop, thread: Some(thread) })
}

// === impl JourneyRun ===

impl JourneyRun {
    /// The next second of requests, as soon as it is over; `None` after the last. Blocks.
    pub fn next_second(&mut self) -> Option<Second> {
        let second = self.board.second(self.read)?;
        self.read += 1;
        Some(second)
    }

    /// The instant from which intended starts count.
    #[must_use]
    pub fn start(&self) -> std::time::Instant {
        self.start
    }

    /// Waits for the end and sums up. Blocks.
    #[must_use]
    pub fn finish(mut self) -> JourneyReport {
        let mut requests = Report::new(&self.plan.ledger());
        let mut traffic = Traffic::default();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Ok(findings))) => {
                let done = findings.books.phases.iter().flatten();
                let offered = done.map(|tally| tally.counts.offered).sum();
                requests.add(offered, &findings.books, &findings.reasons);
                traffic = findings.traffic;
            }
            _ => requests.broken_threads += 1,
        }
        requests.seconds = self.board.seconds();
        JourneyReport { requests, traffic }
    }
}

impl Drop for JourneyRun {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

fn run(
    plan: Arc<JourneyPlan>,
    start: std::time::Instant,
    stop: &AtomicBool,
    seat: &Seat,
) -> io::Result<Findings> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // An answer is looked for after every step of a customer, not after 61 of them.
        .event_interval(1)
        .build_local(LocalOptions::default())?;
    let (intents, bell) = (plan.intents(), Notify::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            metronome::run(intents.schedule().map(|intent| intent.intended), start, stop, &bell);
        });
        let venue = Rc::new(Venue::new(plan, Instant::from_std(start)));
        runtime.block_on(drive(&venue, &intents, &bell, stop, seat));
        // Whoever is still there holds the venue; they end with the runtime.
        drop(runtime);
        let (books, reasons, traffic) = venue.take();
        Ok(Findings { books, reasons, traffic })
    })
}

async fn drive(
    venue: &Rc<Venue>,
    intents: &crate::load::Plan,
    bell: &Notify,
    stop: &AtomicBool,
    seat: &Seat,
) {
    const SECOND: Duration = Duration::from_secs(1);
    let plan = &venue.plan;
    for index in 0..plan.bots.as_ref().map_or(0, |bots| bots.count) {
        task(venue, |venue| bot::run(venue, index as u64));
    }
    (0..plan.slow_readers).for_each(|_| task(venue, nuisance::slow_reader));
    (0..plan.unfinished_heads).for_each(|_| task(venue, nuisance::unfinished_head));
    let (mut schedule, mut index) = (intents.schedule().peekable(), 0);
    let mut second = interval_at(venue.start + SECOND, SECOND);
    loop {
        let now = venue.now();
        while let Some(intent) = schedule.next_if(|intent| intent.intended <= now) {
            let lag = now.saturating_sub(intent.intended);
            let class = ClientClass::ALL[usize::from(intent.class) % ClientClass::ALL.len()];
            if venue.admit(lag, lag > LATE) {
                let intended = venue.start + intent.intended;
                task(venue, |venue| customer::live(venue, class, index, intended));
            }
            index += 1;
        }
        let is_over = schedule.peek().is_none() || stop.load(Relaxed);
        if is_over && (venue.live() == 0 || now > plan.end() + GRACE) {
            break;
        }
        tokio::select! {
            _ = second.tick() => venue.roll(seat),
            () = bell.notified() => {}
            () = venue.drained.notified() => {}
        }
    }
    venue.roll(seat);
}

fn task<F: Future<Output = ()> + 'static>(venue: &Rc<Venue>, run: impl FnOnce(Rc<Venue>) -> F) {
    venue.enter();
    let (leaving, run) = (Rc::clone(venue), run(Rc::clone(venue)));
    tokio::task::spawn_local(async move {
        run.await;
        leaving.leave();
    });
}
