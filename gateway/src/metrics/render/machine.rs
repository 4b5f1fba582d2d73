//! What the kernel tells of the process. A family that nothing is known of is left out.

use super::{Page, names};
use crate::machine::{Machine, Thread};
use crate::metrics::Totals;
use crate::shared::Shared;

/// A family without labels: name, kind, help, value.
type One = (&'static str, &'static str, &'static str, Option<f64>);

/// A family by worker.
type PerWorker = (&'static str, &'static str, &'static str, fn(&Thread) -> Option<f64>);

const PER_WORKER: [PerWorker; 6] = [
    (names::WORKER_CPU, "counter", "Time of a worker on a core.", |it| it.cpu.seconds()),
    (
        names::WORKER_RUN_QUEUE,
        "counter",
        "Time that a worker was ready and waited for a core.",
        |it| it.run_queue.seconds(),
    ),
    (
        names::WORKER_BUSY,
        "gauge",
        "Part of the last second that a worker was on a core.",
        Thread::busy,
    ),
    (
        names::WORKER_LAG_MAX,
        "gauge",
        "Latest turn of a worker's loop in the last 15 to 30 s.",
        |it| Some(it.lag.worst()),
    ),
    (names::LISTEN_QUEUE, "gauge", "Connections that wait to be accepted.", |it| {
        it.queued.get().map(|it| it as f64)
    }),
    (names::LISTEN_BACKLOG, "gauge", "How many may wait to be accepted.", |it| {
        it.backlog.get().map(|it| it as f64)
    }),
];

pub(super) fn render(shared: &Shared, page: &mut Page<'_>) {
    let machine = &shared.machine;
    for (name, kind, help, value) in process(shared, machine) {
        if let Some(value) = value {
            page.family(name, kind, help);
            page.sample(name, &[], value);
        }
    }
    for (name, kind, help, value) in PER_WORKER {
        let mut is_told = false;
        for (index, worker) in machine.workers.iter().enumerate() {
            let Some(value) = value(worker) else { continue };
            if !std::mem::replace(&mut is_told, true) {
                page.family(name, kind, help);
            }
            page.sample(name, &[("worker", &index.to_string())], value);
        }
    }
    page.family(names::WORKER_LAG, "histogram", "How late turns of the workers' loops came.");
    let mut turns = Totals::default();
    machine.workers.iter().for_each(|worker| turns.add(&worker.lag.turns));
    page.histogram(names::WORKER_LAG, &[], &turns);
}

fn process(shared: &Shared, machine: &Machine) -> [One; 7] {
    let number = |value: Option<u64>| value.map(|value| value as f64);
    let resident = Some(shared.memory.resident()).filter(|&bytes| bytes > 0);
    [
        (
            names::PROCESS_START,
            "gauge",
            "When it began, in seconds since 1970.",
            Some(machine.started),
        ),
        (names::PROCESS_CPU, "counter", "Processor time of all threads.", machine.cpu.seconds()),
        (
            names::PROCESS_RESIDENT,
            "gauge",
            "Resident memory, pages of files among it.",
            number(resident),
        ),
        (
            names::PROCESS_OPEN_FDS,
            "gauge",
            "Open file descriptors.",
            number(machine.open_fds.get()),
        ),
        (names::PROCESS_MAX_FDS, "gauge", "How many may be open.", number(machine.max_fds.get())),
        (
            names::LISTEN_OVERFLOWS,
            "counter",
            "Connections that found a listener's queue full, in the network namespace.",
            number(machine.overflows.get()),
        ),
        (
            names::LISTEN_DROPS,
            "counter",
            "Connections that were not accepted, for any reason, in the network namespace.",
            number(machine.drops.get()),
        ),
    ]
}
