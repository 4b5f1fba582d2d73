//! The process: threads for the cores and the admin listener, from the first bind to the last byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use floodgate_config::Config;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::watch;

use crate::access_log::AccessLog;
use crate::admin::{Admin, Live, Tokens};
use crate::control::{Control, Start, Watch};
use crate::grant::keys;
use crate::metrics::names;
use crate::open_keys::OpenKeys;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::{accept, clock, descriptors, listener, worker};

/// How often a drain looks whether everything is finished.
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// Longest time to write what is left of the access log at the end.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A gateway that is running.
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    control: Arc<Control>,
    watch: Watch,
    listen: SocketAddr,
    admin: SocketAddr,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

// === impl Gateway ===

impl Gateway {
    /// Starts to serve `config`.
    ///
    /// # Errors
    /// One sentence that says what is in the way and what to do.
    pub fn start(config: Config) -> Result<Self, String> {
        Self::start_with(Start::of(config))
    }

    /// The same, with the text and the file that the configuration came from: changes of the file
    /// become live.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(start: Start) -> Result<Self, String> {
        let config = start.config.clone();
        let server = config.server.clone();
        let cores = worker::count(&config);
        let tokens = Tokens::from_environment(server.admin)?;
        let max_connections = descriptors::fit_connections(&config)?;
        let listeners = listener::bind_all(server.listen, cores, server.backlog)?;
        let admin_listener = listener::bind_all(server.admin, 1, 128)?.remove(0);
        let address = |listener: &std::net::TcpListener| {
            listener.local_addr().map_err(|error| error.to_string())
        };
        let (listen, admin) = (address(&listeners[0])?, address(&admin_listener)?);
        let prometheus = recorder();
        let keys = OpenKeys::open(&config, None).map_err(|unusable| unusable.to_string())?;
        let snapshot = Snapshot::compile(config, keys, None, cores, clock::now());
        metrics::counter!(names::CONFIG_RELOADS, "result" => "applied").increment(1);
        let shared = Shared::new(snapshot, cores, max_connections);
        let (stop, stopped) = watch::channel(false);
        AccessLog::begin(&shared);
        let mut threads = Vec::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            let (shared, stopped) = (Arc::clone(&shared), stopped.clone());
            threads.push(spawn(format!("core-{index}"), move || {
                accept::run(index, shared, listener, stopped)
            })?);
        }
        let seen = start.text.clone();
        let control = Control::new(Arc::clone(&shared), cores, start);
        let (watch, watching) = Watch::new(Arc::clone(&control), seen);
        threads.push(spawn("config".to_owned(), move || {
            watching();
            Ok(())
        })?);
        let api = Admin {
            shared: Arc::clone(&shared),
            prometheus,
            tokens,
            control: Arc::clone(&control),
            watch: watch.clone(),
            live: Arc::new(Live::default()),
        };
        threads.push(spawn("admin".to_owned(), move || api.run(admin_listener, stopped))?);
        tracing::info!(%listen, %admin, cores, max_connections, "listening");
        Ok(Self { shared, control, watch, listen, admin, stop, threads })
    }

    /// Where customers come in.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where the admin listener is.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Live state, for who runs in the same process.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Changes the configuration.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Has the configuration file read now, changed or not, and the access log's opened anew.
    pub fn reload(&self) {
        self.shared.access_log.reopen();
        self.watch.reload();
    }

    /// Refuses what comes and what waits, and waits until what is in flight is finished or the
    /// configured time is over.
    pub async fn drain(&self) {
        self.shared.draining.store(true, Relaxed);
        let snapshot = self.shared.snapshot.load_full();
        let limit = snapshot.config.server.drain;
        tracing::info!(active = self.shared.active(), limit = ?limit, "draining");
        for upstream in &snapshot.upstreams {
            upstream.limiter.drain(clock::now());
        }
        snapshot.tenants.drain(clock::now());
        let finished = async {
            while self.shared.active() > 0 {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        match tokio::time::timeout(limit, finished).await {
            Ok(()) => tracing::info!("drained"),
            Err(_) => tracing::warn!(
                active = self.shared.active(),
                "drain time is over, requests are cut"
            ),
        }
    }

    /// Stops all threads. What is still in flight is cut.
    pub fn stop(self) {
        self.stop.send_replace(true);
        self.watch.stop();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread had panicked");
            }
        }
        self.shared.access_log.finish(LAST_LINES);
    }
}

/// Whether an admin listener on `admin` may be started with the tokens of the environment.
///
/// # Errors
/// One sentence that says what is in the way and what to do.
pub fn check_admin(admin: SocketAddr) -> Result<(), String> {
    Tokens::from_environment(admin).map(drop)
}

/// What an operator should know of the keys that the journeys of `config` have here, a sentence each.
#[must_use]
pub fn check_keys(config: &Config) -> Vec<String> {
    OpenKeys::check(config)
}

/// A new key that grants are signed with, as it stands in a key file.
///
/// # Errors
/// One sentence: the system has no random numbers.
pub fn new_key() -> Result<String, String> {
    keys::generate()
}

fn spawn(
    name: String,
    run: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<JoinHandle<()>, String> {
    let body = move || {
        if let Err(error) = run() {
            tracing::error!(%error, "a thread ended");
        }
    };
    std::thread::Builder::new().name(name).spawn(body).map_err(|error| {
        format!("cannot start a thread: {error}; raise the limit of processes (ulimit -u)")
    })
}

/// The process-wide recorder of the slow metrics; made once, shared by every gateway in the process.
fn recorder() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    let install = || {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder is installed, slow metrics go there");
        }
        metrics::describe_counter!(names::CONFIG_RELOADS, "Loads of a configuration by result.");
        metrics::describe_counter!(
            names::CONNECTIONS_REFUSED,
            "Connections closed at the door by reason."
        );
        handle
    };
    HANDLE.get_or_init(install).clone()
}
