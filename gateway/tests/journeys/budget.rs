//! A grant is good for so many calls, and until the origin says that it is done.

use crate::shop::{
    BY_NAME, COOKIE, HEADER, Shop, apply, asking, begun, busy, cookies, get, holding, user, with,
};
use crate::support::Running;
use crate::upstream::{Does, Upstream, fine, whole};

#[tokio::test]
async fn the_call_beyond_the_budget_is_refused_from_memory() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(&format!("{BY_NAME}\ncalls = 3")).start(&upstream);
    let lines = begun(&gateway, "anna").await;
    for target in ["/cart", "/pay"] {
        assert_eq!(get(&gateway, target, &lines).await.status, 200);
    }
    for target in ["/cart", "/pay"] {
        let answer = get(&gateway, target, &lines).await;
        assert_eq!(answer.verdict(), (429, "call_limit"), "{target}");
    }
    assert_eq!(upstream.asked().len(), 3);
    // It is the grant's budget and nobody else's.
    let other = begun(&gateway, "bert").await;
    assert_eq!(get(&gateway, "/cart", &other).await.status, 200);
}

#[tokio::test]
async fn at_the_entry_whoever_has_used_up_a_grant_is_a_newcomer() {
    let upstream = Upstream::start().await;
    let shop = Shop::new(&format!("{BY_NAME}\ncalls = 2")).upstream("max_in_flight = 1");
    let gateway = shop.start(&upstream);
    upstream.does(|asked| match asked.target.as_str() {
        "/pay" => Does::Says(whole("200 OK", "x-floodgate-grant: done\r\n", "")),
        target if target.contains("hold") => Does::Holds(fine()),
        _ => Does::Says(fine()),
    });
    let spent = begun(&gateway, "anna").await;
    let ended = begun(&gateway, "bert").await;
    assert_eq!(get(&gateway, "/cart", &spent).await.status, 200);
    assert_eq!(get(&gateway, "/pay", &ended).await.status, 200);
    let lines = [(spent, "anna"), (ended, "bert")];
    // While newcomers are refused they are, too, and are told when to come back ...
    let _held = busy(&gateway, &upstream, 1).await;
    let _first = gateway.waiting("/enter/first", 1).await;
    for (lines, _) in &lines {
        let answer = get(&gateway, "/enter", lines).await;
        assert_eq!(answer.verdict(), (503, "no_grant"));
        assert!(answer.header("retry-after").is_some());
    }
    upstream.goes_on();
    gateway.quiet().await;
    // ... and else get another grant.
    for (lines, name) in &lines {
        let answer = get(&gateway, "/enter", lines).await;
        assert_eq!(answer.verdict(), (200, ""), "{name}");
        let anew = with(&user(name), holding(&answer));
        assert_eq!(get(&gateway, "/cart", &anew).await.verdict(), (200, ""), "{name}");
    }
}

#[tokio::test]
async fn the_budget_can_be_raised_while_it_is_used() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(&format!("{BY_NAME}\ncalls = 1")).start(&upstream);
    let lines = begun(&gateway, "anna").await;
    assert_eq!(get(&gateway, "/cart", &lines).await.reason(), "call_limit");
    apply(&gateway, &Shop::new(&format!("{BY_NAME}\ncalls = 2")).text(&upstream)).await;
    assert_eq!(get(&gateway, "/cart", &lines).await.status, 200);
    assert_eq!(get(&gateway, "/cart", &lines).await.reason(), "call_limit");
}

#[tokio::test]
async fn the_origin_ends_a_grant_and_only_the_gateway_hears_of_it() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).start(&upstream);
    let lines = begun(&gateway, "anna").await;
    upstream.does(|asked| match asked.target.as_str() {
        "/pay" => Does::Says(whole("200 OK", "X-Floodgate-Grant: done\r\n", "paid")),
        _ => Does::Says(fine()),
    });
    let answer = get(&gateway, "/pay", &lines).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "paid"));
    assert_eq!(answer.header(HEADER), None);
    let set = cookies(&answer);
    assert_eq!(set.len(), 1, "{set:?}");
    assert_eq!((set[0].0.as_str(), set[0].1.as_str()), (COOKIE, ""));
    assert!(set[0].2.starts_with("Max-Age=0; Path=/"), "{set:?}");
    let before = upstream.asked().len();
    assert_eq!(get(&gateway, "/cart", &lines).await.verdict(), (429, "call_limit"));
    assert_eq!(upstream.asked().len(), before);
}

