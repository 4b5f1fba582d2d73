//! What a client may make an upstream believe.

use floodgate_loadtest::origin::Origin;

use crate::patient;
use crate::support::{Answer, Running, Settings};

/// The echo of a request with this line and these fields.
async fn echo(line: &str, fields: &str) -> Answer {
    let origin = Origin::builder().start().unwrap();
    let gateway = Running::start(&patient("", "").text(&[origin.addr()]));
    let mut client = gateway.client().await;
    client.send(format!("{line}\r\n{fields}x-origin-behaviour: echo\r\n\r\n")).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200);
    answer
}

#[tokio::test]
async fn the_forwarded_host_is_the_one_that_was_asked_for() {
    let line = "GET http://shop.example:81/cart HTTP/1.1";
    let answer = echo(line, "host: elsewhere.example\r\nx-forwarded-host: third.example\r\n").await;
    assert_eq!(answer.echoed("x-forwarded-host").as_deref(), Some("shop.example:81"));
    assert_eq!(answer.echoed("host").as_deref(), Some("shop.example:81"));
    assert_eq!(answer.json()["target"], "/cart");
    assert!(!answer.text().contains("elsewhere") && !answer.text().contains("third"));
}

#[tokio::test]
async fn underscores_carry_nothing_past_the_gateway() {
    let fields = "host: a\r\nX_Forwarded_For: liar\r\nX_Floodgate_Grant: liar\r\n\
                  X-Floodgate_Tier: liar\r\nX_Forwarded-Host: liar\r\nx_tier: liar\r\n\
                  X_Priority: liar\r\nX_Real_IP: liar\r\nx_request_deadline_ms: liar\r\n\
                  x_other: kept\r\n";
    let answer = echo("GET / HTTP/1.1", fields).await;
    assert!(!answer.text().contains("liar"), "{}", answer.text());
    assert_eq!(answer.echoed("x_other").as_deref(), Some("kept"));
}

#[tokio::test]
async fn a_question_about_the_whole_server_is_passed_on_as_one() {
    let origin = Origin::builder().start().unwrap();
    let rest = "[[tiers]]\nname = \"l1\"\n\
         [[routes]]\nname = \"cart\"\npath = \"/cart\"\n[[routes]]\nname = \"root\"\npath = \"/\"\n";
    let gateway = Running::start(&Settings::upstream("").rest(rest).text(&[origin.addr()]));
    let mut client = gateway.client().await;
    client.send("OPTIONS * HTTP/1.1\r\nhost: a\r\nx-origin-behaviour: echo\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(answer.status, 200, "{}", answer.reason());
    let echo = answer.json();
    assert_eq!((&echo["method"], &echo["target"]), (&"OPTIONS".into(), &"*".into()));
    gateway.quiet().await;
    let metrics = gateway.metrics().await;
    assert_eq!(metrics.count("floodgate_admitted_total", &["route=\"root\""]), 1);
}
