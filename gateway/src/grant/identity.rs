//! Whose grant it is: what the application knows its customer by, or a device of the gateway's.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use floodgate_config::Identity;

use super::device::DeviceId;
use super::journey::JourneyId;
use super::keys::Keys;
use crate::fields::Fields;
use crate::jwt::Verified;

/// Bytes that an identity has at most.
pub(super) const MAX_IDENTITY: usize = 256;

/// Drawn once per process, so that nobody can prepare customers that meet in a table.
static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// One customer: what it is known by, kept beyond the head that said so.
#[derive(Clone, Copy)]
pub(crate) struct Customer {
    bytes: [u8; MAX_IDENTITY],
    len: usize,
}

/// Who sends `fields` for `journey` with this good `token`: `None` if they do not say, say it twice, or say it in
/// more than 256 bytes.
pub(crate) fn customer(
    identity: &Identity,
    fields: Fields<'_>,
    token: Option<&Verified>,
    keys: &Keys,
    journey: &JourneyId,
) -> Option<Customer> {
    match identity {
        Identity::Claim(name) => Customer::new(token?.claim(name)?),
        Identity::Cookie(name) => Customer::new(fields.cookie(name)?),
        Identity::Device => device(fields, keys, journey).map(Customer::from),
        Identity::Header(name) => Customer::new(fields.only(name)?.trim_ascii()),
    }
}

/// The device that `fields` come from, for `journey`: that of a grant before one that was refused.
pub(crate) fn device(fields: Fields<'_>, keys: &Keys, journey: &JourneyId) -> Option<DeviceId> {
    let known = |cookie| keys.device(fields.cookie(cookie)?);
    known(journey.device_cookie()).or_else(|| known(journey.return_cookie()))
}

// === impl Customer ===

impl Customer {
    fn new(identity: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_IDENTITY];
        bytes.get_mut(..identity.len())?.copy_from_slice(identity);
        (!identity.is_empty()).then_some(Self { bytes, len: identity.len() })
    }

    /// What a grant is bound to.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// What tables of this process know it by.
    pub(crate) fn digest(&self) -> u64 {
        SEED.hash_one(self.as_bytes())
    }
}

impl From<DeviceId> for Customer {
    fn from(device: DeviceId) -> Self {
        let mut bytes = [0; MAX_IDENTITY];
        let id = device.as_bytes();
        bytes[..id.len()].copy_from_slice(id);
        Self { bytes, len: id.len() }
    }
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Whoever it is, it is nobody's business on a log.
        f.write_str("Customer(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::keyring::KeyText as _;
    use crate::jwt::testing;
    use http::{HeaderMap, HeaderValue};

    fn found(identity: Identity, head: &[(&'static str, &str)]) -> Option<String> {
        let keys = Keys::random().unwrap();
        let token = testing::verified("alice");
        let mut headers = HeaderMap::new();
        for (name, value) in head {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let sale = JourneyId::new("sale");
        let customer = customer(&identity, Fields::Map(&headers), Some(&token), &keys, &sale)?;
        Some(String::from_utf8(customer.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn a_customer_is_who_the_one_configured_place_says() {
        let head = [("x-user-id", "harry"), ("cookie", "user=carol")];
        for (identity, expected) in [
            (Identity::Header("x-user-id".to_owned()), Some("harry")),
            (Identity::Cookie("user".to_owned()), Some("carol")),
            (Identity::Claim("sub".to_owned()), Some("alice")),
            (Identity::Header("x-user".to_owned()), None),
            (Identity::Cookie("x-user-id".to_owned()), None),
            (Identity::Claim("iss".to_owned()), None),
            (Identity::Device, None),
        ] {
            assert_eq!(found(identity, &head).as_deref(), expected);
        }
    }

    #[test]
    fn an_identity_has_1_to_256_bytes_and_is_said_once() {
        let of = |value: &str| found(Identity::Header("x-id".to_owned()), &[("x-id", value)]);
        assert_eq!(of("").as_deref(), None);
        assert_eq!(of("  ").as_deref(), None);
        assert_eq!(of("7").as_deref(), Some("7"));
        assert_eq!(of(&"7".repeat(256)).map(|id| id.len()), Some(256));
        assert_eq!(of(&"7".repeat(257)), None);
        let twice = [("x-id", "7"), ("x-id", "8")];
        assert_eq!(found(Identity::Header("x-id".to_owned()), &twice), None);
        let of = |value: &str| found(Identity::Cookie("id".to_owned()), &[("cookie", value)]);
        assert_eq!(of("id="), None);
        assert_eq!(of("id=7; id=8"), None);
        let keys = Keys::random().unwrap();
        let claim = Identity::Claim("sub".to_owned());
        assert!(
            customer(&claim, Fields::Map(&HeaderMap::new()), None, &keys, &JourneyId::new("sale"))
                .is_none()
        );
    }

    #[test]
    fn a_device_is_a_customer_if_its_signature_is_right() {
        let keys = Keys::random().unwrap();
        let device = DeviceId::random().unwrap();
        let sale = JourneyId::new("sale");
        let known_by = |name: &str, keys: &Keys, text: &[u8]| {
            let value = [name.as_bytes(), b"=", text].concat();
            let head = [httparse::Header { name: "Cookie", value: &value }];
            let customer = customer(&Identity::Device, Fields::Parsed(&head), None, keys, &sale)?;
            assert_eq!(customer.as_bytes(), device.as_bytes());
            assert_eq!(customer.digest(), Customer::from(device).digest());
            Some(())
        };
        let known = |keys: &Keys, text: &[u8]| known_by(sale.device_cookie(), keys, text);
        let signed = keys.sign_device(device);
        assert!(known_by(sale.return_cookie(), &keys, signed.as_bytes()).is_some());
        assert!(known_by("floodgate-device-raffle", &keys, signed.as_bytes()).is_none());
        assert!(known(&keys, signed.as_bytes()).is_some());
        assert!(known(&Keys::random().unwrap(), signed.as_bytes()).is_none());
        assert!(known(&keys, device.as_bytes()).is_none());
    }

    #[test]
    fn two_customers_have_two_digests() {
        let digest = |id: &str| Customer::new(id.as_bytes()).unwrap().digest();
        assert_eq!(digest("alice"), digest("alice"));
        assert_ne!(digest("alice"), digest("bob"));
    }
}
