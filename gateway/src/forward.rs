//! To the upstream and back: choose a server, send, pass the answer on, give the connection back.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use floodgate_config::Stage;
use floodgate_limiter::{TierId, Timestamp};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::admission::Admitted;
use crate::circuits::Ending;
use crate::clock;
use crate::exchange::Exchange;
use crate::outbound::{Answer, BodyReader, NoAnswer, Outgoing, SendError};
use crate::pool::Lease;
use crate::probes;
use crate::reason::Reason;
use crate::request_body::Fault;
use crate::response_body::{BodyError, ResponseBody};
use crate::retry::{Tries, Why};
use crate::upstream::{Upstream, Visit};

/// What came back.
pub(crate) enum Forwarded {
    /// A response whose body may still be coming.
    Streaming(Response<ResponseBody>),
    /// The upstream left HTTP with this answer.
    Switched(Box<Answer>, Lease),
    /// A whole response, and when its last byte came.
    Whole(Response<ResponseBody>, Timestamp),
}

/// The rest of an answer, with everything that must live as long as it flows.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    reader: BodyReader,
    /// A piece that was read before it was asked for.
    ahead: Option<Result<Frame<Bytes>, BodyError>>,
    /// Gone once the body has ended.
    held: Option<Held>,
    /// What of the request is still to be sent.
    outgoing: Option<Box<Outgoing>>,
    /// When the last piece was given out, if the next has not been asked for yet.
    given: Option<Timestamp>,
    /// How long the upstream had more than the client took.
    idle: Duration,
    due: Instant,
    /// Whose fault it is if it breaks off.
    fault: Break,
}

/// Why an answer broke off in the middle.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Break {
    /// Its request did, before all of that was sent.
    Client,
    /// It did not come to its end by its deadline, which was the client's own or not.
    Late { is_own: bool },
    /// Its server.
    Server,
}

/// Given back when the last byte has come, or when the body is dropped before.
#[derive(Debug)]
struct Held {
    lease: Lease,
    admitted: Admitted,
    /// The time from permit to last byte is the upstream's.
    is_measured: bool,
    /// The connection may carry another request after this answer.
    keeps_alive: bool,
    /// The upstream, if the deadline is the client's own: that it passes says that it takes longer, not how long.
    hurries: Option<Arc<Upstream>>,
    status: StatusCode,
    /// Until the head of the answer.
    took: Duration,
}

/// Why there is no answer.
struct Unanswered {
    reason: Reason,
    /// What the circuits are told, if it is not the client's doing.
    ending: Option<Ending>,
    /// With whom it was, if it was with anybody. In a box: few requests fail, and each carries the room for it.
    lease: Option<Box<Lease>>,
}

/// Why one attempt failed.
enum Failure {
    /// The client spoiled its own request.
    Client,
    /// It is over.
    Late,
    /// The server gave no answer.
    NoAnswer(NoAnswer),
}

