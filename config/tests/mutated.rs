//! Mutated files and environments: never a panic, never a problem without a place, never more than the schema allows.
//!
//! `MUTATED_FILES=100000 cargo test --release -p floodgate-config --test mutated` tries as many.

mod support;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use floodgate_config::{Problems, changes, check, check_with, explain, parse, schema};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde_json::Value;

static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

const TEXTS: [&str; 6] = [
    include_str!("../examples/checkout.toml"),
    include_str!("../examples/full.toml"),
    include_str!("../examples/journeys.toml"),
    include_str!("../examples/adaptive.toml"),
    include_str!("../examples/limits.toml"),
    include_str!("../examples/objectives.toml"),
];

/// Pieces that are likely to mean something where they land.
const PIECES: [&str; 36] = [
    "\n",
    "\"",
    "'",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "#",
    "\\",
    "0",
    "-1",
    "1e999",
    "nan",
    "\"\"",
    "\"0/s\"",
    "\"24h\"",
    "true",
    "[[tiers]]\n",
    "[[routes]]\n",
    "[upstreams.x]\n",
    "[server]\n",
    "name = \"l1\"\n",
    "servers = [\"a:1\"]\n",
    "burst = 1\n",
    "[[journeys]]\n",
    "steps = [\"pay\"]\n",
    "sku = \"path:sku\"\n",
    "once = true\n",
    "\u{0}",
    "\u{fc}",
    "1979-05-27T07:32:00Z",
];

/// Values that are good somewhere, or nearly.
const VALUES: [&str; 50] = [
    "0",
    "1",
    "-1",
    "64",
    "0x10",
    "1_000",
    "65535",
    "65536",
    "1000000",
    "1000001",
    "9223372036854775807",
    "0.5",
    "1.0",
    "1.1",
    "nan",
    "true",
    "\"\"",
    "\"x\"",
    "\"l1\"",
    "\"l9\"",
    "\"checkout\"",
    "\"info\"",
    "\"0ms\"",
    "\"250us\"",
    "\"24h\"",
    "\"25h\"",
    "\"0/s\"",
    "\"7/m\"",
    "\"12500001/s\"",
    "\"64KiB\"",
    "\"2 MB\"",
    "\"/a/{b}/{*c}\"",
    "\"127.0.0.1:9000\"",
    "[]",
    "[\"127.0.0.1:9000\", \"GET\"]",
    "{ high = 1, low = 0.0 }",
    "false",
    "410",
    "-0.0",
    "[410, 599]",
    "\"grant\"",
    "\"stage\"",
    "\"header:x-user\"",
    "\"cookie:sid\"",
    "\"claim:sub\"",
    "\"path:sku\"",
    "\"query:id\"",
    "\"file:keys\"",
    "[\"order\", \"pay\"]",
    "{ step = \"order\", status = [200] }",
];

/// What may stand in the name of a variable.
const SEGMENTS: [&str; 32] = [
    "SERVER",
    "UPSTREAMS",
    "TIERS",
    "ROUTES",
    "CHECKOUT",
    "L1",
    "L3",
    "ORDER",
    "ROUTE_1",
    "LISTEN",
    "DRAIN",
    "MAX_HEAD",
    "VIA",
    "SERVERS",
    "BUFFER",
    "RATE",
    "BURST",
    "MAX_WAIT",
    "WATERMARKS",
    "HIGH",
    "METHODS",
    "JOURNEYS",
    "SALE",
    "STEPS",
    "FINISH",
    "STATUS",
    "LATCH",
    "ONCE",
    "EXPLAIN",
    "TTL",
    "SKU",
    "\u{fc}",
];

/// Names of variables that are good.
const KEYS: [&str; 16] = [
    "SERVER__LISTEN",
    "SERVER__MAX_HEAD",
    "SERVER__WORKERS",
    "SERVER__TRUSTED_PROXIES",
    "UPSTREAMS__CHECKOUT__BUFFER",
    "UPSTREAMS__CHECKOUT__SERVERS",
    "UPSTREAMS__CHECKOUT__RATE",
    "TIERS__L1__MAX_WAIT",
    "TIERS__L2__WATERMARKS",
    "TIERS__L3__WATERMARKS__HIGH",
    "TIERS__L3__WEIGHT",
    "TIERS__L3__RATE",
    "LATCH__STATUS",
    "LATCH__TTL",
    "ONCE__MEMORY",
    "EXPLAIN__SAMPLE",
];

