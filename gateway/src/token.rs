//! Who may talk to the admin listener.

use std::net::SocketAddr;

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Environment variable that holds the token.
pub const VARIABLE: &str = "FLOODGATE_ADMIN_TOKEN";

/// Shortest token that is taken: shorter ones can be guessed over the network.
const SHORTEST: usize = 16;

/// The bearer token of the admin listener. Never printed.
#[derive(Clone)]
pub struct Token(String);

// === impl Token ===

impl Token {
    /// The token that the environment holds for a listener on `admin`.
    ///
    /// # Errors
    /// One sentence: it is too short, or there is none and others than this machine could ask.
    pub fn from_environment(admin: SocketAddr) -> Result<Option<Self>, String> {
        match std::env::var(VARIABLE) {
            Ok(token) if token.len() >= SHORTEST => Ok(Some(Self(token))),
            Ok(_) => Err(format!("{VARIABLE} is too short: use at least {SHORTEST} characters")),
            Err(_) if admin.ip().is_loopback() => Ok(None),
            Err(_) => Err(format!(
                "the admin listener on {admin} could be asked by anybody: set {VARIABLE}, or listen on 127.0.0.1"
            )),
        }
    }

    /// Whether a request brings it. Takes as long for a wrong token as for the right one.
    pub fn is_in(&self, headers: &HeaderMap) -> bool {
        let Some(given) = headers.get(AUTHORIZATION).map(|value| value.as_bytes()) else {
            return false;
        };
        let Some(given) = given.strip_prefix(b"Bearer ") else { return false };
        let right = self.0.as_bytes();
        let mut difference = u8::from(given.len() != right.len());
        for (at, byte) in right.iter().enumerate() {
            difference |= byte ^ given.get(at).copied().unwrap_or_default();
        }
        std::hint::black_box(difference) == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token("0123456789abcdef".to_owned());
        let asks = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, http::HeaderValue::from_static(text));
            token.is_in(&headers)
        };
        assert!(asks("Bearer 0123456789abcdef"));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 1123456789abcdef",
            "0123456789abcdef",
            "Bearer ",
        ] {
            assert!(!asks(wrong), "{wrong}");
        }
        assert!(!token.is_in(&HeaderMap::new()));
    }
}
