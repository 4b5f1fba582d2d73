//! Bodies of requests that are refused and of such that are served, when they come late.

use crate::support::reach;
use crate::{answers, closes, get, is_refused, is_served, start};

const SMUGGLED: &str = "GET /open/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";

fn head(target: &str, length: usize) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nhost: a\r\nx-origin-behaviour: echo\r\n\
         content-length: {length}\r\n\r\n"
    )
}

#[tokio::test]
async fn the_late_body_of_a_refused_request_is_no_request() {
    let (origin, gateway) = start("");
    let mut client = gateway.client().await;
    for target in ["/closed", "/shut", "/nowhere"] {
        client.send(head(target, SMUGGLED.len())).await;
        assert!([404, 503].contains(&client.answer().await.status));
        let (one, other) = SMUGGLED.split_at(30);
        client.send(one).await;
        is_refused(&mut gateway.client().await, "/closed", (503, "rate")).await;
        client.send(format!("{other}{}", get("/closed"))).await;
        assert_eq!(client.answer().await.verdict(), (503, "rate"));
        is_served(&mut client, "/open/behind").await;
    }
    closes(&gateway, 3 * 4).await;
    assert_eq!(origin.stats().requests, 3);
}

#[tokio::test]
async fn a_late_body_of_64_kib_still_keeps_the_connection() {
    let (origin, gateway) = start("");
    let mut client = gateway.client().await;
    let body = SMUGGLED.repeat(2000);
    let body = &body[..64 * 1024];
    client.send(head("/closed", body.len())).await;
    assert_eq!(client.answer().await.verdict(), (503, "rate"));
    for piece in body.as_bytes().chunks(1000) {
        client.send(piece).await;
    }
    is_served(&mut client, "/open/behind").await;
    closes(&gateway, 2).await;
    assert_eq!(origin.stats().requests, 1);
}

#[tokio::test]
async fn the_late_rest_of_a_body_that_no_server_could_be_given_is_no_request() {
    let (origin, gateway) = start("");
    let mut client = gateway.client().await;
    let body = SMUGGLED.repeat(2000);
    let (one, other) = body[..60 * 1024].split_at(20 * 1024);
    for _ in 0..3 {
        client.send(format!("{}{one}", head("/nobody", 60 * 1024))).await;
        assert_eq!(client.answer().await.verdict(), (502, "upstream_error"));
        client.send(other).await;
        is_served(&mut client, "/open/behind").await;
    }
    // What is left of this one is too much.
    client.send(format!("{}{one}", head("/nobody", 100 * 1024))).await;
    assert_eq!(client.answer().await.verdict(), (502, "upstream_error"));
    assert!(client.ends().await, "more than an answer");
    closes(&gateway, 3 * 2 + 1).await;
    assert_eq!(origin.stats().requests, 3);
}

#[tokio::test]
async fn the_late_chunks_of_a_refused_request_are_no_request() {
    let (origin, gateway) = start("");
    let mut client = gateway.client().await;
    client.send("POST /closed HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert_eq!(client.answer().await.verdict(), (503, "rate"));
    client.send(format!("{:x}\r\n{SMUGGLED}\r\n0\r\n", SMUGGLED.len())).await;
    is_refused(&mut gateway.client().await, "/closed", (503, "rate")).await;
    client.send(format!("\r\n{}", get("/open/behind"))).await;
    answers(&client.answer().await, "/open/behind");
    closes(&gateway, 3).await;
    assert_eq!(origin.stats().requests, 1);
}

#[tokio::test]
async fn the_late_body_of_a_served_request_reaches_its_upstream_whole() {
    let (origin, gateway) = start("");
    let mut client = gateway.client().await;
    is_refused(&mut client, "/closed", (503, "rate")).await;
    for (round, byte_by_byte) in [(1, false), (2, true)] {
        client.send(head("/open/late", SMUGGLED.len())).await;
        // It has waited long enough to be at the upstream without its body.
        reach(&origin, |stats| stats.requests == round).await;
        if byte_by_byte {
            for byte in SMUGGLED.bytes() {
                client.send([byte]).await;
                is_refused(&mut gateway.client().await, "/closed", (503, "rate")).await;
            }
            client.send(get("/closed")).await;
        } else {
            client.send(format!("{SMUGGLED}{}", get("/closed"))).await;
        }
        let answer = client.answer().await;
        answers(&answer, "/open/late");
        assert_eq!(answer.json()["body"], SMUGGLED);
        assert_eq!(client.answer().await.verdict(), (503, "rate"));
    }
    closes(&gateway, 1 + 2 * 2 + SMUGGLED.len() as u64).await;
    assert_eq!(origin.stats().requests, 2);
}

#[tokio::test]
async fn a_refusal_is_read_whole_while_the_body_is_still_being_sent() {
    const STEP: usize = 64 * 1024;
    let (origin, gateway) = start("");
    for (target, verdict, length) in [
        ("/closed", (503, "rate"), 900 * 1024),
        ("/shut", (503, "closed"), 900 * 1024),
        ("/nowhere", (404, "no_route"), 100 * STEP),
        ("/small", (413, "body_too_large"), 100 * STEP),
    ] {
        let mut client = gateway.client().await;
        client.send(head(target, length)).await;
        client.send(vec![b'x'; STEP]).await;
        let answer = client.answer().await;
        assert_eq!(answer.verdict(), verdict);
        assert_eq!(answer.json()["reason"], verdict.1);
        // No more than is read and thrown away: a client that sends on for ever is reset.
        for _ in 0..10 {
            client.send(vec![b'x'; STEP]).await;
        }
        assert!(client.ends().await, "more than an answer");
    }
    closes(&gateway, 4).await;
    assert_eq!(origin.stats().requests, 0);
}

#[tokio::test]
async fn a_refusal_is_not_lost_to_a_body_that_is_sent_first() {
    let (_origin, gateway) = start("");
    let mut client = gateway.client().await;
    client.send(head("/closed", 900 * 1024)).await;
    client.send(vec![b'x'; 900 * 1024]).await;
    let answer = client.answer().await;
    assert_eq!(answer.verdict(), (503, "rate"));
    assert!(client.ends().await, "more than an answer");
    closes(&gateway, 1).await;
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body_and_the_next_answer_stands_behind_it() {
    let (_origin, gateway) = start("");
    let mut client = gateway.client().await;
    let mut sent = 0;
    for target in ["/closed", "/shut", "/nowhere"] {
        let ask = format!("HEAD {target} HTTP/1.1\r\nhost: a\r\n\r\n");
        client.send(format!("{ask}{ask}{}", get("/open"))).await;
        for _ in 0..2 {
            let answer = client.answer_to("HEAD").await;
            assert!([404, 503].contains(&answer.status), "{answer:?}");
            let length = answer.header("content-length").unwrap();
            assert!(length.parse::<usize>().unwrap() > 0, "{length}");
        }
        answers(&client.answer().await, "/open");
        sent += 3;
    }
    closes(&gateway, sent).await;
}
