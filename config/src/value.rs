//! The kinds of value a key can hold: how each is read, shown and described.

use std::ops::Deref;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::reader::Reader;
use crate::source::{Span, quote};

/// A kind of value.
pub(crate) trait Value: Sized {
    /// Its JSON Schema.
    fn schema() -> Json;
    /// Reads what was typed; on failure the reader has the problem.
    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self>;
    /// As one would type it.
    fn show(&self) -> Json;

    /// What to add where `key` is missing.
    fn example(key: &str) -> String {
        format!("add `{key} = …`")
    }
}

/// A kind of value that is typed as a string.
pub(crate) trait Text: Sized {
    /// What it is, with an article and an example.
    const FORM: &'static str;
    /// What a value must look like, as an ECMA 262 pattern. Never narrower than [`Text::parse`].
    const PATTERN: Option<&'static str>;
    fn parse(text: &str) -> Result<Self, Complaint>;
    fn show(&self) -> String;
}

/// What is wrong with a text, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) suggestion: String,
}

/// A value with the place it was typed at, or the default in its place.
#[derive(Clone, Debug)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    /// Where it was typed; `None` for a default.
    pub(crate) span: Option<Span>,
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integer<const MIN: u64, const MAX: u64>(pub(crate) u64);

/// A number from 0, or from above it if `POSITIVE`, to `TENTHS` tenths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fraction<const POSITIVE: bool = false, const TENTHS: u8 = 10>(pub(crate) f64);

/// At least `MIN` and at most `MAX` values, each with its place.
#[derive(Clone, Debug)]
pub(crate) struct List<T, const MIN: usize, const MAX: usize>(pub(crate) Vec<Setting<T>>);

/// Up to `MAX` tables, each under a name of the user's choice, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Named<T, const MAX: usize>(pub(crate) Vec<(Setting<String>, T)>);

// === impl Complaint ===

impl Complaint {
    pub(crate) fn new(message: impl Into<String>, suggestion: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: suggestion.into() }
    }
}

// === impl Setting ===

impl<T> Setting<T> {
    pub(crate) fn default(value: T) -> Self {
        Self { value, span: None }
    }
}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

// === impl Value for texts ===

impl<T: Text> Value for T {
    fn schema() -> Json {
        match T::PATTERN {
            Some(pattern) => json!({ "type": "string", "pattern": pattern }),
            None => json!({ "type": "string" }),
        }
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        let Some(text) = value.get_ref().as_str() else {
            reader.wrong_type(value, T::FORM);
            return None;
        };
        match T::parse(text) {
            Ok(parsed) => Some(parsed),
            Err(Complaint { message, suggestion }) => {
                reader.error(value.span().into(), message, suggestion);
                None
            }
        }
    }

    fn show(&self) -> Json {
        Json::String(Text::show(self))
    }
}

// === impl Integer ===

impl<const MIN: u64, const MAX: u64> Value for Integer<MIN, MAX> {
    fn schema() -> Json {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        let Some(number) = value.get_ref().as_integer() else {
            reader.wrong_type(value, &format!("a whole number from {MIN} to {MAX}"));
            return None;
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (MIN..=MAX).contains(&number) => Some(Self(number)),
            _ => {
                reader.error(
                    value.span().into(),
                    format!(
                        "{} is out of range for `{}`",
                        quote(&number.to_string()),
                        reader.key()
                    ),
                    format!("a whole number from {MIN} to {MAX}"),
                );
                None
            }
        }
    }

    fn show(&self) -> Json {
        json!(self.0)
    }
}

// === impl Fraction ===

impl<const POSITIVE: bool, const TENTHS: u8> Fraction<POSITIVE, TENTHS> {
    const MOST: f64 = TENTHS as f64 / 10.0;

    fn form() -> String {
        let from = if POSITIVE { "above" } else { "from" };
        format!("a fraction {from} 0 to {}, such as 0.8", Self::MOST)
    }
}

impl<const POSITIVE: bool, const TENTHS: u8> Value for Fraction<POSITIVE, TENTHS> {
    fn schema() -> Json {
        let least = if POSITIVE { "exclusiveMinimum" } else { "minimum" };
        let most = if TENTHS == 10 { json!(1) } else { json!(Self::MOST) };
        json!({ "type": "number", least: 0, "maximum": most })
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        let number: Option<f64> = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
            _ => {
                reader.wrong_type(value, &Self::form());
                return None;
            }
        };
        match number {
            Some(number)
                if (0.0..=Self::MOST).contains(&number) && !(POSITIVE && number == 0.0) =>
            {
                // Zero has no sign.
                Some(Self(number.abs()))
            }
            _ => {
                let typed = number.map_or("the number".to_owned(), |typed| format!("`{typed}`"));
                reader.error(
                    value.span().into(),
                    format!("{typed} is out of range for `{}`", reader.key()),
                    Self::form(),
                );
                None
            }
        }
    }

    fn show(&self) -> Json {
        json!(self.0)
    }
}

