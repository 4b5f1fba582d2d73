//! A scenario is run and judged, and what it says can be trusted.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

use std::{net::SocketAddr, path::Path};

use floodgate_loadtest::{
    record::{Part, Record},
    run::{self, Options},
    scenario::{Need, Scenario},
};

const CALM: &str = r#"
about = "a calm second beside a flood"
duration = "1500ms"
tail = "2s"
begin = "500ms"
deadlines = { l1 = 1000 }

[origin]
rate = 2000
workers = 20
stock = { hot = 300 }

[customers]
rate = 40
curve = { shape = "ramp", from = 0.5, to = 1 }
patience = "2s"
steps = [
    { name = "order", request = "POST /orders", keyed = true },
    { name = "pay", request = "POST /pay", think = "5ms", keyed = true },
]

[[floods]]
name = "status"
request = "GET /sale/hot/status"
tier = "l2"
rate = 100
poisson = false
fresh = 0.5

[[expect]]
measure = "completion"
at_least = 0.99

[[expect]]
measure = "in_time_share"
tier = "l2"
at_least = 1

[[expect]]
measure = "efficiency"
at_least = 2
needs = ["grants"]
"#;

fn scenario(text: &str) -> Scenario {
    Scenario::parse("calm", text, Path::new("")).unwrap()
}

fn options() -> Options {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Options { origin: Some(any), ..Options::new(any) }
}

fn run(text: &str, options: Options) -> (Record, usize) {
    let mut seconds = 0;
    let prepared = run::prepare(&scenario(text), options).unwrap().without_gateway();
    let record = prepared.go(&mut |_| seconds += 1).unwrap();
    (record, seconds)
}

fn passed(record: &Record, name: &str) -> bool {
    record.verdicts.iter().find(|verdict| verdict.name == name).unwrap().pass
}

#[test]
fn a_run_closes_its_books_and_keeps_its_promises() {
    let (record, seconds) = run(CALM, options());
    assert_eq!(record.mistakes(), [""; 0]);
    assert_eq!(record.seconds.len(), seconds);
    for name in ["books close", "origin reached", "stock adds up", "completion"] {
        assert!(passed(&record, name), "{:#?}", record.verdicts);
    }
    // Floods: 100/s for 1.5 s. Customers: 45 by the ramp's area, give or take Poisson.
    assert_eq!(record.tiers[1].counts.offered, 150);
    assert_eq!((record.tiers[1].in_time, record.tiers[1].deadline_ms), (150, None));
    let journeys = record.journeys.as_ref().unwrap();
    assert_eq!(journeys.total.started, journeys.total.completed);
    let started: u64 = record.seconds.iter().map(|row| row.started).sum();
    assert_eq!(started, journeys.total.started);
    let shop = record.origin.as_ref().unwrap().shop.as_ref().unwrap();
    assert_eq!((shop.paid, shop.calls["sale"]), (journeys.total.completed, 150));
    assert!(record.saturation.parts.iter().any(|part| part.part == Part::Origin));
    assert!(record.groups.rho.is_some() && record.groups.sigma.is_some());
}

#[test]
fn what_needs_a_feature_is_not_judged_and_said() {
    let (record, _) = run(CALM, options());
    assert!(record.verdicts.iter().all(|verdict| verdict.name != "efficiency"));
    assert!(record.meta.notes.iter().any(|note| note.contains("efficiency")), "{:?}", record.meta);
    let with = Options { has: vec![Need::Grants], ..options() };
    let (record, _) = run(CALM, with);
    assert!(!passed(&record, "efficiency"), "an efficiency of 2 is impossible");
    assert!(!record.passed());
}

#[test]
fn how_many_honour_retry_after_can_be_said_for_a_run() {
    for honour in [0.0, 1.0] {
        let (record, _) = run(CALM, Options { honour: Some(honour), ..options() });
        let by_class = &record.journeys.as_ref().unwrap().by_class;
        let honouring = by_class["a1"].started + by_class["h1"].started;
        let all: u64 = by_class.values().map(|counts| counts.started).sum();
        assert_eq!(honouring as f64 / all as f64, honour);
        assert!(record.meta.notes.iter().any(|note| note.contains("Retry-After")));
    }
    for odd in [-0.1, 1.1, f64::NAN] {
        assert!(run::prepare(&scenario(CALM), Options { honour: Some(odd), ..options() }).is_err());
    }
}

#[test]
fn the_same_seed_offers_the_same_load() {
    let intents = |seed| {
        let (record, _) = run(CALM, Options { seed: Some(seed), ..options() });
        let journeys = record.journeys.as_ref().unwrap().by_class.clone();
        journeys.into_iter().map(|(class, counts)| (class, counts.started)).collect::<Vec<_>>()
    };
    let first = intents(1);
    assert_eq!(first, intents(1));
    assert_ne!(first, intents(2));
}

#[test]
fn a_scenario_that_cannot_be_judged_is_skipped_with_a_reason() {
    let needs = |needs: &str| scenario(&format!("needs = {needs}\n{CALM}"));
    assert_eq!(run::skipped(&scenario(CALM), &options()), None);
    let grants = run::skipped(&needs("[\"grants\"]"), &options()).unwrap();
    assert!(grants.contains("--has grants"), "{grants}");
    let has = Options { has: vec![Need::Grants], ..options() };
    assert_eq!(run::skipped(&needs("[\"grants\"]"), &has), None);
    assert!(run::skipped(&needs("[\"tls\"]"), &has).is_some(), "no flag can provide it");
}

#[test]
fn a_target_that_is_not_there_is_said_and_nothing_is_run() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = Options { target: gone, ..options() };
    let prepared = run::prepare(&scenario(CALM), options).unwrap();
    let problem = prepared.go(&mut |_| {}).unwrap_err();
    assert!(problem.contains("cannot be reached"), "{problem}");
    assert!(run::prepare(&scenario(CALM), Options { scale: -1.0, ..self::options() }).is_err());
}
