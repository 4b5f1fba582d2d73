//! Clients that read slowly, or not at all.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::support::{Admin, Binary, Client, Running, soon};
use crate::{patient, until_open};

/// More than kernel and gateway take in for a client that does not read.
const LARGE: usize = 16_000_000;
const PATIENCE: Duration = Duration::from_millis(300);

/// Sends `wire` again and again and reads nothing, until the connection is gone.
async fn send_until_cut(addr: SocketAddr, wire: &str) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    let mut stream = soon("connect", socket.connect(addr)).await.unwrap();
    let batch = wire.repeat(50);
    for _ in 0..10_000 {
        if soon("a cut", stream.write_all(batch.as_bytes())).await.is_err() {
            return;
        }
    }
    panic!("everything is read and nothing is waited for");
}

/// A client that has read the head of its answer of so many bytes; `None` if the gateway cannot take
/// all of that answer in.
async fn unread(addr: SocketAddr, admin: Admin, bytes: usize) -> Option<Client> {
    let mut client = Client::connect_narrow(addr).await;
    client.get(&format!("/?x-origin-body-bytes={bytes}")).await;
    assert_eq!(client.head().await.status, 200);
    let begin = Instant::now();
    while admin.checkout().await["in_flight"] != 0 {
        if begin.elapsed() > PATIENCE {
            return None;
        }
    }
    Some(client)
}

/// How exactly the length of an answer is fitted to what is taken in.
const STEP: usize = 40 << 10;

/// The longest answer that kernel and gateway take in for a client that does not read; the last of it
/// is with the gateway.
async fn longest_unread(addr: SocketAddr, admin: Admin) -> usize {
    let mut longest = STEP;
    while let Some(client) = unread(addr, admin, longest + STEP).await {
        assert!(longest < 32 << 20, "the gateway takes in whole answers");
        drop(client);
        longest += STEP;
    }
    admin.quiet().await;
    longest
}

#[tokio::test]
async fn a_client_that_never_reads_loses_its_connection_and_holds_nothing() {
    let origin = Origin::builder().start().unwrap();
    let settings = patient("max_in_flight = 1", "body_timeout = \"300ms\"");
    let closed = "[[routes]]\npath = \"/closed\"\ntier = \"l1\"\nrate = \"0/s\"\n";
    let settings = settings.clone().rest(closed.to_owned() + &settings.rest);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    let (large, small) = (get("/?x-origin-body-bytes=100000"), get("/?x-origin-body-bytes=4000"));
    // Nothing but refusals would take long to fill what the kernel takes in.
    let refusals = large.clone() + &get("/closed").repeat(30);
    for wire in [large, small, refusals] {
        let begin = Instant::now();
        send_until_cut(gateway.listen, &wire).await;
        assert!(begin.elapsed() >= PATIENCE, "{wire}: cut after {:?}", begin.elapsed());
        until_open(&gateway, 0).await;
        gateway.quiet().await;
        assert_eq!(gateway.asking("/").await.answer().await.status, 200);
        until_open(&gateway, 0).await;
    }
    let metrics = gateway.metrics().await;
    metrics.closed_ledger();
    assert!(metrics.count("floodgate_rejections_total", &["reason=\"rate\""]) > 0, "none refused");
}

#[tokio::test]
async fn a_pause_in_reading_is_no_idleness() {
    const PAUSE: Duration = Duration::from_millis(600);
    let origin = Origin::builder().start().unwrap();
    let settings = patient("", "idle_timeout = \"200ms\"");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let longest = longest_unread(gateway.listen, *gateway).await;
    for bytes in [longest / 2, longest, LARGE / 2] {
        for behaviour in ["answer", "chunked"] {
            let mut client = Client::connect_narrow(gateway.listen).await;
            let path = format!("/?x-origin-body-bytes={bytes}&x-origin-behaviour={behaviour}");
            client.get(&path).await;
            // Not to wait for anything: this is the pause.
            tokio::time::sleep(PAUSE).await;
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.body.len()), (200, bytes), "{behaviour}");
            assert!(client.ends().await, "idle in the end, after a whole answer");
        }
    }
}

#[tokio::test]
async fn how_long_clients_read_is_not_how_long_the_upstream_takes() {
    const PAUSE: Duration = Duration::from_millis(600);
    // As many as end a window of the limit that is found.
    const READERS: usize = 10;
    let origin = Origin::builder().start().unwrap();
    let found = "max_in_flight = { min = 2, max = 64, start = 12, algorithm = \"vegas\" }";
    let gateway = Running::start(&patient(found, "").text(&[origin.addr()]));
    let mut clients = Vec::new();
    for _ in 0..READERS {
        let mut client = Client::connect_narrow(gateway.listen).await;
        client.get(&format!("/?x-origin-body-bytes={}", LARGE / 2)).await;
        clients.push(client);
    }
    // Not to wait for anything: this is what makes the readers slow.
    tokio::time::sleep(PAUSE).await;
    let mut readers = JoinSet::new();
    for mut client in clients {
        readers.spawn(async move { client.answer().await });
    }
    while let Some(answer) = readers.join_next().await {
        assert_eq!(answer.unwrap().body.len(), LARGE / 2);
    }
    let seen = gateway.reach("a window", |status| status["adaptive"]["latency_ms"] != 0.0).await;
    let seen = &seen["upstreams"]["checkout"];
    let millis = |value: &serde_json::Value| value.as_f64().unwrap();
    let (held, own) = (millis(&seen["mean_service_ms"]), millis(&seen["adaptive"]["latency_ms"]));
    assert!(held >= 500.0, "permits were held for {held} ms");
    assert!(own < held / 2.0, "the upstream is said to take {own} of {held} ms");
}

#[tokio::test]
async fn an_answer_that_is_never_read_does_not_end_as_if_it_were_whole() {
    let origin = Origin::builder().start().unwrap();
    let settings = patient("", "idle_timeout = \"100ms\"\nbody_timeout = \"300ms\"");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    for behaviour in ["answer", "chunked"] {
        let mut client = Client::connect_narrow(gateway.listen).await;
        client.get(&format!("/?x-origin-body-bytes={LARGE}&x-origin-behaviour={behaviour}")).await;
        assert_eq!(client.head().await.status, 200);
        until_open(&gateway, 0).await;
        assert!(client.rest().await.is_err(), "{behaviour}: an orderly end");
    }
    gateway.quiet().await;
}

#[tokio::test]
async fn a_drain_gives_all_slow_readers_every_byte() {
    const CLIENTS: usize = 20;
    let origin = Origin::builder().start().unwrap();
    let mut gateway = Binary::start(&patient("", "drain = \"8s\"").text(&[origin.addr()]));
    let mut most = longest_unread(gateway.listen, gateway.admin).await;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        // What the kernel takes in differs a little from one connection to the next.
        let client = loop {
            match unread(gateway.listen, gateway.admin, most).await {
                Some(client) => break client,
                None => most = most.checked_sub(STEP).expect("nothing is taken in"),
            }
        };
        clients.push((client, most));
    }
    let owed = gateway.admin.status().await["active_requests"].as_u64().unwrap();
    assert!(owed > 0, "nothing is left in the gateway of {most} bytes each");
    gateway.signal("TERM");
    gateway.draining().await;
    // Not to wait for anything: this is what makes the readers slow.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut reading = JoinSet::new();
    for (mut client, length) in clients {
        reading.spawn(async move { (client.exactly(length).await.len(), length) });
    }
    for (read, length) in reading.join_all().await {
        assert_eq!(read, length);
    }
    assert_eq!(gateway.ended().await.code(), Some(0));
}