// === impl bool ===

impl Value for bool {
    fn schema() -> Json {
        json!({ "type": "boolean" })
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            reader.wrong_type(value, "true or false, without quotes");
        }
        read
    }

    fn show(&self) -> Json {
        json!(self)
    }
}

// === impl List ===

impl<T, const MIN: usize, const MAX: usize> List<T, MIN, MAX> {
    pub(crate) fn values(&self) -> impl ExactSizeIterator<Item = &T> {
        self.0.iter().map(|item| &item.value)
    }
}

impl<T: Value, const MIN: usize, const MAX: usize> Value for List<T, MIN, MAX> {
    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema(), "minItems": MIN, "maxItems": MAX })
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        let Some(items) = value.get_ref().as_array() else {
            reader.wrong_type(value, "a list in brackets");
            return None;
        };
        if items.len() < MIN {
            reader.error(
                value.span().into(),
                format!("`{}` is empty", reader.key()),
                match MIN {
                    1 => "at least one is needed".to_owned(),
                    _ => format!("at least {MIN} are needed"),
                },
            );
            return None;
        }
        if let Some(beyond) = items.get(MAX) {
            let message = format!("`{}` has {} entries, too many", reader.key(), items.len());
            reader.error(beyond.span().into(), message, format!("at most {MAX}"));
        }
        let mut list = Vec::with_capacity(items.len().min(MAX));
        for (index, item) in items.iter().take(MAX).enumerate() {
            if let Some(value) = reader.at_index(index, |reader| T::read(item, reader)) {
                list.push(Setting { value, span: Some(item.span().into()) });
            }
        }
        // Without the bad ones, which have been reported: what refers to the others is still good.
        Some(Self(list))
    }

    fn show(&self) -> Json {
        self.0.iter().map(|item| item.value.show()).collect()
    }
}

// === impl Named ===

impl<T: Value, const MAX: usize> Value for Named<T, MAX> {
    fn schema() -> Json {
        json!({
            "type": "object",
            "additionalProperties": T::schema(),
            "propertyNames": Name::schema(),
            "minProperties": 1,
            "maxProperties": MAX,
        })
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            reader.wrong_type(value, "tables, each under a name");
            return None;
        };
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        if entries.is_empty() {
            reader.error(
                value.span().into(),
                format!("`{}` is empty", reader.key()),
                Self::example(&reader.key()),
            );
            return None;
        }
        if let Some((name, _)) = entries.get(MAX) {
            let message = format!("`{}` has {} tables, too many", reader.key(), entries.len());
            reader.error(name.span().into(), message, format!("at most {MAX}"));
        }
        let mut named = Vec::with_capacity(entries.len().min(MAX));
        for (name, value) in entries.into_iter().take(MAX) {
            if let Err(Complaint { message, suggestion }) = Name::parse(name.get_ref()) {
                reader.error(name.span().into(), message, suggestion);
            }
            let key = Setting { value: name.get_ref().to_string(), span: Some(name.span().into()) };
            if let Some(value) = reader.at_key(name.get_ref(), |reader| T::read(value, reader)) {
                named.push((key, value));
            }
        }
        Some(Self(named))
    }

    fn example(key: &str) -> String {
        format!("add a table under a name, such as [{key}.checkout]")
    }

    fn show(&self) -> Json {
        let one = |(name, value): &(Setting<String>, T)| (name.value.clone(), value.show());
        Json::Object(self.0.iter().map(one).collect())
    }
}

/// A name of an upstream, a tier or a route: it becomes a metric label.
#[derive(Clone, Debug)]
pub(crate) struct Name(pub(crate) String);

impl Text for Name {
    const FORM: &'static str = "a name in quotes";
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9_.-]{1,64}$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(legal) {
            return Ok(Self(text.to_owned()));
        }
        Err(Complaint::new(
            format!("{} cannot be a name", quote(text)),
            "1 to 64 of the characters A-Z a-z 0-9 _ . -",
        ))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}