/// One change of a text.
#[derive(Clone, Debug)]
enum Mutation {
    Copy(Index, Index, Index),
    Cut(Index, Index),
    CutLine(Index),
    Insert(Index, Index),
    Set(Index, &'static str),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        1 => (at(), at(), at()).prop_map(|(from, len, to)| Mutation::Copy(from, len, to)),
        1 => (at(), at()).prop_map(|(from, len)| Mutation::Cut(from, len)),
        1 => at().prop_map(Mutation::CutLine),
        1 => (at(), at()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        4 => (at(), select(&VALUES[..])).prop_map(|(at, value)| Mutation::Set(at, value)),
    ]
}

fn mutate(text: &mut Vec<char>, mutation: &Mutation) {
    if text.is_empty() {
        return;
    }
    match mutation {
        Mutation::Copy(from, len, to) => {
            let from = from.index(text.len());
            let end = (from + len.index(40)).min(text.len());
            let copied: Vec<char> = text[from..end].to_vec();
            let to = to.index(text.len());
            text.splice(to..to, copied);
        }
        Mutation::Cut(from, len) => {
            let from = from.index(text.len());
            let end = (from + len.index(20)).min(text.len());
            text.drain(from..end);
        }
        Mutation::CutLine(at) => {
            let at = at.index(text.len());
            let start = text[..at].iter().rposition(|c| *c == '\n').map_or(0, |it| it + 1);
            let end =
                text[at..].iter().position(|c| *c == '\n').map_or(text.len(), |it| at + it + 1);
            text.drain(start..end);
        }
        Mutation::Insert(at, piece) => {
            let at = at.index(text.len());
            text.splice(at..at, PIECES[piece.index(PIECES.len())].chars());
        }
        Mutation::Set(at, value) => {
            let equals: Vec<usize> =
                text.iter().enumerate().filter(|(_, c)| **c == '=').map(|(at, _)| at).collect();
            if equals.is_empty() {
                return;
            }
            let start = equals[at.index(equals.len())] + 1;
            let end = text[start..].iter().position(|c| "#\n".contains(*c));
            let end = end.map_or(text.len(), |length| start + length);
            text.splice(start..end, value.chars());
        }
    }
}

/// How many are tried.
fn runner() -> TestRunner {
    let cases = std::env::var("MUTATED_FILES").ok().and_then(|it| it.parse().ok()).unwrap_or(1_000);
    TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..Default::default() })
}

/// Every problem has a place that exists, words and a way out; nothing in them moves a terminal.
fn is_told(problems: &Problems, lines: usize) -> TestCaseResult {
    prop_assert_eq!(problems.to_json().as_array().map(Vec::len), Some(problems.iter().count()));
    for problem in problems.iter() {
        let in_file = problem.place.variable.is_none();
        prop_assert!(problem.place.line >= 1, "{problem:?}");
        prop_assert!(!in_file || problem.place.line <= lines, "{problem:?}");
        prop_assert!(!problem.message.is_empty() && !problem.suggestion.is_empty(), "{problem:?}");
    }
    let rendered = problems.to_string();
    prop_assert!(rendered.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
    Ok(())
}

#[test]
fn a_mutated_file_is_accepted_or_explained() {
    let tried = (0..TEXTS.len(), proptest::collection::vec(mutation(), 1..5));
    let (accepted, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    let result = runner().run(&tried, |(which, mutations)| {
        let mut text: Vec<char> = TEXTS[which].chars().collect();
        for mutation in &mutations {
            mutate(&mut text, mutation);
        }
        let text: String = text.into_iter().collect();
        let lines = text.split('\n').count();
        match check("mutated.toml", &text) {
            Ok(loaded) => {
                accepted.fetch_add(1, Relaxed);
                let table: toml::Table = text.parse().unwrap();
                let value = serde_json::to_value(table).unwrap();
                prop_assert_eq!(support::refusal(&SCHEMA, &value, ""), None);
                prop_assert!(changes(&loaded.config, &loaded.config).is_empty());
                is_told(&loaded.warnings, lines)
            }
            Err(problems) => {
                refused.fetch_add(1, Relaxed);
                prop_assert!(!problems.is_empty());
                is_told(&problems, lines)
            }
        }
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let (accepted, refused) = (accepted.into_inner(), refused.into_inner());
    assert!(accepted > 20 && refused > 100, "{accepted} accepted, {refused} refused");
}

#[test]
fn a_mutated_environment_is_accepted_or_explained() {
    let value = prop_oneof![select(&VALUES[..]).prop_map(str::to_owned), "\\PC{0,8}"];
    let name = proptest::collection::vec(select(&SEGMENTS[..]), 1..5).prop_map(|it| it.join("__"));
    let name = prop_oneof![1 => name, 3 => select(&KEYS[..]).prop_map(str::to_owned)];
    let variable = (name, value, any::<bool>()).prop_map(|(name, value, bare)| {
        let value = if bare { value.trim_matches('"').to_owned() } else { value };
        (format!("FLOODGATE__{name}"), value)
    });
    let tried = (0..TEXTS.len(), proptest::collection::vec(variable, 1..3));
    let before = TEXTS.map(|text| parse("mutated.toml", text).unwrap());
    let accepted = AtomicU32::new(0);
    let result = runner().run(&tried, |(which, environment)| {
        let text = TEXTS[which];
        let lines = text.split('\n').count();
        match check_with("mutated.toml", text, &environment) {
            Ok(loaded) => {
                accepted.fetch_add(1, Relaxed);
                // Nothing else is different, but for what follows from a rate.
                let changes = changes(&before[which], &loaded.config);
                let named = |key: &str| {
                    let variable = key.replace(['.', '-'], "__").to_uppercase();
                    environment.iter().any(|(name, _)| {
                        format!("FLOODGATE__{variable}")
                            .starts_with(&name.replace("ROUTE_1", "ROUTE__1"))
                    })
                };
                for change in changes {
                    let key = change.key.replace(".burst", ".rate");
                    prop_assert!(named(&change.key) || named(&key), "{change} by {environment:?}");
                }
                let explained = explain(&loaded, None);
                prop_assert!(
                    explained.values.iter().any(|it| it.given.to_string().starts_with("env"))
                );
                is_told(&loaded.warnings, lines)
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                is_told(&problems, lines)
            }
        }
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(accepted.into_inner() > 0);
}

#[test]
fn any_text_is_accepted_or_explained() {
    let text = "\\PC*|[\\[\\]{}=\"'\n.a-z0-9# ]*";
    let result = runner().run(&text, |text| {
        if let Err(problems) = check("any.toml", &text) {
            prop_assert!(!problems.to_string().is_empty());
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
