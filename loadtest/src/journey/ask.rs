//! One client's connection, and one request and answer on it.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};

use crate::load::{
    Kind,
    connection::{Reached, judge},
    exchange::{Answer, Deadline, Fault, Wire},
};

use super::{heard::Heard, venue::Venue};

/// The runtime's timers round up to the next millisecond, and so does what it waits with: so much later than
/// intended is nobody's latency, what is beyond it is.
const TIMER: Duration = Duration::from_millis(2);

/// A client's connection, kept alive between its steps.
#[derive(Debug)]
pub(super) struct Line {
    deadline: Deadline,
    wire: Option<Wire>,
}

/// One request, ready to be sent.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// Class in the books.
    pub(super) class: u16,
    /// When the client wanted to send it.
    pub(super) intended: Instant,
    /// The bytes on the wire.
    pub(super) bytes: &'a [u8],
    /// When its patience ends.
    pub(super) until: Instant,
    /// Whether it comes on a new connection.
    pub(super) fresh: bool,
}

/// What came of a request, from the client's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The same request is under way already.
    InProgress,
    /// No, or nothing that helps.
    No,
    SoldOut,
    /// The checkout has to be begun anew.
    StartOver,
    /// Patience ran out.
    TooLate,
    Yes,
}

// === impl Line ===

impl Line {
    pub(super) fn new(until: Instant) -> Self {
        Self { deadline: Deadline::new(until), wire: None }
    }

    /// Sends a request and waits for its answer; the books know of it then.
    ///
    /// That nothing is left counts as a success of the request when the origin says so: it was
    /// served, and the answer is final.
    pub(super) async fn ask(
        &mut self,
        venue: &Venue,
        question: &Question<'_>,
        heard: &mut Heard<'_>,
    ) -> Said {
        let arrival = venue.offered(question.class, Instant::now().min(question.intended + TIMER));
        if question.fresh {
            self.wire = None;
        }
        let outcome = match question.until <= Instant::now() {
            true => Err(Reached::Timeout),
            false => self.attempt(venue, question, heard).await,
        };
        let status = outcome.as_ref().map_or(0, |answer| answer.status);
        if !matches!(&outcome, Ok(answer) if answer.keep_alive) {
            self.wire = None;
        }
        let is_sold_out = heard.is_sold_out(status);
        let (starts_over, is_in_progress) = (heard.is("grant_required"), heard.is("in_progress"));
        let outcome = outcome.map(|answer| (answer, heard.reason));
        let (mut kind, reason) = judge(outcome, &mut venue.reasons.borrow_mut());
        if is_sold_out && kind == Kind::Failed {
            kind = Kind::Success;
        }
        venue.done(arrival, kind, reason);
        match kind {
            _ if is_sold_out => Said::SoldOut,
            Kind::Success => Said::Yes,
            Kind::Refused if starts_over => Said::StartOver,
            Kind::Refused if is_in_progress => Said::InProgress,
            Kind::Failed | Kind::Refused => Said::No,
            Kind::Timeout => Said::TooLate,
        }
    }

    /// A request on a connection that was closed just then is sent once more, on a new one: the
    /// target has not seen it.
    async fn attempt(
        &mut self,
        venue: &Venue,
        question: &Question<'_>,
        heard: &mut Heard<'_>,
    ) -> Result<Answer, Reached> {
        let until = question.until;
        loop {
            let reused = self.wire.is_some();
            let wire = match &mut self.wire {
                Some(wire) => wire,
                none => none.insert(connect(venue, until).await?),
            };
            let exchange = wire.exchange(question.bytes, false, heard, &mut self.deadline, until);
            match exchange.await {
                Ok(answer) => return Ok(answer),
                Err(Fault::Closed { untouched: true }) if reused => {
                    venue.retried();
                    self.wire = None;
                }
                Err(Fault::Closed { .. }) => return Err(Reached::Closed),
                Err(Fault::Malformed) => return Err(Reached::Malformed),
                Err(Fault::Timeout) => return Err(Reached::Timeout),
            }
        }
    }
}

/// From an address of its own as far as there are some: the ports of a single one run out when thousands
/// of customers come and go, since each is kept for a minute behind its connection.
async fn open(venue: &Venue) -> io::Result<TcpStream> {
    let SocketAddr::V4(target) = venue.plan.target else {
        return TcpStream::connect(venue.plan.target).await;
    };
    let socket = TcpSocket::new_v4()?;
    if target.ip().is_loopback() {
        // Where the loopback has one address only, that one has to do.
        drop(socket.bind(SocketAddr::from((venue.source(), 0))));
    }
    socket.connect(target.into()).await
}

async fn connect(venue: &Venue, until: Instant) -> Result<Wire, Reached> {
    venue.traffic(|traffic| traffic.fresh += 1);
    match timeout_at(until, open(venue)).await {
        Ok(Ok(stream)) => Ok(Wire::new(stream, venue.scratch.clone())),
        Ok(Err(_)) => Err(Reached::NoConnection),
        Err(_) => Err(Reached::Timeout),
    }
}
