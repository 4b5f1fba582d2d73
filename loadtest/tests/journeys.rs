//! Customers buy, stock falls, books close, and the same seed brings the same customers.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use floodgate_loadtest::{
    journey::{self, Bots, Clicks, ClientClass, JourneyPlan, JourneyReport, Step},
    load::{Curve, Verdict},
    origin::{Fault, Origin, OriginConfig, OriginHandle, ServiceTime},
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn step(name: &str, method: &str, path: &str, keyed: bool) -> Step {
    Step {
        name: name.into(),
        method: method.into(),
        path: path.into(),
        tier: 0,
        think: ServiceTime::Fixed(ms(5)),
        abandon: 0.0,
        repeat: 1,
        body_bytes: 0,
        keyed,
    }
}

fn plan(origin: &OriginHandle, rate_per_s: f64) -> JourneyPlan {
    JourneyPlan {
        target: origin.addr(),
        seed: 7,
        duration: ms(1000),
        tail: ms(1000),
        rate_per_s,
        curve: Curve::constant(),
        poisson: false,
        classes: [0.1, 0.15, 0.35, 0.4],
        patience: Some(ServiceTime::Fixed(ms(900))),
        steps: vec![
            step("cart", "POST", "/cart", false),
            step("checkout", "GET", "/checkout", false),
            step("order", "POST", "/orders", true),
            step("poll", "GET", "/orders/{id}", false),
            step("pay", "POST", "/pay", true),
        ],
        tiers: vec!["l1".into()],
        skus: vec![("hot".into(), 1)],
        fresh_share: 0.0,
        clicks: Clicks::Mean(0.0),
        slow_readers: 0,
        unfinished_heads: 0,
        bots: None,
        max_live: 10_000,
        carry: Vec::new(),
        headers: Vec::new(),
    }
}

fn run(plan: JourneyPlan) -> JourneyReport {
    journey::start(plan).unwrap().finish()
}

/// Every journey has one ending, every request too, and the seconds add up.
fn assert_closed(report: &JourneyReport) {
    let total = report.traffic.total();
    assert!(total.is_closed() && report.traffic.bots.is_closed(), "{:?}", report.traffic);
    let counts = report.requests.counts();
    assert_eq!(counts.offered, counts.done());
    assert_eq!(counts.offered, report.traffic.requests);
    let by_second: u64 = report.requests.seconds.iter().map(|second| second.offered).sum();
    assert_eq!(counts.offered, by_second);
    let completed: u64 = report.traffic.seconds.iter().map(|(_, completed)| completed).sum();
    assert_eq!(completed, total.completed);
}

#[test]
fn every_customer_of_an_idle_shop_buys_and_the_origin_agrees() {
    let origin = Origin::builder().stock("hot", 1000).start().unwrap();
    let report = run(plan(&origin, 100.0));
    assert_closed(&report);
    let (total, shop) = (report.traffic.total(), origin.stats().shop.unwrap());
    assert_eq!((total.started, total.completed), (100, 100));
    assert_eq!((shop.ordered, shop.paid, shop.stock["hot"]), (100, 100, 900));
    assert_eq!((shop.customers, shop.most_calls, shop.unpaid_calls), (100, 5, 0));
    assert_eq!((report.traffic.useful_calls, report.traffic.wasted_calls), (500, 0));
    assert_eq!(report.requests.verdict(), Verdict::Pass);
}

#[test]
fn stock_is_never_oversold_by_concurrent_orders_clicks_and_bots() {
    let origin = Origin::builder().stock("hot", 37).workers(8).start().unwrap();
    let mut plan = plan(&origin, 200.0);
    plan.clicks = Clicks::Mean(1.5);
    plan.fresh_share = 0.5;
    plan.bots = Some(Bots {
        count: 20,
        start: Duration::ZERO,
        period: ServiceTime::Uniform { min: ms(5), max: ms(20) },
        fresh_share: 0.9,
        steps: vec![2, 3, 4],
    });
    let report = run(plan);
    assert_closed(&report);
    let (total, shop) = (report.traffic.total(), origin.stats().shop.unwrap());
    assert_eq!((shop.ordered, shop.oversold, shop.stock["hot"]), (37, 0, 0));
    assert!(report.traffic.bots.completed > 0, "bots come too: {:?}", report.traffic.bots);
    assert!(total.completed + report.traffic.bots.completed <= 37);
    assert_eq!(total.completed + total.sold_out + total.unfinished + total.gave_up, 200);
    assert!(total.sold_out > 100 && report.traffic.clicks > 0, "{:?}", report.traffic);
}

#[test]
fn the_same_seed_brings_the_same_customers_and_another_seed_others() {
    let customers = |seed| {
        let origin = Origin::builder().stock("hot", 1000).start().unwrap();
        let mut plan = plan(&origin, 150.0);
        (plan.seed, plan.poisson) = (seed, true);
        plan.steps[2].abandon = 0.3;
        let report = run(plan);
        // Who was let in before the last one came is a matter of time.
        let customers = report.traffic.customers.map(|tally| {
            (tally.started, tally.completed, tally.abandoned, tally.gave_up, tally.sold_out)
        });
        (report.traffic.intents, customers)
    };
    let first = customers(1);
    assert_eq!(first, customers(1));
    assert_ne!(first, customers(2));
    assert!(first.1.iter().any(|&(_, _, abandoned, ..)| abandoned > 0));
}

