//! Words about tokens and tenants: which signatures count, what a token says, whose a request is.

use std::fmt;

use crate::journey::{claim, header, kind_and_name};
use crate::source::quote;
use crate::suggest::nearest;
use crate::value::{Complaint, Text};

/// How a token is signed (RFC 7518 §3.1, RFC 8037). A key is of one of them, whatever a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA-256, with a secret.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

/// Where a request says which tenant's it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantSource {
    /// This claim of the verified token.
    Claim(String),
    /// This header, of a trusted proxy; its name is in lower case.
    Header(String),
}

/// What an issuer, an audience or a tenant is called: any text without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) String);

// === impl Algorithm ===

impl Algorithm {
    /// All of them, in the order of [`Algorithm::index`].
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// As it is typed, and as it stands in tokens.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Position in [`Algorithm::ALL`], for tables.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Text for Algorithm {
    const FORM: &'static str = "\"HS256\", \"RS256\", \"ES256\" or \"EdDSA\"";
    const PATTERN: Option<&'static str> = Some("^(HS256|RS256|ES256|EdDSA)$");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let found = Self::ALL.into_iter().find(|one| one.as_str() == text);
        found.ok_or_else(|| {
            let message = format!("{} is no signature that can be verified", quote(text));
            if text.eq_ignore_ascii_case("none") {
                return Complaint::new(message, "a token without a signature is anybody's");
            }
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

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl TenantSource ===

impl Text for TenantSource {
    const FORM: &'static str = "\"claim:NAME\" or \"header:NAME\"";
    const PATTERN: Option<&'static str> = Some("^(claim|header):");

    fn parse(text: &str) -> Result<Self, Complaint> {
        let (kind, name) = kind_and_name(text, ["claim", "header"], Self::FORM)?;
        match kind {
            "header" => header(name).map(Self::Header),
            _ => claim(name).map(Self::Claim),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// As it is typed.
impl fmt::Display for TenantSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(name) => write!(f, "claim:{name}"),
            Self::Header(name) => write!(f, "header:{name}"),
        }
    }
}

// === impl Label ===

impl Text for Label {
    const FORM: &'static str = "a text in quotes";
    const PATTERN: Option<&'static str> = None;

    fn parse(text: &str) -> Result<Self, Complaint> {
        if !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control) {
            return Ok(Self(text.to_owned()));
        }
        let message = format!("{} cannot be meant", quote(text));
        Err(Complaint::new(message, "1 to 256 bytes without control characters"))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signatures_that_prove_something_are_named() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.as_str()), Ok(algorithm));
            assert_eq!(Algorithm::ALL[algorithm.index()], algorithm);
        }
        for text in ["none", "None", "", "HS512", "rs256", "RS256 "] {
            assert!(Algorithm::parse(text).is_err(), "{text}");
        }
        let said = |text| Algorithm::parse(text).unwrap_err().suggestion;
        assert_eq!(said("none"), "a token without a signature is anybody's");
        assert_eq!(said("EDDSA"), "did you mean \"EdDSA\"?");
    }

    #[test]
    fn a_tenant_is_said_by_a_claim_or_a_header() {
        let parse = |text| TenantSource::parse(text).map(|source| source.to_string());
        assert_eq!(parse("claim:tenant"), Ok("claim:tenant".to_owned()));
        assert_eq!(parse("header:X-Org"), Ok("header:x-org".to_owned()));
        for text in ["tenant", "claim:", "header:", "cookie:a", "header:x-tier", "claim:a b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_label_is_any_text_of_1_to_256_bytes() {
        for text in ["a", "https://login.shop.example/", "größe 1"] {
            assert_eq!(Label::parse(text).map(|label| label.0).as_deref(), Ok(text));
        }
        for text in ["", "a\nb", &"a".repeat(257)] {
            assert!(Label::parse(text).is_err(), "{text}");
        }
    }
}
