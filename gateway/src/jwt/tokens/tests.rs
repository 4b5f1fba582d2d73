use super::super::testing::Issuer;
use super::*;
use crate::jwt::stats::TokenSums;

/// The present of these tests in milliseconds since 1970.
const NOW_MS: u64 = 1_800_000_000_000;

/// One worker, and a key file.
struct Gate {
    dir: tempfile::TempDir,
    jwt: Jwt,
    tokens: Tokens,
}

// === impl Gate ===

impl Gate {
    fn new(keys: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys"), keys).unwrap();
        let jwt = Self::jwt(&dir, "", None);
        Self { dir, jwt, tokens: Tokens::default() }
    }

    fn jwt(dir: &tempfile::TempDir, more: &str, old: Option<&Jwt>) -> Jwt {
        let keys = dir.path().join("keys");
        let text = format!(
            "[upstreams.a]\nservers = [\"127.0.0.1:9\"]\n[jwt]\nkeys = \"file:{}\"\n{more}\n\
             [[journeys]]\nname = \"a\"\nidentity = \"claim:sub\"\nsteps = [\"everything-else\"]\n",
            keys.display()
        );
        let config =
            floodgate_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}"));
        let keyring = open_keys(&config, old).unwrap();
        Jwt::compile(&config, keyring, old, 1).unwrap()
    }

    fn reconfigure(&mut self, more: &str) {
        self.jwt = Self::jwt(&self.dir, more, Some(&self.jwt));
    }

    fn rotate(&self, keys: &str) {
        std::fs::write(self.dir.path().join("keys"), keys).unwrap();
        assert!(self.jwt.keyring.reload().is_ok());
    }

    /// Whose token it is, or why not, so long after the present.
    fn ask(&self, token: &str, after: u64) -> Result<String, Reason> {
        self.ask_with(&[&format!("Bearer {token}")], after).map(|sub| sub.unwrap())
    }

    fn ask_with(&self, lines: &[&str], after: u64) -> Result<Option<String>, Reason> {
        let fields: Vec<_> = (lines.iter())
            .map(|it| httparse::Header { name: "Authorization", value: it.as_bytes() })
            .collect();
        let now = Timestamp::from_nanos((1 + after) * 1_000_000);
        let found =
            self.tokens.check(0, &self.jwt, Fields::Parsed(&fields), now, NOW_MS + after)?;
        Ok(found.map(|it| String::from_utf8(it.claim("sub").unwrap().to_vec()).unwrap()))
    }

    fn sums(&self) -> TokenSums {
        self.jwt.stats.sums()
    }
}

