//! What a request costs in allocations of the worker that serves it: none if it is refused, a handful if
//! it is served.
//!
//! `ALLOCATIONS_TRACE=1 cargo test -p floodgate-gateway --test allocations -- --nocapture` tells where
//! the first ones come from.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]
#![expect(unsafe_code, reason = "an allocator that counts has to be one")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

use floodgate_loadtest::origin::Origin;
use support::{Running, SOON, Settings, journey};

/// Requests before anything is counted: tables have grown by then, and the pool has its connections.
const WARM_UP: usize = 300;
/// Requests that are counted.
const COUNTED: usize = 2_000;
/// Most allocations of a served request, the answer's way included.
const SERVED: f64 = 7.5;
/// How many allocations are told of.
const TRACED: u64 = 5;

const ROUTES: &str = r#"
[upstreams.shut]
servers = ["127.0.0.1:1"]
max_in_flight = 0
[[tiers]]
name = "l1"
max_wait = "20s"
deadline = "20s"
[[routes]]
name = "open"
path = "/open"
upstream = "checkout"
[[routes]]
name = "closed"
path = "/closed/{*rest}"
upstream = "checkout"
rate = "0/s"
[[routes]]
name = "shut"
path = "/shut"
upstream = "shut"
[[routes]]
name = "read"
path = "/read"
methods = ["GET"]
upstream = "checkout"
"#;

/// A checkout, and goods.
const CHECKOUT: &str = r#"
[latch]
ttl = "1h"
[[tiers]]
name = "l1"
[[routes]]
name = "enter"
path = "/enter"
[[routes]]
name = "cart"
path = "/cart"
once = true
[[routes]]
name = "goods"
path = "/goods/{sku}"
sku = "path:sku"
"#;

/// Limits of each key's own, all of which a second request is over, and a share.
const LIMITED: &str = r#"
[[tiers]]
name = "l1"
[[routes]]
name = "limited"
path = "/limited/{sku}"
limits = [
  { key = "client_ip", rate = "10000/s", burst = 10000 },
  { key = "cookie:sid", rate = "10000/s", shadow = true, missing = "pass" },
  { key = ["client_ip", "path:sku", "header:x-user", "query:q"], rate = "1/h" },
]
isolate = { key = "path:sku", share = 0.5 }
"#;

/// Refusals that shall cost no allocation: what is sent, and how many answers come of it.
const REFUSED: [(&str, usize); 8] = [
    ("GET /closed HTTP/1.1\r\nhost: a\r\n\r\n", 1),
    ("GET /shut HTTP/1.1\r\nhost: a\r\n\r\n", 1),
    ("GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n", 1),
    ("HEAD /closed HTTP/1.1\r\nhost: a\r\n\r\n", 1),
    ("DELETE /read HTTP/1.1\r\nhost: a\r\n\r\n", 1),
    ("TRACE /open HTTP/1.1\r\nhost: a\r\n\r\n", 1),
    (
        "GET /closed/a/b?c=d HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n\
         Accept: text/html,application/xhtml+xml;q=0.9\r\nAccept-Language: de,en;q=0.5\r\n\
         Accept-Encoding: gzip, deflate, br\r\nCookie: session=0123456789abcdef; cart=42\r\n\
         Connection: keep-alive\r\nx-floodgate-tier: l1\r\n\r\n",
        1,
    ),
    (
        "GET /closed HTTP/1.1\r\nhost: a\r\n\r\nGET /shut HTTP/1.1\r\nhost: a\r\n\r\n\
         GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\nGET /closed HTTP/1.1\r\nhost: a\r\n\r\n",
        4,
    ),
];

/// The same for requests whose bodies come with their heads.
const REFUSED_WITH_BODY: [(&str, usize); 2] = [
    ("POST /closed HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello", 1),
    ("POST /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n", 1),
];

/// Counts what the workers' threads ask for; passes everything on to the system.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static IS_TRACING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Only one test counts at a time.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread is a worker's, once it was looked at.
    static IS_WORKER: Cell<Option<bool>> = const { Cell::new(None) };
}

// === impl Counting ===

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above; it was allocated by the system.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

fn note(size: usize) {
    if !IS_COUNTING.load(SeqCst) {
        return;
    }
    let look = |cached: &Cell<Option<bool>>| {
        let known = cached.get().unwrap_or_else(has_workers_name);
        // What telling of it allocates is not told of.
        cached.set(Some(false));
        if known && ALLOCATIONS.fetch_add(1, SeqCst) < TRACED && IS_TRACING.load(SeqCst) {
            eprintln!("{size} bytes by {}", Backtrace::force_capture());
        }
        cached.set(Some(known));
    };
    // A thread that is ending is none that serves.
    IS_WORKER.try_with(look).ok();
}

