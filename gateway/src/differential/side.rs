//! One of the two gateways that are compared, and a client in front of it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::sync::watch;

use super::framing::{Plan, Rest};
use super::input::Input;
use super::message;
use super::upstream::Upstream;
use crate::http1::HeadLimits;
use crate::open_keys::OpenKeys;
use crate::reason::Reason;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::{accept, clock, listener};

/// Upper bound of all waiting for an answer. Reached only by a test that fails.
const BOUND: Duration = Duration::from_secs(8);
/// Asks whether a connection is still open.
const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nhost: a\r\n\r\n";

/// A gateway of one worker.
pub(super) struct Side {
    shared: Arc<Shared>,
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// All that came of an input.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Seen {
    pub answers: Vec<String>,
    pub end: End,
    pub upstream: Vec<String>,
    /// What was counted, by route.
    pub ledger: Vec<String>,
}

/// How the connection ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum End {
    /// It did not: it answers.
    Open,
    Closed,
    Reset,
    /// Neither an answer nor an end came in time.
    #[default]
    Stuck,
}

// === impl Side ===

impl Side {
    /// With one rule for everything if `hyper_only`, else with the turnstile in front.
    pub(super) fn start(text: &str, hyper_only: bool) -> Self {
        let config = floodgate_config::parse("differential", text).unwrap();
        let keys = OpenKeys::open(&config, None).unwrap();
        let snapshot = Snapshot::compile(config, keys, None, 1, clock::now());
        let shared = Shared::new(snapshot, 1, 1000);
        shared.hyper_only.store(hyper_only, Relaxed);
        let listener =
            listener::bind_all("127.0.0.1:0".parse().unwrap(), 1, 128).unwrap().remove(0);
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let of_worker = Arc::clone(&shared);
        let thread =
            std::thread::spawn(move || accept::run(0, of_worker, listener, stopped).unwrap());
        let side = Self { shared, addr, stop, thread: Some(thread) };
        // From here on nobody can begin, and something is sold out: what comes of an input does not depend
        // on what came before.
        for target in ["/enter", "/goods/gone"] {
            let mut stream = TcpStream::connect(addr).unwrap();
            write!(stream, "GET {target} HTTP/1.1\r\nhost: a\r\nx-user-id: first\r\n\r\n").unwrap();
            let mut came = Vec::new();
            read(&stream, &mut came, |came| message::count(came, &[false]) == 1);
            assert!(came.starts_with(b"HTTP/1.1 200"), "{}", came.escape_ascii());
        }
        side
    }

    /// Refuses what comes from now on.
    pub(super) fn drain(&self) {
        self.shared.draining.store(true, Relaxed);
    }

    /// How large a head may be.
    pub(super) fn limits(&self) -> HeadLimits {
        let server = &self.shared.snapshot.load().config.server;
        HeadLimits { bytes: server.max_head, headers: server.max_headers }
    }

    /// Sends an input on a connection of its own and sees what comes of it.
    pub(super) fn play(&self, input: &Input, plan: &Plan, upstream: &Upstream) -> Seen {
        let before = self.counts();
        let client = upstream.new_client();
        let (came, end) = self.talk(client, input, plan);
        let after = self.counts();
        let rows = before.iter().zip(&after).enumerate();
        let changed = rows.filter(|(_, (before, after))| before != after);
        let ledger = changed.map(|(row, (before, after))| self.name(row, after - before));
        Seen {
            answers: message::answers(&came),
            end,
            upstream: upstream.take(client),
            ledger: ledger.collect(),
        }
    }

    fn talk(&self, client: Ipv4Addr, input: &Input, plan: &Plan) -> (Vec<u8>, End) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((client, 0)).into()).unwrap();
        socket.connect(&self.addr.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.set_write_timeout(Some(BOUND)).unwrap();
        let mut came = Vec::new();
        let mut end = End::Open;
        for piece in input.pieces(&plan.ends) {
            let sent = piece.end;
            // It may have been closed in answer to what came before.
            if stream.write_all(&input.wire[piece]).is_err() {
                break;
            }
            if input.waits && plan.ends.contains(&sent) {
                let answers = plan.ends.iter().filter(|end| **end <= sent).count();
                end = read(&stream, &mut came, |came| message::count(came, &plan.heads) >= answers);
                if end != End::Open {
                    return (came, end);
                }
            }
            std::thread::yield_now();
        }
        let answers = plan.heads.len();
        if input.leaves {
            stream.shutdown(Shutdown::Write).ok();
            end = read(&stream, &mut came, |_| false);
            return (came, end);
        }
        if !input.waits {
            end = read(&stream, &mut came, |came| message::count(came, &plan.heads) >= answers);
        }
        if end != End::Open {
            return (came, end);
        }
        match plan.rest {
            Rest::Nothing => stream.write_all(PROBE).ok(),
            Rest::Partial => stream.shutdown(Shutdown::Write).ok(),
            // A head that comes in pieces is looked at again with the end of a line.
            Rest::Broken | Rest::BrokenAndLong => stream.write_all(b"\r\n").ok(),
        };
        let is_probed =
            |came: &[u8]| plan.rest == Rest::Nothing && message::count(came, &plan.heads) > answers;
        end = read(&stream, &mut came, is_probed);
        (came, end)
    }

    /// What was counted so far: a row for each outcome of each route.
    fn counts(&self) -> Vec<u64> {
        let snapshot = self.shared.snapshot.load();
        let routes = snapshot.routes.iter().map(|route| &route.stats);
        let sums = routes.chain([&snapshot.unmatched]).map(|stats| stats.sums());
        sums.flat_map(|sums| {
            let outcomes =
                [sums.arrivals, sums.admitted, sums.completed, sums.abandoned, sums.failed];
            outcomes.into_iter().chain(sums.rejected).chain(sums.failures)
        })
        .collect()
    }

    /// A row of the counts in words.
    fn name(&self, row: usize, count: u64) -> String {
        const OUTCOMES: [&str; 5] = ["arrivals", "admitted", "completed", "abandoned", "failed"];
        let reasons = Reason::ALL.len();
        let (route, row) =
            (row / (OUTCOMES.len() + 2 * reasons), row % (OUTCOMES.len() + 2 * reasons));
        let snapshot = self.shared.snapshot.load();
        let route = snapshot.routes.get(route).map_or("no route", |route| &route.name);
        match row.checked_sub(OUTCOMES.len()) {
            None => format!("{route}: {count} {}", OUTCOMES[row]),
            Some(row) => {
                let what = if row < reasons { "refused" } else { "failed" };
                format!("{route}: {count} {what} for {}", Reason::ALL[row % reasons].as_str())
            }
        }
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || std::thread::panicking(), "the worker panicked");
    }
}

/// Reads on until there is enough, or to the end.
fn read(mut stream: &TcpStream, came: &mut Vec<u8>, is_enough: impl Fn(&[u8]) -> bool) -> End {
    let mut piece = [0; 16 * 1024];
    while !is_enough(came) {
        match stream.read(&mut piece) {
            Ok(0) => return End::Closed,
            Ok(length) => came.extend_from_slice(&piece[..length]),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return End::Stuck,
                _ => return End::Reset,
            },
        }
    }
    End::Open
}
