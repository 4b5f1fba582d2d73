//! The admin listener: metrics, health, status. On a thread of its own, so that a storm does not
//! silence it, and with few connections, so that it does not disturb the storm.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{Semaphore, watch};

use crate::clock;
use crate::shared::Shared;
use crate::token::Token;
use crate::{metrics, status};

/// Connections at once.
const MAX_CONNECTIONS: usize = 256;
/// Time for a head, and for a whole connection's idleness.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the exporter's histograms are emptied, lest they keep every sample.
const UPKEEP: Duration = Duration::from_secs(1);

/// What the admin listener knows.
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Shared>,
    prometheus: PrometheusHandle,
    token: Option<Token>,
}

// === impl Admin ===

impl Admin {
    /// Tells of `shared`, and of what the exporter behind `prometheus` recorded, to whoever has
    /// `token`; to everybody if there is none.
    pub fn new(shared: Arc<Shared>, prometheus: PrometheusHandle, token: Option<Token>) -> Self {
        Self { shared, prometheus, token }
    }

    /// Serves until `stop` says so. Blocks its thread.
    ///
    /// # Errors
    /// The runtime could not be made.
    pub fn run(self, listener: TcpListener, stop: watch::Receiver<bool>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let mut stop = stop;
            tokio::select! {
                () = self.accept(listener) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            Ok(())
        })
    }

    async fn accept(self, listener: tokio::net::TcpListener) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut upkeep = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                _ = upkeep.tick() => self.prometheus.run_upkeep(),
                accepted = listener.accept() => match (accepted, Arc::clone(&places).try_acquire_owned()) {
                    (Ok((socket, _)), Ok(place)) => {
                        let admin = self.clone();
                        tokio::spawn(async move {
                            admin.serve(socket).await;
                            drop(place);
                        });
                    }
                    (Ok(_), Err(_)) => {}
                    (Err(_), _) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
    }

    async fn serve(self, socket: tokio::net::TcpStream) {
        let service = service_fn(|request| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        if let Err(error) = builder.serve_connection(TokioIo::new(socket), service).await {
            tracing::debug!(%error, "admin connection ended");
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response =
                plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let path = request.uri().path();
        // Probes have no token, and learn nothing that a connection would not tell them.
        let is_probe = matches!(path, "/healthz" | "/readyz");
        if !is_probe && !self.token.as_ref().is_none_or(|token| token.is_in(request.headers())) {
            let text =
                "this needs the header `Authorization: Bearer TOKEN` with the gateway's token\n";
            let mut response = plain(StatusCode::UNAUTHORIZED, text);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return response;
        }
        match path {
            "/metrics" => {
                let mut text = self.prometheus.render();
                metrics::render(&self.shared.snapshot.load_full(), &mut text);
                respond(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text)
            }
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" if self.shared.is_draining() => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n")
            }
            "/readyz" => plain(StatusCode::OK, "ready\n"),
            "/api/status" => {
                let status = status::status(&self.shared, clock::now());
                respond(StatusCode::OK, "application/json", format!("{status:#}\n"))
            }
            _ => plain(StatusCode::NOT_FOUND, "try /metrics, /healthz, /readyz or /api/status\n"),
        }
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn respond(
    status: StatusCode,
    kind: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
