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
    client::{BOUND, Client, Step},
    gateway::{Gateway, Patience},
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

/// Workers with long and with short time-outs; most of their time they wait.
const WORKERS: [Patience; 6] = [
    Patience::Long,
    Patience::Long,
    Patience::Long,
    Patience::Short,
    Patience::Short,
    Patience::Short,
];

/// Runs all cases; the outcomes come in any order.
pub(crate) fn run(cases: Vec<(&'static str, Case)>) -> Vec<Outcome> {
    let (long, short): (VecDeque<_>, VecDeque<_>) =
        cases.into_iter().partition(|(_, case)| case.patience == Patience::Long);
    let queues = [Mutex::new(long), Mutex::new(short)];
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for patience in WORKERS {
            let (queues, outcomes) = (&queues, &outcomes);
            scope.spawn(move || {
                let queue = &queues[usize::from(patience == Patience::Short)];
                let mut worker = None;
                while let Some((group, case)) = pop(queue) {
                    let worker = worker.get_or_insert_with(|| Worker::start(patience));
                    let outcome = worker.run(group, &case);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn pop<T>(queue: &Mutex<VecDeque<T>>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

struct Worker {
    patience: Patience,
    origin: Origin,
    gateway: Gateway,
}

// === impl Worker ===

impl Worker {
    fn start(patience: Patience) -> Self {
        let origin = Origin::start();
        let gateway = Gateway::start(origin.address, patience);
        Self { patience, origin, gateway }
    }

    fn run(&mut self, group: &'static str, case: &Case) -> Outcome {
        let seen = self.play(case);
        let mut verdict = judge(case, &seen);
        if !self.gateway.is_alive() {
            verdict = Verdict::Unsafe(format!("the gateway died: {}", self.gateway.log_tail()));
            self.gateway = Gateway::start(self.origin.address, self.patience);
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
        self.origin.settle(Duration::from_millis(200));
        seen.upstream = self.origin.finish();
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
