//! Rules, dashboard and documentation speak of metrics and labels that are there, and of all of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use floodgate_loadtest::origin::{Origin, ServiceTime};
use serde_json::Value;

use crate::page::{Families, label_names};
use crate::support::{Client, Nobody, Running, Settings, post};

/// Later than is promised.
const LATE: ServiceTime = ServiceTime::Fixed(Duration::from_millis(20));

/// What Prometheus itself adds.
const ADDED: [&str; 3] = ["instance", "job", "le"];

fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every name in `names.rs`.
fn declared() -> BTreeSet<String> {
    words(&file("src/metrics/names.rs")).into_iter().collect()
}

/// All words of a text that begin like a metric.
fn words(text: &str) -> Vec<String> {
    let is_word = |byte: char| byte.is_ascii_alphanumeric() || byte == '_';
    let mut found = Vec::new();
    for word in text.split(|character| !is_word(character)) {
        if word.starts_with("floodgate_") && !word.ends_with('_') {
            found.push(word.to_owned());
        }
    }
    found
}

/// The family of a word: that of `x_bucket` is `x`, if there is one.
fn family<'w>(word: &'w str, declared: &BTreeSet<String>) -> &'w str {
    let ends = ["_bucket", "_sum", "_count"];
    let stem = ends.iter().find_map(|end| word.strip_suffix(end));
    stem.filter(|stem| declared.contains(*stem)).unwrap_or(word)
}

/// Everything that a gateway shows which has everything.
async fn shown() -> Families {
    let origin = Origin::builder().service_time(LATE).start().unwrap();
    let nobody = Nobody::listens();
    let rest = format!(
        "[upstreams.dead]\nservers = [\"{}\"]\nmax_in_flight = {{ min = 1, max = 4, start = 2 }}\n{}",
        nobody.addr(),
        r#"
[[tiers]]
name = "l1"
guaranteed = 0.5
objective = { latency = "1ms" }
[[tiers]]
name = "l2"
[[routes]]
name = "goods"
path = "/goods/{sku}"
upstream = "checkout"
limits = [{ key = "client_ip", rate = "1/h", burst = 1 }]
isolate = { key = "path:sku", share = 0.5 }
[[routes]]
name = "dead"
path = "/dead"
upstream = "dead"
[[routes]]
name = "enter"
path = "/enter"
tier = "l1"
upstream = "checkout"
[[routes]]
name = "pay"
path = "/pay"
tier = "l1"
upstream = "checkout"
[[journeys]]
name = "sale"
steps = ["enter", "pay"]
[tenants.acme]
share = 0.5
"#
    );
    let settings = Settings::upstream("max_in_flight = 4").rest(rest);
    let keys = "max_memory = \"1GiB\"\ntrusted_proxies = [\"127.0.0.0/8\"]\ntenant_from = \"header:x-org\"";
    let text = settings.server(keys).text(&[origin.addr()]);
    let gateway = Running::start(&text);
    let mut admin = Client::connect(gateway.admin()).await;
    let shadow = String::from_utf8(post("/api/config?mode=shadow", text.as_bytes())).unwrap();
    admin.send(shadow.replacen("POST", "PUT", 1)).await;
    assert!(admin.answer().await.status < 300);
    let paths = ["/goods/a", "/goods/a", "/dead", "/enter", "/pay", "/enter"];
    for path in paths {
        let mut client = gateway.client().await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-org: acme\r\nx-tier: l1\r\nx-request-deadline-ms: 900\r\n\r\n")).await;
        client.answer().await;
    }
    // What is read once a second.
    let mut families = Families::default();
    let begun = Instant::now();
    while !families.0.contains_key("floodgate_worker_busy_ratio")
        && begun.elapsed() < crate::support::SOON
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
        families.add(Families::read(&gateway.get("/metrics").await.text()));
    }
    families
}

