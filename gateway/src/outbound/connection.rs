//! A connection to a server: bytes out, heads in, and the deadline of what it is used for.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::{Instant, Sleep};

use super::answer::{self, Answer, Parsed};
use crate::turnstile::with_scratch;

/// Largest head of an answer, with what has come behind it.
const MAX_HEAD: usize = 64 * 1024;

/// One connection, which carries one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    /// What has come and was not asked for yet. Unallocated between two requests.
    pub(super) unread: BytesMut,
    /// Stands early more often than not: a request's deadline is usually later than that of the one
    /// before, and so the timer is moved when it fires, not with each request.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum NoAnswer {
    /// The connection ended before the first byte of one.
    Silence,
    /// What came is none.
    Broken,
}

// === impl Connection ===

impl Connection {
    /// A connection that has carried nothing yet.
    pub(crate) fn new(socket: TcpStream) -> Self {
        Self { socket, unread: BytesMut::new(), timer: None }
    }

    /// Whether it can carry a request: nothing must have come since the last one.
    pub(crate) fn is_usable(&self) -> bool {
        // Without a task: what the runtime has heard of the socket is enough.
        let looked = with_scratch(|scratch| self.socket.try_read(scratch));
        let is_silent = looked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        is_silent && self.unread.is_empty()
    }

    /// Writes some of `slices`.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.socket);
        let written = match slices {
            [only] => ready!(socket.poll_write(cx, only))?,
            _ => ready!(socket.poll_write_vectored(cx, slices))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(written))
    }

    /// The head of the answer to a HEAD request or to any other. Its fields are put into `table`, which
    /// is empty.
    pub(crate) fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        is_head: bool,
        table: &mut HeaderMap,
    ) -> Poll<Result<Box<Answer>, NoAnswer>> {
        loop {
            let had = self.unread.len();
            let came = match ready!(self.poll_read(cx)) {
                Ok(came) if !came.is_empty() => came,
                _ if had == 0 => return Poll::Ready(Err(NoAnswer::Silence)),
                _ => return Poll::Ready(Err(NoAnswer::Broken)),
            };
            // Only a line's end can end a head: one that comes in drips must not cost the square of its
            // length.
            let may_be_whole = had == 0 || came.contains(&b'\n');
            let mut bytes = if had == 0 {
                came
            } else {
                self.unread.extend_from_slice(&came);
                std::mem::take(&mut self.unread).freeze()
            };
            while may_be_whole && !bytes.is_empty() {
                match answer::parse(&bytes, is_head, table) {
                    Ok(Parsed::Answer(answer)) => return Poll::Ready(Ok(answer)),
                    Ok(Parsed::Interim(length)) => drop(bytes.split_to(length)),
                    Ok(Parsed::Partial) => break,
                    Err(answer::Malformed) => return Poll::Ready(Err(NoAnswer::Broken)),
                }
            }
            if bytes.len() >= MAX_HEAD {
                return Poll::Ready(Err(NoAnswer::Broken));
            }
            self.unread = bytes.into();
        }
    }

    /// Puts back what came behind a head.
    pub(crate) fn put_back(&mut self, behind: Bytes) {
        if !behind.is_empty() {
            self.unread = behind.into();
        }
    }

    /// Wakes the task once it is `due`, be it that nobody asks until then: a timer that stands early would
    /// wake it too early, and not again.
    pub(crate) fn wake_when_due(&mut self, cx: &mut Context<'_>, due: Instant) {
        if let Some(timer) = self.timer.as_mut().filter(|timer| timer.deadline() < due) {
            timer.as_mut().reset(due);
        }
        let told = pin!(unconstrained(std::future::poll_fn(|cx| self.poll_deadline(cx, due))));
        let _passed = told.poll(cx).is_ready();
    }

    /// Ready once it is `due`.
    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>, due: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() >= due {
            return Poll::Ready(());
        }
        timer.as_mut().reset(due);
        timer.as_mut().poll(cx)
    }

    /// The bare socket, once both sides left HTTP.
    pub(crate) fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// What has come; nothing at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer))?;
            Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
        })
    }

    /// Reads up to `room` bytes or a little more into `unread`; 0 is the end of the stream.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        ready!(self.socket.poll_read_ready(cx))?;
        self.unread.reserve(room);
        let polled = pin!(self.socket.read_buf(&mut self.unread)).poll(cx);
        if polled.is_pending() && self.unread.is_empty() {
            self.unread = BytesMut::new();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn of_many_connections_that_ended_none_is_usable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut connections = Vec::new();
        // More than the runtime lets one task look at before others have their turn.
        for _ in 0..300 {
            let ours = TcpStream::connect(addr).await.unwrap();
            drop(listener.accept().await.unwrap());
            ours.readable().await.unwrap();
            connections.push(Connection::new(ours));
        }
        tokio::task::yield_now().await;
        assert_eq!(
            connections.iter_mut().filter_map(|one| one.is_usable().then_some(())).count(),
            0
        );
    }
}
