use super::super::testing::Issuer;
use super::*;

fn parse(text: &str) -> Result<Vec<Algorithm>, String> {
    TokenKeys::parse(text).map(|keys| keys.algorithms().collect())
}

#[test]
fn a_key_is_read_from_pem_from_a_jwk_set_or_from_a_line() {
    for algorithm in Algorithm::ALL {
        let issuer = Issuer::new(algorithm);
        let pem = TokenKeys::parse(&issuer.text()).unwrap();
        assert_eq!(pem.algorithms().collect::<Vec<_>>(), [algorithm]);
        for text in [
            format!(r#"{{"keys":[{}]}}"#, issuer.jwk("")),
            issuer.jwk(""),
            issuer.jwk(&format!(r#","alg":"{algorithm}","use":"sig","key_ops":["verify"]"#)),
        ] {
            let keys = TokenKeys::parse(&text).unwrap();
            assert_eq!(keys.algorithms().collect::<Vec<_>>(), [algorithm], "{text}");
            let token = issuer.token("{}");
            let (signed, signature) = token.rsplit_once('.').unwrap();
            let signature = base64url::decode_standard(signature).unwrap();
            assert!(keys.0[0].has_signed(signed.as_bytes(), &signature), "{text}");
        }
        assert_eq!(pem.is_secret(), algorithm == Algorithm::Hs256);
    }
}

#[test]
fn several_keys_are_read_in_their_order() {
    let issuers = [Algorithm::EdDsa, Algorithm::Es256, Algorithm::Rs256].map(Issuer::new);
    let pems: String = issuers.iter().map(|it| format!("# of a comment\n{}", it.text())).collect();
    assert_eq!(parse(&pems), Ok(issuers.iter().map(Issuer::algorithm).collect()));
    let (one, other) = (Issuer::any().text(), Issuer::any().text());
    let text = format!("{one}\r\n\n{other}\n");
    assert_eq!(parse(&text), Ok(vec![Algorithm::Hs256; 2]));
    // The same bytes, written in two ways.
    let base64 = format!("base64:{}", super::super::testing::encode(one.as_bytes()));
    assert_eq!(TokenKeys::parse(&base64).unwrap(), TokenKeys::parse(&one).unwrap());
}

#[test]
fn keys_for_something_else_are_passed_over() {
    let (ed, secret) = (Issuer::new(Algorithm::EdDsa), Issuer::any());
    let others = [
        ed.jwk(r#","use":"enc""#),
        ed.jwk(r#","key_ops":["sign"]"#),
        secret.jwk(r#","alg":"HS512""#),
        r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"new"}"#.to_owned(),
    ];
    let set = format!(r#"{{"keys":[{},{}]}}"#, others.join(","), ed.jwk(r#","kid":"a""#));
    assert_eq!(parse(&set), Ok(vec![Algorithm::EdDsa]));
    let none = format!(r#"{{"keys":[{}]}}"#, others.join(","));
    assert_eq!(parse(&none).unwrap_err(), "no key in it verifies HS256, RS256, ES256 or EdDSA");
}

#[test]
fn what_is_no_key_is_refused_with_what_to_do() {
    let pem = Issuer::new(Algorithm::EdDsa).text();
    let body = pem.lines().nth(1).unwrap();
    let secret = Issuer::any().text();
    let long = "x".repeat(300);
    for (text, says) in [
        (String::new(), "no key in it"),
        ("too short".to_owned(), "a secret of 9 bytes can be guessed"),
        (format!("{secret}\n{secret}"), "key 2 is there twice"),
        (body.to_owned(), "without its PEM lines"),
        (pem.replace("PUBLIC", "PRIVATE"), "a private key has no business here"),
        (pem.replace("PUBLIC KEY", "CERTIFICATE"), "openssl x509 -noout -pubkey"),
        (pem.replace("PUBLIC KEY", "DH PARAMETERS"), "is no public key"),
        (pem.replace("-----END", "-----"), "has no END"),
        (pem.replace(body, "AAAA"), "neither RSA, nor P-256, nor Ed25519"),
        (pem.replace(body, "?"), "no base64"),
        ("{".to_owned(), "no JSON"),
        (r#"{"keys":{}}"#.to_owned(), "no `keys`"),
        (r#"{"keys":[{"kty":"RSA","e":"AQAB"}]}"#.to_owned(), "key 1: `n` is missing"),
        (r#"{"keys":[{"kty":"RSA","n":"!","e":"AQAB"}]}"#.to_owned(), "no base64url"),
        (r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#.to_owned(), "24 bits is too short"),
        (
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#.to_owned(),
            "no point of its curve",
        ),
        (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#.to_owned(), "3 bytes can be guessed"),
        ((0..17).map(|n| format!("{n}{long}\n")).collect(), "17 keys are too many"),
    ] {
        let problem = TokenKeys::parse(&text).unwrap_err();
        assert!(problem.contains(says), "{problem}: {says}");
        assert!(!problem.contains(&secret) && !problem.contains(body), "{problem}");
    }
}

#[test]
fn nothing_of_a_key_is_printed() {
    let keys = TokenKeys::parse(&Issuer::any().text()).unwrap();
    assert_eq!(format!("{keys:?}"), "[Hs256]");
}
