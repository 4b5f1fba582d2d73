//! Requests behind requests.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::support::{Client, reach, soon};
use crate::{answers, closes, get, is_refused, is_served, request, start};

/// What a pipeline is made of: a request that is numbered, and what has to come of it.
const KINDS: [(&str, &str, &str, u16); 6] = [
    ("GET", "/open", "", 200),
    ("GET", "/closed", "", 503),
    ("GET", "/nowhere", "", 404),
    ("POST", "/open", "GET /open/smuggled HTTP/1.1\r\nhost: a\r\n\r\n", 200),
    ("POST", "/shut", "GET /open/smuggled HTTP/1.1\r\nhost: a\r\n\r\n", 503),
    ("HEAD", "/closed", "", 503),
];

/// The request of this kind as number `at` of its connection.
fn wire(kind: usize, at: usize) -> String {
    let (method, path, body, _) = KINDS[kind];
    request(method, &format!("{path}/{at}"), body)
}

/// Reads the answer to the request of this kind.
async fn is_answered(client: &mut Client, kind: usize, at: usize) {
    let (method, path, _, status) = KINDS[kind];
    let answer = client.answer_to(method).await;
    assert_eq!(answer.status, status, "number {at} of this kind: {method} {path}: {answer:?}");
    if status == 200 {
        answers(&answer, &format!("{path}/{at}"));
    }
}

/// All ways to put three requests behind each other.
fn pipelines() -> impl Iterator<Item = [usize; 3]> {
    let each = || 0..KINDS.len();
    each().flat_map(move |a| each().flat_map(move |b| each().map(move |c| [a, b, c])))
}

#[tokio::test]
async fn refused_and_served_requests_are_answered_in_their_order_whatever_it_is() {
    let (origin, gateway) = start("");
    let (mut client, mut sent, mut served) = (gateway.client().await, 0, 0);
    for pipeline in pipelines() {
        let whole: String = pipeline.iter().enumerate().map(|(at, &kind)| wire(kind, at)).collect();
        client.send(whole).await;
        for (at, &kind) in pipeline.iter().enumerate() {
            is_answered(&mut client, kind, at).await;
            sent += 1;
            served += u64::from(KINDS[kind].3 == 200);
        }
    }
    closes(&gateway, sent).await;
    assert_eq!(origin.stats().requests, served);
}

#[tokio::test]
async fn where_a_pipeline_is_cut_makes_no_difference() {
    let (origin, gateway) = start("");
    let pipeline = [0, 1, 3, 4, 0];
    let whole: String = pipeline.iter().enumerate().map(|(at, &kind)| wire(kind, at)).collect();
    let mut client = gateway.client().await;
    let mut other = gateway.client().await;
    for cut in 1..whole.len() {
        client.send(&whole[..cut]).await;
        // There is one worker: once this is answered, it has read what was sent before.
        is_refused(&mut other, "/closed", (503, "rate")).await;
        client.send(&whole[cut..]).await;
        for (at, &kind) in pipeline.iter().enumerate() {
            is_answered(&mut client, kind, at).await;
        }
    }
    let rounds = whole.len() as u64 - 1;
    closes(&gateway, 6 * rounds).await;
    assert_eq!(origin.stats().requests, 3 * rounds);
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let (origin, gateway) = start("");
    let mut client = gateway.client().await;
    let mut other = gateway.client().await;
    let mut sent = 0;
    for (kind, _) in KINDS.iter().enumerate().chain(KINDS.iter().enumerate()) {
        let wire = wire(kind, 0);
        for byte in wire.bytes() {
            client.send([byte]).await;
            is_refused(&mut other, "/closed", (503, "rate")).await;
        }
        is_answered(&mut client, kind, 0).await;
        sent += 1 + wire.len() as u64;
    }
    closes(&gateway, sent).await;
    assert_eq!(origin.stats().requests, 4);
}

#[tokio::test]
async fn what_is_sent_before_the_answer_to_a_served_request_waits_for_it() {
    let (origin, gateway) = start("");
    for behind in pipelines() {
        origin.hold();
        let before = origin.stats().requests;
        let mut client = gateway.client().await;
        client.send(get("/open/first")).await;
        reach(&origin, |stats| stats.requests == before + 1).await;
        for (at, &kind) in behind.iter().enumerate() {
            client.send(wire(kind, at)).await;
        }
        // The worker has read it, and leaves it alone.
        is_refused(&mut gateway.client().await, "/closed", (503, "rate")).await;
        assert_eq!(origin.stats().requests, before + 1);
        origin.release();
        answers(&client.answer().await, "/open/first");
        for (at, &kind) in behind.iter().enumerate() {
            is_answered(&mut client, kind, at).await;
        }
    }
    closes(&gateway, 5 * pipelines().count() as u64).await;
}

#[tokio::test]
async fn hundreds_at_once_are_answered_one_by_one() {
    let (origin, gateway) = start("");
    for (targets, served) in [(["/closed"; 3], 0), (["/closed", "/open", "/nowhere"], 301)] {
        let mut client = gateway.client().await;
        let sent: String = (0..300).flat_map(|_| targets).map(get).collect();
        client.send(sent).await;
        for target in (0..300).flat_map(|_| targets) {
            let answer = client.answer().await;
            match target {
                "/open" => answers(&answer, "/open"),
                "/closed" => assert_eq!(answer.verdict(), (503, "rate")),
                _ => assert_eq!(answer.verdict(), (404, "no_route")),
            }
        }
        is_served(&mut client, "/open/last").await;
        assert_eq!(origin.stats().requests, served + 1);
    }
    closes(&gateway, 2 * 901).await;
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads_is_let_go_and_stops_nobody_else() {
    let (_origin, gateway) = start("body_timeout = \"300ms\"");
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(gateway.listen).await.unwrap();
    let refused = get("/closed").repeat(100);
    let mut other = gateway.client().await;
    let others = async {
        loop {
            is_refused(&mut other, "/closed", (503, "rate")).await;
            is_served(&mut other, "/open").await;
        }
    };
    // Once it can neither read nor write any more it is given up.
    let stuffed = async { while deaf.write_all(refused.as_bytes()).await.is_ok() {} };
    tokio::select! {
        () = soon("the end of a client that does not read", stuffed) => {}
        () = others => {}
    }
    drop((deaf, other));
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}
