//! What the kernel tells of the process, as JSON; null where it does not.

use serde_json::{Value, json};

use crate::machine::Machine;
use crate::shared::Shared;

/// The process as a whole, and the listeners of its network namespace.
pub(super) fn process(shared: &Shared) -> Value {
    let machine = &shared.machine;
    json!({
        "started": machine.started,
        "cpu_seconds": machine.cpu.seconds(),
        "resident_bytes": shared.memory.resident(),
        "open_fds": machine.open_fds.get(),
        "max_fds": machine.max_fds.get(),
        "listen_overflows": machine.overflows.get(),
        "listen_drops": machine.drops.get(),
    })
}

/// Each worker's thread and listener.
pub(super) fn workers(machine: &Machine) -> Value {
    let worker = |worker: &crate::machine::Thread| {
        json!({
            "busy": worker.busy(),
            "cpu_seconds": worker.cpu.seconds(),
            "run_queue_seconds": worker.run_queue.seconds(),
            "loop_lag_max_ms": worker.lag.worst() * 1e3,
            "listen_queue": worker.queued.get(),
            "listen_backlog": worker.backlog.get(),
        })
    };
    machine.workers.iter().map(worker).collect()
}

/// What became of the lines of the access log.
pub(super) fn access_log(shared: &Shared) -> Value {
    let lines = shared.access_log.counts();
    json!({ "written": lines.written, "no_room": lines.no_room, "unwritten": lines.unwritten })
}
