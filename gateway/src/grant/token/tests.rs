use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::grant::keyring::KeyText as _;
use crate::grant::keys;

const NOW: u64 = 1_800_000_000_000;
const TTL: Duration = Duration::from_secs(120);

fn sale() -> JourneyId {
    JourneyId::new("sale")
}

/// The valid token that tests change, and the keys it is valid for.
fn minted() -> (Keys, Token) {
    let keys = Keys::random().unwrap();
    let token = keys.mint(Grant::new(7, NOW, TTL), &sale(), b"alice");
    (keys, token)
}

fn verify(keys: &Keys, text: &[u8], now_ms: u64) -> Result<Grant, Invalid> {
    keys.verify(text, &sale(), b"alice", now_ms)
}

/// The bytes of a token, changed, as text.
fn changed(token: &Token, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut bytes = [0; BYTES];
    base64url::decode(token.as_bytes(), &mut bytes).unwrap();
    change(&mut bytes);
    let mut text = vec![0; LEN];
    base64url::encode(&bytes, &mut text);
    text
}

#[test]
fn a_token_goes_through_urls_cookies_and_fields_as_it_is() {
    let (_, token) = minted();
    assert_eq!(token.as_bytes().len(), 68);
    let is_safe = |b: &u8| b.is_ascii_alphanumeric() || b"-_".contains(b);
    assert!(token.as_bytes().iter().all(is_safe));
    assert_eq!(HeaderValue::from(&token).as_bytes(), token.as_bytes());
}

#[test]
fn what_is_no_token_is_malformed() {
    let (keys, token) = minted();
    let text = token.as_bytes();
    for wrong in [
        &b""[..],
        &text[1..],
        &text[..67],
        &[text, b"A"].concat(),
        &[&text[..67], b"="].concat(),
        &[&text[..67], b" "].concat(),
        &[b'\xff'; 68],
        &changed(&token, |bytes| bytes[0] = 0),
        &changed(&token, |bytes| bytes[0] = 2),
    ] {
        assert_eq!(verify(&keys, wrong, NOW), Err(Invalid::Malformed));
    }
}

#[test]
fn a_token_is_for_one_customer() {
    let (keys, token) = minted();
    for other in [&b""[..], b"bob", b"Alice", b"alice\0", b"alic", b"aalice"] {
        let found = keys.verify(token.as_bytes(), &sale(), other, NOW);
        assert_eq!(found, Err(Invalid::OtherCustomer));
    }
    // One who writes his own digest into it has no signature for that.
    let key = keys.newest().clone();
    let stolen = changed(&token, |bytes| bytes[27..35].copy_from_slice(&digest(&key, b"bob")));
    assert_eq!(keys.verify(&stolen, &sale(), b"bob", NOW), Err(Invalid::Forged));
}

#[test]
fn a_token_is_for_one_journey() {
    let (keys, token) = minted();
    let other = JourneyId::new("other");
    let found = keys.verify(token.as_bytes(), &other, b"alice", NOW);
    assert_eq!(found, Err(Invalid::OtherJourney));
    let stolen = changed(&token, |bytes| bytes[5..9].copy_from_slice(&other.digest()));
    assert_eq!(keys.verify(&stolen, &other, b"alice", NOW), Err(Invalid::Forged));
}

#[test]
fn names_are_signed_whole_and_apart_whatever_their_digests() {
    let key = Keys::random().unwrap().newest().clone();
    let signature = |journey: &str, customer: &[u8]| {
        sign(&key, &[0; SIGNED], &JourneyId::new(journey), customer).finalize().into_bytes()
    };
    let right = signature("sale", b"alice");
    assert_eq!(right, signature("sale", b"alice"));
    assert_ne!(right, signature("sale", b"bob"));
    assert_ne!(right, signature("other", b"alice"));
    assert_ne!(right, signature("salea", b"lice"), "moved from one name into the next");
}

