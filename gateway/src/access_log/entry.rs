//! What is told of a request.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use floodgate_config::{AccessLog as Settings, ClientShown, Stage};
use floodgate_limiter::Timestamp;
use http::{Method, StatusCode};

use super::line::{Line, Pen};
use super::pick::Draw;
use crate::classify::HeadView;
use crate::decide::Refused;
use crate::http1::{self, HeadLimits};
use crate::objective::TraceId;
use crate::reason::Reason;
use crate::snapshot::Snapshot;
use crate::worker::Worker;

/// Longest path and longest query that are kept of a request until it ends.
const KEPT: usize = 512;

/// What is kept of a request that is with the service, until it ends.
#[derive(Debug)]
pub(crate) struct Entry {
    draw: Draw,
    method: Method,
    path: Box<str>,
    query: Option<Box<str>>,
    client: Option<IpAddr>,
    /// Of its answer, once there is one.
    status: Cell<Option<StatusCode>>,
    /// Of the answer's body that were passed on.
    bytes: Cell<u64>,
    outcome: Cell<Option<Outcome>>,
    /// It was not served as promised.
    is_violation: Cell<bool>,
}

/// How a request ended, in the words of `floodgate_requests_total`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Completed,
    Rejected(Reason),
}

/// What is known of a request that ends, beside what it asked for.
#[derive(Clone, Copy)]
pub(crate) struct Ended<'a> {
    /// Index of its route.
    pub route: Option<usize>,
    /// Name of the tier that it was served in.
    pub tier: Option<&'a str>,
    /// Where it was sent.
    pub server: Option<&'a dyn Display>,
    /// It had a permit.
    pub is_admitted: bool,
    /// Why there is no answer, or not all of one.
    pub failure: Option<Reason>,
    /// Nanoseconds in each stage, in the order of [`Stage::ALL`].
    pub took: [u64; Stage::ALL.len()],
    /// The trace that it belongs to.
    pub trace: TraceId,
    /// When it ended.
    pub now: Timestamp,
}

/// What a request asked for, and who; nothing of one that is malformed.
struct Asked<'a> {
    method: Option<&'a str>,
    path: Option<&'a str>,
    query: Option<&'a str>,
    client: Option<IpAddr>,
    trace: Option<TraceId>,
}

/// What was answered.
struct Answered<'a> {
    status: Option<StatusCode>,
    outcome: &'static str,
    reason: Option<Reason>,
    bytes: u64,
    route: Option<usize>,
    tier: Option<&'a str>,
    server: Option<&'a dyn Display>,
    /// Where its time went, if it had a permit.
    stages: Option<Millis<'a>>,
    total: u64,
}

/// Nanoseconds of the stages, as an object of milliseconds.
struct Millis<'a>(&'a [u64; Stage::ALL.len()]);

// === impl Entry ===

impl Entry {
    /// That of a request with this head. `None` while the log is off, which costs a look at the snapshot.
    #[inline]
    pub(crate) fn of(
        worker: &Worker,
        snapshot: &Snapshot,
        head: HeadView<'_>,
    ) -> Option<Box<Self>> {
        is_on(snapshot).then(|| Self::open(worker, snapshot, head)).flatten()
    }

    #[cold]
    fn open(worker: &Worker, snapshot: &Snapshot, head: HeadView<'_>) -> Option<Box<Self>> {
        let settings = &snapshot.config.access_log;
        let draw = worker.picker.draw();
        let may_be_told = settings.failures > 0
            || draw.is_within(settings.sample)
            || draw.is_within(settings.sample_refusals);
        may_be_told.then(|| {
            let query = settings.query.then(|| cut(head.query).into());
            Box::new(Self {
                draw,
                method: Method::from_bytes(head.line.method.as_bytes()).unwrap_or_default(),
                path: cut(head.line.path).into(),
                query,
                client: shown(settings, || head.client(snapshot)),
                status: Cell::new(None),
                bytes: Cell::new(0),
                outcome: Cell::new(None),
                is_violation: Cell::new(false),
            })
        })
    }

    /// It is answered with this status.
    pub(crate) fn answer(&self, status: StatusCode) {
        self.status.set(Some(status));
    }

