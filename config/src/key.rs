//! What a request is told from another by: an address, a field, a part of the path.

use std::fmt;

use serde_json::{Value as Json, json};
use toml::Spanned;
use toml::de::DeValue;

use crate::journey::{claim, cookie, header, kind_and_name};
use crate::pattern::Pattern;
use crate::reader::Reader;
use crate::sku::{not_in, query};
use crate::source::quote;
use crate::suggest::nearest;
use crate::value::{Complaint, List, Setting, Text, Value};

/// Most parts of a key.
const MOST: usize = 4;

/// What stands in a request that is one of a key's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The address of the client: an IPv6 address counts by its first 64 bits.
    ClientIp,
    /// The value of the one header with this name, in lower case.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The value of the one parameter of the query with this name.
    Query(String),
    /// The segment of the path, or its rest, with this name in the route's pattern.
    Path(String),
    /// This claim at the top level of the verified bearer token.
    Claim(String),
}

/// What requests are told apart by: 1 to 4 parts, no two the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(Vec<KeyPart>);

/// What becomes of a request that does not have all parts of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingKey {
    /// It is told apart by the address of its client.
    ClientIp,
    /// It passes.
    Pass,
}

/// The same as it is typed: one part, or a list of them.
#[derive(Clone, Debug)]
pub(crate) struct TypedKey(pub(crate) Vec<Setting<KeyPart>>);

// === impl KeyPart ===

impl KeyPart {
    /// The name of the claim, if it is one.
    pub(crate) fn claim(&self) -> Option<&str> {
        match self {
            Self::Claim(name) => Some(name),
            _ => None,
        }
    }
}

impl Text for KeyPart {
    const FORM: &'static str = "\"client_ip\", \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"path:NAME\" or \"claim:NAME\"";
    const PATTERN: Option<&'static str> = Some("^(client_ip|header:|cookie:|query:|path:|claim:)");

    fn parse(text: &str) -> Result<Self, Complaint> {
        if text == "client_ip" {
            return Ok(Self::ClientIp);
        }
        let kinds = ["header", "cookie", "query", "path", "claim"];
        let (kind, name) = kind_and_name(text, kinds, Self::FORM)?;
        match kind {
            "header" => header(name).map(Self::Header),
            "cookie" => cookie(name).map(Self::Cookie),
            "query" => query(name).map(Self::Query),
            "claim" => claim(name).map(Self::Claim),
            _ => Ok(Self::Path(name.to_owned())),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Path(name) => write!(f, "path:{name}"),
            Self::Claim(name) => write!(f, "claim:{name}"),
        }
    }
}

// === impl MissingKey ===

impl MissingKey {
    const ALL: [Self; 2] = [Self::ClientIp, Self::Pass];

    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientIp => "client_ip",
            Self::Pass => "pass",
        }
    }
}

impl Text for MissingKey {
    const FORM: &'static str = "\"client_ip\" or \"pass\"";
    const PATTERN: Option<&'static str> = Some("^(client_ip|pass)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            let message = format!("{} says nothing of a request without the key", quote(text));
            let suggestion = match nearest(text, Self::ALL.map(Self::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("expected {}", Self::FORM),
            };
            Complaint::new(message, suggestion)
        })
    }

    fn show(&self) -> String {
        self.as_str().to_owned()
    }
}

// === impl Key ===

impl Key {
    /// The parts, in the order in which they were typed.
    pub fn parts(&self) -> &[KeyPart] {
        &self.0
    }

    /// The names of the claims among them.
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(KeyPart::claim)
    }

    /// Whether every part that is of the path has its place in `path`.
    pub fn stands_in(&self, path: &Pattern) -> bool {
        self.0.iter().all(|part| match part {
            KeyPart::Path(name) => path.position(name).is_some(),
            _ => true,
        })
    }
}

/// The parts, with a plus between them.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let plus = if index == 0 { "" } else { "+" };
            write!(f, "{plus}{part}")?;
        }
        Ok(())
    }
}

// === impl TypedKey ===

impl TypedKey {
    /// What is meant, if no part is there twice.
    pub(crate) fn key(&self) -> Result<Key, (&Setting<KeyPart>, Complaint)> {
        for (index, part) in self.0.iter().enumerate() {
            if self.0[..index].iter().any(|other| other.value == part.value) {
                let message = format!("{} is in the key twice", quote(&part.to_string()));
                return Err((part, Complaint::new(message, "leave one of them out")));
            }
        }
        Ok(Key(self.0.iter().map(|part| part.value.clone()).collect()))
    }

    /// The first part that is of the path and has no place in `path`.
    pub(crate) fn missing<'k>(
        &'k self,
        path: &Pattern,
    ) -> Option<(&'k Setting<KeyPart>, Complaint)> {
        self.0.iter().find_map(|part| match &part.value {
            KeyPart::Path(name) if path.position(name).is_none() => {
                Some((part, not_in(name, path)))
            }
            _ => None,
        })
    }
}

impl Value for TypedKey {
    fn schema() -> Json {
        json!({ "anyOf": [KeyPart::schema(), List::<KeyPart, 1, MOST>::schema()] })
    }

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_, '_>) -> Option<Self> {
        if value.get_ref().as_array().is_some() {
            let List(parts) = List::<KeyPart, 1, MOST>::read(value, reader)?;
            // Without the bad ones it would be another key.
            let typed = value.get_ref().as_array().map_or(0, |array| array.len());
            return (parts.len() == typed).then_some(Self(parts));
        }
        let part = KeyPart::read(value, reader)?;
        Some(Self(vec![Setting { value: part, span: Some(value.span().into()) }]))
    }

    fn show(&self) -> Json {
        match self.0.as_slice() {
            [only] => Value::show(&only.value),
            parts => parts.iter().map(|part| Value::show(&part.value)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_reads_back() {
        for text in [
            "client_ip",
            "header:x-user",
            "cookie:Sid",
            "query:q",
            "path:sku",
            "claim:https://a/id",
        ] {
            assert_eq!(KeyPart::parse(text).map(|it| it.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(KeyPart::parse("header:X-User"), Ok(KeyPart::Header("x-user".into())));
        for text in [
            "",
            "ip",
            "client_ip:4",
            "path",
            "query:",
            "body:a",
            "header:x-floodgate-a",
            "claim:",
            "claim:a b",
        ] {
            assert!(KeyPart::parse(text).is_err(), "{text}");
        }
    }
}
