//! An answer says how it was decided upon, and the operator is told the same, and more, by its id.

#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod support;

use floodgate_loadtest::origin::{Origin, OriginHandle};
use serde_json::{Value, json};
use support::{Answer, Client, Nobody, Running, Scripted, Settings, journey};

const DECISION: &str = "x-floodgate-decision";

/// Two tiers, one of which is patient, and routes that end in every way.
const ROUTES: &str = r#"
[explain]
header = true
[upstreams.gone]
servers = ["NOBODY"]
connect_timeout = "1s"
[[tiers]]
name = "l1"
max_wait = "20s"
deadline = "20s"
[[tiers]]
name = "l2"
[[routes]]
name = "open"
path = "/open"
tier = "l1"
upstream = "checkout"
[[routes]]
name = "rated"
path = "/rated/{*rest}"
tier = "l2"
upstream = "checkout"
rate = "0/s"
[[routes]]
name = "gone"
path = "/gone"
tier = "l1"
upstream = "gone"
[[routes]]
name = "buy"
path = "/buy"
tier = "l1"
upstream = "checkout"
once = true
"#;

/// The routes of a checkout of two steps.
const CHECKOUT: &str = r#"
[explain]
header = true
[[tiers]]
name = "l1"
[[routes]]
name = "cart"
path = "/cart"
tier = "l1"
[[routes]]
name = "pay"
path = "/pay"
tier = "l1"
"#;

fn origin() -> OriginHandle {
    Origin::builder().start().unwrap()
}

fn start(origin: &OriginHandle) -> Running {
    Running::start(&text(origin, ROUTES))
}

fn text(origin: &OriginHandle, rest: &str) -> String {
    // Nobody shall take the port while the process lasts.
    let nobody: &'static Nobody = Box::leak(Box::new(Nobody::listens()));
    let rest = rest.replace("NOBODY", &nobody.addr().to_string());
    Settings::upstream("").rest(rest).text(&[origin.addr()])
}

/// The parts of what an answer says.
fn said(answer: &Answer) -> Vec<(&str, &str)> {
    let field = answer.header(DECISION).unwrap_or_else(|| panic!("nothing is said: {answer:?}"));
    field.split("; ").map(|part| part.split_once('=').unwrap()).collect()
}

fn id(answer: &Answer) -> &str {
    let said = said(answer);
    assert_eq!(said[0].0, "id");
    said[0].1
}

/// What the operator is told of it.
async fn told(gateway: &Running, answer: &Answer) -> Value {
    let told = gateway.get(&format!("/api/explain/{}", id(answer))).await;
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    let [_, (_, reason), level @ ..] = &said(answer)[..] else { panic!("{answer:?}") };
    let is_reason = told["reason"] == *reason || told["outcome"] == *reason;
    assert!(is_reason, "{reason}: {told:#}");
    let level = level.first().map(|(_, level)| level.parse::<f64>().unwrap());
    assert_eq!(level.is_some(), told["level"].is_f64(), "{told:#}");
    assert!(told["means"].as_str().unwrap().ends_with('.'));
    assert!(told["change"].as_str().unwrap().ends_with('.'));
    told
}

/// The answer to this, which begins with a request line.
async fn answer(gateway: &Running, request: &str) -> Answer {
    let mut client = gateway.client().await;
    client.send(request.replace('\n', "\r\n")).await;
    client.answer().await
}

async fn get(gateway: &Running, path: &str, fields: &str) -> Answer {
    answer(gateway, &format!("GET {path} HTTP/1.1\nhost: shop\n{fields}\n")).await
}