/// Fails unless each metric of this expression is there, and has the labels that it is asked for by. Those of all its metrics.
fn check<'s>(
    what: &str,
    expression: &str,
    declared: &BTreeSet<String>,
    shown: &'s Families,
) -> BTreeSet<&'s str> {
    let mut labels: BTreeSet<&str> = ADDED.into();
    for word in words(expression) {
        let family = family(&word, declared);
        assert!(declared.contains(family), "{what}: there is no {word}");
        let known = shown.0.get(family).unwrap_or_else(|| panic!("{what}: {word} is not shown"));
        labels.extend(known.iter().map(String::as_str));
        for (at, _) in expression.match_indices(&word) {
            let behind = expression[at + word.len()..].trim_start();
            let Some(selector) = behind.strip_prefix('{') else { continue };
            let selector = &selector[..selector.find('}').unwrap()];
            for label in label_names(selector) {
                let is_known = known.contains(&label) || ADDED.contains(&label.as_str());
                assert!(is_known, "{what}: {word} has no {label}");
            }
        }
    }
    for (at, _) in expression.match_indices(" (") {
        let before = &expression[..at];
        if ["by", "ignoring", "on", "without"].iter().any(|word| before.ends_with(word)) {
            let inner = &expression[at + 2..];
            for label in inner[..inner.find(')').unwrap()].split(',').map(str::trim) {
                assert!(labels.contains(label), "{what}: none of its metrics has {label}");
            }
        }
    }
    labels
}

#[tokio::test]
async fn rules_and_dashboard_ask_for_metrics_and_labels_that_are_there() {
    let (declared, shown) = (declared(), shown().await);
    let rules = file("observability/rules.yml");
    let mut alerts = rules.split("- alert: ");
    alerts.next();
    let mut count = 0;
    for alert in alerts {
        let (name, body) = alert.split_once('\n').unwrap();
        let expression = body.split_once("expr:").unwrap().1;
        let expression = expression.split("\n        for:").next().unwrap();
        let expression = expression.split("\n        labels:").next().unwrap();
        if !expression.contains("up{job=") {
            check(name, expression, &declared, &shown);
            assert!(!words(expression).is_empty(), "{name} asks for nothing");
        }
        // Prose may name a metric, too.
        for word in words(body) {
            assert!(declared.contains(family(&word, &declared)), "{name}: there is no {word}");
        }
        assert!(body.contains("runbook: \"") && body.contains("summary: \""), "{name}");
        count += 1;
    }
    assert!(count >= 15, "{count}");
    let dashboard: Value = serde_json::from_str(&file("observability/grafana.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let labels = check(title, expression, &declared, &shown);
            let is_aggregated = expression.contains(" by (");
            let legend = target["legendFormat"].as_str().unwrap();
            for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
                let is_left =
                    if is_aggregated { expression.contains(label) } else { labels.contains(label) };
                assert!(is_left, "{title}: nothing has the {label} of its legend");
            }
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        for word in words(&variable["query"].to_string()) {
            assert!(declared.contains(family(&word, &declared)), "variable: there is no {word}");
        }
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_imports() {
    let dashboard: Value = serde_json::from_str(&file("observability/grafana.json")).unwrap();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(36));
    for key in ["title", "uid"] {
        assert!(dashboard[key].as_str().is_some_and(|text| !text.is_empty()), "{key}");
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let source = variables.iter().find(|variable| variable["type"] == "datasource").unwrap();
    assert_eq!((&source["name"], &source["query"]), (&"datasource".into(), &"prometheus".into()));
    let (mut ids, mut taken) = (BTreeSet::new(), Vec::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id: {panel:#}");
        let place = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| place[key].as_u64().unwrap());
        assert!(x + w <= 24 && w > 0 && h > 0, "{panel:#}");
        for (left, top, width, height) in &taken {
            let is_apart =
                x >= left + width || *left >= x + w || y >= top + height || *top >= y + h;
            assert!(is_apart, "{} lies over another panel", panel["title"]);
        }
        taken.push((x, y, w, h));
        if panel["type"] == "row" {
            continue;
        }
        assert!(["timeseries", "stat"].contains(&panel["type"].as_str().unwrap()), "{panel:#}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        let targets = panel["targets"].as_array().unwrap();
        let refs: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str()).collect();
        assert!(!targets.is_empty() && refs.len() == targets.len(), "{}", panel["title"]);
        assert!(targets.iter().all(|it| it["expr"].as_str().unwrap().contains("$instance")));
    }
}

#[test]
fn every_metric_is_documented() {
    let readmes = file("../README.md") + &file("README.md");
    for name in declared() {
        assert!(readmes.contains(&name), "{name} is in no README");
    }
}

#[test]
fn the_scripts_attach_to_probes_that_are_there() {
    let probes = file("src/probes.rs");
    for script in ["decisions.bt", "queue-wait.bt"] {
        let text = file(&format!("observability/{script}"));
        for (_, name) in text.lines().filter_map(|line| line.split_once("usdt:*:floodgate:")) {
            assert!(probes.contains(&format!("probe!(floodgate, {name},")), "{script}: {name}");
        }
    }
}
