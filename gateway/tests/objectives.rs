//! What tiers promise: who was not served so, which stage is to blame, and what is told of it.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

#[path = "support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::{Origin, OriginHandle};
use serde_json::Value;

use support::{Admin, Running, SOON, Scripted, Settings, ask, black_hole};

/// How long the stage takes that is made slow: more than its budget by far, of whatever the others take.
const SLOW: Duration = Duration::from_millis(900);

/// One tier that promises 400 ms, of which 20 are for each stage of the way, 100 for the queue, 180 for the
/// upstream and 40 for its body.
const TIER: &str = r#"
[[tiers]]
name = "l1"
max_wait = "20s"
deadline = "30s"
watermarks = { high = 1.0, low = 0.9 }
objective = { availability = 0.9, latency = "400ms", percentile = 0.5 }
[[routes]]
name = "buy"
path = "/buy"
once = true
[[routes]]
name = "closed"
path = "/closed"
rate = "0/s"
[[routes]]
name = "other"
"#;

fn settings(upstream: &str) -> Settings {
    Settings::upstream(upstream).rest(TIER)
}

fn start(upstream: &str) -> (Running, OriginHandle) {
    let origin = Origin::builder().start().unwrap();
    (Running::start(&settings(upstream).text(&[origin.addr()])), origin)
}

/// A trace that nobody else has, as a line of a head.
fn trace(number: u32) -> (String, String) {
    let id = format!("{number:032x}");
    (format!("traceparent: 00-{id}-b7ad6b7169203331-01\r\n"), id)
}