/// By the name that the gateway gives its threads; asking the standard library could allocate.
fn has_workers_name() -> bool {
    let mut name = [0u8; 16];
    // SAFETY: the buffer is as long as the longest name with its end.
    let asked =
        unsafe { libc::pthread_getname_np(libc::pthread_self(), name.as_mut_ptr().cast(), 16) };
    asked == 0 && name.starts_with(b"core-")
}

/// A connection whose client allocates nothing.
struct Client {
    stream: TcpStream,
    buffer: Box<[u8]>,
    len: usize,
}

// === impl Client ===

impl Client {
    fn connect(gateway: &Running) -> Self {
        let stream = TcpStream::connect(gateway.listen).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self { stream, buffer: vec![0; 64 * 1024].into_boxed_slice(), len: 0 }
    }

    /// Sends what gets so many answers, and takes them in.
    fn exchange(&mut self, wire: &str, answers: usize, status: Option<u16>) {
        let has_bodies = !wire.starts_with("HEAD");
        self.stream.write_all(wire.as_bytes()).unwrap();
        for _ in 0..answers {
            let got = self.answer(has_bodies);
            match status {
                Some(status) => assert_eq!(got, status, "{wire}"),
                None => assert!(got >= 400, "{got}: {wire}"),
            }
        }
        assert_eq!(self.len, 0, "more than the answers");
    }

    /// Status of the next answer.
    fn answer(&mut self, has_body: bool) -> u16 {
        loop {
            let came = &self.buffer[..self.len];
            if let Some(end) = came.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = std::str::from_utf8(&came[..end]).unwrap();
                let status = head[9..12].parse().unwrap();
                let length = head.split("\r\n").find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    let is_length = name.eq_ignore_ascii_case("content-length");
                    is_length.then(|| value.parse::<usize>().unwrap())
                });
                let whole = end + 4 + if has_body { length.unwrap() } else { 0 };
                if self.len >= whole {
                    self.buffer.copy_within(whole..self.len, 0);
                    self.len -= whole;
                    return status;
                }
            }
            let came = self.stream.read(&mut self.buffer[self.len..]).unwrap();
            assert!(came > 0, "ended within an answer");
            self.len += came;
        }
    }
}

/// Allocations of the worker while so much is sent so often over one connection that is used already.
fn allocations(gateway: &Running, wire: &str, answers: usize, status: Option<u16>) -> u64 {
    let mut client = Client::connect(gateway);
    for _ in 0..WARM_UP {
        client.exchange(wire, answers, status);
    }
    ALLOCATIONS.store(0, SeqCst);
    IS_COUNTING.store(true, SeqCst);
    for _ in 0..COUNTED {
        client.exchange(wire, answers, status);
    }
    IS_COUNTING.store(false, SeqCst);
    ALLOCATIONS.load(SeqCst)
}

/// Runs `check` on a gateway of one worker while no other test counts.
fn alone(check: impl FnOnce(&Running)) {
    alone_with(ROUTES, check);
}

/// The same with these routes.
fn alone_with(routes: &str, check: impl FnOnce(&Running)) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    IS_TRACING.store(std::env::var_os("ALLOCATIONS_TRACE").is_some(), SeqCst);
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 8").rest(routes);
    check(&Running::start(&settings.text(&[origin.addr()])));
}

/// Fails if any of these costs an allocation, and tells of all that do.
fn cost_nothing(gateway: &Running, refused: &[(&str, usize)]) {
    let costly: Vec<String> = refused
        .iter()
        .map(|(wire, answers)| (wire, allocations(gateway, wire, *answers, None)))
        .filter(|(_, count)| *count > 0)
        .map(|(wire, count)| format!("{count} allocations in {COUNTED} times {wire:?}"))
        .collect();
    assert!(costly.is_empty(), "{costly:#?}");
}

#[test]
fn a_refused_request_costs_no_allocation() {
    alone(|gateway| cost_nothing(gateway, &REFUSED));
}

