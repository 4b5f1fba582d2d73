//! Words of a journey: who the customer is, who goes first, where the keys come from.

use std::fmt;
use std::path::PathBuf;

use crate::source::quote;
use crate::suggest::nearest;
use crate::value::{Complaint, Text};
use crate::word::is_token;

/// Longest name of a header, cookie, claim, parameter or variable, in bytes.
const LONGEST: usize = 128;

/// Whom a grant belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The value of this header; its name is in lower case.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// This claim at the top level of the verified bearer token.
    Claim(String),
    /// A signed device id that the gateway sets as a cookie.
    Device,
}

/// How a customer who was let in goes on to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// By a signed grant: only its holder takes the later steps, before all others.
    Grant,
    /// By the step: the later, the sooner served, whoever asks.
    Stage,
    /// Not at all: its steps are requests as any other, and nothing is counted of it.
    Off,
}

/// Where the keys come from that grants are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// This file; a relative path has been joined to the folder of the configuration.
    File(PathBuf),
    /// The variable of the environment with this name.
    Env(String),
    /// One random key for this process.
    Random,
}

// === impl Identity ===

impl Text for Identity {
    const FORM: &'static str = "\"header:NAME\", \"cookie:NAME\" or \"claim:NAME\"";
    const PATTERN: Option<&'static str> = Some("^(header|cookie|claim):");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let (kind, name) = kind_and_name(text, ["header", "cookie", "claim"], Self::FORM)?;
        match kind {
            "header" => header(name).map(Self::Header),
            "cookie" => cookie(name).map(Self::Cookie),
            _ => claim(name).map(Self::Claim),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// As it is typed; the device id, which is not typed, as `device`.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Claim(name) => write!(f, "claim:{name}"),
            Self::Device => f.write_str("device"),
        }
    }
}

// === impl Sticky ===

impl Sticky {
    const ALL: [Self; 3] = [Self::Grant, Self::Stage, Self::Off];

    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Stage => "stage",
            Self::Off => "off",
        }
    }
}

impl Text for Sticky {
    const FORM: &'static str = "\"grant\", \"stage\" or \"off\"";
    const PATTERN: Option<&'static str> = Some("^(grant|stage|off)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            let message = format!("{} is no way to stick to a customer", quote(text));
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

// === impl KeySource ===

impl Text for KeySource {
    const FORM: &'static str = "\"file:PATH\" or \"env:NAME\"";
    const PATTERN: Option<&'static str> = Some("^(file|env):");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let (kind, name) = kind_and_name(text, ["file", "env"], Self::FORM)?;
        if kind == "file" {
            if name.is_empty() || name.len() > 4_096 || name.chars().any(char::is_control) {
                let message = format!("{} is no path of a file", quote(name));
                return Err(Complaint::new(message, "such as \"file:grant.keys\""));
            }
            return Ok(Self::File(PathBuf::from(name)));
        }
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if !(1..=LONGEST).contains(&name.len()) || !name.bytes().all(legal) {
            let message = format!("{} is no name of a variable", quote(name));
            return Err(Complaint::new(message, "of A-Z a-z 0-9 _, such as \"env:GRANT_KEYS\""));
        }
        if crate::environment::is_override(name) {
            let message = format!("the variable {} overrides a key of this file", quote(name));
            return Err(Complaint::new(
                message,
                "secrets have one underscore: FLOODGATE_GRANT_KEYS",
            ));
        }
        Ok(Self::Env(name.to_owned()))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// As it is typed; the random key, which is not typed, as `random`.
impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Random => f.write_str("random"),
        }
    }
}

/// The two halves of `KIND:NAME`; the name is not looked at.
pub(crate) fn kind_and_name<'t, const N: usize>(
    text: &'t str,
    kinds: [&'static str; N],
    form: &str,
) -> Result<(&'static str, &'t str), Complaint> {
    let (typed, name) = text.split_once(':').unwrap_or((text, ""));
    let found = kinds.into_iter().find(|kind| *kind == typed);
    let (Some(kind), true) = (found, text.contains(':')) else {
        let suggestion = match nearest(typed, kinds) {
            Some(kind) if !name.is_empty() => {
                let shown = quote(&format!("{kind}:{name}"));
                format!("did you mean {shown}? expected {form}")
            }
            _ => format!("expected {form}"),
        };
        return Err(Complaint::new(format!("{} is of no known kind", quote(text)), suggestion));
    };
    Ok((kind, name))
}

