//! Walks the parsed TOML, knows at which place it is, and goes on after a mistake.

use std::{fmt, ops::Range, str::FromStr, time::Duration};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::suggest::nearest;

/// Mistakes that are listed; a file with more is no scenario.
const MAX_PROBLEMS: usize = 100;

/// One mistake in a scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// From 1 on.
    pub line: usize,
    /// From 1 on, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub suggestion: String,
}

/// Collects the mistakes of one text.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: Vec<(usize, Problem)>,
}

/// One table of the text. The keys that were asked for are those it may have.
#[derive(Debug)]
pub(super) struct Section<'t> {
    /// As in `[customers]`; empty at the top.
    path: String,
    table: &'t DeTable<'t>,
    span: Range<usize>,
    known: Vec<&'static str>,
}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.line, self.column, self.message, self.suggestion)
    }
}

// === impl Reader ===

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, problems: Vec::new() }
    }

    pub(super) fn error(
        &mut self,
        at: usize,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        if self.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let problem = Problem {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
            suggestion: suggestion.into(),
        };
        self.problems.push((at, problem));
    }

    /// All mistakes in the order of the text.
    pub(super) fn problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|(at, _)| *at);
        self.problems.into_iter().map(|(_, problem)| problem).collect()
    }
}

// === impl Section ===

impl<'t> Section<'t> {
    pub(super) fn top(table: &'t DeTable<'t>) -> Self {
        Self { path: String::new(), table, span: 0..0, known: Vec::new() }
    }

    fn value(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// Where `key` stands, or the section when it does not.
    pub(super) fn at(&self, key: &str) -> usize {
        self.table.get(key).map_or(self.span.start, |value| value.span().start)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A mistake of `key` if `found` is not there and the key is.
    pub(super) fn require<T>(
        &self,
        reader: &mut Reader<'_>,
        key: &str,
        example: &str,
        found: Option<T>,
    ) -> Option<T> {
        if found.is_none() && !self.has(key) {
            let message = format!("`{}` is missing", self.full(key));
            reader.error(self.span.start, message, format!("add {key} = {example}"));
        }
        found
    }

    pub(super) fn number(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        within: Range<f64>,
    ) -> Option<f64> {
        let value = self.value(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(integer) => integer.as_str().parse().ok(),
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let good = number.filter(|number| (within.start..=within.end).contains(number));
        if good.is_none() {
            let message = format!("`{}` is not a number of its range", self.full(key));
            let suggestion = format!("use a number from {} to {}", within.start, within.end);
            reader.error(value.span().start, message, suggestion);
        }
        good
    }

    /// A whole number.
    pub(super) fn count(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        within: Range<u32>,
    ) -> Option<usize> {
        let number = self.number(reader, key, f64::from(within.start)..f64::from(within.end))?;
        if number.fract() != 0.0 {
            let message = format!("`{}` is {number}", self.full(key));
            reader.error(self.at(key), message, "use a whole number");
            return None;
        }
        Some(number as usize)
    }

    pub(super) fn flag(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        let DeValue::Boolean(flag) = value.get_ref() else {
            let message = format!("`{}` is not a boolean", self.full(key));
            reader.error(value.span().start, message, "use true or false");
            return None;
        };
        Some(*flag)
    }

    pub(super) fn text(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<&'t str> {
        let value = self.value(key)?;
        let DeValue::String(text) = value.get_ref() else {
            let message = format!("`{}` is not a text", self.full(key));
            reader.error(value.span().start, message, "put it in quotes");
            return None;
        };
        Some(text)
    }

    /// A list of texts, each with its place.
    pub(super) fn texts(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
    ) -> Option<Vec<(&'t str, usize)>> {
        let value = self.value(key)?;
        let DeValue::Array(items) = value.get_ref() else {
            let message = format!("`{}` is not a list", self.full(key));
            reader.error(value.span().start, message, "use [\"a\", \"b\"]");
            return None;
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => texts.push((&**text, item.span().start)),
                _ => {
                    let message = format!("an item of `{}` is not a text", self.full(key));
                    reader.error(item.span().start, message, "put it in quotes");
                }
            }
        }
        Some(texts)
    }

    /// Points as `[[0, 1], [5, 20]]`.
    pub(super) fn points(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
    ) -> Option<Vec<(f64, f64)>> {
        let value = self.value(key)?;
        let number = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::Integer(integer) => integer.as_str().parse::<f64>().ok(),
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => None,
        };
        let point = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
            DeValue::Array(pair) => match pair.iter().map(number).collect::<Vec<_>>()[..] {
                [Some(at), Some(value)] => Some((at, value)),
                _ => None,
            },
            _ => None,
        };
        let points = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(point).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        if points.is_none() {
            let message = format!("`{}` is not a list of points", self.full(key));
            reader.error(value.span().start, message, "use [[seconds, multiple], …]");
        }
        points
    }

