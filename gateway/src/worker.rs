//! One core's thread: its runtime, its accept loop, its once-a-second duties.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::connection;
use crate::core::Core;
use crate::shared::Shared;

/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Serves core `index` until `stop` says so. Blocks its thread.
///
/// # Errors
/// The runtime could not be made.
pub fn run(
    index: usize,
    shared: Arc<Shared>,
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let core = Core::new(index, shared);
        tokio::task::spawn_local(accept(Rc::clone(&core), listener));
        tokio::task::spawn_local(look_after(core));
        let mut stop = stop;
        let _sender_gone = stop.wait_for(|stop| *stop).await;
        Ok(())
    })
}

async fn accept(core: Rc<Core>, listener: tokio::net::TcpListener) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                if let Some(slot) = core.shared.take_slot(peer.ip().to_canonical()) {
                    if let Err(error) = socket.set_nodelay(true) {
                        tracing::debug!(%error, "connection ended before it began");
                    }
                    tokio::task::spawn_local(connection::serve(
                        Rc::clone(&core),
                        socket,
                        peer,
                        slot,
                    ));
                }
            }
            Err(error) => {
                if core.should_tell_of_accept_error() {
                    tracing::error!(%error, "cannot accept connections; raise the limit of open files (ulimit -n)");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn look_after(core: Rc<Core>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        second.tick().await;
        core.pool.sweep(clock::now());
        core.tick();
        // Lets go of a generation that was replaced, even if no request comes.
        drop(core.live());
    }
}
