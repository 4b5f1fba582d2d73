//! What was live, going back to it, and changes that are taken back by themselves.

use std::fs;

use serde_json::json;

use crate::live::{Live, origin, text};

#[tokio::test]
async fn the_history_tells_when_by_what_and_the_difference_key_by_key() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2\nbuffer = 5"));
    let answer = gateway.put(&text(&origin, "max_in_flight = 3\nbuffer = 6")).await.json();
    let changes =
        json!(["upstreams.checkout.max_in_flight: 2 -> 3", "upstreams.checkout.buffer: 5 -> 6"]);
    assert_eq!(answer["changes"], changes);
    let history = gateway.history().await;
    assert_eq!(history.len(), 2);
    let latest = &history[0];
    assert_eq!((&latest["generation"], &latest["trigger"]), (&2.into(), &"api".into()));
    assert_eq!((&latest["changes"], &latest["who"]), (&changes, &"operator".into()));
    assert!(latest["from"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(latest["at"].as_str().unwrap() >= history[1]["at"].as_str().unwrap());
    assert_eq!(history[1]["trigger"], "start");
}

#[tokio::test]
async fn the_last_twenty_are_remembered_and_can_be_gone_back_to() {
    let origin = origin();
    let limit = |limit: u64| text(&origin, &format!("max_in_flight = {limit}"));
    let gateway = Live::start(&limit(101));
    for generation in 2..=25 {
        assert_eq!(gateway.change(&limit(100 + generation)).await, generation);
    }
    let numbers: Vec<_> =
        gateway.history().await.iter().map(|one| one["generation"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (6..=25).rev().collect::<Vec<_>>());

    for gone in ["5", "26", "0"] {
        let answer = gateway.ask("POST", &format!("/api/config/rollback?to={gone}"), "").await;
        assert_eq!((answer.status, gateway.limit().await), (404, 125), "{gone}");
    }
    let answer = gateway.ask("POST", "/api/config/rollback?to=6", "").await.json();
    assert_eq!((&answer["result"], &answer["generation"]), (&"applied".into(), &26.into()));
    assert_eq!(answer["changes"], json!(["upstreams.checkout.max_in_flight: 125 -> 106"]));
    assert_eq!(gateway.limit().await, 106);
    assert_eq!(gateway.history().await[0]["trigger"], "rollback");
}

#[tokio::test]
async fn without_a_number_it_goes_back_by_one() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    assert_eq!(gateway.ask("POST", "/api/config/rollback", "").await.status, 404);
    gateway.change(&text(&origin, "max_in_flight = 3")).await;
    assert_eq!(gateway.ask("POST", "/api/config/rollback", "").await.status, 200);
    assert_eq!((gateway.generation().await, gateway.limit().await), (3, 2));
}

#[tokio::test]
async fn an_unconfirmed_change_is_taken_back_by_itself() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    let path = "/api/config?confirm_within=300ms";
    let answer = gateway.ask("PUT", path, &text(&origin, "max_in_flight = 3")).await;
    assert!(answer.json()["confirm_by"].is_string());
    assert_eq!(gateway.limit().await, 3);
    gateway.becomes(3).await;
    assert_eq!(gateway.limit().await, 2);
    assert_eq!(gateway.history().await[0]["trigger"], "unconfirmed");
    assert!(gateway.config().await["confirm_by"].is_null());
    assert_eq!(gateway.ask("POST", "/api/config/confirm", "").await.status, 409);
}

#[tokio::test]
async fn a_confirmed_change_stays() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    let limit = |limit: u64| text(&origin, &format!("max_in_flight = {limit}"));
    let path = "/api/config?confirm_within=400ms";
    assert_eq!(gateway.ask("PUT", path, &limit(3)).await.status, 200);
    let answer = gateway.ask("POST", "/api/config/confirm", "").await;
    assert_eq!((answer.status, &answer.json()["generation"]), (200, &2.into()));
    assert!(gateway.config().await["confirm_by"].is_null());
    assert_eq!(gateway.ask("POST", "/api/config/confirm", "").await.status, 409);
    // A later one is taken back to it, when the time that it had itself is over too.
    assert_eq!(gateway.ask("PUT", path, &limit(4)).await.status, 200);
    gateway.becomes(4).await;
    assert_eq!(gateway.limit().await, 3);
}

#[tokio::test]
async fn a_later_change_ends_the_waiting_for_a_confirmation() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    let limit = |limit: u64| text(&origin, &format!("max_in_flight = {limit}"));
    assert_eq!(gateway.ask("PUT", "/api/config?confirm_within=300ms", &limit(3)).await.status, 200);
    gateway.change(&limit(4)).await;
    assert!(gateway.config().await["confirm_by"].is_null());
    assert_eq!(gateway.ask("POST", "/api/config/confirm", "").await.status, 409);
    // And it is what a still later one is taken back to.
    assert_eq!(gateway.ask("PUT", "/api/config?confirm_within=400ms", &limit(5)).await.status, 200);
    gateway.becomes(5).await;
    assert_eq!(gateway.limit().await, 4);
}

#[tokio::test]
async fn a_persisted_change_is_in_the_file_and_is_one_generation() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2"));
    let new = text(&origin, "max_in_flight = 3");
    assert_eq!(gateway.ask("PUT", "/api/config?persist=true", &new).await.status, 200);
    assert_eq!(fs::read_to_string(&gateway.file).unwrap(), new);
    gateway.has_reloads("unchanged", 1).await;
    assert_eq!((gateway.generation().await, gateway.limit().await), (2, 3));
    let names = fs::read_dir(gateway.beside("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.count(), 2, "the file and the log, nothing is left over");
}

#[tokio::test]
async fn what_may_be_taken_back_is_not_persisted() {
    let origin = origin();
    let before = text(&origin, "max_in_flight = 2");
    let gateway = Live::start(&before);
    let path = "/api/config?persist=true&confirm_within=1h";
    assert_eq!(gateway.ask("PUT", path, &text(&origin, "max_in_flight = 3")).await.status, 400);
    assert_eq!(gateway.ask("PUT", "/api/config?persist=true", "bad").await.status, 422);
    assert_eq!(fs::read_to_string(&gateway.file).unwrap(), before);
    assert_eq!(gateway.generation().await, 1);
}
