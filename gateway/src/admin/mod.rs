//! The admin listener: metrics, health, status, control. On a thread of its own, so that a storm does
//! not silence it, and with few connections, so that it does not disturb the storm.

mod answer;
mod circuits;
mod config;
mod dashboard;
mod explain;
mod keys;
mod latch;
mod machine;
mod objectives;
mod origin;
mod query;
mod shadow;
mod status;
mod tenants;
mod token;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;

use crate::allocator;
use crate::control::{Control, Watch};
use crate::machine::Look;
use crate::memory::Kernel;
use crate::shared::Shared;
use crate::{clock, metrics, objective};

use answer::{Answer, problem};
use config::Asker;
use dashboard::Source;
use query::Query;
use token::Role;

pub(crate) use dashboard::Live;
pub(crate) use token::Tokens;

/// What the path of a decision begins with.
const EXPLAIN: &str = "/api/explain/";
/// Connections at once.
const MAX_CONNECTIONS: usize = 256;
/// Time for a head, and between two requests of a connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the memory of the process is looked at: a few reads of the kernel's files, which a thread that serves
/// customers had better not wait for.
const MEMORY_LOOK: Duration = Duration::from_millis(100);
/// How often the exporter's histograms are emptied, lest they keep every sample, and the machine is looked at.
const UPKEEP: Duration = Duration::from_secs(1);

/// What a connection is given to take an answer or a part of it, before the kernel ends it: a phone that has gone to
/// sleep shall not hold a place for a quarter of an hour.
const SILENCE: Duration = Duration::from_secs(30);
/// What watchers are given to hear that the gateway stops.
const LAST_WORD: Duration = Duration::from_millis(50);

/// What the admin listener knows.
#[derive(Clone)]
pub(crate) struct Admin {
    /// The state that it tells of.
    pub shared: Arc<Shared>,
    /// The slow metrics.
    pub prometheus: PrometheusHandle,
    /// Who may ask for what.
    pub tokens: Tokens,
    /// Changes the configuration.
    pub control: Arc<Control>,
    /// Is told when a change waits for its confirmation.
    pub watch: Watch,
    /// What dashboards are told.
    pub live: Arc<Live>,
}

// === impl Admin ===

