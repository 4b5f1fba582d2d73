//! A stand-in checkout service: it observes how it is treated, and misbehaves on request.
//!
//! It enforces nothing. It counts how many requests were with it at once, how many came above
//! the limit it was told, and how many of its answers nobody waited for. A request is with the
//! origin from its complete head to the last byte of the answer; service time begins when the
//! body has been received. Single requests are steered by instructions in headers or in the query;
//! see the README for the list.
//!
//! Peak and over-limit counts are exact when the origin runs on one thread, as
//! [`OriginBuilder::start`] does; a multi-threaded runtime may let the next request in a moment
//! before the last one has been counted out.

mod answer;
mod behave;
mod call;
mod config;
mod connection;
mod fault;
mod request;
mod shared;
mod shop;
mod stats;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

use shared::Shared;

pub use config::{Freeze, OriginConfig, ParseServiceTimeError, ServiceTime};
pub use fault::{Fault, FaultKind};
pub use shop::ShopStats;
pub use stats::OriginStats;

/// Connections served at once; beyond it the kernel's backlog waits.
const MAX_CONNECTIONS: usize = 16_384;
/// Length of the accept queue; the default of the standard library drops connections in a storm.
const BACKLOG: i32 = 4096;
/// Pause before what the system refused is tried again.
const RETRY: Duration = Duration::from_millis(10);

/// The name under which an origin is built: [`Origin::builder`].
#[derive(Debug)]
pub struct Origin;

/// What an origin should be like, before it runs.
#[derive(Clone, Debug)]
pub struct OriginBuilder {
    listen: SocketAddr,
    config: OriginConfig,
}

/// A running origin. Dropping the handle stops it.
#[derive(Debug)]
pub struct OriginHandle {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    place: Place,
}

/// Where the origin runs.
#[derive(Debug)]
enum Place {
    Runtime(AbortHandle),
    Thread(Option<thread::JoinHandle<()>>),
}

// === impl Origin ===

impl Origin {
    /// An origin on a loopback port from the system that answers 200 at once.
    #[must_use]
    pub fn builder() -> OriginBuilder {
        OriginBuilder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            config: OriginConfig::default(),
        }
    }
}

// === impl OriginBuilder ===

impl OriginBuilder {
    /// The address to listen on; port 0 lets the system choose.
    #[must_use]
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// Everything but the address at once.
    #[must_use]
    pub fn config(mut self, config: OriginConfig) -> Self {
        self.config = config;
        self
    }

    /// Requests at once above which a request counts as over the limit. Observed, not enforced.
    #[must_use]
    pub fn concurrency_limit(mut self, limit: usize) -> Self {
        self.config.concurrency_limit = limit;
        self
    }

    /// How long a request is worked on.
    #[must_use]
    pub fn service_time(mut self, time: ServiceTime) -> Self {
        self.config.service_time = time;
        self
    }

    /// Another service time for paths that begin with `prefix`; the longest prefix wins.
    #[must_use]
    pub fn service_time_for(mut self, prefix: impl Into<String>, time: ServiceTime) -> Self {
        self.config.service_times.push((prefix.into(), time));
        self
    }

    /// Bytes of the answer's body, at most [`OriginConfig::MAX_BODY_BYTES`].
    #[must_use]
    pub fn body_bytes(mut self, bytes: usize) -> Self {
        self.config.body_bytes = bytes;
        self
    }

