//! What keeps its name keeps its state.

use floodgate_loadtest::origin::OriginHandle;

use crate::live::{Live, origin, text};
use crate::support::{Client, Nobody, Settings, reach};

// --- permits and waiters ---

#[tokio::test]
async fn permits_in_flight_count_against_the_new_limit() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 2\nbuffer = 4"));
    let mut held = vec![gateway.holding(&origin).await, gateway.holding(&origin).await];
    gateway.change(&text(&origin, "max_in_flight = 3\nbuffer = 4")).await;
    let status = gateway.checkout().await;
    assert_eq!((&status["in_flight"], &status["limit"]), (&2.into(), &3.into()));
    held.push(gateway.holding(&origin).await);
    let _waiter = gateway.waiting("/l1", 1).await;
    assert_eq!(origin.stats().requests, 3);
    drop(held);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn what_was_promised_to_a_tier_stays_counted_by_its_name() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, ""));
    for path in ["/l1", "/l2", "/l2?x-origin-behaviour=garbage"] {
        gateway.asking(path).await.answer().await;
    }
    let counted = async |tier: &str| {
        let told = gateway.status().await["objectives"][tier]["availability"].take();
        (told["good"].as_u64(), told["bad"].as_u64())
    };
    let both = async || [counted("l1").await, counted("l2").await];
    let expected = [(Some(1), Some(0)), (Some(1), Some(1))];
    assert_eq!(both().await, expected);
    let changed = text(&origin, "").replace(
        "name = \"l2\"\nmax_wait",
        "name = \"l2\"\nobjective.availability = 0.5\nmax_wait",
    );
    gateway.change(&changed).await;
    assert_eq!(both().await, expected);
    let told = gateway.status().await["objectives"]["l2"]["availability"].take();
    assert_eq!((&told["target"], &told["budget_left"]), (&0.5.into(), &0.0.into()), "{told:#}");
    let told = gateway.get("/api/violations").await.json();
    assert_eq!(told["violations"].as_array().map(Vec::len), Some(1), "{told:#}");
}

#[tokio::test]
async fn a_raised_limit_admits_who_waits_at_once() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 1\nbuffer = 4"));
    let held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for place in 1..=3 {
        waiters.push(gateway.waiting("/l1", place).await);
    }
    gateway.change(&text(&origin, "max_in_flight = 4\nbuffer = 4")).await;
    for waiter in &mut waiters {
        assert_eq!(waiter.answer().await.status, 200);
    }
    assert_eq!(gateway.checkout().await["in_flight"], 1);
    drop(held);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

#[tokio::test]
async fn a_smaller_buffer_evicts_nobody_and_refuses_newcomers() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 1\nbuffer = 4"));
    let held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for place in 1..=3 {
        waiters.push(gateway.waiting("/l1", place).await);
    }
    gateway.change(&text(&origin, "max_in_flight = 1\nbuffer = 1")).await;
    assert_eq!(gateway.checkout().await["queued"], 3);
    let refused = gateway.verdict("/l1").await;
    assert!(["buffer_full", "watermark"].contains(&refused.1.as_str()), "{refused:?}");
    drop(held);
    for waiter in &mut waiters {
        assert_eq!(waiter.answer().await.status, 200);
    }
    gateway.quiet().await;
    assert_eq!(gateway.verdict("/l1").await.0, 200);
}

#[tokio::test]
async fn a_limit_below_what_is_in_flight_admits_none_until_it_has_fallen() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 3\nbuffer = 4"));
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(gateway.holding(&origin).await);
    }
    gateway.change(&text(&origin, "max_in_flight = 1\nbuffer = 4")).await;
    let mut waiter = gateway.waiting("/l1", 1).await;
    for left in [2, 1] {
        drop(held.pop());
        gateway.reach("one less inside", |status| status["in_flight"] == left).await;
        assert_eq!(gateway.checkout().await["queued"], 1, "{left} are inside");
    }
    assert_eq!(origin.stats().requests, 3);
    drop(held);
    assert_eq!(waiter.answer().await.status, 200);
}

#[tokio::test]
async fn closed_and_opened_again_it_still_knows_who_is_inside() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 1\nbuffer = 4"));
    let held = gateway.holding(&origin).await;
    gateway.change(&text(&origin, "max_in_flight = 0\nbuffer = 4")).await;
    assert_eq!(gateway.verdict("/l1").await, (503, "closed".to_owned()));
    gateway.change(&text(&origin, "max_in_flight = 1\nbuffer = 4")).await;
    let mut waiter = gateway.waiting("/l1", 1).await;
    drop(held);
    assert_eq!(waiter.answer().await.status, 200);
}

#[tokio::test]
async fn waiters_of_a_tier_that_is_removed_are_served() {
    let origin = origin();
    let gateway = Live::start(&text(&origin, "max_in_flight = 1\nbuffer = 4"));
    let held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for (place, path) in (1..).zip(["/l1", "/l2", "/l3"]) {
        waiters.push(gateway.waiting(path, place).await);
    }
    let one = "[[tiers]]\nname = \"l1\"\n[[routes]]\nname = \"one\"\n";
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 4").rest(one);
    gateway.change(&settings.text(&[origin.addr()])).await;
    drop(held);
    for waiter in &mut waiters {
        assert_eq!(waiter.answer().await.status, 200);
    }
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}

