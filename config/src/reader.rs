//! Walks the parsed TOML and knows at which key it is.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::Report;
use crate::source::{Span, quote};
use crate::suggest::nearest;
use crate::value::{Setting, Value};

/// One step of the path of a key.
#[derive(Debug)]
enum Step {
    Index(usize),
    Key(String),
}

/// The place in the tree that is being read, and where problems go.
#[derive(Debug)]
pub(crate) struct Reader<'r, 't> {
    report: &'r mut Report<'t>,
    path: Vec<Step>,
}

// === impl Reader ===

impl<'r, 't> Reader<'r, 't> {
    pub(crate) fn new(report: &'r mut Report<'t>) -> Self {
        Self { report, path: Vec::new() }
    }

    /// Reads with `key` added to the path.
    pub(crate) fn at_key<R>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> R) -> R {
        self.path.push(Step::Key(key.to_owned()));
        let result = read(self);
        self.path.pop();
        result
    }

    /// Reads with `index` added to the path.
    pub(crate) fn at_index<R>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> R) -> R {
        self.path.push(Step::Index(index));
        let result = read(self);
        self.path.pop();
        result
    }

    /// The setting under `key`, if it was typed and is good.
    pub(crate) fn optional<T: Value>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
    ) -> Option<Setting<T>> {
        let value = table.get(key)?;
        let read = self.at_key(key, |reader| T::read(value, reader))?;
        Some(Setting { value: read, span: Some(value.span().into()) })
    }

    /// Like [`Reader::optional`], and a problem of the table at `span` if it was not typed.
    pub(crate) fn required<T: Value>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        span: Span,
    ) -> Option<Setting<T>> {
        if !table.contains_key(key) {
            let place = self.table();
            let path = self.at_key(key, |reader| reader.key());
            let message = format!("missing key `{key}` {place}");
            self.report.error(path, span, message, T::example(key));
        }
        self.optional(table, key)
    }

    /// Makes a problem of every key that is not one of `known`.
    pub(crate) fn refuse_unknown(&mut self, table: &DeTable<'_>, known: &[&'static str]) {
        let mut unknown: Vec<_> =
            table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())).collect();
        unknown.sort_by_key(|key| key.span().start);
        for key in unknown {
            if self.report.is_full() {
                self.report.omit();
                continue;
            }
            let name = key.get_ref();
            let suggestion = match nearest(name, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known here: {}", known.join(", ")),
            };
            let message = format!("unknown key {} {}", quote(name), self.table());
            let path = self.at_key(name, |reader| reader.key());
            self.report.error(path, key.span().into(), message, suggestion);
        }
    }

    /// A problem of the current key.
    pub(crate) fn error(
        &mut self,
        span: Span,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        let key = self.key();
        self.report.error(key, span, message, suggestion);
    }

    /// A problem of the current key: `value` is of the wrong type, it should have been `wanted`.
    pub(crate) fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, wanted: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` is {found}", self.key());
        self.error(value.span().into(), message, format!("expected {wanted}"));
    }

    /// The path of the current key, such as `tiers[1].watermarks.high`.
    pub(crate) fn key(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(index) => path.push_str(&format!("[{index}]")),
                Step::Key(key) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    // A key of a hostile file may be as long as the file.
                    path.extend(key.chars().take(64).map(|c| if c.is_control() { '?' } else { c }));
                }
            }
        }
        path
    }

    /// The current table as its header is written: `at the top`, `in [server]`, `in [[tiers]]`.
    fn table(&self) -> String {
        let key = self.key();
        match self.path.last() {
            None => "at the top of the file".to_owned(),
            Some(Step::Index(_)) => format!("in [[{}]]", key.split('[').next().unwrap_or(&key)),
            Some(Step::Key(_)) if key.contains('[') => format!("in `{key}`"),
            Some(Step::Key(_)) => format!("in [{key}]"),
        }
    }
}
