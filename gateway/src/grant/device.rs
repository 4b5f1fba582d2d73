//! A device, known again by a cookie that the gateway signs, for journeys whose application says
//! nothing of its customers.
//!
//! It is made up for whoever has none, so it tells customers apart; it does not keep anybody from being
//! several. It is set anew with every grant, and so is signed by a key that lives at least as long. Whoever is
//! refused gets one as well, under another name, and keeps it once let in.

use hmac::Mac as _;
use http::HeaderValue;

use super::keys::{self, Key, Keys, Signer};
use crate::base64url;

const ID: usize = 16;
const SIGNED: usize = 4 + ID;
const SIGNATURE: usize = 16;
// A multiple of three: no bit of the text is without meaning.
const BYTES: usize = SIGNED + SIGNATURE;
const LEN: usize = base64url::encoded_len(BYTES);

/// Which device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DeviceId([u8; ID]);

/// A device id, signed, as text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SignedDevice([u8; LEN]);

// === impl DeviceId ===

impl DeviceId {
    /// One that nobody has.
    ///
    /// # Errors
    /// One sentence: the system has no random numbers.
    pub(crate) fn random() -> Result<Self, String> {
        keys::random().map(Self)
    }

    /// As what stands for the customer.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

// === impl SignedDevice ===

impl SignedDevice {
    /// As it goes to the customer.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&SignedDevice> for HeaderValue {
    fn from(device: &SignedDevice) -> Self {
        Self::from_bytes(device.as_bytes()).expect("letters and digits")
    }
}

// === impl Keys ===

impl Keys {
    /// The text of a device id.
    pub(crate) fn sign_device(&self, device: DeviceId) -> SignedDevice {
        let key = self.newest();
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&key.id());
        bytes[4..SIGNED].copy_from_slice(&device.0);
        let (signed, signature) = bytes.split_at_mut(SIGNED);
        let whole = sign(key, signed).finalize().into_bytes();
        signature.copy_from_slice(&whole[..SIGNATURE]);
        let mut text = [0; LEN];
        base64url::encode(&bytes, &mut text);
        SignedDevice(text)
    }

    /// The device of a text that a live key has signed. Allocates nothing, and takes as long for a
    /// signature that is nearly right as for any other.
    pub(crate) fn device(&self, text: &[u8]) -> Option<DeviceId> {
        let mut bytes = [0; BYTES];
        if text.len() != LEN {
            return None;
        }
        base64url::decode(text, &mut bytes)?;
        let (signed, signature) = bytes.split_at(SIGNED);
        let (&key, id) = signed.split_first_chunk::<4>()?;
        let mut keys = self.of(key);
        let is_signed = keys.any(|key| sign(key, signed).verify_truncated_left(signature).is_ok());
        let id = <[u8; ID]>::try_from(id).ok()?;
        is_signed.then_some(DeviceId(id))
    }
}

fn sign(key: &Key, signed: &[u8]) -> Signer {
    key.devices.clone().chain_update(signed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::keyring::KeyText as _;

    fn keys() -> Keys {
        Keys::random().unwrap()
    }

    #[test]
    fn a_signed_device_comes_back() {
        let (keys, device) = (keys(), DeviceId::random().unwrap());
        assert_eq!(keys.device(keys.sign_device(device).as_bytes()), Some(device));
        assert_ne!(DeviceId::random().unwrap(), device);
    }

    #[test]
    fn no_bit_of_a_device_can_be_changed() {
        let keys = keys();
        let text = keys.sign_device(DeviceId::random().unwrap());
        for bit in 0..text.0.len() * 8 {
            let mut forged = text.0;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.device(&forged), None, "bit {bit}");
        }
        for len in 0..text.0.len() {
            assert_eq!(keys.device(&text.0[..len]), None);
        }
        assert_eq!(keys.device(&[&text.0[..], b"A"].concat()), None);
    }

    #[test]
    fn a_device_is_known_as_long_as_its_key_is() {
        let (old, new) = (keys::generate().unwrap(), keys::generate().unwrap());
        let device = DeviceId::random().unwrap();
        let text = Keys::parse(&old).unwrap().sign_device(device);
        let both = Keys::parse(&format!("{new}\n{old}")).unwrap();
        assert_eq!(both.device(text.as_bytes()), Some(device));
        let after = Keys::parse(&new).unwrap();
        assert_eq!(after.device(text.as_bytes()), None);
        assert_eq!(after.device(both.sign_device(device).as_bytes()), Some(device));
    }

    #[test]
    fn what_is_signed_as_a_device_is_no_other_thing_and_the_reverse() {
        use crate::grant::journey::JourneyId;
        use crate::grant::token::Grant;
        let keys = keys();
        let device = DeviceId::random().unwrap();
        let grant = Grant::new(1, 1, std::time::Duration::from_secs(1));
        let token = keys.mint(grant, &JourneyId::new("sale"), device.as_bytes());
        assert_eq!(keys.device(&token.as_bytes()[..LEN]), None);
        assert_eq!(keys.device(&token.as_bytes()[token.as_bytes().len() - LEN..]), None);
    }
}
