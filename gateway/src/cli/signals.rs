//! SIGTERM and SIGINT: the first drains, the second stops at once. SIGHUP reads the configuration.

use std::process::ExitCode;

use floodgate_gateway::gateway::Gateway;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::complain;

/// Says that it is `ready` once signals are heeded, waits for one, drains, stops.
pub(crate) fn wait(gateway: Gateway, ready: impl FnOnce()) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("cannot wait for signals: {error}")),
    };
    let drained = runtime.block_on(async {
        let mut signals = Signals::new()?;
        ready();
        signals.stop(|| gateway.reload()).await;
        tokio::select! {
            () = gateway.drain() => {}
            () = signals.stop(|| {}) => tracing::warn!("second signal: stopping at once"),
        }
        Ok::<_, std::io::Error>(())
    });
    gateway.stop();
    match drained {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("cannot wait for signals: {error}")),
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

// === impl Signals ===

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal to stop; `reload` is called at each hangup until then.
    async fn stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reload(),
            }
        }
    }
}
