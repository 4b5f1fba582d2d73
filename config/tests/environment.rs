//! Overrides from the environment: the same values and the same rules as in the file, and clear words when they are wrong.

use floodgate_config::{Config, Loaded, Problems, check, check_with, load_with, parse};

const TEXT: &str = r#"
[upstreams.checkout]
servers = ["127.0.0.1:9000"]
buffer  = 10

[[tiers]]
name = "core-trade"
[[tiers]]

[[routes]]
name = "order.v1"
[[routes]]
path = "/b"

[[journeys]]
name  = "sale-1"
steps = ["order.v1"]
"#;

/// `NAME=value` lines as an environment.
fn environment(variables: &[&str]) -> Vec<(String, String)> {
    let pair =
        |variable: &&str| variable.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
    variables.iter().filter_map(pair).collect()
}

fn checked(text: &str, variables: &[&str]) -> Result<Loaded, Problems> {
    check_with("sale.toml", text, &environment(variables))
}

fn config(variables: &[&str]) -> Config {
    checked(TEXT, variables).unwrap_or_else(|problems| panic!("{problems}")).config
}

fn problems(variables: &[&str]) -> String {
    checked(TEXT, variables).expect_err("a problem").to_string()
}

#[test]
fn an_override_means_what_the_same_value_in_the_file_means() {
    for (variables, old, new) in [
        (&["FLOODGATE__UPSTREAMS__CHECKOUT__BUFFER=2_048"][..], "buffer  = 10", "buffer = 2048"),
        (&["floodgate__upstreams__Checkout__buffer=0x10"], "buffer  = 10", "buffer = 16"),
        (
            &["FLOODGATE__UPSTREAMS__CHECKOUT__SERVERS=[\"a:1\", 'b:2']"],
            "[\"127.0.0.1:9000\"]",
            "[\"a:1\", \"b:2\"]",
        ),
        (
            &["FLOODGATE__SERVER__LISTEN=127.0.0.1:80", "FLOODGATE__SERVER__MAX_HEAD=64KiB"],
            "\n[upstreams",
            "[server]\nlisten = \"127.0.0.1:80\"\nmax_head = \"64KiB\"\n[upstreams",
        ),
        (&["FLOODGATE__SERVER__MAX_HEAD=2048"], "\n[up", "[server]\nmax_head = \"2KiB\"\n[up"),
        // A word of digits stays a word where a string belongs.
        (&["FLOODGATE__SERVER__VIA=1"], "\n[up", "[server]\nvia = \"1\"\n[up"),
        (&["FLOODGATE__SERVER__VIA= \"a\" "], "\n[up", "[server]\nvia = \"a\"\n[up"),
        (
            &["FLOODGATE__TIERS__CORE_TRADE__MAX_WAIT=750ms"],
            "name = \"core-trade\"",
            "name = \"core-trade\"\nmax_wait = \"750ms\"",
        ),
        (&["FLOODGATE__TIERS__L2__WEIGHT=4"], "[[tiers]]\n\n", "[[tiers]]\nweight = 4\n"),
        (
            &["FLOODGATE__TIERS__L2__WATERMARKS={ high = 0.5, low = 0.25 }"],
            "[[tiers]]\n\n",
            "[[tiers]]\nwatermarks = { high = 0.5, low = 0.25 }\n",
        ),
        (
            &[
                "FLOODGATE__TIERS__L2__WATERMARKS__LOW=0.1",
                "floodgate__tiers__l2__watermarks={ high = 0.5, low = 0.25 }",
            ],
            "[[tiers]]\n\n",
            "[[tiers]]\nwatermarks = { high = 0.5, low = 0.1 }\n",
        ),
        (
            &[
                "FLOODGATE__ROUTES__ORDER_V1__RATE=10/s",
                "FLOODGATE__ROUTES__ORDER_V1__METHODS=['PUT']",
            ],
            "name = \"order.v1\"",
            "name = \"order.v1\"\nrate = \"10/s\"\nmethods = [\"PUT\"]",
        ),
        (
            &[
                "FLOODGATE__JOURNEYS__SALE_1__STEPS=[\"route-2\"]",
                "FLOODGATE__JOURNEYS__SALE_1__FINISH__STATUS=[303]",
                "FLOODGATE__JOURNEYS__SALE_1__KEYS=env:KEYS",
            ],
            "steps = [\"order.v1\"]",
            "steps = [\"route-2\"]\nfinish = { status = [303] }\nkeys = \"env:KEYS\"",
        ),
        (
            &[
                "FLOODGATE__LATCH__LOW=5",
                "FLOODGATE__ONCE__MEMORY=1MiB",
                "FLOODGATE__EXPLAIN__HEADER=true",
            ],
            "\n[upstreams",
            "[latch]\nlow = 5\n[once]\nmemory = \"1MiB\"\n[explain]\nheader = true\n[upstreams",
        ),
        (
            &["FLOODGATE__ROUTES__ROUTE_2__RETRY=off"],
            "path = \"/b\"",
            "path = \"/b\"\nretry = \"off\"",
        ),
        (&["FLOODGATE__ROUTES__ROUTE_2__PATH=/c"], "path = \"/b\"", "path = \"/c\""),
    ] {
        assert!(TEXT.contains(old), "{old}");
        let expected = parse("expected", &TEXT.replacen(old, new, 1));
        assert_eq!(Ok(config(variables)), expected, "{variables:?}");
    }
}

