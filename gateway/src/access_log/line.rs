//! One line, in memory of a fixed size: it is made on the stack and copied into the channel.

use std::fmt::{self, Display, Write};

/// Bytes of a line at most, the end of it among them. What other fields leave, path and query share.
const SIZE: usize = 1_024;
/// Kept for what ends a line: two quotes, two marks of what was cut, braces.
const END: usize = 24;

/// A JSON object and the end of its line.
#[derive(Clone)]
pub(super) struct Line {
    len: u16,
    bytes: [u8; SIZE],
}

/// A line in the making. What does not fit is left out: the last fields are those that may be cut.
#[derive(Debug)]
pub(super) struct Pen {
    line: Line,
}

// === impl Line ===

impl Line {
    /// With its end.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

// === impl Pen ===

impl Pen {
    /// At the beginning.
    pub(super) const fn new() -> Self {
        Self { line: Line { len: 0, bytes: [0; SIZE] } }
    }

    /// A number, or something else that needs no quotes; `null` without a value.
    pub(super) fn bare(&mut self, name: &str, value: Option<impl Display>) {
        self.name(name);
        match value {
            Some(value) => self.print(format_args!("{value}")),
            None => self.push("null"),
        }
    }

    /// A text that has nothing in it to be escaped.
    pub(super) fn plain(&mut self, name: &str, value: impl Display) {
        self.name(name);
        self.print(format_args!("\"{value}\""));
    }

    /// Any text, of at most `most` bytes and what fits; `null` without one.
    pub(super) fn text(&mut self, name: &str, text: Option<&str>, most: usize) {
        self.name(name);
        let Some(text) = text else { return self.push("null") };
        self.push("\"");
        let most = most.min(self.room());
        let begin = self.len();
        for character in text.chars() {
            let mut escaped = [0; 6];
            let escaped = escape(character, &mut escaped);
            if self.len() - begin + escaped.len() > most {
                self.push("…");
                break;
            }
            self.push(escaped);
        }
        self.push("\"");
    }

    /// Bytes that the next text may take.
    pub(super) fn room(&self) -> usize {
        SIZE.saturating_sub(self.len() + END)
    }

    /// The whole line; `None` if it did not fit, which takes names of a length that no configuration has.
    pub(super) fn end(mut self) -> Option<Line> {
        self.push("}\n");
        self.line.as_bytes().ends_with(b"}\n").then_some(self.line)
    }

    fn len(&self) -> usize {
        usize::from(self.line.len)
    }

    fn name(&mut self, name: &str) {
        let before = if self.line.len == 0 { "{" } else { "," };
        self.print(format_args!("{before}\"{name}\":"));
    }

    fn print(&mut self, arguments: fmt::Arguments<'_>) {
        // It says so at the end if something did not fit.
        let _fits = self.write_fmt(arguments);
    }

    fn push(&mut self, text: &str) {
        let begin = self.len();
        if let Some(room) = self.line.bytes.get_mut(begin..begin + text.len()) {
            room.copy_from_slice(text.as_bytes());
            self.line.len += text.len() as u16;
        } else {
            // Nothing that comes behind it may make it look whole.
            self.line.len = SIZE as u16;
            self.line.bytes[SIZE - 1] = 0;
        }
    }
}

impl Write for Pen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// As it stands in a JSON string (RFC 8259 §7).
fn escape(character: char, to: &mut [u8; 6]) -> &str {
    match character {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\0'..='\u{1f}' | '\u{7f}' => {
            let code = character as usize;
            let digit = |nibble: usize| b"0123456789abcdef"[nibble & 15];
            *to = [b'\\', b'u', b'0', b'0', digit(code >> 4), digit(code)];
            std::str::from_utf8(to).unwrap_or_default()
        }
        _ => character.encode_utf8(to),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(line: &Line) -> Value {
        let text = std::str::from_utf8(line.as_bytes()).unwrap();
        serde_json::from_str(text.strip_suffix('\n').unwrap()).unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn a_line_is_a_json_object_whatever_stands_in_its_texts() {
        let text = "a\"b\\c\u{1}\n\u{7f}ä😀</script>";
        let mut pen = Pen::new();
        pen.bare("n", Some(7));
        pen.bare("x", None::<u8>);
        pen.plain("p", "q");
        pen.text("t", Some(text), 99);
        pen.text("u", None, 99);
        let value = read(&pen.end().unwrap());
        assert_eq!(value, json!({ "n": 7, "x": null, "p": "q", "t": text, "u": null }));
    }

    #[test]
    fn a_long_text_is_cut_between_two_characters() {
        for most in 0..12 {
            let mut pen = Pen::new();
            pen.text("t", Some("ä\"ä\"ä\"ä"), most);
            let told = read(&pen.end().unwrap())["t"].as_str().unwrap().to_owned();
            assert!(
                told.ends_with('…') && "ä\"ä\"ä\"ä".starts_with(told.trim_end_matches('…')),
                "{told}"
            );
        }
    }

    #[test]
    fn what_is_left_of_a_line_two_texts_share() {
        let long = "\u{1}".repeat(5_000);
        let mut pen = Pen::new();
        pen.bare("n", Some(u64::MAX));
        pen.text("path", Some(&long), pen.room());
        pen.text("query", Some(&long), pen.room());
        let line = pen.end().unwrap();
        assert!(line.as_bytes().len() <= SIZE);
        assert_eq!(read(&line)["query"], "…");
    }

    #[test]
    fn what_does_not_fit_otherwise_is_no_line() {
        let mut pen = Pen::new();
        pen.plain("a", "x".repeat(SIZE - 20));
        pen.plain("b", "x".repeat(100));
        pen.plain("c", "y");
        assert!(pen.end().is_none());
    }
}
