//! The texts of a configuration, a file and variables of the environment, and where in them something stands.

use std::borrow::Cow;
use std::ops::Range;

/// Longest piece of a line that is shown, in characters.
const SHOWN: usize = 120;

/// A stretch of the source, in bytes. What stands in the environment is counted on from the end of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A stretch of the source as people look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// The line; of a long one the piece around the column.
    pub line_text: String,
    /// The variable of the environment that it stands in; `None`: the file.
    pub variable: Option<String>,
    /// Its part of the source: 0 is the file.
    pub(crate) part: usize,
    /// Characters of `line_text` before the stretch.
    pub(crate) before: usize,
    /// Characters of `line_text` in the stretch, at least 1.
    pub(crate) width: usize,
}

/// A named file, and the variables of the environment that go with it.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    pub(crate) name: &'t str,
    /// At least one: the file.
    parts: Vec<Part<'t>>,
}

/// One text with the starts of its lines.
#[derive(Debug)]
struct Part<'t> {
    variable: Option<String>,
    text: Cow<'t, str>,
    /// Where it begins in the whole source.
    base: usize,
    line_starts: Vec<usize>,
}

// === impl Span ===

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

// === impl Source ===

impl<'t> Source<'t> {
    pub(crate) fn new(name: &'t str, text: &'t str) -> Self {
        Self { name, parts: vec![Part::new(None, text.into(), 0)] }
    }

    /// Adds a variable, shown as `NAME=value`; returns the span of its name and where its value begins.
    pub(crate) fn add_variable(&mut self, name: &str, value: &str) -> (Span, usize) {
        let base = self.parts.last().map_or(0, |last| last.base + last.text.len() + 1);
        let shown = name.chars().take(SHOWN).map(|c| printable(c, ' ')).collect();
        self.parts.push(Part::new(Some(shown), format!("{name}={value}").into(), base));
        (Span { start: base, end: base + name.len() }, base + name.len() + 1)
    }

    /// The variable, `None` for the file, and the line in it, counted from 1.
    pub(crate) fn line(&self, span: Span) -> (Option<&str>, usize) {
        let (_, part) = self.part(span);
        (part.variable.as_deref(), part.line_index(span.start.saturating_sub(part.base)) + 1)
    }

    /// Where `span` begins; a span over several lines is cut at the end of its first.
    pub(crate) fn place(&self, span: Span) -> Place {
        let (index, part) = self.part(span);
        part.place(index, span)
    }

    fn part(&self, span: Span) -> (usize, &Part<'t>) {
        let index = self.parts.partition_point(|part| part.base <= span.start).saturating_sub(1);
        (index, &self.parts[index])
    }
}

// === impl Part ===

impl<'t> Part<'t> {
    fn new(variable: Option<String>, text: Cow<'t, str>, base: usize) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(at, _)| at + 1)).collect();
        Self { variable, text, base, line_starts }
    }

    fn place(&self, part: usize, span: Span) -> Place {
        let start = self.boundary(span.start.saturating_sub(self.base));
        let index = self.line_index(start);
        let line_start = self.line_starts.get(index).copied().unwrap_or(0);
        let line = self.text[line_start..].split('\n').next().unwrap_or("");
        let line = line.strip_suffix('\r').unwrap_or(line);
        let line_end = line_start + line.len();
        let start = start.min(line_end);
        let end = self.boundary(span.end.saturating_sub(self.base)).clamp(start, line_end);

        let column = self.text[line_start..start].chars().count();
        let width = self.text[start..end].chars().count().max(1);
        // A long line is shown from a little before the stretch.
        let skipped = if column + width <= SHOWN { 0 } else { column.saturating_sub(SHOWN / 3) };
        let line_text: String =
            line.chars().skip(skipped).take(SHOWN).map(|c| printable(c, '\t')).collect();
        let before = column - skipped;
        Place {
            line: index + 1,
            column: column + 1,
            variable: self.variable.clone(),
            part,
            before,
            width: width.min(SHOWN - before.min(SHOWN - 1)),
            line_text,
        }
    }

    /// The index of the line in which `at` is.
    fn line_index(&self, at: usize) -> usize {
        self.line_starts.partition_point(|line| *line <= at).saturating_sub(1)
    }

    /// The nearest character boundary at or before `at`.
    fn boundary(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// Text that somebody typed, fit for one line of a message: in backticks, bounded, no control characters.
pub(crate) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(60).map(|c| printable(c, ' ')).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// A terminal must not obey what stands in a file.
fn printable(c: char, kept: char) -> char {
    if c.is_control() && c != kept { char::REPLACEMENT_CHARACTER } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, start: usize, end: usize) -> (usize, usize, String, usize, usize) {
        let place = Source::new("x", text).place(Span { start, end });
        (place.line, place.column, place.line_text, place.before, place.width)
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(place("ä = 1\nöö = 2", 7, 11), (2, 1, "öö = 2".into(), 0, 2));
        assert_eq!(place("ä = 1\r\nx", 5, 6), (1, 5, "ä = 1".into(), 4, 1));
    }

    #[test]
    fn any_span_has_a_place() {
        assert_eq!(place("", 5, 9), (1, 1, String::new(), 0, 1));
        assert_eq!(place("a\nb\n", 4, 4), (3, 1, String::new(), 0, 1));
        assert_eq!(place("ä", 1, 2).1, 1);
        assert_eq!(place("a\nb", 0, 3).4, 1);
    }

    #[test]
    fn variables_follow_the_file() {
        let mut source = Source::new("x", "a\nb");
        assert_eq!(source.add_variable("ONE", "1"), (Span { start: 4, end: 7 }, 8));
        assert_eq!(source.add_variable("TWO", "2\n3"), (Span { start: 10, end: 13 }, 14));
        for (at, expected) in [
            (0, (None, 1)),
            (3, (None, 2)),
            (4, (Some("ONE"), 1)),
            (9, (Some("ONE"), 1)),
            (10, (Some("TWO"), 1)),
            (16, (Some("TWO"), 2)),
            (99, (Some("TWO"), 2)),
        ] {
            let span = Span { start: at, end: at + 1 };
            assert_eq!(source.line(span), expected, "{at}");
            let place = source.place(span);
            assert_eq!((place.variable.as_deref(), place.line), expected, "{at}");
        }
        let value = source.place(Span { start: 8, end: 9 });
        assert_eq!((value.column, value.line_text.as_str()), (5, "ONE=1"));
    }

    #[test]
    fn a_long_line_is_shown_around_the_stretch() {
        let text = format!("{}X{}", "a".repeat(5_000), "b".repeat(5_000));
        let (line, column, shown, before, width) = place(&text, 5_000, 5_001);
        assert_eq!((line, column, width), (1, 5_001, 1));
        assert_eq!(shown.chars().nth(before), Some('X'));
        assert_eq!(shown.chars().count(), SHOWN);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!place("\u{1b}[2J", 0, 1).2.contains('\u{1b}'));
        assert_eq!(quote("a\u{1b}b\nc"), "`a\u{fffd}b\u{fffd}c`");
    }
}
