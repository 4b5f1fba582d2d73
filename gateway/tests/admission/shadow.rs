//! Rules in the shadow: watermarks and rates refuse nobody, say whom they would, and are live as soon as they are out of it.

use floodgate_loadtest::origin::Origin;

use crate::support::{Client, Running, Settings};

/// The first tier, the second with watermarks of these keys, a route each.
fn tiers(keys: &str) -> String {
    let patient = "max_wait = \"20s\"\ndeadline = \"30s\"";
    format!(
        "[[tiers]]\n{patient}\nwatermarks = {{ high = 1.0, low = 0.9 }}\n\
         [[tiers]]\n{patient}\nwatermarks = {{ high = 0.8, low = 0.5{keys} }}\n\
         [[routes]]\nname = \"one\"\npath = \"/l1\"\ntier = \"l1\"\n\
         [[routes]]\nname = \"two\"\npath = \"/l2\"\ntier = \"l2\"\n"
    )
}

async fn apply(gateway: &Running, text: &str) {
    let mut client = Client::connect(gateway.0).await;
    let length = text.len();
    client
        .send(format!(
            "PUT /api/config HTTP/1.1\r\nhost: admin\r\ncontent-length: {length}\r\n\r\n{text}"
        ))
        .await;
    let answer = client.answer_to("PUT").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn would_refuse(gateway: &Running, labels: &[&str]) -> u64 {
    gateway.metrics().await.count("floodgate_shadow_rule_refusals_total", labels)
}

#[tokio::test]
async fn a_breaker_in_the_shadow_refuses_nobody_until_it_is_live() {
    let origin = Origin::builder().start().unwrap();
    let text = |keys| {
        let settings = Settings::upstream("max_in_flight = 1\nbuffer = 10").rest(tiers(keys));
        settings.text(&[origin.addr()])
    };
    let gateway = Running::start(&text(", shadow = true"));
    let _held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for place in 1..=8 {
        waiters.push(gateway.waiting("/l2", place).await);
    }
    assert_eq!(would_refuse(&gateway, &[]).await, 0);
    let seen = gateway.checkout().await["tiers"]["l2"].take();
    assert_eq!((&seen["breaker"], &seen["breaker_shadow"]), (&"open".into(), &true.into()));
    for place in 9..=10 {
        waiters.push(gateway.waiting("/l2", place).await);
    }
    let mut refused = gateway.asking("/l2").await;
    assert_eq!(refused.answer().await.verdict(), (503, "buffer_full"), "that is no breaker");
    let labels = ["rule=\"watermark\"", "route=\"two\"", "tier=\"l2\""];
    assert_eq!(would_refuse(&gateway, &labels).await, 2);
    assert_eq!(would_refuse(&gateway, &[]).await, 2, "nobody else is");

    drop(waiters.pop());
    gateway.queued(9).await;
    apply(&gateway, &text("")).await;
    let mut refused = gateway.asking("/l2").await;
    assert_eq!(refused.answer().await.verdict(), (503, "watermark"), "live at once");
    let seen = gateway.checkout().await["tiers"]["l2"].take();
    assert_eq!((&seen["breaker"], &seen["breaker_shadow"]), (&"open".into(), &false.into()));
    assert_eq!((&seen["trips"], &seen["queued"]), (&1.into(), &9.into()), "nobody is evicted");
    assert_eq!(would_refuse(&gateway, &[]).await, 2);
}

#[tokio::test]
async fn a_rate_in_the_shadow_refuses_nobody_until_it_is_live() {
    for rule in ["route_rate", "tier_rate", "upstream_rate"] {
        let origin = Origin::builder().start().unwrap();
        let text = |more: &str| {
            let rate = format!("rate = \"1/h\"\nburst = 2{more}");
            let of = |one: &str| if rule == one { rate.as_str() } else { "" };
            let rest = format!(
                "[[tiers]]\n{}\n[[routes]]\nname = \"all\"\n{}\n",
                of("tier_rate"),
                of("route_rate")
            );
            Settings::upstream(of("upstream_rate")).rest(rest).text(&[origin.addr()])
        };
        let gateway = Running::start(&text("\nrate_shadow = true"));
        let mut client = gateway.client().await;
        for _ in 0..5 {
            client.get("/").await;
            assert_eq!(client.answer().await.status, 200, "{rule}");
            // Behind the turnstile, too.
            let head = "POST / HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked";
            client.send(format!("{head}\r\n\r\n0\r\n\r\n")).await;
            assert_eq!(client.answer_to("POST").await.status, 200, "{rule}");
        }
        let label = format!("rule=\"{rule}\"");
        assert_eq!(would_refuse(&gateway, &[&label, "route=\"all\""]).await, 8, "{rule}");
        assert_eq!(would_refuse(&gateway, &[]).await, 8, "no other rule");
        apply(&gateway, &text("")).await;
        client.get("/").await;
        assert_eq!(client.answer().await.verdict(), (503, "rate"), "{rule}: what was used is used");
        gateway.quiet().await;
        gateway.metrics().await.closed_ledger();
    }
}
