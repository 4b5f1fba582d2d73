//! When the refused come back: each at its own time, and better off for keeping to it.

use std::time::{Duration, Instant};

use crate::shop::{
    BY_NAME, HEADER, RETURN, Shop, ask, busy, cookie, get, retry_after_ms, user, wire,
};
use crate::support::{Answer, Client, Running};
use crate::upstream::Upstream;

/// A shop whose permits are all taken and for whose entry somebody waits already: everybody is refused.
struct Full {
    gateway: Running,
    upstream: Upstream,
    _held: Vec<Client>,
}

async fn full(journey: &str) -> Full {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(journey)
        .upstream("max_in_flight = 1\nbuffer = 4096")
        .more("[explain]\nheader = true\n")
        .start(&upstream);
    let mut held = busy(&gateway, &upstream, 1).await;
    held.push(gateway.waiting("/enter/first", 1).await);
    Full { gateway, upstream, _held: held }
}

/// How long a refused newcomer is asked to wait.
fn told(answer: &Answer) -> u64 {
    assert_eq!(answer.verdict(), (503, "no_grant"));
    retry_after_ms(answer).unwrap()
}

#[tokio::test]
async fn both_ways_to_tell_the_time_tell_the_same() {
    let Full { gateway, upstream, _held } = full(BY_NAME).await;
    for n in 0..50 {
        // By the turnstile, and by hyper.
        let (method, body) = if n % 2 == 0 { ("GET", "") } else { ("POST", "x") };
        let mut lines = user(&n.to_string());
        if n % 4 == 3 {
            lines.push("expect: 100-continue".to_owned());
        }
        let answer = ask(&gateway, method, "/enter", &lines, body).await;
        let millis = told(&answer);
        assert!((900..=32_000).contains(&millis), "{millis}");
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert_eq!(seconds, millis.div_ceil(1000));
    }
    assert_eq!(upstream.count("/enter"), 0);
}

#[tokio::test]
async fn the_refused_are_spread() {
    let Full { gateway, upstream: _upstream, _held } = full(BY_NAME).await;
    let begin = Instant::now();
    let mut at = Vec::new();
    for n in 0..30 {
        let answer = get(&gateway, "/enter", &user(&n.to_string())).await;
        at.push(begin.elapsed() + Duration::from_millis(told(&answer)));
    }
    at.sort();
    // 20 requests a second are assumed of one permit. A journey costs several of them, and of those that
    // can begin a tenth is for those who come back: one a second at least.
    let most = (0..30).map(|from| {
        at[from..].iter().take_while(|t| **t < at[from] + Duration::from_secs(1)).count()
    });
    assert!(most.max().unwrap() <= 3, "{at:?}");
    assert!(at[29] - at[0] > Duration::from_secs(20), "{at:?}");
}

#[tokio::test]
async fn who_comes_early_is_told_the_same_time_again() {
    let Full { gateway, upstream: _upstream, _held } = full(BY_NAME).await;
    for name in ["anna", "bert"] {
        let begin = Instant::now();
        let first = told(&get(&gateway, "/enter", &user(name)).await);
        for _ in 0..5 {
            let before = begin.elapsed().as_millis() as u64;
            let again = told(&get(&gateway, "/enter", &user(name)).await);
            let after = begin.elapsed().as_millis() as u64;
            // A time is kept to a few milliseconds.
            let slack = 6;
            assert!(again + before <= first + after - before + slack, "{again} after {before}");
            assert!(again + after + slack >= first, "{again} after {after} instead of {first}");
        }
    }
}

#[tokio::test]
async fn who_says_nothing_of_itself_is_known_again_by_its_device() {
    for journey in ["", BY_NAME] {
        let Full { gateway, upstream: _upstream, _held } = full(journey).await;
        let first = get(&gateway, "/enter", &[]).await;
        let device = cookie(&first, RETURN).unwrap();
        let lines = [format!("cookie: {RETURN}={device}")];
        let again = get(&gateway, "/enter", &lines).await;
        assert_eq!(cookie(&again, RETURN), None);
        assert!(told(&again) <= told(&first));
        // As by the turnstile, so by hyper.
        let mut client = gateway.client().await;
        client.send(wire("GET", "/enter", &[], "").replace("HTTP/1.1", "HTTP/1.0")).await;
        let other = client.answer().await;
        let other = cookie(&other, RETURN).unwrap();
        assert_ne!(other, device);
    }
}

