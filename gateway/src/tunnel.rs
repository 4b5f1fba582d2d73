//! A connection that has left HTTP: bytes both ways until one side ends.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::link::Link;
use crate::outbound::Answer;
use crate::places::Place;
use crate::pool::Lease;
use crate::reason::Reason;
use crate::response_body::ResponseBody;
use crate::upstream::Upstream;

/// Silence after which a peer is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Time for one side after the other has ended.
const LAST_WORDS: Duration = Duration::from_secs(60);

/// The upstream's end of a connection that has left HTTP, waiting for downstream's end.
#[derive(Debug)]
pub(crate) struct Tunnel {
    socket: TcpStream,
    /// What the upstream said right behind its head.
    ahead: Bytes,
    _slot: Place,
}

// === impl Tunnel ===

impl Tunnel {
    /// Takes the upstream's socket and leaves it with the connection, which is switched once the
    /// answer has been written. It holds no permit: what was admitted is done.
    ///
    /// # Errors
    /// As many upgraded connections as allowed, or the answer names no protocol.
    pub(crate) fn open(
        link: &Link,
        upstream: &Upstream,
        answer: Answer,
        lease: Lease,
    ) -> Result<Response<ResponseBody>, Reason> {
        let protocol = answer.upgrade.ok_or(Reason::UpstreamError)?;
        let slot = upstream.upgraded.take(upstream.max_upgraded).ok_or(Reason::UpgradeLimit)?;
        let (socket, ahead) = (lease.connection.into_socket(), answer.behind);
        link.set_tunnel(Self { socket, ahead, _slot: slot });
        let mut response = Response::from_parts(answer.head, ResponseBody::empty());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, protocol);
        Ok(response)
    }

    /// Carries bytes both ways until both have ended, or one has failed. `early` is what downstream
    /// sent before it knew of the switch.
    pub(crate) async fn run(self, downstream: TcpStream, early: &[u8]) {
        for socket in [&downstream, &self.socket] {
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4);
            if let Err(error) = SockRef::from(socket).set_tcp_keepalive(&keepalive) {
                tracing::debug!(%error, "a dead peer of this connection will not be noticed");
            }
        }
        let (mut from_client, mut to_client) = downstream.into_split();
        let (mut from_server, mut to_server) = self.socket.into_split();
        let up = async {
            to_server.write_all(early).await?;
            carry(&mut from_client, &mut to_server).await
        };
        let down = async {
            to_client.write_all(&self.ahead).await?;
            carry(&mut from_server, &mut to_client).await
        };
        tokio::pin!(up, down);
        // Who has ended one side waits for the rest of the other, but not for ever.
        let ended = tokio::select! {
            result = &mut up => match result {
                Ok(()) => tokio::time::timeout(LAST_WORDS, down).await,
                Err(error) => Ok(Err(error)),
            },
            result = &mut down => match result {
                Ok(()) => tokio::time::timeout(LAST_WORDS, up).await,
                Err(error) => Ok(Err(error)),
            },
        };
        if let Ok(Err(error)) = ended {
            tracing::debug!(%error, "upgraded connection ended");
        }
    }
}

/// Everything from one side to the other, the end included.
async fn carry(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> std::io::Result<()> {
    tokio::io::copy(from, to).await?;
    to.shutdown().await
}
