//! One kept-alive connection of the generator, and one request and answer on it.

use std::{
    cell::RefCell,
    future::{Future as _, poll_fn},
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use crate::wire::{self, Body};

/// Largest head of an answer.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;
/// Read into by every connection of a worker in turn: an idle connection owns no buffer.
pub(crate) type Scratch = Rc<RefCell<Box<[u8]>>>;

/// A connection to the target.
#[derive(Debug)]
pub(crate) struct Wire {
    /// A head that has not come whole.
    partial: Vec<u8>,
    scratch: Scratch,
    stream: TcpStream,
}

/// A whole answer, as far as it is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) keep_alive: bool,
    pub(crate) status: u16,
}

/// Whoever wants to know more of an answer than its status. Interim answers are not told.
pub(crate) trait Sink {
    /// A header, in order.
    fn header(&mut self, name: &str, value: &[u8]);
    /// A piece of the body.
    fn body(&mut self, bytes: &[u8]);
}

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ended; `untouched` when no byte of an answer had come.
    Closed { untouched: bool },
    /// What came is not HTTP/1.1.
    Malformed,
    /// The deadline passed.
    Timeout,
}

/// A timer that is set anew only when it goes off: one timer operation per patience, not per
/// request.
#[derive(Debug)]
pub(crate) struct Deadline(Pin<Box<Sleep>>);

/// How far the reading of an answer has come.
#[derive(Debug)]
enum Progress {
    Body(Answer, Body),
    Done(Answer),
    Head,
}

// === impl Wire ===

impl Wire {
    pub(crate) fn new(stream: TcpStream, scratch: Scratch) -> Self {
        // Without it requests are as good, only later.
        drop(stream.set_nodelay(true));
        Self { partial: Vec::new(), scratch, stream }
    }

    /// Sends a request and reads its answer, both at once: a target may answer early.
    pub(crate) async fn exchange<S: Sink>(
        &mut self,
        request: &[u8],
        is_head: bool,
        sink: &mut S,
        deadline: &mut Deadline,
        until: Instant,
    ) -> Result<Answer, Fault> {
        let (mut sent, mut progress) = (0, Progress::Head);
        self.partial.clear();
        poll_fn(|cx| {
            if sent < request.len() {
                // A failed write leaves it to the read to say how the connection ended.
                if let Poll::Ready(Err(_)) = self.poll_write(cx, request, &mut sent) {
                    sent = request.len();
                }
            }
            match self.poll_answer(cx, &mut progress, is_head, sink) {
                Poll::Ready(Ok(mut answer)) => {
                    answer.keep_alive &= sent == request.len();
                    Poll::Ready(Ok(answer))
                }
                Poll::Ready(Err(fault)) => Poll::Ready(Err(fault)),
                Poll::Pending => deadline.poll(cx, until).map(|()| Err(Fault::Timeout)),
            }
        })
        .await
    }

