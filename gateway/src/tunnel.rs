//! A connection that has left HTTP: bytes both ways until one side ends.

use http::Response;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use bytes::Bytes;

use crate::body::ResponseBody;
use crate::headers;
use crate::pool::Lease;
use crate::reason::Reason;
use crate::snapshot::{UpgradedSlot, Upstream};
use crate::turnstile::Link;

/// The upstream's end of a connection that has left HTTP, waiting for downstream's end.
#[derive(Debug)]
pub struct Tunnel {
    socket: TcpStream,
    /// What the upstream said right behind its head.
    ahead: Bytes,
    _slot: UpgradedSlot,
}

// === impl Tunnel ===

impl Tunnel {
    /// Takes the upstream's socket and leaves it with the connection, which is switched once the
    /// answer has been written. The permit is given back: what was admitted is done.
    ///
    /// # Errors
    /// As many upgraded connections as allowed, or the answer names no protocol.
    pub async fn open(
        link: &Link,
        upstream: &Upstream,
        head: Response<()>,
        mut lease: Lease,
    ) -> Result<Response<ResponseBody>, Reason> {
        let Some(protocol) = head.headers().get(UPGRADE).cloned() else {
            return Err(Reason::UpstreamError);
        };
        let slot = upstream.take_upgraded().ok_or(Reason::UpgradeLimit)?;
        std::future::poll_fn(|cx| lease.poll_drive(cx)).await.map_err(|_| Reason::UpstreamError)?;
        let (socket, ahead) = lease.into_socket();
        link.set_tunnel(Self { socket, ahead, _slot: slot });
        let (mut head, ()) = head.into_parts();
        headers::to_downstream(&mut head)?;
        let mut response = Response::from_parts(head, ResponseBody::empty());
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, protocol);
        Ok(response)
    }

    /// Carries bytes both ways until both have ended, or one has failed. `early` is what downstream
    /// sent before it knew of the switch.
    pub async fn run(mut self, mut downstream: TcpStream, early: &[u8]) {
        let carry = async {
            downstream.write_all(&self.ahead).await?;
            self.socket.write_all(early).await?;
            copy_bidirectional(&mut downstream, &mut self.socket).await
        };
        if let Err(error) = carry.await {
            tracing::debug!(%error, "upgraded connection ended");
        }
    }
}
