//! When waiting is of no use, the answer comes at once; when it may be, not before its time.

use std::time::{Duration, Instant};

use floodgate_loadtest::origin::Origin;

use crate::support::{Answer, Running, Settings, one_tier};

/// "At once", as a client sees it. The quickest of several tries counts: the machine is shared.
const AT_ONCE: Duration = Duration::from_millis(50);
/// What a timer may be late on a busy machine.
const LATE: Duration = Duration::from_millis(700);

/// l1 is patient; l2 waits `max_wait` and has `deadline` in all.
fn hurried(max_wait: &str, deadline: &str) -> String {
    format!(
        "[[tiers]]\nmax_wait = \"20s\"\ndeadline = \"30s\"\n\
         [[tiers]]\nmax_wait = \"{max_wait}\"\ndeadline = \"{deadline}\"\n\
         [[routes]]\npath = \"/l1/{{*rest}}\"\ntier = \"l1\"\n\
         [[routes]]\npath = \"/l2/{{*rest}}\"\ntier = \"l2\"\n"
    )
}

/// The answer to a request that is expected to be refused at once.
async fn at_once(gateway: &Running, path: &str) -> Answer {
    let mut quickest = Duration::MAX;
    loop {
        let mut client = gateway.client().await;
        let begin = Instant::now();
        client.get(path).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 503);
        let took = begin.elapsed();
        if took < AT_ONCE {
            return answer;
        }
        assert!(took < quickest, "not at once: {took:?}, {answer:?}");
        quickest = took;
    }
}

/// How a request ends, and when.
async fn timed(gateway: &Running, path: &str) -> (Answer, Duration) {
    let mut client = gateway.client().await;
    let begin = Instant::now();
    client.get(path).await;
    (client.answer().await, begin.elapsed())
}

fn about(took: Duration, wanted: u64) {
    let wanted = Duration::from_millis(wanted);
    assert!(took >= wanted && took < wanted + LATE, "{took:?} instead of {wanted:?}");
}

#[tokio::test]
async fn a_full_buffer_refuses_at_once() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 2");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let _held = gateway.holding(&origin).await;
    let _one = gateway.waiting("/l1", 1).await;
    let _two = gateway.waiting("/l1", 2).await;
    for path in ["/l1", "/l2", "/l3"] {
        assert_eq!(at_once(&gateway, path).await.reason(), "buffer_full");
    }
    assert_eq!(gateway.checkout().await["queued"], 2);
    assert_eq!(origin.stats().requests, 1);
}

#[tokio::test]
async fn without_a_buffer_nobody_waits() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 0");
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    assert_eq!(gateway.asking("/l3").await.answer().await.status, 200);
    let held = gateway.holding(&origin).await;
    assert_eq!(at_once(&gateway, "/l1").await.reason(), "buffer_full");
    drop(held);
    gateway.quiet().await;
    assert_eq!(gateway.asking("/l3").await.answer().await.status, 200);
}

#[tokio::test]
async fn a_tier_that_has_filled_its_share_is_refused_while_a_higher_one_is_not() {
    let origin = Origin::builder().start().unwrap();
    let rest = hurried("20s", "30s").replacen(
        "max_wait = \"20s\"\ndeadline = \"30s\"\n[[routes]]",
        "max_wait = \"20s\"\ndeadline = \"30s\"\nwatermarks = { high = 0.5, low = 0.25 }\n[[routes]]",
        1,
    );
    let settings = Settings::upstream("max_in_flight = 1\nbuffer = 4").rest(rest);
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let _held = gateway.holding(&origin).await;
    let _one = gateway.waiting("/l2", 1).await;
    let _two = gateway.waiting("/l2", 2).await;
    assert_eq!(at_once(&gateway, "/l2").await.reason(), "watermark");
    let _three = gateway.waiting("/l1", 3).await;
}

#[tokio::test]
async fn who_has_waited_max_wait_is_told_so_and_not_before() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1").rest(hurried("200ms", "30s"));
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let _held = gateway.holding(&origin).await;
    let (answer, took) = timed(&gateway, "/l2").await;
    assert_eq!(answer.verdict(), (503, "queue_timeout"));
    about(took, 200);
    assert_eq!(origin.stats().requests, 1);
    assert_eq!(gateway.checkout().await["queued"], 0);
}

#[tokio::test]
async fn a_deadline_that_passes_in_the_buffer_is_told_and_the_origin_is_not_asked() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1").rest(hurried("20s", "300ms"));
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let _held = gateway.holding(&origin).await;
    let (answer, took) = timed(&gateway, "/l2").await;
    assert_eq!(answer.verdict(), (503, "deadline"));
    about(took, 300);
    assert_eq!(origin.stats().requests, 1);
}

#[tokio::test]
async fn a_deadline_that_cannot_be_met_is_told_on_arrival() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1").rest(hurried("20s", "250ms"));
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    // Now the gateway has an idea how long a request takes.
    assert_eq!(timed(&gateway, "/l1?x-origin-delay-ms=600").await.0.status, 200);
    let _held = gateway.holding(&origin).await;
    assert_eq!(at_once(&gateway, "/l2").await.reason(), "deadline");
    assert_eq!(origin.stats().requests, 2);
}

#[tokio::test]
async fn a_deadline_that_passes_at_the_origin_is_a_504_and_the_origin_is_left() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1").rest(one_tier("deadline = \"300ms\""));
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let (answer, took) = timed(&gateway, "/?x-origin-behaviour=never-answer").await;
    assert_eq!(answer.verdict(), (504, "upstream_timeout"));
    about(took, 300);
    gateway.quiet().await;
    crate::support::reach(&origin, |stats| stats.client_left == 1).await;
}

#[tokio::test]
async fn waiting_takes_from_the_time_that_the_origin_gets() {
    let origin = Origin::builder().start().unwrap();
    let settings = Settings::upstream("max_in_flight = 1").rest(hurried("5s", "5s"));
    let gateway = Running::start(&settings.text(&[origin.addr()]));
    let mut slow = gateway.asking("/l1?x-origin-delay-ms=300").await;
    gateway.reach("busy", |status| status["in_flight"] == 1).await;
    let mut waiter = gateway.asking("/l2?x-origin-behaviour=echo").await;
    assert_eq!(slow.answer().await.status, 200);
    let answer = waiter.answer().await;
    let left: u64 = answer.echoed("x-request-deadline-ms").unwrap().parse().unwrap();
    assert!((3_000..=4_950).contains(&left), "{left} ms left of 5 s");

    let mut unhindered = gateway.asking("/l2?x-origin-behaviour=echo").await;
    let answer = unhindered.answer().await;
    let left: u64 = answer.echoed("x-request-deadline-ms").unwrap().parse().unwrap();
    assert!((4_300..=5_000).contains(&left), "{left} ms left of 5 s");
}
