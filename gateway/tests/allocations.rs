//! What a proxied request allocates: its number is held, since each is paid with every request.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use floodgate_loadtest::origin::Origin;
use support::{Running, SOON, Settings};

/// The most that one request may allocate on its way, the answer's way included.
const MOST: f64 = 9.5;
const REQUESTS: u64 = 2_000;

/// The system's allocator, which counts.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is an unsafe thing; everything is the system's")]
// SAFETY: every call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller's promises are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Allocations of the whole process per request, each sent when the one before is answered.
fn per_request(addr: SocketAddr) -> f64 {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut buffer = [0; 4096];
    let mut ask = || {
        stream.write_all(b"GET /l1/goods HTTP/1.1\r\nhost: shop.example\r\n\r\n").unwrap();
        let mut filled = 0;
        while !buffer[..filled].ends_with(b"xxxxxxxxxxxxxxxx") {
            let came = stream.read(&mut buffer[filled..]).unwrap();
            assert!(came > 0, "the connection ended");
            filled += came;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    };
    for _ in 0..10 {
        ask();
    }
    let before = ALLOCATIONS.load(Relaxed);
    for _ in 0..REQUESTS {
        ask();
    }
    (ALLOCATIONS.load(Relaxed) - before) as f64 / REQUESTS as f64
}

#[test]
fn a_proxied_request_allocates_no_more_than_a_handful() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&Settings::upstream("").text(&[origin.addr()]));
    let (direct, proxied) = (per_request(origin.addr()), per_request(gateway.listen));
    let own = proxied - direct;
    println!(
        "allocations per proxied request: {own:.2} (the origin's {direct:.2} are not counted)"
    );
    assert!(own > 0.0, "nothing is counted");
    assert!(own <= MOST, "{own:.2} allocations per request");
}
