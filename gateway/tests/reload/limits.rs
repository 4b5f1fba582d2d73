//! Limits per key are carried over by name: what was used stays used, counted in requests.

use floodgate_loadtest::origin::OriginHandle;

use crate::live::{Live, origin};
use crate::support::{Client, Settings};

fn limited(origin: &OriginHandle, limit: &str) -> String {
    let rest = format!("[[tiers]]\n[[routes]]\nname = \"one\"\nlimits = [{{ {limit} }}]\n");
    Settings::upstream("").rest(rest).text(&[origin.addr()])
}

/// Of so many requests, those admitted; the others are refused for `key_limit`.
async fn admitted(gateway: &Live, requests: usize) -> usize {
    let mut admitted = 0;
    let mut client = Client::connect(gateway.listen).await;
    for _ in 0..requests {
        client.get("/one").await;
        match client.answer().await.verdict() {
            (200, "") => admitted += 1,
            verdict => assert_eq!(verdict, (429, "key_limit")),
        }
    }
    admitted
}

#[tokio::test]
async fn what_was_used_stays_used_whatever_else_changes() {
    let origin = origin();
    let limit = |more: &str| {
        limited(&origin, &format!("key = \"client_ip\", rate = \"1/h\", burst = 5, {more}"))
    };
    let gateway = Live::start(&limit("max_keys = 10"));
    assert_eq!(admitted(&gateway, 3).await, 3);
    gateway.change(&limit("max_keys = 5000")).await;
    assert_eq!(admitted(&gateway, 1).await, 1);
    gateway.change(&limit("shadow = true")).await;
    assert_eq!(admitted(&gateway, 3).await, 3);
    gateway.change(&limit("shadow = false")).await;
    assert_eq!(admitted(&gateway, 3).await, 0);
}

#[tokio::test]
async fn another_rate_leaves_as_many_requests_owed() {
    let origin = origin();
    let limit = |rate: &str| limited(&origin, &format!("key = \"client_ip\", {rate}"));
    let gateway = Live::start(&limit("rate = \"1/h\", burst = 5"));
    assert_eq!(admitted(&gateway, 3).await, 3);
    gateway.change(&limit("rate = \"2/h\", burst = 5")).await;
    assert_eq!(admitted(&gateway, 9).await, 2);
    gateway.change(&limit("rate = \"0/s\"")).await;
    assert_eq!(admitted(&gateway, 2).await, 0);
    // Nobody is locked out by what a slower rate had them owe: five in 500 ms, not in five hours.
    gateway.change(&limit("rate = \"100/s\", burst = 5")).await;
    let begun = std::time::Instant::now();
    while admitted(&gateway, 1).await == 0 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "locked out");
    }
}

#[tokio::test]
async fn another_key_is_another_limit() {
    let origin = origin();
    let limit = |key: &str| {
        limited(&origin, &format!("name = \"own\", key = {key}, rate = \"1/h\", burst = 2"))
    };
    let gateway = Live::start(&limit("\"client_ip\""));
    assert_eq!(admitted(&gateway, 5).await, 2);
    gateway.change(&limit("\"header:host\"").replace("header:host", "header:x-user")).await;
    assert_eq!(admitted(&gateway, 5).await, 2);
}