#[test]
fn who_lengthens_a_grant_forges_it() {
    let (keys, token) = minted();
    let longer = changed(&token, |bytes| bytes[23] = 1);
    assert_eq!(verify(&keys, &longer, NOW), Err(Invalid::Forged));
    let renumbered = changed(&token, |bytes| bytes[16] ^= 1);
    assert_eq!(verify(&keys, &renumbered, NOW), Err(Invalid::Forged));
}

#[test]
fn a_token_counts_from_its_beginning_to_its_end() {
    let (keys, token) = minted();
    let at = |now_ms| verify(&keys, token.as_bytes(), now_ms);
    let grant = Grant { nonce: 7, issued_ms: NOW, expires_ms: NOW + 120_000 };
    for (now_ms, found) in [
        (0, Err(Invalid::Forged)),
        (NOW - SKEW_MS - 1, Err(Invalid::Forged)),
        (NOW - SKEW_MS, Ok(grant)),
        (NOW, Ok(grant)),
        (NOW + 119_999, Ok(grant)),
        (NOW + 120_000, Err(Invalid::Expired)),
        (u64::MAX, Err(Invalid::Expired)),
    ] {
        assert_eq!(at(now_ms), found, "{now_ms}");
    }
}

#[test]
fn a_token_outlives_the_change_of_its_key_and_not_its_end() {
    let (old, new) = (keys::generate().unwrap(), keys::generate().unwrap());
    let keys = |text: &str| Keys::parse(text).unwrap();
    let [before, known, signs, after] =
        [keys(&old), keys(&format!("{old}\n{new}")), keys(&format!("{new}\n{old}")), keys(&new)];
    let grant = Grant::new(7, NOW, TTL);
    let token = before.mint(grant, &sale(), b"alice");
    let newer = signs.mint(grant, &sale(), b"alice");
    assert_eq!(known.mint(grant, &sale(), b"alice"), token, "the first key signs");
    assert_eq!(after.mint(grant, &sale(), b"alice"), newer);
    for (keys, of_old, of_new) in [
        (&before, Ok(grant), Err(Invalid::UnknownKey)),
        (&known, Ok(grant), Ok(grant)),
        (&signs, Ok(grant), Ok(grant)),
        (&after, Err(Invalid::UnknownKey), Ok(grant)),
    ] {
        assert_eq!(verify(keys, token.as_bytes(), NOW), of_old);
        assert_eq!(verify(keys, newer.as_bytes(), NOW), of_new);
    }
    // A key's id is written on every token: it alone opens nothing.
    let claimed = changed(&token, |bytes| bytes[1..5].copy_from_slice(&after.newest().id()));
    let found = verify(&after, &claimed, NOW);
    assert!(matches!(found, Err(Invalid::Forged | Invalid::OtherCustomer)), "{found:?}");
}

