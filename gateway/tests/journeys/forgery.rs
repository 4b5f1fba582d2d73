//! What is not exactly a grant of this customer for this journey counts as none.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::shop::{BY_NAME, HEADER, Shop, begun, get, invalid, raffle, user, with};
use crate::support::{Running, SOON};
use crate::upstream::Upstream;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A key as it stands in a file, the same for the same letter.
fn key(letter: char) -> String {
    let mut state = u64::from(u32::from(letter));
    let mut word = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    };
    (0..8).map(|_| word()).collect()
}

fn signed_by(file: &Path) -> String {
    format!("{BY_NAME}\nkeys = \"file:{}\"", file.display())
}

/// The text of the grant in the lines of whoever has begun.
fn grant(lines: &[String]) -> &str {
    lines.iter().find_map(|line| line.strip_prefix("x-floodgate-grant: ")).unwrap()
}

async fn is_none(gateway: &Running, name: &str, grant: &str) {
    let lines = with(&user(name), format!("{HEADER}: {grant}"));
    let answer = get(gateway, "/cart", &lines).await;
    assert_eq!(answer.verdict(), (403, "grant_required"), "{grant}");
}

async fn is_good(gateway: &Running, lines: &[String]) {
    assert_eq!(get(gateway, "/cart", lines).await.verdict(), (200, ""));
}

/// Fails if the gateway tells of another number, or of other reasons as well.
async fn counted(gateway: &Running, why: &str, count: u64) {
    assert_eq!(invalid(gateway, &[why]).await, count, "{why}");
}

#[tokio::test]
async fn a_grant_with_any_bit_changed_is_none() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).start(&upstream);
    let lines = begun(&gateway, "anna").await;
    let good = grant(&lines);
    let mut tried = 0;
    for at in 0..good.len() {
        let digit = ALPHABET.iter().position(|&c| c == good.as_bytes()[at]).unwrap();
        for bit in 0..6 {
            let mut other = good.as_bytes().to_vec();
            other[at] = ALPHABET[digit ^ (1 << bit)];
            is_none(&gateway, "anna", std::str::from_utf8(&other).unwrap()).await;
            tried += 1;
        }
    }
    let longer = format!("{good}A");
    for other in [&good[1..], &good[..good.len() - 1], &longer, "", "=", &"A".repeat(5_000)] {
        is_none(&gateway, "anna", other).await;
    }
    assert_eq!(tried, good.len() * 6);
    assert_eq!(upstream.count("/cart"), 0);
    is_good(&gateway, &lines).await;
    // It says something else now of key, journey or customer, or its signature is wrong.
    let whys = ["forged", "malformed", "unknown_key", "other_journey", "other_customer"];
    assert_eq!(invalid(&gateway, &whys).await, tried as u64 + 6);
    assert!(
        gateway.metrics().await.count("floodgate_grants_invalid_total", &["why=\"forged\""]) > 0
    );
}

#[tokio::test]
async fn a_grant_twice_is_none() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).start(&upstream);
    let lines = begun(&gateway, "anna").await;
    let twice = with(&lines, format!("{HEADER}: {}", grant(&lines)));
    assert_eq!(get(&gateway, "/cart", &twice).await.reason(), "grant_required");
}

#[tokio::test]
async fn a_grant_of_somebody_else_is_none() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).start(&upstream);
    let lines = begun(&gateway, "anna").await;
    is_none(&gateway, "bert", grant(&lines)).await;
    let unnamed = [format!("{HEADER}: {}", grant(&lines))];
    assert_eq!(get(&gateway, "/cart", &unnamed).await.reason(), "grant_required");
    counted(&gateway, "other_customer", 2).await;
    is_good(&gateway, &lines).await;
}

#[tokio::test]
async fn a_grant_of_another_journey_is_none_though_the_key_is_the_same() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grant.keys");
    std::fs::write(&file, key('a')).unwrap();
    let keys = signed_by(&file);
    let gateway = Shop::new(&keys).more(raffle(&keys)).start(&upstream);
    let lines = begun(&gateway, "anna").await;
    let answer = get(&gateway, "/claim", &lines).await;
    assert_eq!(answer.verdict(), (403, "grant_required"));
    counted(&gateway, "other_journey", 1).await;
    is_good(&gateway, &lines).await;
}

#[tokio::test]
async fn a_grant_ends_with_its_time() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(&format!("{BY_NAME}\nttl = \"1s\"\ncalls = 10000")).start(&upstream);
    let begin = Instant::now();
    let lines = begun(&gateway, "anna").await;
    is_good(&gateway, &lines).await;
    while get(&gateway, "/cart", &lines).await.status == 200 {
        assert!(begin.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
    is_none(&gateway, "anna", grant(&lines)).await;
    counted(&gateway, "expired", 2).await;
}

#[tokio::test]
async fn a_grant_that_counts_as_none_is_counted_also_when_its_customer_is_let_in_anew() {
    let upstream = Upstream::start().await;
    let gateway = Shop::new(BY_NAME).start(&upstream);
    let lines = with(&user("anna"), format!("{HEADER}: none"));
    let answer = get(&gateway, "/enter", &lines).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header(HEADER).is_some());
    counted(&gateway, "malformed", 1).await;
}

#[tokio::test]
async fn keys_change_without_anybody_noticing_until_the_old_one_is_taken_out() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grant.keys");
    std::fs::write(&file, key('a')).unwrap();
    let gateway = Shop::new(&signed_by(&file)).start(&upstream);
    let old = begun(&gateway, "anna").await;

    std::fs::write(&file, format!("{}\n{}\n", key('b'), key('a'))).unwrap();
    gateway.reload();
    // Whose key it is stands in the second to the fifth byte.
    let key_id = |lines: &[String]| grant(lines)[2..6].to_owned();
    let begin = Instant::now();
    let new = loop {
        let new = begun(&gateway, "bert").await;
        if key_id(&new) != key_id(&old) {
            break new;
        }
        assert!(begin.elapsed() < SOON, "the keys stay");
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    is_good(&gateway, &old).await;
    is_good(&gateway, &new).await;

    std::fs::write(&file, key('b')).unwrap();
    gateway.reload();
    let begin = Instant::now();
    while get(&gateway, "/cart", &old).await.status == 200 {
        assert!(begin.elapsed() < SOON, "the old key stays");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    is_none(&gateway, "anna", grant(&old)).await;
    is_good(&gateway, &new).await;
    counted(&gateway, "unknown_key", 2).await;
}

#[tokio::test]
async fn a_bad_key_file_is_refused_and_the_last_good_keys_stay() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("grant.keys");
    std::fs::write(&file, key('a')).unwrap();
    let shop = Shop::new(&signed_by(&file));
    let gateway = shop.start(&upstream);
    let lines = begun(&gateway, "anna").await;
    for bad in ["", "no key", &"a".repeat(70_000)] {
        std::fs::write(&file, bad).unwrap();
        gateway.reload();
        is_good(&gateway, &lines).await;
    }
    std::fs::remove_file(&file).unwrap();
    // A configuration whose keys cannot be used changes nothing.
    let other = folder.path().join("other.keys");
    let text = Shop::new(&signed_by(&other)).text(&upstream);
    let answer = crate::shop::put(&gateway, &text).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("other.keys"), "{}", answer.text());
    assert_eq!(gateway.status().await["generation"], 1);
    is_good(&gateway, &lines).await;
    // The same keys, whose file is gone, stay with a configuration that changes something else.
    crate::shop::apply(&gateway, &shop.upstream("max_in_flight = 9").text(&upstream)).await;
    is_good(&gateway, &lines).await;
}
