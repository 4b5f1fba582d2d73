//! What a tenant may hold of an upstream: so many permits, so many places, and all of it comes back.

use std::time::{Duration, Instant};

use serde_json::Value;

use floodgate_loadtest::origin::{Origin, ServiceTime};

use crate::house::{House, apply, asking, get, member};
use crate::support::{Client, Running, SOON};
use crate::upstream::Upstream;

const HALF: &str = "[tenants.acme]\nshare = 0.5\n[tenants.umbrella]\nrate = \"100000/s\"\n";

fn house() -> House {
    House::new(HALF).upstream("max_in_flight = 4\nbuffer = 8")
}

async fn share(gateway: &Running) -> Value {
    gateway.status().await["tenants"]["acme"]["shares"]["checkout"].take()
}

/// Waits until so many of the tenant's requests are at the upstream, and wait for a permit of its own.
async fn reaches(gateway: &Running, in_flight: u64, queued: u64) {
    let begin = Instant::now();
    loop {
        let share = share(gateway).await;
        if share["in_flight"] == in_flight && share["queued"] == queued {
            return;
        }
        assert!(begin.elapsed() < SOON, "never {in_flight} and {queued}: {share}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn holding(
    gateway: &Running,
    upstream: &Upstream,
    fields: &str,
    count: usize,
) -> Vec<Client> {
    let mut held = Vec::new();
    let before = upstream.count("/l1/hold");
    for _ in 0..count {
        held.push(asking(gateway, "/l1/hold", fields).await);
    }
    upstream.sees("/l1/hold", before + count).await;
    held
}

#[tokio::test]
async fn a_tenant_holds_its_share_of_the_permits_and_waits_for_its_own() {
    let upstream = Upstream::start().await;
    let gateway = house().start(&upstream);
    let (acme, umbrella) = (member("acme"), member("umbrella"));
    let mut held = holding(&gateway, &upstream, &acme, 2).await;
    let mut third = asking(&gateway, "/l1/third", &acme).await;
    reaches(&gateway, 2, 1).await;
    assert_eq!(gateway.checkout().await["in_flight"], 2);
    assert_eq!(upstream.count("/l1/third"), 0);
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_tenant_in_flight", &["tenant=\"acme\""]), 2);
    assert_eq!(metrics.count("floodgate_tenant_in_flight_limit", &["tenant=\"acme\""]), 2);
    assert_eq!(metrics.count("floodgate_tenant_waiting", &["tenant=\"acme\""]), 1);
    // The rest is the others'.
    let others = holding(&gateway, &upstream, &umbrella, 2).await;
    assert_eq!(gateway.checkout().await["in_flight"], 4);
    // A customer that leaves gives back what it held, and the next of the same tenant has it.
    drop(held.pop());
    assert_eq!(third.answer().await.status, 200);
    upstream.goes_on();
    for mut client in held.into_iter().chain(others) {
        assert_eq!(client.answer().await.status, 200);
    }
    gateway.quiet().await;
    reaches(&gateway, 0, 0).await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn beyond_its_places_a_tenant_is_refused_and_who_leaves_frees_one() {
    let upstream = Upstream::start().await;
    let gateway = house().start(&upstream);
    let (acme, umbrella) = (member("acme"), member("umbrella"));
    let _held = holding(&gateway, &upstream, &acme, 2).await;
    let mut waiting = Vec::new();
    for place in 1..=4 {
        waiting.push(asking(&gateway, "/l1/wait", &acme).await);
        reaches(&gateway, 2, place).await;
    }
    let answer = get(&gateway, "/l1/wait", &acme).await;
    assert_eq!(answer.verdict(), (429, "tenant_limit"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(get(&gateway, "/l1/", &umbrella).await.status, 200);
    drop(waiting.pop());
    reaches(&gateway, 2, 3).await;
    waiting.push(asking(&gateway, "/l1/wait", &acme).await);
    reaches(&gateway, 2, 4).await;
    upstream.goes_on();
    for client in &mut waiting {
        assert_eq!(client.answer().await.status, 200);
    }
    let labels = ["tenant=\"acme\"", "rule=\"share\""];
    assert_eq!(gateway.metrics().await.count("floodgate_tenant_refusals_total", &labels), 1);
}

#[tokio::test]
async fn who_holds_a_grant_finds_a_place_where_its_tenant_has_none_for_others() {
    let upstream = Upstream::start().await;
    let sale = "[[journeys]]\nname = \"sale\"\nsteps = [\"enter\", \"cart\"]\nidentity = \"claim:sub\"\n\
                [[routes]]\nname = \"enter\"\npath = \"/enter\"\ntier = \"l1\"\n\
                [[routes]]\nname = \"cart\"\npath = \"/cart\"\ntier = \"l1\"\n";
    let gateway = House::new("[tenants.acme]\nshare = 0.5\n")
        .upstream("max_in_flight = 4\nbuffer = 8")
        .more(sale)
        .start(&upstream);
    let acme = member("acme");
    let entered = get(&gateway, "/enter", &acme).await;
    let grant = entered.header("x-floodgate-grant").expect("a grant").to_owned();
    let mut held = holding(&gateway, &upstream, &acme, 2).await;
    let mut waiting = Vec::new();
    for place in 1..=4 {
        waiting.push(asking(&gateway, "/l1/wait", &acme).await);
        reaches(&gateway, 2, place).await;
    }
    assert_eq!(get(&gateway, "/l1/wait", &acme).await.verdict(), (429, "tenant_limit"));
    let fields = format!("{acme}x-floodgate-grant: {grant}\r\n");
    let mut holder = asking(&gateway, "/cart", &fields).await;
    // The last to come makes room.
    assert_eq!(waiting.pop().unwrap().answer().await.verdict(), (429, "tenant_limit"));
    upstream.goes_on();
    assert_eq!(holder.answer().await.status, 200);
    for client in held.iter_mut().chain(&mut waiting) {
        assert_eq!(client.answer().await.status, 200);
    }
}

#[tokio::test]
async fn of_the_buffer_of_all_a_tenant_takes_no_more_than_its_share() {
    let upstream = Upstream::start().await;
    let gateway = House::new("[tenants.acme]\nshare = 1.0\nbuffer_share = 0.5\n")
        .upstream("max_in_flight = 1\nbuffer = 4")
        .start(&upstream);
    let acme = member("acme");
    // Somebody else has the only permit, so that the tenant's own are no use.
    let _held = holding(&gateway, &upstream, "", 1).await;
    let _first = asking(&gateway, "/l1/wait", &acme).await;
    gateway.queued(1).await;
    let seen = share(&gateway).await;
    assert_eq!(
        (&seen["in_flight"], &seen["waiting"], &seen["places"]),
        (&0.into(), &1.into(), &2.into())
    );
    upstream.goes_on();
}

#[tokio::test]
async fn what_a_tenant_holds_outlasts_a_reload_and_a_new_share_is_live() {
    let upstream = Upstream::start().await;
    let house = house();
    let gateway = house.start(&upstream);
    let acme = member("acme");
    let _held = holding(&gateway, &upstream, &acme, 2).await;
    let _third = asking(&gateway, "/l1/third", &acme).await;
    reaches(&gateway, 2, 1).await;
    let text = house.text(&upstream);
    apply(&gateway, &text.replace("buffer = 8", "buffer = 10")).await;
    reaches(&gateway, 2, 1).await;
    assert_eq!(upstream.count("/l1/third"), 0);
    apply(&gateway, &text.replace("share = 0.5", "share = 0.75")).await;
    upstream.sees("/l1/third", 1).await;
}

#[tokio::test]
async fn in_shadow_a_share_holds_nobody_up_and_counts_whom_it_would() {
    let upstream = Upstream::start().await;
    let gateway = House::new("[tenants.acme]\nshare = 0.5\nshadow = true\n")
        .upstream("max_in_flight = 4\nbuffer = 8")
        .start(&upstream);
    let acme = member("acme");
    let mut held = holding(&gateway, &upstream, &acme, 4).await;
    let seen = share(&gateway).await;
    assert_eq!((&seen["in_flight"], &seen["limit"]), (&4.into(), &2.into()));
    let labels = ["tenant=\"acme\"", "rule=\"share\""];
    let would = gateway.metrics().await.count("floodgate_tenant_shadow_refusals_total", &labels);
    assert_eq!(would, 2);
    upstream.goes_on();
    for client in &mut held {
        assert_eq!(client.answer().await.status, 200);
    }
    reaches(&gateway, 0, 0).await;
}

/// How long requests of `fields` take one after the other, the one in the middle.
async fn median(gateway: &Running, fields: &str, count: usize) -> Duration {
    let mut client = gateway.client().await;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        client.send(format!("GET /l1/ HTTP/1.1\r\nhost: shop\r\n{fields}\r\n")).await;
        assert_eq!(client.answer().await.status, 200);
        times.push(begin.elapsed());
    }
    times.sort_unstable();
    times[count / 2]
}

/// 8 calls at once take 400 ms each, so that a machine that is busy with other tests is not in the way; the tenant
/// that floods may have 6 of them.
#[tokio::test]
async fn whoever_floods_floods_itself() {
    let origin = Origin::builder()
        .concurrency_limit(8)
        .service_time(ServiceTime::Fixed(Duration::from_millis(400)))
        .start()
        .unwrap();
    let upstream = Upstream::start().await;
    let house =
        House::new("[tenants.acme]\nshare = 0.75\n[tenants.umbrella]\nrate = \"100000/s\"\n")
            .upstream("max_in_flight = 8\nbuffer = 64");
    let text =
        house.text(&upstream).replace(&upstream.addr.to_string(), &origin.addr().to_string());
    let gateway = Running::start(&text);
    let (acme, umbrella) = (member("acme"), member("umbrella"));
    let alone = median(&gateway, &umbrella, 5).await;
    // Sixty at once, each asking again as soon as it is answered: thirty times what one customer does.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut flood = Vec::new();
    for _ in 0..60 {
        let (mut client, stopped) = (gateway.client().await, stopped.clone());
        let wire = format!("GET /l1/ HTTP/1.1\r\nhost: shop\r\n{acme}\r\n");
        flood.push(tokio::spawn(async move {
            let mut served = 0;
            while !*stopped.borrow() {
                client.send(&wire).await;
                match client.answer().await.verdict() {
                    (200, _) => served += 1,
                    verdict => {
                        assert_eq!(verdict, (429, "tenant_limit"));
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
            served
        }));
    }
    reaches(&gateway, 6, 48).await;
    let beside = median(&gateway, &umbrella, 5).await;
    stop.send(true).unwrap();
    let mut served = 0;
    for client in flood {
        served += client.await.unwrap();
    }
    println!("alone {alone:?}, beside the flood {beside:?}, of which {served} were served");
    assert!(beside < alone.mul_f64(1.1) + Duration::from_millis(2), "{alone:?} to {beside:?}");
    assert!(served > 10, "{served}");
    assert_eq!(origin.stats().over_limit, 0);
}
