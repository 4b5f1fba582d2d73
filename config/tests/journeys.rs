//! What journeys mean: their steps, who the customer is, what is kept for them, and where the SKU stands.

use std::path::{Path, PathBuf};
use std::time::Duration;

use floodgate_config::{Config, Identity, KeySource, Route, SkuSource, Sticky, check, load, parse};

/// Routes `cart`, `order`, `pay` at one upstream, `events` at another.
const ROUTES: &str = r#"
[upstreams.shop]
servers       = ["127.0.0.1:9000"]
max_in_flight = 100
[upstreams.events]
servers       = ["127.0.0.1:9001"]
max_in_flight = 10
[[routes]]
name     = "cart"
path     = "/cart"
upstream = "shop"
[[routes]]
name     = "order"
path     = "/orders"
upstream = "shop"
[[routes]]
name     = "pay"
path     = "/pay"
upstream = "shop"
[[routes]]
name     = "events"
upstream = "events"
"#;

fn with(more: &str) -> Config {
    let text = format!("{ROUTES}{more}");
    parse("text", &text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn journey(name: &str, keys: &str) -> String {
    format!("[[journeys]]\nname = \"{name}\"\n{keys}\n")
}

fn route<'c>(config: &'c Config, name: &str) -> &'c Route {
    config.routes.iter().find(|route| route.name == name).expect("a route of this name")
}

#[test]
fn the_example_means_what_its_comments_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/journeys.toml");
    let config = load(&file).unwrap().config;
    let sale = &config.journeys[0];
    let steps: Vec<&str> = sale.steps.iter().map(|it| config.routes[*it].name.as_str()).collect();
    assert_eq!(steps, ["cart", "checkout", "order", "order-state", "pay"]);
    assert_eq!((sale.finish.step, &sale.finish.status[..]), (4, &[200, 201][..]));
    assert_eq!(sale.identity, Identity::Cookie("shop_session".to_owned()));
    assert_eq!(sale.sticky, Sticky::Grant);
    assert_eq!(sale.keys, KeySource::File(file.with_file_name("grant.keys")));
    assert_eq!((sale.ttl, sale.calls, sale.headroom), (Duration::from_secs(180), 60, 0.8));
    assert_eq!(config.upstreams[0].reserved, 16);
    assert_eq!(route(&config, "pay").journey, Some((0, 4)));
    assert_eq!(route(&config, "stock").journey, None);
    assert!(route(&config, "order").once && !route(&config, "cart").once);
    let Some(SkuSource::Path { segment }) = route(&config, "stock").sku else { panic!() };
    assert_eq!(route(&config, "stock").path.capture("/stock/shoe-42", segment), Some("shoe-42"));
    assert_eq!((config.latch.status, config.latch.low), (410, 50));
}

#[test]
fn what_is_left_out_of_a_journey_has_its_default() {
    let config = with(&journey("sale", "steps = [\"cart\", \"pay\"]"));
    let sale = &config.journeys[0];
    assert_eq!((&sale.identity, sale.sticky), (&Identity::Device, Sticky::Grant));
    assert_eq!((sale.finish.step, &sale.finish.status[..]), (1, &[200, 201, 202, 204][..]));
    assert_eq!((sale.ttl, sale.headroom), (Duration::from_secs(120), 0.75));
    assert_eq!((&sale.keys, sale.calls, sale.reserve), (&KeySource::Random, 40, 0.2));
    assert_eq!((sale.max_grants, sale.max_customers), (100_000, 1_000_000));
}

#[test]
fn steps_and_routes_refer_to_each_other() {
    let config = with(
        &(journey("drop", "steps = [\"events\"]")
            + &journey("sale", "steps = [\"pay\", \"cart\"]\nfinish.step = \"pay\"")),
    );
    assert_eq!(config.journeys[1].steps, [2, 0]);
    assert_eq!(config.journeys[1].finish.step, 0);
    let of = |name| route(&config, name).journey;
    assert_eq!((of("events"), of("pay")), (Some((0, 0)), Some((1, 0))));
    assert_eq!((of("cart"), of("order")), (Some((1, 1)), None));
    for (index, journey) in config.journeys.iter().enumerate() {
        for (step, route) in journey.steps.iter().enumerate() {
            assert_eq!(config.routes[*route].journey, Some((index, step)));
        }
    }
}

#[test]
fn a_route_without_a_name_can_be_a_step() {
    let upstream = "[upstreams.x]\nservers = [\"h:1\"]\n";
    let only =
        parse("text", &(upstream.to_owned() + &journey("a", "steps = [\"everything-else\"]")));
    assert_eq!(only.unwrap().routes[0].journey, Some((0, 0)));
    let text = format!("{upstream}[[routes]]\n{}", journey("a", "steps = [\"route-1\"]"));
    assert_eq!(parse("text", &text).unwrap().routes[0].journey, Some((0, 0)));
}

