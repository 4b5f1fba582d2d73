//! The origin counts exactly, speaks HTTP/1.1, and misbehaves as it is told.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

use std::time::Duration;

use floodgate_loadtest::origin::{Freeze, Origin, OriginHandle, OriginStats, ServiceTime};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

const SOON: Duration = Duration::from_secs(5);

async fn connect(origin: &OriginHandle) -> TcpStream {
    TcpStream::connect(origin.addr()).await.unwrap()
}

async fn send(origin: &OriginHandle, wire: &str) -> TcpStream {
    let mut stream = connect(origin).await;
    stream.write_all(wire.as_bytes()).await.unwrap();
    stream
}

/// Everything to the end of the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("the end in time").unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The answer to a request that closes its connection.
async fn ask(origin: &OriginHandle, wire: &str) -> String {
    rest(send(origin, wire).await).await
}

/// Reads until `end` has come.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        let byte = timeout(SOON, stream.read_u8()).await.expect("an answer in time").unwrap();
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap()
}

async fn reach(origin: &OriginHandle, wanted: impl Fn(&OriginStats) -> bool) -> OriginStats {
    origin.wait_for(SOON, wanted).await.expect("the counts in time")
}

#[tokio::test]
async fn peak_concurrency_and_over_limit_are_exact() {
    let origin = Origin::builder().concurrency_limit(3).start().unwrap();
    origin.hold();
    let mut streams = Vec::new();
    for _ in 0..5 {
        streams.push(send(&origin, "GET /orders/1 HTTP/1.1\r\nconnection: close\r\n\r\n").await);
    }
    let stats = reach(&origin, |stats| stats.in_flight == 5).await;
    assert_eq!((stats.peak_concurrency, stats.over_limit, stats.answered), (5, 2, 0));
    origin.release();
    for stream in streams {
        assert!(rest(stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
    }
    let stats = reach(&origin, |stats| stats.in_flight == 0).await;
    assert_eq!((stats.peak_concurrency, stats.requests, stats.answered), (5, 5, 5));
    assert_eq!((stats.by_prefix["/orders"], stats.client_left), (5, 0));
}

#[tokio::test]
async fn sequential_requests_never_look_concurrent() {
    let origin = Origin::builder().concurrency_limit(1).start().unwrap();
    for _ in 0..200 {
        ask(&origin, "GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    }
    let stats = origin.stats();
    assert_eq!((stats.requests, stats.peak_concurrency, stats.over_limit), (200, 1, 0));
}

#[tokio::test]
async fn a_client_that_leaves_is_work_for_nobody() {
    let origin = Origin::builder().concurrency_limit(1).start().unwrap();
    origin.hold();
    let stream = send(&origin, "GET / HTTP/1.1\r\n\r\n").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    drop(stream);
    let stats = reach(&origin, |stats| stats.client_left == 1).await;
    assert_eq!((stats.in_flight, stats.answered), (0, 0));
}

#[tokio::test]
async fn whoever_left_before_does_not_count_against_whoever_comes() {
    let origin = Origin::builder().concurrency_limit(1).spawn().unwrap();
    let wire = "GET /?x-origin-behaviour=never-answer HTTP/1.1\r\n\r\n";
    let leaving = send(&origin, wire).await;
    let coming = connect(&origin).await;
    reach(&origin, |stats| stats.in_flight == 1 && stats.open_connections == 2).await;
    // Nothing here yields, so the origin learns of all three at once, and of the newcomer first.
    coming.try_write(b"GET / HTTP/1.1\r\n").unwrap();
    drop(leaving);
    coming.try_write(b"connection: close\r\n\r\n").unwrap();
    assert!(rest(coming).await.starts_with("HTTP/1.1 200 OK\r\n"));
    let stats = origin.stats();
    assert_eq!((stats.client_left, stats.over_limit, stats.peak_concurrency), (1, 0, 1));
}

#[tokio::test]
async fn pipelined_requests_with_bodies_are_told_apart() {
    let origin = Origin::builder().start().unwrap();
    let answer = ask(
        &origin,
        "POST /a HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello\
         POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
         GET /c HTTP/1.1\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    let prefixes: Vec<_> = origin.stats().by_prefix.into_keys().collect();
    assert_eq!(prefixes, ["/a", "/b", "/c"]);
}

#[tokio::test]
async fn a_body_that_breaks_its_framing_is_answered_with_400() {
    let origin = Origin::builder().start().unwrap();
    let wire = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n";
    let mut stream = send(&origin, wire).await;
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    drop(stream);
    let stats = reach(&origin, |stats| stats.in_flight == 0).await;
    assert_eq!((stats.bad_requests, stats.answered, stats.client_left), (1, 0, 0));
}

#[tokio::test]
async fn an_echo_says_what_arrived() {
    let origin = Origin::builder().start().unwrap();
    let answer = ask(
        &origin,
        "POST /p?q=1 HTTP/1.1\r\nHost: a\r\nX-Twice: 1\r\nx-twice: 2\r\nConnection: close\r\n\
         x-origin-behaviour: echo\r\ntransfer-encoding: chunked\r\n\r\n3\r\nfoo\r\n3\r\nbar\r\n0\r\n\r\n",
    )
    .await;
    let json = answer.split_once("\r\n\r\n").unwrap().1;
    let echo: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!((&echo["method"], &echo["target"]), (&"POST".into(), &"/p?q=1".into()));
    assert_eq!(echo["headers"][1], serde_json::json!(["X-Twice", "1"]));
    assert_eq!(echo["headers"][2], serde_json::json!(["x-twice", "2"]));
    assert_eq!((&echo["body"], &echo["body_bytes"]), (&"foobar".into(), &6.into()));
    // The published test vector of FNV-1a for this text.
    assert_eq!(echo["body_fnv1a"], "85944171f73967e8");
}

#[tokio::test]
async fn instructions_change_one_answer() {
    let origin = Origin::builder().header("x-origin-name", "a").start().unwrap();
    let answer = ask(
        &origin,
        "GET / HTTP/1.1\r\nconnection: close\r\nx-origin-status: 409\r\n\
         x-origin-body-bytes: 100000\r\nx-origin-header: Keep-Alive: timeout=5\r\n\r\n",
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 409 Conflict\r\ncontent-length: 100000\r\n"), "{head}");
    assert!(head.contains("x-origin-name: a") && head.contains("Keep-Alive: timeout=5"), "{head}");
    assert_eq!(body.len(), 100_000);
}

#[tokio::test]
async fn every_misbehaviour_is_the_one_asked_for() {
    let origin = Origin::builder().body_bytes(20_000).start().unwrap();
    let ask = async |behaviour: &str| {
        let wire = format!(
            "GET / HTTP/1.1\r\nconnection: close\r\nx-origin-body-ms: 20\r\n\
             x-origin-behaviour: {behaviour}\r\n\r\n"
        );
        ask(&origin, &wire).await
    };
    let chunked = ask("chunked").await;
    assert!(chunked.contains("transfer-encoding: chunked\r\n"));
    assert!(chunked.ends_with("0\r\nx-origin-trailer: end\r\n\r\n"));
    assert_eq!(ask("close-before-answer").await, "");
    assert!(ask("early-hints").await.starts_with("HTTP/1.1 103 Early Hints\r\n"));
    assert!(!ask("garbage").await.starts_with("HTTP"));
    let body = |answer: String| answer.split_once("\r\n\r\n").unwrap().1.len();
    assert_eq!(body(ask("slow-body").await), 20_000);
    assert_eq!(body(ask("truncate").await), 10_000);
    assert!(ask("explode").await.starts_with("HTTP/1.1 400 "));

    let mut stream = send(&origin, "GET / HTTP/1.1\r\nx-origin-behaviour: reset\r\n\r\n").await;
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_early_answer_can_be_read_by_a_client_that_goes_on_sending() {
    let origin = Origin::builder().start().unwrap();
    let mut stream = send(
        &origin,
        "POST / HTTP/1.1\r\ncontent-length: 100000\r\nx-origin-status: 503\r\n\
         x-origin-behaviour: early-answer\r\n\r\n",
    )
    .await;
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("connection: close"), "{head}");
    stream.write_all(&[b'a'; 50_000]).await.unwrap();
    assert_eq!(rest(stream).await.len(), 16);
}

#[tokio::test]
async fn a_body_is_asked_for_when_the_client_expects_it() {
    let origin = Origin::builder().start().unwrap();
    let mut stream = send(
        &origin,
        "PUT / HTTP/1.1\r\ncontent-length: 2\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert_eq!(read_until(&mut stream, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"ab").await.unwrap();
    assert!(rest(stream).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn after_a_switch_every_byte_comes_back() {
    let origin = Origin::builder().start().unwrap();
    let mut stream = send(
        &origin,
        "GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         x-origin-behaviour: switch-101\r\n\r\nearly",
    )
    .await;
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.contains("upgrade: websocket"), "{head}");
    assert_eq!(read_until(&mut stream, "early").await, "early");
    stream.write_all(b"later").await.unwrap();
    assert_eq!(read_until(&mut stream, "later").await, "later");
}

#[tokio::test]
async fn head_and_204_have_no_body() {
    let origin = Origin::builder().start().unwrap();
    let head = ask(&origin, "HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(head.contains("content-length: 16\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let none = "GET /?x-origin-status=204 HTTP/1.1\r\nconnection: close\r\n\r\n";
    let none = ask(&origin, none).await;
    assert!(!none.contains("content-length") && none.ends_with("\r\n\r\n"), "{none}");
}

#[tokio::test]
async fn service_time_begins_with_the_last_byte_of_the_body() {
    let time = Duration::from_millis(50);
    let origin = Origin::builder().service_time(ServiceTime::Fixed(time)).start().unwrap();
    let head = "POST / HTTP/1.1\r\nconnection: close\r\ncontent-length: 1\r\n\r\n";
    let mut stream = send(&origin, head).await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    let complete = Instant::now();
    stream.write_all(b"a").await.unwrap();
    rest(stream).await;
    // The origin takes off up to a millisecond for its timer.
    assert!(complete.elapsed() >= time - Duration::from_millis(1));
}

#[tokio::test]
async fn a_freeze_holds_every_answer_and_ends() {
    let lasting = Duration::from_millis(100);
    let freeze = Freeze { after_requests: 1, lasting };
    let origin = Origin::builder().freeze(freeze).start().unwrap();
    let request = "GET / HTTP/1.1\r\nconnection: close\r\n\r\n";
    ask(&origin, request).await;
    let begin = Instant::now();
    ask(&origin, request).await;
    assert!(begin.elapsed() >= lasting);
    assert_eq!(origin.stats().answered, 2);
}

#[tokio::test]
async fn the_counts_can_be_read_over_http_and_are_not_counted() {
    let origin = Origin::builder().concurrency_limit(7).start().unwrap();
    let wire = "GET /__origin/stats HTTP/1.1\r\nconnection: close\r\n\r\n";
    let answer = ask(&origin, wire).await;
    let stats: OriginStats =
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((stats.requests, stats.concurrency_limit), (0, 7));
}

#[tokio::test]
async fn a_stopped_origin_has_closed_its_port() {
    let origin = Origin::builder().start().unwrap();
    let (addr, idle) = (origin.addr(), connect(&origin).await);
    origin.stop();
    assert!(TcpStream::connect(addr).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn an_origin_inside_the_runtime_answers_too() {
    let origin = Origin::builder().spawn().unwrap();
    let answer = ask(&origin, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