    /// So much more of the body of its answer was passed on.
    pub(crate) fn pass(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// It was not served as promised.
    pub(crate) fn violate(&self) {
        self.is_violation.set(true);
    }

    /// How it ended is known.
    pub(crate) fn end(&self, outcome: Outcome) {
        self.outcome.set(Some(outcome));
    }

    /// Tells of it, if it was picked.
    #[cold]
    pub(crate) fn tell(self, worker: &Worker, snapshot: &Snapshot, ended: &Ended<'_>) {
        let settings = &snapshot.config.access_log;
        let (outcome, reason) = match (self.outcome.get(), ended.is_admitted) {
            (Some(Outcome::Completed), _) => ("completed", None),
            (Some(Outcome::Rejected(reason)), _) => ("rejected", Some(reason)),
            (None, true) => ("failed", ended.failure),
            (None, false) => ("abandoned", None),
        };
        let share = match outcome {
            "rejected" => settings.sample_refusals,
            _ => settings.sample,
        };
        let has_failed = self.is_violation.get() || (outcome == "failed" && reason.is_some());
        let is_told = self.draw.is_within(share)
            || (has_failed && worker.picker.picks_failure(settings.failures, ended.now));
        if !is_told || settings.to.is_none() {
            return;
        }
        let asked = Asked {
            method: Some(self.method.as_str()),
            path: Some(&self.path),
            query: self.query.as_deref(),
            client: self.client,
            trace: ended.trace.known(),
        };
        let answered = Answered {
            status: self.status.get(),
            outcome,
            reason,
            bytes: self.bytes.get(),
            route: ended.route,
            tier: ended.tier,
            server: ended.server,
            stages: ended.is_admitted.then_some(Millis(&ended.took)),
            total: ended.took.iter().sum(),
        };
        put(worker, snapshot, &asked, &answered);
    }
}

/// Whether anything is told of.
#[inline]
fn is_on(snapshot: &Snapshot) -> bool {
    snapshot.config.access_log.to.is_some()
}

/// Whether a request that is refused at the turnstile is told of: while the log is on, that costs a number drawn.
#[inline]
pub(crate) fn picks_refusal(worker: &Worker, snapshot: &Snapshot) -> bool {
    is_on(snapshot) && worker.picker.draw().is_within(snapshot.config.access_log.sample_refusals)
}

/// Tells of a request that was refused at the turnstile: `bytes` begin with it, `answer` is what was written, so many nanoseconds
/// after it had come.
#[cold]
pub(crate) fn tell_refused(
    worker: &Worker,
    snapshot: &Snapshot,
    refused: &Refused,
    (peer, bytes): (IpAddr, &[u8]),
    answer: &[u8],
    total: u64,
) {
    let settings = &snapshot.config.access_log;
    let server = &snapshot.config.server;
    let limits = HeadLimits { bytes: server.max_head, headers: server.max_headers };
    let body = answer.windows(4).position(|end| end == b"\r\n\r\n").map(|head| head + 4);
    let tier = refused.route.map(|route| {
        let tier = snapshot.tenants.tier(refused.tenancy, snapshot.routes[route].tier);
        snapshot.tiers[tier.index()].name.as_str()
    });
    let answered = Answered {
        status: Some(snapshot.status(refused.reason)),
        outcome: "rejected",
        reason: Some(refused.reason),
        bytes: body.map_or(0, |begin| answer.len() - begin) as u64,
        route: refused.route,
        tier,
        server: None,
        stages: None,
        total,
    };
    let read = http1::read(bytes, limits, |head, fields| {
        let fields = crate::fields::Fields::Parsed(fields);
        let line = crate::classify::Line { method: head.method, path: head.path };
        let view = HeadView { line, query: head.query, fields, peer, token: None, body: 0 };
        let trace = fields.only("traceparent").map(TraceId::of).unwrap_or_default();
        let asked = Asked {
            method: Some(head.method),
            path: Some(head.path),
            query: settings.query.then_some(head.query),
            client: shown(settings, || view.client(snapshot)),
            trace: trace.known(),
        };
        put(worker, snapshot, &asked, &answered);
    });
    if !matches!(read, Ok(Some(()))) {
        let client = shown(settings, || peer.to_canonical());
        let asked = Asked { method: None, path: None, query: None, client, trace: None };
        put(worker, snapshot, &asked, &answered);
    }
}

fn put(worker: &Worker, snapshot: &Snapshot, asked: &Asked<'_>, answered: &Answered<'_>) {
    match line(worker.index, snapshot, asked, answered) {
        Some(line) => worker.shared.access_log.put(line),
        None => worker.shared.access_log.cannot_be_written(1),
    }
}

fn line(
    worker: usize,
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    answered: &Answered<'_>,
) -> Option<Line> {
    let names = answered.route.map(|route| &snapshot.routes[route].names);
    let mut pen = Pen::new();
    pen.plain("time", humantime::format_rfc3339_millis(SystemTime::now()));
    pen.bare("worker", Some(worker));
    pen.bare("status", answered.status.map(|status| status.as_u16()));
    pen.plain("outcome", answered.outcome);
    pen.text("reason", answered.reason.map(Reason::as_str), KEPT);
    pen.text("route", names.map(|names| names.route.as_str()), KEPT);
    pen.text("tier", answered.tier, KEPT);
    pen.text("upstream", names.map(|names| names.upstream.as_str()), KEPT);
    match answered.server {
        Some(server) => pen.plain("server", server),
        None => pen.text("server", None, 0),
    }
    pen.bare("bytes", Some(answered.bytes));
    pen.bare("total_ms", Some(millis(answered.total)));
    pen.bare("stages_ms", answered.stages.as_ref());
    match asked.client {
        Some(client) => pen.plain("client", client),
        None => pen.text("client", None, 0),
    }
    match asked.trace {
        Some(trace) => pen.plain("trace_id", trace),
        None => pen.text("trace_id", None, 0),
    }
    pen.text("method", asked.method, 32);
    // What is long comes last, and is cut: half of the room each, if there are both.
    let room = pen.room() / if asked.query.is_some() { 2 } else { 1 };
    pen.text("path", asked.path, room);
    if let Some(query) = asked.query {
        pen.text("query", Some(query), room);
    }
    pen.end()
}

/// Microseconds are enough.
fn millis(nanos: u64) -> f64 {
    (nanos / 1_000) as f64 / 1e3
}

/// The client's address, as far as it may be told.
fn shown(settings: &Settings, client: impl FnOnce() -> IpAddr) -> Option<IpAddr> {
    match settings.client {
        ClientShown::None => None,
        ClientShown::Full => Some(client()),
        ClientShown::Network => Some(match client() {
            IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 80).into(),
        }),
    }
}

