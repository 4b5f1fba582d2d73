//! A rate is carried over by name: what was spent stays spent.

use floodgate_loadtest::origin::OriginHandle;

use crate::live::{Live, origin};
use crate::support::{Settings, reach};

/// One route, one tier, one upstream, each with these keys.
fn rated(origin: &OriginHandle, upstream: &str, tier: &str, route: &str) -> String {
    let rest = format!("[[tiers]]\n{tier}\n[[routes]]\nname = \"one\"\n{route}\n");
    Settings::upstream(upstream).rest(rest).text(&[origin.addr()])
}

/// Of so many requests, those admitted; the others are refused for `rate`.
async fn admitted(gateway: &Live, requests: usize) -> usize {
    let mut admitted = 0;
    let mut client = crate::support::Client::connect(gateway.listen).await;
    for _ in 0..requests {
        client.get("/one").await;
        match client.answer().await.verdict() {
            (200, "") => admitted += 1,
            verdict => assert_eq!(verdict, (503, "rate")),
        }
    }
    admitted
}

#[tokio::test]
async fn a_change_of_anything_else_gives_no_fresh_burst() {
    let origin = origin();
    let burst = "rate = \"1/h\"\nburst = 5";
    for (upstream, tier, route) in [(burst, "", ""), ("", burst, ""), ("", "", burst)] {
        let gateway = Live::start(&rated(&origin, upstream, tier, route));
        assert_eq!(admitted(&gateway, 3).await, 3);
        let other = format!("{upstream}\nmax_in_flight = 9");
        gateway.change(&rated(&origin, &other, tier, route)).await;
        assert_eq!(admitted(&gateway, 5).await, 2, "{upstream}|{tier}|{route}");
    }
}

#[tokio::test]
async fn a_changed_rate_keeps_what_was_spent() {
    let origin = origin();
    let rate = |rate: &str| rated(&origin, "", "", rate);
    let gateway = Live::start(&rate("rate = \"1/h\"\nburst = 5"));
    assert_eq!(admitted(&gateway, 2).await, 2);
    gateway.change(&rate("rate = \"2/h\"\nburst = 100")).await;
    assert_eq!(admitted(&gateway, 9).await, 3, "three of the five are left, and no more");
    gateway.change(&rate("rate = \"3/h\"\nburst = 50")).await;
    assert_eq!(admitted(&gateway, 9).await, 0);
}

#[tokio::test]
async fn a_smaller_burst_holds_at_once() {
    let origin = origin();
    let rate = |rate: &str| rated(&origin, "", "", rate);
    let gateway = Live::start(&rate("rate = \"1/h\"\nburst = 50"));
    gateway.change(&rate("rate = \"1/h\"\nburst = 2")).await;
    assert_eq!(admitted(&gateway, 9).await, 2);
}

#[tokio::test]
async fn closing_and_opening_gives_no_fresh_burst() {
    let origin = origin();
    let rate = |rate: &str| rated(&origin, "", "", rate);
    let open = "rate = \"1/h\"\nburst = 5";
    let gateway = Live::start(&rate(open));
    assert_eq!(admitted(&gateway, 5).await, 5);
    gateway.change(&rate("rate = \"0/s\"")).await;
    assert_eq!(admitted(&gateway, 3).await, 0);
    gateway.change(&rate(open)).await;
    assert_eq!(admitted(&gateway, 9).await, 0);
}

#[tokio::test]
async fn a_rate_that_is_taken_away_limits_nobody() {
    let origin = origin();
    let gateway = Live::start(&rated(&origin, "", "", "rate = \"0/s\""));
    assert_eq!(admitted(&gateway, 3).await, 0);
    gateway.change(&rated(&origin, "", "", "")).await;
    assert_eq!(admitted(&gateway, 9).await, 9);
    reach(&origin, |stats| stats.answered == 9).await;
}
