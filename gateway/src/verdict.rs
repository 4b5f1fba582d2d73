//! What becomes of the bytes at the front of a connection: refused here, or hyper's.
//!
//! A refusal that would be anything but plain (HTTP/1.0, a chunked body, `Expect`) goes to hyper and
//! the service, who come to the same end by the same [`decide`].

use std::net::IpAddr;

use floodgate_limiter::Timestamp;

use crate::access_log::{self, tell_refused};
use crate::classify::{HeadView, Line};
use crate::clock;
use crate::closing::MAX_DISCARD;
use crate::come_back::Told;
use crate::decide::{Decided, Refused, decide};
use crate::explain::{Case, DecisionField, Outcome};
use crate::fields::Fields;
use crate::http1::{self, Framing, Head, HeadLimits};
use crate::reason::Reason;
use crate::refusals::Refusal;
use crate::shadow::Shadow;
use crate::stages::Before;
use crate::worker::{SnapshotRef, Worker};

/// Under which rules and when bytes are looked at: once for all that came together.
#[derive(Debug)]
pub(crate) struct Moment {
    snapshot: SnapshotRef,
    now: Timestamp,
    /// The other end of the connection.
    peer: IpAddr,
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    /// Its head is not complete.
    Incomplete,
    /// Hyper may have it.
    Pass(Pass),
    /// It ends here.
    Refuse(Turned<'a>),
}

/// A request that goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    /// Bytes of its head.
    pub head: usize,
    /// What follows it.
    pub framing: Framing,
    /// The connection ends with the answer.
    pub is_last: bool,
    /// When it arrived.
    pub at: Timestamp,
    /// What was spent before that.
    pub before: Before,
    /// What was decided about it, if anything was.
    pub decided: Option<Decided>,
}

/// A request that is turned away.
#[derive(Debug)]
pub(crate) struct Turned<'a> {
    /// Bytes it takes, with its body.
    pub len: u64,
    /// The connection ends with it.
    pub is_last: bool,
    refused: Refused,
    /// `None` if it is malformed.
    line: Option<Line<'a>>,
    is_head: bool,
}

// === impl Moment ===

impl Moment {
    /// The live rules, now, for what comes from `peer`.
    pub(crate) fn now(worker: &Worker, peer: IpAddr) -> Self {
        Self { snapshot: worker.snapshot(), now: clock::now(), peer }
    }

    /// When that is.
    pub(crate) const fn at(&self) -> Timestamp {
        self.now
    }

