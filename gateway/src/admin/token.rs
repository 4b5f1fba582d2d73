//! Who may ask the admin listener for what.

use std::env::VarError;
use std::net::SocketAddr;

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Environment variable that holds the operator's token.
pub(super) const OPERATOR: &str = "FLOODGATE_ADMIN_TOKEN";
/// Environment variable that holds the viewer's token.
pub(super) const VIEWER: &str = "FLOODGATE_VIEWER_TOKEN";

/// Shortest token that is taken: shorter ones can be guessed over the network.
const SHORTEST: usize = 16;

/// What somebody may do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Role {
    /// Look.
    Viewer,
    /// Change as well.
    Operator,
}

/// The tokens of the admin listener. Never printed.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    operator: Option<String>,
    viewer: Option<String>,
}

// === impl Role ===

impl Role {
    /// As it stands in the audit log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
        }
    }
}

// === impl Tokens ===

impl Tokens {
    /// The tokens that the environment holds for a listener on `admin`.
    ///
    /// # Errors
    /// One sentence: one is too short, there is one for viewers only, or there is none and others than this
    /// machine could ask.
    pub(crate) fn from_environment(admin: SocketAddr) -> Result<Self, String> {
        let read = |variable| match std::env::var(variable) {
            Ok(token) if token.len() >= SHORTEST => Ok(Some(token)),
            Ok(_) => Err(format!("{variable} is too short: use at least {SHORTEST} characters")),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => {
                Err(format!("{variable} is no text: use letters and digits"))
            }
        };
        let tokens = Self { operator: read(OPERATOR)?, viewer: read(VIEWER)? };
        if tokens.operator.is_none() && tokens.viewer.is_some() {
            return Err(format!(
                "{VIEWER} without {OPERATOR} would let everybody change everything: set {OPERATOR} too"
            ));
        }
        if tokens.operator.is_none() && !admin.ip().is_loopback() {
            return Err(format!(
                "the admin listener on {admin} could be asked by anybody: set {OPERATOR}, or listen on 127.0.0.1"
            ));
        }
        Ok(tokens)
    }

    /// Whether everybody who gets here may do everything.
    pub(crate) const fn are_none(&self) -> bool {
        self.operator.is_none()
    }

    /// What the sender of `headers` may do. Without tokens everybody who gets here, that is, this
    /// machine, may do everything. Takes as long for a wrong token as for the right one.
    pub(crate) fn role(&self, headers: &HeaderMap) -> Option<Role> {
        let Some(operator) = &self.operator else { return Some(Role::Operator) };
        let given = headers.get(AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ")?;
        let is_operator = are_equal(given, operator.as_bytes());
        let is_viewer =
            self.viewer.as_ref().is_some_and(|viewer| are_equal(given, viewer.as_bytes()));
        if is_operator { Some(Role::Operator) } else { is_viewer.then_some(Role::Viewer) }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(..)")
    }
}

/// Compares in a time that depends on the right one's length only.
fn are_equal(given: &[u8], right: &[u8]) -> bool {
    let mut difference = u8::from(given.len() != right.len());
    for (at, byte) in right.iter().enumerate() {
        difference |= byte ^ given.get(at).copied().unwrap_or_default();
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(tokens: &Tokens, text: &'static str) -> Option<Role> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, http::HeaderValue::from_static(text));
        tokens.role(&headers)
    }

    #[test]
    fn only_a_whole_token_opens_and_only_its_own_role() {
        let tokens = Tokens {
            operator: Some("0123456789abcdef".to_owned()),
            viewer: Some("fedcba9876543210".to_owned()),
        };
        assert_eq!(role(&tokens, "Bearer 0123456789abcdef"), Some(Role::Operator));
        assert_eq!(role(&tokens, "Bearer fedcba9876543210"), Some(Role::Viewer));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 1123456789abcdef",
            "0123456789abcdef",
            "Bearer ",
        ] {
            assert_eq!(role(&tokens, wrong), None, "{wrong}");
        }
        assert_eq!(tokens.role(&HeaderMap::new()), None);
    }

    #[test]
    fn without_tokens_only_this_machine_is_listened_to() {
        assert_eq!(Tokens::default().role(&HeaderMap::new()), Some(Role::Operator));
    }
}
