//! What goes to the other server, and what of it.

use std::time::{Duration, Instant};

use crate::support::{Nobody, Running, Settings, one_tier};
use crate::{BAD, BUSY, Does, FAILURES, Failing, OK, WAYS, gateway, retries, send};

/// The value of a field in a head.
fn field<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn what_is_idempotent_goes_to_the_other_server_with_its_body() {
    for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        for (failure, way) in FAILURES.into_iter().flat_map(|it| WAYS.map(|way| (it, way))) {
            for body in ["", "1 of the last"] {
                let case = format!("{method} {failure:?} {way:?} {body:?}");
                let (bad, good) =
                    (Failing::start(failure).await, Failing::start(Does::Answer(OK)).await);
                if method == "HEAD" {
                    good.set(Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"));
                }
                let gateway = gateway(&retries("[\"broken\"]"), "", &[&bad, &good]);
                assert_eq!(send(&gateway, method, way, body).await.status, 200, "{case}");
                let (first, second) = (&bad.seen()[0], &good.seen()[0]);
                assert_eq!((bad.count(), good.count()), (1, 1), "{case}");
                let but_deadline = |request: &str| {
                    let lines = request.split("\r\n");
                    lines
                        .filter(|it| !it.starts_with("x-request-deadline"))
                        .collect::<Vec<_>>()
                        .join("|")
                };
                assert_eq!(but_deadline(first), but_deadline(second), "{case}");
                let metrics = gateway.metrics().await;
                let made = metrics.count("floodgate_retries_total", &["why=\"broken\""]);
                assert_eq!(made, 1, "{case}: {metrics}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_with_a_status_goes_to_the_other_server_only_if_it_is_listed() {
    for way in WAYS {
        for (answer, status, text) in [(BAD, 502, "poor"), (BUSY, 503, "busy")] {
            let (bad, good) = (
                Failing::start(Does::Answer(answer)).await,
                Failing::start(Does::Answer(OK)).await,
            );
            let gateway_without = gateway(&retries("[\"broken\", \"500\"]"), "", &[&bad, &good]);
            let given = send(&gateway_without, "GET", way, "").await;
            assert_eq!((given.status, given.text().as_str()), (status, text));
            assert_eq!((bad.count(), good.count()), (1, 0));
            let listed = retries(&format!("[\"{status}\"]"));
            let gateway = gateway(&listed, "", &[&bad, &good]);
            for _ in 0..4 {
                assert_eq!(send(&gateway, "GET", way, "").await.text(), "ok");
            }
            assert!(bad.count() > 2, "{}", bad.count());
        }
    }
}

#[tokio::test]
async fn without_a_better_answer_the_client_gets_the_first_one_whole() {
    let nobody = Nobody::listens();
    for (on, attempts) in [("\"502\"", 1), ("\"502\", \"broken\", \"connect\"", 5)] {
        for way in WAYS {
            let bad = Failing::start(Does::Answer(BAD)).await;
            let keys = format!(
                "retries = {{ budget = 1.0, min_per_second = 1000, attempts = {attempts}, on = [{on}] }}"
            );
            let rest = one_tier("max_wait = \"20s\"\ndeadline = \"20s\"");
            let text = Settings::upstream(&keys).rest(rest).text(&[bad.addr, nobody.addr()]);
            let gateway = Running::start(&text);
            let mut client = gateway.client().await;
            // Also on the connection to the server that was set aside for the other.
            for _ in 0..4 {
                client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{way}\r\n")).await;
                let given = client.answer().await;
                let verdict = (given.status, given.text());
                let is_own = verdict == (502, "poor".to_owned());
                assert!(is_own || given.reason() == "upstream_error", "{given:?}");
            }
            assert!(bad.count() > 0);
            gateway.quiet().await;
        }
    }
}

#[tokio::test]
async fn of_what_was_never_sent_also_a_post_goes_to_the_other_server() {
    let nobody = Nobody::listens();
    for (retry, way) in
        ["", "retry = \"unsent\""].into_iter().flat_map(|it| WAYS.map(|way| (it, way)))
    {
        let good = Failing::start(Does::Answer(OK)).await;
        let tier = one_tier("max_wait = \"20s\"\ndeadline = \"20s\"");
        let rest = format!("{tier}{retry}\n");
        let text = Settings::upstream("").rest(rest).text(&[nobody.addr(), good.addr]);
        let gateway = Running::start(&text);
        assert_eq!(send(&gateway, "POST", way, "an order").await.status, 200);
        assert_eq!(good.count(), 1);
        let metrics = gateway.metrics().await;
        assert_eq!(metrics.count("floodgate_retries_total", &["why=\"connect\""]), 1, "{metrics}");
    }
}

#[tokio::test]
async fn the_other_server_has_what_is_left_of_the_deadline_and_the_permit_is_held_once() {
    for way in WAYS {
        let pause = Duration::from_millis(100);
        let (bad, slow) =
            (Failing::start(Does::CloseAfter(pause)).await, Failing::start(Does::Hang).await);
        let tier = one_tier("max_wait = \"0ms\"\ndeadline = \"600ms\"");
        let keys = "max_in_flight = 2\nbuffer = 0";
        let text = Settings::upstream(keys).rest(tier).text(&[bad.addr, slow.addr]);
        let gateway = Running::start(&text);
        let begin = Instant::now();
        let mut client = gateway.client().await;
        client.send(format!("GET / HTTP/1.1\r\nhost: a\r\n{way}\r\n")).await;
        slow.gets(1).await;
        let (first, second) = (&bad.seen()[0], &slow.seen()[0]);
        let left = |request: &str| {
            field(request, "x-request-deadline-ms").unwrap().parse::<u64>().unwrap()
        };
        assert!(left(first) <= 600 && left(second) + 100 <= left(first), "{first}{second}");
        assert!(gateway.checkout().await["in_flight"].as_u64().unwrap() <= 1);
        assert_eq!(client.answer().await.verdict(), (504, "upstream_timeout"));
        assert!(begin.elapsed() >= Duration::from_millis(590));
        gateway.quiet().await;
        gateway.metrics().await.closed_ledger();
    }
}
