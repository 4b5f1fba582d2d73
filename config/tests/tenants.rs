//! Tokens and tenants: from the text to what is meant.

use std::path::{Path, PathBuf};
use std::time::Duration;

use floodgate_config::{Algorithm, Config, KeySource, TenantSource, check, load, parse};

const BASE: &str = "[upstreams.shop]\nservers = [\"127.0.0.1:9000\"]\n[[tiers]]\n[[tiers]]\n";

fn with(server: &str, more: &str) -> Config {
    let text = format!("[server]\n{server}\n{BASE}{more}");
    parse("tenants.toml", &text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(server: &str, more: &str) -> String {
    let text = format!("[server]\n{server}\n{BASE}{more}");
    parse("tenants.toml", &text).expect_err("a problem").to_string()
}

fn warnings(server: &str, more: &str) -> String {
    let text = format!("[server]\n{server}\n{BASE}{more}");
    check("tenants.toml", &text).expect("it is legal").warnings.to_string()
}

const JWT: &str = "[jwt]\nkeys = \"file:keys\"\naudience = [\"shop\"]\n";
const FROM: &str = "tenant_from = \"claim:org\"";

#[test]
fn the_example_says_what_it_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tenants.toml");
    let loaded = load(&file).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let config = loaded.config;
    let jwt = config.jwt.as_ref().unwrap();
    assert_eq!(jwt.algorithms, [Algorithm::Rs256, Algorithm::Es256]);
    let names: Vec<_> = config.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
    assert_eq!(names, ["acme", "umbrella", "none"]);
    let umbrella = &config.tenants[1];
    assert_eq!((umbrella.share, umbrella.buffer_share, umbrella.shadow), (0.25, 0.1, true));
    assert_eq!((umbrella.id.as_str(), umbrella.highest_tier.index()), ("umbrella-corp", 1));
    assert_eq!(config.claims(), ["tenant"]);
    assert!(config.routes[0].require_token && !config.routes[1].require_token);
}

#[test]
fn what_is_left_out_limits_nothing() {
    let config = with(FROM, &format!("{JWT}[tenants.a]\n[tenants.b]\nshare = 0.5\n"));
    let jwt = config.jwt.as_ref().unwrap();
    assert_eq!((jwt.leeway, jwt.cache, &jwt.issuer), (Duration::from_secs(30), 20_000, &None));
    assert_eq!(jwt.keys, KeySource::File(PathBuf::from("keys")));
    assert!(jwt.algorithms.is_empty());
    let [a, b] = &config.tenants[..] else { panic!("two") };
    assert_eq!((a.rate, a.share, a.buffer_share, a.shadow), (None, 1.0, 1.0, false));
    assert_eq!((a.id.as_str(), a.highest_tier.index()), ("a", 0));
    assert_eq!((b.share, b.buffer_share), (0.5, 0.5), "both unless one is told apart");
    assert_eq!(config.server.tenant_from, Some(TenantSource::Claim("org".to_owned())));
    let plain = with("", "");
    assert!(plain.jwt.is_none() && plain.tenants.is_empty() && plain.claims().is_empty());
}

#[test]
fn a_claim_that_nobody_verifies_is_refused_wherever_it_is_asked_for() {
    let journey = "[[routes]]\nname = \"cart\"\n[[journeys]]\nname = \"sale\"\nidentity = \"claim:sub\"\nsteps = [\"cart\"]\n";
    let tenants = "[tenants.a]\n";
    let limit = "[[routes]]\nlimits = [{ key = [\"client_ip\", \"claim:uid\"], rate = \"1/s\" }]\n";
    let isolate = "isolate = { key = \"claim:uid\", share = 0.5 }\n";
    let of_route = format!("[[routes]]\n{isolate}");
    let of_upstream = format!(
        "[upstreams.other]\nservers = [\"127.0.0.1:9001\"]\n{isolate}[[routes]]\nupstream = \"shop\"\n"
    );
    for (server, more) in [
        ("", journey),
        (FROM, tenants),
        ("", "[[routes]]\nrequire_token = true\n"),
        ("", limit),
        ("", &of_route),
        ("", &of_upstream),
    ] {
        let problems = problems(server, more);
        assert!(problems.contains("[jwt]"), "{problems}");
        with(server, &format!("{JWT}{more}"));
    }
    let config = with(FROM, &format!("{JWT}{tenants}{journey}"));
    assert_eq!(config.claims(), ["org", "sub"]);
    for more in [limit, &of_route, &of_upstream] {
        let told = warnings("", &format!("{JWT}{more}"));
        assert_eq!(with("", &format!("{JWT}{more}")).claims(), ["uid"], "{told}");
        assert!(!told.contains("no token is ever verified"), "{told}");
    }
}

#[test]
fn tenants_need_to_be_told_from_each_other() {
    let says = |server: &str, more: &str, expected: &str| {
        let problems = problems(server, &format!("{JWT}{more}"));
        assert!(problems.contains(expected), "{problems}");
    };
    says("", "[tenants.a]\n", "nothing says which tenant's a request is");
    says(
        "tenant_from = \"header:x-org\"",
        "[tenants.a]\n",
        "nobody's word about its tenant counts",
    );
    says(FROM, "[tenants.a]\nid = \"x\"\n[tenants.b]\nid = \"x\"\n", "declared twice");
    says(FROM, "[tenants.a]\n[tenants.b]\nid = \"a\"\n", "declared twice");
    says(FROM, "[tenants.none]\nid = \"x\"\n", "whoever is of no other");
    says(FROM, "[tenants.a]\nhighest_tier = \"l3\"\n", "there is no tier `l3`");
    says(FROM, "[tenants.a]\nshare = 0.0\n", "out of range for `tenants.a.share`");
    says(FROM, "[tenants.a]\nbuffer_share = 1.5\n", "out of range for `tenants.a.buffer_share`");
    says(FROM, "[tenants.a]\nburst = 5\n", "`burst` without `rate`");
    says(FROM, "[tenants.\"a b\"]\n", "cannot be a name");
    let proxies = "tenant_from = \"header:x-org\"\ntrusted_proxies = [\"10.0.0.0/8\"]";
    with(proxies, "[tenants.a]\n");
}

#[test]
fn what_is_odd_is_said() {
    let says = |server: &str, more: &str, expected: &str| {
        let warnings = warnings(server, more);
        assert!(warnings.contains(expected), "{warnings}");
    };
    says("", JWT, "no token is ever verified");
    says(FROM, JWT, "`tenant_from` without tenants");
    says(
        FROM,
        "[jwt]\nkeys = \"file:keys\"\n[tenants.a]\nrate = \"1/s\"\n",
        "tokens for any audience",
    );
    says(FROM, &format!("{JWT}[tenants.a]\n"), "nothing is limited for the tenant `a`");
    assert_eq!(warnings(FROM, &format!("{JWT}[tenants.a]\nrate = \"1/s\"\n[tenants.none]\n")), "");
}
