//! Whoever has begun goes on, before everybody who has not.

use crate::shop::{
    BY_NAME, COOKIE, DEVICE, HEADER, Shop, apply, ask, asking, begun, busy, cookie, cookies, get,
    holding, user, wire, with,
};
use crate::support::{Client, SOON};
use crate::upstream::Upstream;

#[tokio::test]
async fn the_first_answer_brings_the_grant_by_cookie_and_by_header() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).start(&upstream);
    let answer = get(&gateway, "/enter", &user("anna")).await;
    assert_eq!(answer.status, 200);
    let grant = answer.header(HEADER).unwrap();
    let set = cookies(&answer);
    assert_eq!(set.len(), 1, "{set:?}");
    let (name, value, attributes) = &set[0];
    assert_eq!((name.as_str(), value.as_str()), (COOKIE, grant));
    assert_eq!(attributes, "Max-Age=120; Path=/; HttpOnly; SameSite=Lax");
    // Once is enough.
    let next = get(&gateway, "/cart", &with(&user("anna"), holding(&answer))).await;
    assert_eq!((next.status, next.header(HEADER), cookies(&next).len()), (200, None, 0));
}

#[tokio::test]
async fn holders_go_on_by_header_or_cookie_while_newcomers_are_refused() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).upstream("max_in_flight = 1\nbuffer = 8").start(&upstream);
    let first = get(&gateway, "/enter", &user("anna")).await;
    let by_header = with(&user("anna"), holding(&first));
    let by_cookie =
        with(&user("anna"), format!("cookie: a=b; {COOKIE}={}", cookie(&first, COOKIE).unwrap()));
    for (target, lines) in [("/cart", &by_header), ("/pay", &by_cookie)] {
        let mut held = busy(&gateway, &upstream, 1).await;
        // Who came first and is nobody waits behind who wants to begin, and that one behind who has.
        let mut nobody = gateway.waiting("/other/nobody", 1).await;
        let mut newcomer = gateway.waiting("/enter/new", 2).await;
        let refused = get(&gateway, "/enter", &user("bert")).await;
        assert_eq!(refused.verdict(), (503, "no_grant"));
        let mut holder = asking(&gateway, target, lines).await;
        gateway.queued(3).await;
        let before = upstream.asked().len();
        upstream.goes_on();
        for client in [&mut held[0], &mut holder, &mut newcomer, &mut nobody] {
            assert_eq!(client.answer().await.status, 200);
        }
        let order: Vec<_> = upstream.asked().split_off(before);
        let order: Vec<_> = order.iter().map(|asked| asked.target.as_str()).collect();
        assert_eq!(order, [target, "/enter/new", "/other/nobody"]);
    }
    assert_eq!(upstream.count("/enter"), 3);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn of_two_holders_the_one_who_is_further_goes_first() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).upstream("max_in_flight = 1\nbuffer = 8").start(&upstream);
    let anna = begun(&gateway, "anna").await;
    let bert = begun(&gateway, "bert").await;
    let _held = busy(&gateway, &upstream, 1).await;
    let mut cart = asking(&gateway, "/cart", &anna).await;
    gateway.queued(1).await;
    let mut pay = asking(&gateway, "/pay", &bert).await;
    gateway.queued(2).await;
    let before = upstream.asked().len();
    upstream.goes_on();
    assert_eq!((pay.answer().await.status, cart.answer().await.status), (200, 200));
    assert_eq!(upstream.asked()[before].target, "/pay");
}

#[tokio::test]
async fn without_a_grant_later_steps_are_refused_from_memory() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).start(&upstream);
    let requests = [
        ("GET", "/cart", "", user("anna")),
        ("POST", "/pay", "a=b", user("anna")),
        ("GET", "/pay/x", "", Vec::new()),
        ("GET", "/pay", "", with(&user("anna"), format!("{HEADER}: none"))),
        ("POST", "/pay", "a=b", with(&user("anna"), "expect: 100-continue")),
    ];
    for (method, target, body, lines) in requests {
        let answer = ask(&gateway, method, target, &lines, body).await;
        assert_eq!(answer.verdict(), (403, "grant_required"), "{target}");
        assert_eq!(answer.header("retry-after"), None);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(upstream.asked().len(), 0);
    gateway.quiet().await;
    assert_eq!(gateway.metrics().await.closed_ledger(), 5);
}