#[test]
fn a_request_over_a_limit_of_its_keys_own_costs_no_allocation() {
    alone_with(LIMITED, |gateway| {
        let wire =
            "GET /limited/h%20t?q=a+b HTTP/1.1\r\nhost: a\r\nx-user: 7\r\ncookie: sid=1\r\n\r\n";
        let other = "GET /limited/cold HTTP/1.1\r\nhost: a\r\n\r\n";
        for wire in [wire, other] {
            let mut client = Client::connect(gateway);
            client.exchange(wire, 1, Some(200));
            // Of the first that is counted as hot there is much to remember: one in 64 is.
            (0..1_000).for_each(|_| client.exchange(wire, 1, Some(429)));
        }
        cost_nothing(gateway, &[(wire, 1), (other, 1)]);
    });
}

#[test]
fn a_refused_request_with_a_body_costs_no_allocation() {
    alone(|gateway| cost_nothing(gateway, &REFUSED_WITH_BODY));
}

#[test]
fn who_may_not_begin_or_has_not_and_who_asks_for_what_is_gone_costs_no_allocation() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    IS_TRACING.store(std::env::var_os("ALLOCATIONS_TRACE").is_some(), SeqCst);
    // Nobody can begin once one customer has.
    let keys = "identity = \"header:x-user-id\"\nmax_grants = 1\nmax_customers = 100";
    let rest = journey("sale", &["enter", "cart"], keys) + CHECKOUT;
    let text = Settings::upstream("max_in_flight = 8").rest(rest).text(&[sold_out()]);
    let gateway = &Running::start(&text);
    let anna = "host: a\r\nx-user-id: anna\r\n";
    Client::connect(gateway).exchange(&format!("GET /enter HTTP/1.1\r\n{anna}\r\n"), 1, Some(200));
    Client::connect(gateway).exchange("GET /goods/hot HTTP/1.1\r\nhost: a\r\n\r\n", 1, Some(200));
    let forged = format!("x-floodgate-grant: AQ{}", "A".repeat(66));
    let refused = [
        ("no grant", format!("GET /enter HTTP/1.1\r\n{anna}\r\n"), 503),
        ("nobody", "GET /enter HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 503),
        ("stranger", format!("GET /cart HTTP/1.1\r\n{anna}\r\n"), 403),
        ("forged", format!("GET /cart HTTP/1.1\r\n{anna}{forged}\r\n\r\n"), 403),
        ("click", format!("POST /cart HTTP/1.1\r\n{anna}idempotency-key: 7\r\n\r\n"), 403),
        ("sold out", "GET /goods/hot HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 410),
    ];
    let costly: Vec<String> = refused
        .iter()
        .map(|(what, wire, status)| (what, allocations(gateway, wire, 1, Some(*status))))
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{count} allocations in {COUNTED} times {what}"))
        .collect();
    assert!(costly.is_empty(), "{costly:#?}");
}

/// An upstream of which everything is sold out. Its threads end with the process.
fn sold_out() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let answer =
                    b"HTTP/1.1 200 OK\r\nx-stock-state: sold_out\r\ncontent-length: 0\r\n\r\n";
                let mut head = [0; 4096];
                while stream.read(&mut head).is_ok_and(|read| read > 0) {
                    stream.write_all(answer).unwrap();
                }
            });
        }
    });
    addr
}

#[test]
fn a_refused_request_that_says_how_it_was_decided_upon_costs_no_allocation_either() {
    let explained = format!("[explain]\nheader = true\n{ROUTES}");
    alone_with(&explained, |gateway| cost_nothing(gateway, &REFUSED));
}

#[test]
fn a_refused_request_that_the_access_log_tells_of_costs_no_allocation_either() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("access.log");
    let log = format!("[access_log]\nto = \"file:{}\"\nsample_refusals = 1.0", to.display());
    alone_with(&format!("{log}\n{ROUTES}"), |gateway| {
        cost_nothing(gateway, &REFUSED);
        let traced = "GET /closed HTTP/1.1\r\nhost: a\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";
        cost_nothing(gateway, &[(traced, 1)]);
    });
    assert!(std::fs::metadata(to).unwrap().len() > 100_000);
}

#[test]
fn a_served_request_costs_a_bounded_number_of_allocations() {
    alone(|gateway| {
        let wire = "GET /open HTTP/1.1\r\nhost: a\r\n\r\n";
        let each = allocations(gateway, wire, 1, Some(200)) as f64 / COUNTED as f64;
        println!("{each:.2} allocations for each request that is served");
        // None at all would mean that nothing is counted.
        assert!((1.0..=SERVED).contains(&each), "{each}");
    });
}
