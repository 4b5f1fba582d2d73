//! The generator is honest: it shows what a closed loop hides, and its books close.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

use std::{net::SocketAddr, time::Duration};

use floodgate_loadtest::{
    load::{self, Phase, Plan, Report, Template, Verdict},
    origin::{Freeze, Origin, OriginHandle, ServiceTime},
};

const MS: Duration = Duration::from_millis(1);

fn run(plan: Plan) -> Report {
    load::start(plan).unwrap().finish()
}

fn plan(origin: &OriginHandle) -> Plan {
    Plan::new(origin.addr())
}

fn phase(ms: u32, rate: f64, mix: &[u32]) -> Phase {
    Phase::new("phase", ms * MS, rate, mix)
}

/// Every arrival ended once, in every view of the run.
fn assert_closed(report: &Report) {
    let counts = report.counts();
    assert_eq!(report.arrivals, counts.offered);
    assert_eq!(report.arrivals, counts.done() + counts.dropped);
    let phases = report.phases.iter().flat_map(|phase| &phase.classes);
    assert_eq!(phases.map(|class| class.counts.done()).sum::<u64>(), counts.done());
    let seconds = report.seconds.iter().flat_map(|second| &second.classes);
    let (offered, done) = seconds.fold((0, 0), |(offered, done), class| {
        (offered + class.counts.offered, done + class.counts.done())
    });
    assert_eq!((offered, done), (counts.offered, counts.done()));
    for (class, buckets) in report.classes.iter().zip(&report.timeline) {
        let sum = |of: fn(&load::Bucket) -> u32| {
            buckets.iter().map(|bucket| u64::from(of(bucket))).sum::<u64>()
        };
        assert_eq!(sum(|bucket| bucket.offered), class.counts.offered);
        assert_eq!(sum(|bucket| bucket.success), class.counts.success);
        let refused = class.refused_by_reason.values().sum::<u64>();
        assert_eq!(refused, class.counts.refused);
        assert_eq!(class.success_latency.count(), class.counts.success);
    }
}

#[test]
fn a_stall_is_seen_by_everybody_who_came_in_it() {
    // 500 arrivals over 1 s; the origin freezes for 500 ms at the 101st, that is at 200 ms. With
    // an open loop, whoever comes t after the begin of the freeze waits 500 ms - t: half of all
    // arrivals wait, the longest 500 ms, the 99th percentile (the 5th longest) 490 ms, the 75th
    // 250 ms. A closed loop would have seen one slow request per connection.
    let freeze = Freeze { after_requests: 100, lasting: 500 * MS };
    let origin = Origin::builder().freeze(freeze).start().unwrap();
    let plan =
        plan(&origin).template(Template::new("l1", "GET", "/")).phase(phase(1000, 500.0, &[1]));
    let report = run(plan);
    assert_closed(&report);
    let latency = &report.classes[0].success_latency;
    assert_eq!(latency.count(), 500);
    let near = |found: Duration, exact: Duration| {
        assert!(found + 10 * MS >= exact && found <= exact + 100 * MS, "{found:?} for {exact:?}");
    };
    near(latency.max(), 500 * MS);
    near(latency.quantile(0.99), 490 * MS);
    near(latency.quantile(0.75), 250 * MS);
    assert!(latency.quantile(0.4) < 100 * MS, "{latency:?}");
}

#[test]
fn waiting_for_a_connection_counts_as_latency() {
    // One connection and 20 ms of service: the n-th of ten that come at once waits n * 20 ms.
    let service = ServiceTime::Fixed(20 * MS);
    let origin = Origin::builder().service_time(service).start().unwrap();
    let mut plan =
        plan(&origin).template(Template::new("l1", "GET", "/")).phase(phase(1, 10_000.0, &[1]));
    plan.connections = 1;
    let report = run(plan);
    assert_closed(&report);
    assert_eq!(origin.stats().peak_concurrency, 1);
    assert!(report.classes[0].success_latency.max() >= 180 * MS, "{report:?}");
}

#[test]
fn arrivals_beyond_the_bounds_are_dropped_and_fail_the_run() {
    let origin = Origin::builder().start().unwrap();
    origin.hold();
    let mut plan =
        plan(&origin).template(Template::new("l1", "GET", "/")).phase(phase(100, 1000.0, &[1]));
    (plan.connections, plan.waiting, plan.timeout) = (2, 3, 1000 * MS);
    let report = run(plan);
    assert_closed(&report);
    let counts = report.counts();
    assert_eq!((counts.dropped, counts.timeout), (95, 5));
    assert!(matches!(report.verdict(), Verdict::Fail(_)));
}

