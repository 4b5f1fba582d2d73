//! What is explained: every value, with where it comes from, and figures that the limiter agrees with.

use std::time::Duration;

use floodgate_config::{Given, check, check_with, explain, schema};
use floodgate_limiter::{Decision, Limiter, TierId, Timestamp};

const TEXT: &str = r#"[upstreams.checkout]
servers = ["127.0.0.1:9000"]
buffer = 1000

[[tiers]]
watermarks = { high = 0.95, low = 0.8 }
[[tiers]]
max_wait = "100ms"
objective.budgets.queue = "80ms"
circuit.probes = 5
[[routes]]
name = "order"
rate = "5000/s"
once = true
[server]
listen = "127.0.0.1:8080"
[[journeys]]
name = "sale"
steps = ["order"]
finish.status = [303, 200]
"#;

fn environment() -> Vec<(String, String)> {
    let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let variables = [
        ("FLOODGATE__UPSTREAMS__CHECKOUT__MAX_IN_FLIGHT", "32"),
        ("FLOODGATE__UPSTREAMS__CHECKOUT__RETRIES__ON", "[\"connect\", \"503\"]"),
        ("FLOODGATE__TIERS__L1__WATERMARKS__HIGH", "0.9"),
        ("FLOODGATE__TIERS__L1__OBJECTIVE__LATENCY", "150ms"),
        ("FLOODGATE__JOURNEYS__SALE__TTL", "60s"),
        ("FLOODGATE__LATCH__LOW", "5"),
        ("FLOODGATE_ADMIN_TOKEN", "hunter2"),
    ];
    variables.map(pair).to_vec()
}

#[test]
fn every_value_is_told_with_where_it_comes_from() {
    let loaded = check_with("sale.toml", TEXT, &environment()).unwrap();
    let explained = explain(&loaded, None);
    for (key, value, given) in [
        ("server.listen", "127.0.0.1:8080", "sale.toml:16"),
        ("server.admin", "127.0.0.1:9090", "default"),
        ("upstreams.checkout.servers", "[\"127.0.0.1:9000\"]", "sale.toml:2"),
        (
            "upstreams.checkout.max_in_flight",
            "32",
            "environment: FLOODGATE__UPSTREAMS__CHECKOUT__MAX_IN_FLIGHT",
        ),
        ("upstreams.checkout.buffer", "1000", "sale.toml:3"),
        ("upstreams.checkout.retries.budget", "0.1", "default"),
        (
            "upstreams.checkout.retries.on",
            "[\"connect\", \"503\"]",
            "environment: FLOODGATE__UPSTREAMS__CHECKOUT__RETRIES__ON",
        ),
        ("routes.order.retry", "off", "default"),
        ("tiers.l1.max_wait", "500ms", "default"),
        ("tiers.l1.watermarks.high", "0.9", "environment: FLOODGATE__TIERS__L1__WATERMARKS__HIGH"),
        ("tiers.l1.watermarks.low", "0.8", "sale.toml:6"),
        ("tiers.l2.max_wait", "100ms", "sale.toml:8"),
        ("tiers.l2.watermarks.high", "0.75", "default"),
        (
            "tiers.l1.objective.latency",
            "150ms",
            "environment: FLOODGATE__TIERS__L1__OBJECTIVE__LATENCY",
        ),
        ("tiers.l2.objective.latency", "3s", "default"),
        ("tiers.l2.objective.budgets.queue", "80ms", "sale.toml:9"),
        ("routes.order.rate", "5000/s", "sale.toml:13"),
        ("routes.order.burst", "500", "default"),
        ("routes.order.tier", "l2", "default"),
        ("routes.order.once", "true", "sale.toml:14"),
        ("journeys.sale.steps", "[\"order\"]", "sale.toml:19"),
        ("journeys.sale.finish.step", "order", "default"),
        ("journeys.sale.finish.status", "[200, 303]", "sale.toml:20"),
        ("journeys.sale.ttl", "1m", "environment: FLOODGATE__JOURNEYS__SALE__TTL"),
        ("latch.low", "5", "environment: FLOODGATE__LATCH__LOW"),
    ] {
        let found = explained.values.iter().find(|it| it.key == key);
        let found = found.unwrap_or_else(|| panic!("{key} is not told"));
        assert_eq!(
            (found.value.as_str(), found.given.to_string().as_str()),
            (value, given),
            "{key}"
        );
    }
    let at_two = &explained.values.iter().find(|it| it.key.ends_with(".servers")).unwrap().given;
    assert_eq!(*at_two, Given::File { name: "sale.toml".to_owned(), line: 2 });
    assert!(!explained.to_string().contains("hunter2"));
    assert!(!explained.to_json().to_string().contains("hunter2"));
}

