//! What is said of a change: every key, by name, once, and no more than a bounded number of them.

use floodgate_config::{Change, Config, changes, parse};

const UPSTREAM: &str = "[upstreams.checkout]\nservers = [\"127.0.0.1:9000\"]\n";

/// A journey of two steps.
const JOURNEY: &str = "[[routes]]\nname = \"cart\"\n[[routes]]\nname = \"pay\"\n[[journeys]]\nname = \"sale\"\n\
                       steps = [\"cart\", \"pay\"]";

fn config(text: &str) -> Config {
    parse("text", text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The lines that tell of the way from one text to the other.
fn told(old: &str, new: &str) -> Vec<String> {
    changes(&config(old), &config(new)).iter().map(Change::to_string).collect()
}

/// With one upstream before both.
fn told_of(old: &str, new: &str) -> Vec<String> {
    told(&format!("{UPSTREAM}{old}"), &format!("{UPSTREAM}{new}"))
}

#[test]
fn every_key_that_can_be_set_is_told_of() {
    for (table, old, new, line) in [
        (
            "[server]",
            "",
            "listen = \"127.0.0.1:80\"",
            "server.listen: 0.0.0.0:8080 -> 127.0.0.1:80",
        ),
        ("[server]", "", "admin = \"127.0.0.1:1\"", "server.admin: 127.0.0.1:9090 -> 127.0.0.1:1"),
        ("[server]", "", "workers = 2", "server.workers: 0 -> 2"),
        ("[server]", "", "backlog = 1", "server.backlog: 4096 -> 1"),
        ("[server]", "", "max_connections = 1", "server.max_connections: 50000 -> 1"),
        (
            "[server]",
            "",
            "max_connections_per_client = 0",
            "server.max_connections_per_client: 10000 -> 0",
        ),
        ("[server]", "", "header_timeout = \"500ms\"", "server.header_timeout: 10s -> 500ms"),
        ("[server]", "", "idle_timeout = \"90s\"", "server.idle_timeout: 1m -> 90s"),
        ("[server]", "", "body_timeout = \"1h\"", "server.body_timeout: 30s -> 1h"),
        ("[server]", "", "drain = \"0s\"", "server.drain: 30s -> 0ms"),
        ("[server]", "", "max_head = 65536", "server.max_head: 32KiB -> 64KiB"),
        ("[server]", "", "max_headers = 50", "server.max_headers: 100 -> 50"),
        (
            "[server]",
            "",
            "trusted_proxies = [\"10.0.0.0/8\"]",
            "server.trusted_proxies: [] -> [\"10.0.0.0/8\"]",
        ),
        ("[server]", "", "via = \"edge\"", "server.via: floodgate -> edge"),
        ("[server]", "", "log = \"warn\"", "server.log: info -> warn"),
        (
            "",
            "max_in_flight = 64",
            "max_in_flight = 128",
            "upstreams.checkout.max_in_flight: 64 -> 128",
        ),
        ("", "", "buffer = 0", "upstreams.checkout.buffer: 1024 -> 0"),
        ("", "", "connect_timeout = \"2s\"", "upstreams.checkout.connect_timeout: 1s -> 2s"),
        ("", "", "idle_timeout = \"5m\"", "upstreams.checkout.idle_timeout: 30s -> 5m"),
        ("", "", "max_upgraded = 0", "upstreams.checkout.max_upgraded: 1024 -> 0"),
        ("", "rate = \"5/s\"", "rate = \"7/s\"", "upstreams.checkout.rate: 5/s -> 7/s"),
        ("[[tiers]]", "", "max_wait = \"250us\"", "tiers.l1.max_wait: 500ms -> 250us"),
        ("[[tiers]]", "", "deadline = \"1m\"", "tiers.l1.deadline: 2s -> 1m"),
        ("[[tiers]]", "", "weight = 4", "tiers.l1.weight: 1 -> 4"),
        (
            "[[tiers]]",
            "",
            "watermarks = { high = 0.9, low = 0.8 }",
            "tiers.l1.watermarks.high: 0.95 -> 0.9",
        ),
        (
            "[[tiers]]",
            "",
            "watermarks = { high = 0.95, low = 0 }",
            "tiers.l1.watermarks.low: 0.8 -> 0",
        ),
        (
            "[[tiers]]",
            "",
            "objective = { availability = 0.99 }",
            "tiers.l1.objective.availability: 0.9999 -> 0.99",
        ),
        (
            "[[tiers]]",
            "",
            "objective = { window = \"36h\" }",
            "tiers.l1.objective.window: 30d -> 36h",
        ),
        (
            "[[tiers]]",
            "objective.budgets = { accept = \"10ms\", head = \"10ms\", decide = \"10ms\", connect = \"10ms\", first_byte = \"90ms\" }",
            "objective.budgets = { accept = \"10ms\", head = \"10ms\", decide = \"10ms\", connect = \"10ms\", first_byte = \"90ms\", queue = \"50ms\", last_byte = \"10ms\" }",
            "tiers.l1.objective.budgets.last_byte: 20ms -> 10ms",
        ),
        ("[[tiers]]", "rate = \"9/m\"", "rate = \"8/h\"", "tiers.l1.rate: 9/m -> 8/h"),
        (
            "[[routes]]",
            "",
            "methods = [\"GET\", \"PUT\"]",
            "+ routes.route-1.methods: [\"GET\", \"PUT\"]",
        ),
        ("[[routes]]", "methods = [\"GET\"]", "", "- routes.route-1.methods: [\"GET\"]"),
        ("[[routes]]", "", "path = \"/a/{id}\"", "routes.route-1.path: /{*rest} -> /a/{id}"),
        ("[[tiers]]\n[[tiers]]\n[[routes]]", "", "tier = \"l1\"", "routes.route-1.tier: l2 -> l1"),
        ("[[routes]]", "", "max_body = 1000", "routes.route-1.max_body: 1MiB -> 1kB"),
        (
            "[[routes]]",
            "rate = \"9/s\"\nburst = 1",
            "rate = \"9/s\"\nburst = 2",
            "routes.route-1.burst: 1 -> 2",
        ),
        ("[[routes]]\nretry = \"off\"", "", "once = true", "routes.route-1.once: false -> true"),
        ("[[routes]]", "", "retry = \"unsent\"", "routes.route-1.retry: idempotent -> unsent"),
        ("", "", "retries = { budget = 0.2 }", "upstreams.checkout.retries.budget: 0.1 -> 0.2"),
        ("", "", "retries.min_per_second = 0", "upstreams.checkout.retries.min_per_second: 3 -> 0"),
        ("", "", "retries.attempts = 0", "upstreams.checkout.retries.attempts: 1 -> 0"),
        (
            "",
            "",
            "retries.on = [\"503\"]",
            "upstreams.checkout.retries.on: [\"connect\", \"broken\"] -> [\"503\"]",
        ),
        ("[[routes]]", "", "sku = \"query:Id\"", "+ routes.route-1.sku: query:Id"),
        (
            "[[routes]]\npath = \"/{a}/{*b}\"",
            "sku = \"path:a\"",
            "sku = \"path:b\"",
            "routes.route-1.sku: path:a -> path:b",
        ),
        ("[latch]", "", "status = 404", "latch.status: 410 -> 404"),
        ("[latch]", "", "ttl = \"250ms\"", "latch.ttl: 2s -> 250ms"),
        ("[latch]", "", "max_skus = 5", "latch.max_skus: 10000 -> 5"),
        ("[latch]", "", "low = 20", "latch.low: 0 -> 20"),
        ("[once]", "", "memory = \"1GiB\"", "once.memory: 64MiB -> 1GiB"),
        ("[once]", "", "ttl = \"1h\"", "once.ttl: 15m -> 1h"),
        ("[explain]", "", "header = true", "explain.header: false -> true"),
        ("[explain]", "", "sample = 0.01", "explain.sample: 1 -> 0.01"),
        ("[access_log]", "", "to = \"stdout\"", "+ access_log.to: stdout"),
        (
            "[access_log]",
            "to = \"file:/a\"",
            "to = \"file:/b\"",
            "access_log.to: file:/a -> file:/b",
        ),
        ("[access_log]", "", "sample = 1.0", "access_log.sample: 0.01 -> 1"),
        ("[access_log]", "", "sample_refusals = 0.5", "access_log.sample_refusals: 0.001 -> 0.5"),
        ("[access_log]", "", "failures = 0", "access_log.failures: 100 -> 0"),
        ("[access_log]", "", "query = true", "access_log.query: false -> true"),
        ("[access_log]", "", "client = \"full\"", "access_log.client: network -> full"),
        (
            JOURNEY,
            "",
            "identity = \"header:X-User\"",
            "journeys.sale.identity: device -> header:x-user",
        ),
        (JOURNEY, "", "sticky = \"stage\"", "journeys.sale.sticky: grant -> stage"),
        (
            JOURNEY,
            "",
            "finish.status = [303, 200]",
            "journeys.sale.finish.status: [200, 201, 202, 204] -> [200, 303]",
        ),
        (JOURNEY, "", "ttl = \"90s\"", "journeys.sale.ttl: 2m -> 90s"),
        (JOURNEY, "", "headroom = 1", "journeys.sale.headroom: 0.75 -> 1"),
        (JOURNEY, "", "keys = \"file:/k\"", "journeys.sale.keys: random -> file:/k"),
        (JOURNEY, "", "calls = 9", "journeys.sale.calls: 40 -> 9"),
        (JOURNEY, "", "reserve = 0", "journeys.sale.reserve: 0.2 -> 0"),
        (JOURNEY, "", "max_grants = 7", "journeys.sale.max_grants: 100000 -> 7"),
        (JOURNEY, "", "max_customers = 7", "journeys.sale.max_customers: 1000000 -> 7"),
    ] {
        let text = |keys: &str| format!("{table}\n{keys}\n");
        assert_eq!(told_of(&text(old), &text(new)), [line]);
        assert!(told_of(&text(new), &text(new)).is_empty(), "{new}");
    }
}

#[test]
fn a_journey_is_told_of_by_its_name_and_its_steps_by_theirs() {
    let routes = "[[routes]]\nname = \"cart\"\n[[routes]]\nname = \"pay\"\n";
    let swapped = JOURNEY.replace("[\"cart\", \"pay\"]", "[\"pay\", \"cart\"]");
    assert_eq!(
        told_of(JOURNEY, &swapped),
        [
            "routes.cart.retry: idempotent -> off",
            "routes.pay.retry: off -> idempotent",
            r#"journeys.sale.steps: ["cart", "pay"] -> ["pay", "cart"]"#,
            "journeys.sale.finish.step: pay -> cart",
        ]
    );
    let lines = told_of(routes, JOURNEY);
    assert_eq!(lines.len(), 13, "{lines:?}");
    assert_eq!(lines[0], "routes.pay.retry: idempotent -> off");
    assert!(lines[1..].iter().all(|line| line.starts_with("+ journeys.sale.")), "{lines:?}");
}

#[test]
fn a_rate_that_comes_or_goes_is_told_with_its_burst() {
    let with = "[[routes]]\nname = \"order\"\nrate = \"100/s\"\n";
    let without = "[[routes]]\nname = \"order\"\n";
    assert_eq!(
        told_of(without, with),
        [
            "+ routes.order.rate: 100/s",
            "+ routes.order.burst: 10",
            "+ routes.order.rate_shadow: false"
        ]
    );
    assert_eq!(
        told_of(with, without),
        [
            "- routes.order.rate: 100/s",
            "- routes.order.burst: 10",
            "- routes.order.rate_shadow: false"
        ]
    );
}

#[test]
fn what_means_the_same_is_no_change() {
    let routes = "[[routes]]\nupstream = \"a\"\n";
    let (a, b) = ("[upstreams.a]\nservers = [\"a:1\"]\n", "[upstreams.b]\nservers = [\"b:1\"]\n");
    assert!(told(&format!("{a}{b}{routes}"), &format!("{b}{a}{routes}")).is_empty());
    assert!(told_of("", "buffer = 1_024 # the default\n[[tiers]]\nname = \"l1\"\n").is_empty());
}

#[test]
fn servers_are_told_of_as_a_list() {
    let servers = |list: &str| format!("[upstreams.\"a.b\"]\nservers = [{list}]\n");
    assert_eq!(
        told(&servers("\"a:1\""), &servers("\"a:1\", \"[::1]:2\"")),
        [r#"upstreams."a.b".servers: ["a:1"] -> ["a:1", "[::1]:2"]"#]
    );
}

#[test]
fn a_long_list_is_told_of_around_its_first_difference() {
    let servers = |changed: usize| {
        let name = |i| if i == changed { "\"new:1\"".to_owned() } else { format!("\"s{i}:1\"") };
        let list: Vec<String> = (0..1_000).map(name).collect();
        format!("[upstreams.x]\nservers = [{}]\n", list.join(","))
    };
    let lines = told(&servers(1_000), &servers(500));
    assert_eq!(lines.len(), 1);
    let (old, new) = lines[0].split_once(" -> ").unwrap();
    assert!(old.starts_with(r#"upstreams.x.servers: […, "s499:1", "s500:1", "#), "{old}");
    assert!(new.starts_with(r#"[…, "s499:1", "new:1", "s501:1", "#), "{new}");
    assert!(new.ends_with("… 1000 in all]") && lines[0].len() < 400, "{new}");
}

#[test]
fn an_upstream_that_comes_or_goes_is_told_key_by_key() {
    let spare = "[upstreams.spare]\nservers = [\"h:1\"]\n";
    let routes = "[[routes]]\nupstream = \"checkout\"\n";
    let lines = told_of(routes, &format!("{spare}{routes}"));
    assert_eq!(lines.first().unwrap(), "+ upstreams.spare.servers: [\"h:1\"]");
    assert_eq!(lines.len(), 19, "{lines:?}");
    let lines = told_of(&format!("{spare}{routes}"), routes);
    assert!(lines.iter().all(|line| line.starts_with("- upstreams.spare.")), "{lines:?}");
    assert_eq!(lines.len(), 19);
}

#[test]
fn a_changed_order_is_told_of_once() {
    let routes = |names: &[&str]| -> String {
        names
            .iter()
            .map(|name| format!("[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\n"))
            .collect()
    };
    let order = |old: &[&str], new: &[&str]| -> Vec<String> {
        let lines = told_of(&routes(old), &routes(new));
        lines.into_iter().filter(|line| line.starts_with("routes: ")).collect()
    };
    assert_eq!(
        told_of(&routes(&["a", "b", "c"]), &routes(&["c", "a", "b"])),
        [r#"routes: ["a", "b", "c"] -> ["c", "a", "b"]"#]
    );
    assert_eq!(order(&["a", "b"], &["a", "x", "b"]), [r#"routes: ["a", "b"] -> ["a", "x", "b"]"#]);
    assert!(order(&["a", "b", "c"], &["a", "c"]).is_empty());
    assert!(order(&["a", "b", "c"], &["a", "c", "x"]).is_empty());
    let tiers = |names: [&str; 2]| -> String {
        let keys = "max_wait = \"1s\"\ndeadline = \"5s\"\nwatermarks = { high = 0.9, low = 0.5 }\n\
                    objective = { availability = 0.99, latency = \"1s\" }";
        names.map(|name| format!("[[tiers]]\nname = \"{name}\"\n{keys}\n")).concat()
            + "[[routes]]\ntier = \"x\"\n"
    };
    assert_eq!(
        told_of(&tiers(["x", "y"]), &tiers(["y", "x"])),
        [r#"tiers: ["x", "y"] -> ["y", "x"]"#]
    );
}

#[test]
fn changes_are_bounded_and_counted() {
    let routes = |body: usize| -> String {
        (0..10_000).map(|_| format!("[[routes]]\nmax_body = {body}\n")).collect()
    };
    let lines = told_of(&routes(1), &routes(2));
    assert_eq!(lines.len(), 1_001);
    assert_eq!(lines[0], "routes.route-1.max_body: 1B -> 2B");
    assert_eq!(lines[1_000], "… and 9000 more");
}

#[test]
fn what_takes_effect_at_the_next_start_is_named() {
    let needs = |old: &str, new: &str| {
        config(&format!("{UPSTREAM}{old}")).needs_restart(&config(&format!("{UPSTREAM}{new}")))
    };
    assert!(needs("", "buffer = 5\n[server]\ndrain = \"1s\"\nlog = \"warn\"\n").is_empty());
    let server =
        "[server]\nbacklog = 1\nworkers = 3\nlisten = \"0.0.0.0:1\"\nadmin = \"127.0.0.1:2\"\n";
    let all = ["server.listen", "server.admin", "server.workers", "server.backlog"];
    assert_eq!(needs("", server), all);
    assert_eq!(needs(server, ""), all);
    assert_eq!(needs("", "[server]\nworkers = 1\n"), ["server.workers"]);
}
