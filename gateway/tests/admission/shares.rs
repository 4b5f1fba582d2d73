//! Tiers that are guaranteed a part of the permits.

use floodgate_loadtest::origin::{Origin, OriginHandle};

use crate::support::{Client, Running, Settings, THREE_TIERS, reach};

const STAYS: &str = "x-origin-behaviour=never-answer";

/// Three patient tiers, each guaranteed its part.
fn guaranteed(upstream: &str, parts: [f64; 3]) -> Settings {
    let mut tiers = THREE_TIERS.split("[[tiers]]");
    let mut rest = tiers.next().unwrap().to_owned();
    for (tier, part) in tiers.zip(parts) {
        rest.push_str(&format!("[[tiers]]\nguaranteed = {part}{tier}"));
    }
    Settings::upstream(upstream).rest(rest)
}

async fn has_come(origin: &OriginHandle, prefix: &str, count: u64) {
    reach(origin, |stats| stats.by_prefix.get(prefix).copied().unwrap_or(0) == count).await;
}

/// `count` requests of a tier that are at the origin and stay there.
async fn holding(gateway: &Running, origin: &OriginHandle, tier: &str, count: u64) -> Vec<Client> {
    let mut held = Vec::new();
    for number in 1..=count {
        held.push(gateway.asking(&format!("{tier}?{STAYS}")).await);
        has_come(origin, tier, number).await;
    }
    held
}

#[tokio::test]
async fn a_lower_tier_has_its_permit_while_the_first_floods() {
    let origin = Origin::builder().start().unwrap();
    let settings = guaranteed("max_in_flight = 4\nbuffer = 16", [0.5, 0.0, 0.25]);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut held = holding(&gateway, &origin, "/l1", 4).await;
    let _first = gateway.waiting(&format!("/l1/more?{STAYS}"), 1).await;
    let _again = gateway.waiting(&format!("/l1/more?{STAYS}"), 2).await;
    let _third = gateway.waiting(&format!("/l3?{STAYS}"), 3).await;
    let _fourth = gateway.waiting(&format!("/l3/more?{STAYS}"), 4).await;
    drop(held.pop());
    has_come(&origin, "/l3", 1).await;
    drop(held.pop());
    has_come(&origin, "/l1", 5).await;
    let status = gateway.checkout().await;
    let of = |tier: &str, key: &str| status["tiers"][tier][key].as_u64();
    assert_eq!([of("l1", "in_flight"), of("l3", "in_flight")], [Some(3), Some(1)]);
    assert_eq!([of("l1", "guaranteed"), of("l3", "guaranteed")], [Some(2), Some(1)]);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_tier_in_flight", &["tier=\"l1\""]), 3);
    assert_eq!(metrics.count("floodgate_tier_guaranteed", &["tier=\"l3\""]), 1);
    drop((held, _first, _again, _third, _fourth));
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
    assert_eq!(gateway.metrics().await.count("floodgate_tier_in_flight", &[]), 0);
}

#[tokio::test]
async fn what_the_first_tier_has_lent_comes_back_to_it() {
    let origin = Origin::builder().start().unwrap();
    let settings = guaranteed("max_in_flight = 3\nbuffer = 16", [0.34, 0.0, 0.66]);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut held = holding(&gateway, &origin, "/l3", 3).await;
    let _third = gateway.waiting(&format!("/l3?{STAYS}"), 1).await;
    let _first = gateway.waiting(&format!("/l1?{STAYS}"), 2).await;
    drop(held.pop());
    has_come(&origin, "/l1", 1).await;
    assert_eq!(origin.stats().by_prefix["/l3"], 3);
    drop((held, _third, _first));
    gateway.quiet().await;
}

#[tokio::test]
async fn a_flood_of_the_first_tier_leaves_the_others_their_places() {
    let origin = Origin::builder().start().unwrap();
    let settings = guaranteed("max_in_flight = 1\nbuffer = 4", [0.0, 0.0, 0.25]);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let held = holding(&gateway, &origin, "/l1", 1).await;
    let mut waiters = Vec::new();
    for place in 1..=3 {
        waiters.push(gateway.waiting("/l1", place).await);
    }
    assert_eq!(gateway.asking("/l1").await.answer().await.verdict(), (503, "buffer_full"));
    let mut third = gateway.waiting("/l3", 4).await;
    assert_eq!(gateway.asking("/l3").await.answer().await.verdict(), (503, "buffer_full"));
    drop(held);
    assert_eq!(third.answer().await.status, 200);
    for waiter in &mut waiters {
        assert_eq!(waiter.answer().await.status, 200);
    }
    gateway.quiet().await;
}

#[tokio::test]
async fn without_guarantees_nothing_is_counted() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 2\nbuffer = 4");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let held = holding(&gateway, &origin, "/l1", 1).await;
    assert!(gateway.checkout().await["tiers"]["l1"]["in_flight"].is_null());
    assert!(!gateway.get("/metrics").await.text().contains("floodgate_tier_in_flight"));
    drop(held);
    gateway.quiet().await;
}
