//! Whose a grant is, and journeys side by side.

use crate::shop::{
    BY_NAME, COOKIE, DEVICE, HEADER, RETURN, Shop, cookie, cookies, get, holding, jar, raffle,
    user, with,
};
use crate::support::{Answer, Running};
use crate::upstream::Upstream;

async fn enter(gateway: &Running, lines: &[String]) -> Answer {
    let answer = get(gateway, "/enter", lines).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

async fn goes_on(gateway: &Running, lines: &[String]) -> bool {
    match get(gateway, "/cart", lines).await.verdict() {
        (200, _) => true,
        verdict => {
            assert_eq!(verdict, (403, "grant_required"));
            false
        }
    }
}

#[tokio::test]
async fn a_grant_is_bound_to_what_the_application_knows_its_customer_by() {
    let upstream = Upstream::start().await;
    let kinds = [
        ("header:x-user-id", "x-user-id: anna".to_owned(), "x-user-id: bert".to_owned()),
        ("cookie:SID", "cookie: SID=anna".to_owned(), "cookie: SID=bert".to_owned()),
    ];
    for (identity, anna, bert) in kinds {
        let gateway = Shop::new(&format!("identity = \"{identity}\"")).start(&upstream);
        let answer = enter(&gateway, std::slice::from_ref(&anna)).await;
        assert_eq!(cookie(&answer, DEVICE), None, "{identity}");
        let grant = holding(&answer);
        assert!(goes_on(&gateway, &[anna.clone(), grant.clone()]).await, "{identity}");
        assert!(!goes_on(&gateway, &[bert, grant.clone()]).await, "{identity}");
        assert!(!goes_on(&gateway, &[grant]).await, "{identity}");
        assert!(!goes_on(&gateway, &[anna]).await, "{identity}");
    }
}

#[tokio::test]
async fn where_the_application_says_nothing_a_grant_is_its_devices() {
    let upstream = Upstream::start().await;
    // Not configured, and configured but absent.
    for journey in ["", BY_NAME] {
        let gateway = Shop::new(journey).start(&upstream);
        let anna = enter(&gateway, &[]).await;
        let bert = enter(&gateway, &[]).await;
        let [one, other] = [&anna, &bert].map(|answer| cookie(answer, DEVICE).unwrap());
        assert_ne!(one, other);
        let grant = holding(&anna);
        assert!(goes_on(&gateway, &[grant.clone(), format!("cookie: {DEVICE}={one}")]).await);
        assert!(!goes_on(&gateway, &[grant.clone(), format!("cookie: {DEVICE}={other}")]).await);
        assert!(!goes_on(&gateway, &[grant.clone(), format!("cookie: {DEVICE}=x{one}")]).await);
        assert!(!goes_on(&gateway, &[grant]).await);
        // As a browser does it.
        let both = format!("cookie: {DEVICE}={one}; {COOKIE}={}", cookie(&anna, COOKIE).unwrap());
        assert!(goes_on(&gateway, &[both]).await);
        // A device is known again.
        let again = enter(&gateway, &[format!("cookie: {DEVICE}={one}")]).await;
        assert_eq!(cookie(&again, DEVICE), Some(one.clone()));
        assert!(goes_on(&gateway, &[holding(&again), format!("cookie: {DEVICE}={one}")]).await);
    }
}

#[tokio::test]
async fn who_logs_in_on_the_way_goes_on() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).start(&upstream);
    let answer = enter(&gateway, &[]).await;
    let device = format!("cookie: {DEVICE}={}", cookie(&answer, DEVICE).unwrap());
    let lines = with(&user("anna"), holding(&answer));
    assert!(goes_on(&gateway, &with(&lines, device)).await);
    assert!(!goes_on(&gateway, &lines).await);
}

#[tokio::test]
async fn a_customer_is_in_several_journeys_at_once() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).more(raffle(BY_NAME)).start(&upstream);
    let anna = user("anna");
    let (sale, raffle) = (enter(&gateway, &anna).await, get(&gateway, "/draw", &anna).await);
    let names: Vec<_> = [&sale, &raffle].map(|it| cookies(it).remove(0).0).into();
    assert_eq!(names, [COOKIE, "floodgate-grant-raffle"]);
    let jar = format!(
        "cookie: {COOKIE}={}; floodgate-grant-raffle={}",
        cookie(&sale, COOKIE).unwrap(),
        cookie(&raffle, "floodgate-grant-raffle").unwrap()
    );
    for target in ["/cart", "/claim", "/pay"] {
        assert_eq!(get(&gateway, target, &with(&anna, &*jar)).await.status, 200, "{target}");
    }
    assert_eq!(get(&gateway, "/claim", &with(&anna, holding(&sale))).await.status, 403);
}