// --- breakers, servers ---

#[tokio::test]
async fn an_open_breaker_stays_open_and_keeps_its_pressure() {
    let origin = origin();
    let with = |spare: &str| {
        let rest = "[[tiers]]\nmax_wait = \"20s\"\ndeadline = \"30s\"\n\
                    [[tiers]]\nmax_wait = \"20s\"\ndeadline = \"30s\"\nwatermarks = { high = 0.8, low = 0.5 }\n\
                    [[routes]]\npath = \"/l1/{*rest}\"\ntier = \"l1\"\n[[routes]]\npath = \"/l2/{*rest}\"\ntier = \"l2\"\n";
        let keys = format!("max_in_flight = 1\nbuffer = 10\n{spare}");
        Settings::upstream(&keys).rest(rest).text(&[origin.addr()])
    };
    let gateway = Live::start(&with(""));
    let _held = gateway.holding(&origin).await;
    let mut waiters = Vec::new();
    for place in 1..=8 {
        waiters.push(gateway.waiting("/l2", place).await);
    }
    assert_eq!(gateway.checkout().await["tiers"]["l2"]["breaker"], "open");
    // Between the two watermarks: a breaker that begins anew would be closed.
    for left in [7, 6] {
        drop(waiters.pop());
        gateway.queued(left).await;
    }
    gateway.change(&with("idle_timeout = \"7s\"")).await;
    let status = gateway.checkout().await;
    assert_eq!(status["tiers"]["l2"]["breaker"], "open");
    assert_eq!(status["tiers"]["l2"]["trips"], 1);
    assert_eq!(status["pressure"], 0.6);
    assert_eq!(gateway.verdict("/l2").await, (503, "watermark".to_owned()));
}

#[tokio::test]
async fn a_server_that_is_left_out_stays_so_beside_new_ones() {
    let (nobody, alive, more) = (Nobody::listens(), origin(), origin());
    let settings = Settings::upstream("");
    let gateway = Live::start(&settings.text(&[nobody.addr(), alive.addr()]));
    let mut asked = 0;
    while gateway.checkout().await["servers"][0]["ejected"] != true {
        assert_eq!(gateway.verdict("/l1").await.0, 200);
        asked += 1;
        assert!(asked < 100, "it was never left out");
    }
    gateway.change(&settings.text(&[more.addr(), alive.addr(), nobody.addr()])).await;
    let servers = gateway.checkout().await["servers"].take();
    let ejected: Vec<_> = (0..3).map(|at| servers[at]["ejected"] == true).collect();
    assert_eq!(ejected, [false, false, true]);
}

// --- counters ---

async fn arrivals(gateway: &Live, labels: &[&str]) -> u64 {
    gateway.metrics().await.count("floodgate_arrivals_total", labels)
}

fn routes(origin: &OriginHandle, routes: &str) -> String {
    let rest = format!("[[tiers]]\nname = \"l1\"\n[[tiers]]\nname = \"l2\"\n{routes}");
    Settings::upstream("").rest(rest).text(&[origin.addr()])
}

const TO_L1: &str = "[[routes]]\nname = \"one\"\npath = \"/one\"\ntier = \"l1\"\n";
const TO_L2: &str = "[[routes]]\nname = \"one\"\npath = \"/one\"\ntier = \"l2\"\n";
const OTHER: &str = "[[routes]]\nname = \"other\"\npath = \"/other\"\ntier = \"l1\"\n";

#[tokio::test]
async fn what_was_counted_stays_counted_when_routes_go_come_back_and_change_their_tier() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, &format!("{TO_L1}{OTHER}")));
    let in_l1 = ["route=\"one\"", "tier=\"l1\""];
    let in_l2 = ["route=\"one\"", "tier=\"l2\""];
    for _ in 0..3 {
        assert_eq!(gateway.verdict("/one").await.0, 200);
    }
    gateway.change(&routes(&origin, OTHER)).await;
    assert_eq!(gateway.verdict("/one").await, (404, "no_route".to_owned()));
    assert_eq!(arrivals(&gateway, &in_l1).await, 3);
    gateway.change(&routes(&origin, &format!("{TO_L2}{OTHER}"))).await;
    assert_eq!(gateway.verdict("/one").await.0, 200);
    assert_eq!((arrivals(&gateway, &in_l1).await, arrivals(&gateway, &in_l2).await), (3, 1));
    gateway.change(&routes(&origin, &format!("{OTHER}{TO_L1}"))).await;
    assert_eq!(gateway.verdict("/one").await.0, 200);
    assert_eq!((arrivals(&gateway, &in_l1).await, arrivals(&gateway, &in_l2).await), (4, 1));
    gateway.quiet().await;
    assert_eq!(gateway.metrics().await.closed_ledger(), 6);
}

