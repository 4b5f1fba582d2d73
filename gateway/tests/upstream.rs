//! Between the gateway and the origins: which server, which connection, and every byte of a body.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::{Origin, OriginHandle};
use support::{Client, Nobody, Running, SOON, Scripted, Settings, ask, one_tier, post, reach};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn patient(upstream: &str) -> Settings {
    Settings::upstream(upstream).rest(one_tier("max_wait = \"20s\"\ndeadline = \"20s\""))
}

fn origin() -> OriginHandle {
    Origin::builder().start().unwrap()
}

/// FNV-1a, 64 bit, as the origin's echo tells it.
fn fnv1a(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// Bytes that differ from place to place.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(0x9E37_79B1) >> 11) as u8).collect()
}

// --- which server ---

#[tokio::test]
async fn the_least_busy_server_gets_the_next_request() {
    let (one, other) = (origin(), origin());
    let gateway = Running::start(&patient("max_in_flight = 8").text(&[one.addr(), other.addr()]));
    let mut inside = Vec::new();
    for count in 1..=8 {
        inside.push(gateway.asking("/?x-origin-behaviour=never-answer").await);
        gateway.reach("one more inside", |status| status["in_flight"] == count).await;
    }
    reach(&one, |stats| stats.in_flight == 4).await;
    reach(&other, |stats| stats.in_flight == 4).await;
    let servers = gateway.checkout().await["servers"].take();
    assert_eq!((&servers[0]["in_flight"], &servers[1]["in_flight"]), (&4.into(), &4.into()));
}

#[tokio::test]
async fn a_server_that_refuses_connections_is_left_out_and_no_client_notices() {
    let (nobody, alive) = (Nobody::listens(), origin());
    let gateway = Running::start(&patient("").text(&[nobody.addr(), alive.addr()]));
    for _ in 0..30 {
        assert_eq!(ask(gateway.listen, "/").await.status, 200);
    }
    assert_eq!(alive.stats().requests, 30);
    let servers = gateway.checkout().await["servers"].take();
    assert_eq!((&servers[0]["ejected"], &servers[1]["ejected"]), (&true.into(), &false.into()));
    let server = format!("server=\"{}\"", nobody.addr());
    assert_eq!(gateway.metrics().await.count("floodgate_server_ejected", &[&server]), 1);
}

#[tokio::test]
async fn a_server_that_listens_again_gets_requests_again() {
    let (gone, alive) = (origin(), origin());
    let addr = gone.addr();
    let gateway = Running::start(&patient("").text(&[addr, alive.addr()]));
    assert_eq!(ask(gateway.listen, "/").await.status, 200);
    gone.stop();
    let ejected = |status: &serde_json::Value| status["servers"][0]["ejected"] == true;
    let begin = Instant::now();
    while !ejected(&gateway.checkout().await) {
        assert!(begin.elapsed() < SOON, "it was never left out");
        assert_eq!(ask(gateway.listen, "/").await.status, 200);
    }
    let back = Origin::builder().listen(addr).start().unwrap();
    let begin = Instant::now();
    while back.stats().requests == 0 {
        assert!(begin.elapsed() < SOON, "it never got a request");
        assert_eq!(ask(gateway.listen, "/").await.status, 200);
    }
    assert!(!ejected(&gateway.checkout().await));
}

