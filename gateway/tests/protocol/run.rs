//! Runs the cases: a few workers, each with a gateway and an origin of its own, so that nothing
//! one case does can be seen by another.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use crate::{
    case::{Case, Seen},
    client::{BOUND, Client, End, Step},
    gateway::{Gateway, Setup},
    origin::{Connection, Origin, PROBE},
    safety,
    wire::{self, Kind, Parsed},
};

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Failed(String),
    Passed,
    /// Either side saw what it must never see.
    Unsafe(String),
}

pub(crate) struct Outcome {
    pub(crate) group: &'static str,
    pub(crate) id: String,
    pub(crate) verdict: Verdict,
    /// The bytes on both sides, for the report.
    pub(crate) transcript: String,
}

/// The workers of each setup; most of their time they wait.
const WORKERS: [(Setup, usize); 3] =
    [(Setup::Impatient, 3), (Setup::Plain, 3), (Setup::Trusting, 1)];

/// Runs all cases; the outcomes come in any order.
pub(crate) fn run(mut cases: Vec<(&'static str, Case)>) -> Vec<Outcome> {
    let queues = WORKERS.map(|(setup, _)| {
        let queue: VecDeque<_> = cases.extract_if(.., |(_, case)| case.setup == setup).collect();
        Mutex::new(queue)
    });
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for ((setup, count), queue) in WORKERS.into_iter().zip(&queues) {
            for _ in 0..count {
                let outcomes = &outcomes;
                scope.spawn(move || work(setup, queue, outcomes));
            }
        }
    });
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

type Queue = Mutex<VecDeque<(&'static str, Case)>>;

fn work(setup: Setup, queue: &Queue, outcomes: &Mutex<Vec<Outcome>>) {
    let mut worker = None;
    while let Some((group, case)) = pop(queue) {
        let worker = worker.get_or_insert_with(|| Worker::start(setup));
        let outcome = worker.run(group, &case);
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
    }
}

fn pop<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

struct Worker {
    setup: Setup,
    origin: Origin,
    gateway: Gateway,
}

// === impl Worker ===

impl Worker {
    fn start(setup: Setup) -> Self {
        let origin = Origin::start();
        let gateway = Gateway::start(origin.address, setup);
        Self { setup, origin, gateway }
    }

    fn run(&mut self, group: &'static str, case: &Case) -> Outcome {
        let seen = self.play(case);
        let mut verdict = judge(case, &seen);
        if !self.gateway.is_alive() {
            verdict = Verdict::Unsafe(format!("the gateway died: {}", self.gateway.log_tail()));
            self.gateway = Gateway::start(self.origin.address, self.setup);
        }
        Outcome { group, id: case.id.clone(), verdict, transcript: transcript(case, &seen) }
    }

    fn play(&self, case: &Case) -> Seen {
        self.origin.arm(case.replies.clone());
        let mut seen = Seen::default();
        if let Some(mut client) = Client::connect(self.gateway.address, case.starts_with_head()) {
            for step in case.script() {
                client.step(&step, &self.origin);
            }
            let probed = case.conclude && client.conclude();
            seen.answers = client.answers();
            if probed {
                seen.answers.finals.pop();
            }
            seen.end = client.end;
            seen.overdue = std::mem::take(&mut client.overdue);
            seen.received = std::mem::take(&mut client.received);
            // Dropping the socket is what carries out a reset.
            drop(client);
            seen.permits_missing = case.returns_permits && !self.gateway.wait_until_idle(BOUND);
        } else {
            seen.overdue.push("connecting to the gateway".into());
        }
        self.origin.catch_up();
        self.origin.settle(Duration::from_millis(200));
        seen.upstream = self.origin.finish();
        if seen.end != End::Kept {
            // What is left of this case must not reach the origin in the next one.
            self.gateway.wait_until_idle(BOUND);
            self.origin.catch_up();
        }
        read_requests(&mut seen);
        seen
    }
}

/// Takes the upstream bytes apart into requests; the first fault of each connection ends it.
fn read_requests(seen: &mut Seen) {
    for Connection { bytes, .. } in &seen.upstream {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match wire::read(rest, Kind::Request) {
                Parsed::Fault(fault) => {
                    seen.upstream_fault.get_or_insert(fault);
                    break;
                }
                Parsed::Message(message) => {
                    let switched = message.field("upgrade").is_some();
                    rest = &rest[message.length..];
                    if !message.target().starts_with(PROBE) {
                        seen.requests.push(message);
                    }
                    if switched {
                        break;
                    }
                }
                Parsed::Partial => break,
            }
        }
    }
}

fn judge(case: &Case, seen: &Seen) -> Verdict {
    if let Some(message) = safety::unsafe_outcome(case, seen) {
        return Verdict::Unsafe(message);
    }
    if let Some(step) = seen.overdue.first() {
        let wrong = case.checks.iter().find_map(|c| c(seen).err()).unwrap_or_default();
        return Verdict::Failed(format!("did not happen in time: {step}; {wrong}"));
    }
    if seen.permits_missing {
        return Verdict::Failed("the permits did not come back".into());
    }
    match case.checks.iter().find_map(|check| check(seen).err()) {
        Some(message) => Verdict::Failed(message),
        None => Verdict::Passed,
    }
}

fn transcript(case: &Case, seen: &Seen) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for step in &case.steps {
        match step {
            Step::Send(bytes) => writeln!(text, "    sent     {}", shown(bytes)).ok(),
            other => writeln!(text, "    step     {other:.200?}").ok(),
        };
    }
    for connection in &seen.upstream {
        writeln!(text, "    upstream {} ({:?})", shown(&connection.bytes), connection.state).ok();
    }
    writeln!(text, "    received {} ({:?})", shown(&seen.received), seen.end).ok();
    text
}

/// Bytes on one line, cut where they are many.
fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(700)];
    let more = if cut.len() < bytes.len() { " …" } else { "" };
    format!("{}{more}", cut.escape_ascii())
}