#[test]
fn the_largest_share_is_kept_at_every_upstream_of_a_journey() {
    let reserved = |more: &str| -> Vec<u32> {
        with(more).upstreams.iter().map(|upstream| upstream.reserved).collect()
    };
    assert_eq!(reserved(""), [0, 0]);
    assert_eq!(reserved(&journey("a", "steps = [\"cart\"]")), [20, 0]);
    // A tenth of ten is one, and 0.29 of 100 is 29, whatever a float makes of it.
    assert_eq!(reserved(&journey("a", "steps = [\"cart\", \"events\"]\nreserve = 0.1")), [10, 1]);
    assert_eq!(reserved(&journey("a", "steps = [\"cart\", \"events\"]\nreserve = 0.29")), [29, 2]);
    assert_eq!(reserved(&journey("a", "steps = [\"events\"]\nreserve = 0.9")), [0, 9]);
    let two = journey("a", "steps = [\"cart\"]\nreserve = 0.5")
        + &journey("b", "steps = [\"pay\"]\nreserve = 0.3");
    assert_eq!(reserved(&two), [50, 0]);
    let off = journey("a", "steps = [\"cart\"]\nsticky = \"off\"");
    assert_eq!(reserved(&off), [0, 0]);
    let closed = ROUTES.replace("max_in_flight = 100", "max_in_flight = 0");
    let closed = parse("text", &(closed + &journey("a", "steps = [\"cart\"]"))).unwrap();
    assert_eq!(closed.upstreams[0].reserved, 0);
}

#[test]
fn a_key_file_stands_in_the_folder_of_the_configuration() {
    let keys = |name: &str, typed: &str| {
        let text =
            format!("{ROUTES}{}", journey("a", &format!("steps = [\"cart\"]\nkeys = \"{typed}\"")));
        check(name, &text).unwrap().config.journeys[0].keys.clone()
    };
    let file = |path: &str| KeySource::File(PathBuf::from(path));
    assert_eq!(keys("/etc/shop/sale.toml", "file:grant.keys"), file("/etc/shop/grant.keys"));
    assert_eq!(keys("/etc/shop/sale.toml", "file:/run/keys"), file("/run/keys"));
    assert_eq!(keys("conf/sale.toml", "file:../keys"), file("conf/../keys"));
    assert_eq!(keys("sale.toml", "file:grant.keys"), file("grant.keys"));
    assert_eq!(keys("sale.toml", "env:KEYS"), KeySource::Env("KEYS".to_owned()));
}

#[test]
fn an_identity_is_a_header_a_cookie_or_a_claim() {
    let identity = |typed: &str| {
        let keys =
            format!("steps = [\"cart\"]\nidentity = \"{typed}\"\n[jwt]\nkeys = \"env:KEYS\"");
        with(&journey("a", &keys)).journeys[0].identity.clone()
    };
    assert_eq!(identity("header:X-User-ID"), Identity::Header("x-user-id".to_owned()));
    assert_eq!(identity("cookie:Sid"), Identity::Cookie("Sid".to_owned()));
    assert_eq!(identity("claim:sub"), Identity::Claim("sub".to_owned()));
}

#[test]
fn a_sku_stands_in_the_path_a_header_or_the_query() {
    let sku = |path: &str, typed: &str| {
        let keys =
            format!("path = \"{path}\"\nsku = \"{typed}\"\nname = \"r\"\nupstream = \"shop\"");
        route(&with(&format!("[[routes]]\n{keys}\n")), "r").sku.clone()
    };
    let segment = |segment| Some(SkuSource::Path { segment });
    assert_eq!(sku("/sale/{sku}/{*rest}", "path:sku"), segment(1));
    assert_eq!(sku("/sale/{*rest}", "path:rest"), segment(1));
    assert_eq!(sku("/", "header:X-SKU"), Some(SkuSource::Header("x-sku".to_owned())));
    assert_eq!(sku("/", "query:Sku"), Some(SkuSource::Query("Sku".to_owned())));
}

#[test]
fn a_journey_in_words_that_mean_the_same_is_equal() {
    let one =
        journey("a", "steps = [\"cart\"]\nfinish.status = [201, 200]\nidentity = \"header:X-U\"");
    let other = journey(
        "a",
        "identity = \"header:x-u\"\nsteps = ['cart']\nfinish = { step = \"cart\", status = [200, 201, 200] }",
    );
    assert_eq!(with(&one), with(&other));
}

#[test]
fn numbers_of_journeys_and_steps_are_bounded() {
    let upstream = "[upstreams.x]\nservers = [\"h:1\"]\n";
    let routes = |count: usize| "[[routes]]\n".repeat(count);
    let journeys = |count: usize| -> String {
        (1..=count)
            .map(|i| journey(&format!("j{i}"), &format!("steps = [\"route-{i}\"]")))
            .collect()
    };
    assert!(parse("most", &format!("{upstream}{}{}", routes(64), journeys(64))).is_ok());
    assert!(parse("more", &format!("{upstream}{}{}", routes(65), journeys(65))).is_err());
    let steps = |count: usize| {
        let names: Vec<_> = (1..=count).map(|i| format!("\"route-{i}\"")).collect();
        format!(
            "{upstream}{}{}",
            routes(count),
            journey("a", &format!("steps = [{}]", names.join(",")))
        )
    };
    assert_eq!(parse("most", &steps(32)).unwrap().journeys[0].finish.step, 31);
    assert!(parse("more", &steps(33)).is_err());
}
