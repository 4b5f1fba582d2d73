//! What the load test reports is what the gateway counted: exactly, once everything has ended.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use floodgate_loadtest::journey::{self, Clicks, ClientClass, JourneyPlan, Step};
use floodgate_loadtest::load::{self, ClassReport, Counts, Curve, Phase, Plan, Template};
use floodgate_loadtest::origin::{Origin, OriginHandle, ServiceTime};
use support::{Metrics, Running, Settings};

/// Four places and a short queue: what comes in a burst is refused in several ways.
const UPSTREAM: &str = "max_in_flight = 4\nbuffer = 8";
const REST: &str = r#"
[[tiers]]
name = "l1"
max_wait = "30ms"
[[tiers]]
name = "l2"
max_wait = "10ms"
[[tiers]]
name = "l3"
max_wait = "0ms"
[[routes]]
path = "/rated"
tier = "l3"
rate = "5/s"
burst = 2
[[routes]]
path = "/l2/{*rest}"
tier = "l2"
[[routes]]
path = "/{*rest}"
tier = "l1"
"#;

/// The requests of one tier as their senders saw them.
#[derive(Debug, Default)]
struct Told {
    counts: Counts,
    failed: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
}

// === impl Told ===

impl Told {
    /// The classes of one tier together.
    fn of<'a>(classes: impl IntoIterator<Item = &'a ClassReport>) -> Self {
        let mut told = Self::default();
        for class in classes {
            told.counts.add(&class.counts);
            for (sums, counts) in [
                (&mut told.failed, &class.failed_by_reason),
                (&mut told.refused, &class.refused_by_reason),
            ] {
                for (reason, count) in counts {
                    *sums.entry(reason.clone()).or_default() += count;
                }
            }
        }
        told
    }

    /// Where the gateway counted otherwise. A sum that is equal and has equal parts leaves no room
    /// for a part that only the gateway knows.
    fn differences(&self, tier: &str, metrics: &Metrics) -> Vec<String> {
        let tier = format!("tier=\"{tier}\"");
        let outcome = |name: &str| {
            metrics.count("floodgate_requests_total", &[&tier, &format!("outcome=\"{name}\"")])
        };
        let counts = &self.counts;
        let mut pairs = vec![
            ("arrivals", counts.offered, metrics.count("floodgate_arrivals_total", &[&tier])),
            (
                "admitted",
                counts.success + counts.failed,
                metrics.count("floodgate_admitted_total", &[&tier]),
            ),
            ("completed", counts.success, outcome("completed")),
            ("failed", counts.failed, outcome("failed")),
            ("rejected", counts.refused, outcome("rejected")),
            ("abandoned", 0, outcome("abandoned")),
            (
                "all rejections",
                self.refused.values().sum(),
                metrics.count("floodgate_rejections_total", &[&tier]),
            ),
        ];
        for (name, reasons) in [
            ("floodgate_rejections_total", &self.refused),
            ("floodgate_failures_total", &self.failed),
        ] {
            pairs.extend(reasons.iter().map(|(reason, count)| {
                let label = format!("reason=\"{reason}\"");
                (reason.as_str(), *count, metrics.count(name, &[&tier, &label]))
            }));
        }
        let different = pairs.into_iter().filter(|(_, reported, counted)| reported != counted);
        different
            .map(|(what, reported, counted)| {
                format!("{tier} {what}: reported {reported}, counted {counted}")
            })
            .collect()
    }
}

fn origin() -> OriginHandle {
    Origin::builder()
        .concurrency_limit(4)
        .service_time(ServiceTime::Fixed(Duration::from_millis(2)))
        .start()
        .unwrap()
}

fn gateway(origin: &OriginHandle) -> Running {
    let settings = Settings::upstream(UPSTREAM).rest(REST).server("workers = 2");
    Running::start(&settings.text(&[origin.addr()]))
}

/// The metrics, when nothing is under way any more and the gateway's own sums close.
async fn at_rest(gateway: &Running) -> Metrics {
    gateway.quiet().await;
    let metrics = gateway.metrics().await;
    metrics.closed_ledger();
    metrics
}

