//! What the operator is told of limits and keys.

use crate::support::Running;
use crate::{admitted, from, start};

const LIMITS: &str = "limits = [\n\
    { key = \"client_ip\", rate = \"1/h\", burst = 500 },\n\
    { name = \"customer\", key = \"header:x-user\", rate = \"1/h\", burst = 2 },\n]";

async fn told(gateway: &Running, field: &str) -> serde_json::Value {
    let mut client = gateway.client().await;
    client.send("GET /buy/1 HTTP/1.1\r\nhost: shop\r\nx-user: a\r\n\r\n").await;
    let answer = client.answer().await;
    let decision = answer.header("x-floodgate-decision").unwrap();
    let id = decision.strip_prefix("id=").unwrap().split(';').next().unwrap();
    gateway.get(&format!("/api/explain/{id}")).await.json()[field].take()
}

#[tokio::test]
async fn a_decision_names_the_limit_that_refused() {
    let (gateway, _origin) = start(&format!("{LIMITS}\n[explain]\nheader = true\n"));
    assert_eq!(told(&gateway, "limit").await, serde_json::Value::Null);
    assert_eq!(told(&gateway, "reason").await, serde_json::Value::Null);
    assert_eq!(told(&gateway, "limit").await, "customer");
    assert_eq!(told(&gateway, "reason").await, "key_limit");
}

#[tokio::test]
async fn the_status_tells_of_every_limit() {
    let (gateway, _origin) = start(LIMITS);
    let mut client = gateway.client().await;
    assert_eq!(admitted(&mut client, "/buy/1", "x-user: a\r\n", 5).await, 2);
    let limits = gateway.status().await["limits"]["buy"].take();
    let (by_ip, customer) = (&limits["client_ip"], &limits["customer"]);
    assert_eq!((&by_ip["refused"], &customer["refused"]), (&0.into(), &3.into()));
    assert_eq!((&by_ip["keys"], &customer["keys"]), (&1.into(), &1.into()));
    assert_eq!(
        (&customer["key"], &customer["max_keys"]),
        (&"header:x-user".into(), &100_000.into())
    );
}

#[tokio::test]
async fn the_keys_that_come_most_are_shown() {
    let limits = "limits = [{ key = [\"client_ip\", \"path:sku\"], rate = \"1/h\" }]";
    let (gateway, _origin) = start(limits);
    let mut hot = from("127.0.0.2", &gateway).await;
    // One in 64 is looked at: of 3,000 some are, but for one chance in 10^20.
    for batch in 0..30 {
        let wire = "GET /buy/hot%0A HTTP/1.1\r\nhost: shop\r\n\r\n".repeat(100);
        hot.send(wire).await;
        for n in 0..100 {
            let status = hot.answer().await.status;
            assert_eq!(status, if batch + n == 0 { 200 } else { 429 });
        }
    }
    let top = gateway.get("/api/keys/top?limit=5").await.json();
    let first = &top["keys"][0];
    assert_eq!(first["text"], "127.0.0.2+hot\\n", "{top}");
    assert_eq!((&first["route"], &first["limit"]), (&"buy".into(), &"client_ip+path:sku".into()));
    assert_eq!(first["share"], 1.0);
    assert!(first["per_second"].as_f64().unwrap() > 50.0, "{top}");
    assert_eq!(gateway.get("/api/keys/top?limit=x").await.status, 400);
    assert_eq!(gateway.get("/api/keys/bottom").await.status, 404);
}

#[tokio::test]
async fn a_secret_is_shown_by_its_beginning_only() {
    let (gateway, _origin) =
        start("limits = [{ key = \"cookie:sid\", rate = \"1/h\", burst = 1 }]");
    let mut client = gateway.client().await;
    let line = "cookie: sid=0123456789abcdef\r\n";
    admitted(&mut client, "/buy/1", line, 2_000).await;
    let top = gateway.get("/api/keys/top").await.json();
    assert_eq!(top["keys"][0]["text"], "012345…", "{top}");
}
