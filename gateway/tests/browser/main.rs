//! A whole checkout in a real browser: the page's script calls the shop with `fetch`, and it is the browser
//! that keeps the cookies and sends them. And the dashboard as it is seen in one.
//!
//! Needs Chromium. `FLOODGATE_TEST_BROWSER` names another program than the one on the path; `none` leaves the tests out.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod dashboard;
mod driver;
#[path = "../reload/live.rs"]
#[allow(dead_code, reason = "the tests of changes use the rest")]
mod live;
mod profile;
mod shop;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::Instant;

use profile::{Profile, browser};
use serde_json::{Value, json};
use shop::Shop;
use support::{Answer, Client, Running, SOON, Settings, post};

const STEPS: [&str; 5] =
    ["POST /cart", "GET /checkout", "POST /orders", "GET /orders/1", "POST /pay"];

/// One grant at a time: while the browser has it, everybody else is refused, with permits to spare.
const JOURNEY: &str = r#"
[[tiers]]
name = "l1"
max_wait = "20s"
deadline = "60s"

[[journeys]]
name = "sale"
steps = ["cart", "checkout", "order", "poll", "pay"]
finish = { step = "pay", status = [200] }
max_grants = 1

[[routes]]
name = "cart"
methods = ["POST"]
path = "/cart"
[[routes]]
name = "checkout"
path = "/checkout"
[[routes]]
name = "order"
methods = ["POST"]
path = "/orders"
[[routes]]
name = "poll"
path = "/orders/{id}"
[[routes]]
name = "pay"
methods = ["POST"]
path = "/pay"
[[routes]]
name = "pages"
path = "/{*rest}"
"#;

/// What a customer without cookies is told who wants to begin.
async fn newcomer(gateway: SocketAddr) -> Answer {
    let mut client = Client::connect(gateway).await;
    client.send(post("/cart", b"{}")).await;
    client.answer().await
}

/// The steps a page walked, as `[status, reason]`.
fn verdicts(outcome: &Value) -> Vec<Value> {
    let steps = outcome["steps"].as_array().unwrap().iter();
    steps.map(|step| json!([step["status"], step["reason"]])).collect()
}

#[tokio::test]
async fn a_browser_that_was_let_in_finishes_while_every_newcomer_is_refused() {
    let Some(program) = browser() else { return };
    let shop = Shop::start().await;
    let settings = Settings::upstream("max_in_flight = 8").rest(JOURNEY);
    let gateway = Running::start(&settings.text(&[shop.addr]));

    let holder = Profile::open(&program, &shop.page(gateway.listen, "holder", &STEPS));
    for step in &STEPS[1..] {
        // The shop keeps the browser waiting at this step.
        shop.reached(step).await;
        for _ in 0..5 {
            assert_eq!(newcomer(gateway.listen).await.verdict(), (503, "no_grant"), "{step}");
        }
        if *step == "POST /orders" {
            // Another browser, which has no grant, begins, is refused, and tries the later steps nevertheless.
            let stranger = shop.page(gateway.listen, "stranger", &STEPS[..3]);
            let _stranger = Profile::open(&program, &stranger);
            let outcome = shop.outcome("stranger").await;
            assert_eq!(
                verdicts(&outcome),
                [
                    json!([503, "no_grant"]),
                    json!([403, "grant_required"]),
                    json!([403, "grant_required"])
                ],
                "{outcome:#}"
            );
            assert!(
                outcome["steps"][0]["retry_after"].as_str().unwrap().parse::<u32>().unwrap() > 0
            );
        }
        shop.let_on();
    }

    let outcome = shop.outcome("holder").await;
    assert_eq!(verdicts(&outcome), vec![json!([200, null]); 5], "{outcome:#}");
    // The script sees the shop's cookie and none of the gateway's, and so does the shop.
    assert_eq!(outcome["cookies"], "session=holder");
    for (line, cookies) in shop.steps() {
        assert_eq!(cookies, "session=holder", "{line}");
    }
    drop(holder);

    // The grant ended with the checkout: the next one is let in.
    let begin = Instant::now();
    while newcomer(gateway.listen).await.status != 200 {
        assert!(begin.elapsed() < SOON, "nobody else is let in");
    }
}
