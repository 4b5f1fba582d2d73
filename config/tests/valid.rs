//! Files that must load, and what they mean.

use std::path::Path;
use std::time::Duration;

use floodgate_config::{Config, LoadError, Loaded, Server, ServerAddress, load, parse};

/// A good file with one upstream and `more`.
fn with(more: &str) -> Config {
    let text = format!("[upstreams.x]\nservers = [\"127.0.0.1:9000\"]\n{more}");
    parse("text", &text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn loaded(name: &str) -> Result<Loaded, LoadError> {
    load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name))
}

/// The route that takes a request.
fn taken<'c>(config: &'c Config, method: &str, path: &str) -> Option<&'c str> {
    let route = config.routes.iter().find(|route| route.matches(method, path));
    route.map(|route| route.name.as_str())
}

#[test]
fn every_example_loads_without_a_warning() {
    for name in [
        "adaptive.toml",
        "checkout.toml",
        "deadlines.toml",
        "full.toml",
        "isolate.toml",
        "journeys.toml",
        "limits.toml",
        "minimal.toml",
        "objectives.toml",
        "retries.toml",
        "shares.toml",
        "tenants.toml",
    ] {
        match loaded(name) {
            Ok(loaded) => assert!(loaded.warnings.is_empty(), "{}", loaded.warnings),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn the_contract_means_what_its_comments_say() {
    let config = loaded("checkout.toml").unwrap().config;
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.admin.to_string(), "127.0.0.1:9090");
    assert_eq!(config.server.workers, 1);
    let upstream = &config.upstreams[0];
    assert_eq!(upstream.name, "checkout");
    assert_eq!(upstream.servers, [ServerAddress::Socket("127.0.0.1:9000".parse().unwrap())]);
    let tiers: Vec<_> = config
        .tiers
        .iter()
        .map(|tier| {
            let marks = (tier.watermarks.high(), tier.watermarks.low());
            (
                tier.name.as_str(),
                tier.max_wait.as_millis(),
                tier.deadline.as_secs(),
                tier.weight.get(),
                marks,
            )
        })
        .collect();
    assert_eq!(
        tiers,
        [
            ("l1", 500, 2, 1, (0.95, 0.80)),
            ("l2", 100, 3, 4, (0.75, 0.55)),
            ("l3", 50, 10, 1, (0.60, 0.45)),
        ]
    );
    for (method, path, route) in [
        ("POST", "/orders", "order"),
        ("POST", "/orders/7/lines", "order"),
        ("GET", "/orders", "everything-else"),
        ("GET", "/coupons/1", "coupons"),
        ("GET", "/closed", "closed"),
        ("POST", "/events", "events"),
        ("GET", "/", "everything-else"),
    ] {
        assert_eq!(taken(&config, method, path), Some(route), "{method} {path}");
    }
    let route = |name| config.routes.iter().find(|route| route.name == name).unwrap();
    assert_eq!(route("order").tier.index(), 0);
    assert_eq!(route("events").tier.index(), 2);
    let rate = route("coupons").rate.unwrap();
    assert_eq!((rate.count(), rate.per(), rate.burst()), (5_000, Duration::from_secs(1), 500));
    assert!(route("closed").rate.unwrap().is_closed());
    assert_eq!(route("order").rate, None);
}

#[test]
fn one_upstream_with_its_servers_is_enough() {
    let config = with("");
    assert_eq!(config.tiers.len(), 1);
    assert_eq!(config.tiers[0].name, "l1");
    assert_eq!(taken(&config, "PURGE", "/any/thing"), Some("everything-else"));
    assert_eq!(config.routes[0].tier.index(), 0);
    assert_eq!(config.routes[0].upstream, 0);
    assert_eq!(config.routes[0].max_body, 1 << 20);
}

#[test]
fn what_is_left_out_is_what_the_full_example_says() {
    let full = loaded("full.toml").unwrap().config;
    let text = "[upstreams.checkout.isolate]\nkey = \"client_ip\"\nshare = 0.3\n\
                [[tiers]]\n[[tiers]]\n[[tiers]]\n[[routes]]\n\
                limits = [{ key = \"client_ip\", rate = \"10/s\" }]\n\
                isolate = { key = \"client_ip\", share = 0.3 }\n[[journeys]]\nname = \"sale\"\n\
                steps = [\"route-1\"]\nkeys = \"env:FLOODGATE_GRANT_KEYS\"\n\
                [jwt]\nkeys = \"env:FLOODGATE_TOKEN_KEYS\"\naudience = [\"shop\"]\n\
                [tenants.checkout]\nhighest_tier = \"l2\"\n";
    let text = format!(
        "[server]\ntenant_from = \"claim:tenant\"\n[upstreams.checkout]\nservers = [\"127.0.0.1:9000\"]\n{text}"
    );
    assert_eq!(parse("short", &text).unwrap(), full);
    let least = with("");
    let server = Server { tenant_from: None, ..full.server };
    assert_eq!((least.server, least.latch), (server, full.latch));
    assert_eq!((least.once, least.explain), (full.once, full.explain));
    assert_eq!(least.access_log, full.access_log);
    assert!(least.journeys.is_empty() && least.jwt.is_none() && least.tenants.is_empty());
}

#[test]
fn tiers_beyond_the_third_have_the_defaults_of_the_third() {
    let config = with(&"[[tiers]]\n".repeat(8));
    assert_eq!(config.tiers[7].name, "l8");
    let unnamed = |index: usize| {
        let mut tier = config.tiers[index].clone();
        tier.name.clear();
        tier
    };
    for index in 3..8 {
        assert_eq!(unnamed(index), unnamed(2));
    }
}

#[test]
fn without_routes_everything_goes_to_the_first_tier() {
    let config = with("[[tiers]]\n[[tiers]]\n");
    assert_eq!(config.routes.len(), 1);
    assert_eq!(config.routes[0].tier.index(), 0);
}

#[test]
fn a_route_without_a_tier_takes_the_last() {
    let config = with("[[tiers]]\n[[tiers]]\n[[routes]]\n[[routes]]\ntier = \"l1\"\n");
    assert_eq!(config.routes[0].tier.index(), 1);
    assert_eq!(config.routes[1].tier.index(), 0);
    assert_eq!(config.routes[0].name, "route-1");
}

#[test]
fn upstreams_keep_the_order_of_the_file() {
    let config = with(
        "[upstreams.b]\nservers = [\"b:1\"]\n[upstreams.a]\nservers = [\"a:1\", \"[::1]:2\"]\n\
         [[routes]]\nupstream = \"a\"\n",
    );
    let names: Vec<_> = config.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    assert_eq!(names, ["x", "b", "a"]);
    assert_eq!(config.routes[0].upstream, 2);
    let servers: Vec<_> = config.upstreams[2].servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["a:1", "[::1]:2"]);
}

#[test]
fn what_reads_differently_and_means_the_same_is_equal() {
    let one = with("rate = \"60/m\"\nburst = 0x10 # a burst\n[[routes]]\nmax_body = \"64KiB\"\n");
    let other = with("burst = 16\nrate = '60/m'\n\n[[routes]]\nmax_body = 65_536\n");
    assert_eq!(one, other);
    let different = with("burst = 17\nrate = \"60/m\"\n[[routes]]\nmax_body = 65_536\n");
    assert_ne!(one, different);
}

#[test]
fn zero_means_closed_or_none_and_is_legal() {
    let config = with(
        "max_in_flight = 0\nbuffer = 0\nmax_upgraded = 0\nrate = \"0/s\"\n[[tiers]]\nmax_wait = \"0ms\"\n\
         [[routes]]\nmax_body = 0\n[server]\ndrain = \"0s\"\nmax_connections_per_client = 0\n",
    );
    assert!(config.upstreams[0].rate.unwrap().is_closed());
    assert!(config.tiers[0].max_wait.is_zero());
    assert!(config.server.drain.is_zero());
    assert_eq!(config.routes[0].max_body, 0);
}

#[test]
fn ports_from_the_system_do_not_collide() {
    let config = with("[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n");
    assert_eq!(config.server.listen, config.server.admin);
}

#[test]
fn trusted_proxies_are_networks() {
    let config = with("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n");
    let trusted = |address: &str| {
        let address = address.parse().expect("an address");
        config.server.trusted_proxies.iter().any(|network| network.contains(address))
    };
    assert!(trusted("10.9.8.7") && trusted("::1") && trusted("::ffff:10.0.0.1"));
    assert!(!trusted("11.0.0.1") && !trusted("::2"));
}

#[test]
fn watermarks_and_rates_have_a_shadow_of_their_own() {
    let config = parse(
        "text",
        "[upstreams.x]\nservers = [\"127.0.0.1:9000\"]\nbuffer = 100\nrate = \"9/s\"\nrate_shadow = true\n\
         [[tiers]]\nwatermarks = { high = 0.5, low = 0.2, shadow = true }\nrate = \"9/s\"\n\
         [[tiers]]\nwatermarks = { high = 0.9, low = 0.2 }\n\
         [[routes]]\nrate = \"9/s\"\nrate_shadow = true\n",
    )
    .unwrap();
    let shadows = [0, 1].map(|tier: usize| config.tiers[tier].watermarks.is_shadow());
    assert_eq!(shadows, [true, false]);
    assert_eq!(config.upstreams[0].limits.tiers()[0].watermarks, config.tiers[0].watermarks);
    assert!(config.upstreams[0].rate_shadow && config.routes[0].rate_shadow);
    assert!(!config.tiers[0].rate_shadow, "not unless it is said");
    let wrong = "[upstreams.x]\nservers = [\"127.0.0.1:9000\"]\n[[routes]]\nrate_shadow = true\n";
    let told = parse("text", wrong).unwrap_err().to_string();
    assert!(told.contains("`rate_shadow` without `rate`"), "{told}");
}
