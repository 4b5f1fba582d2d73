//! A run: its threads, its seconds as they come, its report.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    board::Board,
    plan::{Plan, PlanError},
    report::Report,
    second::Second,
    worker::{self, Findings},
};

/// Until the first arrival: time for the threads to get up.
const LEAD: Duration = Duration::from_millis(20);

/// A run under way. When it is dropped it stops offering and ends on its own.
#[derive(Debug)]
pub struct Run {
    board: Arc<Board>,
    plan: Arc<Plan>,
    /// Seconds that were read.
    read: usize,
    start: Instant,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<Findings>>>,
}

/// Starts a run on threads of its own.
///
/// # Errors
/// The plan cannot be run, or a thread cannot be started.
pub fn start(plan: Plan) -> Result<Run, PlanError> {
    let (start, board) = (Instant::now() + LEAD, Arc::new(Board::new(&plan)));
    start_at(plan, start, &board, 0, None)
}

/// Starts a run at `start` that shares a board: its workers are those from `first` on, its classes
/// all go into `column`, or each into its own without.
///
/// # Errors
/// As [`start`].
pub(crate) fn start_at(
    plan: Plan,
    start: Instant,
    board: &Arc<Board>,
    first: usize,
    column: Option<usize>,
) -> Result<Run, PlanError> {
    plan.validate()?;
    let (plan, board, stop) = (Arc::new(plan), Arc::clone(board), Arc::new(AtomicBool::new(false)));
    let mut run = Run { board, plan, read: 0, start, stop, threads: Vec::new() };
    for index in 0..run.plan.threads {
        let (plan, stop) = (Arc::clone(&run.plan), Arc::clone(&run.stop));
        let classes = run.plan.templates.len();
        let columns = (0..classes).map(|class| column.unwrap_or(class)).collect();
        let seat = run.board.seat_at(first + index, columns);
        let thread = thread::Builder::new()
            .name(format!("load-{index}"))
            .spawn(move || worker::run(&plan, index, start, &stop, &seat))
            .map_err(|error| PlanError::no_thread(&error))?;
        run.threads.push(thread);
    }
    Ok(run)
}

// === impl Run ===

impl Run {
    /// The next second, as soon as it is over; `None` after the last. Blocks the thread.
    pub fn next_second(&mut self) -> Option<Second> {
        let second = self.board.second(self.read)?;
        self.read += 1;
        Some(second)
    }

    /// As [`next_second`](Self::next_second), for a task.
    pub async fn next_second_async(&mut self) -> Option<Second> {
        let second = self.board.second_async(self.read).await?;
        self.read += 1;
        Some(second)
    }

    /// The instant from which intended starts count.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Offers nothing more; what is under way may end. The verdict of such a run is a failure.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Waits for the end and sums up. Blocks the thread, shortly when all seconds were read.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let mut report = Report::new(&self.plan);
        for thread in std::mem::take(&mut self.threads) {
            match thread.join() {
                Ok(Ok(findings)) => {
                    report.add(findings.arrivals, &findings.books, &findings.reasons);
                }
                Ok(Err(_)) | Err(_) => report.broken_threads += 1,
            }
        }
        report.seconds = self.board.seconds();
        report
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop();
    }
}
