//! Limits per key: what they mean, and what is told of those that are wrong.

use std::path::Path;

use floodgate_config::{Config, KeyPart, MissingKey, load, parse};

/// A good file whose route `buy` has these keys, and whose upstream has those.
fn text(upstream: &str, route: &str) -> String {
    format!(
        "[upstreams.x]\nservers = [\"127.0.0.1:9000\"]\n{upstream}\n\
         [[routes]]\nname = \"buy\"\npath = \"/buy/{{sku}}\"\n{route}\n"
    )
}

fn good(upstream: &str, route: &str) -> Config {
    parse("text", &text(upstream, route)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// What is told of a bad file.
#[track_caller]
fn told(upstream: &str, route: &str) -> String {
    parse("text", &text(upstream, route)).expect_err("it is wrong").to_string()
}

#[test]
fn the_example_means_what_its_comments_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/limits.toml");
    let config = load(&path).unwrap().config;
    let limits = &config.routes[0].limits;
    let names: Vec<&str> = limits.iter().map(|limit| limit.name.as_str()).collect();
    assert_eq!(names, ["client_ip", "client_ip+path:sku", "claim:sub", "cookie:session"]);
    assert_eq!((limits[0].rate.count(), limits[0].rate.burst()), (10, 20));
    assert_eq!(limits[1].key.parts(), [KeyPart::ClientIp, KeyPart::Path("sku".into())]);
    assert_eq!((limits[3].missing, limits[3].shadow), (MissingKey::Pass, true));
    assert_eq!((limits[0].missing, limits[0].shadow), (MissingKey::ClientIp, false));
    assert_eq!(limits[2].key.parts(), [KeyPart::Claim("sub".into())]);
    assert_eq!(config.claims(), ["sub"]);
    assert_eq!(config.routes[1].limits[1].max_keys, 1_000_000);
    let isolate = config.upstreams[0].isolate.as_ref().unwrap();
    assert_eq!((isolate.key.to_string().as_str(), isolate.share), ("path:sku", 0.3));
    assert!(isolate.key.stands_in(&config.routes[0].path));
    assert!(!isolate.key.stands_in(&config.routes[1].path));
}

#[test]
fn what_is_left_out_has_defaults() {
    let config = good("", "limits = [{ key = \"client_ip\", rate = \"10/s\" }]");
    let limit = &config.routes[0].limits[0];
    assert_eq!((limit.rate.burst(), limit.max_keys, limit.shadow), (10, 100_000, false));
    let slow = good("", "limits = [{ key = \"client_ip\", rate = \"10/h\" }]");
    assert_eq!(slow.routes[0].limits[0].rate.burst(), 1);
    assert!(good("", "limits = []").routes[0].limits.is_empty());
}

#[test]
fn what_is_wrong_with_a_key_is_told() {
    for (limit, wanted) in [
        ("key = \"ip\"", "is of no known kind"),
        ("key = \"path:sko\"", "did you mean \"path:sku\"?"),
        ("key = [\"client_ip\", \"path:sko\"]", "did you mean \"path:sku\"?"),
        ("key = [\"client_ip\", \"client_ip\"]", "is in the key twice"),
        ("key = []", "is empty"),
        ("key = 5", "expected \"client_ip\""),
        ("key = \"claim:\"", "is no name of a claim"),
        ("key = \"claim:sub\"", "the claim `sub` is verified by nobody"),
        ("key = \"clam:sub\"", "did you mean `claim:sub`?"),
        ("key = \"header:x-floodgate-id\"", "the gateway's own"),
        ("key = \"cookie:floodgate-device\"", "the gateway's own"),
        ("key = [\"client_ip\", \"query:a\", \"query:b\", \"query:c\", \"query:d\"]", "at most 4"),
    ] {
        let told = told("", &format!("limits = [{{ {limit}, rate = \"1/s\" }}]"));
        assert!(told.contains(wanted), "{limit}: {told}");
    }
}

#[test]
fn what_is_wrong_with_a_limit_is_told() {
    for (limits, wanted) in [
        ("{ key = \"client_ip\" }", "missing key `rate`"),
        ("{ rate = \"1/s\" }", "missing key `key`"),
        ("{ key = \"client_ip\", rate = \"fast\" }", "is not a rate"),
        ("{ key = \"client_ip\", rate = \"1/h\", burst = 4_000_000_000 }", "too slow"),
        ("{ key = \"client_ip\", rate = \"1/s\", max_keys = 0 }", "out of range"),
        ("{ key = \"client_ip\", rate = \"1/s\", missing = \"pas\" }", "did you mean \"pass\"?"),
        ("{ key = \"client_ip\", rate = \"1/s\", shadows = true }", "did you mean `shadow`?"),
        (
            "{ key = \"client_ip\", rate = \"1/s\" }, { key = \"client_ip\", rate = \"9/m\" }",
            "declared twice",
        ),
    ] {
        let told = told("", &format!("limits = [{limits}]"));
        assert!(told.contains(wanted), "{limits}: {told}");
    }
}

#[test]
fn what_is_wrong_with_a_share_is_told() {
    for (isolate, wanted) in [
        ("{ key = \"path:sku\" }", "missing key `share`"),
        ("{ key = \"path:sku\", share = 0 }", "out of range"),
        ("{ key = \"path:sku\", share = 1.5 }", "out of range"),
        ("{ key = \"path:sko\", share = 0.5 }", "did you mean \"path:sku\"?"),
    ] {
        let told = told("", &format!("isolate = {isolate}"));
        assert!(told.contains(wanted), "{isolate}: {told}");
    }
    let nowhere = told("isolate = { key = \"path:sko\", share = 0.5 }", "");
    assert!(nowhere.contains("no route of the upstream `x` has `sko` in its path"), "{nowhere}");
    good("isolate = { key = \"path:sku\", share = 0.5 }", "");
}
