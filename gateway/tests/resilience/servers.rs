//! Servers that refuse, hang, or close.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;
use socket2::{Domain, Socket, Type};
use tokio::task::JoinSet;

use crate::recorder::{Recorder, Then};
use crate::support::{Running, SOON, Settings, ask, black_hole, one_tier};
use crate::{OK, patient};

/// A socket at a port of its own, at the address that this machine's name for itself stands for.
fn local() -> (Socket, SocketAddr) {
    let mut addr = ("localhost", 0).to_socket_addrs().unwrap().next().unwrap();
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&addr.into()).unwrap();
    addr = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, addr)
}

#[tokio::test]
async fn refusals_at_one_moment_count_once_and_the_server_is_soon_used_again() {
    const CLIENTS: u64 = 40;
    let (nobody, gone) = local();
    let alive = Origin::builder().start().unwrap();
    // By name, so that looking it up makes the attempts overlap.
    // Of so few requests at once the budget would let a handful go to the other server.
    let keys = format!("max_in_flight = 64\nretries = {{ min_per_second = {CLIENTS} }}");
    let text = patient(&keys, "").text(&[gone, alive.addr()]);
    let text = text.replace(&format!("{gone}"), &format!("localhost:{}", gone.port()));
    let gateway = Running::start(&text);
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let addr = gateway.listen;
        clients.spawn(async move { ask(addr, "/?x-origin-delay-ms=100").await.status });
    }
    let answered = clients.join_all().await;
    assert!(answered.iter().all(|status| *status == 200), "{answered:?}");
    assert_eq!(alive.stats().requests, CLIENTS);

    let begin = Instant::now();
    while gateway.checkout().await["servers"][0]["ejected"] == true {
        assert!(begin.elapsed() < Duration::from_millis(1500), "still left out");
    }
    drop(nobody);
    let back = Origin::builder().listen(gone).start().unwrap();
    let begin = Instant::now();
    while back.stats().requests == 0 {
        assert!(begin.elapsed() < Duration::from_secs(2), "it never got a request");
        assert_eq!(ask(gateway.listen, "/").await.status, 200);
    }
}

#[tokio::test]
async fn a_server_that_swallows_connections_is_left_out_although_the_deadline_is_shorter() {
    let (_socket, _queue, hole) = black_hole().await;
    for connect_timeout in ["1s", "10s"] {
        let alive = Origin::builder().start().unwrap();
        let rest = one_tier("max_wait = \"100ms\"\ndeadline = \"600ms\"");
        let keys = format!("connect_timeout = \"{connect_timeout}\"");
        let settings = Settings::upstream(&keys).rest(rest);
        let gateway = Running::start(&settings.text(&[hole, alive.addr()]));
        let (mut late, begin) = (0, Instant::now());
        while gateway.checkout().await["servers"][0]["ejected"] == false {
            assert!(late < 3 && begin.elapsed() < SOON, "{connect_timeout}: {late} were late");
            late += u32::from(ask(gateway.listen, "/").await.status != 200);
        }
        for _ in 0..5 {
            assert_eq!(ask(gateway.listen, "/").await.status, 200);
        }
        gateway.quiet().await;
    }
}

#[tokio::test]
async fn a_server_that_breaks_says_nothing_of_how_long_it_takes() {
    let origin = Origin::builder().start().unwrap();
    // So many failures would open it.
    let gateway = Running::start(&patient("circuit = false", "").text(&[origin.addr()]));
    let mean = async || gateway.checkout().await["mean_service_ms"].as_f64().unwrap();
    for behaviour in ["reset", "close-before-answer", "garbage"] {
        let path = format!("/?x-origin-delay-ms=200&x-origin-behaviour={behaviour}");
        assert_eq!(ask(gateway.listen, &path).await.status, 502);
    }
    assert_eq!(mean().await, 0.0, "nothing is known yet");
    assert_eq!(ask(gateway.listen, "/?x-origin-delay-ms=200").await.status, 200);
    let served = mean().await;
    assert!(served >= 190.0, "{served}");
    for _ in 0..20 {
        assert_eq!(ask(gateway.listen, "/?x-origin-behaviour=reset").await.status, 502);
    }
    assert_eq!(mean().await, served, "quick failures are no quick service");
    for _ in 0..20 {
        assert_eq!(ask(gateway.listen, "/").await.status, 200);
    }
    assert!(mean().await < served);
}

/// How often a server sees a request with this method on a connection that it closes instead of
/// answering, and every one after it.
async fn times_sent(method: &str, body: &str) -> usize {
    let server = Recorder::start(&[OK], Then::Close).await;
    let gateway = Running::start(&patient("", "").text(&[server.addr]));
    assert_eq!(ask(gateway.listen, "/first").await.status, 200);
    let mut client = gateway.client().await;
    let length =
        if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    client.send(format!("{method} /again HTTP/1.1\r\nhost: a\r\n{length}\r\n{body}")).await;
    assert_eq!(client.answer().await.verdict(), (502, "upstream_error"), "{method}");
    gateway.quiet().await;
    server.count(&format!("{method} /again"))
}

#[tokio::test]
async fn what_may_have_been_done_is_never_asked_for_twice_and_what_is_idempotent_once_more() {
    for (method, times) in [("POST", 1), ("PATCH", 1), ("GET", 2), ("PUT", 2), ("DELETE", 2)] {
        assert_eq!(times_sent(method, "").await, times, "{method}");
        assert_eq!(times_sent(method, "1 of the last").await, times, "{method} with a body");
    }
}
