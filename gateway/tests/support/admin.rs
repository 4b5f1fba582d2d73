//! The admin listener as its users see it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::SOON;
use super::client::{Answer, ask};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);

/// Where the admin listener of a gateway is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admin(pub(crate) SocketAddr);

/// A page of `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics(String);

// === impl Admin ===

impl Admin {
    pub(crate) fn address(&self) -> SocketAddr {
        self.0
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(self.0, path).await
    }

    /// `/api/status`.
    pub(crate) async fn status(&self) -> Value {
        self.get("/api/status").await.json()
    }

    /// The part of the status about the only upstream.
    pub(crate) async fn checkout(&self) -> Value {
        self.status().await["upstreams"]["checkout"].take()
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics(self.get("/metrics").await.text())
    }

    /// Waits until the upstream's status is as wanted.
    pub(crate) async fn reach(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let status = self.status().await;
            if wanted(&status["upstreams"]["checkout"]) {
                return status;
            }
            assert!(begin.elapsed() < SOON, "never {what}: {status:#}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until so many wait.
    pub(crate) async fn queued(&self, count: u64) {
        self.reach(&format!("{count} waiting"), |status| status["queued"] == count).await;
    }

    /// Waits until nobody holds a permit or a place, and no request is on its way.
    pub(crate) async fn quiet(&self) {
        self.reach("quiet", |status| status["in_flight"] == 0 && status["queued"] == 0).await;
        let begin = Instant::now();
        while self.status().await["active_requests"] != 0 {
            assert!(begin.elapsed() < SOON, "requests stay active");
            tokio::time::sleep(LOOK).await;
        }
    }
}

// === impl Metrics ===

impl Metrics {
    /// The sum over all samples of `name` that carry all of `labels`, such as `reason="rate"`.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.0
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with(['{', ' ']))
            .filter(|rest| labels.iter().all(|label| rest.contains(label)))
            .map(|rest| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// As [`sum`](Self::sum), of a counter.
    pub(crate) fn count(&self, name: &str, labels: &[&str]) -> u64 {
        self.sum(name, labels) as u64
    }

    /// Fails unless the sums close while nothing is in flight; the arrivals.
    pub(crate) fn closed_ledger(&self) -> u64 {
        let outcome =
            |name: &str| self.count("floodgate_requests_total", &[&format!("outcome=\"{name}\"")]);
        let arrivals = self.count("floodgate_arrivals_total", &[]);
        let admitted = self.count("floodgate_admitted_total", &[]);
        let rejected = outcome("rejected");
        assert_eq!(arrivals, admitted + rejected + outcome("abandoned"), "{self}");
        assert_eq!(admitted, outcome("completed") + outcome("failed"), "{self}");
        assert_eq!(rejected, self.count("floodgate_rejections_total", &[]), "{self}");
        arrivals
    }
}

impl std::fmt::Display for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = |line: &&str| !line.starts_with('#') && !line.contains("_bucket{");
        self.0.lines().filter(told).try_for_each(|line| writeln!(f, "{line}"))
    }
}
