//! What is one key and what is another.

use crate::support::{Client, Running, Settings};
use crate::{admitted, from, route, start, started};

async fn one(gateway: &Running) -> Client {
    gateway.client().await
}

#[tokio::test]
async fn each_address_has_a_burst_of_its_own() {
    let (gateway, origin) = start("limits = [{ key = \"client_ip\", rate = \"1/h\", burst = 3 }]");
    for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        let mut client = from(address, &gateway).await;
        assert_eq!(admitted(&mut client, "/buy/1", "", 5).await, 3, "{address}");
        let mut again = from(address, &gateway).await;
        assert_eq!(admitted(&mut again, "/buy/2", "", 2).await, 0, "{address}");
    }
    assert_eq!(origin.stats().requests, 9, "who is refused reaches nobody");
    assert_eq!(admitted(&mut one(&gateway).await, "/else", "", 5).await, 5, "another route");
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn a_trusted_proxy_speaks_for_its_clients_and_nobody_else_does() {
    let limits = "limits = [{ key = \"client_ip\", rate = \"1/h\", burst = 2 }]";
    let settings = Settings::upstream("").rest(route(limits));
    let (gateway, _origin) =
        started(settings.server("trusted_proxies = [\"127.0.0.2/32\", \"10.0.0.0/8\"]"));
    let mut proxy = from("127.0.0.2", &gateway).await;
    for (line, count) in [
        ("x-forwarded-for: 192.0.2.1\r\n", 2),
        ("x-forwarded-for: 192.0.2.2\r\n", 2),
        // What stands before the last that is not trusted anybody may have written.
        ("x-forwarded-for: 198.51.100.9, 192.0.2.1\r\n", 0),
        ("x-forwarded-for: 192.0.2.2, 10.0.0.7\r\n", 0),
        // The first 64 bits of an IPv6 address are one client.
        ("x-forwarded-for: 2001:db8::1\r\n", 2),
        ("x-forwarded-for: 2001:db8::ffff:1\r\n", 0),
        ("x-forwarded-for: 2001:db8:0:1::1\r\n", 2),
        ("", 2),
    ] {
        assert_eq!(admitted(&mut proxy, "/buy/1", line, 3).await, count, "{line}");
    }
    let mut stranger = from("127.0.0.3", &gateway).await;
    let mut count = 0;
    for n in 0..5 {
        let line = format!("x-forwarded-for: 203.0.113.{n}\r\n");
        count += admitted(&mut stranger, "/buy/1", &line, 1).await;
    }
    assert_eq!(count, 2, "whoever is not trusted is who it is");
}

#[tokio::test]
async fn a_field_a_cookie_a_parameter_and_a_segment_are_keys() {
    for (key, path, lines, same, others) in [
        (
            "header:x-user",
            "/buy/1",
            "x-user: a\r\n",
            ("/buy/2", "X-User:  a \r\n"),
            ("/buy/1", "x-user: b\r\n"),
        ),
        (
            "cookie:sid",
            "/buy/1",
            "cookie: sid=a\r\n",
            ("/buy/1", "cookie: x=y; sid=\"a\"\r\n"),
            ("/buy/1", "cookie: sid=A\r\n"),
        ),
        ("query:q", "/buy/1?q=a+b", "", ("/buy/1?x=1&q=%61%20b", ""), ("/buy/1?q=ab", "")),
        ("path:sku", "/buy/hot", "", ("/buy/hot;a=1?q=1", ""), ("/buy/cold", "")),
    ] {
        let limits = format!("limits = [{{ key = \"{key}\", rate = \"1/h\", burst = 2 }}]");
        let (gateway, _origin) = start(&limits);
        let mut client = one(&gateway).await;
        assert_eq!(admitted(&mut client, path, lines, 3).await, 2, "{key}");
        assert_eq!(admitted(&mut client, same.0, same.1, 2).await, 0, "{key}: the same");
        assert_eq!(admitted(&mut client, others.0, others.1, 3).await, 2, "{key}: another");
    }
}

