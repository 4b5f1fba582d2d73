//! Where the SKU of a request stands.

use std::fmt;

use crate::journey::{header, kind_and_name};
use crate::names::listed;
use crate::pattern::Pattern;
use crate::source::quote;
use crate::suggest::nearest;
use crate::value::{Complaint, Text};

/// Longest name of a parameter, in bytes.
const LONGEST: usize = 128;

/// Where the SKU of a request stands. Its bytes are taken as they come, nothing is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkuSource {
    /// In the path: what [`Pattern::capture`] gives for this segment.
    Path {
        /// Index into the segments of the route's pattern; behind the last: its rest.
        segment: usize,
    },
    /// In the header with this name, in lower case.
    Header(String),
    /// In the first parameter of the query with this name.
    Query(String),
}

/// The same as it is typed, before the path of the route is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TypedSku {
    Path(String),
    Header(String),
    Query(String),
}

// === impl TypedSku ===

impl Text for TypedSku {
    const FORM: &'static str = "\"path:NAME\", \"header:NAME\" or \"query:NAME\"";
    const PATTERN: Option<&'static str> = Some("^(path|header|query):");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let (kind, name) = kind_and_name(text, ["path", "header", "query"], Self::FORM)?;
        match kind {
            "path" => Ok(Self::Path(name.to_owned())),
            "header" => header(name).map(Self::Header),
            _ => query(name).map(Self::Query),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl TypedSku {
    /// What it means for a route with this path.
    pub(crate) fn at(&self, path: &Pattern) -> Result<SkuSource, Complaint> {
        let wanted = match self {
            Self::Path(name) => name,
            Self::Header(name) => return Ok(SkuSource::Header(name.clone())),
            Self::Query(name) => return Ok(SkuSource::Query(name.clone())),
        };
        match path.position(wanted) {
            Some(segment) => Ok(SkuSource::Path { segment }),
            None => Err(not_in(wanted, path)),
        }
    }

    /// What was typed for `source` at a route with this path.
    pub(crate) fn of(source: &SkuSource, path: &Pattern) -> Self {
        match source {
            SkuSource::Path { segment } => {
                let name = path.names().find(|(index, _)| index == segment).map(|(_, name)| name);
                Self::Path(name.unwrap_or_default().to_owned())
            }
            SkuSource::Header(name) => Self::Header(name.clone()),
            SkuSource::Query(name) => Self::Query(name.clone()),
        }
    }
}

impl fmt::Display for TypedSku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(name) => write!(f, "path:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}

/// The name of a parameter of the query.
pub(crate) fn query(name: &str) -> Result<String, Complaint> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    if (1..=LONGEST).contains(&name.len()) && name.bytes().all(legal) {
        return Ok(name.to_owned());
    }
    let message = format!("{} is no name of a parameter", quote(name));
    let suggestion = format!("1 to {LONGEST} of the characters A-Z a-z 0-9 - . _ ~");
    Err(Complaint::new(message, suggestion))
}

/// Complains that nothing in `path` has the name `wanted`.
pub(crate) fn not_in(wanted: &str, path: &Pattern) -> Complaint {
    let names: Vec<&str> = path.names().map(|(_, name)| name).collect();
    let message = format!("there is no {} in the path {}", quote(wanted), quote(path.as_str()));
    let suggestion = match nearest(wanted, names.iter().copied()) {
        Some(meant) => format!("did you mean \"path:{meant}\"?"),
        None if names.is_empty() => "name a segment, such as \"/sale/{sku}\"".to_owned(),
        None => format!("its names: {}", listed(&names)),
    };
    Complaint::new(message, suggestion)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_path_becomes_the_place_of_its_segment() {
        let path = Pattern::parse("/sale/{sku}/{*rest}").unwrap();
        for (text, segment) in [("path:sku", 1), ("path:rest", 2)] {
            let typed = TypedSku::parse(text).unwrap();
            let source = typed.at(&path).unwrap();
            assert_eq!(source, SkuSource::Path { segment }, "{text}");
            assert_eq!(TypedSku::of(&source, &path), typed);
        }
        let suggestion = |path: &str| {
            let path = Pattern::parse(path).unwrap();
            TypedSku::Path("sko".into()).at(&path).unwrap_err().suggestion
        };
        assert_eq!(suggestion("/{sku}"), "did you mean \"path:sku\"?");
        assert_eq!(suggestion("/{customer}"), "its names: `customer`");
        assert_eq!(suggestion("/orders"), "name a segment, such as \"/sale/{sku}\"");
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["path:sku", "header:x-sku", "query:sku"] {
            assert_eq!(TypedSku::parse(text).map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "sku", "path", "query:", "query:a=b", "header:x-floodgate-sku", "body:a"] {
            assert!(TypedSku::parse(text).is_err(), "{text}");
        }
    }
}
