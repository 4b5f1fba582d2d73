//! All or nothing: what is wrong changes nothing, and what cannot change now is named.

use serde_json::Value;

use crate::live::{Live, origin, text};
use crate::support::{Settings, floodgate};

/// Three mistakes of different kinds, and a good change beside them.
const BAD: &str = r#"
[server]
listn = "127.0.0.1:0"

[upstreams.checkout]
servers = ["127.0.0.1:9000"]
max_in_flight = "many"
buffer = 3

[[routes]]
path = "/{*rest}"
tier = "l9"
"#;
/// A word of each of them.
const MISTAKES: [&str; 3] = ["listn", "many", "l9"];

/// What the command line says of this text in this file.
fn checked(gateway: &Live, text: &str) -> Value {
    gateway.write(text);
    let output = floodgate(&["check", "--json", gateway.file.to_str().unwrap()]);
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn serves_as_before(gateway: &Live) {
    assert_eq!((gateway.generation().await, gateway.limit().await), (1, 2));
    assert_eq!(gateway.get("/readyz").await.status, 200);
    assert_eq!(gateway.verdict("/l1").await.0, 200);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_all_its_problems_are_told() {
    let origin = origin();
    let before = text(&origin, "max_in_flight = 2");
    let gateway = Live::start(&before);
    let problems = checked(&gateway, BAD);
    gateway.has_reloads("rejected", 1).await;
    serves_as_before(&gateway).await;
    let config = gateway.config().await;
    assert_eq!(config["text"], before);
    assert_eq!(config["rejected"]["problems"], problems);
    assert_eq!(config["rejected"]["trigger"], "file");
    assert_eq!(problems.as_array().unwrap().len(), MISTAKES.len());
    let line = gateway.logged(&["rejected"]).await;
    assert!(
        line.contains("\"ERROR\"") && MISTAKES.iter().all(|word| line.contains(word)),
        "{line}"
    );

    gateway.write(&before);
    gateway.has_reloads("unchanged", 1).await;
    assert!(gateway.config().await["rejected"].is_null());
}

#[tokio::test]
async fn a_bad_text_is_a_422_with_the_problems_of_the_command_line() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    let answer = gateway.put(BAD).await;
    assert_eq!(answer.status, 422);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let json = answer.json();
    assert_eq!((&json["status"], &json["reason"]), (&422.into(), &"config_rejected".into()));
    serves_as_before(&gateway).await;
    assert_eq!(gateway.reloads("rejected").await, 1);
    assert_eq!(gateway.config().await["rejected"]["who"], "operator");
    assert_eq!(json["problems"], checked(&gateway, BAD));
    let plain = floodgate(&["check", gateway.file.to_str().unwrap()]).stdout;
    assert_eq!(
        json["text"].as_str().unwrap().trim_end(),
        String::from_utf8(plain).unwrap().trim_end()
    );
}

#[tokio::test]
async fn what_is_no_configuration_at_all_is_refused() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    for body in ["", "\0", "[[[", "x = 1", "[upstreams]"] {
        assert_eq!(gateway.put(body).await.status, 422, "{body:?}");
    }
    serves_as_before(&gateway).await;
}

#[tokio::test]
async fn what_takes_a_start_is_named_and_the_rest_is_live() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    let other = Settings::upstream("max_in_flight = 3")
        .server("workers = 2\nbacklog = 77")
        .text(&[origin.addr()])
        .replace("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\"")
        .replace("admin = \"127.0.0.1:0\"", "admin = \"127.0.0.1:2\"");
    let answer = gateway.put(&other).await.json();
    let keys = ["server.listen", "server.admin", "server.workers", "server.backlog"];
    assert_eq!(answer["after_restart"], serde_json::json!(keys));
    assert_eq!(answer["note"], format!("takes effect at the next start: {}", keys.join(", ")));
    assert_eq!(gateway.limit().await, 3);
    assert_eq!(gateway.verdict("/l1").await.0, 200);
    // It stays true until the next start, whatever else changes.
    let later = other.replace("max_in_flight = 3", "max_in_flight = 4");
    gateway.change(&later).await;
    assert_eq!(gateway.config().await["after_restart"], serde_json::json!(keys));
    gateway.change(&text(&origin, "max_in_flight = 4")).await;
    assert_eq!(gateway.config().await["after_restart"], serde_json::json!([]));
}
