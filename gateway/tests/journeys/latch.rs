//! What is gone is said from memory, at once, and found out again by one request at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::shop::{Shop, apply, ask, asking, get, retry_after_ms};
use crate::support::{Client, Running, SOON};
use crate::upstream::{Does, Upstream, fine, whole};

/// As a shop says it that knows nothing of gateways.
const GONE: &str = "{\"error\":\"sold_out\"}";
/// So long that nobody is sent to ask again.
const LONG: &str = "ttl = \"1h\"";

/// A shop whose goods stand in the path, with these keys of the latch.
fn shop(latch: &str) -> Shop {
    let more = format!(
        "[latch]\n{latch}\n\
         [[routes]]\nname = \"goods\"\npath = \"/goods/{{sku}}/{{*rest}}\"\nsku = \"path:sku\"\nupstream = \"checkout\"\n\
         [[routes]]\nname = \"look\"\npath = \"/look\"\nsku = \"query:item\"\nupstream = \"checkout\"\n\
         [[routes]]\nname = \"ask\"\npath = \"/ask\"\nsku = \"header:x-sku\"\nupstream = \"checkout\"\n"
    );
    Shop::new("sticky = \"off\"").more(more)
}

fn stock(field: &str) -> String {
    whole("200 OK", &format!("{field}\r\n"), "")
}

/// Has the upstream say once that these goods are gone.
async fn sell_out(gateway: &Running, upstream: &Upstream, target: &str) {
    upstream.says(stock("x-stock-state: sold_out"));
    assert_eq!(get(gateway, target, &[]).await.status, 200);
    assert_eq!(get(gateway, target, &[]).await.verdict(), (410, "sold_out"));
}

#[tokio::test]
async fn three_refusals_within_a_second_close_and_fewer_do_not() {
    let upstream = Upstream::start().await;
    let gateway = shop(LONG).start(&upstream);
    for status in ["409 Conflict", "410 Gone"] {
        let target = format!("/goods/{}", &status[..3]);
        upstream.says(whole(status, "", GONE));
        for _ in 0..2 {
            assert_eq!(get(&gateway, &target, &[]).await.reason(), "");
        }
        // Somebody is served meanwhile.
        upstream.says(fine());
        assert_eq!(ask(&gateway, "POST", &target, &[], "").await.status, 200);
        upstream.says(whole(status, "", GONE));
        for _ in 0..3 {
            let answer = get(&gateway, &target, &[]).await;
            assert_eq!((answer.reason(), answer.text().as_str()), ("", GONE));
        }
        let answer = get(&gateway, &target, &[]).await;
        assert_eq!(answer.verdict(), (410, "sold_out"));
        assert_eq!(upstream.count(&target), 6);
    }
}

#[tokio::test]
async fn a_conflict_for_another_reason_closes_nothing() {
    let upstream = Upstream::start().await;
    let gateway = shop(LONG).start(&upstream);
    for answer in [
        whole("409 Conflict", "", "cart changed"),
        whole("503 Service Unavailable", "", GONE),
        whole("404 Not Found", "", GONE),
    ] {
        upstream.says(answer);
        for _ in 0..5 {
            assert_eq!(get(&gateway, "/goods/hot", &[]).await.reason(), "");
        }
    }
}

#[tokio::test]
async fn sold_out_is_final_and_may_be_kept_for_a_second() {
    let upstream = Upstream::start().await;
    let gateway = shop(LONG).start(&upstream);
    sell_out(&gateway, &upstream, "/goods/hot").await;
    for method in ["GET", "HEAD", "POST"] {
        let answer = ask(&gateway, method, "/goods/hot", &[], "").await;
        assert_eq!(answer.verdict(), (410, "sold_out"));
        assert_eq!(answer.header("cache-control"), Some("max-age=1"));
        assert_eq!(answer.header("retry-after"), None);
    }
    assert_eq!(upstream.asked().len(), 1);
    // Of everything else nothing was said.
    upstream.says(fine());
    for target in ["/goods/cold", "/goods", "/look?item=cold", "/ask", "/goods/Hot"] {
        assert_eq!(get(&gateway, target, &[]).await.status, 200, "{target}");
    }
}

#[tokio::test]
async fn the_status_is_the_configured_one() {
    let upstream = Upstream::start().await;
    let gateway = shop(&format!("{LONG}\nstatus = 404")).start(&upstream);
    upstream.says(stock("x-stock-state: sold_out"));
    assert_eq!(get(&gateway, "/goods/hot", &[]).await.status, 200);
    let answer = get(&gateway, "/goods/hot", &[]).await;
    assert_eq!(answer.verdict(), (404, "sold_out"));
    assert_eq!(answer.json()["status"], 404);
}

