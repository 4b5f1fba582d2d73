//! The Prometheus text format, as far as it is needed: one sample at a time.

/// One line `name{label="value",…} value`.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    labels: &'a str,
    pub(super) value: f64,
}

/// Every sample of a page. Lines that are none are passed over.
pub(super) fn samples(page: &str) -> impl Iterator<Item = Sample<'_>> {
    page.lines().filter_map(sample)
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let (name, labels, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = rest.split_at(end_of_labels(rest)?);
            (name, labels, &rest[1..])
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            (name, "", rest)
        }
    };
    // A time stamp may follow.
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    (!name.is_empty()).then_some(Sample { name: name.trim(), labels, value })
}

/// Where the closing brace is that does not stand between quotation marks.
fn end_of_labels(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| {
        let ends = byte == b'}' && !quoted;
        quoted ^= byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

// === impl Sample ===

impl Sample<'_> {
    /// The value of a label, escapes resolved.
    pub(super) fn label(&self, name: &str) -> Option<String> {
        let mut rest = self.labels;
        while let Some((key, after)) = rest.split_once("=\"") {
            let (value, after) = unquote(after)?;
            if key.trim_matches([',', ' ']) == name {
                return Some(value);
            }
            rest = after;
        }
        None
    }
}

/// What stands before the closing quotation mark, and what after it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_may_hold_whatever_ends_labels() {
        let page = "# TYPE x counter\nx{a=\"q\\\"}\\\\\",b=\"}, c=\\\"\\n\"} 7 1700000000\n";
        let sample = samples(page).next().unwrap();
        assert_eq!((sample.name, sample.value), ("x", 7.0));
        assert_eq!(sample.label("a").as_deref(), Some("q\"}\\"));
        assert_eq!(sample.label("b").as_deref(), Some("}, c=\"\n"));
        assert_eq!(sample.label("c"), None);
    }

    #[test]
    fn lines_that_are_no_samples_are_passed_over() {
        let page = "\n# HELP x y\nx\nx{a=\"b\" 1\nx{a=\"b} 1\n{} 1\nx one\nx{} 2\ny 3e1\n";
        let found: Vec<_> = samples(page).map(|sample| (sample.name, sample.value)).collect();
        assert_eq!(found, [("x", 2.0), ("y", 30.0)]);
    }
}
