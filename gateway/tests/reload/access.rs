//! Who may ask the admin listener for what, and what it says to mistakes.

use crate::live::{Launch, Live, origin, text};
use crate::support::{Client, post};

const OPERATOR: &str = "operator-0123456789";
const VIEWER: &str = "viewer-0123456789";

fn guarded(text: &str) -> Launch {
    Launch::new(text).env("FLOODGATE_ADMIN_TOKEN", OPERATOR).env("FLOODGATE_VIEWER_TOKEN", VIEWER)
}

/// Everything that looks, and everything that changes.
const LOOKS: [&str; 7] = [
    "/metrics",
    "/api/status",
    "/api/config",
    "/api/config/history",
    "/api/latch",
    "/api/latch/shoe",
    "/api/shadow",
];
const CHANGES: [(&str, &str); 7] = [
    ("PUT", "/api/latch/shoe?state=sold_out"),
    ("PUT", "/api/config"),
    ("PUT", "/api/config?mode=shadow"),
    ("POST", "/api/config/rollback"),
    ("POST", "/api/config/confirm"),
    ("POST", "/api/shadow/promote"),
    ("DELETE", "/api/shadow"),
];

#[tokio::test]
async fn a_viewer_looks_an_operator_changes_and_nobody_else_does_either() {
    let origin = origin();
    let before = text(&origin, "max_in_flight = 2");
    let gateway = guarded(&before).start();
    let after = text(&origin, "max_in_flight = 3");
    let everything = LOOKS.map(|path| ("GET", path)).into_iter().chain(CHANGES);
    for (method, path) in everything {
        for token in [None, Some("wrong-0123456789"), Some("")] {
            let answer = gateway.ask_as(token, method, path, &after).await;
            assert_eq!(answer.status, 401, "{method} {path} {token:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    for path in LOOKS {
        for token in [VIEWER, OPERATOR] {
            let answer = gateway.ask_as(Some(token), "GET", path, "").await;
            assert!(matches!(answer.status, 200 | 404), "{path} {}", answer.status);
        }
    }
    for (method, path) in CHANGES {
        let answer = gateway.ask_as(Some(VIEWER), method, path, &after).await;
        assert_eq!((answer.status, &answer.json()["reason"]), (403, &"forbidden".into()), "{path}");
    }
    let live = gateway.ask_as(Some(VIEWER), "GET", "/api/config", "").await.json();
    assert_eq!((&live["generation"], &live["text"]), (&1.into(), &before.into()));
    let answer = gateway.ask_as(Some(OPERATOR), "PUT", "/api/config", &after).await;
    assert_eq!(answer.json()["result"], "applied");
    let told = gateway.log();
    assert!(!told.contains(OPERATOR) && !told.contains(VIEWER), "{told}");
}

#[tokio::test]
async fn probes_need_no_token() {
    let gateway = guarded(&text(&origin(), "")).start();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(gateway.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn without_a_token_it_does_not_listen_to_other_machines() {
    let open = |launch: fn(&str) -> Launch| {
        launch(&text(&origin(), "").replace("admin = \"127.0.0.1:0\"", "admin = \"0.0.0.0:0\""))
    };
    let refusal = open(Launch::new).fails().await;
    assert!(
        refusal.contains("FLOODGATE_ADMIN_TOKEN") && refusal.contains("0.0.0.0:0"),
        "{refusal}"
    );
    drop(open(guarded).start());
}

#[tokio::test]
async fn a_token_that_can_be_guessed_or_opens_nothing_is_refused_at_the_start() {
    let text = text(&origin(), "");
    let refusal = Launch::new(&text).env("FLOODGATE_ADMIN_TOKEN", "short").fails().await;
    assert!(refusal.contains("FLOODGATE_ADMIN_TOKEN") && !refusal.contains("short\""), "{refusal}");
    // A viewer's token alone would leave everybody an operator.
    let refusal = Launch::new(&text).env("FLOODGATE_VIEWER_TOKEN", VIEWER).fails().await;
    assert!(refusal.contains("FLOODGATE_ADMIN_TOKEN"), "{refusal}");
}

#[tokio::test]
async fn every_change_leaves_a_line_of_who_from_where_and_what() {
    let origin = origin();
    let keys = |keys: &str| text(&origin, keys).replace("log = \"warn\"", "log = \"info\"");
    let mut gateway = guarded(&keys("max_in_flight = 2")).start();
    gateway.token = Some(OPERATOR);
    let changed = gateway.put(&keys("max_in_flight = 3")).await;
    assert_eq!(changed.json()["result"], "applied");
    let who = "\"who\":\"operator\"";
    let from = "\"from\":\"127.0.0.1:";
    let what = "upstreams.checkout.max_in_flight: 2 -> 3";
    gateway.logged(&["\"audit\"", "applied", "\"generation\":2", who, from, what]).await;
    gateway.ask("POST", "/api/config/rollback", "").await;
    gateway.logged(&["\"audit\"", "applied", "rollback", "\"generation\":3", who, from]).await;
    gateway.put("bad").await;
    gateway.logged(&["\"audit\"", "rejected", "\"trigger\":\"api\"", who, from]).await;
    let shadow = keys("max_in_flight = 4");
    gateway.ask("PUT", "/api/config?mode=shadow", &shadow).await;
    gateway.logged(&["\"audit\"", "shadow configuration begun", who, from]).await;
    gateway.ask("DELETE", "/api/shadow", "").await;
    gateway.logged(&["\"audit\"", "shadow configuration ended", who, from]).await;
    gateway.ask("PUT", "/api/config?confirm_within=1h", &shadow).await;
    gateway.ask("POST", "/api/config/confirm", "").await;
    gateway.logged(&["\"audit\"", "configuration confirmed", who, from]).await;
}

#[tokio::test]
async fn a_body_that_is_longer_than_any_configuration_is_a_413() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, ""));
    let body = "#".repeat((4 << 20) + 1);
    assert_eq!(gateway.put(&body).await.status, 413);
    assert_eq!(gateway.generation().await, 1);
    let mut client = Client::connect(gateway.listen).await;
    client.send(post("/l1", b"x")).await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn mistakes_are_named() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    let new = text(&origin, "max_in_flight = 3");
    for (method, path, status) in [
        ("GET", "/api/config?generation=1", 400),
        ("PUT", "/api/config?persists=true", 400),
        ("PUT", "/api/config?persist=yes", 400),
        ("PUT", "/api/config?confirm_within=soon", 400),
        ("PUT", "/api/config?confirm_within=25h", 400),
        ("POST", "/api/config/rollback?generation=1", 400),
        ("POST", "/api/config/rollback?to=-1", 400),
        ("POST", "/api/config", 405),
        ("DELETE", "/api/config", 405),
        ("GET", "/api/config/rollback", 405),
        ("GET", "/api/config/confirm", 405),
        ("GET", "/api/shadow/promote", 405),
        ("PUT", "/api/shadow", 405),
        ("POST", "/metrics", 405),
        ("PUT", "/api/config/history", 405),
        ("GET", "/api/nothing", 404),
    ] {
        let answer = gateway.ask(method, path, &new).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
        assert_eq!(answer.json()["status"], status);
    }
    assert_eq!((gateway.generation().await, gateway.limit().await), (1, 2));
}