#[test]
fn other_variables_are_not_looked_at() {
    let others =
        ["FLOODGATE_ADMIN_TOKEN=x", "FLOODGATE_VIEWER_TOKEN=y", "PATH=/bin", "FLOODGATE=1"];
    assert_eq!(config(&others), config(&[]));
}

#[test]
fn the_tier_that_is_left_out_can_be_overridden() {
    let text = "[upstreams.x]\nservers = [\"h:1\"]\n";
    let loaded = checked(text, &["FLOODGATE__TIERS__L1__MAX_WAIT=1ms"]).unwrap();
    let expected = parse("expected", &format!("{text}[[tiers]]\nmax_wait = \"1ms\"\n"));
    assert_eq!(Ok(loaded.config), expected);
}

#[test]
fn an_override_mends_and_breaks_as_a_line_of_the_file_would() {
    let bad = TEXT.replace("buffer  = 10", "buffer = -1");
    assert!(check("bad", &bad).is_err());
    assert!(checked(&bad, &["FLOODGATE__UPSTREAMS__CHECKOUT__BUFFER=1"]).is_ok());
    for (variable, words) in [
        ("FLOODGATE__UPSTREAMS__CHECKOUT__BUFFER=-1", "out of range"),
        ("FLOODGATE__UPSTREAMS__CHECKOUT__BUFFER=many", "expected a whole number"),
        ("FLOODGATE__UPSTREAMS__CHECKOUT__BUFFER=", "expected a whole number"),
        ("FLOODGATE__UPSTREAMS__CHECKOUT__BUFFER=1\nrate=2", "expected a whole number"),
        ("FLOODGATE__UPSTREAMS__CHECKOUT__SERVERS=a:1", "expected a list in brackets"),
        ("FLOODGATE__UPSTREAMS__CHECKOUT__SERVERS=[\"a:1\"", "is not TOML"),
        ("FLOODGATE__UPSTREAMS__CHECKOUT__SERVERS=[]", "at least one is needed"),
        ("FLOODGATE__UPSTREAMS__CHECKOUT__SERVERS=[\"a:1\",\"a:1\"]", "listed twice"),
        ("FLOODGATE__UPSTREAMS__CHECKOUT__BURST=5", "`burst` without `rate`"),
        ("FLOODGATE__TIERS__CORE_TRADE__MAX_WAIT=5 sec", "did you mean \"5s\"?"),
        ("FLOODGATE__TIERS__CORE_TRADE__WATERMARKS__HIGH=0.9", "missing key `low`"),
        ("FLOODGATE__TIERS__CORE_TRADE__WATERMARKS={high=0.1,low=0.2}", "must be below"),
        ("FLOODGATE__ROUTES__ROUTE_2__TIER=core", "there is no tier"),
        ("FLOODGATE__JOURNEYS__SALE_1__STEPS=[\"order.v2\"]", "did you mean `order.v1`?"),
        ("FLOODGATE__EXPLAIN__HEADER=yes", "expected true or false"),
        ("FLOODGATE__SERVER__LISTEN=127.0.0.1:9090", "both on port 9090"),
    ] {
        let told = problems(&[variable]);
        let name = variable.split('=').next().unwrap();
        assert!(told.contains(words), "{variable}: {told}");
        assert!(told.contains(&format!("--> environment: {name}\n")), "{variable}: {told}");
    }
}

