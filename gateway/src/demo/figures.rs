//! Figures as people read them.

use std::time::Duration;

/// Columns of the narrowest terminal that everything fits into.
const WIDTH: usize = 100;

/// A count with its thousands set apart.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in milliseconds, in at most five characters below 100 s.
pub(super) fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match millis {
        ..9.995 => format!("{millis:.2}"),
        ..99.95 => format!("{millis:.1}"),
        _ => format!("{millis:.0}"),
    }
}

/// `text` in lines of at most [`WIDTH`] columns, all but the first indented by `indent`, where the first begins.
pub(super) fn wrap(text: &str, indent: usize) -> String {
    let (mut wrapped, mut column) = (String::new(), indent);
    for word in text.split(' ') {
        let width = word.chars().count();
        if column > indent && column + 1 + width > WIDTH {
            wrapped += &format!("\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            wrapped.push(' ');
            column += 1;
        }
        wrapped += word;
        column += width;
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn wrapped_lines_fit_and_lose_no_word() {
        let text = "word ".repeat(60);
        let wrapped = wrap(text.trim_end(), 9);
        let lines: Vec<_> = wrapped.lines().collect();
        assert!(lines.len() > 1 && lines[0].len() + 9 <= WIDTH);
        assert!(
            lines[1..].iter().all(|line| line.len() <= WIDTH && line.starts_with("         w"))
        );
        assert_eq!(wrapped.split_whitespace().count(), 60);
    }

    #[test]
    fn milliseconds_have_three_digits_that_count() {
        for (micros, text) in [(9, "0.01"), (9_994, "9.99"), (9_996, "10.0"), (99_960, "100")] {
            assert_eq!(millis(Duration::from_micros(micros)), text);
        }
    }
}
