//! A worker's thread: it accepts connections, turns the worker's wheel and looks after what is idle.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock;
use crate::connection;
use crate::shared::Shared;
use crate::wheel;
use crate::worker::Worker;

/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves worker `index` until `stop` says so. Blocks its thread.
///
/// # Errors
/// The runtime could not be made.
pub(crate) fn run(
    index: usize,
    shared: Arc<Shared>,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    shared.machine.workers[index].is_here();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let worker = Worker::new(index, shared);
        tokio::task::spawn_local(accept(Rc::clone(&worker), listener));
        tokio::task::spawn_local(turn(Rc::clone(&worker)));
        tokio::task::spawn_local(look_after(worker));
        let mut stop = stop;
        let _sender_gone = stop.wait_for(|stop| *stop).await;
        Ok(())
    })
}

async fn accept(worker: Rc<Worker>, listener: tokio::net::TcpListener) {
    let _watched = worker.shared.machine.workers[worker.index].listening.watch(&listener);
    // When a failure was last told of: once a second.
    let mut told = None;
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                if let Some(slot) = worker.shared.connections.take(peer.ip().to_canonical()) {
                    tokio::task::spawn_local(connection::serve(
                        Rc::clone(&worker),
                        socket,
                        peer,
                        slot,
                        clock::now(),
                    ));
                }
            }
            Err(error) => {
                if told.is_none_or(|told: Instant| told.elapsed() >= Duration::from_secs(1)) {
                    told = Some(Instant::now());
                    tracing::error!(%error, "cannot accept connections; raise the limit of open files (ulimit -n)");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Turns the wheel and the date, and lets the journeys see what time it is.
async fn turn(worker: Rc<Worker>) {
    let begun = Instant::now();
    let mut tick = tokio::time::interval(wheel::TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lag = &worker.shared.machine.workers[worker.index].lag;
    loop {
        // When it was to come, not when it came.
        let now = tick.tick().await;
        lag.note(now.elapsed(), now.saturating_duration_since(begun));
        worker.wheel.turn(now.saturating_duration_since(begun));
        worker.date.turn(SystemTime::now());
        if worker.index == 0 {
            worker.snapshot().tick(clock::now());
        }
    }
}

async fn look_after(worker: Rc<Worker>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        worker.pool.sweep(clock::now());
        if worker.index == 0 {
            worker.snapshot().learn();
        }
        if let Some(shadow) = worker.shadow() {
            shadow.learn(&worker.snapshot(), clock::now());
        }
        worker.catch_up();
    }
}
