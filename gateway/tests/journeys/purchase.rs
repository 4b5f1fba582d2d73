//! However often a customer clicks, the upstream is asked once, and all clicks get its answer.

use std::time::{Duration, Instant};

use crate::shop::{
    BY_NAME, DEVICE, HEADER, Shop, apply, ask, begun, cookie, get, jar, user, wire, with,
};
use crate::support::{Answer, Client, Running, SOON};
use crate::upstream::{Does, Upstream, fine, whole};

const KEY: &str = "idempotency-key: 7";

/// A shop in which `pay` and `buy`, which belongs to no journey, are done once.
fn shop() -> Shop {
    let more = "[[routes]]\nname = \"buy\"\npath = \"/buy/{*rest}\"\nupstream = \"checkout\"\nonce = true\n";
    Shop::new(BY_NAME).pay("once = true").more(more)
}

fn key() -> Vec<String> {
    vec![KEY.to_owned()]
}

async fn click(gateway: &Running, target: &str, lines: &[String], body: &str) -> Client {
    let mut client = gateway.client().await;
    client.send(wire("POST", target, lines, body)).await;
    client
}

async fn post(gateway: &Running, target: &str, lines: &[String], body: &str) -> Answer {
    ask(gateway, "POST", target, lines, body).await
}

/// Waits until so many requests are on their way.
async fn under_way(gateway: &Running, count: u64) {
    let begin = Instant::now();
    while gateway.status().await["active_requests"] != count {
        assert!(begin.elapsed() < SOON, "never {count} under way");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// An answer without what differs from one moment to the next.
fn lasting(mut answer: Answer) -> (u16, Vec<(String, String)>, Vec<u8>) {
    answer.headers.retain(|(name, _)| name != "date");
    answer.headers.sort();
    (answer.status, answer.headers, answer.body)
}

/// Numbered answers to all but entries, from 1 on.
fn receipts(upstream: &Upstream) {
    let count = std::sync::atomic::AtomicU32::new(0);
    upstream.does(move |asked| {
        if asked.target.starts_with("/enter") {
            return Does::Says(fine());
        }
        let number = 1 + count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let fields = format!("x-order: {number}\r\nset-cookie: order={number}\r\n");
        Does::Says(whole("201 Created", &fields, &format!("order {number}")))
    });
}

#[tokio::test]
async fn the_same_key_from_another_address_is_another_purchase() {
    let upstream = Upstream::start().await;
    let mut shop = shop();
    shop.server = "trusted_proxies = [\"127.0.0.0/8\"]".to_owned();
    let gateway = shop.start(&upstream);
    receipts(&upstream);
    let from = |address: &str| vec![KEY.to_owned(), format!("x-forwarded-for: {address}")];
    let logged_in = |address| with(&from(address), "authorization: Bearer anna");
    for (lines, order) in [
        (from("192.0.2.1"), "order 1"),
        (from("192.0.2.2"), "order 2"),
        (from("198.51.100.1, 192.0.2.1"), "order 1"),
        (key(), "order 3"),
        // Who says who it is may come from anywhere.
        (logged_in("192.0.2.1"), "order 4"),
        (logged_in("192.0.2.2"), "order 4"),
    ] {
        assert_eq!(post(&gateway, "/buy", &lines, "a=b").await.text(), order, "{lines:?}");
    }
    // What is told from memory while nobody is let in, too.
    apply(&gateway, &shop.upstream("max_in_flight = 0").text(&upstream)).await;
    assert_eq!(post(&gateway, "/buy", &from("192.0.2.1"), "a=b").await.text(), "order 1");
    let stranger = post(&gateway, "/buy", &from("192.0.2.3"), "a=b").await;
    assert_eq!(stranger.verdict(), (503, "closed"));
}

#[tokio::test]
async fn five_clicks_at_once_are_one_purchase_and_five_equal_answers() {
    let upstream = Upstream::start().await;
    for workers in [1, 2] {
        let mut shop = shop();
        shop.server = format!("workers = {workers}");
        let gateway = shop.start(&upstream);
        let anna = begun(&gateway, "anna").await;
        let by_key = with(&anna, KEY);
        for (target, lines) in [("/pay", &by_key), ("/pay/x", &anna), ("/buy", &key())] {
            upstream.does(|_| {
                let fields = "x-order: 1\r\nx-order: 2\r\nset-cookie: a=b\r\n";
                Does::Holds(whole("201 Made", fields, "order"))
            });
            let before = upstream.count(target);
            let mut clicks = Vec::new();
            for _ in 0..5 {
                clicks.push(click(&gateway, target, lines, "a=b").await);
            }
            under_way(&gateway, 5).await;
            upstream.sees(target, before + 1).await;
            upstream.goes_on();
            let mut answers = Vec::new();
            for client in &mut clicks {
                answers.push(lasting(client.answer().await));
            }
            assert_eq!((answers[0].0, &answers[0].2[..]), (201, &b"order"[..]));
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
            // One more, much later.
            assert_eq!(lasting(post(&gateway, target, lines, "a=b").await), answers[0]);
            assert_eq!(upstream.count(target), before + 1, "{target}");
            let made = upstream.asked().pop().unwrap();
            assert_eq!((made.method.as_str(), &made.body[..]), ("POST", &b"a=b"[..]));
            upstream.says(fine());
        }
        gateway.quiet().await;
        gateway.metrics().await.closed_ledger();
    }
}

#[tokio::test]
async fn the_same_key_with_another_body_is_a_mistake_and_asks_nobody() {
    let upstream = Upstream::start().await;
    let gateway = shop().start(&upstream);
    assert_eq!(post(&gateway, "/buy", &key(), "a=b").await.status, 200);
    for body in ["a=c", "a=bb", ""] {
        let answer = post(&gateway, "/buy", &key(), body).await;
        assert_eq!(answer.verdict(), (422, "key_reused"), "{body}");
        assert_eq!(answer.header("retry-after"), None);
    }
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn a_key_is_its_customers_own_and_its_routes() {
    let upstream = Upstream::start().await;
    receipts(&upstream);
    let gateway = shop().start(&upstream);
    let anna = with(&begun(&gateway, "anna").await, KEY);
    let bert = with(&begun(&gateway, "bert").await, KEY);
    let with_login = |name: &str| with(&key(), format!("authorization: {name}"));
    let all = [
        ("/pay", anna),
        ("/pay", bert),
        ("/buy", key()),
        ("/buy", with_login("anna")),
        ("/buy", with_login("bert")),
        ("/buy", vec!["idempotency-key: 8".to_owned()]),
    ];
    let mut bodies = Vec::new();
    for (target, lines) in &all {
        bodies.push(post(&gateway, target, lines, "a").await.text());
    }
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), all.len(), "{bodies:?}");
}

#[tokio::test]
async fn without_a_key_what_is_bought_twice_is_one_thing_and_two_things_are_two() {
    let upstream = Upstream::start().await;
    receipts(&upstream);
    let gateway = shop().start(&upstream);
    let anna = begun(&gateway, "anna").await;
    let mut bodies = Vec::new();
    for target in ["/pay/1", "/pay/1", "/pay/2", "/pay/2?a", "/pay/1"] {
        bodies.push(post(&gateway, target, &anna, "").await.text());
    }
    assert_eq!(bodies, ["order 1", "order 1", "order 2", "order 3", "order 1"]);
    // Who says nothing of itself where no journey knows it may click as often as it likes.
    let first = post(&gateway, "/buy", &[], "").await.text();
    assert_ne!(post(&gateway, "/buy", &[], "").await.text(), first);
}

#[tokio::test]
async fn without_a_key_one_customer_buys_one_sku_once_however_it_is_written() {
    let upstream = Upstream::start().await;
    receipts(&upstream);
    let pay = "once = true\nsku = \"query:sku\"";
    let gateway = Shop::new(BY_NAME).pay(pay).start(&upstream);
    let anna = begun(&gateway, "anna").await;
    let mut bodies = Vec::new();
    for target in ["/pay?sku=hot", "/pay?n=1&sku=h%6ft", "/pay?sku=cold"] {
        bodies.push(post(&gateway, target, &anna, "a").await.text());
    }
    assert_eq!(bodies, ["order 1", "order 1", "order 2"]);
}

#[tokio::test]
async fn who_leaves_has_bought_and_the_next_click_is_told() {
    let upstream = Upstream::start().await;
    upstream.does(|_| Does::Holds(whole("201 Created", "", "order")));
    let gateway = shop().start(&upstream);
    let first = click(&gateway, "/buy", &key(), "a=b").await;
    upstream.sees("/buy", 1).await;
    first.reset();
    gateway.reach("a purchase", |status| status["in_flight"] == 1).await;
    let mut second = click(&gateway, "/buy", &key(), "a=b").await;
    // The purchase counts by itself, since nobody waits for it: a drain has to.
    under_way(&gateway, 2).await;
    upstream.goes_on();
    let answer = second.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (201, "order"));
    assert_eq!(upstream.count("/buy"), 1);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn who_leaves_before_its_turn_has_bought_nothing_and_the_next_click_does() {
    let upstream = Upstream::start().await;
    let gateway = shop().upstream("max_in_flight = 1\nbuffer = 4").start(&upstream);
    let _held = crate::shop::busy(&gateway, &upstream, 1).await;
    let first = click(&gateway, "/buy", &key(), "a=b").await;
    gateway.queued(1).await;
    let mut second = click(&gateway, "/buy", &key(), "a=b").await;
    under_way(&gateway, 3).await;
    first.reset();
    under_way(&gateway, 2).await;
    gateway.queued(1).await;
    upstream.goes_on();
    assert_eq!(second.answer().await.status, 200);
    assert_eq!(upstream.count("/buy"), 1);
}

#[tokio::test]
async fn what_failed_was_not_made_and_may_be_asked_again() {
    let upstream = Upstream::start().await;
    let gateway = shop().start(&upstream);
    let statuses = ["500 Oh", "503 No", "429 Slow", "402 Declined", "401 Who", "409 Conflict"];
    for (n, status) in statuses.into_iter().enumerate() {
        upstream.says(whole(status, "", "short"));
        let lines = [format!("idempotency-key: {n}")];
        for _ in 0..2 {
            let answer = post(&gateway, "/buy", &lines, "a").await;
            assert_eq!(
                (answer.status.to_string().as_str(), &answer.text()[..]),
                (&status[..3], "short")
            );
        }
        assert_eq!(upstream.asked().len(), 2 * (n + 1), "{status}");
    }
}

#[tokio::test]
async fn what_was_made_is_not_made_again_however_long_its_answer() {
    let upstream = Upstream::start().await;
    let gateway = shop().start(&upstream);
    let long = "x".repeat(8 * 1024 + 1);
    upstream.says(whole("201 Created", "", &long[1..]));
    for _ in 0..3 {
        assert_eq!(post(&gateway, "/buy", &key(), "a").await.body.len(), 8 * 1024);
    }
    assert_eq!(upstream.asked().len(), 1);
    upstream.says(whole("201 Created", "", &long));
    let lines = ["idempotency-key: long".to_owned()];
    assert_eq!(post(&gateway, "/buy", &lines, "a").await.text(), long);
    for _ in 0..2 {
        assert_eq!(post(&gateway, "/buy", &lines, "a").await.verdict(), (409, "already_made"));
    }
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn a_key_is_for_one_target() {
    let upstream = Upstream::start().await;
    upstream.says(whole("201 Created", "", "made"));
    let gateway = shop().start(&upstream);
    assert_eq!(post(&gateway, "/buy", &key(), "a").await.status, 201);
    assert_eq!(post(&gateway, "/buy?n=2", &key(), "a").await.verdict(), (422, "key_reused"));
}

#[tokio::test]
async fn what_the_upstream_says_in_chunks_is_kept_whole() {
    let upstream = Upstream::start().await;
    let chunks =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nord\r\n2\r\ner\r\n0\r\n\r\n";
    upstream.says(chunks.to_owned());
    let gateway = shop().start(&upstream);
    let first = lasting(post(&gateway, "/buy", &key(), "a").await);
    assert_eq!((first.0, &first.2[..]), (200, &b"order"[..]));
    assert_eq!(lasting(post(&gateway, "/buy", &key(), "a").await), first);
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_is_given_again_for_its_time() {
    let upstream = Upstream::start().await;
    receipts(&upstream);
    let shop = shop();
    let gateway =
        shop.clone().more(format!("{}[once]\nttl = \"1s\"\n", shop.more)).start(&upstream);
    let begin = Instant::now();
    while post(&gateway, "/buy", &key(), "a").await.text() == "order 1" {
        assert!(begin.elapsed() < SOON, "it is given for ever");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn who_has_bought_is_told_so_though_it_is_sold_out_and_the_grant_has_ended() {
    let upstream = Upstream::start().await;
    let pay = "once = true\nsku = \"query:sku\"";
    let gateway = Shop::new(BY_NAME).pay(pay).start(&upstream);
    let anna = with(&begun(&gateway, "anna").await, KEY);
    let bert = with(&begun(&gateway, "bert").await, KEY);
    let last = "x-floodgate-grant: done\r\nx-stock-state: sold_out\r\n";
    upstream.says(whole("201 Created", last, "the last one"));
    let first = post(&gateway, "/pay?sku=hot", &anna, "a").await;
    assert_eq!((first.status, first.text().as_str()), (201, "the last one"));
    assert_eq!(post(&gateway, "/pay?sku=hot", &bert, "a").await.verdict(), (410, "sold_out"));
    let without_grant = with(&user("anna"), KEY);
    for lines in [&anna, &without_grant] {
        let again = post(&gateway, "/pay?sku=hot", lines, "a").await;
        assert_eq!((again.status, again.text().as_str()), (201, "the last one"), "{lines:?}");
        assert_eq!(again.header("x-floodgate-grant"), None);
    }
    assert_eq!(post(&gateway, "/pay?sku=cold", &without_grant, "b").await.status, 422);
    let other = with(&user("anna"), "idempotency-key: other");
    assert_eq!(post(&gateway, "/pay?sku=cold", &other, "a").await.reason(), "grant_required");
    assert_eq!(upstream.count("/pay"), 1);
}

#[tokio::test]
async fn a_purchase_that_takes_longer_than_the_deadline_is_in_progress_for_the_others() {
    let upstream = Upstream::start().await;
    upstream.does(|_| Does::Holds(fine()));
    let patient = shop();
    // The first has all the time it wants, those who come under other rules do not.
    let gateway = patient.start(&upstream);
    let mut first = click(&gateway, "/buy", &key(), "a").await;
    upstream.sees("/buy", 1).await;
    let hasty = patient.text(&upstream).replace("deadline = \"30s\"", "deadline = \"200ms\"");
    apply(&gateway, &hasty.replace("max_wait = \"20s\"", "max_wait = \"200ms\"")).await;
    let answer = post(&gateway, "/buy", &key(), "a").await;
    assert_eq!(answer.verdict(), (409, "in_progress"));
    assert!(matches!(answer.header("retry-after"), Some("1" | "2")));
    upstream.goes_on();
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(post(&gateway, "/buy", &key(), "a").await.status, 200);
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn an_answer_that_stalls_ends_with_the_deadline_though_nobody_waits_for_it() {
    let upstream = Upstream::start().await;
    upstream.does(|_| Does::Begins("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned()));
    let shop = shop().text(&upstream).replace("deadline = \"30s\"", "deadline = \"300ms\"");
    let gateway = Running::start(&shop.replace("max_wait = \"20s\"", "max_wait = \"100ms\""));
    let first = click(&gateway, "/buy", &key(), "a").await;
    upstream.sees("/buy", 1).await;
    first.reset();
    gateway.quiet().await;
    let answer = post(&gateway, "/buy", &key(), "a").await;
    assert_eq!(answer.verdict(), (504, "upstream_timeout"));
    upstream.says("HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nno".to_owned());
    assert_eq!(post(&gateway, "/buy", &key(), "a").await.verdict().0, 504);
    gateway.quiet().await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.closed_ledger(), 3);
    assert_eq!(metrics.count("floodgate_requests_total", &["outcome=\"failed\""]), 3);
}

#[tokio::test]
async fn what_changes_nothing_is_asked_as_often_as_it_comes() {
    let upstream = Upstream::start().await;
    receipts(&upstream);
    let gateway = shop().start(&upstream);
    let anna = begun(&gateway, "anna").await;
    let by_key = with(&anna, KEY);
    assert_eq!(post(&gateway, "/pay", &anna, "a").await.text(), "order 1");
    assert_eq!(get(&gateway, "/pay", &anna).await.text(), "order 2");
    assert_eq!(get(&gateway, "/pay", &anna).await.text(), "order 3");
    assert_eq!(get(&gateway, "/pay", &by_key).await.text(), "order 4");
    assert_eq!(get(&gateway, "/pay", &by_key).await.text(), "order 5");
    assert_eq!(post(&gateway, "/pay", &anna, "a").await.text(), "order 1");
    // What is done to it otherwise is another thing.
    assert_eq!(ask(&gateway, "DELETE", "/pay", &anna, "").await.text(), "order 6");
    let trace = ask(&gateway, "TRACE", "/pay", &by_key, "").await;
    assert_eq!(trace.verdict(), (405, "method_not_allowed"));
}

#[tokio::test]
async fn the_answer_to_an_entry_that_is_given_again_brings_its_grant() {
    let upstream = Upstream::start().await;
    let mut shop = Shop::new("calls = 3");
    shop.enter = "once = true".to_owned();
    let gateway = shop.start(&upstream);
    // Nobody knows this customer yet, and the first answer is lost.
    let first = post(&gateway, "/enter", &key(), "a=b").await;
    let again = post(&gateway, "/enter", &key(), "a=b").await;
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    assert_eq!(jar(&[&again]), jar(&[&first]));
    assert_eq!(again.header(HEADER), first.header(HEADER));
    assert_eq!(upstream.count("/enter"), 1);
    let lines = [jar(&[&first])];
    for target in ["/cart", "/pay"] {
        assert_eq!(get(&gateway, target, &lines).await.verdict(), (200, ""));
    }
    assert_eq!(get(&gateway, "/cart", &lines).await.verdict(), (429, "call_limit"));
    // It is used up, so there is another one to be had, and still nothing is made twice.
    let later = post(&gateway, "/enter", &key(), "a=b").await;
    assert_eq!((later.status, later.text()), (first.status, first.text()));
    assert_ne!(later.header(HEADER), first.header(HEADER));
    assert_eq!(get(&gateway, "/cart", &[jar(&[&later])]).await.verdict(), (200, ""));
    assert_eq!(upstream.count("/enter"), 1);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn all_clicks_on_an_entry_at_once_bring_the_one_grant() {
    let upstream = Upstream::start().await;
    let mut shop = Shop::new(BY_NAME);
    shop.enter = "once = true".to_owned();
    let gateway = shop.start(&upstream);
    upstream.does(|_| Does::Holds(fine()));
    let mut clicks = Vec::new();
    for _ in 0..3 {
        clicks.push(click(&gateway, "/enter", &user("anna"), "a=b").await);
    }
    under_way(&gateway, 3).await;
    upstream.sees("/enter", 1).await;
    upstream.goes_on();
    let mut grants = Vec::new();
    for client in &mut clicks {
        grants.push(client.answer().await.header(HEADER).map(str::to_owned));
    }
    assert!(grants[0].is_some());
    assert!(grants.iter().all(|grant| *grant == grants[0]), "{grants:?}");
    assert_eq!(upstream.count("/enter"), 1);
}

#[tokio::test]
async fn an_entry_that_the_origin_ended_at_once_brings_no_grant_when_it_is_given_again() {
    let upstream = Upstream::start().await;
    let mut shop = Shop::new(BY_NAME);
    shop.enter = "once = true".to_owned();
    let gateway = shop.start(&upstream);
    upstream.says(whole("200 OK", "x-floodgate-grant: done\r\n", ""));
    for _ in 0..2 {
        let answer = post(&gateway, "/enter", &user("anna"), "a=b").await;
        assert_eq!((answer.status, answer.header(HEADER)), (200, None));
    }
    assert_eq!(upstream.count("/enter"), 1);
}

/// A customer has begun by the key and used the grant up: the answer to the entry.
async fn used_up(gateway: &Running) -> Answer {
    let first = post(gateway, "/enter", &key(), "a=b").await;
    use_up(gateway, &first).await;
    first
}

async fn use_up(gateway: &Running, answer: &Answer) {
    let lines = [jar(&[answer])];
    let begin = Instant::now();
    while get(gateway, "/cart", &lines).await.reason() != "call_limit" {
        assert!(begin.elapsed() < SOON, "it is never used up");
    }
}

#[tokio::test]
async fn an_entry_that_was_answered_once_brings_two_grants_at_most() {
    let upstream = Upstream::start().await;
    let mut shop = Shop::new("calls = 3");
    shop.enter = "once = true".to_owned();
    let gateway = shop.start(&upstream);
    let first = used_up(&gateway).await;
    let second = post(&gateway, "/enter", &key(), "a=b").await;
    assert_ne!(second.header(HEADER), first.header(HEADER));
    // As long as that is good, it is the one.
    let again = post(&gateway, "/enter", &key(), "a=b").await;
    assert_eq!(again.header(HEADER), second.header(HEADER));
    use_up(&gateway, &second).await;
    for _ in 0..3 {
        let later = post(&gateway, "/enter", &key(), "a=b").await;
        assert_eq!((later.status, later.text()), (first.status, first.text()));
        assert_eq!((later.header(HEADER), later.header("set-cookie")), (None, None));
    }
    assert_eq!(upstream.count("/enter"), 1);
}

#[tokio::test]
async fn what_refuses_a_newcomer_keeps_a_second_grant_back_though_not_the_answer() {
    let upstream = Upstream::start().await;
    for (keys, closed) in [("rate = \"1/h\"\nburst = 1", ""), ("", "max_in_flight = 0")] {
        let mut shop = Shop::new("calls = 3");
        shop.enter = format!("once = true\n{keys}");
        let gateway = shop.start(&upstream);
        let first = used_up(&gateway).await;
        if !closed.is_empty() {
            apply(&gateway, &shop.clone().upstream(closed).text(&upstream)).await;
        }
        for _ in 0..2 {
            let later = post(&gateway, "/enter", &key(), "a=b").await;
            assert_eq!((later.status, later.header(HEADER)), (first.status, None), "{keys}");
        }
        if !closed.is_empty() {
            // Nothing was lost by having asked; entry control has to see that it is open again.
            apply(&gateway, &shop.text(&upstream)).await;
            let begin = Instant::now();
            while post(&gateway, "/enter", &key(), "a=b").await.header(HEADER).is_none() {
                assert!(begin.elapsed() < SOON, "there is never another one");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

#[tokio::test]
async fn who_became_a_device_by_the_answer_that_was_lost_has_bought_all_the_same() {
    let upstream = Upstream::start().await;
    let mut shop = Shop::new("calls = 3");
    shop.server = "trusted_proxies = [\"127.0.0.0/8\"]".to_owned();
    shop.enter = "once = true".to_owned();
    let gateway = shop.start(&upstream);
    upstream.says(whole("201 Created", "", "made"));
    let from = |address: &str| vec![KEY.to_owned(), format!("x-forwarded-for: {address}")];
    let first = post(&gateway, "/enter", &from("192.0.2.1"), "a=b").await;
    // It has the cookie of its device, and nothing else of the answer.
    let device = format!("cookie: {DEVICE}={}", cookie(&first, DEVICE).unwrap());
    let again = post(&gateway, "/enter", &with(&from("192.0.2.1"), &device), "a=b").await;
    assert_eq!((again.status, again.text().as_str()), (201, "made"));
    assert_eq!(again.header(HEADER), first.header(HEADER));
    assert_eq!(upstream.count("/enter"), 1);
    // A device is known wherever it is, but what it did as nobody is that of the address.
    let elsewhere = with(&from("192.0.2.2"), &device);
    for _ in 0..2 {
        assert_eq!(post(&gateway, "/enter", &elsewhere, "a=b").await.status, 201);
        assert_eq!(upstream.count("/enter"), 2);
    }
}

#[tokio::test]
async fn who_waited_in_vain_for_another_click_is_judged_by_the_time_it_is_then() {
    let upstream = Upstream::start().await;
    let more = "[[routes]]\nname = \"buy\"\npath = \"/buy/{*rest}\"\nupstream = \"checkout\"\n\
                once = true\nrate = \"2/s\"\nburst = 1\n";
    let gateway = Shop::new(BY_NAME).more(more).start(&upstream);
    upstream.does(|_| Does::Holds(whole("500 Oh", "", "")));
    let mut first = click(&gateway, "/buy", &key(), "a=b").await;
    upstream.sees("/buy", 1).await;
    let mut second = click(&gateway, "/buy", &key(), "a=b").await;
    under_way(&gateway, 2).await;
    // That the rate allows another one by then is what is tried.
    tokio::time::sleep(Duration::from_millis(600)).await;
    upstream.says(fine());
    upstream.goes_on();
    assert_eq!(first.answer().await.status, 500);
    assert_eq!(second.answer().await.verdict(), (200, ""));
}

#[tokio::test]
async fn a_customers_own_deadline_cuts_off_no_purchase() {
    let upstream = Upstream::start().await;
    let gateway = shop().start(&upstream);
    upstream.does(|_| Does::Holds(whole("201 Made", "", "order")));
    let lines = with(&key(), "x-request-deadline-ms: 100");
    let begin = Instant::now();
    let mut hasty = click(&gateway, "/buy", &lines, "a=b").await;
    upstream.sees("/buy", 1).await;
    // What it waits for is not to happen: the time that it gave is to pass.
    while begin.elapsed() < Duration::from_millis(300) {
        assert_eq!(gateway.status().await["active_requests"], 1);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    upstream.goes_on();
    assert_eq!(hasty.answer().await.status, 201);
    assert_eq!(upstream.count("/buy"), 1);
}