#[test]
fn patience_ends_a_journey_and_what_the_origin_finished_after_it_is_late() {
    let origin =
        Origin::builder().stock("hot", 10).workers(1).service_time(fixed(400)).start().unwrap();
    let mut plan = plan(&origin, 1.0);
    plan.steps = vec![step("order", "POST", "/orders", true), step("pay", "POST", "/pay", true)];
    plan.patience = Some(fixed(600));
    let report = run(plan);
    assert_closed(&report);
    let total = report.traffic.total();
    assert_eq!((total.started, total.gave_up, total.admitted_gave_up), (1, 1, 1));
    let counts = report.requests.counts();
    assert_eq!((counts.success, counts.timeout), (1, 1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let late = origin
        .wait_for(Duration::from_secs(5), |stats| stats.client_left == 1 && stats.in_flight == 0);
    runtime.block_on(late).unwrap();
    let shop = origin.stats().shop.unwrap();
    assert_eq!((shop.paid, shop.paid_late), (1, 1));
}

#[test]
fn a_freeze_that_no_closed_loop_would_show_is_in_the_latencies() {
    let freeze: Fault = "300ms+500ms=freeze".parse().unwrap();
    let origin = Origin::builder().stock("hot", 1000).fault(freeze).start().unwrap();
    let mut plan = plan(&origin, 200.0);
    plan.steps.truncate(1);
    plan.steps[0].think = fixed(0);
    origin.begin();
    let report = run(plan);
    assert_closed(&report);
    // 200 intents/s: 100 of 200 fall into the stall, and wait the rest of it: evenly 0 to 500 ms.
    let latency = &report.requests.classes[0].success_latency;
    let (median, longest) = (latency.quantile(0.75), latency.max());
    assert!((470..560).contains(&longest.as_millis()), "{longest:?}");
    assert!((210..310).contains(&median.as_millis()), "half of the stalled: {median:?}");
}

#[test]
fn customers_survive_an_origin_that_is_down_for_a_while() {
    let origin = Origin::builder()
        .stock("hot", 1000)
        .fault("200ms+300ms=down".parse().unwrap())
        .start()
        .unwrap();
    let mut plan = plan(&origin, 100.0);
    // Whoever honours Retry-After does not give up.
    plan.classes = [0.0, 0.0, 0.0, 1.0];
    plan.patience = Some(fixed(60_000));
    plan.tail = ms(8_000);
    origin.begin();
    let report = run(plan);
    assert_closed(&report);
    let total = report.traffic.total();
    assert_eq!((total.started, total.completed), (100, 100), "{total:?}");
    let failed = &report.requests.classes[0].failed_by_reason;
    assert!(failed.contains_key("no_connection"), "{failed:?}");
}

#[test]
fn too_many_live_journeys_are_dropped_and_counted() {
    let origin = Origin::builder().stock("hot", 10).start().unwrap();
    origin.hold();
    let mut plan = plan(&origin, 100.0);
    plan.max_live = 10;
    let report = run(plan);
    assert_closed(&report);
    assert_eq!((report.traffic.intents, report.traffic.peak_live), (100, 10));
    assert_eq!(report.traffic.total().started + report.traffic.dropped, 100);
    assert!(report.traffic.dropped > 50);
}

#[test]
fn slow_readers_and_unfinished_heads_disturb_nobody_here() {
    let origin = Origin::builder().stock("hot", 1000).body_bytes(40).start().unwrap();
    let mut plan = plan(&origin, 50.0);
    (plan.slow_readers, plan.unfinished_heads) = (3, 3);
    let report = run(plan);
    assert_closed(&report);
    assert_eq!(report.traffic.total().completed, 50);
    assert!(report.traffic.slow_reads.0 >= 3, "{:?}", report.traffic);
    assert_eq!(report.traffic.heads_closed, 0);
}

fn fixed(millis: u64) -> ServiceTime {
    ServiceTime::Fixed(ms(millis))
}

#[test]
fn requests_for_other_skus_are_told_apart_and_none_is_lost() {
    let origin = Origin::builder().stock("hot", 1000).stock("cold", 1000).start().unwrap();
    let skus = vec![("hot".to_owned(), 3), ("cold".to_owned(), 1)];
    let report = run(JourneyPlan { skus, ..plan(&origin, 200.0) });
    assert_closed(&report);
    let classes = &report.requests.classes;
    let names: Vec<_> = classes.iter().map(|class| class.class.as_str()).collect();
    assert_eq!((names.len(), names[2], names[7]), (10, "order", "order, other SKUs"));
    let (hot, cold) = (classes[2].counts.success, classes[7].counts.success);
    assert!(hot > cold && cold > 0, "{hot} {cold}");
    let stock = origin.stats().shop.unwrap().stock;
    assert_eq!((1000 - stock["hot"], 1000 - stock["cold"]), (hot, cold));
}

/// Answers requests, one after the other, as `answer` says from their head and from how many of the same
/// method and path there were before. Ends with the test's process.
fn stub(answer: impl Fn(&str, usize) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let shared = Arc::new((answer, Mutex::new(BTreeMap::new())));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        if stream.read_line(&mut head).unwrap_or(0) == 0 {
                            return;
                        }
                    }
                    let line = head.lines().next().unwrap_or_default().to_owned();
                    let before = {
                        let mut seen = shared.1.lock().unwrap();
                        let seen: &mut usize = seen.entry(line).or_default();
                        *seen += 1;
                        *seen - 1
                    };
                    let answer = (shared.0)(&head, before);
                    let whole = format!("HTTP/1.1 {answer}content-length: 0\r\n\r\n");
                    if stream.get_mut().write_all(whole.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

/// One customer of a class, against a stub that gives a grant at the entry.
fn one_customer(class: ClientClass, target: SocketAddr) -> JourneyReport {
    let origin = Origin::builder().start().unwrap();
    let mut plan = JourneyPlan { target, ..plan(&origin, 1.0) };
    plan.classes = [0.0; 4];
    plan.classes[class as usize] = 1.0;
    plan.carry = vec!["x-grant".to_owned()];
    plan.tail = ms(4_000);
    plan.patience = Some(fixed(4_000));
    run(plan)
}

#[test]
fn a_customer_whose_grant_is_refused_begins_at_the_entry_with_the_new_one() {
    for (class, kept) in [(ClientClass::A1, "x-grant: 1"), (ClientClass::H1, "cookie: grant=1")] {
        let target = stub(move |head, before| match head.lines().next().unwrap_or_default() {
            "POST /cart HTTP/1.1" => {
                format!("200 OK\r\nset-cookie: grant={before}; Path=/\r\nx-grant: {before}\r\n")
            }
            _ if head.contains(kept) => "200 OK\r\n".to_owned(),
            _ => "403 Forbidden\r\nx-floodgate-reason: grant_required\r\n".to_owned(),
        });
        let report = one_customer(class, target);
        assert_closed(&report);
        assert_eq!(report.traffic.total().completed, 1, "{class:?}: {:?}", report.traffic);
        let asked: Vec<_> = report.requests.classes.iter().map(|it| it.counts.offered).collect();
        assert_eq!(asked, [2, 2, 1, 1, 1]);
    }
}

#[test]
fn whoever_is_told_that_the_same_request_is_under_way_asks_again_when_it_is_told_to() {
    // An app without a kit, which comes back after 200 ms whatever it is told.
    let target = stub(|head, before| match head.lines().next().unwrap_or_default() {
        "POST /pay HTTP/1.1" if before == 0 => {
            "409 Conflict\r\nx-floodgate-reason: in_progress\r\nretry-after: 1\r\n".to_owned()
        }
        _ => "200 OK\r\n".to_owned(),
    });
    let report = one_customer(ClientClass::A0, target);
    assert_closed(&report);
    assert_eq!(report.traffic.total().completed, 1, "{:?}", report.traffic);
    assert!(report.traffic.length.max() >= ms(1_000), "{:?}", report.traffic.length.max());
}

#[test]
fn exact_clicks_are_made_by_everybody_and_an_origin_that_forgets_keys_shows_them() {
    let config = OriginConfig {
        idempotent: false,
        stock: vec![("hot".to_owned(), 1000)],
        ..OriginConfig::default()
    };
    let origin = Origin::builder().config(config).start().unwrap();
    let mut plan = plan(&origin, 50.0);
    plan.clicks = Clicks::Exactly(4);
    let report = run(plan);
    assert_closed(&report);
    let shop = origin.stats().shop.unwrap();
    assert_eq!(report.traffic.total().completed, 50);
    // Four clicks more on the order and on the payment. Each finds the order that is paid.
    assert_eq!((report.traffic.clicks, shop.ordered, shop.charges), (400, 250, 250));
}

#[test]
fn a_bot_that_changes_its_name_keeps_its_connection() {
    let refuse = |_: &str, _| "503 Service Unavailable\r\n".to_owned();
    let origin = Origin::builder().start().unwrap();
    let mut plan = JourneyPlan { target: stub(refuse), ..plan(&origin, 1.0) };
    plan.classes = [0.0, 1.0, 0.0, 0.0];
    plan.bots = Some(Bots {
        count: 3,
        start: Duration::ZERO,
        period: fixed(2),
        fresh_share: 0.0,
        steps: vec![2, 4],
    });
    let report = run(plan);
    assert_closed(&report);
    assert!(report.traffic.bots.started > 6, "{:?}", report.traffic.bots);
    // Those of the bots, and that of the one customer.
    assert_eq!(report.traffic.fresh, 4);
}
