//! Who is next.

use floodgate_loadtest::origin::{Origin, OriginHandle};

use crate::support::{Running, Settings, one_tier, reach};

const STAYS: &str = "x-origin-behaviour=never-answer";

/// Waits until the origin has a request to `/name`, and no other of `names` has come before it.
async fn served(origin: &OriginHandle, names: &[&str]) {
    let count = |stats: &floodgate_loadtest::origin::OriginStats, name: &str| {
        stats.by_prefix.get(&format!("/{name}")).copied().unwrap_or(0)
    };
    let stats = reach(origin, |stats| names.iter().any(|name| count(stats, name) > 0)).await;
    let came: Vec<_> = names.iter().filter(|name| count(&stats, name) > 0).collect();
    assert_eq!(came, [&names[0]]);
}

#[tokio::test]
async fn waiters_of_a_tier_are_served_in_the_order_they_came() {
    let origin = Origin::builder().start().unwrap();
    let rest = one_tier("max_wait = \"20s\"\ndeadline = \"30s\"");
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 16").rest(rest);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut served_now = gateway.holding(&origin).await;
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut waiters = Vec::new();
    for (place, name) in (1..).zip(names) {
        waiters.push(gateway.waiting(&format!("/{name}?{STAYS}"), place).await);
    }
    for (at, waiter) in waiters.into_iter().enumerate() {
        // Whoever is served leaves, upon which the next is.
        drop(std::mem::replace(&mut served_now, waiter));
        served(&origin, &names[at..]).await;
    }
}

#[tokio::test]
async fn a_higher_tier_overtakes_the_lower_ones() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 16");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut held = gateway.asking(&format!("/l3/first?{STAYS}")).await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    let third = gateway.waiting(&format!("/l3?{STAYS}"), 1).await;
    let second = gateway.waiting(&format!("/l2?{STAYS}"), 2).await;
    let first = gateway.waiting(&format!("/l1?{STAYS}"), 3).await;
    drop(std::mem::replace(&mut held, first));
    served(&origin, &["l1", "l2"]).await;
    drop(std::mem::replace(&mut held, second));
    served(&origin, &["l2"]).await;
    drop(std::mem::replace(&mut held, third));
    reach(&origin, |stats| stats.by_prefix["/l3"] == 2).await;
}

#[tokio::test]
async fn in_a_full_buffer_the_newest_of_the_lowest_tier_makes_room_for_a_higher_one() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 3");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let held = gateway.holding(&origin).await;
    let mut two = gateway.waiting("/l2", 1).await;
    let mut older = gateway.waiting("/l3/older", 2).await;
    let mut newer = gateway.waiting("/l3/newer", 3).await;

    let mut one = gateway.asking("/l1").await;
    assert_eq!(newer.answer().await.verdict(), (503, "buffer_full"));
    let status = gateway.checkout().await;
    let queued = |tier: &str| status["tiers"][tier]["queued"].as_u64().unwrap();
    assert_eq!((queued("l1"), queued("l2"), queued("l3")), (1, 1, 1));

    drop(held);
    for stayed in [&mut one, &mut two, &mut older] {
        assert_eq!(stayed.answer().await.status, 200);
    }
    gateway.quiet().await;
}
