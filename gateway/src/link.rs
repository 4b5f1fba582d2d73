//! What the inlet, the service and the task of one connection tell each other while hyper has it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use floodgate_limiter::Timestamp;
use tokio::time::Instant;

use crate::decide::Decided;
use crate::http1::Framing;
use crate::reason::Reason;
use crate::stages::Before;
use crate::tunnel::Tunnel;
use crate::verdict::Pass;

/// What the inlet, the service and the task of one connection tell each other.
#[derive(Default)]
pub(crate) struct Link {
    /// Why the body of the present request broke.
    fault: Cell<Option<Reason>>,
    /// When the present request arrived.
    arrived: Cell<Timestamp>,
    /// What was spent before that.
    before: Cell<Before>,
    /// What the turnstile decided about it.
    decided: Cell<Option<Decided>>,
    /// The connection ends with the present answer.
    last: Cell<bool>,
    /// A request is with the service: what comes now waits.
    busy: Cell<bool>,
    /// All of the present request has come.
    whole: Cell<bool>,
    /// The present request waits for a permit.
    waiting: Cell<bool>,
    /// It was told that there is nothing to be done.
    idle: Cell<bool>,
    /// When the answer that is being passed on has to be complete.
    deadline: Cell<Option<Instant>>,
    /// The client does not take what there is for it.
    writing: Cell<bool>,
    /// The answer broke off.
    cut: Cell<bool>,
    /// The other end of the connection, once it has left HTTP.
    tunnel: Cell<Option<Tunnel>>,
    /// Whom to wake when the request is answered, since its successor is already here.
    next: RefCell<Option<Waker>>,
}

/// The request waits for a permit as long as this lasts.
pub(crate) struct Waiting(Rc<Link>);

// === impl Waiting ===

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.set(false);
    }
}

// === impl Link ===

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("busy", &self.busy).finish_non_exhaustive()
    }
}

impl Link {
    /// What is wrong with the body that the service reads.
    pub(crate) fn set_fault(&self, reason: Reason) {
        self.fault.set(Some(reason));
    }

    /// The next head is with hyper, or about to be.
    pub(crate) fn begin(&self, pass: Pass) {
        self.busy.set(true);
        self.fault.set(None);
        self.arrived.set(pass.at);
        self.before.set(pass.before);
        self.decided.set(pass.decided);
        self.last.set(pass.is_last);
        self.whole.set(pass.framing == Framing::Length(0));
        self.idle.set(false);
    }

    /// The present request waits for a permit: meanwhile nobody asks for its body.
    pub(crate) fn wait(self: &Rc<Self>) -> Waiting {
        self.waiting.set(true);
        Waiting(Rc::clone(self))
    }

    /// Whether it does.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.get()
    }

    /// The body of the present request has come to its end.
    pub(crate) fn set_whole(&self) {
        self.whole.set(true);
    }

    /// Whether there is nothing to be done, which is told once.
    pub(crate) fn begins_to_idle(&self) -> bool {
        self.whole.get() && !self.is_active() && !self.idle.replace(true)
    }

    /// When the present request arrived.
    pub(crate) fn arrived(&self) -> Timestamp {
        self.arrived.get()
    }

    /// What was spent before the present request had arrived.
    pub(crate) fn before(&self) -> Before {
        self.before.get()
    }

    /// What the turnstile has decided about the present request, if it has, in this generation.
    pub(crate) fn decided(&self, generation: u64) -> Option<Decided> {
        self.decided.get().filter(|decided| decided.generation == generation)
    }

    /// The connection ends with the present answer.
    pub(crate) fn set_last(&self) {
        self.last.set(true);
    }

    /// Whether the connection ends with the present answer.
    pub(crate) fn is_last(&self) -> bool {
        self.last.get()
    }

    /// Whether a request is between its head and the end of its answer.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.get()
    }

    /// Bytes wait for the client to take them, or do so no longer.
    pub(crate) fn set_writing(&self, writing: bool) {
        self.writing.set(writing);
    }

    /// Whether the connection owes its client something: an answer, or what is left of one.
    pub(crate) fn is_active(&self) -> bool {
        self.busy.get() || self.writing.get()
    }

    /// Bytes of the next request are here already: `waker` is woken when the present one is answered.
    pub(crate) fn wake_when_answered(&self, waker: &Waker) {
        self.next.replace(Some(waker.clone()));
    }

    /// Takes what was found wrong, if anything.
    pub(crate) fn take_fault(&self) -> Option<Reason> {
        self.fault.take()
    }

    /// The answer that is being passed on has to be complete by then.
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
    }

    /// Whether the answer is late, in which case it breaks off; `now` is asked only if there is a
    /// deadline.
    pub(crate) fn cut_if_overdue(&self, now: impl FnOnce() -> Instant) -> bool {
        let overdue = self.deadline.get().is_some_and(|deadline| deadline <= now());
        self.cut.set(self.cut.get() || overdue);
        overdue
    }

    /// The answer breaks off.
    pub(crate) fn set_cut(&self) {
        self.cut.set(true);
    }

    /// Whether the last answer broke off.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// The connection leaves HTTP once the present answer is written.
    pub(crate) fn set_tunnel(&self, tunnel: Tunnel) {
        self.tunnel.set(Some(tunnel));
    }

    /// What the connection is to be joined with.
    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }

    /// The request is answered: the next one may pass.
    pub(crate) fn answered(&self) {
        self.busy.set(false);
        self.deadline.set(None);
        if let Some(waker) = self.next.take() {
            waker.wake();
        }
    }
}
