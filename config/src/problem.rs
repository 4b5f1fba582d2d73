//! What is wrong with a file, all of it at once, as text and as JSON.

use std::fmt;

use serde_json::{Value, json};

use crate::source::{Place, Source, Span};

/// Problems that are kept; what comes after them is only counted.
const KEPT: usize = 200;

/// Whether a problem keeps the file from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used, and probably not what was meant.
    Warning,
}

/// One problem, with its place and a way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// Path of the key, such as `upstreams.checkout.max_in_flight` or `routes[2].path`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub suggestion: String,
    /// Where it stands.
    pub place: Place,
    /// The earlier place that it collides with.
    pub first: Option<Place>,
}

/// Problems of one file and the environment, in the order of the file, the environment last. `Display` renders them for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
    omitted: usize,
}

/// Collects problems while a source is read and validated.
#[derive(Debug)]
pub(crate) struct Report<'t> {
    source: Source<'t>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    omitted: usize,
}

// === impl Problems ===

impl Problems {
    /// The problems that were kept: at most 200.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// Number of problems, those that were only counted included.
    pub fn len(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// An array of `{severity, file, line, column, key, message, suggestion, line_text}`.
    pub fn to_json(&self) -> Value {
        let one = |problem: &Problem| {
            json!({
                "severity": problem.severity.as_str(),
                "file": problem.place.source(&self.file),
                "line": problem.place.line,
                "column": problem.place.column,
                "key": problem.key,
                "message": problem.message,
                "suggestion": problem.suggestion,
                "line_text": problem.place.line_text,
            })
        };
        Value::Array(self.list.iter().map(one).collect())
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            problem.render(&self.file, f)?;
        }
        if self.omitted > 0 {
            writeln!(f, "\n… and {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

// === impl Problem ===

impl Problem {
    fn render(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.first.iter().map(|first| first.line).fold(self.place.line, usize::max);
        let gutter = last.to_string().len();
        writeln!(f, "{}: {}", self.severity.as_str(), self.message)?;
        write!(f, "{:gutter$}--> {}", "", self.place.source(file))?;
        match self.place.variable {
            Some(_) => writeln!(f)?,
            None => writeln!(f, ":{}:{}", self.place.line, self.place.column)?,
        }
        writeln!(f, "{:gutter$} |", "")?;
        if let Some(first) = &self.first {
            // On one line both marks stand under it.
            let same_line = (first.part, first.line) == (self.place.part, self.place.line);
            if same_line && first.line_text == self.place.line_text {
                self.place.render_line(gutter, f)?;
                write!(f, "{:gutter$} | {}", "", first.indent(0))?;
                write!(f, "{}", "-".repeat(first.width))?;
                let done = first.before + first.width;
                return self.place.render_mark(done, '^', &self.suggestion, f);
            }
            first.render_line(gutter, f)?;
            write!(f, "{:gutter$} | ", "")?;
            first.render_mark(0, '-', "first here", f)?;
        }
        self.place.render_line(gutter, f)?;
        write!(f, "{:gutter$} | ", "")?;
        self.place.render_mark(0, '^', &self.suggestion, f)
    }
}

// === impl Place ===

impl Place {
    /// What it stands in: the file, or a variable.
    fn source(&self, file: &str) -> String {
        match &self.variable {
            Some(variable) => format!("environment: {variable}"),
            None => file.to_owned(),
        }
    }

    fn render_line(&self, gutter: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line_text.trim_end() {
            "" => writeln!(f, "{:>gutter$} |", self.line),
            text => writeln!(f, "{:>gutter$} | {text}", self.line),
        }
    }

    fn render_mark(
        &self,
        done: usize,
        mark: char,
        label: &str,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        writeln!(f, "{}{} {label}", self.indent(done), mark.to_string().repeat(self.width))
    }

    /// Blanks from column `done` to the stretch; tabs are repeated so that marks stand right however wide a tab is.
    fn indent(&self, done: usize) -> String {
        let line = self.line_text.chars().chain(std::iter::repeat(' '));
        let blank = |c| if c == '\t' { c } else { ' ' };
        line.take(self.before).skip(done).map(blank).collect()
    }
}

// === impl Severity ===

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

// === impl Report ===

impl<'t> Report<'t> {
    pub(crate) fn new(source: Source<'t>) -> Self {
        Self { source, errors: Vec::new(), warnings: Vec::new(), omitted: 0 }
    }

    pub(crate) fn source(&self) -> &Source<'t> {
        &self.source
    }

    pub(crate) fn source_mut(&mut self) -> &mut Source<'t> {
        &mut self.source
    }

    pub(crate) fn error(
        &mut self,
        key: impl Into<String>,
        span: Span,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        self.push(Severity::Error, key.into(), span, message.into(), suggestion.into(), None);
    }

    /// An error about something that collides with what stands at `first`.
    pub(crate) fn collision(
        &mut self,
        key: impl Into<String>,
        span: Span,
        first: Span,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        let (message, suggestion) = (message.into(), suggestion.into());
        self.push(Severity::Error, key.into(), span, message, suggestion, Some(first));
    }

    pub(crate) fn warning(
        &mut self,
        key: impl Into<String>,
        span: Span,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        self.push(Severity::Warning, key.into(), span, message.into(), suggestion.into(), None);
    }

    pub(crate) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether further errors are only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.errors.len() >= KEPT
    }

    /// Counts an error that would not be kept.
    pub(crate) fn omit(&mut self) {
        self.omitted += 1;
    }

    /// Errors and warnings, each in the order of the file.
    pub(crate) fn finish(self) -> (Problems, Problems) {
        let file = self.source.name.to_owned();
        let sorted = |mut list: Vec<Problem>, omitted| {
            list.sort_by_key(|Problem { place, .. }| (place.part, place.line, place.column));
            Problems { file: file.clone(), list, omitted }
        };
        (sorted(self.errors, self.omitted), sorted(self.warnings, 0))
    }

    fn push(
        &mut self,
        severity: Severity,
        key: String,
        span: Span,
        message: String,
        suggestion: String,
        first: Option<Span>,
    ) {
        let list = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if list.len() >= KEPT {
            if severity == Severity::Error {
                self.omitted += 1;
            }
            return;
        }
        let place = self.source.place(span);
        let first = first.map(|span| self.source.place(span));
        list.push(Problem { severity, key, message, suggestion, place, first });
    }
}
