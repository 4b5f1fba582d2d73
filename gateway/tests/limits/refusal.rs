//! How a limit refuses, and what it leaves alone.

use crate::support::{Settings, post};
use crate::{admitted, from, route, start, started};

#[tokio::test]
async fn the_refused_are_told_exactly_when_to_come_back() {
    for (rate, interval_ms) in [("1/s", 1_000), ("1/m", 60_000), ("1/h", 3_600_000)] {
        let limits = format!("limits = [{{ key = \"client_ip\", rate = \"{rate}\", burst = 1 }}]");
        let (gateway, _origin) = start(&limits);
        let mut client = gateway.client().await;
        assert_eq!(admitted(&mut client, "/buy/1", "", 1).await, 1);
        client.get("/buy/1").await;
        let answer = client.answer().await;
        assert_eq!(answer.verdict(), (429, "key_limit"));
        let millis = answer.json()["retry_after_ms"].as_u64().unwrap();
        // As much has passed as the two requests took.
        assert!((interval_ms - 900..=interval_ms).contains(&millis), "{rate}: {millis}");
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert_eq!(seconds, millis.div_ceil(1_000), "{rate}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn whatever_way_a_request_is_framed_it_is_limited() {
    let (gateway, origin) = start("limits = [{ key = \"client_ip\", rate = \"1/h\", burst = 1 }]");
    let mut client = gateway.client().await;
    assert_eq!(admitted(&mut client, "/buy/1", "", 1).await, 1);
    let mut bodies = Vec::new();
    for wire in [
        &b"GET /buy/1 HTTP/1.1\r\nhost: a\r\n\r\n"[..],
        b"OPTIONS /buy/1 HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /buy/1 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /buy/1 HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n",
        &post("/buy/1", b"abc"),
    ] {
        let mut client = gateway.client().await;
        client.send(wire).await;
        let answer = client.answer().await;
        assert_eq!(answer.verdict(), (429, "key_limit"), "{}", String::from_utf8_lossy(wire));
        bodies.push(answer.text().len());
    }
    assert!(bodies.iter().all(|len| *len == bodies[0]), "{bodies:?}");
    assert_eq!(origin.stats().requests, 1);
}

#[tokio::test]
async fn a_limit_in_the_shadow_counts_and_refuses_nobody() {
    let limits = "limits = [{ key = \"client_ip\", rate = \"1/h\", burst = 2, shadow = true }]";
    let (gateway, _origin) = start(limits);
    let mut client = gateway.client().await;
    assert_eq!(admitted(&mut client, "/buy/1", "", 9).await, 9);
    let metrics = gateway.metrics().await;
    let refusals = |mode| metrics.count("floodgate_key_limit_refusals_total", &[mode]);
    assert_eq!((refusals("mode=\"shadow\""), refusals("mode=\"enforced\"")), (7, 0));
    assert_eq!(metrics.count("floodgate_rejections_total", &[]), 0);
    assert_eq!(gateway.status().await["limits"]["buy"]["client_ip"]["would_refuse"], 7);
}

#[tokio::test]
async fn who_is_refused_for_want_of_a_permit_takes_nothing_of_a_limit() {
    let limits = "limits = [{ key = \"client_ip\", rate = \"1/h\", burst = 3 }]";
    let (gateway, _origin) =
        started(Settings::upstream("max_in_flight = 1\nbuffer = 0").rest(route(limits)));
    let mut held = gateway.asking("/buy/1?x-origin-delay-ms=300").await;
    gateway.reach("busy", |status| status["in_flight"] == 1).await;
    for _ in 0..5 {
        let mut client = gateway.asking("/buy/1").await;
        assert_eq!(client.answer().await.verdict(), (503, "buffer_full"));
    }
    assert_eq!(held.answer().await.status, 200);
    let mut client = gateway.client().await;
    assert_eq!(admitted(&mut client, "/buy/1", "", 5).await, 2);
}

#[tokio::test]
async fn who_is_refused_by_a_limit_takes_nothing_of_a_rate() {
    let keys = "rate = \"1/h\"\nburst = 3\n\
                limits = [{ key = \"client_ip\", rate = \"1/h\", burst = 1 }]";
    let (gateway, origin) = start(keys);
    let mut one = from("127.0.0.2", &gateway).await;
    assert_eq!(admitted(&mut one, "/buy/1", "", 9).await, 1);
    for address in ["127.0.0.3", "127.0.0.4"] {
        let mut other = from(address, &gateway).await;
        assert_eq!(admitted(&mut other, "/buy/1", "", 1).await, 1, "{address}");
    }
    let mut last = from("127.0.0.5", &gateway).await;
    last.get("/buy/1").await;
    assert_eq!(last.answer().await.verdict(), (503, "rate"));
    assert_eq!(origin.stats().requests, 3);
}

#[tokio::test]
async fn a_rate_of_nothing_refuses_whoever_has_the_key() {
    let limits = "limits = [{ key = \"header:x-bot\", rate = \"0/s\", missing = \"pass\" }]";
    let (gateway, origin) = start(limits);
    let mut client = gateway.client().await;
    assert_eq!(admitted(&mut client, "/buy/1", "x-bot: 1\r\n", 5).await, 0);
    assert_eq!(admitted(&mut client, "/buy/1", "", 5).await, 5);
    assert_eq!(origin.stats().requests, 5);
}
