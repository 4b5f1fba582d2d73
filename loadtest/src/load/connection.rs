//! The task of one connection: a request, the next one that waits, or idleness.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io::Write as _,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use super::{
    exchange::{Answer, Deadline, Fault, Sink, Wire},
    reason::{REASON_HEADER, ReasonId, Reasons},
    sample::{Kind, Sample},
    schedule::Arrival,
    worker::Worker,
};

/// An arrival whose turn has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) arrival: Arrival,
    /// When a connection was there for it, from the start of the run.
    pub(super) assigned: Duration,
    /// How late the generator was in turning to it.
    pub(super) lag: Duration,
}

/// Where an idle connection is given its next job.
#[derive(Debug, Default)]
pub(super) struct Slot {
    job: Cell<Option<Job>>,
    waker: RefCell<Option<Waker>>,
}

// === impl Slot ===

impl Slot {
    pub(super) fn assign(&self, job: Job) {
        self.job.set(Some(job));
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Serves jobs, beginning with `job`, until the connection is gone and no arrival waits for one.
pub(super) async fn run(worker: Rc<Worker>, mut job: Job) {
    let slot = Rc::new(Slot::default());
    let mut deadline = Deadline::new(worker.deadline(&job.arrival));
    let mut wire = None;
    loop {
        serve(&worker, &job, &mut wire, &mut deadline).await;
        if let Some(next) = worker.next_waiting() {
            job = next;
            continue;
        }
        let Some(idle) = wire.as_mut() else { break };
        match next_job(&worker, &slot, idle).await {
            Some(next) => job = next,
            None => break,
        }
    }
    worker.connection_ended();
}

/// Waits for a job; `None` when the connection was closed while it was idle.
async fn next_job(worker: &Worker, slot: &Rc<Slot>, wire: &mut Wire) -> Option<Job> {
    worker.idle(slot);
    poll_fn(|cx| {
        if let Some(job) = slot.job.take() {
            return Poll::Ready(Some(job));
        }
        if wire.poll_closed(cx).is_ready() {
            worker.forget_idle(slot);
            return Poll::Ready(None);
        }
        let mut waker = slot.waker.borrow_mut();
        match waker.as_mut() {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    })
    .await
}

async fn serve(worker: &Worker, job: &Job, wire: &mut Option<Wire>, deadline: &mut Deadline) {
    worker.turn_to(job);
    let until = worker.deadline(&job.arrival);
    let outcome = if until <= Instant::now() {
        Err(Reached::Timeout)
    } else {
        attempt(worker, job, wire, deadline, until).await
    };
    if !matches!(&outcome, Ok((answer, _)) if answer.keep_alive) || worker.closes() {
        *wire = None;
    }
    let (kind, reason) = judge(outcome, &mut worker.reasons().borrow_mut());
    worker.done(&Sample { arrival: job.arrival, ended: worker.now(), kind, reason });
}

/// What the headers of an answer say of its reason.
#[derive(Debug)]
struct Found<'a> {
    reason: ReasonId,
    reasons: &'a RefCell<Reasons>,
}

/// How far a request came that got no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reached {
    Closed,
    Malformed,
    NoConnection,
    Timeout,
}

/// A request on a connection that was closed just then is sent once more, on a new one: the
/// target has not seen it.
async fn attempt(
    worker: &Worker,
    job: &Job,
    wire: &mut Option<Wire>,
    deadline: &mut Deadline,
    until: Instant,
) -> Result<(Answer, ReasonId), Reached> {
    let (request, is_head) = worker.request(&job.arrival);
    loop {
        let reused = wire.is_some();
        let connection = match wire {
            Some(wire) => wire,
            None => wire.insert(connect(worker, until).await?),
        };
        let mut found = Found { reason: Reasons::NONE, reasons: worker.reasons() };
        match connection.exchange(request, is_head, &mut found, deadline, until).await {
            Ok(answer) => return Ok((answer, found.reason)),
            Err(Fault::Closed { untouched: true }) if reused => {
                worker.retried();
                *wire = None;
            }
            Err(Fault::Closed { .. }) => return Err(Reached::Closed),
            Err(Fault::Malformed) => return Err(Reached::Malformed),
            Err(Fault::Timeout) => return Err(Reached::Timeout),
        }
    }
}

async fn connect(worker: &Worker, until: Instant) -> Result<Wire, Reached> {
    match timeout_at(until, TcpStream::connect(worker.target())).await {
        Ok(Ok(stream)) => Ok(Wire::new(stream, worker.scratch())),
        Ok(Err(_)) => Err(Reached::NoConnection),
        Err(_) => Err(Reached::Timeout),
    }
}

/// See [`Kind`] for the rules. The reason is that of the header, [`Reasons::NONE`] without.
pub(crate) fn judge(
    outcome: Result<(Answer, ReasonId), Reached>,
    reasons: &mut Reasons,
) -> (Kind, ReasonId) {
    let (answer, reason) = match outcome {
        Ok(found) => found,
        Err(Reached::Closed) => return (Kind::Failed, reasons.intern(b"connection_closed")),
        Err(Reached::Malformed) => return (Kind::Failed, reasons.intern(b"malformed_answer")),
        Err(Reached::NoConnection) => return (Kind::Failed, reasons.intern(b"no_connection")),
        Err(Reached::Timeout) => return (Kind::Timeout, Reasons::NONE),
    };
    let mut known = || match reason {
        Reasons::NONE => {
            let mut name = *b"status_000";
            // Three digits fit; a peer's refusal must not cost an allocation.
            drop(write!(&mut name[7..], "{:03}", answer.status));
            reasons.intern(&name)
        }
        reason => reason,
    };
    match answer.status {
        200..400 => (Kind::Success, Reasons::NONE),
        502 | 504 => (Kind::Failed, known()),
        429 | 503 => (Kind::Refused, known()),
        _ if reason != Reasons::NONE => (Kind::Refused, known()),
        _ => (Kind::Failed, known()),
    }
}

// === impl Found ===

impl Sink for Found<'_> {
    fn header(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case(REASON_HEADER) {
            self.reason = self.reasons.borrow_mut().intern(value);
        }
    }

    fn body(&mut self, _: &[u8]) {}
}
