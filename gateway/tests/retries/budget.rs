//! How much is sent twice in all.

use std::time::Instant;

use crate::{BAD, Does, Failing, OK, gateway, send};

/// Sends so many; how many were answered well.
async fn ask(gateway: &crate::Running, count: usize) -> usize {
    let mut good = 0;
    for _ in 0..count {
        good += usize::from(send(gateway, "GET", "", "").await.status == 200);
    }
    good
}

#[tokio::test]
async fn attempts_are_at_most_what_was_admitted_and_the_budget() {
    for (failure, on) in [(Does::Close, "broken"), (Does::Answer(BAD), "502")] {
        for (budget, floor) in [(0.1, 0), (0.1, 3), (0.0, 0), (0.5, 0)] {
            let keys = format!(
                "retries = {{ budget = {budget}, min_per_second = {floor}, on = [\"{on}\"] }}"
            );
            let (one, other) = (Failing::start(failure).await, Failing::start(failure).await);
            let gateway = gateway(&keys, "", &[&one, &other]);
            let begin = Instant::now();
            assert_eq!(ask(&gateway, 100).await, 0);
            let floor = f64::from(floor) * (begin.elapsed().as_secs_f64() + 1.0);
            let attempts = one.count() + other.count();
            assert!(attempts as f64 <= 100.0 * (1.0 + budget) + floor, "{attempts}");
            let metrics = gateway.metrics().await;
            let made = metrics.count("floodgate_retries_total", &["upstream=\"checkout\""]);
            let refused = metrics.count("floodgate_retries_refused_total", &[]);
            assert_eq!((100 + made as usize, made + refused), (attempts, 100), "{metrics}");
            assert!(budget == 0.0 || made > 0);
            let status = gateway.checkout().await["retries"].take();
            let why = if on == "502" { "status" } else { on };
            assert_eq!((&status["made"][why], &status["refused"]), (&made.into(), &refused.into()));
        }
    }
}

#[tokio::test]
async fn after_a_storm_of_failures_everything_is_answered_again() {
    let (one, other) = (Failing::start(Does::Close).await, Failing::start(Does::Close).await);
    let gateway = gateway("", "", &[&one, &other]);
    assert_eq!(ask(&gateway, 200).await, 0);
    one.set(Does::Answer(OK));
    other.set(Does::Answer(OK));
    assert_eq!(ask(&gateway, 50).await, 50);
    gateway.quiet().await;
    assert_eq!(gateway.metrics().await.closed_ledger(), 250);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_has_closed_costs_nothing_of_the_budget() {
    for (keys, status, made, refused) in [
        ("", 200, 1, 0),
        ("retries = { budget = 0.0, min_per_second = 0 }", 200, 1, 0),
        ("retries = { attempts = 0 }", 200, 1, 0),
        ("retries = { on = [\"connect\"] }", 200, 1, 0),
    ] {
        let server = Failing::start(Does::Answer(OK)).await;
        let gateway = gateway(keys, "", &[&server]);
        assert_eq!(ask(&gateway, 1).await, 1);
        // Of the one connection that there is: with the next request it closes, and answers the one after.
        server.set(Does::CloseOnce(OK));
        assert_eq!(send(&gateway, "GET", "", "").await.status, status, "{keys}");
        let metrics = gateway.metrics().await;
        assert_eq!(metrics.count("floodgate_retries_total", &["why=\"stale\""]), made);
        assert_eq!(metrics.count("floodgate_retries_refused_total", &[]), refused, "{keys}");
    }
}
