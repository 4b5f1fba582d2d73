//! What the integration tests share: gateways in the process and as the binary, clients, an origin.

#![allow(dead_code, unused_imports, reason = "every test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod admin;
mod client;
mod process;
mod scripted;
mod settings;
mod tokens;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::time::Duration;

use floodgate_gateway::gateway::Gateway;
use floodgate_loadtest::origin::{OriginHandle, OriginStats};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};

pub(crate) use admin::{Admin, Metrics};
pub(crate) use client::{Answer, Client, ask, post};
pub(crate) use process::{Binary, floodgate};
pub(crate) use scripted::Scripted;
pub(crate) use settings::{Settings, THREE_TIERS, journey, one_tier};
pub(crate) use tokens::{Issuer, base64, from_now};

/// Upper bound of everything that is waited for. Reached only by a test that fails.
pub(crate) const SOON: Duration = Duration::from_secs(8);

/// A gateway in this process; it can be asked like its admin listener. Dropping it stops it.
pub(crate) struct Running {
    gateway: Option<Gateway>,
    /// Where customers come in.
    pub(crate) listen: SocketAddr,
    admin: Admin,
}

/// A port that is taken but where nobody listens: connecting to it is refused.
pub(crate) struct Nobody(Socket);

// === impl Running ===

impl Running {
    /// A gateway with this configuration.
    pub(crate) fn start(text: &str) -> Self {
        let config =
            floodgate_config::parse("test", text).unwrap_or_else(|wrong| panic!("{wrong}"));
        let gateway = Gateway::start(config).unwrap();
        let (listen, admin) = (gateway.listen(), Admin(gateway.admin()));
        Self { gateway: Some(gateway), listen, admin }
    }

    /// Where its admin listener is.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.0
    }

    /// Has it look at its files now.
    pub(crate) fn reload(&self) {
        if let Some(gateway) = &self.gateway {
            gateway.reload();
        }
    }

    /// A new connection to it.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.listen).await
    }

    /// A new connection on which a GET of `path` has been sent.
    pub(crate) async fn asking(&self, path: &str) -> Client {
        let mut client = self.client().await;
        client.get(path).await;
        client
    }

    /// As [`asking`](Self::asking), when it waits in the buffer as number `place`.
    pub(crate) async fn waiting(&self, path: &str, place: u64) -> Client {
        let client = self.asking(path).await;
        self.admin.queued(place).await;
        client
    }

    /// A new connection whose request is at the origin and stays there.
    pub(crate) async fn holding(&self, origin: &OriginHandle) -> Client {
        let before = origin.stats().requests;
        let client = self.asking("/l1?x-origin-behaviour=never-answer").await;
        reach(origin, |stats| stats.requests > before).await;
        client
    }
}

impl Deref for Running {
    type Target = Admin;

    fn deref(&self) -> &Admin {
        &self.admin
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop();
        }
    }
}

// === impl Nobody ===

impl Nobody {
    pub(crate) fn listens() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        Self(socket)
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap().as_socket().unwrap()
    }
}

/// A server that takes no connection and refuses none: its queue is full.
pub(crate) async fn black_hole() -> (Socket, Vec<TcpStream>, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let addr = socket.local_addr().unwrap().as_socket().unwrap();
    let mut queue = Vec::new();
    for _ in 0..16 {
        let connect = TcpSocket::new_v4().unwrap().connect(addr);
        match tokio::time::timeout(Duration::from_millis(200), connect).await {
            Ok(stream) => queue.push(stream.unwrap()),
            Err(_) => return (socket, queue, addr),
        }
    }
    panic!("the queue does not fill");
}

/// Waits until the origin's counts are as wanted.
pub(crate) async fn reach(
    origin: &OriginHandle,
    wanted: impl Fn(&OriginStats) -> bool,
) -> OriginStats {
    match origin.wait_for(SOON, wanted).await {
        Ok(stats) => stats,
        Err(stats) => panic!("the origin never got there: {stats:#?}"),
    }
}

/// `future`, which must end within the bound of all waiting.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("too late: {what}"),
    }
}