#[tokio::test]
async fn two_journeys_whose_keys_differ_leave_each_other_their_devices() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new("").more(raffle("")).start(&upstream);
    let sale = enter(&gateway, &[]).await;
    let raffle = get(&gateway, "/draw", &[jar(&[&sale])]).await;
    assert_eq!(raffle.status, 200);
    let both = [jar(&[&sale, &raffle])];
    for target in ["/cart", "/claim", "/pay"] {
        assert_eq!(get(&gateway, target, &both).await.verdict(), (200, ""), "{target}");
    }
}

#[tokio::test]
async fn who_is_refused_beside_being_let_in_keeps_the_grant() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new("").upstream("max_in_flight = 1\nbuffer = 8").start(&upstream);
    // Two requests of a browser that nobody knows yet, answered in either order.
    let let_in = enter(&gateway, &[]).await;
    let _held = crate::shop::busy(&gateway, &upstream, 1).await;
    let _first = gateway.waiting("/enter/first", 1).await;
    let refused = get(&gateway, "/enter", &[]).await;
    assert_eq!(refused.verdict(), (503, "no_grant"));
    assert!(cookie(&refused, RETURN).is_some());
    upstream.goes_on();
    gateway.quiet().await;
    for order in [[&let_in, &refused], [&refused, &let_in]] {
        assert!(goes_on(&gateway, &[jar(&order)]).await);
    }
    // What the refusal brought is somebody else's.
    let others = format!("cookie: {RETURN}={}", cookie(&refused, RETURN).unwrap());
    assert!(!goes_on(&gateway, &[others, holding(&let_in)]).await);
}

#[tokio::test]
async fn who_was_refused_first_is_the_same_customer_once_let_in() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new("").upstream("max_in_flight = 1\nbuffer = 8").start(&upstream);
    let held = crate::shop::busy(&gateway, &upstream, 1).await;
    let first = gateway.waiting("/enter/first", 1).await;
    let refused = get(&gateway, "/enter", &[]).await;
    upstream.goes_on();
    gateway.quiet().await;
    drop((held, first));
    let let_in = enter(&gateway, &[jar(&[&refused])]).await;
    assert_eq!(cookie(&let_in, DEVICE), cookie(&refused, RETURN));
    assert!(goes_on(&gateway, &[jar(&[&let_in])]).await);
}

#[tokio::test]
async fn by_its_stage_anybody_goes_on_and_the_later_step_goes_first() {
    let upstream = Upstream::start().await;
    let gateway =
        Shop::new("sticky = \"stage\"").upstream("max_in_flight = 1\nbuffer = 8").start(&upstream);
    let answer = get(&gateway, "/cart", &[]).await;
    assert_eq!((answer.status, answer.header(HEADER), cookies(&answer).len()), (200, None, 0));
    let _held = crate::shop::busy(&gateway, &upstream, 1).await;
    let mut waiting = Vec::new();
    for (place, target) in (1..).zip(["/other/x", "/enter", "/cart", "/pay"]) {
        waiting.push(gateway.waiting(target, place).await);
    }
    let before = upstream.asked().len();
    upstream.goes_on();
    for client in &mut waiting {
        assert_eq!(client.answer().await.status, 200);
    }
    let order: Vec<_> = upstream.asked()[before..].iter().map(|it| it.target.clone()).collect();
    assert_eq!(order, ["/pay", "/cart", "/enter", "/other/x"]);
}

#[tokio::test]
async fn off_nobody_needs_anything_and_nobody_goes_first() {
    let upstream = Upstream::start().await;
    let gateway =
        Shop::new("sticky = \"off\"").upstream("max_in_flight = 1\nbuffer = 8").start(&upstream);
    let _held = crate::shop::busy(&gateway, &upstream, 1).await;
    let targets = ["/other/x", "/enter", "/pay", "/cart"];
    let mut waiting = Vec::new();
    for (place, target) in (1..).zip(targets) {
        waiting.push(gateway.waiting(target, place).await);
    }
    let before = upstream.asked().len();
    upstream.goes_on();
    for client in &mut waiting {
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header(HEADER), cookies(&answer).len()), (200, None, 0));
    }
    let order: Vec<_> = upstream.asked()[before..].iter().map(|it| it.target.clone()).collect();
    assert_eq!(order, targets);
}
