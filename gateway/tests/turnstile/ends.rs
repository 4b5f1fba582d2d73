//! How a connection ends: by the client, by its wish, by drain.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Binary, Client, Running, SOON, reach, soon};
use crate::{closes, get, is_refused, is_served, settings, start};

use floodgate_loadtest::origin::Origin;

/// Everything that is answered to a client that sends this and ends its side at once.
async fn half_closed(gateway: &Running, wire: &str) -> String {
    let mut stream = TcpStream::connect(gateway.listen).await.unwrap();
    stream.write_all(wire.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut came = String::new();
    soon("the end", stream.read_to_string(&mut came)).await.unwrap();
    came
}

/// Waits until so many connections are open.
async fn until_open(gateway: &Running, open: u64) {
    let begin = Instant::now();
    while gateway.status().await["connections"]["open"] != open {
        assert!(begin.elapsed() < SOON, "never {open} connections");
    }
}

#[tokio::test]
async fn a_client_that_half_closes_behind_refused_requests_gets_whole_answers_and_an_end() {
    let (_origin, gateway) = start("");
    for _ in 0..50 {
        let came = half_closed(&gateway, &get("/closed").repeat(3)).await;
        // Whoever leaves with the last byte may be taken for gone; half an answer is none.
        let whole = came.matches("\"reason\":\"rate\"").count();
        assert_eq!(came.matches("HTTP/1.1 503").count(), whole, "{came}");
        assert!(whole <= 3, "{came}");
    }
    until_open(&gateway, 0).await;
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn a_client_that_half_closes_behind_a_served_request_gives_its_permit_back() {
    let (origin, gateway) = start("");
    for behind in ["", "/closed", "/open"] {
        origin.hold();
        let before = origin.stats().requests;
        let behind = if behind.is_empty() { String::new() } else { get(behind) };
        let mut stream = TcpStream::connect(gateway.listen).await.unwrap();
        stream.write_all(format!("{}{behind}", get("/open")).as_bytes()).await.unwrap();
        reach(&origin, |stats| stats.requests == before + 1).await;
        stream.shutdown().await.unwrap();
        // The end of its side is its leaving.
        let mut came = Vec::new();
        soon("the end", stream.read_to_end(&mut came)).await.unwrap();
        assert!(came.is_empty(), "{}", came.escape_ascii());
        gateway.quiet().await;
        origin.release();
    }
    closes(&gateway, 3).await;
    until_open(&gateway, 0).await;
}

#[tokio::test]
async fn a_client_that_half_closes_within_a_head_gets_the_answers_before_it() {
    let (_origin, gateway) = start("");
    for first in ["/closed", "/open"] {
        let mut stream = TcpStream::connect(gateway.listen).await.unwrap();
        let wire = format!("{}GET /closed HTTP/1.1\r\nhost", get(first));
        stream.write_all(wire.as_bytes()).await.unwrap();
        let mut came = vec![0; 9];
        soon("an answer", stream.read_exact(&mut came)).await.unwrap();
        stream.shutdown().await.unwrap();
        soon("the end", stream.read_to_end(&mut came)).await.unwrap();
        let came = String::from_utf8(came).unwrap();
        assert_eq!(came.matches("HTTP/1.1 ").count(), 1, "{came}");
        assert!(came.trim_end().ends_with('}'), "not whole: {came}");
    }
    closes(&gateway, 2).await;
    until_open(&gateway, 0).await;
}

#[tokio::test]
async fn a_client_that_leaves_in_between_leaves_nothing_behind() {
    let (_origin, gateway) = start("");
    for past in [&["/closed"][..], &["/open"], &["/open", "/closed"], &["/closed", "/open"]] {
        for is_reset in [false, true] {
            let mut client = gateway.client().await;
            for &target in past {
                client.send(get(target)).await;
                client.answer().await;
            }
            if is_reset { client.reset() } else { drop(client) }
        }
    }
    until_open(&gateway, 0).await;
    closes(&gateway, 12).await;
}

#[tokio::test]
async fn close_ends_the_connection_behind_its_own_answer() {
    let (origin, gateway) = start("");
    for target in ["/closed", "/open", "/nowhere"] {
        for first in ["/closed", "/open"] {
            let mut client = gateway.client().await;
            let last = format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
            client.send(format!("{}{last}{}", get(first), get("/open/never"))).await;
            client.answer().await;
            let answer = client.answer().await;
            assert_eq!(answer.header("connection"), Some("close"), "{target}: {answer:?}");
            assert!(client.ends().await, "{target}: more than it asked for");
        }
    }
    closes(&gateway, 3 * 2 * 2).await;
    assert_eq!(origin.stats().requests, 3 + 2);
}

#[tokio::test]
async fn a_drain_tells_every_connection_to_close_wherever_it_waits() {
    let origin = Origin::builder().start().unwrap();
    let mut gateway = Binary::start(&settings("").text(&[origin.addr()]));
    let mut clients = Vec::new();
    let verdicts = [("/closed", (503, "draining")), ("/open", (503, "draining"))];
    let verdicts = [verdicts[0], verdicts[1], ("/nowhere", (404, "no_route"))];
    for past in [&[][..], &["/closed"], &["/open"], &["/closed", "/open"], &["/open", "/closed"]] {
        for verdict in verdicts {
            let mut client = Client::connect(gateway.listen).await;
            for &target in past {
                match target {
                    "/open" => is_served(&mut client, target).await,
                    _ => is_refused(&mut client, target, (503, "rate")).await,
                }
            }
            clients.push((client, verdict));
        }
    }
    let before = origin.stats().requests;
    origin.hold();
    let mut inside = gateway.asking("/open").await;
    reach(&origin, |stats| stats.requests == before + 1).await;
    gateway.signal("TERM");
    gateway.draining().await;
    for (mut client, (target, verdict)) in clients {
        client.send(get(target)).await;
        let answer = client.answer().await;
        assert_eq!(answer.verdict(), verdict);
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        assert!(client.ends().await, "more than an answer");
    }
    gateway.admin.metrics().await;
    origin.release();
    let answer = inside.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(gateway.ended().await.code(), Some(0));
}
