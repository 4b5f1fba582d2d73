//! Bodies that come slowly, broken, or not at all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::recorder::{Recorder, Then};
use crate::support::{Client, Running, Settings, ask, one_tier, post, reach};
use crate::{patient, until_open};

const PERMITS: usize = 8;
/// Requests that may hold a permit while their bodies are still to come.
const UPLOADS: u64 = 2;

/// Three times as many clients as there are permits send `head` and never its body.
async fn others_are_served_beside(head: &str) {
    let origin = Origin::builder().concurrency_limit(PERMITS).start().unwrap();
    let rest = one_tier("max_wait = \"1s\"\ndeadline = \"4s\"");
    let settings = Settings::upstream(&format!("max_in_flight = {PERMITS}\nbuffer = 8")).rest(rest);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut slow = Vec::new();
    for _ in 0..3 * PERMITS {
        let mut client = gateway.client().await;
        client.send(head).await;
        slow.push(client);
    }
    gateway.reach("held by uploads", |status| status["in_flight"] == UPLOADS).await;

    let (begin, mut served, mut mean) = (Instant::now(), 0, 0f64);
    let mut client = gateway.client().await;
    loop {
        for wire in [b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), post("/", b"whole")] {
            client.send(wire).await;
            assert_eq!(client.answer().await.status, 200);
        }
        served += 1;
        let status = gateway.checkout().await;
        let in_flight = status["in_flight"].as_u64().unwrap();
        assert!(in_flight <= UPLOADS, "{in_flight} of {PERMITS} held by nothing");
        mean = mean.max(status["mean_service_ms"].as_f64().unwrap());
        // Where another upload wants its place, one that has paused gives way.
        if in_flight < UPLOADS {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(3), "held until the deadline");
    }
    assert!(served > 3, "{served} served in {:?}", begin.elapsed());
    assert!(mean < 80.0, "the mean rose to {mean} ms");

    for mut client in slow {
        let mut answer = client.answer_to("HEAD").await;
        if answer.status == 100 {
            answer = client.answer_to("HEAD").await;
        }
        let expected = [(408, "request_timeout"), (503, "buffer_full")];
        assert!(expected.contains(&answer.verdict()), "{answer:?}");
    }
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
    assert_eq!(origin.stats().over_limit, 0);
}

#[tokio::test]
async fn bodies_that_never_come_stop_nobody_else() {
    others_are_served_beside("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n").await;
}

#[tokio::test]
async fn chunks_that_never_come_stop_nobody_else() {
    others_are_served_beside("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
}

#[tokio::test]
async fn a_100_that_nobody_follows_stops_nobody_else() {
    others_are_served_beside(
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n",
    )
    .await;
}

#[tokio::test]
async fn a_pause_that_keeps_nobody_waiting_is_forgiven() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&patient("max_in_flight = 8", "").text(&[origin.addr()]));
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    // Not to wait for anything: this is the pause.
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    client.send("cde").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn where_permits_are_few_one_may_still_be_held_by_an_upload() {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&patient("max_in_flight = 2", "").text(&[origin.addr()]));
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    assert_eq!(ask(gateway.listen, "/").await.status, 200);
    client.send("cde").await;
    assert_eq!(client.answer().await.status, 200);
}

/// A client that sends a byte of `length` now and then; the answer, and the mean service time then.
async fn trickle(length: usize) -> (u16, f64) {
    let origin = Origin::builder().start().unwrap();
    let rest = one_tier("max_wait = \"1s\"\ndeadline = \"1500ms\"");
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr()]));
    let mut client = gateway.client().await;
    client.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n")).await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    for _ in 0..length.min(12) {
        // Not to wait for anything: this is what makes the sender slow.
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send("a").await;
    }
    let answer = client.answer().await;
    gateway.quiet().await;
    (answer.status, gateway.checkout().await["mean_service_ms"].as_f64().unwrap())
}

#[tokio::test]
async fn how_long_a_client_sends_is_not_how_long_the_upstream_takes() {
    let (whole, cut) = tokio::join!(trickle(6), trickle(1000));
    assert_eq!((whole.0, cut.0), (200, 408));
    assert!(whole.1 < 80.0, "the mean rose to {} ms by a body that came", whole.1);
    assert!(cut.1 < 80.0, "the mean rose to {} ms by a body that did not", cut.1);
}

