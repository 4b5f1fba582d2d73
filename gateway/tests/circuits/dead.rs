//! A server that is dead is found out soon, and left alone.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Nobody, Running, Settings, ask, one_tier};
use crate::{LONG, by_hyper, circuit, start, verdicts};

/// Whether a request of its own connection is refused. A truncated answer is broken off, which may take its head along.
async fn is_refused(gateway: &Running, path: &str) -> bool {
    let mut client = TcpStream::connect(gateway.listen).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    let _broken_off = client.read_to_end(&mut came).await;
    String::from_utf8_lossy(&came).contains("x-floodgate-reason: circuit_open")
}

#[tokio::test]
async fn a_dead_server_is_found_out_within_twenty_calls_and_not_asked_again() {
    for behaviour in ["reset", "close-before-answer", "garbage", "truncate&x-origin-body-bytes=100"]
    {
        let (gateway, origin) = start(LONG);
        let path = format!("/l1?x-origin-behaviour={behaviour}");
        let mut sent = 0;
        loop {
            if is_refused(&gateway, &path).await {
                break;
            }
            sent += 1;
            assert!(sent <= 20, "{behaviour}: {sent} calls");
        }
        assert_eq!(sent, 20, "{behaviour}");
        gateway.quiet().await;
        let refused = verdicts(&gateway, "/l1", 100).await;
        assert!(refused.iter().all(|it| *it == (503, "circuit_open".to_owned())));
        assert_eq!(origin.stats().requests, 20, "{behaviour}");
        assert_eq!(gateway.checkout().await["circuit"], "open");
        gateway.metrics().await.closed_ledger();
    }
}

#[tokio::test]
async fn a_server_after_thousands_of_good_calls_too() {
    let (gateway, origin) = start(LONG);
    verdicts(&gateway, "/l1", 1_000).await;
    let after = verdicts(&gateway, "/l1?x-origin-status=500", 25).await;
    let failed = after.iter().filter(|(status, _)| *status == 500).count();
    assert_eq!((failed, origin.stats().requests), (20, 1_020));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused_by_its_server_for_everybody() {
    let nobody = Nobody::listens();
    let gateway = Running::start(&Settings::upstream(LONG).text(&[nobody.addr()]));
    let begin = Instant::now();
    let mut failed = 0;
    while ask(gateway.listen, "/l1").await.verdict() == (502, "upstream_error") {
        failed += 1;
    }
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!(failed, 20);
    assert_eq!(ask(gateway.listen, "/l2").await.verdict(), (503, "circuit_open"));
    let server = circuit(&gateway, "server", &nobody.addr().to_string()).await;
    assert_eq!(server["state"], "open", "{server:#}");
    // One of them is enough: what is the server's fault is not the tier's too.
    assert_eq!(circuit(&gateway, "tier", "l1").await["state"], "closed");
    let status = gateway.checkout().await;
    assert_eq!(
        (&status["circuit"], &status["servers"][0]["circuit"]),
        (&"open".into(), &"open".into())
    );
}

#[tokio::test]
async fn what_does_not_answer_in_time_is_failed_and_what_answers_late_is_slow() {
    let rest = one_tier("deadline = \"150ms\"");
    for (circuit_keys, path, status) in [
        ("min_calls = 3", "/?x-origin-behaviour=never-answer", 504),
        (
            "min_calls = 3",
            "/?x-origin-behaviour=slow-body&x-origin-body-bytes=1000&x-origin-body-ms=9000",
            200,
        ),
        ("min_calls = 3, slow_after = \"20ms\"", "/?x-origin-delay-ms=30", 200),
    ] {
        let keys = format!("circuit = {{ {circuit_keys}, open = \"1m\" }}");
        let origin = floodgate_loadtest::origin::Origin::builder().start().unwrap();
        let settings = Settings::upstream(&keys).rest(rest.clone());
        let gateway = Running::start(&settings.text(&[origin.addr()]));
        for _ in 0..3 {
            let mut client = gateway.asking(path).await;
            assert_eq!(client.head().await.status, status, "{path}");
            if path.contains("slow-body") {
                drop(client.rest().await);
            }
            gateway.quiet().await;
        }
        assert_eq!(ask(gateway.listen, "/").await.verdict(), (503, "circuit_open"), "{path}");
    }
}

#[tokio::test]
async fn both_ways_to_the_upstream_tell_what_became_of_a_call() {
    let (gateway, origin) = start(LONG);
    let mut client = gateway.client().await;
    let path = "/l1?x-origin-status=503";
    for _ in 0..10 {
        client.get(path).await;
        assert_eq!(client.answer().await.status, 503);
        assert_eq!(by_hyper(&mut client, path).await.status, 503);
    }
    assert_eq!(by_hyper(&mut client, path).await.reason(), "circuit_open");
    client.get(path).await;
    assert_eq!(client.answer().await.reason(), "circuit_open");
    assert_eq!(origin.stats().requests, 20);
}

#[tokio::test]
async fn what_waits_when_it_opens_is_refused_and_not_sent() {
    let keys = "max_in_flight = 1\ncircuit = { min_calls = 1, open = \"1m\" }";
    let (gateway, origin) = start(keys);
    let mut first = gateway.asking("/l1?x-origin-delay-ms=300&x-origin-status=500").await;
    crate::support::reach(&origin, |stats| stats.requests == 1).await;
    let mut waiting = Vec::new();
    for place in 1..=5 {
        waiting.push(gateway.waiting("/l1", place).await);
    }
    assert_eq!(first.answer().await.status, 500);
    for client in &mut waiting {
        assert_eq!(client.answer().await.verdict(), (503, "circuit_open"));
    }
    gateway.quiet().await;
    assert_eq!(origin.stats().requests, 1);
    gateway.metrics().await.closed_ledger();
}
