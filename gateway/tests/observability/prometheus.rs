//! A real Prometheus in front of a gateway under load. Needs the programs `prometheus` and `promtool`; `.ci/test` has them installed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;
use serde_json::Value;

use crate::support::{Client, Running, Settings, THREE_TIERS, ask};

/// Prometheus takes seconds to start on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// It ends with the test.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn rules(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("observability").join(name)
}

/// A port that is free now: Prometheus does not say which one it got.
fn free_port() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
#[ignore = "needs promtool"]
fn the_rules_are_good_and_every_alert_fires_when_it_should() {
    for (verb, file) in [("check", "rules.yml"), ("test", "rules.test.yml")] {
        let run = Command::new("promtool").args([verb, "rules"]).arg(rules(file)).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
    let tested = fs::read_to_string(rules("rules.test.yml")).unwrap();
    for alert in fs::read_to_string(rules("rules.yml")).unwrap().split("- alert: ").skip(1) {
        let name = alert.split_whitespace().next().unwrap();
        assert!(tested.contains(&format!("alertname=\"{name}\"")), "{name} is not tested");
    }
}

#[tokio::test]
#[ignore = "needs prometheus"]
async fn a_real_prometheus_scrapes_a_gateway_under_load_without_an_error() {
    let origin = Origin::builder().start().unwrap();
    let routes: String = (0..1_000)
        .map(|n| {
            format!(
                "[[routes]]\nname = \"r{n}\"\npath = \"/r/{n}\"\ntier = \"l3\"\nrate = \"0/s\"\n"
            )
        })
        .collect();
    let settings = Settings::upstream("max_in_flight = 4").rest(format!("{THREE_TIERS}{routes}"));
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    let text = format!(
        "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 500ms }}\n\
         rule_files: ['{}']\n\
         scrape_configs: [{{ job_name: floodgate, static_configs: [{{ targets: ['{}'] }}] }}]\n",
        rules("rules.yml").display(),
        gateway.admin()
    );
    fs::write(&config, text).unwrap();
    let (listen, log) = (free_port(), folder.path().join("log"));
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address={listen}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let prometheus = Prometheus(child);
    let log = || fs::read_to_string(&log).unwrap();
    let begun = Instant::now();
    let mut client = gateway.client().await;
    let mut at = 0;
    // Load until it has scraped for a while.
    let scraped = loop {
        for _ in 0..100 {
            at += 1;
            let path = if at % 2 == 0 { "/l1/a".to_owned() } else { format!("/r/{}", at % 1_000) };
            client.get(&path).await;
            client.answer().await;
        }
        let metrics = match Client::try_connect(listen).await {
            Some(_) => ask(listen, "/metrics").await.text(),
            None => String::new(),
        };
        let scrapes = value(&metrics, "prometheus_target_interval_length_seconds_count");
        if scrapes.is_some_and(|scrapes| scrapes >= 15.0) {
            break metrics;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", log());
    };
    for error in [
        "prometheus_target_scrapes_sample_duplicate_timestamp_total",
        "prometheus_target_scrapes_sample_out_of_order_total",
        "prometheus_target_scrapes_sample_out_of_bounds_total",
        "prometheus_target_scrapes_exceeded_sample_limit_total",
        "prometheus_target_scrapes_exceeded_body_size_limit_total",
        "prometheus_rule_evaluation_failures_total",
    ] {
        let count = value(&scraped, error).unwrap_or(0.0);
        assert_eq!(count, 0.0, "{error}: {}", log());
    }
    let targets: Value = ask(listen, "/api/v1/targets").await.json();
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{target:#}");
    // Never down, since it was first asked.
    let query = "/api/v1/query?query=min_over_time(up%5B1m%5D)";
    let up: Value = ask(listen, query).await.json();
    assert_eq!(up["data"]["result"][0]["value"][1], "1", "{up:#}");
    let query = "/api/v1/query?query=count(floodgate_arrivals_total)";
    let routes: Value = ask(listen, query).await.json();
    // And the requests of none.
    assert_eq!(routes["data"]["result"][0]["value"][1], "1004", "{routes:#}");
    let loaded: Value = ask(listen, "/api/v1/rules").await.json();
    let loaded = loaded["data"]["groups"][0]["rules"].as_array().unwrap().clone();
    let written = fs::read_to_string(rules("rules.yml")).unwrap().matches("- alert: ").count();
    assert_eq!(loaded.len(), written);
    assert!(loaded.iter().all(|rule| rule["health"] != "err"), "{loaded:#?}");
    let bad = |line: &&str| line.contains("level=warn") || line.contains("level=error");
    let log = log();
    let bad: Vec<&str> = log.lines().filter(bad).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    drop(prometheus);
}

/// The sum of all samples of this name.
fn value(page: &str, name: &str) -> Option<f64> {
    let samples = page.lines().filter_map(|line| line.strip_prefix(name));
    let samples = samples.filter(|rest| rest.starts_with(['{', ' ']));
    let values: Vec<f64> =
        samples.filter_map(|rest| rest.rsplit(' ').next()?.parse().ok()).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}