// --- under the old rules to the end ---

#[tokio::test]
async fn a_removed_route_drains_under_its_old_rules() {
    let origin = origin();
    let gateway = Live::start(&routes(&origin, &format!("{TO_L1}{OTHER}")));
    origin.hold();
    let mut inside = gateway.asking("/one").await;
    reach(&origin, |stats| stats.in_flight == 1).await;
    gateway.change(&routes(&origin, OTHER)).await;
    assert_eq!(gateway.verdict("/one").await.0, 404);
    origin.release();
    assert_eq!(inside.answer().await.status, 200);
    // The connection lives on, under the new rules.
    inside.get("/one").await;
    assert_eq!(inside.answer().await.status, 404);
    gateway.quiet().await;
    let metrics = gateway.metrics().await;
    let labels = ["route=\"one\"", "outcome=\"completed\""];
    assert_eq!(metrics.count("floodgate_requests_total", &labels), 1);
    metrics.closed_ledger();
}

#[tokio::test]
async fn a_removed_upstream_serves_who_is_inside_and_who_waits() {
    let (old, new) = (origin(), origin());
    let upstream = |name: &str, origin: &OriginHandle| {
        format!("[upstreams.{name}]\nservers = [\"{}\"]\nmax_in_flight = 1\n", origin.addr())
    };
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nworkers = 1\nlog = \"warn\"\n";
    let rest = |name: &str| {
        format!(
            "[[tiers]]\nmax_wait = \"20s\"\ndeadline = \"20s\"\n[[routes]]\nupstream = \"{name}\"\n"
        )
    };
    let gateway =
        Live::start(&format!("{server}{}{}", upstream("checkout", &old), rest("checkout")));
    old.hold();
    let mut clients: Vec<Client> = vec![gateway.asking("/a").await];
    reach(&old, |stats| stats.in_flight == 1).await;
    clients.push(gateway.waiting("/b", 1).await);
    gateway.change(&format!("{server}{}{}", upstream("tills", &new), rest("tills"))).await;
    assert_eq!(gateway.verdict("/c").await.0, 200);
    assert_eq!((old.stats().requests, new.stats().requests), (1, 1));
    old.release();
    for client in &mut clients {
        assert_eq!(client.answer().await.status, 200);
    }
    assert_eq!((old.stats().requests, new.stats().requests), (2, 1));
    assert_eq!(gateway.metrics().await.closed_ledger(), 3);
}

// --- the log ---

#[tokio::test]
async fn the_level_of_the_log_changes_while_it_runs() {
    const TOLD: &str = "the configuration means what is live already";
    let origin = origin();
    let level =
        |level: &str| text(&origin, "").replace("log = \"warn\"", &format!("log = \"{level}\""));
    let gateway = Live::start(&level("warn"));
    gateway.hang_up().await;
    gateway.has_reloads("unchanged", 1).await;
    assert!(!gateway.log().contains(TOLD));
    gateway.write(&level("info"));
    gateway.becomes(2).await;
    gateway.hang_up().await;
    gateway.logged(&[TOLD]).await;
    gateway.write(&level("error"));
    gateway.becomes(3).await;
    gateway.hang_up().await;
    gateway.has_reloads("unchanged", 3).await;
    assert_eq!(gateway.log().matches(TOLD).count(), 1);
}

#[tokio::test]
async fn a_guarantee_counts_who_was_there_before_it_changed_and_before_its_tier_moved() {
    let origin = origin();
    let tier = |name: &str, part: f64| {
        format!(
            "[[tiers]]\nname = \"{name}\"\nmax_wait = \"20s\"\ndeadline = \"30s\"\nguaranteed = {part}\n"
        )
    };
    let routes = "[[routes]]\npath = \"/l1/{*rest}\"\ntier = \"l1\"\n[[routes]]\npath = \"/l2/{*rest}\"\ntier = \"l2\"\n";
    let with = |tiers: &str| {
        let settings = Settings::upstream("max_in_flight = 4\nbuffer = 8");
        settings.rest(format!("{tiers}{routes}")).text(&[origin.addr()])
    };
    let gateway = Live::start(&with(&(tier("l1", 0.5) + &tier("l2", 0.25))));
    let held = gateway.holding(&origin).await;
    gateway.change(&with(&(tier("new", 0.1) + &tier("l2", 0.25) + &tier("l1", 0.25)))).await;
    let status = gateway.checkout().await;
    let of = |name: &str| status["tiers"][name]["in_flight"].as_u64();
    assert_eq!([of("new"), of("l2"), of("l1")], [Some(0), Some(0), Some(1)]);
    gateway.change(&with(&(tier("l1", 0.0) + &tier("l2", 0.0)))).await;
    assert!(gateway.checkout().await["tiers"]["l1"]["in_flight"].is_null());
    drop(held);
    gateway.quiet().await;
    gateway.metrics().await.closed_ledger();
}