#[tokio::test]
async fn what_is_reserved_may_come_back() {
    let upstream = Upstream::start().await;
    let gateway = shop("ttl = \"3s\"").start(&upstream);
    for (target, field) in
        [("/goods/a", "x-stock-remaining: 0"), ("/goods/b", "X-Stock-State: Reserved_Out")]
    {
        upstream.says(stock(field));
        assert_eq!(get(&gateway, target, &[]).await.status, 200);
        let answer = get(&gateway, target, &[]).await;
        assert_eq!(answer.verdict(), (409, "reserved_out"), "{field}");
        // Not for everybody at the same moment.
        assert!(["3", "4"].contains(&answer.header("retry-after").unwrap()));
        assert!((3_000..3_500).contains(&retry_after_ms(&answer).unwrap()));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_sku_is_the_same_wherever_and_however_it_is_written() {
    let upstream = Upstream::start().await;
    let gateway = shop(LONG).start(&upstream);
    sell_out(&gateway, &upstream, "/goods/hot").await;
    for target in
        ["/goods/h%6ft", "/goods/%68%6F%74/reviews", "/look?a=b&item=hot", "/look?item=%68ot"]
    {
        assert_eq!(get(&gateway, target, &[]).await.reason(), "sold_out", "{target}");
    }
    let by_header = ["x-sku: hot".to_owned()];
    assert_eq!(get(&gateway, "/ask", &by_header).await.reason(), "sold_out");
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn who_waits_for_what_is_gone_is_told_at_once_and_nobody_else() {
    let upstream = Upstream::start().await;
    let more = "[upstreams.stock]\nservers = [\"SERVER\"]\n\
                [[routes]]\nname = \"tell\"\npath = \"/tell/{sku}\"\nsku = \"path:sku\"\nupstream = \"stock\"\n";
    let shop = shop(LONG).upstream("max_in_flight = 1\nbuffer = 16");
    let more = format!("{}{}", shop.more, more.replace("SERVER", &upstream.addr.to_string()));
    let gateway = shop.more(more).start(&upstream);
    let mut held = crate::shop::busy(&gateway, &upstream, 1).await;
    let mut hot: Vec<Client> = Vec::new();
    for place in 1..=5 {
        hot.push(gateway.waiting("/goods/hot", place).await);
    }
    let mut cold = gateway.waiting("/goods/cold", 6).await;
    upstream.says(stock("x-stock-state: sold_out"));
    assert_eq!(get(&gateway, "/tell/hot", &[]).await.status, 200);
    for client in &mut hot {
        assert_eq!(client.answer().await.verdict(), (410, "sold_out"));
    }
    gateway.queued(1).await;
    upstream.says(fine());
    upstream.goes_on();
    assert_eq!(held.remove(0).answer().await.status, 200);
    assert_eq!(cold.answer().await.status, 200);
    assert_eq!(upstream.count("/goods/hot"), 0);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn who_is_sent_to_ask_again_waits_its_turn_though_other_goods_go() {
    let upstream = Upstream::start().await;
    let more = "[upstreams.stock]\nservers = [\"SERVER\"]\n\
                [[routes]]\nname = \"tell\"\npath = \"/tell/{sku}\"\nsku = \"path:sku\"\nupstream = \"stock\"\n";
    let shop = shop("ttl = \"1ms\"").upstream("max_in_flight = 1\nbuffer = 16");
    let more = format!("{}{}", shop.more, more.replace("SERVER", &upstream.addr.to_string()));
    let gateway = shop.more(more).start(&upstream);
    upstream.says(stock("x-stock-state: sold_out"));
    assert_eq!(get(&gateway, "/tell/hot", &[]).await.status, 200);
    upstream.does(|asked| match asked.target.as_str() {
        target if target.contains("hold") => Does::Holds(fine()),
        _ => Does::Says(stock("x-stock-state: sold_out")),
    });
    let _held = crate::shop::busy(&gateway, &upstream, 1).await;
    let mut canary = asking(&gateway, "/goods/hot", &[]).await;
    gateway.queued(1).await;
    assert_eq!(get(&gateway, "/tell/cold", &[]).await.status, 200);
    assert_eq!(gateway.checkout().await["queued"], 1);
    upstream.goes_on();
    assert_eq!(canary.answer().await.verdict(), (200, ""));
}

#[tokio::test]
async fn in_each_ttl_one_goes_to_ask_however_many_come() {
    let upstream = Upstream::start().await;
    let ttl = Duration::from_millis(250);
    let mut shop = shop("ttl = \"250ms\"");
    shop.server = "workers = 2".to_owned();
    let gateway = Arc::new(shop.start(&upstream));
    let closed = Instant::now();
    upstream.says(stock("x-stock-state: sold_out"));
    assert_eq!(get(&gateway, "/goods/hot", &[]).await.status, 200);
    let stop = Arc::new(AtomicBool::new(false));
    let crowd: Vec<_> = (0..50)
        .map(|_| {
            let (gateway, stop) = (Arc::clone(&gateway), Arc::clone(&stop));
            tokio::spawn(async move {
                let (mut client, mut asked) = (gateway.client().await, 0_u64);
                while !stop.load(SeqCst) {
                    client.get("/goods/hot").await;
                    let answer = client.answer().await;
                    assert!(matches!(answer.verdict(), (410, "sold_out") | (200, "")));
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    upstream.sees("/goods/hot", 5).await;
    stop.store(true, SeqCst);
    let mut asked = 0;
    for one in crowd {
        asked += one.await.unwrap();
    }
    let canaries: Vec<_> = upstream.asked().iter().skip(1).map(|asked| asked.at).collect();
    let most = closed.elapsed().as_nanos() / ttl.as_nanos();
    assert!(canaries.len() as u128 <= most + 1, "{canaries:?} of {asked}");
    // A request may be a little late on its way, and the next one less so.
    let close = canaries.windows(2).filter(|pair| pair[1] - pair[0] < ttl / 2).count();
    assert_eq!(close, 0, "{canaries:?}");
    assert!(asked > 500, "{asked} came");
}

/// Goods that are gone, about which it is time to ask; from now on only every `ttl`.
async fn due(upstream: &Upstream, shop: &Shop, ttl: &str) -> Running {
    let text = shop.text(upstream).replace("max_wait = \"20s\"", "max_wait = \"40ms\"");
    let gateway = Running::start(&text);
    sell_out(&gateway, upstream, "/goods/hot").await;
    // The time is part of what is tried.
    tokio::time::sleep(Duration::from_millis(60)).await;
    apply(&gateway, &text.replace("ttl = \"50ms\"", &format!("ttl = \"{ttl}\""))).await;
    gateway
}

#[tokio::test]
async fn who_is_sent_to_ask_and_is_refused_on_the_way_leaves_it_to_the_next() {
    let upstream = Upstream::start().await;
    let shop = shop("ttl = \"50ms\"").upstream("max_in_flight = 1\nbuffer = 16");
    let gateway = due(&upstream, &shop, "1h").await;
    upstream.does(|asked| match asked.target.as_str() {
        target if target.contains("hold") => Does::Holds(fine()),
        _ => Does::Says(stock("x-stock-state: sold_out")),
    });
    let mut held = crate::shop::busy(&gateway, &upstream, 1).await;
    for _ in 0..2 {
        let asks = get(&gateway, "/goods/hot", &[]).await;
        assert_eq!(asks.verdict(), (503, "queue_timeout"));
    }
    upstream.goes_on();
    assert_eq!(held.remove(0).answer().await.status, 200);
    assert_eq!(get(&gateway, "/goods/hot", &[]).await.verdict(), (200, ""));
    assert_eq!(get(&gateway, "/goods/hot", &[]).await.verdict(), (410, "sold_out"));
    assert_eq!(upstream.count("/goods/hot"), 2);
}

#[tokio::test]
async fn an_answer_that_says_nothing_of_the_stock_costs_a_tenth_of_the_time() {
    let upstream = Upstream::start().await;
    let gateway = due(&upstream, &shop("ttl = \"50ms\""), "4s").await;
    upstream.says(fine());
    let begin = Instant::now();
    assert_eq!(get(&gateway, "/goods/hot", &[]).await.verdict(), (200, ""));
    assert_eq!(get(&gateway, "/goods/hot", &[]).await.verdict(), (410, "sold_out"));
    while get(&gateway, "/goods/hot", &[]).await.status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(3), "it takes a whole ttl");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begin.elapsed() >= Duration::from_millis(400), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn what_comes_back_is_sold_again() {
    let upstream = Upstream::start().await;
    let gateway = shop("ttl = \"50ms\"").start(&upstream);
    sell_out(&gateway, &upstream, "/goods/hot").await;
    upstream.says(stock("x-stock-remaining: 5"));
    let begin = Instant::now();
    while get(&gateway, "/goods/hot", &[]).await.status != 200 {
        assert!(begin.elapsed() < SOON, "it stays sold out");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let before = upstream.asked().len();
    for _ in 0..5 {
        assert_eq!(get(&gateway, "/goods/hot", &[]).await.status, 200);
    }
    assert_eq!(upstream.asked().len(), before + 5);
}

#[tokio::test]
async fn an_answer_to_what_was_asked_before_opens_nothing() {
    let upstream = Upstream::start().await;
    let gateway = shop(LONG).start(&upstream);
    upstream.does(|_| Does::Holds(stock("x-stock-state: open")));
    let mut early = asking(&gateway, "/goods/hot", &[]).await;
    upstream.sees("/goods/hot", 1).await;
    sell_out(&gateway, &upstream, "/goods/hot").await;
    upstream.goes_on();
    assert_eq!(early.answer().await.status, 200);
    assert_eq!(get(&gateway, "/goods/hot", &[]).await.verdict(), (410, "sold_out"));
}
