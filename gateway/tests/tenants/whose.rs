//! Whose a request is, and what the upstream is told of it.

use crate::house::{House, LOGIN, bearer, get, member, post};
use crate::support::Running;
use crate::upstream::{Asked, Upstream};

const TWO: &str =
    "[tenants.acme]\nid = \"Acme & Sons\"\nrate = \"1000/s\"\n[tenants.none]\nrate = \"1000/s\"\n";

async fn arrivals(gateway: &Running, tenant: &str) -> u64 {
    let label = format!("tenant=\"{tenant}\"");
    gateway.metrics().await.count("floodgate_tenant_arrivals_total", &[&label])
}

async fn stripped(gateway: &Running, field: &str) -> u64 {
    let label = format!("field=\"{field}\"");
    gateway.metrics().await.count("floodgate_stripped_fields_total", &[&label])
}

fn last(upstream: &Upstream) -> Asked {
    upstream.asked().pop().unwrap()
}

#[tokio::test]
async fn a_tenant_is_whom_the_token_names_and_the_upstream_is_told() {
    let upstream = Upstream::start().await;
    let gateway = House::new(TWO).start(&upstream);
    let acme = member("Acme & Sons");
    assert_eq!(get(&gateway, "/l1/", &acme).await.status, 200);
    assert_eq!(last(&upstream).values("x-tenant-id"), ["Acme & Sons"]);
    // Who says the same contradicts nobody; it is the gateway's word that goes on.
    let same = format!("{acme}X-Tenant-Id: Acme & Sons\r\nx_tenant_id: mallory\r\n");
    assert_eq!(get(&gateway, "/l1/", &same).await.status, 200);
    assert_eq!(last(&upstream).values("x-tenant-id"), ["Acme & Sons"]);
    assert!(last(&upstream).values("x_tenant_id").is_empty());
    assert_eq!(stripped(&gateway, "x-tenant-id").await, 2);
    assert_eq!((arrivals(&gateway, "acme").await, arrivals(&gateway, "none").await), (2, 0));
    // Nobody's: without a token, without the claim, with an unknown one.
    let unnamed = bearer(&LOGIN.token("\"sub\":\"anna\""));
    let strange = member("umbrella");
    for (fields, told) in [("", None), (&unnamed, None), (&strange, Some("umbrella"))] {
        assert_eq!(get(&gateway, "/l1/", fields).await.status, 200);
        assert_eq!(last(&upstream).values("x-tenant-id"), Vec::from_iter(told), "{fields}");
    }
    let claimed = "x-tenant-id: Acme & Sons\r\n";
    assert_eq!(get(&gateway, "/l1/", claimed).await.status, 200);
    assert!(last(&upstream).values("x-tenant-id").is_empty(), "nobody believes that");
    assert_eq!((arrivals(&gateway, "acme").await, arrivals(&gateway, "none").await), (2, 4));
    let series = gateway.metrics().await.to_string();
    assert!(!series.contains("umbrella"), "a label that nobody has configured");
}

#[tokio::test]
async fn who_contradicts_its_token_is_refused() {
    let upstream = Upstream::start().await;
    let gateway = House::new(TWO).start(&upstream);
    for said in
        ["umbrella", "acme", "", "Acme & Sons, umbrella", "Acme & Sons\r\nx-tenant-id: umbrella"]
    {
        let fields = format!("{}x-tenant-id: {said}\r\n", member("Acme & Sons"));
        assert_eq!(get(&gateway, "/l1/", &fields).await.verdict(), (403, "tenant_mismatch"));
        assert_eq!(post(&gateway, "/l1/", &fields).await.verdict(), (403, "tenant_mismatch"));
    }
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn a_header_names_the_tenant_only_from_a_trusted_proxy() {
    let upstream = Upstream::start().await;
    for (proxies, is_believed) in [("127.0.0.0/8", true), ("192.0.2.0/24", false)] {
        let server = format!("tenant_from = \"header:x-org\"\ntrusted_proxies = [\"{proxies}\"]");
        let gateway = House::new(TWO).server(&server).start(&upstream);
        let fields = "x-org: Acme & Sons\r\n";
        assert_eq!(get(&gateway, "/l1/", fields).await.status, 200);
        let told = last(&upstream).values("x-org").len();
        assert_eq!(told, usize::from(is_believed));
        assert_eq!(arrivals(&gateway, "acme").await, u64::from(is_believed));
        assert_eq!(arrivals(&gateway, "none").await, u64::from(!is_believed));
        let twice = get(&gateway, "/l1/", &format!("{fields}x-org: umbrella\r\n")).await;
        let expected = if is_believed { (403, "tenant_mismatch") } else { (200, "") };
        assert_eq!(twice.verdict(), expected);
    }
}

#[tokio::test]
async fn without_tenants_nobody_is_told_from_anybody() {
    let upstream = Upstream::start().await;
    let gateway = House::new("").start(&upstream);
    assert_eq!(get(&gateway, "/l1/", "x-tenant-id: acme\r\n").await.status, 200);
    assert_eq!(last(&upstream).values("x-tenant-id"), ["acme"], "the application's own business");
    assert!(!gateway.metrics().await.to_string().contains("floodgate_tenant_"));
}

#[tokio::test]
async fn what_somebody_gives_oneself_is_taken_off_and_counted() {
    let upstream = Upstream::start().await;
    let gateway = House::new(TWO).start(&upstream);
    let fields = "x-tier: l1\r\nX_Priority: 9\r\nx-floodgate-tier: l1\r\nx-floodgate-grant: x\r\n";
    assert_eq!(get(&gateway, "/l3/", fields).await.status, 200);
    for name in ["x-tier", "x_priority", "x-floodgate-tier", "x-floodgate-grant"] {
        assert!(last(&upstream).values(name).is_empty(), "{name}");
    }
    for (field, count) in
        [("x-tier", 1), ("x-priority", 1), ("x-floodgate-", 1), ("x-tenant-id", 0)]
    {
        assert_eq!(stripped(&gateway, field).await, count, "{field}");
    }
}
