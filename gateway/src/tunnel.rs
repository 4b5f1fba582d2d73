//! A connection that has left HTTP: bytes both ways until one side ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use http::Response;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use bytes::Bytes;

use crate::headers;
use crate::link::Link;
use crate::pool::Lease;
use crate::reason::Reason;
use crate::response_body::ResponseBody;
use crate::upstream::Upstream;

/// The upstream's end of a connection that has left HTTP, waiting for downstream's end.
#[derive(Debug)]
pub(crate) struct Tunnel {
    socket: TcpStream,
    /// What the upstream said right behind its head.
    ahead: Bytes,
    _slot: UpgradedSlot,
}

/// How many connections of an upstream have left HTTP.
#[derive(Debug, Default)]
pub struct Upgraded(AtomicU32);

/// One of them.
#[derive(Debug)]
pub struct UpgradedSlot(Arc<Upgraded>);

// === impl Tunnel ===

impl Tunnel {
    /// Takes the upstream's socket and leaves it with the connection, which is switched once the
    /// answer has been written. It holds no permit: what was admitted is done.
    ///
    /// # Errors
    /// As many upgraded connections as allowed, or the answer names no protocol.
    pub(crate) async fn open(
        link: &Link,
        upstream: &Upstream,
        head: Response<()>,
        mut lease: Lease,
    ) -> Result<Response<ResponseBody>, Reason> {
        let Some(protocol) = head.headers().get(UPGRADE).cloned() else {
            return Err(Reason::UpstreamError);
        };
        let slot = upstream.upgraded.take(upstream.max_upgraded).ok_or(Reason::UpgradeLimit)?;
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
    pub(crate) async fn run(mut self, mut downstream: TcpStream, early: &[u8]) {
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

// === impl Upgraded ===

impl Upgraded {
    /// A place for one more, if there are fewer than `limit`.
    pub fn take(self: &Arc<Self>, limit: u32) -> Option<UpgradedSlot> {
        let take = |count| (count < limit).then_some(count + 1);
        self.0.fetch_update(Relaxed, Relaxed, take).ok()?;
        Some(UpgradedSlot(Arc::clone(self)))
    }

    /// How many there are now.
    pub fn count(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

impl Drop for UpgradedSlot {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}