#[test]
fn any_time_can_be_put_into_a_token() {
    let (keys, _) = minted();
    for now_ms in [0, 1, LAST_MS, u64::MAX] {
        for ttl in [Duration::ZERO, Duration::from_millis(1), Duration::MAX] {
            let grant = Grant::new(1, now_ms, ttl);
            let token = keys.mint(grant, &sale(), b"alice");
            let now_ms = now_ms.min(LAST_MS);
            let is_over = ttl.is_zero();
            let expected = if is_over { Err(Invalid::Expired) } else { Ok(grant) };
            assert_eq!(verify(&keys, token.as_bytes(), now_ms), expected);
        }
    }
    let strange = Grant { nonce: 1, issued_ms: u64::MAX, expires_ms: 0 };
    let token = keys.mint(strange, &sale(), b"alice");
    assert_eq!(verify(&keys, token.as_bytes(), LAST_MS), Err(Invalid::Expired));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_minted_is_read(
        nonce: u64,
        journey: String,
        customer: Vec<u8>,
        issued in 0..LAST_MS,
        ttl in 1..3_600_000u64,
        passed in 0..3_600_000u64,
    ) {
        let keys = Keys::random().unwrap();
        let journey = JourneyId::new(&journey);
        let grant = Grant::new(nonce, issued, Duration::from_millis(ttl));
        let token = keys.mint(grant, &journey, &customer);
        let found = keys.verify(token.as_bytes(), &journey, &customer, issued + passed);
        prop_assert_eq!(found, if passed < ttl { Ok(grant) } else { Err(Invalid::Expired) });
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed(nonce: u64, customer: Vec<u8>) {
        let keys = Keys::random().unwrap();
        let token = keys.mint(Grant::new(nonce, NOW, TTL), &sale(), &customer);
        for bit in 0..LEN * 8 {
            let mut forged = token.0;
            forged[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(keys.verify(&forged, &sale(), &customer, NOW).is_err(), "bit {}", bit);
        }
    }

    #[test]
    fn no_byte_of_a_token_can_be_changed(at in 0..BYTES, by in 1..=u8::MAX) {
        let (keys, token) = minted();
        let forged = changed(&token, |bytes| bytes[at] ^= by);
        prop_assert!(verify(&keys, &forged, NOW).is_err());
    }

    #[test]
    fn a_token_is_valid_for_nobody_else_nowhere_else_and_under_no_other_key(
        customer: Vec<u8>,
        other: Vec<u8>,
        journey: String,
        elsewhere: String,
    ) {
        let keys = Keys::random().unwrap();
        let (here, there) = (JourneyId::new(&journey), JourneyId::new(&elsewhere));
        let token = keys.mint(Grant::new(7, NOW, TTL), &here, &customer);
        let text = token.as_bytes();
        if customer != other {
            let found = keys.verify(text, &here, &other, NOW);
            prop_assert_eq!(found, Err(Invalid::OtherCustomer));
        }
        if journey != elsewhere {
            let found = keys.verify(text, &there, &customer, NOW);
            prop_assert_eq!(found, Err(Invalid::OtherJourney));
        }
        let found = Keys::random().unwrap().verify(text, &here, &customer, NOW);
        prop_assert_eq!(found, Err(Invalid::UnknownKey));
    }

    #[test]
    fn any_text_at_all_has_a_verdict(text: Vec<u8>, now_ms: u64) {
        let (keys, _) = minted();
        prop_assert!(verify(&keys, &text, now_ms).is_err());
    }
}

/// A function of its own, so that instructions can be counted in it alone: `valgrind --tool=callgrind
/// --toggle-collect='*token::tests::verify_all*'`.
#[inline(never)]
fn verify_all(keys: &Keys, text: &[u8], times: u32) {
    let journey = sale();
    for _ in 0..times {
        let found = keys.verify(std::hint::black_box(text), &journey, b"user-1234567", NOW);
        std::hint::black_box(found).unwrap();
    }
}

#[inline(never)]
fn mint_all(keys: &Keys, times: u32) {
    let journey = sale();
    for nonce in 0..times {
        let grant = Grant::new(nonce.into(), NOW, TTL);
        std::hint::black_box(keys.mint(grant, &journey, std::hint::black_box(b"user-1234567")));
    }
}

#[test]
#[ignore = "prints figures: cargo test --release -p floodgate-gateway --lib -- --ignored --nocapture figures_of_tokens"]
fn figures_of_tokens() {
    const TIMES: u32 = 100_000;
    let (keys, _) = minted();
    let token = keys.mint(Grant::new(7, NOW, TTL), &sale(), b"user-1234567");
    let begun = Instant::now();
    mint_all(&keys, TIMES);
    println!("a token minted in {:?}", begun.elapsed() / TIMES);
    let begun = Instant::now();
    verify_all(&keys, token.as_bytes(), TIMES);
    println!("a token verified in {:?}", begun.elapsed() / TIMES);
}
