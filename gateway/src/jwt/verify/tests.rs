use super::super::testing::{Issuer, encode};
use super::*;
use crate::grant::keyring::KeyText as _;

/// The present of these tests, in seconds and in milliseconds since 1970.
const NOW: u64 = 1_800_000_000;
const NOW_MS: u64 = NOW * 1_000;

fn rules(keys: &str) -> Arc<Rules> {
    let text = format!(
        "[upstreams.a]\nservers = [\"127.0.0.1:9\"]\n[jwt]\nkeys = \"file:keys\"\n{keys}\n"
    );
    let config = floodgate_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}"));
    Arc::new(Rules::new(&config.jwt.unwrap(), &["sub", "tenant"]))
}

fn keys(issuers: &[&Issuer]) -> TokenKeys {
    let jwks: Vec<String> = issuers.iter().map(|issuer| issuer.jwk("")).collect();
    TokenKeys::parse(&format!(r#"{{"keys":[{}]}}"#, jwks.join(","))).unwrap()
}

/// What becomes of a token with these claims beside an end that is far away.
fn judged(issuer: &Issuer, rules: &Arc<Rules>, claims: &str) -> Result<(), InvalidToken> {
    let payload = format!(r#"{{"exp":{}{claims}}}"#, NOW + 1_000);
    verify(issuer.token(&payload).as_bytes(), &keys(&[issuer]), rules, NOW_MS).result.map(drop)
}

#[test]
fn a_good_token_of_each_kind_says_what_is_asked() {
    for algorithm in Algorithm::ALL {
        let issuer = Issuer::new(algorithm);
        let token = issuer.token(&format!(r#"{{"sub":"anna","tenant":7,"exp":{}}}"#, NOW + 9));
        let finding = verify(token.as_bytes(), &keys(&[&issuer]), &rules(""), NOW_MS);
        let verified = finding.result.unwrap();
        assert_eq!(verified.claim("sub"), Some(&b"anna"[..]));
        assert_eq!(verified.claim("tenant"), Some(&b"7"[..]));
        assert_eq!(verified.claim("exp"), None, "nobody asks for it");
        assert_eq!((finding.tried, finding.algorithm), (1, Some(algorithm)));
        assert_eq!((verified.begins_ms, verified.ends_ms), (0, NOW_MS + 39_000));
        let other = Issuer::new(algorithm);
        let finding = verify(token.as_bytes(), &keys(&[&other]), &rules(""), NOW_MS);
        assert_eq!(finding.result.unwrap_err(), InvalidToken::Forged);
    }
}

#[test]
fn one_bit_that_is_changed_is_found() {
    for algorithm in [Algorithm::Hs256, Algorithm::EdDsa] {
        let issuer = Issuer::new(algorithm);
        let token = issuer.token(&format!(r#"{{"sub":"anna","exp":{}}}"#, NOW + 9));
        let (keys, rules) = (keys(&[&issuer]), rules(""));
        assert!(verify(token.as_bytes(), &keys, &rules, NOW_MS).result.is_ok());
        for at in 0..token.len() {
            for bit in 0..8 {
                let mut other = token.clone().into_bytes();
                other[at] ^= 1 << bit;
                let result = verify(&other, &keys, &rules, NOW_MS).result;
                assert!(result.is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn a_key_verifies_in_its_own_way_whatever_a_token_says() {
    let rsa = Issuer::new(Algorithm::Rs256);
    let payload = format!(r#"{{"sub":"mallory","exp":{}}}"#, NOW + 9);
    let (keys, rules) = (keys(&[&rsa]), rules(""));
    let result = |token: &str| verify(token.as_bytes(), &keys, &rules, NOW_MS).result.map(drop);
    // Signed with what everybody knows, as if it were a secret.
    for public in [rsa.text(), rsa.text().trim().to_owned()] {
        let confused = Issuer::Secret(public).token(&payload);
        assert_eq!(result(&confused), Err(InvalidToken::Algorithm));
    }
    for alg in ["none", "None", "NONE", "", "HS256", "RS512", "rs256", "ES256"] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        let signed = rsa.sign(&header, &payload);
        assert_eq!(result(&signed), Err(InvalidToken::Algorithm), "{alg}");
        let bare = format!("{}.{}.", encode(header.as_bytes()), encode(payload.as_bytes()));
        assert_eq!(result(&bare), Err(InvalidToken::Algorithm), "{alg}");
    }
    let bare = format!("{}.{}.", encode(br#"{"alg":"RS256"}"#), encode(payload.as_bytes()));
    assert_eq!(result(&bare), Err(InvalidToken::Forged));
    assert_eq!(result(&rsa.token(&payload)), Ok(()));
}

#[test]
fn what_is_not_allowed_counts_for_nothing() {
    let issuer = Issuer::new(Algorithm::EdDsa);
    assert_eq!(judged(&issuer, &rules("algorithms = [\"EdDSA\"]"), ""), Ok(()));
    let only = rules("algorithms = [\"RS256\", \"HS256\"]");
    assert_eq!(judged(&issuer, &only, ""), Err(InvalidToken::Algorithm));
}

#[test]
fn a_token_begins_and_ends_with_the_leeway_of_clocks() {
    let issuer = Issuer::any();
    let (keys, rules) = (keys(&[&issuer]), rules("leeway = \"10s\""));
    let result = |payload: &str, now_ms| {
        verify(issuer.token(payload).as_bytes(), &keys, &rules, now_ms).result.map(drop)
    };
    let exp = format!(r#"{{"exp":{NOW}}}"#);
    assert_eq!(result(&exp, NOW_MS + 9_999), Ok(()));
    assert_eq!(result(&exp, NOW_MS + 10_000), Err(InvalidToken::Expired));
    let fraction = format!(r#"{{"exp":{NOW}.5}}"#);
    assert_eq!(result(&fraction, NOW_MS + 10_499), Ok(()));
    assert_eq!(result(&fraction, NOW_MS + 10_500), Err(InvalidToken::Expired));
    let nbf = format!(r#"{{"exp":1e11,"nbf":{NOW}}}"#);
    assert_eq!(result(&nbf, NOW_MS - 10_000), Ok(()));
    assert_eq!(result(&nbf, NOW_MS - 10_001), Err(InvalidToken::NotYet));
    for endless in ["{}", r#"{"exp":0}"#, r#"{"exp":-1}"#, r#"{"exp":-1e300}"#] {
        assert_eq!(result(endless, NOW_MS), Err(InvalidToken::Expired), "{endless}");
    }
    for strange in
        [r#"{"exp":"9999999999"}"#, r#"{"exp":null}"#, r#"{"exp":[9e9]}"#, r#"{"exp":1e999}"#]
    {
        assert_eq!(result(strange, NOW_MS), Err(InvalidToken::Malformed), "{strange}");
    }
    assert_eq!(result(r#"{"exp":1e300}"#, NOW_MS), Ok(()));
    assert_eq!(result(r#"{"exp":1e300}"#, u64::MAX), Err(InvalidToken::Expired));
    assert_eq!(result(r#"{"exp":9e9,"nbf":"now"}"#, NOW_MS), Err(InvalidToken::Malformed));
}

#[test]
fn a_token_is_of_its_issuer_and_for_us() {
    let issuer = Issuer::any();
    let rules = rules("issuer = \"https://login/\"\naudience = [\"shop\", \"till\"]");
    let judged = |claims: &str| judged(&issuer, &rules, claims);
    let iss = r#","iss":"https://login/""#;
    for aud in [r#""shop""#, r#""till""#, r#"["x","shop"]"#] {
        assert_eq!(judged(&format!(r#"{iss},"aud":{aud}"#)), Ok(()), "{aud}");
    }
    for aud in [r#""Shop""#, r#"["x"]"#, "[]", "7", r#"{"shop":1}"#, r#"[["shop"]]"#] {
        assert_eq!(judged(&format!(r#"{iss},"aud":{aud}"#)), Err(InvalidToken::Audience), "{aud}");
    }
    assert_eq!(judged(iss), Err(InvalidToken::Audience));
    for iss in [r#","iss":"https://login""#, r#","iss":["https://login/"]"#, ""] {
        assert_eq!(judged(&format!(r#"{iss},"aud":"shop""#)), Err(InvalidToken::Issuer), "{iss}");
    }
}

#[test]
fn a_token_that_names_its_key_is_tried_with_that_alone() {
    let [one, other] = [Issuer::any(), Issuer::any()];
    let set = |kids: [&str; 2]| {
        let jwks = [one.jwk(kids[0]), other.jwk(kids[1])].join(",");
        TokenKeys::parse(&format!(r#"{{"keys":[{jwks}]}}"#)).unwrap()
    };
    let named = set([r#","kid":"1""#, r#","kid":"2""#]);
    let payload = format!(r#"{{"exp":{}}}"#, NOW + 9);
    let found = |keys: &TokenKeys, kid: &str| {
        let token = other.sign(&format!(r#"{{"alg":"HS256"{kid}}}"#), &payload);
        let finding = verify(token.as_bytes(), keys, &rules(""), NOW_MS);
        (finding.result.map(drop), finding.tried)
    };
    assert_eq!(found(&named, r#","kid":"2""#), (Ok(()), 1));
    assert_eq!(found(&named, r#","kid":"1""#), (Err(InvalidToken::Forged), 1));
    assert_eq!(found(&named, r#","kid":"3""#), (Err(InvalidToken::UnknownKey), 0));
    assert_eq!(found(&named, ""), (Ok(()), 2));
    assert_eq!(found(&named, r#","kid":2"#), (Err(InvalidToken::Malformed), 0));
    assert_eq!(found(&set(["", ""]), r#","kid":"3""#), (Ok(()), 2));
}

#[test]
fn what_is_no_token_is_malformed() {
    let issuer = Issuer::any();
    let good = issuer.token(r#"{"exp":9e9}"#);
    let (keys, rules) = (keys(&[&issuer]), rules(""));
    let result = |token: &str| verify(token.as_bytes(), &keys, &rules, NOW_MS).result.map(drop);
    assert_eq!(result(&good), Ok(()));
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let long = "a".repeat(3_000);
    for token in [
        String::new(),
        "..".to_owned(),
        good[1..].to_owned(),
        format!("{header}.{payload}"),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!(" {good}"),
        format!("{header}.{payload}.{signature}!"),
        issuer.sign(r#"{"alg":"HS256","alg":"HS256"}"#, r#"{"exp":9e9}"#),
        issuer.sign(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, r#"{"exp":9e9}"#),
        issuer.sign(r#"{"alg":["HS256"]}"#, r#"{"exp":9e9}"#),
        issuer.sign("{}", r#"{"exp":9e9}"#),
        issuer.sign(&format!(r#"{{"alg":"HS256","a":"{long}"}}"#), r#"{"exp":9e9}"#),
        issuer.token(r#"{"exp":9e9,"exp":9e9}"#),
        issuer.token(r#"{"exp":9e9"#),
        issuer.token("[]"),
        issuer.token(&format!(r#"{{"exp":9e9,"a":"{}"}}"#, "a".repeat(7_000))),
    ] {
        assert_eq!(result(&token), Err(InvalidToken::Malformed), "{token}");
    }
}

#[test]
fn a_claim_has_1_to_256_bytes() {
    let issuer = Issuer::any();
    let sub = |sub: &str| {
        let token = issuer.token(&format!(r#"{{"exp":9e9,"sub":{sub}}}"#));
        let verified = verify(token.as_bytes(), &keys(&[&issuer]), &rules(""), NOW_MS).result;
        verified.unwrap().claim("sub").map(<[u8]>::len)
    };
    assert_eq!(sub(&format!("\"{}\"", "a".repeat(256))), Some(256));
    assert_eq!(sub(&format!("\"{}\"", "a".repeat(257))), None);
    assert_eq!([sub(r#""""#), sub("null"), sub("[1]")], [None; 3]);
}