/// As much of a text as is kept.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(KEPT)]
}

// === impl Millis ===

impl Display for Millis<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = '{';
        for (stage, &nanos) in Stage::ALL.iter().zip(self.0) {
            write!(f, "{separator}\"{}\":{}", stage.as_str(), millis(nanos))?;
            separator = ',';
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_client_no_more_is_told_than_was_asked_for() {
        let settings = |client| Settings {
            to: None,
            sample: 1.0,
            sample_refusals: 1.0,
            failures: 1,
            query: false,
            client,
        };
        let told = |client, address: &str| {
            shown(&settings(client), || address.parse().unwrap()).map(|address| address.to_string())
        };
        assert_eq!(told(ClientShown::None, "192.0.2.7"), None);
        assert_eq!(told(ClientShown::Full, "192.0.2.7").unwrap(), "192.0.2.7");
        assert_eq!(told(ClientShown::Network, "192.0.2.7").unwrap(), "192.0.2.0");
        assert_eq!(told(ClientShown::Network, "2001:db8:1:2::3").unwrap(), "2001:db8:1::");
    }

    #[test]
    fn a_text_is_kept_up_to_a_bound_between_two_characters() {
        assert_eq!(cut("/a"), "/a");
        assert_eq!(cut(&"ä".repeat(1_000)).len(), KEPT);
        assert_eq!(cut(&format!("/{}", "ä".repeat(1_000))).len(), KEPT - 1);
    }
}
