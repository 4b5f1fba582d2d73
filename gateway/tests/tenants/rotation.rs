//! Keys change while requests come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::house::{House, LOGIN, apply, bearer, get};
use crate::support::{Issuer, Running, SOON};
use crate::upstream::Upstream;

const NEXT: Issuer = Issuer::Secret("the next secret, which is long enough to be one as well");

/// Waits until a token of `issuer` counts, or no more.
async fn until(gateway: &Running, issuer: &Issuer, status: u16) {
    let begin = Instant::now();
    loop {
        gateway.reload();
        let token = issuer.token("\"sub\":\"anna\"");
        if get(gateway, "/l1/", &bearer(&token)).await.status == status {
            return;
        }
        assert!(begin.elapsed() < SOON, "never {status}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn house() -> House {
    House::new("[tenants.acme]\nshare = 0.9\n")
}

#[tokio::test]
async fn a_key_takes_over_from_another_without_anybody_noticing() {
    let upstream = Upstream::start().await;
    let house = house();
    let gateway = house.start(&upstream);
    let (old, new) = (LOGIN.token("\"org\":\"acme\""), NEXT.token("\"org\":\"acme\""));
    // Somebody asks all the time: with the old token, and from when it counts with the new one as well.
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    let fields = bearer(&old);
    let mut regular = gateway.client().await;
    let traffic = tokio::spawn(async move {
        while !*stopped.borrow_and_update() {
            regular.send(format!("GET /l1/ HTTP/1.1\r\nhost: shop\r\n{fields}\r\n")).await;
            let status = regular.answer().await.status;
            assert_eq!(status, 200);
            counter.fetch_add(1, Relaxed);
        }
    });
    let goes_on = async || {
        let (before, begin) = (served.load(Relaxed), Instant::now());
        while served.load(Relaxed) < before + 10 {
            assert!(begin.elapsed() < SOON && !traffic.is_finished());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    until(&gateway, &NEXT, 401).await;
    goes_on().await;
    house.put_keys(&format!("{}\n{}\n", LOGIN.file(), NEXT.file()));
    until(&gateway, &NEXT, 200).await;
    goes_on().await;
    house.put_keys("broken");
    gateway.reload();
    assert_eq!(get(&gateway, "/l1/", &bearer(&new)).await.status, 200);
    goes_on().await;
    stop.send(true).unwrap();
    traffic.await.unwrap();
    house.put_keys(&NEXT.file());
    until(&gateway, &LOGIN, 401).await;
    assert_eq!(get(&gateway, "/l1/", &bearer(&old)).await.verdict(), (401, "invalid_token"));
    assert_eq!(get(&gateway, "/l1/", &bearer(&new)).await.status, 200);
}

#[tokio::test]
async fn a_reload_that_changes_something_else_verifies_nothing_again() {
    let upstream = Upstream::start().await;
    let house = house();
    let gateway = house.start(&upstream);
    let fields = bearer(&LOGIN.token("\"org\":\"acme\""));
    for permits in 9..12 {
        assert_eq!(get(&gateway, "/l1/", &fields).await.status, 200);
        let changed = house
            .text(&upstream)
            .replace("max_in_flight = 8", &format!("max_in_flight = {permits}"));
        apply(&gateway, &changed).await;
    }
    let good = |metrics: crate::support::Metrics| {
        metrics.count("floodgate_tokens_total", &["result=\"good\""])
    };
    assert_eq!(good(gateway.metrics().await), 1);
    let stricter = house.jwt("audience = [\"shop\"]");
    apply(&gateway, &stricter.text(&upstream)).await;
    assert_eq!(get(&gateway, "/l1/", &fields).await.verdict(), (401, "invalid_token"));
}
