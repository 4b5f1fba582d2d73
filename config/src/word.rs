//! Short words with a grammar of their own: methods, pseudonyms, log filters.

use crate::source::quote;
use crate::suggest::nearest;
use crate::value::{Complaint, Text};

/// The methods of RFC 9110 §9 and RFC 5789; any other token is allowed.
const METHODS: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// Levels, from silence to everything.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// A request method: a token, compared with case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Method(pub(crate) String);

/// The name under which the gateway appears in `Via`: a token.
#[derive(Clone, Debug)]
pub(crate) struct Pseudonym(pub(crate) String);

/// A filter of the log: a level, or `target=level` pairs, separated by commas.
#[derive(Clone, Debug)]
pub(crate) struct LogFilter(pub(crate) String);

// === impl Method ===

impl Text for Method {
    const FORM: &'static str = "a method in quotes, such as \"POST\"";
    const PATTERN: Option<&'static str> = Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let message = || format!("{} is not a method", quote(text));
        if !is_token(text) || text.len() > 32 {
            return Err(Complaint::new(message(), format!("expected {}", Self::FORM)));
        }
        let upper = text.to_ascii_uppercase();
        if upper != text && METHODS.contains(&upper.as_str()) {
            let suggestion = format!("methods have case: did you mean \"{upper}\"?");
            return Err(Complaint::new(message(), suggestion));
        }
        if text == "CONNECT" {
            let message = "`CONNECT` cannot be routed";
            return Err(Complaint::new(message, "a gateway opens no tunnels: leave it out"));
        }
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Method {
    /// A method of the standards that this one may be a slip for.
    pub(crate) fn slip_of(&self) -> Option<&'static str> {
        if METHODS.contains(&self.0.as_str()) { None } else { nearest(&self.0, METHODS) }
    }
}

// === impl Pseudonym ===

impl Text for Pseudonym {
    const FORM: &'static str = "a name in quotes, such as \"floodgate\"";
    const PATTERN: Option<&'static str> = Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        if is_token(text) && text.len() <= 64 {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("{} cannot stand in a Via header", quote(text));
        Err(Complaint::new(message, "1 to 64 of the characters A-Z a-z 0-9 - . _"))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

// === impl LogFilter ===

impl Text for LogFilter {
    const FORM: &'static str =
        "a level in quotes: \"off\", \"error\", \"warn\", \"info\", \"debug\" or \"trace\"";
    const PATTERN: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, Complaint> {
        if text.len() > 1_024 {
            return Err(Complaint::new("the log filter is too long", "at most 1024 bytes"));
        }
        for part in text.split(',').map(str::trim) {
            let (target, level) = match part.split_once('=') {
                Some((target, level)) => (target, level),
                None => ("floodgate", part),
            };
            let path = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-');
            if !LEVELS.contains(&level) || target.is_empty() || !target.bytes().all(path) {
                let message = format!("{} is not a log level", quote(part));
                let suggestion = match nearest(level, LEVELS) {
                    Some(meant) if meant != level => format!("did you mean \"{meant}\"?"),
                    _ => format!("expected {}", Self::FORM),
                };
                return Err(Complaint::new(message, suggestion));
            }
        }
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// `token` of RFC 9110 §5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_a_token_in_its_own_case() {
        for text in ["GET", "PURGE", "M-SEARCH", "x-y"] {
            assert!(Method::parse(text).is_ok(), "{text}");
        }
        for text in ["", "post", "GET ", "G\u{c4}T", "A/B", "CONNECT", &"A".repeat(33)] {
            assert!(Method::parse(text).is_err(), "{text}");
        }
        assert_eq!(Method("PURGE".into()).slip_of(), None);
        assert_eq!(Method("PSOT".into()).slip_of(), Some("POST"));
        assert_eq!(Method("POSTT".into()).slip_of(), Some("POST"));
        assert_eq!(Method("POST".into()).slip_of(), None);
    }

    #[test]
    fn a_log_filter_is_levels_by_target() {
        for text in ["info", "off", "warn,floodgate_gateway::proxy=debug", "info, hyper=off"] {
            assert!(LogFilter::parse(text).is_ok(), "{text}");
        }
        for text in ["", "verbose", "info,", "=info", "a b=info", "info=x"] {
            assert!(LogFilter::parse(text).is_err(), "{text}");
        }
        assert_eq!(LogFilter::parse("inof").unwrap_err().suggestion, "did you mean \"info\"?");
    }
}
