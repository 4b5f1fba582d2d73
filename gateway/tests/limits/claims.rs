//! Keys that are claims: only who has a good token has one.

use floodgate_loadtest::origin::OriginHandle;
use tempfile::TempDir;

use crate::support::{Client, Issuer, Running, Settings, base64, from_now, reach, soon};
use crate::{admitted, from, route, started};

const LOGIN: Issuer = Issuer::Secret("a secret that is long enough to be one, they say");
const OTHER: Issuer = Issuer::Secret("another secret that is long enough to be one too");
const LIMITS: &str = "limits = [{ key = \"claim:sub\", rate = \"1/h\", burst = 2 }]";

/// A gateway that verifies tokens of [`LOGIN`], whose route `buy` has these keys, and whose upstream has those.
fn house(upstream: &str, keys: &str) -> (Running, OriginHandle, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("keys"), LOGIN.file()).unwrap();
    let file = folder.path().join("keys");
    let jwt = format!("\n[jwt]\nkeys = \"file:{}\"\nleeway = \"0s\"\n", file.display());
    let (gateway, origin) = started(Settings::upstream(upstream).rest(route(keys) + &jwt));
    (gateway, origin, folder)
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

fn of(sub: &str) -> String {
    bearer(&LOGIN.token(&format!("\"sub\":{sub}")))
}

/// What becomes of a request with these lines, at the turnstile and behind it.
async fn verdicts(gateway: &Running, lines: &str) -> [(u16, String); 2] {
    let mut client = from("127.0.0.9", gateway).await;
    client.send(format!("GET /buy/1 HTTP/1.1\r\nhost: shop\r\n{lines}\r\n")).await;
    let first = client.answer().await;
    let chunked = "transfer-encoding: chunked";
    let head = format!("POST /buy/1 HTTP/1.1\r\nhost: shop\r\n{chunked}\r\n{lines}\r\n0\r\n\r\n");
    let mut client = from("127.0.0.9", gateway).await;
    client.send(head).await;
    let second = client.answer_to("POST").await;
    [first, second].map(|answer| (answer.status, answer.reason().to_owned()))
}

