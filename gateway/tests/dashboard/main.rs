//! The dashboard without a browser: the page, the stream that it draws from, who gets what.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

#[path = "../reload/live.rs"]
#[allow(dead_code, reason = "the tests of changes use the rest")]
mod live;
#[path = "../support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;
use serde_json::Value;

use live::{Launch, origin, text};
use support::{Binary, Client, Running, SOON, Settings};

const OPERATOR: &str = "operator-0123456789";
const VIEWER: &str = "viewer-0123456789";

/// Watchers at once.
const MOST: usize = 64;

/// A connection to `/api/events` whose head has been read.
struct Watcher {
    client: Client,
    came: String,
}

impl Watcher {
    async fn begin(admin: std::net::SocketAddr, token: &str) -> Self {
        let mut client = Client::connect(admin).await;
        let field = if token.is_empty() {
            String::new()
        } else {
            format!("authorization: Bearer {token}\r\n")
        };
        client.send(format!("GET /api/events HTTP/1.1\r\nhost: admin\r\n{field}\r\n")).await;
        let head = client.head().await;
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        Self { client, came: String::new() }
    }

    /// The next event: its name and its data.
    async fn event(&mut self) -> (String, Value) {
        loop {
            if let Some((event, rest)) = self.came.split_once("\n\n") {
                let field =
                    |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                let told =
                    (field("event: ").to_owned(), serde_json::from_str(field("data: ")).unwrap());
                self.came = rest.to_owned();
                return told;
            }
            let chunk = self.client.chunk().await.expect("more of the stream");
            self.came += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// The next second of which this is true.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let (name, told) = self.event().await;
            if name == "now" && wanted(&told) {
                return told;
            }
            assert!(begin.elapsed() < SOON, "never {what}: {told:#}");
        }
    }
}

fn small(origin: std::net::SocketAddr) -> Running {
    let tiers = support::THREE_TIERS.replace("high = 1.0, low = 0.9", "high = 0.8, low = 0.5");
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 10").rest(tiers);
    Running::start(&settings.text(&[origin]))
}

#[tokio::test]
async fn the_page_is_one_answer_for_everybody_and_runs_nothing_but_itself() {
    let gateway = Launch::new(&text(&origin(), ""))
        .env("FLOODGATE_ADMIN_TOKEN", OPERATOR)
        .env("FLOODGATE_VIEWER_TOKEN", VIEWER)
        .start();
    let page = gateway.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.body.len() <= 60 * 1024, "{}", page.body.len());
    let policy = page.header("content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{part} is not in {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let head = gateway.ask("HEAD", "/", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(gateway.ask("POST", "/", "").await.status, 405);
}

#[tokio::test]
async fn only_who_may_look_is_told_and_told_what_he_may() {
    let gateway = Launch::new(&text(&origin(), ""))
        .env("FLOODGATE_ADMIN_TOKEN", OPERATOR)
        .env("FLOODGATE_VIEWER_TOKEN", VIEWER)
        .start();
    for token in [None, Some("wrong-0123456789")] {
        assert_eq!(gateway.ask_as(token, "GET", "/api/events", "").await.status, 401);
    }
    assert_eq!(gateway.ask_as(Some(OPERATOR), "POST", "/api/events", "").await.status, 405);
    for (token, role) in [(VIEWER, "viewer"), (OPERATOR, "operator")] {
        let (name, past) = Watcher::begin(gateway.address(), token).await.event().await;
        assert_eq!((name.as_str(), &past["role"]), ("past", &role.into()));
    }
}

#[tokio::test]
async fn whoever_comes_late_sees_what_was_and_then_second_by_second_what_is() {
    let origin = Origin::builder().start().unwrap();
    let gateway = small(origin.addr());
    let mut early = Watcher::begin(gateway.address(), "").await;
    early.until("a second", |now| now["second"].is_array()).await;
    let mut client = gateway.client().await;
    for path in ["/l1/a", "/l2/b", "/l2/c", "/nowhere"] {
        client.get(path).await;
        client.answer().await;
    }
    // Tiers stand behind number, time, length and two counts; what belongs to none behind them.
    let offered = |second: &Value, tier: usize| second[5 + tier][0].as_u64().unwrap_or_default();
    let mut sums = [0; 4];
    let begin = Instant::now();
    let mut number = 0;
    while sums != [1, 2, 0, 1] {
        assert!(begin.elapsed() < SOON, "{sums:?}");
        let now = early.until("another second", |_| true).await;
        let second = &now["second"];
        assert!(number == 0 || second[0] == number + 1, "{number} {second}");
        number = second[0].as_u64().unwrap();
        (0..4).for_each(|tier| sums[tier] += offered(second, tier));
    }
    let mut late = Watcher::begin(gateway.address(), "").await;
    let (name, past) = late.event().await;
    assert_eq!(name, "past");
    let seconds = past["second"].as_array().unwrap();
    let sums: [u64; 4] =
        std::array::from_fn(|tier| seconds.iter().map(|second| offered(second, tier)).sum());
    assert_eq!(sums, [1, 2, 0, 1], "{past}");
    let (name, now) = late.event().await;
    assert_eq!(name, "now");
    for part in
        ["tiers", "upstreams", "objectives", "latency", "violations", "journeys", "stock", "config"]
    {
        assert!(!now[part].is_null(), "{part}: {now:#}");
    }
    assert_eq!(now["tiers"][1], serde_json::json!({ "name": "l2", "high": 0.8, "low": 0.5 }));
}

