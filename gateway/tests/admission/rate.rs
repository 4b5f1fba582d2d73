//! Ceilings admit exactly `burst + rate * time`, and what is refused reaches nobody.

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;

use crate::support::{Running, SOON, Settings};

/// Two tiers with keys of their own, and a route of each with keys of its own.
fn rated(tier_one: &str, route_one: &str, route_two: &str) -> String {
    format!(
        "[[tiers]]\n{tier_one}\n[[tiers]]\n\
         [[routes]]\nname = \"one\"\npath = \"/one\"\ntier = \"l1\"\n{route_one}\n\
         [[routes]]\nname = \"two\"\npath = \"/two\"\ntier = \"l1\"\n{route_two}\n\
         [[routes]]\nname = \"three\"\npath = \"/three\"\ntier = \"l2\"\n"
    )
}

/// Of so many requests one after the other, the number admitted. All others are refused for `rate`.
async fn admitted(gateway: &Running, path: &str, requests: u64) -> u64 {
    let mut client = gateway.client().await;
    let mut admitted = 0;
    for _ in 0..requests {
        client.get(path).await;
        match client.answer().await.verdict() {
            (200, "") => admitted += 1,
            verdict => assert_eq!(verdict, (503, "rate")),
        }
    }
    admitted
}

#[tokio::test]
async fn a_route_admits_its_burst_and_not_one_more() {
    let origin = Origin::builder().start().unwrap();
    let rest = rated("", "rate = \"1/m\"\nburst = 7", "");
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr()]));
    assert_eq!(admitted(&gateway, "/one", 30).await, 7);
    assert_eq!(origin.stats().requests, 7);
    assert_eq!(admitted(&gateway, "/two", 30).await, 30, "another route has no ceiling");
    let labels = ["route=\"one\"", "reason=\"rate\""];
    assert_eq!(gateway.metrics().await.count("floodgate_rejections_total", &labels), 23);
}

#[tokio::test]
async fn over_time_a_route_admits_burst_and_rate_times_time() {
    let origin = Origin::builder().start().unwrap();
    // A second's worth of burst: a pause of the machine during the test loses nothing.
    let rest = rated("", "rate = \"100/s\"\nburst = 100", "");
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr()]));
    let mut client = gateway.client().await;
    let outer = Instant::now();
    let mut inner = None;
    let (mut admitted, mut last) = (0u64, 200);
    while outer.elapsed() < Duration::from_millis(700) || last == 200 {
        client.get("/one").await;
        last = client.answer().await.status;
        inner.get_or_insert_with(Instant::now);
        admitted += u64::from(last == 200);
        assert!(outer.elapsed() < SOON, "nothing is refused");
    }
    // The first was decided on between the starts of the two clocks, the last before both ends.
    let most = 100.0 + 100.0 * outer.elapsed().as_secs_f64();
    let least = 100.0 + 100.0 * (inner.unwrap().elapsed().as_secs_f64() - 0.05) - 1.0;
    assert!((least..=most).contains(&(admitted as f64)), "{admitted} of {least}..={most}");
    assert_eq!(origin.stats().requests, admitted);
}

#[tokio::test]
async fn a_rate_of_nothing_refuses_all_and_the_origin_sees_none() {
    let origin = Origin::builder().start().unwrap();
    let rest = rated("", "rate = \"0/s\"", "");
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr()]));
    assert_eq!(admitted(&gateway, "/one", 20).await, 0);
    assert_eq!((origin.stats().requests, origin.stats().connections), (0, 0));
    gateway.quiet().await;
}

#[tokio::test]
async fn a_tier_shares_its_rate_among_its_routes() {
    let origin = Origin::builder().start().unwrap();
    let rest = rated("rate = \"1/m\"\nburst = 5", "", "");
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr()]));
    assert_eq!(admitted(&gateway, "/one", 3).await, 3);
    assert_eq!(admitted(&gateway, "/two", 10).await, 2);
    assert_eq!(admitted(&gateway, "/three", 10).await, 10, "another tier has no ceiling");
}

#[tokio::test]
async fn an_upstream_shares_its_rate_among_all() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("rate = \"1/m\"\nburst = 5").rest(rated("", "", ""));
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    assert_eq!(admitted(&gateway, "/one", 2).await, 2);
    assert_eq!(admitted(&gateway, "/two", 2).await, 2);
    assert_eq!(admitted(&gateway, "/three", 10).await, 1);
}

#[tokio::test]
async fn who_is_refused_for_want_of_a_permit_takes_nothing_of_the_rate() {
    let origin = Origin::builder().start().unwrap();
    let rest = rated("", "rate = \"1/m\"\nburst = 3", "");
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 0").rest(rest);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut held = gateway.asking("/one?x-origin-delay-ms=300").await;
    gateway.reach("busy", |status| status["in_flight"] == 1).await;
    for _ in 0..5 {
        let mut client = gateway.asking("/one").await;
        assert_eq!(client.answer().await.verdict(), (503, "buffer_full"));
    }
    assert_eq!(held.answer().await.status, 200);
    assert_eq!(admitted(&gateway, "/one", 5).await, 2);
}

#[tokio::test]
async fn who_is_refused_by_one_rate_takes_nothing_of_another() {
    let origin = Origin::builder().start().unwrap();
    let rest = rated("rate = \"1/m\"\nburst = 4", "rate = \"1/m\"\nburst = 1", "");
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr()]));
    assert_eq!(admitted(&gateway, "/one", 10).await, 1);
    assert_eq!(admitted(&gateway, "/two", 10).await, 3);
}
