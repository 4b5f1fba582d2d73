//! What is never sent twice.

use crate::support::{Nobody, Running, Settings, journey, one_tier};
use crate::{BAD, BUSY, Does, FAILURES, Failing, OK, WAYS, gateway, retries, send};

const EVERYTHING: &str = "[\"connect\", \"broken\", \"502\", \"503\"]";

/// What a server does that has failed, with an answer or without.
fn failures() -> impl Iterator<Item = Does> {
    FAILURES.into_iter().chain([Does::Answer(BAD), Does::Answer(BUSY)])
}

/// Sends a request to a server that fails, beside one that does not: neither gets it again.
async fn once(route: &str, method: &str, fields: &str, body: &str) {
    for failure in failures() {
        let (bad, good) = (Failing::start(failure).await, Failing::start(Does::Answer(OK)).await);
        let gateway = gateway(&retries(EVERYTHING), route, &[&bad, &good]);
        let status = send(&gateway, method, fields, body).await.status;
        assert!([502, 503].contains(&status), "{method} {failure:?} {fields:?}: {status}");
        gateway.quiet().await;
        assert_eq!((bad.count(), good.count()), (1, 0), "{method} {failure:?} {fields:?}");
        let metrics = gateway.metrics().await;
        assert_eq!(metrics.count("floodgate_retries_total", &[]), 0, "{metrics}");
        assert_eq!(metrics.count("floodgate_retries_refused_total", &[]), 0, "{metrics}");
    }
}

#[tokio::test]
async fn what_is_not_idempotent_once_a_byte_of_it_was_sent() {
    for way in WAYS {
        for method in ["POST", "PATCH", "PURCHASE"] {
            for body in ["", "1 of the last"] {
                once("", method, way, body).await;
            }
        }
    }
}

#[tokio::test]
async fn what_its_route_does_not_want_to_be_sent_twice() {
    for way in WAYS {
        for route in ["retry = \"off\"", "retry = \"unsent\"", "once = true"] {
            once(route, "GET", way, "").await;
            once(route, "PUT", way, "a cart").await;
        }
    }
}

#[tokio::test]
async fn the_step_that_finishes_a_journey() {
    let sale = journey("sale", &["one"], "sticky = \"stage\"");
    for way in WAYS {
        once(&sale, "GET", way, "").await;
    }
}

#[tokio::test]
async fn a_purchase_not_even_if_the_connection_was_refused() {
    let nobody = Nobody::listens();
    for (keys, status) in [("", 200), ("once = true", 502), ("retry = \"off\"", 502)] {
        let good = Failing::start(Does::Answer(OK)).await;
        let tier = one_tier("max_wait = \"20s\"\ndeadline = \"20s\"");
        let rest = format!("{tier}{keys}\n");
        let text = Settings::upstream("").rest(rest).text(&[nobody.addr(), good.addr]);
        let gateway = Running::start(&text);
        assert_eq!(send(&gateway, "POST", "", "x").await.status, status, "{keys}");
        assert_eq!(good.count(), usize::from(status == 200), "{keys}");
    }
}

#[tokio::test]
async fn a_body_that_has_been_passed_on_as_it_came() {
    let body = "x".repeat(64 << 10);
    once("", "PUT", "", &body).await;
}

#[tokio::test]
async fn what_the_client_has_seen_a_byte_of() {
    for way in WAYS {
        let half = Does::Stall("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
        let (bad, good) = (Failing::start(half).await, Failing::start(Does::Answer(OK)).await);
        let gateway = gateway(&retries(EVERYTHING), "", &[&bad, &good]);
        let mut client = gateway.client().await;
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{way}\r\n")).await;
        assert_eq!(client.head().await.status, 200);
        assert_eq!(client.exactly(4).await, b"half");
        bad.set(Does::Close);
        let rest = client.rest().await;
        assert!(rest.as_ref().map_or(true, Vec::is_empty), "{rest:?}");
        gateway.quiet().await;
        assert_eq!((bad.count(), good.count()), (1, 0));
    }
}
