//! Every forgery is found, whichever way it comes, and reaches nobody.

use crate::house::{House, LOGIN, bearer, get, post};
use crate::support::{Answer, Issuer, Running, base64, from_now};
use crate::upstream::Upstream;

const REQUIRED: &str =
    "[[routes]]\nname = \"till\"\npath = \"/till\"\ntier = \"l1\"\nrequire_token = true\n";

fn house() -> House {
    House::new("").more(REQUIRED)
}

fn is_refused(answer: &Answer, what: &str) {
    assert_eq!(answer.verdict(), (401, "invalid_token"), "{what}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

/// Asks in both ways.
async fn refused(gateway: &Running, fields: &str, what: &str) {
    is_refused(&get(gateway, "/till", fields).await, what);
    is_refused(&post(gateway, "/till", fields).await, what);
}

async fn counted(gateway: &Running, result: &str) -> u64 {
    let label = format!("result=\"{result}\"");
    gateway.metrics().await.count("floodgate_tokens_total", &[&label])
}

#[tokio::test]
async fn a_forged_token_lets_nobody_in() {
    let upstream = Upstream::start().await;
    let house = house().jwt("issuer = \"login\"\naudience = [\"shop\"]\nleeway = \"1s\"");
    let (rsa, other) = (Issuer::rsa(), Issuer::rsa());
    house.put_keys(&rsa.file());
    let gateway = house.start(&upstream);
    let (past, future) = (from_now(0) - 5, from_now(1_000));
    let ours = "\"iss\":\"login\",\"aud\":\"shop\"";
    let payload = format!("{{{ours},\"exp\":{future}}}");
    let good = rsa.sign(&payload);
    let none = |alg: &str| {
        format!(
            "{}.{}.",
            base64(format!("{{\"alg\":\"{alg}\"}}").as_bytes()),
            base64(payload.as_bytes())
        )
    };
    let public: &'static str = rsa.file().leak();
    let bent = {
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { 'B' } else { 'A' };
        format!("{signed}.{first}{}", &signature[1..])
    };
    let claim = good.replacen(
        &base64(payload.as_bytes()),
        &base64(payload.replace("shop", "Shop").as_bytes()),
        1,
    );
    let forgeries = [
        ("algorithm", none("none")),
        ("algorithm", none("NoNe")),
        ("algorithm", Issuer::Secret(public).sign(&payload)),
        ("algorithm", Issuer::Secret(public.trim()).sign(&payload)),
        ("algorithm", rsa.sign_as("{\"alg\":\"ES256\"}", &payload)),
        ("forged", none("RS256")),
        ("forged", other.sign(&payload)),
        ("forged", bent),
        ("forged", claim),
        ("expired", rsa.sign(&format!("{{{ours},\"exp\":{past}}}"))),
        ("expired", rsa.sign(&format!("{{{ours}}}"))),
        ("not_yet", rsa.sign(&format!("{{{ours},\"exp\":{future},\"nbf\":{future}}}"))),
        ("issuer", rsa.sign(&format!("{{\"iss\":\"me\",\"aud\":\"shop\",\"exp\":{future}}}"))),
        ("issuer", rsa.sign(&format!("{{\"aud\":\"shop\",\"exp\":{future}}}"))),
        ("audience", rsa.sign(&format!("{{\"iss\":\"login\",\"aud\":\"blog\",\"exp\":{future}}}"))),
        ("malformed", rsa.sign_as("{\"alg\":\"RS256\",\"crit\":[\"x\"]}", &payload)),
        ("malformed", rsa.sign(&format!("{{{ours},\"exp\":{future},\"exp\":{future}}}"))),
        ("malformed", "a.b.c".to_owned()),
    ];
    for (why, token) in forgeries {
        let before = counted(&gateway, why).await;
        refused(&gateway, &bearer(&token), why).await;
        assert!(counted(&gateway, why).await > before, "{why}: {token}");
    }
    let twice = bearer(&good) + &bearer(&good);
    refused(&gateway, &twice, "two fields").await;
    let hidden = format!("authorization: Basic YTpi\r\n{}", bearer(&good));
    refused(&gateway, &hidden, "two fields").await;
    assert!(upstream.asked().is_empty(), "{:?}", upstream.asked());
    assert_eq!(counted(&gateway, "good").await, 0);
    assert_eq!(get(&gateway, "/till", &bearer(&good)).await.status, 200);
    assert_eq!(post(&gateway, "/till", &bearer(&good)).await.status, 200);
    assert_eq!(counted(&gateway, "good").await, 1, "verified once");
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn where_a_token_is_required_nobody_passes_without_and_elsewhere_nobody_asks() {
    let upstream = Upstream::start().await;
    let gateway = house().start(&upstream);
    for fields in ["", "authorization: Basic YTpi\r\n"] {
        for answer in [get(&gateway, "/till", fields).await, post(&gateway, "/till", fields).await]
        {
            assert_eq!(answer.verdict(), (401, "token_required"), "{fields}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert!(upstream.asked().is_empty());
    assert_eq!(get(&gateway, "/l1/", &bearer("rubbish")).await.status, 200);
    let mut client = gateway.client().await;
    client.send("OPTIONS /till HTTP/1.1\r\nhost: shop\r\n\r\n").await;
    assert_eq!(client.answer_to("OPTIONS").await.status, 200, "what may be asked, anybody may ask");
    assert_eq!(counted(&gateway, "malformed").await, 0);
}

#[tokio::test]
async fn whom_the_gate_refuses_costs_no_signature() {
    let upstream = Upstream::start().await;
    let gateway = house().upstream("max_in_flight = 0").start(&upstream);
    for n in 0..20 {
        let token = LOGIN.token(&format!("\"n\":{n}"));
        let answer = get(&gateway, "/till", &bearer(&format!("{token}x"))).await;
        assert_eq!(answer.verdict(), (503, "closed"));
    }
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_tokens_total", &[]), 0, "{metrics}");
}
