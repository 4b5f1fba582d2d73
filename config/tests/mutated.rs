//! Mutated files: never a panic, never a problem without a place, never more than the schema allows.

mod support;

use floodgate_config::{check, schema};
use proptest::prelude::*;
use proptest::sample::Index;

const TEXTS: [&str; 2] =
    [include_str!("../examples/checkout.toml"), include_str!("../examples/full.toml")];

/// Pieces that are likely to mean something where they land.
const PIECES: [&str; 32] = [
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
    "\u{0}",
    "\u{fc}",
    "1979-05-27T07:32:00Z",
];

/// One change of a text.
#[derive(Clone, Debug)]
enum Mutation {
    Copy(Index, Index, Index),
    Cut(Index, Index),
    CutLine(Index),
    Insert(Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), at(), at()).prop_map(|(from, len, to)| Mutation::Copy(from, len, to)),
        (at(), at()).prop_map(|(from, len)| Mutation::Cut(from, len)),
        at().prop_map(Mutation::CutLine),
        (at(), at()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
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
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_mutated_file_is_accepted_or_explained(
        which in 0..TEXTS.len(),
        mutations in proptest::collection::vec(mutation(), 1..5),
    ) {
        let mut text: Vec<char> = TEXTS[which].chars().collect();
        for mutation in &mutations {
            mutate(&mut text, mutation);
        }
        let text: String = text.into_iter().collect();
        let lines = text.split('\n').count();
        let problems = match check("mutated.toml", &text) {
            Ok(loaded) => {
                let table: toml::Table = text.parse().unwrap();
                let value = serde_json::to_value(table).unwrap();
                prop_assert_eq!(support::refusal(&schema(), &value, ""), None);
                loaded.warnings
            }
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                problems
            }
        };
        prop_assert_eq!(problems.to_json().as_array().map(Vec::len), Some(problems.iter().count()));
        for problem in problems.iter() {
            prop_assert!((1..=lines).contains(&problem.place.line), "{problem:?}");
            prop_assert!(!problem.message.is_empty() && !problem.suggestion.is_empty(), "{problem:?}");
        }
        let rendered = problems.to_string();
        prop_assert!(rendered.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
    }

    #[test]
    fn any_text_is_accepted_or_explained(text in "\\PC*|[\\[\\]{}=\"'\n.a-z0-9# ]*") {
        if let Err(problems) = check("any.toml", &text) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}