    /// A text that means something.
    pub(super) fn parsed<T: FromStr>(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        suggestion: &str,
    ) -> Option<T> {
        let text = self.text(reader, key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            let message = format!("`{}` is {text:.60?}", self.full(key));
            reader.error(self.at(key), message, suggestion);
        }
        parsed
    }

    /// One of some words; the index of it.
    pub(super) fn word(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        words: &[&str],
    ) -> Option<usize> {
        let text = self.text(reader, key)?;
        let found = words.iter().position(|word| *word == text);
        if found.is_none() {
            let message = format!("`{}` is {text:.60?}", self.full(key));
            reader.error(self.at(key), message, meant(text, words));
        }
        found
    }

    pub(super) fn duration(
        &mut self,
        reader: &mut Reader<'_>,
        key: &'static str,
        longest: Duration,
    ) -> Option<Duration> {
        let suggestion = "use a time such as \"500ms\" or \"2s\"";
        let time = self.parsed::<humantime::Duration>(reader, key, suggestion)?;
        if *time > longest {
            let message = format!("`{}` is {time}", self.full(key));
            reader.error(self.at(key), message, format!("use at most {longest:?}"));
            return None;
        }
        Some(*time)
    }

    /// A section below this one.
    pub(super) fn section(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Option<Self> {
        let (value, path) = (self.value(key)?, self.full(key));
        Self::of(reader, value, path)
    }

    /// A list of sections below this one.
    pub(super) fn sections(&mut self, reader: &mut Reader<'_>, key: &'static str) -> Vec<Self> {
        let (Some(value), path) = (self.value(key), self.full(key)) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            let message = format!("`{path}` is not a list of tables");
            reader.error(value.span().start, message, format!("write [[{path}]]"));
            return Vec::new();
        };
        items.iter().filter_map(|item| Self::of(reader, item, path.clone())).collect()
    }

    fn of(reader: &mut Reader<'_>, value: &'t Spanned<DeValue<'t>>, path: String) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            let message = format!("`{path}` is not a table");
            reader.error(value.span().start, message, format!("write [{path}]"));
            return None;
        };
        Some(Self { path, table, span: value.span(), known: Vec::new() })
    }

    /// Names and numbers of a table whose keys are free, in the order of the text.
    pub(super) fn entries(
        &self,
        reader: &mut Reader<'_>,
        within: Range<f64>,
    ) -> Vec<(String, f64)> {
        let entries = self.entries_at(reader, within).into_iter();
        entries.map(|(name, number, _)| (name, number)).collect()
    }

    /// As [`entries`](Self::entries), each with its place.
    pub(super) fn entries_at(
        &self,
        reader: &mut Reader<'_>,
        within: Range<f64>,
    ) -> Vec<(String, f64, usize)> {
        let mut typed: Vec<_> = self.table.iter().collect();
        typed.sort_by_key(|(key, _)| key.span().start);
        let mut entries = Vec::new();
        for (key, value) in typed {
            let name = key.get_ref();
            let number = match value.get_ref() {
                DeValue::Integer(integer) => integer.as_str().parse().ok(),
                DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
                _ => None,
            };
            match number.filter(|number| (within.start..=within.end).contains(number)) {
                Some(number) => entries.push((name.to_string(), number, key.span().start)),
                None => {
                    let message = format!("`{}` is not a number of its range", self.full(name));
                    let suggestion = format!("use {} to {}", within.start, within.end);
                    reader.error(value.span().start, message, suggestion);
                }
            }
        }
        entries
    }

    /// Makes a mistake of every key that nobody asked for.
    pub(super) fn finish(self, reader: &mut Reader<'_>) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let message = format!("unknown key `{}`", self.full(name));
                reader.error(key.span().start, message, meant(name, &self.known));
            }
        }
    }
}

/// What may have been meant by a wrong word.
pub(super) fn meant(typed: &str, known: &[&str]) -> String {
    match nearest(typed, known) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("use one of {}", known.join(", ")),
    }
}
