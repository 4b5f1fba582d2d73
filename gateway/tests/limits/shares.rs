//! A hot key leaves room for the rest.

use floodgate_loadtest::origin::OriginHandle;

use crate::support::{Client, Running, Settings, reach};
use crate::{route, started};

const SLOW: &str = "x-origin-behaviour=never-answer";

/// Ten permits, of which an article holds at most this share.
fn shared(share: &str, across: &str) -> (Running, OriginHandle) {
    let isolate = format!("isolate = {{ key = \"path:sku\", {share} }}");
    let (upstream, of_route) = match across {
        "upstream" => (isolate.as_str(), ""),
        _ => ("", isolate.as_str()),
    };
    let upstream = format!("max_in_flight = 10\nbuffer = 100\n{upstream}");
    started(Settings::upstream(&upstream).rest(route(of_route)))
}

/// So many requests that stay at the origin.
async fn held(gateway: &Running, origin: &OriginHandle, path: &str, count: u64) -> Vec<Client> {
    let before = origin.stats().requests;
    let mut held = Vec::new();
    for _ in 0..count {
        held.push(gateway.asking(&format!("{path}?{SLOW}")).await);
    }
    reach(origin, |stats| stats.requests == before + count).await;
    held
}

async fn verdict(gateway: &Running, path: &str) -> (u16, String) {
    let answer = gateway.asking(path).await.answer().await;
    (answer.status, answer.reason().to_owned())
}

#[tokio::test]
async fn one_article_holds_its_share_and_the_others_go_on() {
    for across in ["route", "upstream"] {
        let (gateway, origin) = shared("share = 0.3", across);
        let hot = held(&gateway, &origin, "/buy/hot", 3).await;
        for path in ["/buy/hot", "/buy/hot;a=1", "/buy/hot?x=1"] {
            assert_eq!(verdict(&gateway, path).await, (503, "key_share".into()), "{path}");
        }
        // Another spelling would be another route's, or another key.
        for path in ["/buy/h%6ft", "//buy/hot", "/%62uy/hot"] {
            assert_eq!(verdict(&gateway, path).await, (400, "bad_request".into()), "{path}");
        }
        for n in 0..20 {
            assert_eq!(verdict(&gateway, &format!("/buy/{n}")).await.0, 200);
        }
        assert_eq!(verdict(&gateway, "/else").await.0, 200, "without the key");
        drop(hot);
        gateway.quiet().await;
        assert_eq!(verdict(&gateway, "/buy/hot").await.0, 200, "given back");
        let status = gateway.status().await;
        let share = &status["shares"][0];
        assert_eq!(
            (&share["limit"], &share["keys"], &share["refused"]),
            (&3.into(), &0.into(), &3.into())
        );
        gateway.metrics().await.closed_ledger();
    }
}

#[tokio::test]
async fn who_waits_counts_too() {
    let (gateway, origin) = shared("share = 0.3", "route");
    let _full = held(&gateway, &origin, "/else", 10).await;
    let _waiting = [
        gateway.waiting("/buy/hot", 1).await,
        gateway.waiting("/buy/hot", 2).await,
        gateway.waiting("/buy/hot", 3).await,
    ];
    assert_eq!(verdict(&gateway, "/buy/hot").await, (503, "key_share".into()));
    let cold = gateway.waiting("/buy/cold", 4).await;
    // Who leaves gives the place back.
    drop(cold);
    gateway.queued(3).await;
    let [first, ..] = _waiting;
    drop(first);
    gateway.queued(2).await;
    let _next = gateway.waiting("/buy/hot", 3).await;
}

#[tokio::test]
async fn a_share_of_little_is_one_permit() {
    let (gateway, origin) = shared("share = 0.01", "route");
    let _hot = held(&gateway, &origin, "/buy/hot", 1).await;
    assert_eq!(verdict(&gateway, "/buy/hot").await, (503, "key_share".into()));
    assert_eq!(verdict(&gateway, "/buy/cold").await.0, 200);
}

#[tokio::test]
async fn a_share_in_the_shadow_counts_and_refuses_nobody() {
    let (gateway, origin) = shared("share = 0.2, shadow = true", "upstream");
    let _hot = held(&gateway, &origin, "/buy/hot", 5).await;
    assert_eq!(verdict(&gateway, "/buy/hot").await.0, 200);
    let metrics = gateway.metrics().await;
    let refusals = |mode| metrics.count("floodgate_key_share_refusals_total", &[mode]);
    assert_eq!((refusals("mode=\"shadow\""), refusals("mode=\"enforced\"")), (4, 0));
    assert_eq!(metrics.count("floodgate_key_share_largest", &[]), 5);
}

#[tokio::test]
async fn a_share_is_of_the_permits_there_are_now() {
    let upstream =
        "max_in_flight = { algorithm = \"vegas\", min = 2, max = 1000, start = 10 }\nbuffer = 100";
    let isolate = "isolate = { key = \"path:sku\", share = 0.3 }";
    let (gateway, origin) = started(Settings::upstream(upstream).rest(route(isolate)));
    let _hot = held(&gateway, &origin, "/buy/hot", 3).await;
    assert_eq!(verdict(&gateway, "/buy/hot").await, (503, "key_share".into()));
    assert_eq!(gateway.status().await["shares"][0]["limit"], 3);
}

#[tokio::test]
async fn who_has_no_key_or_two_has_the_share_of_its_address() {
    let isolate = "isolate = { key = \"query:sku\", share = 0.2 }";
    let upstream = "max_in_flight = 10\nbuffer = 100";
    let (gateway, origin) = started(Settings::upstream(upstream).rest(route(isolate)));
    let mut without = Vec::new();
    for query in ["sku=1&sku=1", "sku="] {
        without.push(gateway.asking(&format!("/buy/1?{query}&{SLOW}")).await);
    }
    reach(&origin, |stats| stats.requests == 2).await;
    for path in ["/buy/1", "/buy/1?sku=", "/buy/1?sku=1&sku=1"] {
        assert_eq!(verdict(&gateway, path).await, (503, "key_share".into()), "{path}");
    }
    assert_eq!(verdict(&gateway, "/buy/1?sku=1").await.0, 200);
}