#[test]
fn what_is_unknown_is_refused_with_what_is_meant() {
    for (variable, words) in [
        ("FLOODGATE__SEVER__LISTEN=x", "did you mean `FLOODGATE__SERVER__…`?"),
        ("FLOODGATE__QUEUES__A__B=x", "known: FLOODGATE__SERVER__…, FLOODGATE__UPSTREAMS__…"),
        ("FLOODGATE__JOURNEYS__A__B=x", "there is no journey `a`"),
        (
            "FLOODGATE__JOURNEYS__SALE_1__FINISH__STAUS=1",
            "did you mean `FLOODGATE__JOURNEYS__SALE_1__FINISH__STATUS`?",
        ),
        ("FLOODGATE__LATCH__STATS=x", "did you mean `FLOODGATE__LATCH__STATUS`?"),
        ("FLOODGATE__=x", "known: FLOODGATE__SERVER__…"),
        ("FLOODGATE__SERVER=x", "unknown key: `FLOODGATE__SERVER`"),
        ("FLOODGATE__SERVER__LISTN=x", "did you mean `FLOODGATE__SERVER__LISTEN`?"),
        ("FLOODGATE__SERVER__LISTEN__PORT=1", "unknown key"),
        (
            "FLOODGATE__UPSTREAMS__CHECKOUT__MAX_INFLIGHT=1",
            "did you mean `FLOODGATE__UPSTREAMS__CHECKOUT__MAX_IN_FLIGHT`?",
        ),
        (
            "FLOODGATE__UPSTREAMS__CHEKOUT__BUFFER=1",
            "did you mean `FLOODGATE__UPSTREAMS__CHECKOUT__…`?",
        ),
        (
            "FLOODGATE__UPSTREAMS__CHECKOUT=1",
            "a key is missing, `FLOODGATE__UPSTREAMS__CHECKOUT__…`",
        ),
        ("FLOODGATE__TIERS__GOLD__RATE=1/s", "defined in the file: `core-trade`, `l2`"),
        ("FLOODGATE__TIERS__L2__NAME=x", "unknown key"),
        ("FLOODGATE__ROUTES__0__RATE=1/s", "there is no route `0`"),
        ("FLOODGATE__ROUTES__ORDER__V1__RATE=1/s", "there is no route `order`"),
    ] {
        let told = problems(&[variable]);
        assert!(told.contains(words), "{variable}: {told}");
        assert!(told.starts_with("error: ") && told.matches("error: ").count() == 1, "{told}");
    }
}

#[test]
fn what_could_be_two_keys_is_refused() {
    let text = "[upstreams.a-b]\nservers = [\"a:1\"]\n[upstreams.A_B]\nservers = [\"b:1\"]\n\
                [[routes]]\nupstream = \"a-b\"\n[[routes]]\nupstream = \"A_B\"\npath = \"/b\"\n";
    let told = checked(text, &["FLOODGATE__UPSTREAMS__A_B__BUFFER=1"]).unwrap_err().to_string();
    assert!(told.contains("could be `upstreams.A_B.buffer` or `upstreams.a-b.buffer`"), "{told}");
    let twice = ["FLOODGATE__SERVER__DRAIN=1s", "floodgate__server__drain=2s"];
    let told = problems(&twice);
    assert!(told.contains("overrides what `FLOODGATE__SERVER__DRAIN` does"), "{told}");
    assert!(told.contains("first here"), "{told}");
}