/// The name of a claim at the top level of a token.
pub(crate) fn claim(name: &str) -> Result<String, Complaint> {
    let legal = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
    if (1..=LONGEST).contains(&name.len()) && name.bytes().all(legal) {
        return Ok(name.to_owned());
    }
    let message = format!("{} is no name of a claim", quote(name));
    let suggestion = format!("1 to {LONGEST} printable characters, such as \"claim:sub\"");
    Err(Complaint::new(message, suggestion))
}

/// The name of a cookie that is the application's.
pub(crate) fn cookie(name: &str) -> Result<String, Complaint> {
    if !is_token(name) || name.len() > LONGEST {
        let message = format!("{} is no name of a cookie", quote(name));
        return Err(Complaint::new(message, format!("a token of at most {LONGEST} bytes")));
    }
    if name.get(..10).is_some_and(|it| it.eq_ignore_ascii_case("floodgate-")) {
        let message = format!("the cookie {} is the gateway's own", quote(name));
        return Err(Complaint::new(message, "name one that the application sets"));
    }
    Ok(name.to_owned())
}

/// The name of a header that reaches the gateway and is the application's, in lower case.
pub(crate) fn header(name: &str) -> Result<String, Complaint> {
    if !is_token(name) || name.len() > LONGEST {
        let message = format!("{} is no name of a header", quote(name));
        return Err(Complaint::new(message, format!("a token of at most {LONGEST} bytes")));
    }
    let name = name.to_ascii_lowercase();
    // As the gateway sees them: many an application server takes one for the other.
    let normal = name.replace('_', "-");
    let own = ["x-tier", "x-priority", "x-request-deadline-ms", "x-floodgate"];
    if own.contains(&normal.as_str()) || normal.starts_with("x-floodgate-") {
        let message = format!("the header {} is the gateway's own", quote(&name));
        return Err(Complaint::new(message, "it is removed from requests: name another"));
    }
    let of_connection = [
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    if of_connection.contains(&normal.as_str()) {
        let message = format!("the header {} tells nobody apart", quote(&name));
        return Err(Complaint::new(message, "name one that the application sets"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: Text>(text: &str) -> Complaint {
        T::parse(text).map(|it| it.show()).expect_err(text)
    }

    #[test]
    fn what_is_shown_reads_back() {
        for text in ["header:x-user-id", "cookie:SID", "claim:sub", "claim:https://a.example/id"] {
            assert_eq!(Identity::parse(text).map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for text in ["file:grant.keys", "file:/etc/a b:c", "env:GRANT_KEYS"] {
            assert_eq!(KeySource::parse(text).map(|it| it.to_string()), Ok(text.to_owned()));
        }
        for text in ["grant", "stage", "off"] {
            assert_eq!(Sticky::parse(text).map(Sticky::as_str), Ok(text));
        }
    }

    #[test]
    fn names_of_headers_are_in_lower_case_and_those_of_cookies_are_not() {
        assert_eq!(Identity::parse("header:X-User"), Ok(Identity::Header("x-user".into())));
        assert_eq!(Identity::parse("cookie:Sid"), Ok(Identity::Cookie("Sid".into())));
    }

    #[test]
    fn what_the_gateway_removes_or_sets_is_no_identity() {
        for text in [
            "header:X-Floodgate-Grant",
            "header:x_floodgate_user",
            "header:x-tier",
            "header:X_Priority",
            "header:x-request-deadline-ms",
            "header:Connection",
            "header:host",
            "cookie:floodgate-device",
            "cookie:Floodgate-Grant",
        ] {
            assert!(Identity::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn odd_names_are_refused() {
        let long = format!("header:{}", "a".repeat(LONGEST + 1));
        for text in
            ["", ":", "header", "header:", "header:a b", "cookie:", "cookie:a;b", "claim:", &long]
        {
            assert!(Identity::parse(text).is_err(), "{text}");
        }
        for text in
            ["claim:a\"b", "claim:a b", "claim:\u{fc}", "cookie:\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}"]
        {
            assert!(Identity::parse(text).is_err(), "{text}");
        }
        for text in ["file:", "env:", "env:A-B", "env:FLOODGATE__KEYS", "random", "file:\n"] {
            assert!(KeySource::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_slip_is_told_with_what_is_meant() {
        let told = refused::<Identity>("heder:x-user").suggestion;
        assert!(told.starts_with("did you mean `header:x-user`?"), "{told}");
        assert_eq!(refused::<Sticky>("grants").suggestion, "did you mean \"grant\"?");
        assert!(refused::<KeySource>("grant.keys").suggestion.starts_with("expected"));
    }
}
