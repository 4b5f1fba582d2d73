//! A reload that changes something else changes nothing here.

use crate::shop::{
    BY_NAME, DEVICE, HEADER, Shop, apply, ask, begun, cookie, get, holding, retry_after_ms, user,
    with,
};
use crate::upstream::{Upstream, fine, whole};

fn shop() -> Shop {
    Shop::new(&format!("{BY_NAME}\ncalls = 4"))
        .pay("once = true\nsku = \"query:sku\"")
        .more("[latch]\nttl = \"1h\"\n")
}

#[tokio::test]
async fn grants_budgets_stock_and_purchases_outlast_a_reload() {
    let upstream = Upstream::start().await;
    let gateway = shop().start(&upstream);
    let anna = begun(&gateway, "anna").await;
    let bert = begun(&gateway, "bert").await;
    assert_eq!(get(&gateway, "/cart", &anna).await.status, 200);
    let keyed = with(&anna, "idempotency-key: 7");
    upstream.says(whole("201 Created", "x-stock-state: sold_out\r\n", "bought"));
    assert_eq!(ask(&gateway, "POST", "/pay?sku=hot", &keyed, "a").await.status, 201);
    upstream.says(fine());
    for change in ["max_in_flight = 9", "max_in_flight = 10", "max_in_flight = 8\nbuffer = 3"] {
        apply(&gateway, &shop().upstream(change).text(&upstream)).await;
        let again = ask(&gateway, "POST", "/pay?sku=hot", &keyed, "a").await;
        assert_eq!((again.status, again.text().as_str()), (201, "bought"));
        assert_eq!(get(&gateway, "/pay?sku=hot", &bert).await.verdict(), (410, "sold_out"));
    }
    // Two more of four, the entry among them; neither replays nor refusals counted.
    assert_eq!(get(&gateway, "/cart", &anna).await.status, 200);
    assert_eq!(get(&gateway, "/cart", &anna).await.reason(), "call_limit");
}

#[tokio::test]
async fn what_the_refused_were_told_outlasts_a_reload() {
    let upstream = Upstream::start().await;
    let keys = "max_in_flight = 1\nbuffer = 8";
    let shop = shop().upstream(keys);
    let gateway = shop.start(&upstream);
    let _held = crate::shop::busy(&gateway, &upstream, 1).await;
    let _first = gateway.waiting("/enter", 1).await;
    for n in 0..20 {
        get(&gateway, "/enter", &user(&n.to_string())).await;
    }
    let told = retry_after_ms(&get(&gateway, "/enter", &user("anna")).await).unwrap();
    apply(&gateway, &shop.upstream(&format!("{keys}0")).text(&upstream)).await;
    let again = retry_after_ms(&get(&gateway, "/enter", &user("anna")).await).unwrap();
    assert!(again <= told && again + 3_000 > told, "{again} after {told}");
}

#[tokio::test]
async fn settings_of_the_latch_change_live() {
    let upstream = Upstream::start().await;
    let gateway = shop().start(&upstream);
    let anna = begun(&gateway, "anna").await;
    upstream.says(whole("200 OK", "x-stock-state: sold_out\r\n", ""));
    assert_eq!(get(&gateway, "/pay?sku=hot", &anna).await.status, 200);
    assert_eq!(get(&gateway, "/pay?sku=hot", &anna).await.status, 410);
    let latch = "[latch]\nttl = \"1h\"\nstatus = 200\nmax_skus = 5\n";
    apply(&gateway, &shop().more(latch).text(&upstream)).await;
    assert_eq!(get(&gateway, "/pay?sku=hot", &anna).await.verdict(), (200, "sold_out"));
}

#[tokio::test]
async fn from_grant_to_stage_and_off_and_back_the_old_grants_are_good() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grant.keys");
    std::fs::write(&file, "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a")
        .unwrap();
    let from_file = format!("{BY_NAME}\nkeys = \"file:{}\"", file.display());
    for keys in [BY_NAME, &from_file] {
        let gateway = Shop::new(keys).start(&upstream);
        let anna = begun(&gateway, "anna").await;
        for sticky in ["stage", "off"] {
            let text = Shop::new(&format!("{keys}\nsticky = \"{sticky}\"")).text(&upstream);
            apply(&gateway, &text).await;
            let answer = get(&gateway, "/enter", &user("bert")).await;
            assert_eq!((answer.status, answer.header(HEADER)), (200, None), "{sticky}");
            assert_eq!(get(&gateway, "/cart", &user("bert")).await.status, 200, "{sticky}");
            assert_eq!(get(&gateway, "/cart", &anna).await.status, 200, "{sticky}");
        }
        apply(&gateway, &Shop::new(keys).text(&upstream)).await;
        assert_eq!(get(&gateway, "/cart", &user("bert")).await.reason(), "grant_required");
        assert_eq!(get(&gateway, "/cart", &anna).await.status, 200, "{keys}");
        begun(&gateway, "bert").await;
    }
}

#[tokio::test]
async fn a_journey_that_comes_with_a_reload_lets_its_first_customer_in() {
    let upstream = Upstream::start().await;
    let more = format!(
        "[[journeys]]\nname = \"raffle\"\nsteps = [\"draw\", \"claim\"]\n{BY_NAME}\n{}",
        crate::shop::routes(&["draw", "claim"], "")
    );
    for _ in 0..10 {
        let gateway = shop().start(&upstream);
        apply(&gateway, &shop().more(more.as_str()).text(&upstream)).await;
        let answer = get(&gateway, "/draw", &user("anna")).await;
        assert_eq!(answer.status, 200);
        let lines = with(&user("anna"), holding(&answer));
        assert_eq!(get(&gateway, "/claim", &lines).await.status, 200);
    }
}

#[tokio::test]
async fn another_identity_makes_others_of_the_same_customers() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new("").start(&upstream);
    let answer = get(&gateway, "/enter", &[]).await;
    let device = format!("cookie: {DEVICE}={}", cookie(&answer, DEVICE).unwrap());
    let lines = [holding(&answer), device];
    apply(&gateway, &Shop::new(BY_NAME).text(&upstream)).await;
    // A device goes on to be good.
    assert_eq!(get(&gateway, "/cart", &lines).await.status, 200);
    let anna = begun(&gateway, "anna").await;
    apply(&gateway, &Shop::new("identity = \"header:x-other\"").text(&upstream)).await;
    assert_eq!(get(&gateway, "/cart", &anna).await.reason(), "grant_required");
    assert_eq!(get(&gateway, "/cart", &lines).await.status, 200);
}