/// Sends a request to a server of `upstream` at `now` and waits for the head of its answer.
///
/// # Errors
/// The reason to answer with instead: what the client did wrong, `upstream_error` or
/// `upstream_timeout`.
pub(crate) async fn forward(
    exchange: &Exchange,
    upstream: &Arc<Upstream>,
    outgoing: &mut Outgoing,
    fault: Option<&Fault>,
    mut admitted: Admitted,
    now: Timestamp,
    deadline: Timestamp,
) -> Result<Forwarded, Reason> {
    let due = clock::instant(deadline);
    let is_delayed = || fault.is_some_and(Fault::is_delayed);
    let (mut answer, mut lease) =
        match send(exchange, upstream, outgoing, admitted.tier(), now, due).await {
            Ok(answered) => answered,
            Err(unanswered) => {
                let reason = unanswered.reason;
                let is_late = reason == Reason::UpstreamTimeout;
                let spoiled = fault.and_then(|fault| {
                    if is_late { fault.reason_at_deadline() } else { fault.reason() }
                });
                let is_own = is_late && outgoing.hurries;
                if spoiled.is_none() && !is_delayed() && !is_own {
                    unanswered.judge(upstream, &mut admitted, now);
                }
                if is_late && spoiled.is_none() && !is_delayed() {
                    let now = clock::now();
                    match outgoing.hurries {
                        true => admitted.given_up(now, upstream),
                        false => admitted.served(now),
                    }
                }
                return Err(spoiled.unwrap_or(reason));
            }
        };
    let status = answer.head.status;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // What nobody asked for is not an answer.
        let ending = if outgoing.may_switch { Ending::Answered(status) } else { Ending::Broken };
        let head = clock::now();
        lease.judge(&mut admitted, ending, head.saturating_since(now), head);
        return Ok(Forwarded::Switched(answer, lease));
    }
    let keeps_alive = answer.keeps_alive;
    let is_measured = !is_delayed();
    let hurries = outgoing.hurries.then(|| Arc::clone(upstream));
    let head = clock::now();
    let took = if is_measured { head.saturating_since(now) } else { Duration::ZERO };
    let mut held = Held { lease, admitted, is_measured, keeps_alive, hurries, status, took };
    if let Some(bytes) = answer.body.take_whole(&mut answer.behind) {
        // What is left then is no answer to anything.
        held.keeps_alive &= outgoing.is_sent() && answer.behind.is_empty();
        held.end(Duration::ZERO, head);
        let response = Response::from_parts(answer.head, ResponseBody::full(bytes));
        return Ok(Forwarded::Whole(response, head));
    }
    exchange.stages().enter(Stage::LastByte, head);
    held.lease.connection.put_back(answer.behind);
    let outgoing = (!outgoing.is_sent()).then(|| Box::new(std::mem::take(outgoing)));
    let reader = answer.body;
    let mut body = Box::new(UpstreamBody {
        reader,
        ahead: None,
        held: Some(held),
        outgoing,
        due,
        given: None,
        idle: Duration::ZERO,
        fault: Break::Server,
    });
    Ok(match std::future::poll_fn(|cx| Poll::Ready(body.take_if_whole(cx))).await {
        Some(bytes) => {
            let response = Response::from_parts(answer.head, ResponseBody::full(bytes));
            Forwarded::Whole(response, clock::now())
        }
        None => {
            let body = ResponseBody::upstream(body);
            Forwarded::Streaming(Response::from_parts(answer.head, body))
        }
    })
}

/// Sends until a server has answered well or no other may be asked. What few requests need has boxes of its own.
async fn send(
    exchange: &Exchange,
    upstream: &Arc<Upstream>,
    outgoing: &mut Outgoing,
    tier: TierId,
    now: Timestamp,
    due: Instant,
) -> Result<(Box<Answer>, Lease), Unanswered> {
    let mut tries = Tries::new(upstream, outgoing.retry);
    let mut lease = match kept(exchange, &tries, tier, now) {
        Ok(lease) => lease,
        Err(visit) => {
            Box::pin(obtain(exchange, &mut tries, outgoing, (tier, visit), now, due)).await?
        }
    };
    probes::forward(upstream.number, lease.server().id, lease.reused);
    match attempt(&mut lease, outgoing, due).await {
        Ok(answer) if !(outgoing.is_sent() && tries.is_poor(answer.head.status)) => {
            Ok((answer, lease))
        }
        first => Box::pin(go_on(exchange, tries, outgoing, tier, (first, lease), now, due)).await,
    }
}