/// Against the schema, so that a new key is not forgotten. Names are in the paths.
#[test]
fn no_key_is_forgotten() {
    let text = TEXT.replace("rate =", "methods = [\"GET\"]\nsku = \"query:id\"\nisolate = { key = \"client_ip\", share = 0.5 }\nrate =");
    let text = text
        .replace("buffer = 1000", "isolate = { key = \"client_ip\", share = 0.5 }\nrate = \"9/s\"");
    let text = text.replace("max_wait = \"100ms\"", "rate = \"9/s\"");
    let text = text.replace("[server]", "[server]\nmax_memory = \"1GiB\"");
    let in_flight = "{ max = 9, max_latency = \"1s\" }";
    let text = text.replace(
        "rate = \"9/s\"\n\n[[tiers]]",
        &format!("rate = \"9/s\"\nmax_in_flight = {in_flight}\n\n[[tiers]]"),
    );
    let more = "[access_log]\nto = \"stdout\"\n[jwt]\nkeys = \"file:keys\"\nissuer = \"login\"\naudience = [\"shop\"]\n[tenants.acme]\nrate = \"9/s\"\n";
    let text = text.replace("[server]\n", "[server]\ntenant_from = \"claim:org\"\n") + more;
    let explained = explain(&check("sale.toml", &text).unwrap(), None);
    let schema = schema();
    let tables = [
        ("server.", "/properties/server"),
        ("upstreams.checkout.", "/properties/upstreams/additionalProperties"),
        (
            "upstreams.checkout.max_in_flight.",
            "/properties/upstreams/additionalProperties/properties/max_in_flight/anyOf/1",
        ),
        ("tiers.l2.", "/properties/tiers/items"),
        ("tiers.l2.watermarks.", "/properties/tiers/items/properties/watermarks"),
        ("tiers.l2.objective.", "/properties/tiers/items/properties/objective"),
        (
            "tiers.l2.objective.budgets.",
            "/properties/tiers/items/properties/objective/properties/budgets",
        ),
        ("routes.order.", "/properties/routes/items"),
        ("journeys.sale.", "/properties/journeys/items"),
        ("journeys.sale.finish.", "/properties/journeys/items/properties/finish"),
        ("jwt.", "/properties/jwt"),
        ("tenants.acme.", "/properties/tenants/additionalProperties"),
        ("latch.", "/properties/latch"),
        ("once.", "/properties/once"),
        ("explain.", "/properties/explain"),
        ("access_log.", "/properties/access_log"),
    ];
    for (prefix, pointer) in tables {
        let properties = schema.pointer(&format!("{pointer}/properties")).unwrap();
        for (key, _) in properties.as_object().unwrap() {
            let path = format!("{prefix}{key}");
            let told = explained.values.iter().any(|it| {
                it.key
                    .strip_prefix(&path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            });
            assert!(told || key == "name", "{path} is not told");
        }
    }
}

#[test]
fn figures_follow_from_permits_buffer_and_waits() {
    let loaded = check_with("sale.toml", TEXT, &environment()).unwrap();
    let upstream = &explain(&loaded, Some(Duration::from_millis(10))).upstreams[0];
    assert_eq!((upstream.permits, upstream.reserved, upstream.places), (32, 6, 1_000));
    assert_eq!(upstream.per_second, Some(3_200.0));
    let [first, second] = upstream.tiers.as_slice() else { panic!("{:?}", upstream.tiers) };
    assert_eq!(
        (first.places, first.drains_at, first.served_in_time),
        (900, Some(1_800.0), Some(1_600.0))
    );
    assert_eq!(
        (second.places, second.drains_at, second.served_in_time),
        (750, Some(7_500.0), Some(320.0))
    );
    assert_eq!(first.longest_answer, Duration::from_secs(2));
    for unknown in [None, Some(Duration::ZERO)] {
        let upstream = &explain(&loaded, unknown).upstreams[0];
        assert_eq!((upstream.per_second, upstream.tiers[0].served_in_time), (None, None));
    }
}

#[test]
fn an_explanation_reads_well() {
    let text = "[upstreams.checkout]\nservers = [\"127.0.0.1:9000\"]\nmax_in_flight = 0\n[[tiers]]\n[[tiers]]\nmax_wait = \"0ms\"\n";
    let explained = explain(&check("sale.toml", text).unwrap(), None).to_string();
    let lines: Vec<&str> = explained.lines().collect();
    assert_eq!(
        lines[0],
        "server.listen                              0.0.0.0:8080                             default"
    );
    assert_eq!(
        lines[15],
        "upstreams.checkout.servers                 [\"127.0.0.1:9000\"]                       sale.toml:2"
    );
    let told = explained.split_once("\nupstream ").unwrap().1;
    assert_eq!(
        told,
        "\
checkout: 0 permits, 1024 places in the buffer
  tier l1: answered within 2s; waits up to 500ms while fewer than 973 wait, all in time from 1946/s on
  tier l2: answered within 3s; never waits

warning: the upstream `checkout` is closed
 --> sale.toml:3:17
  |
3 | max_in_flight = 0
  |                 ^ 0 permits
"
    );
    let loaded = check("sale.toml", &text.replace("= 0\n", "= 8\n")).unwrap();
    let told = |millis| explain(&loaded, Some(Duration::from_millis(millis))).to_string();
    assert!(told(10).contains("1024 places in the buffer, serves 800/s\n"));
    assert!(told(10).contains("of whom 400 are served in time; for all, 1946/s are needed\n"));
    assert!(told(1).contains("while fewer than 973 wait, all in time; 4000 would be\n"));
}

#[test]
fn an_explanation_comes_as_json_too() {
    let loaded = check_with("sale.toml", TEXT, &environment()).unwrap();
    let json = explain(&loaded, Some(Duration::from_millis(10))).to_json();
    assert_eq!(json["values"][0]["key"], "server.listen");
    assert_eq!(json["values"][0]["given"], "sale.toml:16");
    assert_eq!(json["upstreams"][0]["per_second"], 3_200.0);
    assert_eq!(
        json["upstreams"][0]["tiers"][1],
        serde_json::json!({
            "name": "l2",
            "places": 750,
            "guaranteed": 0,
            "max_wait_ms": 100.0,
            "drains_at_per_second": 7_500.0,
            "longest_answer_ms": 3_000.0,
            "served_in_time": 320.0,
        })
    );
    assert!(json["warnings"].is_array());
}

/// The figure is the limiter's own: so many wait, and no more.
#[test]
fn the_limiter_lets_as_many_wait_as_are_told() {
    for (buffer, marks) in [
        (1, [(0.95, 0.8), (0.75, 0.55)]),
        (2, [(0.95, 0.8), (0.75, 0.55)]),
        (10, [(0.95, 0.8), (0.7, 0.55)]),
        (20, [(0.6, 0.1), (0.9, 0.55)]),
        (1_024, [(1.0, 0.8), (0.3, 0.0)]),
    ] {
        let tiers = marks.map(|(high, low)| {
            format!("[[tiers]]\nwatermarks = {{ high = {high}, low = {low} }}\n")
        });
        let text = format!(
            "[upstreams.x]\nservers = [\"h:1\"]\nmax_in_flight = 1\nbuffer = {buffer}\n{}",
            tiers.concat()
        );
        let loaded = check("sale.toml", &text).unwrap();
        let upstream = &explain(&loaded, None).upstreams[0];
        for (index, tier) in upstream.tiers.iter().enumerate() {
            let limiter = Limiter::new(&loaded.config.upstreams[0].limits);
            let (now, id) = (Timestamp::from_nanos(0), TierId::new(index as u8).unwrap());
            let Decision::Admit(_permit) = limiter.acquire(id, now, Timestamp::MAX) else {
                panic!()
            };
            let mut waiting = Vec::new();
            while let Decision::Wait(ticket) = limiter.acquire(id, now, Timestamp::MAX) {
                waiting.push(ticket);
            }
            assert_eq!(waiting.len(), tier.places as usize, "{buffer} places, {marks:?}, {index}");
        }
    }
}