#[tokio::test]
async fn several_parts_are_one_key() {
    let limits = "limits = [{ key = [\"client_ip\", \"path:sku\"], rate = \"1/h\", burst = 2 }]";
    let (gateway, _origin) = start(limits);
    for address in ["127.0.0.1", "127.0.0.2"] {
        let mut client = from(address, &gateway).await;
        for path in ["/buy/1", "/buy/2"] {
            assert_eq!(admitted(&mut client, path, "", 3).await, 2, "{address} {path}");
        }
        assert_eq!(admitted(&mut client, "/buy/1", "", 1).await, 0);
    }
}

#[tokio::test]
async fn every_limit_has_to_be_kept_to() {
    let limits = "limits = [\n\
        { name = \"few\", key = \"client_ip\", rate = \"1/h\", burst = 4 },\n\
        { key = \"path:sku\", rate = \"1/h\", burst = 3 },\n]";
    let (gateway, _origin) = start(limits);
    let mut client = one(&gateway).await;
    assert_eq!(admitted(&mut client, "/buy/1", "", 9).await, 3);
    // Who was refused by the second has taken nothing of the first.
    assert_eq!(admitted(&mut client, "/buy/2", "", 9).await, 1);
    let metrics = gateway.metrics().await;
    let refused = |limit: &str| {
        let labels = ["route=\"buy\"", limit, "mode=\"enforced\""];
        metrics.count("floodgate_key_limit_refusals_total", &labels)
    };
    assert_eq!((refused("limit=\"path:sku\""), refused("limit=\"few\"")), (6, 8));
}

#[tokio::test]
async fn nobody_gets_rid_of_a_limit_by_leaving_its_key_out() {
    let (gateway, _origin) =
        start("limits = [{ key = \"header:x-user\", rate = \"1/h\", burst = 2 }]");
    let mut client = from("127.0.0.2", &gateway).await;
    // Twice is as good as not at all, since who would take which is not known; empty is nothing.
    let mut count = 0;
    for lines in ["", "x-user: a\r\nx-user: b\r\n", "x-user:\r\n", ""] {
        count += admitted(&mut client, "/buy/1", lines, 1).await;
    }
    assert_eq!(count, 2);
    assert_eq!(admitted(&mut client, "/buy/1", "x-user: a\r\n", 3).await, 2);
    let mut other = from("127.0.0.3", &gateway).await;
    assert_eq!(admitted(&mut other, "/buy/1", "", 3).await, 2, "another address");
    let missing = gateway.metrics().await;
    assert_eq!(missing.count("floodgate_key_limit_missing_total", &[]), 7);
}

#[tokio::test]
async fn who_lacks_the_key_may_be_let_pass() {
    let limits =
        "limits = [{ key = \"header:x-user\", rate = \"1/h\", burst = 2, missing = \"pass\" }]";
    let (gateway, _origin) = start(limits);
    let mut client = one(&gateway).await;
    assert_eq!(admitted(&mut client, "/buy/1", "", 9).await, 9);
    assert_eq!(admitted(&mut client, "/buy/1", "x-user: a\r\n", 9).await, 2);
}

#[tokio::test]
async fn more_keys_than_are_remembered_get_no_more_than_their_rate() {
    let limits = "limits = [{ key = \"header:x-user\", rate = \"1/h\", burst = 2, max_keys = 4 }]";
    let (gateway, _origin) = start(limits);
    let mut client = one(&gateway).await;
    for n in 0..50 {
        let line = format!("x-user: {n}\r\n");
        assert!(admitted(&mut client, "/buy/1", &line, 3).await <= 2);
    }
    // Whoever has a place keeps it.
    assert_eq!(admitted(&mut client, "/buy/1", "x-user: 0\r\n", 3).await, 0);
    let limit = &gateway.status().await["limits"]["buy"]["header:x-user"];
    assert_eq!((&limit["keys"], &limit["max_keys"]), (&4.into(), &4.into()));
    assert!(limit["in_company"].as_u64().unwrap() > 0, "{limit}");
}