#[tokio::test]
async fn who_is_on_the_way_is_asked_to_come_back_soon() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).upstream("max_in_flight = 1\nbuffer = 0").start(&upstream);
    let anna = crate::shop::begun(&gateway, "anna").await;
    let _held = busy(&gateway, &upstream, 1).await;
    for _ in 0..40 {
        let answer = get(&gateway, "/cart", &anna).await;
        if answer.reason() == "call_limit" {
            return;
        }
        assert_eq!(answer.verdict(), (503, "buffer_full"));
        assert!((1_000..1_500).contains(&retry_after_ms(&answer).unwrap()));
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[tokio::test]
async fn who_comes_when_told_goes_before_newcomers() {
    let Full { gateway, upstream, _held } = full(BY_NAME).await;
    let begin = Instant::now();
    let wait = Duration::from_millis(told(&get(&gateway, "/enter", &user("anna")).await));
    // Enough is served that the gateway knows what the upstream can take, and plans with it.
    upstream.goes_on();
    for _ in 0..60 {
        assert_eq!(get(&gateway, "/other/warm", &[]).await.status, 200);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    drop(_held);
    // The time it was told is part of what is tried.
    tokio::time::sleep_until((begin + wait).into()).await;
    let _busy = busy(&gateway, &upstream, 1).await;
    // Newcomers come until one is refused, by the tokens or, where those are earned faster than they come, by how
    // many can be under way; whoever kept to the time is let in all the same.
    let mut waiting = Vec::new();
    let refused = loop {
        assert!(waiting.len() < 2_000, "newcomers are let in without end");
        let client = newcomer(&gateway, "/enter/new", &format!("new{}", waiting.len())).await;
        match decided(&gateway, client, waiting.len() as u64 + 1).await {
            Ok(answer) => break answer,
            Err(client) => waiting.push(client),
        }
    };
    told(&refused);
    let anna = newcomer(&gateway, "/enter/told", "anna").await;
    let places = waiting.len() as u64 + 1;
    let Err(mut anna) = decided(&gateway, anna, places).await else { panic!("refused") };
    // To have kept to the time counts once, though that one is still waiting. By now there may be room for newcomers again.
    let again = newcomer(&gateway, "/enter/again", "anna").await;
    let again = decided(&gateway, again, places + 1).await;
    upstream.goes_on();
    let answer = anna.answer().await;
    assert_eq!(answer.status, 200);
    assert!(answer.header(HEADER).is_some());
    assert_eq!(part(&gateway, &answer).await, "on_time");
    let again = match again {
        Ok(refused) => {
            told(&refused);
            refused
        }
        Err(mut client) => client.answer().await,
    };
    assert_ne!(part(&gateway, &again).await, "on_time");
}

/// A connection on which a customer of this name has asked.
async fn newcomer(gateway: &Running, path: &str, name: &str) -> Client {
    let mut client = gateway.client().await;
    client.send(wire("GET", path, &user(name), "")).await;
    client
}

/// The answer that comes before so many wait, or the connection of who is the last of them.
async fn decided(gateway: &Running, mut client: Client, waiting: u64) -> Result<Answer, Client> {
    tokio::select! {
        answer = client.answer() => Ok(answer),
        () = gateway.queued(waiting) => Err(client),
    }
}

/// What the one who was answered so was taken for.
async fn part(gateway: &Running, answer: &Answer) -> String {
    let decision = answer.header("x-floodgate-decision").unwrap();
    let id = decision.strip_prefix("id=").unwrap().split(';').next().unwrap();
    let told = gateway.get(&format!("/api/explain/{id}")).await.json();
    told["journey"]["part"].as_str().unwrap().to_owned()
}
