//! Path patterns: `/orders`, `/orders/{id}`, `/orders/{*rest}`.
//!
//! A pattern is compared with the raw bytes of the path, as they will be forwarded: nothing is decoded or
//! normalised, so what is decided on is what the upstream sees.

use std::cmp::Ordering;
use std::fmt;

use crate::source::quote;
use crate::value::{Complaint, Text};

/// Longest pattern, in bytes.
const LONGEST: usize = 1_024;

/// Most segments of a pattern.
const SEGMENTS: usize = 64;

/// A checked path pattern.
///
/// `{name}` stands for one segment that is not empty, `{*name}` at the end for the rest, also for no rest at all:
/// `/orders/{*rest}` matches `/orders`, `/orders/` and `/orders/1/2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
    /// The name of the rest, if the pattern is open at its end.
    rest: Option<String>,
}

/// What may stand between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// These bytes. The empty one is what follows a final slash.
    Literal(String),
    /// Any bytes but none, under this name.
    Named(String),
}

// === impl Pattern ===

impl Pattern {
    /// The pattern that matches every path.
    pub(crate) fn everything() -> Self {
        Self { text: "/{*rest}".to_owned(), segments: Vec::new(), rest: Some("rest".to_owned()) }
    }

    /// Whether the path of a request, without its query, matches. Allocates nothing.
    pub fn matches(&self, path: &str) -> bool {
        // What is left to match; `None` once the path has ended.
        let mut left = path.strip_prefix('/');
        if left.is_none() {
            return false;
        }
        for segment in &self.segments {
            let Some(text) = left else { return false };
            let (head, tail) = match text.split_once('/') {
                Some((head, tail)) => (head, Some(tail)),
                None => (text, None),
            };
            let fits = match segment {
                Segment::Literal(literal) => literal == head,
                Segment::Named(_) => !head.is_empty(),
            };
            if !fits {
                return false;
            }
            left = tail;
        }
        self.rest.is_some() || left.is_none()
    }

    /// What stands in the segment of this index in `path`, which this pattern matches; the index behind the last segment
    /// is that of the rest. `None` where nothing stands: no such segment, or a rest that is empty. Allocates nothing.
    pub fn capture<'p>(&self, path: &'p str, segment: usize) -> Option<&'p str> {
        let mut left = path.strip_prefix('/')?;
        for _ in 0..segment.min(self.segments.len()) {
            left = left.split_once('/')?.1;
        }
        let found = match segment.cmp(&self.segments.len()) {
            Ordering::Less => left.split('/').next()?,
            Ordering::Equal if self.rest.is_some() => left,
            _ => return None,
        };
        (!found.is_empty()).then_some(found)
    }

    /// The names in the pattern, each with its index for [`Pattern::capture`].
    pub(crate) fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        let named = self.segments.iter().enumerate().filter_map(|(index, segment)| match segment {
            Segment::Named(name) => Some((index, name.as_str())),
            Segment::Literal(_) => None,
        });
        named.chain(self.rest().map(|rest| (self.segments.len(), rest)))
    }

    /// The index of the segment, or of the rest, with this name, for [`Pattern::capture`].
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names().find(|(_, one)| *one == name).map(|(index, _)| index)
    }

    /// The segments before the rest.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The name of the rest; `None` if the pattern has an end.
    pub fn rest(&self) -> Option<&str> {
        self.rest.as_deref()
    }

    /// The pattern as it was typed.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether everything that `other` matches is matched by this one too.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        if other.segments.len() < self.segments.len() {
            return false;
        }
        let one = |(own, other): (&Segment, &Segment)| match (own, other) {
            (Segment::Literal(own), Segment::Literal(other)) => own == other,
            (Segment::Literal(_), Segment::Named(_)) => false,
            (Segment::Named(_), Segment::Literal(other)) => !other.is_empty(),
            (Segment::Named(_), Segment::Named(_)) => true,
        };
        self.segments.iter().zip(&other.segments).all(one)
            && (self.rest.is_some()
                || (other.rest.is_none() && other.segments.len() == self.segments.len()))
    }
}