#[tokio::test]
async fn a_chunk_that_breaks_within_a_piece_is_a_400_and_reaches_nobody_as_a_whole() {
    let server = Recorder::start(&[], Then::Silence).await;
    let gateway = Running::start(&patient("max_in_flight = 1", "").text(&[server.addr]));
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\na\r\nhello").await;
    server.sees("hello").await;
    let begin = Instant::now();
    client.send("worldXX").await;
    assert_eq!(client.answer().await.verdict(), (400, "bad_request"));
    gateway.quiet().await;
    assert!(begin.elapsed() < Duration::from_millis(700), "{:?}", begin.elapsed());
    server.left().await;
    let text = server.text();
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(!body.contains("0\r\n\r\n"), "made to look whole: {body:?}");
    let data: String = body.split("\r\n").filter(|line| line.len() > 1).collect();
    assert!("helloworld".starts_with(&data), "not what the client sent: {body:?}");
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn a_body_that_follows_its_100_promptly_has_waited_for_nothing() {
    let origin = Origin::builder().start().unwrap();
    let settings = patient("max_in_flight = 1", "body_timeout = \"200ms\"");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let held = gateway.holding(&origin).await;
    let mut client = gateway.client().await;
    client
        .send(
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\
             x-origin-behaviour: echo\r\n\r\n",
        )
        .await;
    gateway.queued(1).await;
    // Not to wait for anything: the stay in the buffer is longer than the patience with a body.
    tokio::time::sleep(Duration::from_millis(500)).await;
    gateway.queued(1).await;
    drop(held);
    assert_eq!(client.head().await.status, 100);
    client.send("hello").await;
    assert_eq!(client.answer().await.json()["body"], "hello");
}

#[tokio::test]
async fn a_stray_line_end_behind_a_body_is_no_head_that_is_late() {
    let origin = Origin::builder().start().unwrap();
    let settings = patient("", "header_timeout = \"150ms\"\nidle_timeout = \"600ms\"");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    let begin = Instant::now();
    assert!(client.ends().await, "something was said");
    assert!(begin.elapsed() > Duration::from_millis(500), "closed after {:?}", begin.elapsed());
    until_open(&gateway, 0).await;

    // Nor is what follows it lost.
    let mut client: Client = gateway.client().await;
    client.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    client.get("/").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_client_is_not_blamed_for_the_time_that_connecting_takes() {
    // Its queue is full at first, so that the handshake takes the second that a lost packet costs.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener.into()).unwrap();
    let addr = listener.local_addr().unwrap();
    let in_the_way = TcpStream::connect(addr).await.unwrap();
    let settings = patient("connect_timeout = \"3s\"", "");
    let gateway = Running::start(&settings.text(&[addr]));
    let mut client = gateway.client().await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    client.send(head).await;
    gateway.reach("asking", |status| status["in_flight"] == 1).await;
    // Not to wait for anything: the first attempt is to be lost.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let origin = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut came = Vec::new();
        while !came.ends_with(b"hello") {
            assert!(stream.read_buf(&mut came).await.unwrap() > 0, "no body");
        }
        stream.write_all(crate::OK.as_bytes()).await.unwrap();
    });
    assert_eq!(client.head().await.status, 100);
    client.send("hello").await;
    assert_eq!(client.answer().await.status, 200);
    origin.await.unwrap();
    drop(in_the_way);
}

#[tokio::test]
async fn a_server_that_answers_and_leaves_before_it_has_read_the_body_is_understood() {
    const ANSWER: &[u8] =
        b"HTTP/1.1 409 Conflict\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Running::start(&patient("", "").text(&[listener.local_addr().unwrap()]));
    let origin = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut came = [0; 1000];
            stream.read_exact(&mut came).await.unwrap();
            stream.write_all(ANSWER).await.unwrap();
        }
    });
    // More than is sent at once, and less than would keep the client from reading.
    let request = post("/", &vec![b'b'; 100_000]);
    for round in 0..30 {
        let mut client = gateway.client().await;
        client.send(&request).await;
        assert_eq!(client.answer().await.status, 409, "{round}");
    }
    origin.abort();
}