/// The reason that is given where there is no decision to tell of.
async fn missing(gateway: &Running, id: &str) -> (u16, String) {
    let answer = gateway.get(&format!("/api/explain/{id}")).await;
    (answer.status, answer.json()["reason"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_refusal_says_the_same_whichever_way_it_is_written() {
    let origin = origin();
    let gateway = start(&origin);
    let ready_made = get(&gateway, "/rated", "").await;
    // Chunked: hyper and the service come to the same end.
    let chunked = "POST /rated HTTP/1.1\nhost: shop\ntransfer-encoding: chunked\n\n0\n\n";
    let served = answer(&gateway, chunked).await;
    let mut before = None;
    for answer in [&ready_made, &served] {
        assert_eq!(answer.verdict(), (503, "rate"));
        let told = told(&gateway, answer).await;
        assert_eq!(told["outcome"], "refused");
        for (key, value) in [("route", "rated"), ("tier", "l2"), ("upstream", "checkout")] {
            assert_eq!(told[key], value, "{told:#}");
        }
        assert_eq!((&told["generation"], &told["worker"]), (&json!(1), &json!(0)));
        assert_eq!(told["journey"], Value::Null);
        // What the customer was told is what it says it was told.
        assert_eq!(told["retry_after_ms"], answer.json()["retry_after_ms"]);
        assert_eq!(told["id"], id(answer));
        let at = humantime::parse_rfc3339(told["at"].as_str().unwrap()).unwrap();
        assert!(at.elapsed().unwrap_or_default() < support::SOON, "{told:#}");
        let number = told["number"].as_u64();
        assert!(number > before, "numbers rise: {number:?} after {before:?}");
        before = number;
    }
}

#[tokio::test]
async fn what_is_let_in_what_fails_and_what_nobody_serves_say_so_too() {
    let origin = origin();
    let gateway = start(&origin);
    let open = get(&gateway, "/open", "").await;
    assert_eq!(open.status, 200);
    assert_eq!(told(&gateway, &open).await["outcome"], "admitted");
    let gone = get(&gateway, "/gone", "").await;
    assert_eq!(gone.verdict(), (502, "upstream_error"));
    let told_of = told(&gateway, &gone).await;
    assert_eq!((&told_of["outcome"], &told_of["upstream"]), (&json!("failed"), &json!("gone")));
    let nowhere = get(&gateway, "/nowhere", "").await;
    let told_of = told(&gateway, &nowhere).await;
    assert_eq!((&told_of["reason"], &told_of["route"]), (&json!("no_route"), &Value::Null));
    assert_eq!(told_of["level"], Value::Null);
    let malformed = answer(&gateway, "GET / HTTP/1.1\n\n").await;
    assert_eq!(told(&gateway, &malformed).await["reason"], "bad_request");
    let purchase = "POST /buy HTTP/1.1\nhost: shop\nidempotency-key: k\ncontent-length: 0\n\n";
    for outcome in ["admitted", "replayed", "replayed"] {
        assert_eq!(told(&gateway, &answer(&gateway, purchase).await).await["outcome"], outcome);
    }
}

#[tokio::test]
async fn a_full_buffer_is_a_level_of_one_and_a_wait_is_told() {
    let origin = origin();
    let rest = "[explain]\nheader = true\n[[tiers]]\nmax_wait = \"60ms\"\ndeadline = \"20s\"\n\
                [[routes]]\nname = \"one\"\n";
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 1").rest(rest);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let held = gateway.holding(&origin).await;
    let mut waiting = gateway.waiting("/l1", 1).await;
    let full = get(&gateway, "/l1", "").await;
    assert_eq!(full.status, 503);
    assert_eq!(said(&full)[2], ("level", "1.00"));
    assert_eq!(told(&gateway, &full).await["level"], 1.0);
    let waited = waiting.answer().await;
    assert_eq!(waited.verdict(), (503, "queue_timeout"));
    let told = told(&gateway, &waited).await;
    assert!(told["waited_ms"].as_f64().unwrap() >= 60.0, "{told:#}");
    drop(held);
}

#[tokio::test]
async fn of_a_checkout_it_is_told_who_asked_for_what() {
    let origin = origin();
    let keys = "finish = { step = \"pay\", status = [201] }\nmax_grants = 1";
    let sale = journey("sale", &["cart", "pay"], keys);
    let gateway = Running::start(&text(&origin, &(CHECKOUT.to_owned() + &sale)));
    let first = get(&gateway, "/cart", "").await;
    assert_eq!(first.status, 200);
    let part = |told: &Value| {
        let journey = &told["journey"];
        assert_eq!(journey["name"], "sale");
        (journey["part"].as_str().unwrap().to_owned(), journey["step"].as_u64())
    };
    let told_of = told(&gateway, &first).await;
    assert_eq!(part(&told_of), ("newcomer".to_owned(), Some(1)));
    let cookies = |answer: &Answer| -> String {
        let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        let pairs: Vec<_> = set.map(|(_, value)| value.split(';').next().unwrap()).collect();
        format!("cookie: {}\n", pairs.join("; "))
    };
    let paid = get(&gateway, "/pay", &cookies(&first)).await;
    assert_eq!(paid.status, 200);
    assert_eq!(part(&told(&gateway, &paid).await), ("holder".to_owned(), Some(2)));
    let stranger = get(&gateway, "/pay", "x-floodgate-grant: made-up\n").await;
    let told_of = told(&gateway, &stranger).await;
    assert_eq!(part(&told_of), ("stranger".to_owned(), None));
    assert_eq!(told_of["journey"]["grant"]["invalid"], "other_customer");
    let second = get(&gateway, "/cart", "").await;
    assert_eq!(second.verdict(), (503, "no_grant"));
    let told_of = told(&gateway, &second).await;
    assert_eq!(part(&told_of), ("newcomer".to_owned(), Some(1)));
    let early = get(&gateway, "/cart", &cookies(&second)).await;
    assert_eq!(early.verdict(), (503, "no_grant"));
    let told_of = told(&gateway, &early).await;
    assert_eq!(part(&told_of), ("early".to_owned(), Some(1)));
    let by = told_of["journey"]["early_by_ms"].as_u64().unwrap();
    assert!(by > 0 && by.abs_diff(told_of["retry_after_ms"].as_u64().unwrap()) <= 1, "{told_of:#}");
}

#[tokio::test]
async fn the_stock_is_told_where_it_was_the_reason() {
    let sold_out = "HTTP/1.1 200 OK\r\nx-stock-state: sold_out\r\ncontent-length: 0\r\n\r\n";
    let origin = Scripted::start(Box::leak(Box::new([sold_out, sold_out]))).await;
    let rest =
        "[explain]\nheader = true\n[[tiers]]\n[[routes]]\npath = \"/{sku}\"\nsku = \"path:sku\"\n";
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr]));
    assert_eq!(told(&gateway, &get(&gateway, "/hot", "").await).await["stock"], Value::Null);
    let refused = get(&gateway, "/hot", "").await;
    assert_eq!(refused.verdict(), (410, "sold_out"));
    assert_eq!(told(&gateway, &refused).await["stock"], "sold_out");
}