    /// Looks at the request at the front of `bytes`; nothing is counted yet.
    pub(crate) fn judge<'a>(&self, worker: &Worker, bytes: &'a [u8]) -> Verdict<'a> {
        let server = &self.snapshot.config.server;
        let limits = HeadLimits { bytes: server.max_head, headers: server.max_headers };
        let judge = |head: Head<'a>, fields: &[_]| self.judge_head(worker, head, fields);
        match http1::read(bytes, limits, judge) {
            Ok(Some(verdict)) => verdict,
            Ok(None) => Verdict::Incomplete,
            Err(reason) => Verdict::Refuse(Turned::malformed(bytes, reason)),
        }
    }

    fn judge_head<'a>(
        &self,
        worker: &Worker,
        head: Head<'a>,
        fields: &[httparse::Header<'a>],
    ) -> Verdict<'a> {
        let pass = Pass {
            head: head.len,
            framing: head.framing,
            is_last: head.is_last,
            at: self.now,
            before: Before::default(),
            decided: None,
        };
        let Framing::Length(body) = head.framing else { return Verdict::Pass(pass) };
        if !head.is_http_11 || head.expects || worker.shared.sends_all_to_hyper() {
            return Verdict::Pass(pass);
        }
        let line = Line { method: head.method, path: head.path };
        let fields = Fields::Parsed(fields);
        let (query, peer) = (head.query, self.peer);
        let view = HeadView { line, query, fields, peer, token: None, body };
        let refused = match decide(worker, &self.snapshot, view, self.now) {
            Ok(decided) => return Verdict::Pass(Pass { decided: Some(decided), ..pass }),
            Err(refused) => refused,
        };
        Verdict::Refuse(Turned {
            len: head.len as u64 + body,
            is_last: head.is_last
                || refused.reason.closes()
                || worker.shared.is_draining()
                // More than is worth reading for the sake of the connection.
                || body > MAX_DISCARD,
            refused,
            line: Some(line),
            is_head: head.method == "HEAD",
        })
    }

    /// Turns the request away that `bytes` begin with: counts it, and appends the answer to `answers`.
    pub(crate) fn refuse(
        &self,
        worker: &Worker,
        turned: &Turned<'_>,
        bytes: &[u8],
        answers: &mut Vec<u8>,
    ) {
        let begin = answers.len();
        let reason = turned.refused.reason;
        let route = turned.refused.route.map(|route| &self.snapshot.routes[route]);
        let stats = route.map_or(&self.snapshot.unmatched, |route| &route.stats);
        stats.shard(worker.index).turn_away(reason);
        worker.count_refused(&self.snapshot, turned.refused);
        worker.count_seen(&self.snapshot, turned.refused.route, turned.refused.seen);
        if let (Some(line), Some(shadow)) = (turned.line, worker.shadow()) {
            Shadow::arrive(&shadow, worker.index, line, self.now).differ();
        }
        let told = worker.come_back(&self.snapshot, turned.refused, self.now);
        if self.snapshot.config.explain.header {
            self.write_with_decision(worker, turned, &told, answers);
        } else {
            self.write(worker, turned, &told, b"", answers);
        }
        if access_log::picks_refusal(worker, &self.snapshot) {
            let total = clock::now().saturating_since(self.now).as_nanos() as u64;
            let asked = (self.peer, bytes);
            let answer = &answers[begin..];
            tell_refused(worker, &self.snapshot, &turned.refused, asked, answer, total);
        }
    }

    /// The answer, which says how it was decided upon. Apart, since the usual one shall not pay for it.
    #[cold]
    #[inline(never)]
    fn write_with_decision(
        &self,
        worker: &Worker,
        turned: &Turned<'_>,
        told: &Told,
        answers: &mut Vec<u8>,
    ) {
        let outcome = Outcome::Refused(turned.refused.reason);
        let case = Case::of_refused(worker, &self.snapshot, turned.refused, self.now);
        let decision = case.map(|case| case.close(worker, &self.snapshot, outcome, told.wait));
        let decision = decision.as_ref().map(DecisionField::as_bytes).unwrap_or_default();
        self.write(worker, turned, told, decision, answers);
    }

    /// The answer, with the lines of `decision`.
    fn write(
        &self,
        worker: &Worker,
        turned: &Turned<'_>,
        told: &Told,
        decision: &[u8],
        answers: &mut Vec<u8>,
    ) {
        let (is_last, is_head) = (turned.is_last, turned.is_head);
        let (reason, wait) = (turned.refused.reason, told.wait.unwrap_or_default());
        let mut lines = worker.lines.borrow_mut();
        let fields = match told.device {
            Some((journey, device)) => {
                lines.clear();
                lines.extend_from_slice(b"set-cookie: ");
                self.snapshot.journeys[journey].set_returning(&device).write(&mut lines);
                lines.extend_from_slice(b"\r\n");
                lines.extend_from_slice(decision);
                &lines[..]
            }
            None => decision,
        };
        let refusal = Refusal { reason, wait, is_last, is_head, fields };
        self.snapshot.refusals.write(refusal, &worker.date.text(), answers);
    }
}

// === impl Turned ===

impl<'a> Turned<'a> {
    /// What begins with `bytes` is no request: where the next one would begin is unknown.
    pub(crate) fn malformed(bytes: &'a [u8], reason: Reason) -> Self {
        Self {
            len: bytes.len() as u64,
            is_last: true,
            refused: Refused::unrouted(reason),
            line: None,
            is_head: http1::skip_empty_lines(bytes).starts_with(b"HEAD "),
        }
    }
}
