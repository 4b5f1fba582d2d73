//! The breaker of a tier: trips at the high watermark, resets at the low one, not between.

use floodgate_loadtest::origin::Origin;
use serde_json::Value;

use crate::support::{Running, Settings};

const TIERS: &str = r#"
[[tiers]]
max_wait = "20s"
deadline = "30s"
watermarks = { high = 1.0, low = 0.9 }
[[tiers]]
max_wait = "20s"
deadline = "30s"
watermarks = { high = 0.8, low = 0.5 }
[[routes]]
path = "/l1/{*rest}"
tier = "l1"
[[routes]]
path = "/l2/{*rest}"
tier = "l2"
"#;

async fn state_of(gateway: &Running, tier: &str) -> (Value, u64, u64) {
    let metrics = gateway.metrics().await;
    let label = format!("tier=\"{tier}\"");
    let count = |name: &str| metrics.count(name, &[&label]);
    let state = gateway.checkout().await["tiers"][tier]["breaker"].take();
    (state, count("floodgate_breaker_state"), count("floodgate_breaker_trips_total"))
}

#[tokio::test]
async fn a_breaker_opens_at_high_and_closes_at_low() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 10").rest(TIERS);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let _held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for place in 1..=7 {
        waiters.push(gateway.waiting("/l2", place).await);
    }
    assert_eq!(state_of(&gateway, "l2").await, ("closed".into(), 0, 0));
    waiters.push(gateway.waiting("/l2", 8).await);
    assert_eq!(state_of(&gateway, "l2").await, ("open".into(), 1, 1));
    assert_eq!(state_of(&gateway, "l1").await, ("closed".into(), 0, 0));
    let mut refused = gateway.asking("/l2").await;
    assert_eq!(refused.answer().await.verdict(), (503, "watermark"));

    for left in (6..8).rev() {
        drop(waiters.pop());
        gateway.queued(left).await;
        assert_eq!(state_of(&gateway, "l2").await, ("open".into(), 1, 1), "{left} wait");
        let mut refused = gateway.asking("/l2").await;
        assert_eq!(refused.answer().await.verdict(), (503, "watermark"), "{left} wait");
    }
    drop(waiters.pop());
    gateway.queued(5).await;
    assert_eq!(state_of(&gateway, "l2").await, ("closed".into(), 0, 1));
    waiters.push(gateway.waiting("/l2", 6).await);
}

#[tokio::test]
async fn an_open_breaker_of_a_lower_tier_does_not_touch_a_higher_one() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 10").rest(TIERS);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for place in 1..=8 {
        waiters.push(gateway.waiting("/l2", place).await);
    }
    for place in 9..=10 {
        waiters.push(gateway.waiting("/l1", place).await);
    }
    drop(held);
    for waiter in &mut waiters {
        assert_eq!(waiter.answer().await.status, 200);
    }
    gateway.quiet().await;
    assert_eq!(state_of(&gateway, "l2").await.0, "closed");
}