#[test]
fn answers_of_every_framing_and_ending_are_told_apart() {
    let origin = Origin::builder().body_bytes(30_000).start().unwrap();
    let behaviour = |class: &str, behaviour: &str| {
        Template::new(class, "POST", "/orders")
            .header("x-origin-behaviour", behaviour)
            .header("x-origin-body-ms", "10")
            .body("{}")
    };
    let refused = |class: &str, status: &str, reason: &str| {
        Template::new(class, "GET", "/")
            .header("x-origin-status", status)
            .header("x-origin-header", format!("x-floodgate-reason: {reason}"))
    };
    let mut plan = plan(&origin)
        .template(Template::new("length", "GET", "/"))
        .template(behaviour("chunked", "chunked"))
        .template(behaviour("slow", "slow-body"))
        .template(behaviour("hints", "early-hints"))
        .template(Template::new("head", "HEAD", "/"))
        .template(refused("rate", "503", "rate"))
        .template(refused("sold_out", "410", "sold_out"))
        .template(refused("upstream", "502", "upstream_error"))
        .template(Template::new("bare", "GET", "/?x-origin-status=429"))
        .template(behaviour("truncated", "truncate"))
        .template(behaviour("closed", "close-before-answer"))
        .template(behaviour("garbage", "garbage"))
        .template(behaviour("never", "never-answer"));
    plan.phases = vec![phase(200, 2000.0, &[1; 13])];
    plan.timeout = 2000 * MS;
    let report = run(plan);
    assert_closed(&report);
    for class in &report.classes {
        let counts = class.counts;
        assert!(counts.offered > 0);
        let (kind, reason) = match class.class.as_str() {
            "length" | "chunked" | "slow" | "hints" | "head" => (counts.success, None),
            "rate" => (counts.refused, Some("rate")),
            "sold_out" => (counts.refused, Some("sold_out")),
            "bare" => (counts.refused, Some("status_429")),
            "upstream" => (counts.failed, Some("upstream_error")),
            "truncated" | "closed" => (counts.failed, Some("connection_closed")),
            "garbage" => (counts.failed, Some("malformed_answer")),
            _ => (counts.timeout, None),
        };
        assert_eq!(kind, counts.offered, "{class:?}");
        let reasons = class.refused_by_reason.iter().chain(&class.failed_by_reason);
        let reasons: Vec<_> = reasons.map(|(name, _)| name.as_str()).collect();
        assert_eq!(reasons, Vec::from_iter(reason), "{class:?}");
    }
}

#[test]
fn the_origin_has_seen_what_the_generator_says_it_sent() {
    let origin = Origin::builder().start().unwrap();
    let mut plan = plan(&origin)
        .template(Template::new("l1", "POST", "/orders").body("{}"))
        .template(Template::new("l2", "GET", "/coupons"));
    plan.phases = vec![phase(300, 1000.0, &[1, 0]), phase(300, 1000.0, &[1, 3]).poisson()];
    plan.threads = 2;
    let arrivals = plan.schedule().count() as u64;
    let report = run(plan);
    assert_closed(&report);
    assert_eq!(report.arrivals, arrivals);
    let stats = origin.stats();
    assert_eq!(stats.by_prefix["/orders"], report.classes[0].counts.success);
    assert_eq!(stats.by_prefix["/coupons"], report.classes[1].counts.success);
    assert_eq!(report.phases[0].classes[0].counts.offered, 300);
    assert_eq!(report.phases[0].classes[1].counts.offered, 0);
}

#[test]
fn seconds_come_while_the_run_lasts() {
    let origin = Origin::builder().start().unwrap();
    let plan =
        plan(&origin).template(Template::new("l1", "GET", "/")).phase(phase(1500, 200.0, &[1]));
    let mut run = load::start(plan).unwrap();
    let first = run.next_second().unwrap();
    assert_eq!((first.index, first.phase), (0, 0));
    assert!((100..=300).contains(&first.offered), "{first:?}");
    assert!(first.classes[0].success_latency.count > 0);
    let seconds = 1 + std::iter::from_fn(|| run.next_second()).count();
    let report = run.finish();
    assert_eq!(report.seconds.len(), seconds);
    assert_closed(&report);
}

#[test]
fn a_closed_port_fails_every_request_and_the_books_still_close() {
    let origin = Origin::builder().start().unwrap();
    let plan =
        plan(&origin).template(Template::new("l1", "GET", "/")).phase(phase(100, 500.0, &[1]));
    origin.stop();
    let report = run(plan);
    assert_closed(&report);
    assert_eq!(report.classes[0].failed_by_reason["no_connection"], 50);
}

#[test]
fn a_stopped_run_ends_early_and_says_that_it_proves_nothing() {
    let origin = Origin::builder().start().unwrap();
    let plan =
        plan(&origin).template(Template::new("l1", "GET", "/")).phase(phase(600_000, 100.0, &[1]));
    let mut run = load::start(plan).unwrap();
    run.next_second().unwrap();
    run.stop();
    let report = run.finish();
    assert!(report.counts().offered < report.arrivals);
    assert!(matches!(report.verdict(), Verdict::Fail(_)));
}

#[test]
fn a_plan_that_cannot_be_run_does_not_start() {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    assert!(load::start(Plan::new(nowhere)).is_err());
}
