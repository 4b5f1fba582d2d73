//! A journey as its grants name it.

use sha2::{Digest as _, Sha256};

use super::cookie::{DEVICE_PREFIX, GRANT_PREFIX, RETURN_PREFIX};

/// What tells the grants of one journey from those of another.
#[derive(Clone, Debug)]
pub(crate) struct JourneyId {
    name: Box<str>,
    digest: [u8; 4],
    cookie: Box<str>,
    device_cookie: Box<str>,
    return_cookie: Box<str>,
}

/// Longest name that stands in the name of a cookie.
const MAX_NAME: usize = 32;

// === impl JourneyId ===

impl JourneyId {
    /// The journey of this name.
    pub(crate) fn new(name: &str) -> Self {
        let hash = Sha256::new().chain_update(b"floodgate journey\0").chain_update(name);
        let hash: [u8; 32] = hash.finalize().into();
        let digest = [hash[0], hash[1], hash[2], hash[3]];
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        // Two names must not become one cookie: what cannot stand in a cookie's name is not changed
        // into something that can, but goes by its digest.
        let suffix = if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain) {
            name.to_owned()
        } else {
            format!(".{:08x}", u32::from_be_bytes(digest))
        };
        let cookie = |prefix| format!("{prefix}{suffix}").into();
        Self {
            name: name.into(),
            digest,
            cookie: cookie(GRANT_PREFIX),
            device_cookie: cookie(DEVICE_PREFIX),
            return_cookie: cookie(RETURN_PREFIX),
        }
    }

    /// As it is configured.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its place in a token; two journeys with the same one are told apart by the signature.
    pub(crate) fn digest(&self) -> [u8; 4] {
        self.digest
    }

    /// Name of the cookie that holds a grant of this journey: one of its own, so that several journeys
    /// at once do not overwrite each other's.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Name of the cookie that holds the device which that grant is bound to. It comes with the grant and
    /// never without, and is signed by this journey's keys, which no other journey need have.
    pub(crate) fn device_cookie(&self) -> &str {
        &self.device_cookie
    }

    /// Name of the cookie by which somebody is known again who was refused: not that of a holder, or the
    /// refusal of one request would take the device from the grant of another that was sent with it.
    pub(crate) fn return_cookie(&self) -> &str {
        &self.return_cookie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_journey_has_a_cookie_of_its_own_that_any_client_can_keep() {
        let long = "n".repeat(33);
        let names = ["sale", "Sale", "sale-2", "s ale", "s;ale", "s=ale", "größe", "", &long];
        let cookies: Vec<_> = names.map(|name| JourneyId::new(name).cookie().to_owned()).into();
        assert_eq!(cookies[0], "floodgate-grant-sale");
        for (at, cookie) in cookies.iter().enumerate() {
            assert!(cookie.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
            assert!(cookie.len() <= 48);
            assert!(!cookies[..at].contains(cookie), "{cookie}");
        }
        let sale = JourneyId::new("sale");
        assert_eq!(sale.device_cookie(), "floodgate-device-sale");
        assert_eq!(sale.return_cookie(), "floodgate-return-sale");
    }
}
