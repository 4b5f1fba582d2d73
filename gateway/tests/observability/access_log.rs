//! The access log: what is told of whom, and that nobody waits for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use floodgate_loadtest::origin::{Origin, OriginHandle, ServiceTime};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Client, Nobody, Running, SOON, Settings, THREE_TIERS, post};

const TRACE: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";

/// Later than it was promised in the test about that.
const LATE: ServiceTime = ServiceTime::Fixed(Duration::from_millis(20));

/// A gateway with an access log in a folder of its own.
struct Logged {
    origin: OriginHandle,
    gateway: Running,
    folder: TempDir,
}

/// `/shut` is refused.
fn text(servers: &[std::net::SocketAddr], to: &str, keys: &str) -> String {
    let log = format!("[access_log]\nto = \"{to}\"\n{keys}\n");
    let shut = "[[routes]]\nname = \"shut\"\npath = \"/shut\"\ntier = \"l2\"\nrate = \"0/s\"\n";
    let settings = Settings::upstream("max_in_flight = 8\ncircuit = false");
    settings.rest(format!("{THREE_TIERS}{shut}{log}")).text(servers)
}

// === impl Logged ===

impl Logged {
    fn start(keys: &str) -> Self {
        let origin = Origin::builder().start().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let to = format!("file:{}", folder.path().join("access.log").display());
        let gateway = Running::start(&text(&[origin.addr()], &to, keys));
        Self { origin, gateway, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    async fn lines(&self, count: usize) -> Vec<Value> {
        lines(&self.path(), count).await
    }
}

/// The lines of a file, once there are so many.
async fn lines(path: &Path, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines: Vec<Value> = whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect();
        if lines.len() >= count {
            return lines;
        }
        assert!(begun.elapsed() < SOON, "{count} lines never came: {text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_line_tells_what_was_asked_what_came_of_it_and_where_the_time_went() {
    let logged = Logged::start("sample = 1.0\nsample_refusals = 1.0\nclient = \"full\"");
    let mut client = logged.gateway.client().await;
    client.send(format!("GET /l1/a%20b?card=4111 HTTP/1.1\r\nhost: shop\r\n{TRACE}\r\n")).await;
    let body = client.answer().await.body;
    client
        .send(format!("POST /shut HTTP/1.1\r\nhost: shop\r\n{TRACE}content-length: 0\r\n\r\n"))
        .await;
    assert_eq!(client.answer().await.status, 503);
    // Chunked: by hyper.
    let chunked = "POST /l2/c HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    client.send(chunked).await;
    assert_eq!(client.answer().await.status, 200);
    client.send("BAD\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400);
    let lines = logged.lines(4).await;
    let [direct, refused, by_hyper, malformed] = &lines[..] else { panic!("{lines:#?}") };
    for (name, value) in [
        ("status", Value::from(200)),
        ("outcome", "completed".into()),
        ("reason", Value::Null),
        ("route", "one".into()),
        ("tier", "l1".into()),
        ("upstream", "checkout".into()),
        ("server", logged.origin.addr().to_string().into()),
        ("bytes", body.len().into()),
        ("client", "127.0.0.1".into()),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c".into()),
        ("method", "GET".into()),
        ("path", "/l1/a%20b".into()),
    ] {
        assert_eq!(direct[name], value, "{name}: {direct:#}");
    }
    let stages = direct["stages_ms"].as_object().unwrap();
    let sum: f64 = stages.values().map(|millis| millis.as_f64().unwrap()).sum();
    assert!((sum - direct["total_ms"].as_f64().unwrap()).abs() < 0.01, "{direct:#}");
    assert!(stages["first_byte"].as_f64() > Some(0.0) && direct.get("query").is_none());
    for (name, value) in [
        ("status", Value::from(503)),
        ("outcome", "rejected".into()),
        ("reason", "rate".into()),
        ("route", "shut".into()),
        ("tier", "l2".into()),
        ("server", Value::Null),
        ("stages_ms", Value::Null),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c".into()),
        ("method", "POST".into()),
        ("path", "/shut".into()),
    ] {
        assert_eq!(refused[name], value, "{name}: {refused:#}");
    }
    assert!(refused["bytes"].as_u64() > Some(50), "{refused:#}");
    assert_eq!((&by_hyper["path"], &by_hyper["outcome"]), (&"/l2/c".into(), &"completed".into()));
    assert_eq!((&by_hyper["status"], &by_hyper["trace_id"]), (&200.into(), &Value::Null));
    assert_eq!(by_hyper["bytes"], direct["bytes"]);
    assert_eq!((&malformed["reason"], &malformed["path"]), (&"bad_request".into(), &Value::Null));
    assert_eq!(malformed["client"], "127.0.0.1");
    let metrics = logged.gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_access_log_lines_total", &[]), 4);
    assert_eq!(metrics.count("floodgate_access_log_dropped_total", &[]), 0);
}

#[tokio::test]
async fn of_clients_and_queries_as_much_is_told_as_is_wanted() {
    let logged =
        Logged::start("sample = 1.0\nsample_refusals = 1.0\nquery = true\nclient = \"none\"");
    let mut client = logged.gateway.client().await;
    for path in ["/l1/a?b=\u{22}c", "/shut?d"] {
        client.get(&path.replace('"', "%22")).await;
        client.answer().await;
    }
    let lines = logged.lines(2).await;
    assert_eq!(lines[0]["query"], "b=%22c");
    assert_eq!(lines[1]["query"], "d");
    assert!(lines.iter().all(|line| line["client"].is_null()), "{lines:#?}");
}

#[tokio::test]
async fn failures_are_told_of_whatever_the_shares_up_to_a_bound_and_others_not() {
    let nobody = Nobody::listens();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let keys = "sample = 0.0\nsample_refusals = 0.0\nfailures = 3";
    let to = format!("file:{}", path.display());
    let gateway = Running::start(&text(&[nobody.addr()], &to, keys));
    let begun = Instant::now();
    for _ in 0..50 {
        let mut client = gateway.client().await;
        client.get("/l1/a").await;
        assert_eq!(client.answer().await.status, 502);
        client.get("/shut").await;
        assert_eq!(client.answer().await.status, 503);
    }
    let seconds = begun.elapsed().as_secs() as usize + 2;
    // Ended, it has written all.
    drop(gateway);
    let lines = lines(&path, 3).await;
    assert!(lines.len() <= 3 * seconds, "{} in {seconds} s", lines.len());
    for line in lines {
        assert_eq!(
            (&line["outcome"], &line["reason"]),
            (&"failed".into(), &"upstream_error".into())
        );
        assert_eq!((&line["status"], &line["client"]), (&502.into(), &"127.0.0.0".into()));
    }
}

#[tokio::test]
async fn who_was_not_served_as_promised_is_told_of() {
    let origin = Origin::builder().service_time(LATE).start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let text = text(&[origin.addr()], &format!("file:{}", path.display()), "sample = 0.0");
    // Nobody can keep this.
    let objective = "[[tiers]]\nname = \"l1\"\nobjective = { latency = \"1ms\" }\n";
    let gateway = Running::start(&text.replacen("[[tiers]]\nname = \"l1\"\n", objective, 1));
    let mut client = gateway.client().await;
    for path in ["/l2/fine", "/l1/late"] {
        client.get(path).await;
        assert_eq!(client.answer().await.status, 200);
    }
    drop(gateway);
    let lines = lines(&path, 1).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(
        (&lines[0]["path"], &lines[0]["outcome"]),
        (&"/l1/late".into(), &"completed".into())
    );
}

#[tokio::test]
async fn who_left_is_told_of_without_a_status() {
    let logged = Logged::start("sample = 1.0");
    let client = logged.gateway.holding(&logged.origin).await;
    drop(client);
    let line = logged.lines(1).await.remove(0);
    assert_eq!((&line["outcome"], &line["status"]), (&"failed".into(), &Value::Null));
    assert_eq!((&line["reason"], &line["path"]), (&Value::Null, &"/l1".into()));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn on_a_full_disk_requests_go_on_and_lines_are_counted() {
    let origin = Origin::builder().start().unwrap();
    let keys = "sample = 1.0\nsample_refusals = 1.0";
    let gateway = Running::start(&text(&[origin.addr()], "file:/dev/full", keys));
    let mut client = gateway.client().await;
    for _ in 0..20 {
        client.get("/l1/a").await;
        assert_eq!(client.answer().await.status, 200);
        client.get("/shut").await;
        assert_eq!(client.answer().await.status, 503);
    }
    let begun = Instant::now();
    loop {
        let metrics = gateway.metrics().await;
        if metrics.count("floodgate_access_log_dropped_total", &["unwritten"]) == 40 {
            assert_eq!(metrics.count("floodgate_access_log_lines_total", &[]), 0);
            break;
        }
        assert!(begun.elapsed() < SOON, "{metrics}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_opened_anew_when_told_to() {
    let logged = Logged::start("sample = 1.0");
    let mut client = logged.gateway.client().await;
    client.get("/l1/before").await;
    client.answer().await;
    assert_eq!(logged.lines(1).await[0]["path"], "/l1/before");
    let moved = logged.folder.path().join("access.log.1");
    fs::rename(logged.path(), &moved).unwrap();
    // As SIGHUP does.
    logged.gateway.reload();
    let begun = Instant::now();
    // What comes before the writer has looked goes to the old one.
    while !logged.path().exists() {
        assert!(begun.elapsed() < SOON);
        client.get("/l1/after").await;
        client.answer().await;
    }
    assert_eq!(logged.lines(1).await[0]["path"], "/l1/after");
    assert_eq!(lines(&moved, 1).await[0]["path"], "/l1/before");
}

#[tokio::test]
async fn it_is_switched_on_and_off_while_it_runs() {
    let origin = Origin::builder().start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let on = text(&[origin.addr()], &format!("file:{}", path.display()), "sample = 1.0");
    let off = on.replace("to = ", "# to = ");
    let gateway = Running::start(&off);
    let mut client = gateway.client().await;
    for (text, asked) in [(&off, "/l1/off"), (&on, "/l1/on"), (&off, "/l1/off-again")] {
        let mut admin = Client::connect(gateway.admin()).await;
        let put = String::from_utf8(post("/api/config", text.as_bytes())).unwrap();
        admin.send(put.replacen("POST", "PUT", 1)).await;
        assert_eq!(admin.answer().await.status, 200);
        client.get(asked).await;
        assert_eq!(client.answer().await.status, 200);
        if text == &on {
            lines(&path, 1).await;
        }
    }
    drop(gateway);
    let lines = lines(&path, 1).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["path"], "/l1/on");
}