#[tokio::test]
async fn neither_grant_nor_device_reach_the_upstream_and_other_cookies_do_byte_for_byte() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new("").start(&upstream);
    let first = get(&gateway, "/enter", &[]).await;
    let (grant, device) = (cookie(&first, COOKIE).unwrap(), cookie(&first, DEVICE).unwrap());
    let others = "a=\"b c\"; =d;e ; floodgate=1; f=g==";
    let [before, after] = ["a=\"b c\"; =d", "e ; floodgate=1; f=g=="];
    let lines = [
        format!("cookie: {before}; {COOKIE}={grant};{after}; {DEVICE}={device}"),
        format!("{HEADER}: {grant}"),
        format!("X_Floodgate_Grant: {grant}"),
    ];
    assert_eq!(get(&gateway, "/cart", &lines).await.status, 200);
    // Where there is no journey they are nobody's business either.
    assert_eq!(get(&gateway, "/other", &lines).await.status, 200);
    let only_ours = [format!("cookie: {COOKIE}={grant}; {DEVICE}={device}")];
    assert_eq!(get(&gateway, "/cart", &only_ours).await.status, 200);
    let asked = upstream.asked();
    assert_eq!(asked.len(), 4);
    for later in &asked[1..] {
        let text = format!("{later:?}");
        for ours in [grant.as_str(), device.as_str(), "x-floodgate", "x_floodgate"] {
            assert!(!text.contains(ours), "{ours} in {text}");
        }
    }
    assert_eq!(asked[1].values("cookie"), [others]);
    assert_eq!(asked[2].values("cookie"), [others]);
    assert_eq!(asked[3].values("cookie"), [""; 0]);
}

#[tokio::test]
async fn what_an_entry_takes_that_is_refused_at_the_gate_is_given_back() {
    let upstream = Upstream::start().await;
    let shop = Shop::new(BY_NAME);
    let text = shop.text(&upstream);
    // Looked at before its body comes, and refused when it has: twenty can pass, and in an hour twenty more.
    let rate = "name = \"enter\"\nrate = \"20/h\"\nburst = 20\n";
    let slow = text.replace("name = \"enter\"\n", rate);
    let gateway = crate::support::Running::start(&slow);
    let mut waiting: Vec<Client> = Vec::new();
    for n in 0..60 {
        let mut client = gateway.client().await;
        let lines = with(&user(&n.to_string()), "content-length: 1");
        client.send(wire("POST", "/enter", &lines, "")).await;
        waiting.push(client);
    }
    let begin = std::time::Instant::now();
    while gateway.status().await["active_requests"] != 60 {
        assert!(begin.elapsed() < SOON);
        tokio::task::yield_now().await;
    }
    let mut verdicts = Vec::new();
    for client in &mut waiting {
        client.send("x").await;
        let answer = client.answer().await;
        verdicts.push((answer.status, answer.reason().to_owned()));
    }
    let refused = verdicts.iter().filter(|(_, reason)| reason == "rate").count();
    // Two may be sent on before their bodies are here, and give way if those do not come soon.
    let passed = verdicts.iter().filter(|(status, _)| [200, 408].contains(status)).count();
    assert_eq!((refused, passed), (40, 20), "{verdicts:?}");
    // Had they kept it, nobody could begin any more.
    apply(&gateway, &text).await;
    begun(&gateway, "last").await;
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn who_leaves_before_its_turn_has_taken_nothing() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).upstream("max_in_flight = 1\nbuffer = 4").start(&upstream);
    for n in 0..20 {
        let mut client = gateway.client().await;
        let lines = with(&user(&n.to_string()), "content-length: 5");
        client.send(wire("POST", "/enter", &lines, "")).await;
        drop(client);
    }
    gateway.quiet().await;
    begun(&gateway, "anna").await;
}
