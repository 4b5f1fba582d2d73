//! Ending well: a connection that is closed on unread bytes is reset, and the reset may overtake the
//! answer. So what a client still sends is read and thrown away, within bounds.

use std::time::Duration;

use http_body::Body;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Most of a body that is read to keep its connection.
pub(crate) const MAX_DISCARD: u64 = 64 * 1024;
/// Most that is read from a connection that is being closed, and for how long.
const MAX_LINGER: usize = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);
/// Time a client has for the small rest of a body.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads the rest of `body` in the background if it is small, so that its connection can go on. A
/// larger one is dropped, upon which hyper closes the connection after the answer.
pub(crate) fn discard(mut body: Incoming) {
    if body.is_end_stream() || body.size_hint().lower() > MAX_DISCARD {
        return;
    }
    let read = async move {
        let mut left = MAX_DISCARD;
        while let Some(Ok(frame)) =
            std::future::poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await
        {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(length) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    tokio::task::spawn_local(tokio::time::timeout(PATIENCE, read));
}

/// Has a connection reset when it is dropped: its client must not take the end of an answer that
/// broke off for the end of the message.
pub(crate) fn reset(socket: &TcpStream) {
    if let Err(error) = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "connection cannot be reset");
    }
}

/// Closes a connection so that the last answer arrives: our side first, then what the client still
/// sends is read for a while (RFC 9112 §9.6).
pub(crate) async fn close(mut socket: TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let read = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut left = MAX_LINGER;
        while let Ok(length @ 1..) = socket.read(&mut buffer).await {
            left = left.saturating_sub(length);
            if left == 0 {
                // To end now would be to reset what it has yet to read.
                return std::future::pending().await;
            }
        }
    };
    let _timed_out = tokio::time::timeout(LINGER, read).await;
}