impl Admin {
    /// Serves until `stop` says so. Blocks its thread.
    ///
    /// # Errors
    /// The runtime could not be made.
    pub(crate) fn run(
        self,
        listener: TcpListener,
        stop: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let mut stop = stop;
            tokio::select! {
                () = self.clone().accept(listener) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            if self.live.end() {
                tokio::time::sleep(LAST_WORD).await;
            }
            Ok(())
        })
    }

    async fn accept(self, listener: tokio::net::TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut upkeep = tokio::time::interval(UPKEEP);
        let mut memory_look = tokio::time::interval(MEMORY_LOOK);
        memory_look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut history = tokio::time::interval(objective::STEP);
        history.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut second = tokio::time::interval(dashboard::STEP);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let kernel = Kernel::new();
        let mut look = Look::new();
        loop {
            tokio::select! {
                _ = upkeep.tick() => {
                    self.prometheus.run_upkeep();
                    allocator::give_back();
                    look.look(&self.shared.machine, Instant::now());
                }
                _ = history.tick() => {
                    let snapshot = self.shared.snapshot.load_full();
                    self.shared.history.record(&snapshot, clock::now());
                }
                _ = second.tick() => self.live.step(&self.source()),
                _ = memory_look.tick() => self.look_at_memory(&kernel),
                accepted = listener.accept() => match (accepted, Arc::clone(&places).try_acquire_owned()) {
                    (Ok((socket, from)), Ok(place)) => {
                        give_up_on_the_silent(&socket);
                        let admin = self.clone();
                        tokio::spawn(async move {
                            admin.serve(socket, from).await;
                            drop(place);
                        });
                    }
                    (Ok(_), Err(_)) => {}
                    (Err(_), _) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
    }

    fn look_at_memory(&self, kernel: &Kernel) {
        let (memory, snapshot) = (&self.shared.memory, self.shared.snapshot.load());
        let before = memory.pressure();
        memory.look(kernel, snapshot.config.server.max_memory);
        let pressure = memory.pressure();
        // Also once when there is none any more.
        if pressure > 0.0 || before > 0.0 {
            snapshot.press(pressure, clock::now());
        }
    }

    async fn serve(self, socket: tokio::net::TcpStream, from: SocketAddr) {
        let service = service_fn(|request| {
            let admin = &self;
            async move { Ok::<_, Infallible>(admin.answer(request, from).await.into_response()) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        if let Err(error) = builder.serve_connection(TokioIo::new(socket), service).await {
            tracing::debug!(%error, "admin connection ended");
        }
    }

    async fn answer(&self, request: Request<Incoming>, from: SocketAddr) -> Answer {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        // Probes have no token, and learn nothing that a connection would not tell them.
        match (path, self.shared.is_draining()) {
            ("/healthz", _) => return Answer::text("ok\n"),
            ("/readyz", false) => return Answer::text("ready\n"),
            ("/readyz", true) => {
                return Answer::text("draining\n").with(StatusCode::SERVICE_UNAVAILABLE);
            }
            _ => {}
        }
        if path == "/" {
            return match head.method {
                Method::GET | Method::HEAD => dashboard::page(),
                _ => Answer::method_not_allowed("GET"),
            };
        }
        let Some(role) = self.tokens.role(&head.headers) else { return Answer::unauthorized() };
        let method = if head.method == Method::HEAD { Method::GET } else { head.method };
        if method != Method::GET && role < Role::Operator {
            return problem(
                StatusCode::FORBIDDEN,
                "forbidden",
                "a viewer may look, and change nothing",
            );
        }
        if method != Method::GET && self.tokens.are_none() && !origin::is_ours(&head.headers) {
            return problem(
                StatusCode::FORBIDDEN,
                "cross_origin",
                "a page of somebody else may change nothing here",
            );
        }
        let body = match tokio::time::timeout(BODY_TIMEOUT, read(body)).await {
            Ok(Some(body)) => body,
            Ok(None) => {
                return problem(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body_too_large",
                    "a configuration has at most 4 MiB",
                );
            }
            Err(_) => {
                return problem(
                    StatusCode::REQUEST_TIMEOUT,
                    "request_timeout",
                    "the body did not come in time",
                );
            }
        };
        let query = Query::new(head.uri.query().unwrap_or_default());
        self.route(&method, path, &query, Asker { role, from }, &body)
    }

    fn route(
        &self,
        method: &Method,
        path: &str,
        query: &Query<'_>,
        asker: Asker,
        body: &[u8],
    ) -> Answer {
        let (control, watch) = (&self.control, &self.watch);
        let known: &[&str] = match path {
            "/api/config" if method == Method::PUT => match query.get("mode") {
                // It is neither taken back by itself nor written to the file.
                Some("shadow") => &["mode"],
                _ => &["confirm_within", "mode", "persist"],
            },
            "/api/config/rollback" => &["to"],
            "/api/latch" | "/api/keys/top" | "/api/violations" => &["limit"],
            _ if path.starts_with(latch::ONE) && method == Method::PUT => &["state"],
            _ => &[],
        };
        if let Some(name) = query.unknown(known) {
            let sentence = format!("`{name}` means nothing here; known: {}", known.join(", "));
            return problem(StatusCode::BAD_REQUEST, "bad_request", &sentence);
        }
        if let Some(sku) = path.strip_prefix(latch::ONE) {
            return match method.as_str() {
                "GET" => latch::show(&self.shared, sku, clock::now()),
                "PUT" => latch::set(&self.shared, sku, query, asker, clock::now()),
                _ => Answer::method_not_allowed("GET, PUT"),
            };
        }
        match (path, method.as_str()) {
            ("/metrics", "GET") => self.metrics(),
            ("/api/status", "GET") => Answer::json(status::status(&self.shared, clock::now())),
            ("/api/circuits", "GET") => Answer::json(circuits::show(&self.shared, clock::now())),
            ("/api/events", "GET") => self.live.watch(&self.source(), asker.role),
            ("/api/config", "GET") => config::show(control),
            ("/api/config", "PUT") => match query.get("mode") {
                None | Some("live") => config::put(control, watch, query, asker, body),
                Some("shadow") => shadow::begin(control, asker, body),
                Some(_) => {
                    problem(StatusCode::BAD_REQUEST, "bad_request", "`mode` is live or shadow")
                }
            },
            ("/api/config/history", "GET") => config::history(control),
            ("/api/config/rollback", "POST") => config::roll_back(control, watch, query, asker),
            ("/api/config/confirm", "POST") => config::confirm(control, asker),
            ("/api/keys/top", "GET") => keys::top(&self.shared, query, clock::now()),
            ("/api/latency", "GET") => objectives::latency(&self.shared, clock::now()),
            ("/api/violations", "GET") => objectives::violations(&self.shared, query, clock::now()),
            ("/api/latch", "GET") => latch::list(&self.shared, query, clock::now()),
            ("/api/shadow", "GET") => shadow::show(&self.shared),
            ("/api/shadow", "DELETE") => shadow::end(control, asker),
            ("/api/shadow/promote", "POST") => shadow::promote(control, watch, asker),
            (_, "GET") if path.starts_with(EXPLAIN) => {
                explain::show(&self.shared, &path[EXPLAIN.len()..])
            }
            (
                "/metrics"
                | "/api/status"
                | "/api/circuits"
                | "/api/config/history"
                | "/api/events"
                | "/api/keys/top"
                | "/api/latch"
                | "/api/latency"
                | "/api/violations",
                _,
            ) => Answer::method_not_allowed("GET"),
            ("/api/config", _) => Answer::method_not_allowed("GET, PUT"),
            ("/api/shadow", _) => Answer::method_not_allowed("GET, DELETE"),
            ("/api/config/rollback" | "/api/config/confirm" | "/api/shadow/promote", _) => {
                Answer::method_not_allowed("POST")
            }
            _ if path.starts_with(EXPLAIN) => Answer::method_not_allowed("GET"),
            _ => problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "try /, /metrics, /healthz, /readyz, /api/status, /api/circuits, /api/events, /api/config, /api/config/history, \
                 /api/keys/top, /api/latch, /api/latency, /api/violations, /api/shadow or /api/explain/{id}",
            ),
        }
    }

    /// What the dashboard is told of, as it is now.
    fn source(&self) -> Source<'_> {
        Source {
            shared: &self.shared,
            control: &self.control,
            snapshot: self.shared.snapshot.load_full(),
            now: clock::now(),
        }
    }

    fn metrics(&self) -> Answer {
        let mut text = self.prometheus.render();
        metrics::render(&self.shared, &mut text);
        if let Some(shadow) = self.shared.shadow.load_full() {
            metrics::render_shadow(&shadow.snapshot, &mut text);
        }
        Answer::new("text/plain; version=0.0.4; charset=utf-8", text)
    }
}

/// Has the kernel end a connection whose other end does not answer any more. Where it cannot, it takes longer.
fn give_up_on_the_silent(socket: &tokio::net::TcpStream) {
    if let Err(error) = socket2::SockRef::from(socket).set_tcp_user_timeout(Some(SILENCE)) {
        tracing::debug!(%error, "no time limit for admin connections");
    }
}

/// A whole body, unless it is longer than any configuration.
async fn read(body: Incoming) -> Option<Bytes> {
    let limited = Limited::new(body, floodgate_config::MAX_FILE);
    Some(limited.collect().await.ok()?.to_bytes())
}