#[test]
fn names_with_two_underscores_are_found() {
    let text = "[upstreams.a]\nservers = [\"a:1\"]\n[upstreams.a__b_]\nservers = [\"b:1\"]\n\
                [[routes]]\nupstream = \"a\"\n[[routes]]\nupstream = \"a__b_\"\npath = \"/b\"\n";
    let loaded = checked(text, &["FLOODGATE__UPSTREAMS__A__B___BUFFER=1"]).unwrap();
    let buffers: Vec<_> = loaded.config.upstreams.iter().map(|it| it.limits.buffer()).collect();
    assert_eq!(buffers, [1_024, 1]);
}

#[test]
fn problems_of_the_file_and_of_the_environment_come_together() {
    let text = TEXT.replace("buffer  = 10", "bufer = 10");
    let variables =
        environment(&["FLOODGATE__SERVER__DRAIN=\u{1b}[2J", "FLOODGATE__SERVER__IDLE_TIMEOUT=0s"]);
    let problems = check_with("sale.toml", &text, &variables).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "\
error: unknown key `bufer` in [upstreams.checkout]
 --> sale.toml:4:1
  |
4 | bufer = 10
  | ^^^^^ did you mean `buffer`?

error: `\u{fffd}[2J` is not a duration
 --> environment: FLOODGATE__SERVER__DRAIN
  |
1 | FLOODGATE__SERVER__DRAIN=\u{fffd}[2J
  |                          ^^^^ expected a duration in quotes, such as \"500ms\", \"2s\" or \"1m\"

error: `0s` is too short
 --> environment: FLOODGATE__SERVER__IDLE_TIMEOUT
  |
1 | FLOODGATE__SERVER__IDLE_TIMEOUT=0s
  |                                 ^^ at least \"1ms\"
"
    );
    let json = problems.to_json();
    assert_eq!(json[0]["file"], "sale.toml");
    assert_eq!(json[2]["file"], "environment: FLOODGATE__SERVER__IDLE_TIMEOUT");
    assert_eq!(json[2]["key"], "server.idle_timeout");
}

#[test]
fn warnings_say_that_it_is_the_environment() {
    let loaded = checked(TEXT, &["FLOODGATE__UPSTREAMS__CHECKOUT__MAX_IN_FLIGHT=0"]).unwrap();
    let told = loaded.warnings.to_string();
    assert!(told.contains("is closed\n --> environment: FLOODGATE__UPSTREAMS__"), "{told}");
}

#[test]
fn overrides_are_bounded() {
    let many: Vec<_> = (0..1_001).map(|i| (format!("FLOODGATE__{i}"), String::new())).collect();
    let told = check_with("sale.toml", TEXT, &many).unwrap_err().to_string();
    assert!(told.contains("at most 1000"), "{told}");
    let large = [("FLOODGATE__SERVER__VIA".to_owned(), "x".repeat(4 << 20))];
    assert!(check_with("sale.toml", TEXT, &large).unwrap_err().to_string().contains("4 MiB"));
    let deep = [("FLOODGATE__UPSTREAMS__CHECKOUT__SERVERS".to_owned(), "[".repeat(100_000))];
    assert!(check_with("sale.toml", TEXT, &deep).is_err());
}

#[test]
fn a_file_is_loaded_under_overrides() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sale.toml");
    std::fs::write(&file, TEXT).unwrap();
    let variables = environment(&["FLOODGATE__UPSTREAMS__CHECKOUT__BUFFER=7"]);
    let loaded = load_with(&file, &variables).unwrap();
    assert_eq!(loaded.config.upstreams[0].limits.buffer(), 7);
    assert_eq!(loaded.text, TEXT);
}