/// Looks for another server after the `first` attempt, which was made at `asked` and is not good.
async fn go_on(
    exchange: &Exchange,
    mut tries: Tries<'_>,
    outgoing: &mut Outgoing,
    tier: TierId,
    first: (Result<Box<Answer>, Failure>, Lease),
    mut asked: Timestamp,
    due: Instant,
) -> Result<(Box<Answer>, Lease), Unanswered> {
    let upstream = tries.upstream();
    let (mut ended, mut lease) = first;
    // What there is to say if no other server has a better answer.
    let mut poor = None;
    let failed = loop {
        // The one place where it is known how a server has done that another one is asked after.
        let failed = match ended {
            Ok(answer) => {
                let status = answer.head.status;
                let goes_on = outgoing.is_sent()
                    && tries.is_poor(status)
                    && tries.again(Why::Status, lease.server(), outgoing, clock::now());
                if !goes_on {
                    poor.into_iter().for_each(give_up);
                    return Ok((answer, lease));
                }
                lease.judge_server(Ending::Answered(status), asked);
                poor = Some((answer, lease));
                Unanswered::neutral(Reason::UpstreamError)
            }
            Err(Failure::Late) => {
                return Err(Unanswered::by(Reason::UpstreamTimeout, Ending::Timeout, lease));
            }
            Err(Failure::Client) => return Err(Unanswered::neutral(Reason::UpstreamError)),
            Err(Failure::NoAnswer(how)) => {
                let is_stale = lease.reused && matches!(how, NoAnswer::Silence);
                let why = if is_stale { Why::Stale } else { Why::Broken };
                if !tries.again(why, lease.server(), outgoing, clock::now()) {
                    break Unanswered::by(Reason::UpstreamError, Ending::Broken, lease);
                }
                // That a kept connection had been closed says nothing of its server.
                if !is_stale {
                    lease.judge_server(Ending::Broken, asked);
                }
                Unanswered::without(Reason::UpstreamError, Ending::Broken)
            }
        };
        asked = clock::now();
        outgoing.rewind(due.saturating_duration_since(Instant::now()));
        lease = match obtain(exchange, &mut tries, outgoing, (tier, None), asked, due).await {
            Ok(lease) => lease,
            Err(late) if late.reason == Reason::UpstreamTimeout => return Err(late),
            Err(_) => break failed,
        };
        probes::forward(upstream.number, lease.server().id, lease.reused);
        ended = attempt(&mut lease, outgoing, due).await;
    };
    let Some((answer, lease)) = poor else { return Err(failed) };
    failed.judge_server(asked);
    // As it was when that answer came.
    outgoing.set_sent();
    exchange.ask(lease.server());
    Ok((answer, lease))
}

/// An answer that nobody gets: its connection may carry the next request if all of it is here.
fn give_up((mut answer, lease): (Box<Answer>, Lease)) {
    let is_whole = answer.body.take_whole(&mut answer.behind).is_some();
    if is_whole && answer.keeps_alive && answer.behind.is_empty() {
        lease.give_back(clock::now());
    }
}

/// A connection to the best server that is kept and good.
///
/// # Errors
/// There is none: it is the turn of this server, if of any.
fn kept(
    exchange: &Exchange,
    tries: &Tries<'_>,
    tier: TierId,
    now: Timestamp,
) -> Result<Lease, Option<Visit>> {
    let upstream = tries.upstream();
    exchange.stages().enter(Stage::Connect, now);
    let mut visit = tries.server(now).and_then(|server| {
        exchange.ask(server);
        upstream.visit(server, tier, now)
    });
    let lease = exchange.client().worker.pool.take(upstream, &mut visit, now);
    if lease.is_some() {
        exchange.stages().skip_to(Stage::FirstByte);
    }
    lease.ok_or(visit)
}

/// A new connection from `now` on: to the server of `visit`, if there is one, or to the best.
async fn obtain(
    exchange: &Exchange,
    tries: &mut Tries<'_>,
    outgoing: &Outgoing,
    (tier, mut visit): (TierId, Option<Visit>),
    mut now: Timestamp,
    due: Instant,
) -> Result<Lease, Unanswered> {
    let upstream = tries.upstream();
    let pool = &exchange.client().worker.pool;
    let stages = exchange.stages();
    let mut nobody = Unanswered::neutral(Reason::CircuitOpen);
    stages.enter(Stage::Connect, now);
    loop {
        let visit = match visit.take() {
            Some(visit) => visit,
            None => {
                let Some(server) = tries.server(now) else { return Err(nobody) };
                exchange.ask(server);
                let Some(visit) = upstream.visit(server, tier, now) else {
                    // Others were faster to be its probes.
                    tries.pass_over(server);
                    continue;
                };
                visit
            }
        };
        let server = &Arc::clone(visit.server());
        let connected = tokio::time::timeout_at(due, pool.connect(upstream, visit)).await;
        now = clock::now();
        // Of a failure the server has been told.
        nobody = Unanswered::without(Reason::UpstreamError, Ending::Connect);
        match connected {
            Ok(Ok(lease)) => {
                stages.enter(Stage::FirstByte, now);
                return Ok(lease);
            }
            Ok(Err(_)) if tries.again(Why::Connect, server, outgoing, now) => {}
            Ok(Err(_)) => return Err(nobody),
            Err(_) => return Err(Unanswered::without(Reason::UpstreamTimeout, Ending::Timeout)),
        }
    }
}