#[tokio::test]
async fn a_claim_is_the_key_of_whoever_has_a_good_token() {
    let (gateway, origin, _keys) = house("", LIMITS);
    let mut client = gateway.client().await;
    assert_eq!(admitted(&mut client, "/buy/1", &of("\"anna\""), 3).await, 2);
    let again = bearer(&LOGIN.token("\"jti\":\"2\",\"sub\":\"anna\""));
    let mut elsewhere = from("127.0.0.2", &gateway).await;
    assert_eq!(admitted(&mut elsewhere, "/buy/2", &again, 2).await, 0, "whichever token it is");
    assert_eq!(admitted(&mut client, "/buy/1", &of("\"bert\""), 3).await, 2);
    assert_eq!(admitted(&mut client, "/buy/1", &of("71"), 3).await, 2, "a number");
    assert_eq!(admitted(&mut client, "/buy/1", &of("72"), 3).await, 2);
    assert_eq!(admitted(&mut client, "/buy/1", &of("\"71\""), 1).await, 0, "as it is written");
    assert_eq!(origin.stats().requests, 8);
    let refused = (429, "key_limit".to_owned());
    assert_eq!(verdicts(&gateway, &of("\"anna\"")).await, [refused.clone(), refused]);
    assert_eq!(gateway.status().await["limits"]["buy"]["claim:sub"]["keys"], 4);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn without_the_claim_a_request_goes_by_its_address_or_passes() {
    for (missing, admits) in [("client_ip", 2), ("pass", 9)] {
        let limits = LIMITS.replace("burst", &format!("missing = \"{missing}\", burst"));
        let (gateway, _origin, _keys) = house("", &limits);
        let mut client = from("127.0.0.2", &gateway).await;
        let without = [String::new(), "authorization: Basic YTpi\r\n".into(), of("[]"), of("\"\"")];
        let mut count = 0;
        for lines in without.iter().chain([&without[0]]).chain(&without) {
            count += admitted(&mut client, "/buy/1", lines, 1).await;
        }
        assert_eq!(count, admits, "{missing}");
        assert_eq!(admitted(&mut client, "/buy/1", &of("\"anna\""), 3).await, 2);
        let metrics = gateway.metrics().await;
        assert_eq!(metrics.count("floodgate_key_limit_missing_total", &[]), 9);
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_gives_nobody_a_key() {
    let (gateway, origin, keys) = house("", LIMITS);
    let anna = "\"sub\":\"anna\"";
    let payload = format!("{{{anna},\"exp\":{}}}", from_now(1_000));
    let none = base64(b"{\"alg\":\"none\"}");
    let bad = [
        OTHER.token(anna),
        LOGIN.sign(&format!("{{{anna},\"exp\":{}}}", from_now(0) - 5)),
        LOGIN.sign(&format!("{{{anna}}}")),
        format!("{none}.{}.", base64(payload.as_bytes())),
        "anna".to_owned(),
    ];
    let invalid = (401, "invalid_token".to_owned());
    for token in &bad {
        let found = verdicts(&gateway, &bearer(token)).await;
        assert_eq!(found, [invalid.clone(), invalid.clone()], "{token}");
    }
    let limit = gateway.status().await["limits"]["buy"]["claim:sub"].take();
    assert_eq!((&limit["keys"], origin.stats().requests), (&0.into(), 0), "{limit}");
    // Neither has it used up anything of hers, nor does it get her anything.
    let mut client = gateway.client().await;
    let good = of("\"anna\"");
    assert_eq!(admitted(&mut client, "/buy/1", &good, 3).await, 2);
    assert_eq!(verdicts(&gateway, &bearer(&bad[0])).await, [invalid.clone(), invalid.clone()]);
    // Nor does one that was good.
    let bert = of("\"bert\"");
    assert_eq!(admitted(&mut client, "/buy/1", &bert, 1).await, 1);
    std::fs::write(keys.path().join("keys"), OTHER.file()).unwrap();
    gateway.reload();
    let hers = bearer(&OTHER.token("\"sub\":\"dora\""));
    soon("the other key", async { while verdicts(&gateway, &hers).await[0].0 != 200 {} }).await;
    assert_eq!(verdicts(&gateway, &bert).await, [invalid.clone(), invalid]);
}

#[tokio::test]
async fn a_claim_may_be_part_of_a_key() {
    let limits = LIMITS.replace("\"claim:sub\"", "[\"claim:sub\", \"path:sku\"]");
    let (gateway, _origin, _keys) = house("", &limits);
    let mut client = gateway.client().await;
    for sub in ["\"anna\"", "\"bert\""] {
        for path in ["/buy/1", "/buy/2"] {
            assert_eq!(admitted(&mut client, path, &of(sub), 3).await, 2, "{sub} {path}");
        }
    }
}

#[tokio::test]
async fn one_customer_holds_a_share_and_the_others_go_on() {
    let isolate = "isolate = { key = \"claim:sub\", share = 0.2 }";
    for (upstream, of_route) in [(isolate, ""), ("", isolate)] {
        let (gateway, origin, _keys) = house(&format!("max_in_flight = 10\n{upstream}"), of_route);
        let mut held = Vec::new();
        for count in 1..=2 {
            let mut client: Client = gateway.client().await;
            let line = "GET /buy/1?x-origin-behaviour=never-answer HTTP/1.1";
            client.send(format!("{line}\r\nhost: shop\r\n{}\r\n", of("\"anna\""))).await;
            held.push(client);
            reach(&origin, |stats| stats.requests == count).await;
        }
        let share = (503, "key_share".to_owned());
        assert_eq!(verdicts(&gateway, &of("\"anna\"")).await, [share.clone(), share]);
        for (status, _) in verdicts(&gateway, &of("\"bert\"")).await {
            assert_eq!(status, 200);
        }
    }
}

#[tokio::test]
async fn of_a_claim_only_the_beginning_is_shown() {
    let (gateway, _origin, _keys) = house("", LIMITS);
    let mut client = gateway.client().await;
    admitted(&mut client, "/buy/1", &of("\"anna@shop.example\""), 2_000).await;
    let top = gateway.get("/api/keys/top").await.json();
    assert_eq!(top["keys"][0]["text"], "anna@s…", "{top}");
}
