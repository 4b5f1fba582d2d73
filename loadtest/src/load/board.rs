//! Where the workers put their seconds together, and where they are read.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    plan::Plan,
    reason::Reasons,
    recorder::Tally,
    report::ClassReport,
    second::{ClassSecond, Second},
};

/// The seconds of a run. Bounded: a run takes at most ten minutes and one patience.
#[derive(Debug)]
pub(crate) struct Board {
    /// Woken when a second is complete or a worker has gone: for threads, and for tasks.
    changed: Condvar,
    notify: Notify,
    names: Vec<String>,
    /// Where each phase ends.
    phase_ends: Vec<Duration>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Seconds to which some worker has still to add; the first follows `seconds`.
    pending: VecDeque<Vec<ClassReport>>,
    /// Per worker, how many seconds it has added; the largest number when it has gone.
    rolled: Vec<usize>,
    seconds: Vec<Second>,
    /// Journeys started and completed by second, from the worker that has them.
    journeys: Vec<(u64, u64)>,
}

/// One worker's place at the board. When it is dropped, the worker has no more to add.
#[derive(Debug)]
pub(crate) struct Seat {
    board: Arc<Board>,
    /// The column of the board for each class of the worker.
    columns: Vec<usize>,
    worker: usize,
}

// === impl Board ===

impl Board {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut end = Duration::ZERO;
        let phase_ends = plan.phases.iter().map(|phase| {
            end += phase.duration;
            end
        });
        let names = plan.templates.iter().map(|template| template.class.clone()).collect();
        Self { phase_ends: phase_ends.collect(), ..Self::shared(names, plan.threads) }
    }

    /// A board for `workers` of several runs that begin together, with columns of its own.
    pub(crate) fn shared(names: Vec<String>, workers: usize) -> Self {
        Self {
            changed: Condvar::new(),
            notify: Notify::new(),
            names,
            phase_ends: Vec::new(),
            state: Mutex::new(State {
                pending: VecDeque::new(),
                rolled: vec![0; workers],
                seconds: Vec::new(),
                journeys: Vec::new(),
            }),
        }
    }

    /// The place of a worker whose classes are the columns.
    pub(crate) fn seat(self: &Arc<Self>, worker: usize) -> Seat {
        self.seat_at(worker, (0..self.names.len()).collect())
    }

    /// The place of a worker, and the column of each of its classes.
    pub(crate) fn seat_at(self: &Arc<Self>, worker: usize, columns: Vec<usize>) -> Seat {
        Seat { board: Arc::clone(self), columns, worker }
    }

    /// Second `index`, as soon as it is complete; `None` when there is none.
    pub(crate) fn second(&self, index: usize) -> Option<Second> {
        let mut state = self.lock();
        loop {
            if let Some(second) = state.seconds.get(index) {
                return Some(second.clone());
            }
            if state.is_over() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// As [`second`](Self::second), for a task.
    pub(crate) async fn second_async(&self, index: usize) -> Option<Second> {
        loop {
            let mut changed = pin!(self.notify.notified());
            // Registered before the look, so that no change between look and wait is missed.
            changed.as_mut().enable();
            {
                let state = self.lock();
                if let Some(second) = state.seconds.get(index) {
                    return Some(second.clone());
                }
                if state.is_over() {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Journeys started and completed in a second.
    pub(crate) fn journeys(&self, second: usize) -> (u64, u64) {
        self.lock().journeys.get(second).copied().unwrap_or_default()
    }

    /// All seconds so far.
    pub(crate) fn seconds(&self) -> Vec<Second> {
        self.lock().seconds.clone()
    }

    fn settle(&self, mut state: MutexGuard<'_, State>) {
        while state.is_front_complete() {
            let Some(classes) = state.pending.pop_front() else { break };
            let index = state.seconds.len();
            state.seconds.push(self.compile(index, classes));
        }
        drop(state);
        self.changed.notify_all();
        self.notify.notify_waiters();
    }

    fn compile(&self, index: usize, classes: Vec<ClassReport>) -> Second {
        let middle = Duration::from_secs(index as u64) + Duration::from_millis(500);
        let phase = self.phase_ends.iter().position(|end| *end > middle);
        let class_second = |class: ClassReport| ClassSecond {
            refusal_latency: class.refusal_latency.summary(),
            success_latency: class.success_latency.summary(),
            class: class.class,
            counts: class.counts,
            failed_by_reason: class.failed_by_reason,
            refused_by_reason: class.refused_by_reason,
        };
        Second {
            index: index as u32,
            phase: phase.unwrap_or(self.phase_ends.len().saturating_sub(1)),
            offered: classes.iter().map(|class| class.counts.offered).sum(),
            classes: classes.into_iter().map(class_second).collect(),
        }
    }

    fn empty_second(&self) -> Vec<ClassReport> {
        let class = |name: &String| ClassReport { class: name.clone(), ..ClassReport::default() };
        self.names.iter().map(class).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn is_front_complete(&self) -> bool {
        !self.pending.is_empty() && self.rolled.iter().all(|rolled| *rolled > self.seconds.len())
    }

    fn is_over(&self) -> bool {
        self.pending.is_empty() && self.rolled.iter().all(|rolled| *rolled == usize::MAX)
    }
}

// === impl Seat ===

impl Seat {
    /// Publishes the journeys by second, before the second that they belong to is rolled.
    pub(crate) fn publish(&self, journeys: &[(u64, u64)]) {
        let mut state = self.board.lock();
        state.journeys.clear();
        state.journeys.extend_from_slice(journeys);
    }

    /// Adds this worker's next second, and clears it.
    pub(crate) fn roll(&self, second: &mut [Tally], reasons: &Reasons) {
        let mut state = self.board.lock();
        let at = state.rolled[self.worker] - state.seconds.len();
        while state.pending.len() <= at {
            state.pending.push_back(self.board.empty_second());
        }
        for (column, tally) in self.columns.iter().zip(second) {
            state.pending[at][*column].add(tally, reasons);
            tally.clear();
        }
        state.rolled[self.worker] += 1;
        self.board.settle(state);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.board.lock();
        state.rolled[self.worker] = usize::MAX;
        self.board.settle(state);
    }
}