    /// Something that goes wrong for a while.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.config.faults.push(fault);
        self
    }

    /// Units of a SKU; with stock the origin trades.
    #[must_use]
    pub fn stock(mut self, sku: impl Into<String>, units: u64) -> Self {
        self.config.stock.push((sku.into(), units));
        self
    }

    /// Requests worked on at once, in order of coming: see [`OriginConfig::workers`].
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = Some(workers);
        self
    }

    /// A header on every answer.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.config.headers.push((name.into(), value.into()));
        self
    }

    /// One stall of the whole service: see [`Freeze`].
    #[must_use]
    pub fn freeze(mut self, freeze: Freeze) -> Self {
        self.config.freeze = Some(freeze);
        self
    }

    /// Seed of the random service times.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Runs the origin on a thread of its own; the port is open when this returns.
    ///
    /// # Errors
    /// The configuration is not usable, or the address cannot be listened on.
    pub fn start(self) -> io::Result<OriginHandle> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _entered = runtime.enter();
            listen(self.listen)?
        };
        let (addr, shared) = (listener.local_addr()?, Arc::new(Shared::new(self.config)?));
        let (stop, stopped) = watch::channel(false);
        let accept = accept(listener, Arc::clone(&shared), stopped);
        let thread = thread::Builder::new()
            .name("origin".to_owned())
            .spawn(move || runtime.block_on(accept))?;
        Ok(OriginHandle { addr, shared, stop, place: Place::Thread(Some(thread)) })
    }

    /// Runs the origin inside the tokio runtime of the caller.
    ///
    /// # Errors
    /// As [`start`](Self::start), or there is no runtime.
    pub fn spawn(self) -> io::Result<OriginHandle> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let listener = listen(self.listen)?;
        let (addr, shared) = (listener.local_addr()?, Arc::new(Shared::new(self.config)?));
        let (stop, stopped) = watch::channel(false);
        let task = runtime.spawn(accept(listener, Arc::clone(&shared), stopped));
        Ok(OriginHandle { addr, shared, stop, place: Place::Runtime(task.abort_handle()) })
    }
}

// === impl OriginHandle ===

impl OriginHandle {
    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has seen so far.
    #[must_use]
    pub fn stats(&self) -> OriginStats {
        self.shared.stats()
    }

    /// Waits until the counts satisfy `wanted`; the counts at that moment.
    ///
    /// # Errors
    /// The last counts, when `within` has passed without it.
    pub async fn wait_for(
        &self,
        within: Duration,
        wanted: impl Fn(&OriginStats) -> bool,
    ) -> Result<OriginStats, OriginStats> {
        let reached = self.shared.stats.wait_for(wanted);
        tokio::time::timeout(within, reached).await.map_err(|_| self.stats())
    }

    /// Starts the clock of faults and trade anew.
    pub fn begin(&self) {
        self.begin_at(std::time::Instant::now());
    }

    /// As [`begin`](Self::begin), at a moment that may be still to come.
    pub fn begin_at(&self, at: std::time::Instant) {
        self.shared.begun.send_replace(Instant::from_std(at));
    }

    /// Lets no answer out until [`release`](Self::release): requests pile up inside.
    pub fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    /// Ends [`hold`](Self::hold).
    pub fn release(&self) {
        self.shared.held.send_replace(false);
    }

    /// Forgets the peak so far; it starts again from what is in flight now.
    pub fn reset_peak(&self) {
        self.shared.stats.reset_peak();
    }

    /// Closes the port and every connection. On a thread of its own, done when this returns; in
    /// a runtime, at that runtime's next turn.
    pub fn stop(self) {}
}

impl Drop for OriginHandle {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        match &mut self.place {
            Place::Runtime(task) => task.abort(),
            // A panic over there has been printed over there.
            Place::Thread(thread) => drop(thread.take().map(thread::JoinHandle::join)),
        }
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(addr);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Dropping the set at the end aborts every connection.
async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let Ok(addr) = listener.local_addr() else { return };
    let (mut listener, mut connections) = (Some(listener), JoinSet::new());
    let mut begun = shared.begun.subscribe();
    let mut stop = pin!(async { drop(stopped.wait_for(|stop| *stop).await) });
    loop {
        let (is_down, change) = fault::down(&shared.config.faults, shared.since_begin());
        if is_down && listener.take().is_some() {
            connections.abort_all();
        }
        if !is_down && listener.is_none() {
            // Somebody else may hold the port for a moment; then it is tried again.
            listener = listen(addr).ok();
        }
        let next = match change {
            Some(change) => *begun.borrow() + change,
            None => Instant::now() + Duration::from_secs(3600),
        };
        let next = if is_down || listener.is_some() { next } else { Instant::now() + RETRY };
        let has_room = connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            () = &mut stop => return,
            Ok(()) = begun.changed() => {}
            () = sleep_until(next) => {}
            Some(_) = connections.join_next() => {}
            accepted = next_connection(listener.as_ref()), if has_room => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection::serve(stream, Arc::clone(&shared)));
                }
                // Out of file descriptors: wait for one to be given back instead of spinning.
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        }
    }
}

async fn next_connection(
    listener: Option<&TcpListener>,
) -> io::Result<(tokio::net::TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
