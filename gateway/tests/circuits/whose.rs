//! Whose fault it is decides who is refused.

use floodgate_loadtest::origin::Origin;

use crate::support::{Running, Scripted, Settings};
use crate::{LONG, circuit, start, verdicts};

const BROKEN: &[&str] = &["HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"];

#[tokio::test]
async fn only_the_tier_that_fails_is_refused() {
    // However much of the traffic it is.
    for share in [1, 19] {
        let (gateway, _origin) = start(LONG);
        for _ in 0..40 {
            for (status, reason) in verdicts(&gateway, "/l2?x-origin-status=500", share).await {
                assert!(status == 500 || reason == "circuit_open");
            }
            assert_eq!(verdicts(&gateway, "/l1", 1).await[0].0, 200);
        }
        assert_eq!(verdicts(&gateway, "/l2", 1).await[0].1, "circuit_open");
        let status = gateway.checkout().await;
        assert_eq!(status["tiers"]["l2"]["circuit"], "open");
        assert_eq!(status["tiers"]["l1"]["circuit"], "closed");
        assert_eq!(status["servers"][0]["circuit"], "closed");
    }
}

#[tokio::test]
async fn only_the_server_that_fails_is_left_out() {
    let alive = Origin::builder().start().unwrap();
    let sick = Scripted::start(BROKEN).await;
    let gateway = Running::start(&Settings::upstream(LONG).text(&[alive.addr(), sick.addr]));
    let told = verdicts(&gateway, "/l1", 400).await;
    let failed = told.iter().filter(|(status, _)| *status == 500).count();
    assert_eq!(failed, 20, "{told:?}");
    assert!(told.iter().all(|(_, reason)| reason.is_empty()), "nobody is refused");
    assert_eq!(circuit(&gateway, "server", &sick.addr.to_string()).await["state"], "open");
    let status = gateway.checkout().await;
    assert_eq!(
        (&status["circuit"], &status["tiers"]["l1"]["circuit"]),
        (&"closed".into(), &"closed".into())
    );
}

#[tokio::test]
async fn where_all_servers_fail_all_is_refused() {
    let sick = [Scripted::start(BROKEN).await, Scripted::start(BROKEN).await];
    let gateway =
        Running::start(&Settings::upstream(LONG).text(&sick.each_ref().map(|it| it.addr)));
    let told = verdicts(&gateway, "/l1", 100).await;
    let failed = told.iter().filter(|(status, _)| *status == 500).count();
    assert!(failed <= 40, "{failed}");
    assert_eq!(told[99], (503, "circuit_open".to_owned()));
}

#[tokio::test]
async fn a_tier_may_have_settings_of_its_own_or_none() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream(LONG);
    let rest =
        settings.rest.replacen("name = \"l1\"", "name = \"l1\"\ncircuit = { min_calls = 3 }", 1);
    let rest = rest.replacen("name = \"l2\"", "name = \"l2\"\ncircuit = false", 1);
    let gateway = Running::start(&settings.rest(rest).text(&[origin.addr()]));
    let failures = async |path: &str| {
        let told = verdicts(&gateway, path, 15).await;
        told.iter().filter(|(status, _)| *status == 500).count()
    };
    assert_eq!(failures("/l1?x-origin-status=500").await, 3);
    assert_eq!(failures("/l2?x-origin-status=500").await, 15);
}

#[tokio::test]
async fn switched_off_nothing_is_refused() {
    let (gateway, origin) = start("circuit = false");
    verdicts(&gateway, "/l1?x-origin-status=500", 60).await;
    assert_eq!(origin.stats().requests, 60);
    assert_eq!(gateway.checkout().await["circuit"], "off");
}