/// The violation of this trace, once it is told of.
async fn violation(gateway: &Admin, id: &str) -> Value {
    let begin = Instant::now();
    loop {
        let told = gateway.get("/api/violations").await.json();
        let mut all = told["violations"].as_array().unwrap().iter();
        if let Some(found) = all.find(|one| one["trace_id"] == id) {
            return found.clone();
        }
        assert!(begin.elapsed() < SOON, "{id} is not among {told:#}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The verdict on a request of this trace, which was slow in `stage` and answered.
async fn is_late_by(gateway: &Running, id: &str, stage: &str, route: &str) -> Value {
    let told = violation(gateway, id).await;
    assert_eq!((&told["stage"], &told["reason"]), (&stage.into(), &"late".into()), "{told:#}");
    assert_eq!((&told["tier"], &told["route"]), (&"l1".into(), &route.into()), "{told:#}");
    let millis = |value: &Value| value.as_f64().unwrap();
    let slow = SLOW.as_secs_f64() * 1e3;
    assert!(millis(&told["stages_ms"][stage]) >= slow - 100.0, "{told:#}");
    let stages = told["stages_ms"].as_object().unwrap().values().map(millis).sum::<f64>();
    assert!((stages - millis(&told["total_ms"])).abs() < 0.01, "{told:#}");
    assert!(millis(&told["excess_ms"]) > 400.0 && millis(&told["total_ms"]) > 800.0, "{told:#}");
    told
}

/// The stage before these, `accept`, takes a worker that is busy: see `connection`.
#[tokio::test]
async fn each_stage_that_is_made_slow_is_the_one_to_blame() {
    let (gateway, origin) = start("max_in_flight = 1");
    let slow = SLOW.as_millis();

    let ((line, id), mut client) = (trace(1), gateway.client().await);
    client.send("GET /a HTTP/1.1\r\nhost: shop\r\n").await;
    tokio::time::sleep(SLOW).await;
    client.send(format!("{line}\r\n")).await;
    assert_eq!(client.answer().await.status, 200);
    let told = is_late_by(&gateway, &id, "head", "other").await;
    assert_eq!(told["upstream"], "checkout");
    assert_eq!(told["server"], origin.addr().to_string());

    // A purchase is told from another by its body, which is awaited before anything else.
    let ((line, id), mut client) = (trace(2), gateway.client().await);
    let head = format!(
        "POST /buy HTTP/1.1\r\nhost: shop\r\nidempotency-key: 1\r\n{line}content-length: 4\r\n\r\n"
    );
    client.send(format!("{head}ab")).await;
    tokio::time::sleep(SLOW).await;
    client.send("cd").await;
    assert_eq!(client.answer().await.status, 200);
    is_late_by(&gateway, &id, "decide", "buy").await;

    let ((line, id), mut client) = (trace(3), gateway.client().await);
    let get = |path: &str, line: &str| format!("GET {path} HTTP/1.1\r\nhost: shop\r\n{line}\r\n");
    let mut first = gateway.asking(&format!("/?x-origin-delay-ms={slow}")).await;
    gateway.reach("in flight", |status| status["in_flight"] == 1).await;
    client.send(get("/", &line)).await;
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(client.answer().await.status, 200);
    is_late_by(&gateway, &id, "queue", "other").await;

    // On the connection that is kept, and directly.
    let (line, id) = trace(4);
    client.send(get(&format!("/?x-origin-delay-ms={slow}"), &line)).await;
    assert_eq!(client.answer().await.status, 200);
    let told = is_late_by(&gateway, &id, "first_byte", "other").await;
    assert_eq!(told["stages_ms"]["accept"], 0.0, "of the first request only");

    let (line, id) = trace(5);
    client
        .send(get(&format!("/?x-origin-behaviour=slow-body&x-origin-body-ms={slow}"), &line))
        .await;
    assert_eq!(client.answer().await.status, 200);
    is_late_by(&gateway, &id, "last_byte", "other").await;
}

#[tokio::test]
async fn a_server_that_takes_no_connection_makes_connecting_slow() {
    let (_socket, _queue, hole) = black_hole().await;
    let alive = Origin::builder().start().unwrap();
    let keys = format!("connect_timeout = \"{}ms\"", SLOW.as_millis());
    let gateway = Running::start(&settings(&keys).text(&[hole, alive.addr()]));
    let ((line, id), mut client) = (trace(1), gateway.client().await);
    client.send(format!("GET / HTTP/1.1\r\nhost: shop\r\n{line}\r\n")).await;
    assert_eq!(client.answer().await.status, 200);
    let told = is_late_by(&gateway, &id, "connect", "other").await;
    assert_eq!(told["server"], alive.addr().to_string(), "the one that answered");
}

#[tokio::test]
async fn what_fails_is_told_with_its_reason_and_the_stage_it_failed_in() {
    let (gateway, origin) = start("");
    let mut client = gateway.client().await;
    let mut number = 0;
    for (query, line, reason, stage) in [
        ("x-origin-behaviour=close-before-answer", "", "upstream_error", "first_byte"),
        ("x-origin-behaviour=garbage", "", "upstream_error", "first_byte"),
        // Also where hyper serves it.
        ("x-origin-behaviour=garbage", "max-forwards: 9\r\n", "upstream_error", "first_byte"),
        (
            "x-origin-behaviour=truncate&x-origin-body-bytes=200000",
            "",
            "upstream_error",
            "last_byte",
        ),
    ] {
        number += 1;
        let (trace, id) = trace(number);
        client.send(format!("GET /?{query} HTTP/1.1\r\nhost: shop\r\n{trace}{line}\r\n")).await;
        if stage == "last_byte" {
            let _cut_off = client.rest().await;
            client = gateway.client().await;
        } else {
            assert_eq!(client.answer().await.status, 502);
        }
        let told = violation(&gateway, &id).await;
        assert_eq!((&told["reason"], &told["stage"]), (&reason.into(), &stage.into()), "{told:#}");
        assert_eq!(told["server"], origin.addr().to_string());
    }
    drop(origin);
    let (line, id) = trace(9);
    client.send(format!("GET / HTTP/1.1\r\nhost: shop\r\n{line}\r\n")).await;
    assert_eq!(client.answer().await.status, 502);
    let told = violation(&gateway, &id).await;
    assert_eq!((&told["reason"], &told["stage"]), (&"upstream_error".into(), &"connect".into()));
    let told = gateway.status().await["objectives"]["l1"]["availability"].take();
    assert_eq!((&told["good"], &told["bad"]), (&0.into(), &5.into()), "{told:#}");
}

#[tokio::test]
async fn nobody_is_to_blame_for_what_clients_do() {
    // So long that none of it is late, however busy the machine is.
    let rest = TIER.replace("400ms", "25s");
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&Settings::upstream("").rest(&rest).text(&[origin.addr()]));
    // Leaves at once.
    let client = gateway.asking("/?x-origin-behaviour=never-answer").await;
    gateway.reach("in flight", |status| status["in_flight"] == 1).await;
    drop(client);
    gateway.quiet().await;
    // Waits less long than is promised.
    let mut client = gateway.client().await;
    client
        .send("GET /?x-origin-delay-ms=5000 HTTP/1.1\r\nhost: shop\r\nx-request-deadline-ms: 50\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.verdict(), (504, "upstream_timeout"));
    // Sends what is none.
    let mut client = gateway.client().await;
    client
        .send("POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\nnonsense\r\n")
        .await;
    assert_eq!(client.answer().await.status, 400);
    gateway.quiet().await;
    let told = gateway.status().await["objectives"]["l1"].take();
    assert_eq!(told["availability"]["bad"], 0, "{told:#}");

    // Waits less long than is promised, of an answer that has begun.
    let begins = Scripted::start(&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"]).await;
    let gateway = Running::start(&Settings::upstream("").rest(&rest).text(&[begins.addr]));
    let mut client = gateway.client().await;
    let line = "x-request-deadline-ms: 500\r\n";
    client.send(format!("GET / HTTP/1.1\r\nhost: shop\r\n{line}\r\n")).await;
    assert_eq!(client.head().await.status, 200);
    let _cut_off = client.rest().await;
    gateway.quiet().await;
    let told = gateway.status().await["objectives"]["l1"].take();
    assert_eq!(told["availability"]["bad"], 0, "{told:#}");
}

#[tokio::test]
async fn a_client_that_leaves_after_it_was_kept_waiting_was_not_served() {
    let (gateway, _origin) = start("");
    let (line, id) = trace(1);
    let mut client = gateway.client().await;
    client
        .send(format!("GET /?x-origin-behaviour=never-answer HTTP/1.1\r\nhost: shop\r\n{line}\r\n"))
        .await;
    tokio::time::sleep(SLOW).await;
    drop(client);
    let told = violation(&gateway, &id).await;
    assert_eq!(
        (&told["reason"], &told["stage"]),
        (&"left".into(), &"first_byte".into()),
        "{told:#}"
    );
}

#[tokio::test]
async fn budgets_burn_by_what_is_refused_failed_and_late() {
    let (gateway, _origin) = start("");
    for _ in 0..18 {
        assert_eq!(ask(gateway.listen, "/").await.status, 200);
    }
    assert_eq!(ask(gateway.listen, "/closed").await.verdict(), (503, "rate"));
    assert_eq!(ask(gateway.listen, "/?x-origin-behaviour=garbage").await.status, 502);
    let told = gateway.status().await["objectives"]["l1"].take();
    let availability = &told["availability"];
    assert_eq!((&availability["good"], &availability["bad"]), (&18.into(), &2.into()), "{told:#}");
    for burn in ["burn_5m", "burn_1h"] {
        assert!((availability[burn].as_f64().unwrap() - 1.0).abs() < 1e-6, "2 of 20: {told:#}");
    }
    assert!(availability["budget_left"].as_f64().unwrap().abs() < 1e-6, "{told:#}");
    let budgets: f64 =
        told["budgets_ms"].as_object().unwrap().values().map(|it| it.as_f64().unwrap()).sum();
    assert!((budgets - told["latency_ms"].as_f64().unwrap()).abs() < 1e-6, "{told:#}");

    let page = gateway.metrics().await;
    let count = |objective: &str, outcome: &str| {
        let labels = [format!("objective=\"{objective}\""), format!("outcome=\"{outcome}\"")];
        page.count("floodgate_objective_requests_total", &[&labels[0], &labels[1]])
    };
    assert_eq!((count("availability", "good"), count("availability", "bad")), (18, 2), "{page}");
    assert_eq!(count("latency", "good") + count("latency", "bad"), 18, "{page}");
    let missed = "floodgate_objective_violations_total";
    assert_eq!(page.count(missed, &["stage=\"decide\"", "reason=\"rate\""]), 1, "{page}");
    assert_eq!(page.count(missed, &["reason=\"upstream_error\""]), 1, "{page}");
    let burn = ["objective=\"availability\"", "window=\"5m\""];
    assert!((page.sum("floodgate_objective_burn_rate", &burn) - 1.0).abs() < 1e-6, "{page}");
}

#[tokio::test]
async fn refusals_count_unless_they_are_not_to() {
    let origin = Origin::builder().start().unwrap();
    let rest = TIER.replace("percentile = 0.5", "refusals = false");
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr()]));
    assert_eq!(ask(gateway.listen, "/closed").await.verdict(), (503, "rate"));
    assert_eq!(ask(gateway.listen, "/").await.status, 200);
    let told = gateway.status().await["objectives"]["l1"]["availability"].take();
    assert_eq!((&told["good"], &told["bad"]), (&1.into(), &0.into()), "{told:#}");
    let page = gateway.metrics().await;
    assert_eq!(page.count("floodgate_objective_violations_total", &[]), 0, "{page}");
}

#[tokio::test]
async fn the_last_thousand_violations_are_kept_and_as_many_told_as_are_asked_for() {
    let (gateway, _origin) = start("circuit = false");
    let mut client = gateway.client().await;
    for number in 1..=1_003 {
        let (line, _) = trace(number);
        let behaviour = "x-origin-behaviour=garbage";
        client.send(format!("GET /?{behaviour} HTTP/1.1\r\nhost: shop\r\n{line}\r\n")).await;
        assert_eq!(client.answer().await.status, 502);
    }
    violation(&gateway, &trace(1_003).1).await;
    let told = async |query: &str| {
        let told = gateway.get(&format!("/api/violations{query}")).await.json();
        let ids = told["violations"].as_array().unwrap().iter();
        ids.map(|one| one["trace_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = told("").await;
    let expected: Vec<String> = (4..=1_003).rev().map(|number| trace(number).1).collect();
    assert_eq!(all, expected, "the newest first");
    assert_eq!(told("?limit=5000").await.len(), 1_000);
    assert_eq!(told("?limit=2").await, expected[..2]);
    assert_eq!(told("?limit=0").await.len(), 0);
    assert_eq!(gateway.get("/api/violations?limit=x").await.status, 400);
    assert_eq!(gateway.get("/api/violations?most=1").await.status, 400);
}

#[tokio::test]
async fn percentiles_are_told_by_tier_stage_and_window() {
    let (gateway, _origin) = start("");
    for _ in 0..9 {
        assert_eq!(ask(gateway.listen, "/?x-origin-delay-ms=50").await.status, 200);
    }
    assert_eq!(ask(gateway.listen, "/?x-origin-delay-ms=300").await.status, 200);
    let told = gateway.get("/api/latency").await.json();
    for window in ["10s", "1m", "start"] {
        let of_tier = &told["tiers"]["l1"][window];
        for stage in ["accept", "head", "decide", "queue", "connect", "first_byte", "last_byte"] {
            assert_eq!(of_tier[stage]["count"], 10, "{told:#}");
        }
        let at = |row: &str, name: &str| of_tier[row][name].as_f64().unwrap();
        assert_eq!(of_tier["total"]["count"], 10, "{told:#}");
        assert!(at("total", "p50_ms") >= 49.0, "{told:#}");
        assert!(at("first_byte", "p99_ms") >= 295.0 && at("total", "p999_ms") >= 295.0, "{told:#}");
        assert!(at("total", "p50_ms") <= at("total", "p99_ms"), "{told:#}");
        assert!(told["windows"][window].as_f64().is_some(), "{told:#}");
    }
    assert_eq!(gateway.get("/api/latency?x=1").await.status, 400);
}

#[tokio::test]
async fn a_trusted_proxy_that_asks_is_told_where_the_time_went() {
    let origin = Origin::builder().start().unwrap();
    let trusting = settings("").server("trusted_proxies = [\"127.0.0.1/32\"]");
    let gateway = Running::start(&trusting.text(&[origin.addr()]));
    let asks = "x-floodgate-timing: 1\r\n";
    let get = |line: &str, path: &str| format!("GET {path} HTTP/1.1\r\nhost: shop\r\n{line}\r\n");
    let mut client = gateway.client().await;
    client.send(get(asks, "/?x-origin-delay-ms=100")).await;
    let answer = client.answer().await;
    let timing = answer.header("server-timing").unwrap();
    let names: Vec<_> = timing.split(", ").map(|one| one.split_once(";dur=").unwrap()).collect();
    let (names, times): (Vec<_>, Vec<f64>) =
        names.into_iter().map(|(name, time)| (name, time.parse::<f64>().unwrap())).unzip();
    assert_eq!(names, ["accept", "head", "decide", "queue", "connect", "first_byte"]);
    assert!(times[5] >= 99.0, "{timing}");
    // What failed, too; and what the origin says of itself stays beside it.
    client.send(get(asks, "/?x-origin-behaviour=garbage")).await;
    assert!(client.answer().await.header("server-timing").is_some());
    client.send(get("", "/")).await;
    assert_eq!(client.answer().await.header("server-timing"), None, "it did not ask");

    let (gateway, _origin) = start("");
    let mut client = gateway.client().await;
    client.send(get(asks, "/")).await;
    assert_eq!(client.answer().await.header("server-timing"), None, "nobody trusts it");
}