#[tokio::test]
async fn a_breaker_that_trips_is_told() {
    let origin = Origin::builder().start().unwrap();
    let gateway = small(origin.addr());
    let mut watcher = Watcher::begin(gateway.address(), "").await;
    let _held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for place in 1..=8 {
        waiters.push(gateway.waiting("/l2", place).await);
    }
    let is_open = |now: &Value| now["upstreams"]["checkout"]["tiers"]["l2"]["breaker"] == "open";
    let now = watcher.until("open", is_open).await;
    // The level in percent, whether it is open, how often it tripped.
    assert_eq!(now["second"][6].as_array().unwrap()[5..8], [80, 1, 1]);
}

#[tokio::test]
async fn a_change_is_told_with_its_generation() {
    let origin = origin();
    let gateway = Launch::new(&text(&origin, "max_in_flight = 2")).start();
    let mut watcher = Watcher::begin(gateway.address(), "").await;
    gateway.change(&text(&origin, "max_in_flight = 3")).await;
    watcher.until("generation 2", |now| now["generation"] == 2).await;
    gateway.put("bad").await;
    watcher.until("rejected", |now| now["config"]["rejected"]["problems"].is_array()).await;
}

#[tokio::test]
async fn there_is_room_for_so_many_watchers_and_for_another_when_one_leaves() {
    let gateway = small(Origin::builder().start().unwrap().addr());
    let mut watchers = Vec::new();
    for _ in 0..MOST {
        watchers.push(Watcher::begin(gateway.address(), "").await);
    }
    let refused = gateway.get("/api/events").await;
    assert_eq!((refused.status, &refused.json()["reason"]), (503, &"too_many_watchers".into()));
    // Everything else is still answered.
    assert_eq!(gateway.get("/healthz").await.status, 200);
    watchers.pop();
    let begin = Instant::now();
    loop {
        let mut client = Client::connect(gateway.address()).await;
        client.get("/api/events").await;
        if client.head().await.status == 200 {
            break;
        }
        assert!(begin.elapsed() < SOON, "the place of who left stays taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn watchers_see_the_drain_and_hear_that_it_was_the_end() {
    let origin = Origin::builder().start().unwrap();
    let mut gateway = Binary::start(&Settings::upstream("").text(&[origin.addr()]));
    let mut watcher = Watcher::begin(gateway.admin.0, "").await;
    watcher.event().await;
    gateway.signal("TERM");
    let begin = Instant::now();
    while watcher.event().await.0 != "end" {
        assert!(begin.elapsed() < SOON, "no end");
    }
    assert!(watcher.client.chunk().await.is_none(), "the stream ends whole");
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_page_of_somebody_else_changes_nothing() {
    let gateway = small(Origin::builder().start().unwrap().addr());
    let here = gateway.address().to_string();
    let ask = async |host: &str, origin: &str| {
        let mut client = Client::connect(gateway.address()).await;
        let head = format!("host: {host}\r\norigin: {origin}\r\ncontent-length: 0\r\n");
        client.send(format!("POST /api/config/confirm HTTP/1.1\r\n{head}\r\n")).await;
        let answer = client.answer().await;
        (answer.status, answer.json()["reason"].as_str().unwrap().to_owned())
    };
    let forbidden = (403, "cross_origin".to_owned());
    assert_eq!(ask(&here, "http://evil.example").await, forbidden);
    assert_eq!(ask("evil.example:9090", "http://evil.example:9090").await, forbidden);
    let own = ask(&here, &format!("http://{here}")).await;
    assert_eq!(own, (409, "nothing_to_confirm".to_owned()));
}