#[tokio::test]
async fn the_sums_of_an_open_loop_run_are_those_of_the_gateway() {
    let origin = origin();
    let gateway = gateway(&origin);
    let broken = "/l2/x?x-origin-behaviour=close-before-answer";
    let templates = [
        ("l1", "POST", "/orders"),
        ("l2", "GET", "/l2/coupons"),
        ("l2", "GET", broken),
        ("l3", "GET", "/rated"),
    ];
    let ms = Duration::from_millis;
    let mut plan = Plan::new(gateway.listen)
        .phase(Phase::new("calm", ms(300), 300.0, [3, 3, 1, 1]).poisson())
        .phase(Phase::new("storm", ms(500), 5_000.0, [3, 3, 1, 1]).poisson());
    for (class, method, path) in templates {
        plan = plan.template(Template::new(class, method, path));
    }
    let report = tokio::task::spawn_blocking(|| load::start(plan).unwrap().finish()).await.unwrap();
    let metrics = at_rest(&gateway).await;

    // A request that was sent twice, not at all, or given up would make the sums a matter of luck.
    let counts = report.counts();
    assert_eq!((report.retried, counts.dropped, counts.timeout), (0, 0, 0), "{counts:?}");
    assert_eq!(report.arrivals, counts.offered);
    for (name, classes) in
        [("l1", &report.classes[..1]), ("l2", &report.classes[1..3]), ("l3", &report.classes[3..])]
    {
        let told = Told::of(classes);
        assert_eq!(told.differences(name, &metrics), [""; 0], "{told:?}\n{metrics}");
    }
    let all = Told::of(&report.classes);
    assert_eq!(metrics.count("floodgate_arrivals_total", &[]), counts.offered, "{metrics}");
    assert!(all.counts.success > 0 && all.refused.len() > 1, "the load was no mix: {all:?}");
    assert!(all.refused.contains_key("rate") && all.counts.failed > 0, "{all:?}");
    assert_eq!(origin.stats().over_limit, 0);
}

#[tokio::test]
async fn the_sums_of_a_journey_run_are_those_of_the_gateway() {
    let origin = origin();
    let gateway = gateway(&origin);
    let plan = journeys(&gateway);
    let report =
        tokio::task::spawn_blocking(|| journey::start(plan).unwrap().finish()).await.unwrap();
    let metrics = at_rest(&gateway).await;

    let (requests, counts) = (&report.requests, report.requests.counts());
    assert_eq!((requests.retried, counts.dropped, counts.timeout), (0, 0, 0), "{counts:?}");
    assert_eq!(report.traffic.requests, counts.offered);
    let told = Told::of(&requests.classes);
    assert_eq!(told.differences("l1", &metrics), [""; 0], "{told:?}\n{metrics}");
    assert_eq!(metrics.count("floodgate_arrivals_total", &[]), counts.offered, "{metrics}");
    assert!(counts.success > 0 && counts.refused > 0, "the load was no mix: {told:?}");
    assert!(report.traffic.total().completed > 0, "{:?}", report.traffic);
}

/// A burst of customers who come back soon, and have time enough not to leave amid an answer.
fn journeys(gateway: &Running) -> JourneyPlan {
    let ms = Duration::from_millis;
    let step = |name: &str, method: &str, path: &str| Step {
        name: name.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        tier: 0,
        think: ServiceTime::Fixed(ms(1)),
        abandon: 0.0,
        repeat: 1,
        body_bytes: if method == "POST" { 100 } else { 0 },
        keyed: method == "POST",
    };
    JourneyPlan {
        target: gateway.listen,
        seed: 3,
        duration: ms(200),
        tail: Duration::from_secs(60),
        rate_per_s: 1_000.0,
        curve: Curve::constant(),
        poisson: true,
        classes: ClientClass::ALL.map(|class| if class.name() == "a0" { 1.0 } else { 0.0 }),
        patience: Some(ServiceTime::Fixed(Duration::from_secs(60))),
        steps: vec![step("cart", "POST", "/cart"), step("order", "POST", "/orders")],
        tiers: vec!["l1".to_owned()],
        skus: vec![("hot".to_owned(), 1)],
        fresh_share: 0.2,
        clicks: Clicks::Mean(0.0),
        slow_readers: 0,
        unfinished_heads: 0,
        bots: None,
        max_live: 1_000,
        carry: Vec::new(),
        headers: Vec::new(),
    }
}
