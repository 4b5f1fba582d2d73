//! A candidate beside the live configuration: it tells what it would do, and does nothing.

use floodgate_loadtest::origin::OriginHandle;
use serde_json::{Value, json};

use crate::live::{Launch, Live, origin};
use crate::support::Settings;

/// One permit less than any test needs, and two routes of which the first has these keys.
fn routes(origin: &OriginHandle, upstream: &str, one: &str) -> String {
    let rest = format!(
        "[[tiers]]\nmax_wait = \"20s\"\ndeadline = \"20s\"\n\
         [[routes]]\nname = \"one\"\npath = \"/l1/{{*rest}}\"\n{one}\n\
         [[routes]]\nname = \"two\"\npath = \"/l2/{{*rest}}\"\n"
    );
    Settings::upstream(upstream).rest(rest).text(&[origin.addr()])
}

async fn begin(gateway: &Live, text: &str) {
    let answer = gateway.ask("PUT", "/api/config?mode=shadow", text).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// What the shadow tells of this route, counts only.
async fn told(gateway: &Live, route: &str) -> (Value, Value) {
    let shadow = gateway.get("/api/shadow").await.json();
    let mut rows = shadow["routes"].as_array().unwrap().iter();
    let row = rows.find(|row| row["route"] == route).unwrap();
    (row["shadow"].clone(), row["live"].clone())
}

fn counts(admitted: u64, rejected: u64, reasons: Value) -> Value {
    json!({
        "arrivals": admitted + rejected, "admitted": admitted, "rejected": rejected, "reasons": reasons,
    })
}

const BURST: &str = "rate = \"1/h\"\nburst = 2";

#[tokio::test]
async fn a_stricter_candidate_refuses_only_on_paper() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, "", ""));
    assert_eq!(gateway.verdict("/l1").await.0, 200);
    begin(&gateway, &routes(&origin, "", BURST)).await;
    for _ in 0..5 {
        assert_eq!(gateway.verdict("/l1").await.0, 200);
    }
    assert_eq!(gateway.verdict("/l2").await.0, 200);
    // From its beginning on: what was before is in neither.
    let expected = (counts(2, 3, json!({ "rate": 3 })), counts(5, 0, json!({})));
    assert_eq!(told(&gateway, "one").await, expected);
    assert_eq!(told(&gateway, "two").await, (counts(1, 0, json!({})), counts(1, 0, json!({}))));
    let metrics = gateway.metrics().await;
    let of_one = |outcome| ["route=\"one\"", "tier=\"l1\"", outcome];
    let requests = "floodgate_shadow_requests_total";
    assert_eq!(metrics.count(requests, &of_one("outcome=\"admitted\"")), 2);
    assert_eq!(metrics.count(requests, &of_one("outcome=\"rejected\"")), 3);
    let rejections = "floodgate_shadow_rejections_total";
    assert_eq!(metrics.count(rejections, &of_one("reason=\"rate\"")), 3);
    assert_eq!(metrics.count("floodgate_rejections_total", &[]), 0);
    assert_eq!(gateway.generation().await, 1);
}

#[tokio::test]
async fn a_milder_candidate_admits_only_on_paper() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, "", BURST));
    begin(&gateway, &routes(&origin, "", "")).await;
    for request in 0..5 {
        assert_eq!(gateway.verdict("/l1").await.0, if request < 2 { 200 } else { 503 });
    }
    let expected = (counts(5, 0, json!({})), counts(2, 3, json!({ "rate": 3 })));
    assert_eq!(told(&gateway, "one").await, expected);
    assert_eq!(origin.stats().requests, 2);
}