fn payload(sub: &str, exp_ms: u64) -> String {
    format!(r#"{{"sub":"{sub}","exp":{}}}"#, (NOW_MS + exp_ms) as f64 / 1e3)
}

#[test]
fn a_token_is_verified_once_and_until_it_ends() {
    let issuer = Issuer::any();
    let mut gate = Gate::new(&issuer.text());
    gate.reconfigure("leeway = \"0s\"");
    let anna = issuer.token(&payload("anna", 10_000));
    for after in [0, 1, 9_999] {
        assert_eq!(gate.ask(&anna, after).as_deref(), Ok("anna"));
    }
    assert_eq!(gate.sums().good, 1);
    assert_eq!(gate.ask(&anna, 10_000), Err(Reason::InvalidToken));
    let late = issuer.token(&format!(r#"{{"sub":"bert","exp":9e9,"nbf":{}}}"#, NOW_MS / 1_000 + 2));
    assert_eq!(gate.ask(&late, 0), Err(Reason::InvalidToken));
    assert_eq!(gate.ask(&late, 1_999), Err(Reason::InvalidToken));
    assert_eq!(gate.sums().bad[InvalidToken::NotYet.index()], 1);
    assert_eq!(gate.ask(&late, 2_000).as_deref(), Ok("bert"));
}

#[test]
fn a_bad_token_is_verified_once_too() {
    let (issuer, other) = (Issuer::any(), Issuer::any());
    let gate = Gate::new(&issuer.text());
    let forged = other.token(&payload("mallory", 10_000));
    for after in 0..100 {
        assert_eq!(gate.ask(&forged, after), Err(Reason::InvalidToken));
    }
    assert_eq!(gate.sums().bad[InvalidToken::Forged.index()], 1);
}

#[test]
fn only_the_one_bearer_token_is_looked_at() {
    let issuer = Issuer::any();
    let gate = Gate::new(&issuer.text());
    let token = issuer.token(&payload("anna", 10_000));
    for lines in [&[][..], &["Basic YTpi"], &["Bearer"], &[""], &["Bearerx y"]] {
        assert_eq!(gate.ask_with(lines, 0), Ok(None), "{lines:?}");
    }
    for scheme in ["Bearer ", "bearer ", "BEARER   "] {
        let line = format!("{scheme}{token}");
        assert_eq!(gate.ask_with(&[&line], 0), Ok(Some("anna".to_owned())), "{line}");
        for other in [&*line, "Basic YTpi", ""] {
            assert_eq!(gate.ask_with(&[&line, other], 0), Err(Reason::InvalidToken), "{other}");
        }
    }
    for line in ["Bearer ", "Bearer x", &format!("Bearer {token} {token}")] {
        assert_eq!(gate.ask_with(&[line], 0), Err(Reason::InvalidToken), "{line}");
    }
}

#[test]
fn with_its_key_gone_a_token_counts_no_more_and_with_a_new_one_it_may() {
    let [old, new] = [Issuer::any(), Issuer::any()];
    let gate = Gate::new(&old.text());
    let (anna, bert) = (old.token(&payload("anna", 10_000)), new.token(&payload("bert", 10_000)));
    assert_eq!(gate.ask(&anna, 0).as_deref(), Ok("anna"));
    assert_eq!(gate.ask(&bert, 0), Err(Reason::InvalidToken));
    gate.rotate(&format!("{}\n{}", old.text(), new.text()));
    assert_eq!(gate.ask(&bert, 0).as_deref(), Ok("bert"));
    assert_eq!(gate.ask(&anna, 0).as_deref(), Ok("anna"));
    assert_eq!(gate.sums().good, 2, "whose key stays is not verified again");
    gate.rotate(&new.text());
    assert_eq!(gate.ask(&anna, 0), Err(Reason::InvalidToken));
    assert_eq!(gate.ask(&bert, 0).as_deref(), Ok("bert"));
    assert_eq!(gate.sums().good, 2);
    // A file that breaks changes nothing.
    std::fs::write(gate.dir.path().join("keys"), "").unwrap();
    assert!(gate.jwt.keyring.reload().is_err());
    assert_eq!(gate.ask(&bert, 0).as_deref(), Ok("bert"));
}

#[test]
fn what_is_remembered_goes_by_the_rules() {
    let issuer = Issuer::any();
    let mut gate = Gate::new(&issuer.text());
    let anna = issuer.token(&payload("anna", 10_000));
    assert_eq!(gate.ask(&anna, 0).as_deref(), Ok("anna"));
    gate.reconfigure("");
    assert_eq!(gate.ask(&anna, 0).as_deref(), Ok("anna"));
    assert_eq!(gate.sums().good, 1, "the same rules");
    gate.reconfigure("issuer = \"somebody\"");
    assert_eq!(gate.ask(&anna, 0), Err(Reason::InvalidToken));
    gate.reconfigure("");
    assert_eq!(gate.ask(&anna, 0).as_deref(), Ok("anna"));
}

#[test]
fn a_storm_of_bad_tokens_neither_costs_a_signature_each_nor_drives_out_the_good() {
    let (issuer, other) = (Issuer::any(), Issuer::any());
    let gate = Gate::new(&issuer.text());
    let regulars: Vec<String> =
        (0..100).map(|n| issuer.token(&payload(&format!("c{n}"), 100_000))).collect();
    for token in &regulars {
        assert!(gate.ask(token, 0).is_ok());
    }
    // All at one moment: what is saved up, and no more.
    let mut reasons = [0, 0];
    for n in 0..30_000 {
        let forged = other.token(&payload(&format!("m{n}"), 10_000));
        match gate.ask(&forged, 1) {
            Err(Reason::InvalidToken) => reasons[0] += 1,
            Err(Reason::TokenUnchecked) => reasons[1] += 1,
            strange => panic!("{strange:?}"),
        }
    }
    assert!((12_000..=13_000).contains(&reasons[0]) && reasons[1] > 17_000, "{reasons:?}");
    assert_eq!(gate.tokens.len().0, 100);
    assert!(gate.tokens.len().1 <= BAD);
    let before = gate.sums().good;
    for token in &regulars {
        assert!(gate.ask(token, 1).is_ok());
    }
    assert_eq!(gate.sums().good, before);
    let anna = issuer.token(&payload("anna", 10_000));
    assert_eq!(gate.ask(&anna, 1), Err(Reason::TokenUnchecked));
    assert_eq!(gate.ask(&anna, 2).as_deref(), Ok("anna"));
}

#[test]
#[ignore = "prints figures: cargo test --release -p floodgate-gateway --lib -- --ignored --nocapture figures_of_tokens"]
fn figures_of_tokens() {
    const TIMES: u32 = 2_000;
    let padding = "x".repeat(300);
    for algorithm in floodgate_config::Algorithm::ALL {
        let (issuer, other) = (Issuer::new(algorithm), Issuer::new(algorithm));
        let gate = Gate::new(&issuer.text());
        let payload = |n: u32| format!(r#"{{"sub":"c{n}","exp":9e9,"scope":"{padding}"}}"#);
        let of = |issuer: &Issuer| -> Vec<Vec<u8>> {
            let token = |n| format!("Bearer {}", issuer.token(&payload(n))).into_bytes();
            (0..TIMES).map(token).collect()
        };
        let (good, bad) = (of(&issuer), of(&other));
        let bytes = good[0].len();
        let ask = |gate: &Gate, tokens: &[Vec<u8>]| {
            let begun = std::time::Instant::now();
            for (token, at) in tokens.iter().zip(1..) {
                let head = [httparse::Header { name: "Authorization", value: token }];
                let now = Timestamp::from_nanos(at * 1_000_000_000);
                let fields = Fields::Parsed(&head);
                let _either =
                    std::hint::black_box(gate.tokens.check(0, &gate.jwt, fields, now, NOW_MS));
            }
            begun.elapsed() / TIMES
        };
        // In turn, so that none is in the nearest cache when it comes again. The median, since the machine does more than this.
        let median = |rounds: usize, once: &mut dyn FnMut() -> std::time::Duration| {
            let mut times: Vec<_> = (0..rounds).map(|_| once()).collect();
            times.sort_unstable();
            times[rounds / 2]
        };
        let first = median(3, &mut || ask(&Gate::new(&issuer.text()), &good));
        ask(&gate, &good);
        let again = median(21, &mut || ask(&gate, &good));
        let refused = ask(&gate, &bad);
        let refused_again = median(21, &mut || ask(&gate, &bad));
        // What the library takes for the signature alone.
        let keys = gate.jwt.keyring.keys();
        let key = keys.candidates(algorithm, None).next().unwrap();
        let library = median(3, &mut || {
            let begun = std::time::Instant::now();
            for token in &good {
                let at = token.iter().rposition(|&byte| byte == b'.').unwrap();
                let signature = std::str::from_utf8(&token[at + 1..]).unwrap();
                let signature = crate::base64url::decode_standard(signature).unwrap();
                assert!(std::hint::black_box(key.has_signed(&token[7..at], &signature)));
            }
            begun.elapsed() / TIMES
        });
        println!(
            "{algorithm} of {bytes} bytes: first {first:?}, of which the library {library:?}, again {again:?}; \
             bad first {refused:?}, again {refused_again:?}"
        );
    }
}