/// Sends once and waits for the head of the answer.
async fn attempt(
    lease: &mut Lease,
    outgoing: &mut Outgoing,
    due: Instant,
) -> Result<Box<Answer>, Failure> {
    let connection = &mut lease.connection;
    let mut takes_more = true;
    std::future::poll_fn(|cx| {
        if takes_more {
            match outgoing.poll_send(cx, connection) {
                Poll::Ready(Err(SendError::Client)) => return Poll::Ready(Err(Failure::Client)),
                // It may have answered before it stopped to listen.
                Poll::Ready(Err(SendError::Server)) => takes_more = false,
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        match connection.poll_answer(cx, outgoing.is_head, &mut outgoing.table) {
            Poll::Ready(result) => return Poll::Ready(result.map_err(Failure::NoAnswer)),
            // Also if it takes no more: that its answer, or its end, is here may not be known yet.
            Poll::Pending => {}
        }
        connection.poll_deadline(cx, due).map(|()| Err(Failure::Late))
    })
    .await
}

// === impl Unanswered ===

impl Unanswered {
    fn by(reason: Reason, ending: Ending, lease: Lease) -> Self {
        Self { reason, ending: Some(ending), lease: Some(Box::new(lease)) }
    }

    /// With a server that has been told already, or with none.
    const fn without(reason: Reason, ending: Ending) -> Self {
        Self { reason, ending: Some(ending), lease: None }
    }

    /// It says nothing of anybody.
    const fn neutral(reason: Reason) -> Self {
        Self { reason, ending: None, lease: None }
    }

    /// Tells the circuit of the server that was asked at `asked`, where another one's answer is given.
    fn judge_server(self, asked: Timestamp) {
        if let (Some(ending), Some(mut lease)) = (self.ending, self.lease) {
            lease.judge_server(ending, asked);
        }
    }

    /// Tells the circuits what became of what was `admitted` and asked at `asked`.
    fn judge(self, upstream: &Upstream, admitted: &mut Admitted, asked: Timestamp) {
        let Some(ending) = self.ending else { return };
        let now = clock::now();
        let took = now.saturating_since(asked);
        match (self.lease, &upstream.circuits) {
            (Some(mut lease), _) => lease.judge(admitted, ending, took, now),
            (None, Some(circuits)) => {
                let (tier, call) = admitted.take_call();
                circuits.judge(tier, call, None, (ending, took), now);
            }
            (None, None) => {}
        }
    }
}

// === impl Held ===

impl Held {
    /// Tells the circuits how it ended. What the client made slow says nothing unless it went well.
    fn judge(&mut self, ending: Ending, now: Timestamp) {
        if self.is_measured || matches!(ending, Ending::Answered(_)) {
            self.lease.judge(&mut self.admitted, ending, self.took, now);
        }
    }

    /// The upstream has done what it was asked for, or taken too long over it.
    fn settle(self, idle: Duration, now: Timestamp) -> Lease {
        if self.is_measured {
            self.admitted.served_idle(idle, now);
        }
        self.lease
    }

    /// It is over before the last byte is here.
    fn give_up(mut self, idle: Duration, now: Timestamp) {
        match self.hurries.take() {
            None => {
                self.judge(Ending::Timeout, now);
                drop(self.settle(idle, now));
            }
            Some(upstream) if self.is_measured => self.admitted.given_up(now, &upstream),
            Some(_) => {}
        }
    }

    /// The last byte is here: the connection may serve the next request, the permit the next waiter.
    fn end(mut self, idle: Duration, now: Timestamp) {
        self.judge(Ending::Answered(self.status), now);
        let keeps_alive = self.keeps_alive;
        let lease = self.settle(idle, now);
        if keeps_alive {
            lease.give_back(now);
        }
    }
}

// === impl UpstreamBody ===

impl UpstreamBody {
    /// The whole body, if the rest of it is here already.
    fn take_if_whole(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        // Of a body without a known length the first piece does not tell whether it is the last.
        if self.reader.left().is_some() {
            match self.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if self.held.is_none() => {
                    return frame.into_data().ok();
                }
                Poll::Ready(Some(piece)) => self.ahead = Some(piece),
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        // Told here: a client that does not read must not keep the timer from running.
        if let Some(held) = &mut self.held {
            held.lease.connection.wake_when_due(cx, self.due);
        }
        None
    }

    /// The next piece.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(piece) = self.ahead.take() {
            return Poll::Ready(Some(piece));
        }
        let Some(held) = &mut self.held else { return Poll::Ready(None) };
        let connection = &mut held.lease.connection;
        if let Some(outgoing) = &mut self.outgoing {
            match outgoing.poll_send(cx, connection) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.outgoing = None,
                Poll::Ready(Err(SendError::Server)) => {
                    held.keeps_alive = false;
                    self.outgoing = None;
                }
                Poll::Ready(Err(SendError::Client)) => {
                    self.held = None;
                    self.fault = Break::Client;
                    return Poll::Ready(Some(Err("the request broke off".into())));
                }
            }
        }
        let polled = self.reader.poll_frame(connection, cx);
        if polled.is_ready() {
            // It was here already: the time since the piece before is the client's. A client that is faster than the upstream comes
            // first, and waits.
            let now = clock::now();
            if let Some(given) = self.given.replace(now) {
                self.idle += now.saturating_since(given);
            }
        } else {
            self.given = None;
        }
        if polled.is_pending() && connection.poll_deadline(cx, self.due).is_ready() {
            if let Some(held) = self.held.take() {
                self.fault = Break::Late { is_own: held.hurries.is_some() };
                held.give_up(self.idle, clock::now());
            }
            return Poll::Ready(Some(Err(Reason::UpstreamTimeout.as_str().into())));
        }
        match ready!(polled) {
            Some(Ok(frame)) => {
                if self.reader.is_done() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                if let Some(mut held) = self.held.take() {
                    held.judge(Ending::Broken, clock::now());
                }
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                self.end();
                Poll::Ready(None)
            }
        }
    }

    /// All that comes, if it is no longer than `max` and comes to its end; what has come otherwise is given
    /// out as the next piece. Trailers are not kept.
    ///
    /// # Errors
    /// It does not come to its end.
    pub(crate) async fn collect(&mut self, max: usize) -> Result<Option<Bytes>, BodyError> {
        if self.reader.left().is_some_and(|left| left > max as u64) {
            return Ok(None);
        }
        let mut bytes = BytesMut::new();
        loop {
            match std::future::poll_fn(|cx| self.poll_frame(cx)).await {
                None => return Ok(Some(bytes.freeze())),
                Some(Err(error)) => return Err(error),
                Some(Ok(frame)) => {
                    let Ok(piece) = frame.into_data() else { continue };
                    bytes.extend_from_slice(&piece);
                    if bytes.len() > max {
                        self.ahead = Some(Ok(Frame::data(bytes.freeze())));
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// How long the upstream had more than the client took, as far as it is known.
    pub(crate) const fn idle(&self) -> Duration {
        self.idle
    }

    /// Why it broke off, if it did.
    pub(crate) const fn fault(&self) -> Break {
        self.fault
    }

    /// Nothing more comes.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.ahead.is_none()
    }

    /// As far as the upstream told.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let ahead = match &self.ahead {
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len) as u64,
            _ => 0,
        };
        self.reader.left().map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + ahead))
    }

    /// Nothing more comes. A request that is not sent to its end leaves its connection unusable.
    fn end(&mut self) {
        if let Some(mut held) = self.held.take() {
            held.keeps_alive &= self.outgoing.is_none();
            held.end(self.idle, clock::now());
        }
    }
}