#[tokio::test]
async fn only_the_gateway_speaks_for_itself_to_customers() {
    let forged = "HTTP/1.1 200 OK\r\nx-floodgate-decision: id=1\r\nx-floodgate-reason: rate\r\n\
                  X-Floodgate-Grant: done\r\nx-floodgate-x: 1\r\ncontent-length: 0\r\n\r\n";
    let origin = Scripted::start(Box::leak(Box::new([forged, forged]))).await;
    let rest = "[[tiers]]\n[[routes]]\nonce = true\n";
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr]));
    // The second is answered from what was kept of the first, the third without either.
    for key in ["idempotency-key: k\n", "idempotency-key: k\n", ""] {
        let mut client = gateway.client().await;
        let key = key.replace('\n', "\r\n");
        client.send(format!("POST / HTTP/1.1\r\nhost: shop\r\n{key}\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200);
        let ours = answer.headers.iter().find(|(name, _)| name.starts_with("x-floodgate-"));
        assert_eq!(ours, None);
    }
    assert_eq!(origin.seen().len(), 2);
}

#[tokio::test]
async fn nothing_is_said_until_it_is_switched_on_and_what_was_kept_stays() {
    let origin = origin();
    let on = text(&origin, ROUTES);
    let off = on.replace("header = true", "header = false");
    let gateway = Running::start(&off);
    assert_eq!(get(&gateway, "/rated", "").await.header(DECISION), None);
    assert_eq!(get(&gateway, "/open", "").await.header(DECISION), None);
    put(&gateway, &on).await;
    let refused = get(&gateway, "/rated", "").await;
    let of_refused = told(&gateway, &refused).await;
    // None was counted before.
    assert_eq!((&of_refused["number"], &of_refused["generation"]), (&json!(0), &json!(2)));
    // A configuration that no longer has the route: the record still says which it was.
    put(&gateway, &off.replace("\"rated\"", "\"other\"")).await;
    assert_eq!(get(&gateway, "/rated", "").await.header(DECISION), None);
    assert_eq!(told(&gateway, &refused).await, of_refused);
}

#[tokio::test]
async fn of_what_is_not_kept_it_is_told_why() {
    let origin = origin();
    let sampled = ROUTES.replace("header = true", "header = true\nsample = 0.0");
    let gateway = Running::start(&text(&origin, &sampled));
    let refused = get(&gateway, "/rated", "").await;
    let (process, _) = id(&refused).split_once('-').unwrap();
    let told = |id: String| {
        let gateway = &gateway;
        async move { missing(gateway, &id).await }
    };
    let not_found = |reason: &str| (404, reason.to_owned());
    assert_eq!(told(id(&refused).to_owned()).await, not_found("sampled_out"));
    assert_eq!(told(format!("{process}-0-1")).await, not_found("never_given_out"));
    assert_eq!(told(format!("{process}-9-0")).await, not_found("never_given_out"));
    assert_eq!(told("00000000-0-0".to_owned()).await.0, 404);
    assert_eq!(told("nonsense".to_owned()).await, (400, "bad_request".to_owned()));
}

/// Makes `text` live.
async fn put(gateway: &Running, text: &str) {
    let mut client = Client::connect(gateway.0).await;
    let length = text.len();
    let head =
        format!("PUT /api/config HTTP/1.1\r\nhost: admin\r\ncontent-length: {length}\r\n\r\n");
    client.send(head + text).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}