impl Text for Pattern {
    const FORM: &'static str = "a path in quotes, such as \"/orders/{id}\" or \"/orders/{*rest}\"";
    const PATTERN: Option<&'static str> = Some("^/");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let wrong = |why: &str, suggestion: String| {
            Complaint::new(format!("path {} {why}", quote(text)), suggestion)
        };
        let form = || format!("expected {}", Self::FORM);
        let Some(path) = text.strip_prefix('/') else {
            return Err(wrong("does not begin with a slash", form()));
        };
        if text.len() > LONGEST {
            return Err(wrong("is too long", format!("at most {LONGEST} bytes")));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
            let mut utf8 = [0; 4];
            let escaped: String =
                c.encode_utf8(&mut utf8).bytes().map(|b| format!("%{b:02X}")).collect();
            return Err(wrong(
                "has a character that no request line can have",
                format!("write it percent-encoded, {escaped}"),
            ));
        }
        if text.contains(['?', '#']) {
            return Err(wrong("has a query or a fragment", "only the path is compared".to_owned()));
        }
        let mut segments = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            if part.is_empty() && !last {
                return Err(wrong("has an empty segment", "write one slash, not two".to_owned()));
            }
            let inside = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
            let Some(inside) = inside else {
                if part.contains(['{', '}']) {
                    return Err(wrong("has a name beside other text", form()));
                }
                segments.push(Segment::Literal(part.to_owned()));
                continue;
            };
            let name = inside.strip_prefix('*').unwrap_or(inside);
            if !is_name(name) {
                return Err(wrong("has a bad name", "a name is of a-z, 0-9 and _".to_owned()));
            }
            if names.contains(&name) {
                let other = "give every segment a name of its own".to_owned();
                return Err(wrong(&format!("has {} twice", quote(name)), other));
            }
            names.push(name);
            if inside == name {
                segments.push(Segment::Named(name.to_owned()));
            } else if last {
                return Self::checked(text, segments, Some(name.to_owned()));
            } else {
                let suggestion = format!("`{{*{name}}}` stands for the rest, so at the end");
                return Err(wrong("goes on after the rest", suggestion));
            }
        }
        Self::checked(text, segments, None)
    }

    fn show(&self) -> String {
        self.text.clone()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    fn checked(
        text: &str,
        segments: Vec<Segment>,
        rest: Option<String>,
    ) -> Result<Self, Complaint> {
        if segments.len() > SEGMENTS {
            let message = format!("path {} has too many segments", quote(text));
            return Err(Complaint::new(message, format!("at most {SEGMENTS}")));
        }
        Ok(Self { text: text.to_owned(), segments, rest })
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn literals_match_themselves_only() {
        let cart = pattern("/cart");
        assert!(cart.matches("/cart"));
        for path in ["/cart/", "/Cart", "/carts", "/car", "/", "", "cart", "//cart", "/cart/1", "*"]
        {
            assert!(!cart.matches(path), "{path}");
        }
        assert!(pattern("/").matches("/"));
        assert!(!pattern("/").matches("/a"));
        assert!(!pattern("/").matches("//"));
        assert!(pattern("/cart/").matches("/cart/"));
        assert!(!pattern("/cart/").matches("/cart"));
    }

    #[test]
    fn a_name_is_one_segment_that_is_not_empty() {
        let order = pattern("/orders/{id}/lines");
        assert!(order.matches("/orders/1/lines"));
        assert!(order.matches("/orders/%2F/lines"));
        for path in ["/orders//lines", "/orders/lines", "/orders/1/2/lines", "/orders/1/lines/"] {
            assert!(!order.matches(path), "{path}");
        }
    }

    #[test]
    fn the_rest_may_be_empty() {
        let orders = pattern("/orders/{*rest}");
        for path in ["/orders", "/orders/", "/orders/1", "/orders/1/2", "/orders//"] {
            assert!(orders.matches(path), "{path}");
        }
        for path in ["/ordersx", "/order", "/", "orders"] {
            assert!(!orders.matches(path), "{path}");
        }
        for path in ["/", "/a", "//", "/a/b", "/\u{fc}"] {
            assert!(pattern("/{*rest}").matches(path), "{path}");
        }
        for path in ["", "*", "example.com:443"] {
            assert!(!pattern("/{*rest}").matches(path), "{path}");
        }
        assert_eq!(Pattern::everything(), pattern("/{*rest}"));
    }

    #[test]
    fn a_pattern_in_a_name_followed_by_the_rest() {
        let sale = pattern("/sale/{sku}/{*rest}");
        assert!(sale.matches("/sale/x1"));
        assert!(sale.matches("/sale/x1/stock"));
        assert!(!sale.matches("/sale"));
        assert!(!sale.matches("/sale/"));
        assert_eq!(sale.segments()[1], Segment::Named("sku".into()));
        assert_eq!(sale.rest(), Some("rest"));
    }

    #[test]
    fn a_segment_and_the_rest_are_captured_as_they_stand() {
        let sale = pattern("/sale/{sku}/{*rest}");
        for (path, sku, rest) in [
            ("/sale/x1", Some("x1"), None),
            ("/sale/x1/", Some("x1"), None),
            ("/sale/x%31/stock", Some("x%31"), Some("stock")),
            ("/sale/\u{fc}/a//b/", Some("\u{fc}"), Some("a//b/")),
        ] {
            assert!(sale.matches(path), "{path}");
            assert_eq!((sale.capture(path, 1), sale.capture(path, 2)), (sku, rest), "{path}");
            assert_eq!((sale.capture(path, 0), sale.capture(path, 3)), (Some("sale"), None));
        }
        let order = pattern("/orders/{id}");
        assert_eq!(order.capture("/orders/7", 1), Some("7"));
        assert_eq!(order.capture("/orders/7", 2), None);
        assert_eq!(order.capture("/orders/7", usize::MAX), None);
        assert_eq!(pattern("/{*rest}").capture("/a/b", 0), Some("a/b"));
        assert_eq!(pattern("/{*rest}").capture("/", 0), None);
        // Not a match, so nothing is promised but that it ends.
        assert_eq!(order.capture("*", 1), None);
        assert_eq!(order.capture("/orders", 1), None);
        assert_eq!(order.capture("/orders/7/x", 2), None);
    }

    #[test]
    fn odd_patterns_are_refused() {
        let long = format!("/{}", "a".repeat(LONGEST));
        let deep = "/a".repeat(SEGMENTS + 1);
        for text in [
            "",
            "orders",
            "*",
            "/a//b",
            "//",
            "/a{b}",
            "/{}",
            "/{*}",
            "/{*rest}/a",
            "/{A}",
            "/{a}/{a}",
            "/{a}/{*a}",
            "/{",
            "/}",
            "/{{a}}",
            "/a b",
            "/\u{fc}",
            "/a?b",
            "/a#b",
            "/a\n",
            &long,
            &deep,
        ] {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Pattern::parse("/\u{fc}").unwrap_err().suggestion,
            "write it percent-encoded, %C3%BC"
        );
    }

    #[test]
    fn what_covers_matches_whatever_the_other_matches() {
        let all =
            ["/", "/a", "/a/", "/a/b", "/{x}", "/{x}/b", "/a/{x}", "/a/{*r}", "/{*r}", "/{x}/{*r}"];
        let paths = ["/", "/a", "/a/", "/a/b", "/c", "/c/b", "/a/c", "/a/b/c", "/c/", "//", "/a//"];
        for one in all.map(pattern) {
            for other in all.map(pattern) {
                let contradicted =
                    paths.iter().any(|path| other.matches(path) && !one.matches(path));
                assert_eq!(one.covers(&other), !contradicted, "{one} over {other}");
            }
        }
    }
}