#[tokio::test]
async fn an_entry_that_the_origin_ends_at_once_brings_no_grant() {
    let upstream = Upstream::start().await;
    upstream.says(whole("200 OK", "x-floodgate-grant: done\r\n", ""));
    let gateway = Shop::new(BY_NAME).start(&upstream);
    let answer = get(&gateway, "/enter", &user("anna")).await;
    assert_eq!((answer.status, answer.header(HEADER)), (200, None));
    assert!(cookies(&answer).iter().all(|(_, value, _)| value.is_empty()));
}

#[tokio::test]
async fn what_an_origin_says_of_grants_where_there_is_none_stays_here() {
    let upstream = Upstream::start().await;
    upstream.says(whole("200 OK", "x-floodgate-grant: done\r\n", ""));
    let gateway = Shop::new(&format!("{BY_NAME}\nsticky = \"stage\"")).start(&upstream);
    for target in ["/other", "/enter", "/pay"] {
        let answer = get(&gateway, target, &user("anna")).await;
        assert_eq!((answer.status, answer.header(HEADER)), (200, None), "{target}");
    }
}

#[tokio::test]
async fn a_finished_grant_may_make_the_calls_that_are_left() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(&format!("{BY_NAME}\ncalls = 4")).start(&upstream);
    let lines = begun(&gateway, "anna").await;
    for target in ["/pay", "/pay", "/cart"] {
        assert_eq!(get(&gateway, target, &lines).await.status, 200);
    }
    assert_eq!(get(&gateway, "/pay", &lines).await.reason(), "call_limit");
}

#[tokio::test]
async fn who_has_finished_makes_room_for_the_next() {
    let upstream = Upstream::start().await;
    let journey = format!("{BY_NAME}\nmax_grants = 1000");
    let gateway = Shop::new(&journey).upstream("max_in_flight = 1").start(&upstream);
    let mut full = 0;
    // Without an end to any, so few are let in that what follows would be refused.
    for n in 0..12 {
        let answer = get(&gateway, "/enter", &user(&format!("a{n}"))).await;
        full += usize::from(answer.reason() == "no_grant");
    }
    assert!(full > 0, "there is no bound to what begins");
    let other = Upstream::start().await;
    let gateway = Shop::new(&journey).upstream("max_in_flight = 1").start(&other);
    for n in 0..12 {
        let name = format!("b{n}");
        let answer = get(&gateway, "/enter", &user(&name)).await;
        assert_eq!(answer.status, 200, "{n}: {answer:?}");
        let lines = with(&user(&name), holding(&answer));
        assert_eq!(get(&gateway, "/pay", &lines).await.status, 200);
    }
}

#[tokio::test]
async fn a_call_that_the_upstream_was_not_asked_for_is_given_back() {
    let upstream = Upstream::start().await;
    let shop = Shop::new(&format!("{BY_NAME}\ncalls = 3")).upstream("max_in_flight = 1");
    let text = shop.text(&upstream).replace("max_wait = \"20s\"", "max_wait = \"40ms\"");
    let gateway = Running::start(&text);
    let lines = begun(&gateway, "anna").await;
    let mut held = busy(&gateway, &upstream, 1).await;
    for _ in 0..4 {
        // Waits until it may no longer, and leaves while it waits.
        assert_eq!(get(&gateway, "/cart", &lines).await.verdict(), (503, "queue_timeout"));
        let left = asking(&gateway, "/cart", &lines).await;
        gateway.queued(1).await;
        drop(left);
        gateway.queued(0).await;
    }
    upstream.goes_on();
    assert_eq!(held.remove(0).answer().await.status, 200);
    for _ in 0..2 {
        assert_eq!(get(&gateway, "/cart", &lines).await.status, 200);
    }
    assert_eq!(get(&gateway, "/cart", &lines).await.verdict(), (429, "call_limit"));
    assert_eq!(upstream.count("/cart"), 2);
}
