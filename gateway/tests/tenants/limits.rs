//! A tenant's own rate, and the highest tier it may have.

use crate::house::{House, apply, asking, get, member, post, retry_after_ms};
use crate::support::Running;
use crate::upstream::Upstream;

/// A request each ten seconds, and three at once.
const SLOW: &str =
    "[tenants.acme]\nrate = \"6/m\"\nburst = 3\n[tenants.umbrella]\nrate = \"1000/s\"\n";

async fn refusals(gateway: &Running, name: &str, labels: &[&str]) -> u64 {
    gateway.metrics().await.count(&format!("floodgate_tenant_{name}_total"), labels)
}

#[tokio::test]
async fn beyond_its_rate_a_tenant_is_told_when_the_next_is_let_in() {
    let upstream = Upstream::start().await;
    let gateway = House::new(SLOW).start(&upstream);
    let (acme, umbrella) = (member("acme"), member("umbrella"));
    for _ in 0..3 {
        assert_eq!(get(&gateway, "/l1/", &acme).await.status, 200);
    }
    for answer in [get(&gateway, "/l1/", &acme).await, post(&gateway, "/l2/", &acme).await] {
        assert_eq!(answer.verdict(), (429, "tenant_limit"));
        let wait = retry_after_ms(&answer);
        assert!((8_000..=10_000).contains(&wait), "{wait}");
        let seconds: u64 = answer.header("retry-after").unwrap().trim().parse().unwrap();
        assert_eq!(seconds, wait.div_ceil(1_000));
    }
    assert_eq!(upstream.asked().len(), 3);
    for fields in [&*umbrella, ""] {
        assert_eq!(get(&gateway, "/l1/", fields).await.status, 200, "others are not concerned");
    }
    let labels = ["tenant=\"acme\"", "rule=\"rate\""];
    assert_eq!(refusals(&gateway, "refusals", &labels).await, 2);
    assert_eq!(refusals(&gateway, "refusals", &[]).await, 2);
    let status = gateway.status().await;
    assert_eq!(status["tenants"]["acme"]["refused"]["rate"], 2);
    assert_eq!(status["tenants"]["acme"]["arrivals"], 5);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn a_bucket_is_not_refilled_by_a_reload() {
    let upstream = Upstream::start().await;
    let house = House::new(SLOW);
    let gateway = house.start(&upstream);
    let acme = member("acme");
    for _ in 0..3 {
        assert_eq!(get(&gateway, "/l1/", &acme).await.status, 200);
    }
    let text = house.text(&upstream);
    for change in ["max_in_flight = 9", "max_in_flight = 10"] {
        apply(&gateway, &text.replace("max_in_flight = 8", change)).await;
        assert_eq!(get(&gateway, "/l1/", &acme).await.verdict(), (429, "tenant_limit"));
    }
    let shares = text.replace("[tenants.umbrella]", "share = 0.5\n[tenants.umbrella]");
    apply(&gateway, &shares).await;
    assert_eq!(get(&gateway, "/l1/", &acme).await.verdict(), (429, "tenant_limit"));
    assert_eq!(gateway.status().await["tenants"]["acme"]["refused"]["rate"], 3, "counted on");
}

#[tokio::test]
async fn in_shadow_a_limit_refuses_nobody_and_counts_whom_it_would() {
    let upstream = Upstream::start().await;
    let tenants = format!("{}shadow = true\n", &SLOW[..SLOW.find("[tenants.umbrella]").unwrap()]);
    let gateway = House::new(&tenants).start(&upstream);
    let acme = member("acme");
    for _ in 0..5 {
        assert_eq!(get(&gateway, "/l1/", &acme).await.status, 200);
        assert_eq!(post(&gateway, "/l1/", &acme).await.status, 200);
    }
    let labels = ["tenant=\"acme\"", "rule=\"rate\""];
    assert_eq!(refusals(&gateway, "shadow_refusals", &labels).await, 7);
    assert_eq!(refusals(&gateway, "refusals", &[]).await, 0);
}

#[tokio::test]
async fn a_tenant_is_served_in_the_highest_tier_it_may_have() {
    let upstream = Upstream::start().await;
    let tenants = "[tenants.acme]\nhighest_tier = \"l2\"\n[tenants.umbrella]\nrate = \"1000/s\"\n";
    let gateway = House::new(tenants).upstream("max_in_flight = 1\nbuffer = 8").start(&upstream);
    let (acme, umbrella) = (member("acme"), member("umbrella"));
    let _held = asking(&gateway, "/l1/hold", &umbrella).await;
    upstream.sees("/l1/hold", 1).await;
    let mut waiting = Vec::new();
    for (place, (target, fields)) in
        (1..).zip([("/l1/a", &acme), ("/l2/b", &umbrella), ("/l3/c", &acme), ("/l1/d", &umbrella)])
    {
        waiting.push(asking(&gateway, target, fields).await);
        gateway.queued(place).await;
    }
    let tiers = gateway.checkout().await["tiers"].take();
    assert_eq!([&tiers["l1"]["queued"], &tiers["l2"]["queued"], &tiers["l3"]["queued"]], [1, 2, 1]);
    upstream.goes_on();
    for client in &mut waiting {
        assert_eq!(client.answer().await.status, 200);
    }
    let order: Vec<_> = upstream.asked()[1..].iter().map(|it| it.target.clone()).collect();
    assert_eq!(order[..2], ["/l1/d", "/l1/a"], "as if it were of the second tier");
    assert_eq!(refusals(&gateway, "lowered", &["tenant=\"acme\""]).await, 1);
}