    /// Ready when the idle connection is of no use any more.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0; 1];
        // Data nobody asked for is as bad as an end.
        Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut byte)).map(drop)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        request: &[u8],
        sent: &mut usize,
    ) -> Poll<std::io::Result<()>> {
        while *sent < request.len() {
            *sent += ready!(Pin::new(&mut self.stream).poll_write(cx, &request[*sent..]))?;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_answer<S: Sink>(
        &mut self,
        cx: &mut Context<'_>,
        progress: &mut Progress,
        is_head: bool,
        sink: &mut S,
    ) -> Poll<Result<Answer, Fault>> {
        let scratch = Rc::clone(&self.scratch);
        let mut scratch = scratch.borrow_mut();
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(match progress {
                    Progress::Body(answer, body) if read.is_ok() && body.ends_with_connection() => {
                        Ok(Answer { keep_alive: false, ..*answer })
                    }
                    Progress::Head if self.partial.is_empty() => {
                        Err(Fault::Closed { untouched: true })
                    }
                    _ => Err(Fault::Closed { untouched: false }),
                });
            }
            self.take(buffer.filled(), progress, is_head, sink)?;
            if let Progress::Done(answer) = progress {
                return Poll::Ready(Ok(*answer));
            }
        }
    }

    fn take<S: Sink>(
        &mut self,
        bytes: &[u8],
        progress: &mut Progress,
        is_head: bool,
        sink: &mut S,
    ) -> Result<(), Fault> {
        if let Progress::Body(answer, body) = progress {
            let taken =
                body.advance(bytes, |bytes| sink.body(bytes)).map_err(|_| Fault::Malformed)?;
            if body.is_done() {
                let keep_alive = answer.keep_alive && taken == bytes.len();
                *progress = Progress::Done(Answer { keep_alive, ..*answer });
            }
            return Ok(());
        }
        if self.partial.is_empty() {
            if let Some(rest) = parse(bytes, progress, is_head, sink)? {
                self.partial.extend_from_slice(rest);
            }
            return Ok(());
        }
        if self.partial.len() + bytes.len() > MAX_HEAD_BYTES {
            return Err(Fault::Malformed);
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        let rest = parse(&whole, progress, is_head, sink)?.map_or(0, <[u8]>::len);
        whole.drain(..whole.len() - rest);
        self.partial = whole;
        Ok(())
    }
}

/// Reads heads at the start of `bytes`, interim ones too, and what follows of the body. Gives
/// back the bytes of a head that is not whole.
fn parse<'a, S: Sink>(
    mut bytes: &'a [u8],
    progress: &mut Progress,
    is_head: bool,
    sink: &mut S,
) -> Result<Option<&'a [u8]>, Fault> {
    loop {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut head, bytes, &mut headers)
            .map_err(|_| Fault::Malformed)?;
        let httparse::Status::Complete(length) = parsed else { return Ok(Some(bytes)) };
        bytes = &bytes[length..];
        let status = head.code.unwrap_or_default();
        // 101 is not interim: it ends HTTP on this connection.
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let (answer, mut body) = read(&head, is_head, sink)?;
        let taken = body.advance(bytes, |bytes| sink.body(bytes)).map_err(|_| Fault::Malformed)?;
        *progress = if body.is_done() {
            let keep_alive = answer.keep_alive && taken == bytes.len();
            Progress::Done(Answer { keep_alive, ..answer })
        } else {
            Progress::Body(answer, body)
        };
        return Ok(None);
    }
}

fn read<S: Sink>(
    head: &httparse::Response<'_, '_>,
    is_head: bool,
    sink: &mut S,
) -> Result<(Answer, Body), Fault> {
    let status = head.code.unwrap_or_default();
    let mut answer = Answer { keep_alive: head.version == Some(1), status };
    let (mut length, mut chunked) = (None, false);
    for header in head.headers.iter() {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let value = wire::content_length(header.value).map_err(|_| Fault::Malformed)?;
            if length.replace(value).is_some_and(|other| other != value) {
                return Err(Fault::Malformed);
            }
        } else if is("transfer-encoding") {
            chunked = wire::names_token(header.value, "chunked");
        } else if is("connection") {
            if wire::names_token(header.value, "close") {
                answer.keep_alive = false;
            } else if wire::names_token(header.value, "keep-alive") {
                answer.keep_alive = true;
            }
        }
        sink.header(header.name, header.value);
    }
    let body = match (is_head || matches!(status, 101 | 204 | 304), chunked, length) {
        (true, ..) => Body::length(0),
        (_, true, _) => Body::chunked(),
        (_, _, Some(length)) => Body::length(length),
        _ => Body::until_close(),
    };
    answer.keep_alive &= status != 101;
    Ok((answer, body))
}

// === impl Deadline ===

impl Deadline {
    pub(crate) fn new(until: Instant) -> Self {
        Self(Box::pin(sleep_until(until)))
    }

    fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        loop {
            if self.0.deadline() > until {
                self.0.as_mut().reset(until);
            }
            ready!(self.0.as_mut().poll(cx));
            if self.0.deadline() >= until {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(until);
        }
    }
}
