//! Sizes in bytes: `"64KiB"`, `"1MiB"`, `"10MB"`, or a whole number.

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::reader::Reader;
use crate::source::quote;
use crate::value::Value;

/// The units; binary ones first, since `show` takes the first that divides.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Bytes, from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size<const MIN: u64, const MAX: u64>(pub(crate) u64);

// === impl Size ===

impl<const MIN: u64, const MAX: u64> Value for Size<MIN, MAX> {
    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": MIN, "maximum": MAX },
            { "type": "string", "pattern": "^[0-9]+ ?([KkMG]B|[KMG]iB|B)$" },
        ]})
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        let forms = format!("from \"{}\" to \"{}\", or whole bytes", show(MIN), show(MAX));
        let bytes = match value.get_ref() {
            DeValue::String(text) => {
                let Some(bytes) = parse(text) else {
                    let message = format!("{} is not a size", quote(text));
                    reader.error(value.span().into(), message, format!("expected a size {forms}"));
                    return None;
                };
                bytes
            }
            DeValue::Integer(number) => {
                // Negative and oversized numbers fall out of the range below.
                u64::from_str_radix(number.as_str(), number.radix()).unwrap_or(u64::MAX)
            }
            _ => {
                reader.wrong_type(value, &format!("a size {forms}"));
                return None;
            }
        };
        if !(MIN..=MAX).contains(&bytes) {
            let message = format!("`{}` is out of range", reader.key());
            reader.error(value.span().into(), message, format!("expected a size {forms}"));
            return None;
        }
        Some(Self(bytes))
    }

    fn show(&self) -> Json {
        Json::String(show(self.0))
    }
}

fn parse(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let unit = if unit == "KB" { "kB" } else { unit };
    let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(size)
}

/// Bytes in the largest unit that divides them.
pub(crate) fn show(bytes: u64) -> String {
    let divides = |(_, size): &(&str, u64)| bytes > 0 && bytes.is_multiple_of(*size);
    let (unit, size) = UNITS.into_iter().find(divides).unwrap_or(("B", 1));
    format!("{}{unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_or_decimal_by_their_unit() {
        assert_eq!(parse("64KiB"), Some(65_536));
        assert_eq!(parse("1 MiB"), Some(1 << 20));
        assert_eq!(parse("10MB"), Some(10_000_000));
        assert_eq!(parse("0B"), Some(0));
        for text in ["", "64", "KiB", "-1B", "1.5MB", "1mb", "18446744073709551615GiB", "1  MB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for bytes in [0, 1, 1_000, 1_024, 1_025, 32 << 10, 10_000_000, u64::MAX] {
            assert_eq!(parse(&show(bytes)), Some(bytes));
        }
    }
}