#[tokio::test]
async fn its_permits_are_its_own_and_last_as_long_as_the_real_ones() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, "max_in_flight = 4", ""));
    begin(&gateway, &routes(&origin, "max_in_flight = 1\nbuffer = 0", "")).await;
    let held = [gateway.holding(&origin).await, gateway.holding(&origin).await];
    let status = gateway.checkout().await;
    assert_eq!((&status["in_flight"], &status["limit"]), (&2.into(), &4.into()));
    assert_eq!(told(&gateway, "one").await.0, counts(1, 1, json!({ "buffer_full": 1 })));
    drop(held);
    gateway.quiet().await;
    assert_eq!(gateway.verdict("/l1").await.0, 200);
    assert_eq!(told(&gateway, "one").await.0, counts(2, 1, json!({ "buffer_full": 1 })));
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn promoted_it_is_live_and_no_shadow_any_more() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, "max_in_flight = 2", ""));
    begin(&gateway, &routes(&origin, "max_in_flight = 3", BURST)).await;
    assert_eq!(gateway.limit().await, 2);
    let answer = gateway.ask("POST", "/api/shadow/promote", "").await;
    assert_eq!((answer.status, &answer.json()["result"]), (200, &"applied".into()));
    assert_eq!((gateway.generation().await, gateway.limit().await), (2, 3));
    assert_eq!(gateway.history().await[0]["trigger"], "promotion");
    assert_eq!(gateway.get("/api/shadow").await.status, 404);
    assert_eq!(gateway.ask("POST", "/api/shadow/promote", "").await.status, 404);
}

#[tokio::test]
async fn ended_it_is_gone_and_nothing_has_changed() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, "max_in_flight = 2", ""));
    begin(&gateway, &routes(&origin, "max_in_flight = 3", "")).await;
    assert_eq!(gateway.ask("DELETE", "/api/shadow", "").await.status, 200);
    assert_eq!(gateway.get("/api/shadow").await.status, 404);
    assert_eq!(gateway.ask("DELETE", "/api/shadow", "").await.status, 404);
    assert_eq!((gateway.generation().await, gateway.limit().await), (1, 2));
    assert_eq!(gateway.metrics().await.count("floodgate_shadow_requests_total", &[]), 0);
}

#[tokio::test]
async fn a_bad_candidate_is_a_422_and_leaves_the_present_one() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, "", ""));
    let bad = "[upstreams.checkout]\nservers = 7\n";
    let answer = gateway.ask("PUT", "/api/config?mode=shadow", bad).await;
    assert_eq!((answer.status, answer.json()["problems"][0]["line"].as_u64()), (422, Some(2)));
    assert_eq!(gateway.get("/api/shadow").await.status, 404);
    begin(&gateway, &routes(&origin, "", BURST)).await;
    assert_eq!(gateway.ask("PUT", "/api/config?mode=shadow", bad).await.status, 422);
    assert_eq!(gateway.get("/api/shadow").await.status, 200);
    assert!(
        gateway.config().await["rejected"].is_null(),
        "it is not the live one that was refused"
    );
}

#[tokio::test]
async fn what_means_nothing_for_a_shadow_is_refused() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, "", ""));
    for query in ["mode=shadow&persist=true", "mode=shadow&confirm_within=1m", "mode=shade"] {
        let path = format!("/api/config?{query}");
        let answer = gateway.ask("PUT", &path, &routes(&origin, "", BURST)).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    assert_eq!(gateway.get("/api/shadow").await.status, 404);
}

#[tokio::test]
async fn it_outlives_a_change_of_the_live_one() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, "max_in_flight = 2", ""));
    begin(&gateway, &routes(&origin, "", BURST)).await;
    assert_eq!(gateway.verdict("/l1").await.0, 200);
    gateway.change(&routes(&origin, "max_in_flight = 3", "")).await;
    for _ in 0..2 {
        assert_eq!(gateway.verdict("/l1").await.0, 200);
    }
    let expected = (counts(2, 1, json!({ "rate": 1 })), counts(3, 0, json!({})));
    assert_eq!(told(&gateway, "one").await, expected);
}

#[tokio::test]
async fn it_can_be_there_from_the_start() {
    let origin = origin();
    let gateway = Launch::new(&routes(&origin, "", "")).shadow(&routes(&origin, "", BURST)).start();
    for _ in 0..3 {
        assert_eq!(gateway.verdict("/l1").await.0, 200);
    }
    assert_eq!(told(&gateway, "one").await.0, counts(2, 1, json!({ "rate": 1 })));
    let bad = Launch::new(&routes(&origin, "", "")).shadow("[upstreams]\n").fails().await;
    assert!(bad.contains("shadow.toml"), "{bad}");
}
