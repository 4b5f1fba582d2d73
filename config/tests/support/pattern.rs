//! As much of ECMA 262 patterns as our own schema uses: literals, classes, groups of choices, `+`, `?`, `{m,n}`, `^`, `$`.

/// What a pattern is made of, each with how often it may come.
struct Piece {
    atom: Atom,
    least: usize,
    most: usize,
}

enum Atom {
    Class(Vec<(char, char)>),
    Group(Vec<Vec<Piece>>),
}

/// Whether `text` matches `pattern`, which must begin with `^`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let inside = pattern.strip_prefix('^').expect("our patterns are anchored");
    let (inside, to_end) = match inside.strip_suffix('$') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let pattern: Vec<char> = inside.chars().collect();
    let mut at = 0;
    let choices = choices(&pattern, &mut at);
    assert_eq!(at, pattern.len(), "{inside} is not handled here");
    let text: Vec<char> = text.chars().collect();
    choices.iter().flat_map(|pieces| ends(pieces, &text, 0)).any(|end| !to_end || end == text.len())
}

fn choices(pattern: &[char], at: &mut usize) -> Vec<Vec<Piece>> {
    let mut choices = vec![Vec::new()];
    while let Some(&c) = pattern.get(*at).filter(|c| **c != ')') {
        *at += 1;
        if c == '|' {
            choices.push(Vec::new());
            continue;
        }
        let atom = match c {
            '(' => {
                let inner = self::choices(pattern, at);
                *at += 1;
                Atom::Group(inner)
            }
            '[' => Atom::Class(class(pattern, at)),
            c => {
                assert!(!"\\.*+?{}".contains(c), "{c} is not handled here");
                Atom::Class(vec![(c, c)])
            }
        };
        let (least, most) = count(pattern, at);
        choices.last_mut().expect("never empty").push(Piece { atom, least, most });
    }
    choices
}

fn class(pattern: &[char], at: &mut usize) -> Vec<(char, char)> {
    let mut ranges = Vec::new();
    while pattern[*at] != ']' {
        let from = pattern[*at];
        let is_range = pattern[*at + 1] == '-' && pattern[*at + 2] != ']';
        let to = if is_range { pattern[*at + 2] } else { from };
        ranges.push((from, to));
        *at += if is_range { 3 } else { 1 };
    }
    *at += 1;
    ranges
}

fn count(pattern: &[char], at: &mut usize) -> (usize, usize) {
    let (counted, length) = match pattern.get(*at) {
        Some('+') => ((1, usize::MAX), 1),
        Some('?') => ((0, 1), 1),
        Some('{') => {
            let inside: String = pattern[*at + 1..].iter().take_while(|c| **c != '}').collect();
            let (least, most) = inside.split_once(',').expect("a pair");
            let number = |text: &str| text.parse().expect("a number");
            ((number(least), number(most)), inside.len() + 2)
        }
        _ => ((1, 1), 0),
    };
    *at += length;
    counted
}

/// Everywhere that a match of `pieces` from `start` can end.
fn ends(pieces: &[Piece], text: &[char], start: usize) -> Vec<usize> {
    let Some((piece, rest)) = pieces.split_first() else { return vec![start] };
    let (mut found, mut reached, mut times) = (Vec::new(), vec![start], 0);
    while !reached.is_empty() {
        if times >= piece.least {
            found.extend(reached.iter().flat_map(|at| ends(rest, text, *at)));
        }
        if times == piece.most {
            break;
        }
        times += 1;
        let once = |at: usize| match &piece.atom {
            Atom::Class(ranges) => {
                let c = text.get(at).filter(|c| ranges.iter().any(|(a, b)| (a..=b).contains(c)));
                c.map(|_| at + 1).into_iter().collect()
            }
            Atom::Group(choices) => {
                choices.iter().flat_map(|one| ends(one, text, at)).collect::<Vec<_>>()
            }
        };
        reached = reached.into_iter().flat_map(once).collect();
    }
    found
}
