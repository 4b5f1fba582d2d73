//! Where grants and devices travel: cookies for browsers, a header for applications. Neither goes on to
//! an upstream.

use std::io::Write as _;

use http::{HeaderName, HeaderValue};

use super::journey::JourneyId;
use crate::fields::{Fields, cookie_pair};

/// The header, both ways.
pub(crate) const GRANT_HEADER: HeaderName = HeaderName::from_static("x-floodgate-grant");

/// What the name of every grant's cookie begins with.
pub(super) const GRANT_PREFIX: &str = "floodgate-grant-";
/// The same for the device that a grant is bound to.
pub(super) const DEVICE_PREFIX: &str = "floodgate-device-";
/// The same for the device of somebody who was refused.
pub(super) const RETURN_PREFIX: &str = "floodgate-return-";

/// What the names of all of them begin with.
const OURS: &[u8] = b"floodgate-";

/// A cookie to be set: for the whole site, out of reach of scripts, not sent along by other sites but
/// when a customer comes from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetCookie<'a> {
    /// Its name.
    pub name: &'a str,
    /// Letters, digits, `-` and `_`.
    pub value: &'a [u8],
    /// Seconds it lasts.
    pub max_age: u64,
    /// Only over TLS.
    pub is_secure: bool,
}

/// The text that may be a grant for `journey`: the application's header, else the cookie.
pub(crate) fn grant_text<'a>(fields: Fields<'a>, journey: &JourneyId) -> Option<&'a [u8]> {
    fields.only(GRANT_HEADER.as_str()).or_else(|| fields.cookie(journey.cookie()))
}

/// What is left of a Cookie field for the upstream once the gateway's own cookies are taken out, of
/// whichever journey: the others stay as they are, byte for byte. `None` if nothing is left.
pub(crate) fn without_ours(field: &HeaderValue) -> Option<HeaderValue> {
    let pairs = || field.as_bytes().split(|&b| b == b';');
    if !pairs().any(is_ours) {
        return Some(field.clone());
    }
    let mut left = Vec::with_capacity(field.len());
    for pair in pairs().filter(|pair| !is_ours(pair)) {
        if left.is_empty() {
            left.extend_from_slice(pair.trim_ascii_start());
        } else {
            left.push(b';');
            left.extend_from_slice(pair);
        }
    }
    // Part of a field value is one too.
    (!left.trim_ascii().is_empty()).then(|| HeaderValue::from_bytes(&left).ok()).flatten()
}

/// Whether a Cookie field may hold cookies of the gateway's: the quick look before [`without_ours`].
pub(crate) fn may_have_ours(field: &[u8]) -> bool {
    field.windows(OURS.len()).any(|part| part == OURS)
}

fn is_ours(pair: &[u8]) -> bool {
    cookie_pair(pair).is_some_and(|(name, _)| {
        let prefixes = [GRANT_PREFIX, DEVICE_PREFIX, RETURN_PREFIX];
        prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
    })
}

// === impl SetCookie ===

impl SetCookie<'_> {
    /// Appends the value of its Set-Cookie field.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(self.value);
        // Writing to a Vec cannot fail.
        drop(write!(out, "; Max-Age={}; Path=/; HttpOnly; SameSite=Lax", self.max_age));
        if self.is_secure {
            out.extend_from_slice(b"; Secure");
        }
    }
}

impl From<SetCookie<'_>> for HeaderValue {
    fn from(cookie: SetCookie<'_>) -> Self {
        let mut value = Vec::with_capacity(192);
        cookie.write(&mut value);
        Self::try_from(value).expect("names and values of ours are visible ASCII")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;

    fn left(field: &str) -> Option<String> {
        let left = without_ours(&field.parse().unwrap())?;
        Some(left.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_cookie_is_set_for_the_whole_site_and_not_for_scripts() {
        let cookie = SetCookie {
            name: "floodgate-grant-sale",
            value: b"AbC-_9",
            max_age: 120,
            is_secure: false,
        };
        let plain = "floodgate-grant-sale=AbC-_9; Max-Age=120; Path=/; HttpOnly; SameSite=Lax";
        assert_eq!(HeaderValue::from(cookie), plain);
        let secure = SetCookie { is_secure: true, ..cookie };
        assert_eq!(HeaderValue::from(secure), format!("{plain}; Secure"));
    }

    #[test]
    fn a_grant_is_read_from_its_header_before_its_own_cookie() {
        let journey = JourneyId::new("sale");
        let mut headers = HeaderMap::new();
        let text = |headers: &HeaderMap| {
            grant_text(Fields::Map(headers), &journey)
                .map(|text| String::from_utf8(text.to_vec()).unwrap())
        };
        assert_eq!(text(&headers), None);
        let cookies = "floodgate-grant-other=o; floodgate-grant-sale=c";
        headers.insert("cookie", HeaderValue::from_static(cookies));
        assert_eq!(text(&headers).as_deref(), Some("c"));
        headers.insert(GRANT_HEADER, HeaderValue::from_static("h"));
        assert_eq!(text(&headers).as_deref(), Some("h"));
        headers.append(GRANT_HEADER, HeaderValue::from_static("i"));
        assert_eq!(text(&headers).as_deref(), Some("c"));
    }

    #[test]
    fn only_the_gateways_own_cookies_are_taken_out() {
        for (field, expected) in [
            ("a=b; c=\"d e\";f", Some("a=b; c=\"d e\";f")),
            ("a=b; floodgate-grant-sale=x; c=d", Some("a=b; c=d")),
            ("floodgate-device-sale=x; a=b;  c=d", Some("a=b;  c=d")),
            ("a=b; floodgate-return-sale=x", Some("a=b")),
            ("a=b ;floodgate-grant-sale=x", Some("a=b ")),
            ("floodgate-grant-sale=x; floodgate-device-sale=y", None),
            ("floodgate-grant-sale=x;", None),
            (" floodgate-grant-gone = x ; a", Some("a")),
            (
                "floodgate-devices=x; xfloodgate-device-sale=y",
                Some("floodgate-devices=x; xfloodgate-device-sale=y"),
            ),
            ("a=floodgate-device-sale=x", Some("a=floodgate-device-sale=x")),
        ] {
            assert_eq!(left(field).as_deref(), expected, "{field}");
        }
    }

    proptest! {
        #[test]
        fn taking_ours_out_is_undoing_that_they_were_put_in(
            mut pairs in prop::collection::vec("[a-z]{1,4}=[!#-:<-~]{0,6}", 1..6),
            at: prop::sample::Index,
        ) {
            let before = pairs.join("; ");
            prop_assert_eq!(left(&before), Some(before.clone()));
            pairs.insert(at.index(pairs.len() + 1), "floodgate-grant-sale=x".to_owned());
            prop_assert_eq!(left(&pairs.join("; ")), Some(before));
        }
    }
}
