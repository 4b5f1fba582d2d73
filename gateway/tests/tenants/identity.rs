//! Journeys of customers that their tokens name.

use crate::house::{House, LOGIN, bearer, get};
use crate::support::{Answer, Issuer};
use crate::upstream::Upstream;

const SALE: &str = r#"
[[journeys]]
name = "sale"
steps = ["enter", "cart"]
identity = "claim:sub"
[[routes]]
name = "enter"
path = "/enter"
tier = "l1"
[[routes]]
name = "cart"
path = "/cart"
tier = "l1"
"#;

fn grant(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    format!("x-floodgate-grant: {}\r\n", answer.header("x-floodgate-grant").unwrap())
}

#[tokio::test]
async fn a_grant_is_bound_to_whom_the_verified_token_names() {
    let upstream = Upstream::start().await;
    let gateway = House::new("").more(SALE).start(&upstream);
    let of = |claims: &str| bearer(&LOGIN.token(claims));
    let (anna, bert) = (of("\"sub\":\"anna\""), of("\"sub\":\"bert\""));
    let answer = get(&gateway, "/enter", &anna).await;
    assert!(!answer.headers.iter().any(|(_, value)| value.contains("floodgate-device")));
    let held = grant(&answer);
    assert_eq!(get(&gateway, "/cart", &format!("{anna}{held}")).await.status, 200);
    // The same customer with a newer token.
    let again = of("\"iat\":7,\"sub\":\"anna\"");
    assert_eq!(get(&gateway, "/cart", &format!("{again}{held}")).await.status, 200);
    for fields in [format!("{bert}{held}"), held.clone(), anna.clone()] {
        let answer = get(&gateway, "/cart", &fields).await;
        assert_eq!(answer.verdict(), (403, "grant_required"), "{fields}");
    }
    let mallory = Issuer::Secret("mallory has a secret too, and it is long enough");
    let forged = bearer(&mallory.token("\"sub\":\"anna\""));
    let answer = get(&gateway, "/cart", &format!("{forged}{held}")).await;
    assert_eq!(answer.verdict(), (401, "invalid_token"));
    assert_eq!(get(&gateway, "/enter", &forged).await.verdict(), (401, "invalid_token"));
}

#[tokio::test]
async fn who_has_no_token_is_known_by_a_device() {
    let upstream = Upstream::start().await;
    let gateway = House::new("").more(SALE).start(&upstream);
    let answer = get(&gateway, "/enter", "").await;
    assert!(answer.headers.iter().any(|(_, value)| value.starts_with("floodgate-device")));
}