#[tokio::test]
async fn when_no_server_is_to_be_had_the_answer_is_a_502_and_quick() {
    let (one, other) = (Nobody::listens(), Nobody::listens());
    let gateway = Running::start(&patient("").text(&[one.addr(), other.addr()]));
    let begin = Instant::now();
    for _ in 0..5 {
        assert_eq!(ask(gateway.listen, "/").await.verdict(), (502, "upstream_error"));
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

// --- which connection ---

#[tokio::test]
async fn connections_to_the_origin_are_used_again() {
    let origin = origin();
    let gateway = Running::start(&patient("").text(&[origin.addr()]));
    let mut client = gateway.client().await;
    for _ in 0..50 {
        client.get("/").await;
        assert_eq!(client.answer().await.status, 200);
        client.get("/?x-origin-behaviour=chunked&x-origin-body-bytes=30000").await;
        assert_eq!(client.answer().await.body.len(), 30_000);
        client.send(post("/", b"something")).await;
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!((origin.stats().requests, origin.stats().connections), (150, 1));
}

#[tokio::test]
async fn there_are_never_more_connections_than_permits() {
    let origin = origin();
    let gateway = Running::start(&patient("max_in_flight = 4").text(&[origin.addr()]));
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let addr = gateway.listen;
        clients.spawn(async move {
            let mut client = Client::connect(addr).await;
            for _ in 0..10 {
                client.get("/?x-origin-delay-ms=1").await;
                assert_eq!(client.answer().await.status, 200);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let stats = origin.stats();
    assert!(stats.connections <= 4, "{} connections", stats.connections);
}

#[tokio::test]
async fn a_connection_that_the_origin_has_closed_meanwhile_fails_no_request() {
    for wire in [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), post("/", b"order")] {
        let first = origin();
        let addr = first.addr();
        let gateway = Running::start(&patient("").text(&[addr]));
        assert_eq!(ask(gateway.listen, "/").await.status, 200);
        first.stop();
        let second = Origin::builder().listen(addr).start().unwrap();
        let mut client = gateway.client().await;
        client.send(&wire).await;
        assert_eq!(client.answer().await.status, 200);
        assert_eq!(second.stats().requests, 1);
    }
}

#[tokio::test]
async fn a_get_that_a_closing_connection_swallowed_is_sent_again() {
    let server = Scripted::start(&[OK]).await;
    let gateway = Running::start(&patient("").text(&[server.addr]));
    for path in ["/first", "/second", "/third"] {
        assert_eq!(ask(gateway.listen, path).await.text(), "ok");
    }
    let line = |path: &str| format!("GET {path} HTTP/1.1");
    let seen = ["/first", "/second", "/second", "/third", "/third"].map(line);
    assert!(server.seen() == seen || server.seen() == seen[..1], "{:?}", server.seen());
}

#[tokio::test]
async fn a_post_that_may_have_been_seen_is_never_sent_twice() {
    let server = Scripted::start(&[OK]).await;
    let gateway = Running::start(&patient("").text(&[server.addr]));
    assert_eq!(ask(gateway.listen, "/first").await.status, 200);
    let mut client = gateway.client().await;
    client.send(post("/order", b"1 of the last")).await;
    assert_eq!(client.answer().await.verdict(), (502, "upstream_error"));
    assert_eq!(server.seen(), ["GET /first HTTP/1.1", "POST /order HTTP/1.1"]);
    gateway.quiet().await;
}

// --- every byte ---

#[tokio::test]
async fn eight_megabytes_arrive_as_they_were_sent() {
    let origin = origin();
    let gateway = Running::start(&patient("").text(&[origin.addr()]));
    let body = pattern(8 << 20);
    let mut client = gateway.client().await;
    client.send(post("/?x-origin-behaviour=echo", &body)).await;
    let echo = client.answer().await.json();
    assert_eq!(
        (&echo["body_bytes"], &echo["body_fnv1a"]),
        (&(8 << 20).into(), &fnv1a(&body).into())
    );
}

#[tokio::test]
async fn eight_megabytes_in_chunks_arrive_as_they_were_sent() {
    let origin = origin();
    let gateway = Running::start(&patient("").text(&[origin.addr()]));
    let body = pattern(8 << 20);
    let mut client = gateway.client().await;
    client
        .send("POST /?x-origin-behaviour=echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    for chunk in body.chunks(77_777) {
        client.send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()).await;
    }
    client.send("0\r\n\r\n").await;
    let answer = client.answer().await;
    let echo = answer.json();
    assert_eq!(
        (&echo["body_bytes"], &echo["body_fnv1a"]),
        (&(8 << 20).into(), &fnv1a(&body).into())
    );
    assert_eq!(answer.echoed("transfer-encoding").as_deref(), Some("chunked"));
}

#[tokio::test]
async fn eight_megabytes_come_back_as_they_were_sent() {
    let origin = origin();
    let gateway = Running::start(&patient("").text(&[origin.addr()]));
    for behaviour in ["answer", "chunked"] {
        let path = format!("/?x-origin-body-bytes={}&x-origin-behaviour={behaviour}", 8 << 20);
        let answer = ask(gateway.listen, &path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body.len(), 8 << 20, "{behaviour}");
        assert!(answer.body.iter().all(|byte| *byte == b'x'), "{behaviour}");
    }
}

#[tokio::test]
async fn a_body_is_passed_on_piece_by_piece() {
    let origin = origin();
    let gateway = Running::start(&patient("").text(&[origin.addr()]));
    // Up: the origin has the request before the body is complete.
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    client.send("cd").await;
    assert_eq!(client.answer().await.status, 200);
    // Down: the client has the beginning before the origin has sent the end.
    client
        .get("/?x-origin-behaviour=slow-body&x-origin-body-ms=1000&x-origin-body-bytes=1000")
        .await;
    assert_eq!(client.head().await.status, 200);
    client.exactly(100).await;
    assert_eq!(origin.stats().in_flight, 1);
    client.exactly(900).await;
}

#[tokio::test]
async fn trailers_reach_a_client_that_takes_them() {
    let origin = origin();
    let gateway = Running::start(&patient("").text(&[origin.addr()]));
    let mut client = gateway.client().await;
    client
        .send(
            "GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\
             x-origin-behaviour: chunked\r\nx-origin-header: trailer: x-origin-trailer\r\n\r\n",
        )
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.body.len(), 16);
    assert_eq!(answer.trailers, "x-origin-trailer: end\r\n");
}

#[tokio::test]
async fn trailers_say_nothing_that_the_head_could_not() {
    let server = Scripted::start(&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\
         trailer: connection, x-end, x-floodgate-reason\r\n\r\n0\r\nconnection: close\r\n\
         x-end: 1\r\nx-floodgate-reason: watermark\r\ncontent-length: 3\r\n\r\n"])
    .await;
    let gateway = Running::start(&patient("").text(&[server.addr]));
    let mut client = gateway.client().await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\n\r\n").await;
    assert_eq!(client.answer().await.trailers, "x-end: 1\r\n");
}

#[tokio::test]
async fn an_answer_to_head_has_a_length_and_no_body() {
    let origin = origin();
    let gateway = Running::start(&patient("").text(&[origin.addr()]));
    let mut client = gateway.client().await;
    for _ in 0..3 {
        client.send("HEAD /?x-origin-body-bytes=5000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let answer = client.answer_to("HEAD").await;
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("5000")));
        client.get("/").await;
        assert_eq!(client.answer().await.body.len(), 16);
    }
    assert_eq!(origin.stats().connections, 1);
}

// --- beyond HTTP ---

const SWITCH: &str = "GET /?x-origin-behaviour=switch-101 HTTP/1.1\r\nhost: a\r\n\
                      connection: upgrade\r\nupgrade: websocket\r\n\r\n";

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways_and_holds_no_permit() {
    let origin = origin();
    let settings = patient("max_in_flight = 1\nbuffer = 0\nmax_upgraded = 2");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut tunnels = Vec::new();
    for count in 1..=2 {
        let mut tunnel = gateway.client().await;
        tunnel.send(SWITCH).await;
        let answer = tunnel.answer().await;
        assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")));
        tunnel.send("hello").await;
        assert_eq!(tunnel.exactly(5).await, b"hello");
        gateway
            .reach("switched", |status| status["in_flight"] == 0 && status["upgraded"] == count)
            .await;
        tunnels.push(tunnel);
    }
    assert_eq!(ask(gateway.listen, "/").await.status, 200, "the permit is free");

    let mut surplus = gateway.client().await;
    surplus.send(SWITCH).await;
    assert_eq!(surplus.answer().await.verdict(), (503, "upgrade_limit"));
    gateway.quiet().await;

    let large = pattern(1 << 20);
    let mut tunnel = tunnels.remove(0);
    for piece in large.chunks(10_000) {
        tunnel.send(piece).await;
        assert_eq!(tunnel.exactly(piece.len()).await, piece);
    }
    drop(tunnel);
    gateway.reach("one place free", |status| status["upgraded"] == 1).await;
    let mut next = gateway.client().await;
    next.send(SWITCH).await;
    assert_eq!(next.answer().await.status, 101);
    drop((next, tunnels));
    gateway.reach("all closed", |status| status["upgraded"] == 0).await;
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}
