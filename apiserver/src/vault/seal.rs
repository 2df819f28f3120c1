//! One sealed value: AES-256-GCM under a data key, bound to the place it is stored at.
//!
//! ```text
//! byte 0       layout, 2
//! bytes 1..5   u32: the data key
//! bytes 5..17  nonce
//! bytes 17..   ciphertext and tag of the plain layout
//! ```
//!
//! The nonce is a keyed hash of place and content: equal content at one place gives equal bytes, so
//! that a write that changes nothing still changes nothing, and other content gives another nonce
//! (docs/decisions/016-secrets-at-rest.md).

use std::fmt;

use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

/// First byte of a sealed value. The plain layout has 1.
pub const LAYOUT: u8 = 2;

/// Bytes of the secret a key is made from.
pub const SECRET_BYTES: usize = 32;

const HEADER: usize = 5;

/// Seals and opens under one secret.
pub struct DataKey {
    id: u32,
    cipher: LessSafeKey,
    nonces: hmac::Key,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl DataKey {
    /// The key made from a secret. Encrypting and making nonces have keys of their own.
    #[must_use]
    pub fn new(id: u32, secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let part = |purpose: &[u8]| hmac::sign(&root, purpose);
        let cipher = UnboundKey::new(&AES_256_GCM, part(b"encrypt").as_ref());
        Self {
            id,
            cipher: LessSafeKey::new(cipher.expect("AES-256 takes 32 bytes")),
            nonces: hmac::Key::new(hmac::HMAC_SHA256, part(b"nonce").as_ref()),
        }
    }

    /// Which key it is.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The sealed form of what is stored at `place`.
    #[must_use]
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Bytes {
        let nonce = self.nonce(place, plain);
        let mut body = plain.to_vec();
        let aad = Aad::from(bound(self.id, place));
        self.cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .expect("objects are far smaller than what AES-GCM takes at once");
        let mut out = Vec::with_capacity(HEADER + NONCE_LEN + body.len());
        out.push(LAYOUT);
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&body);
        out.into()
    }

    /// What was sealed at `place`; none if it was not, or not by this key, or was changed.
    #[must_use]
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Bytes> {
        if key_id(sealed)? != self.id {
            return None;
        }
        let (nonce, body) = sealed[HEADER..].split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut body = body.to_vec();
        let aad = Aad::from(bound(self.id, place));
        let plain = self.cipher.open_in_place(nonce, aad, &mut body).ok()?.len();
        body.truncate(plain);
        Some(body.into())
    }

    fn nonce(&self, place: &[u8], plain: &[u8]) -> [u8; NONCE_LEN] {
        let mut context = hmac::Context::with_key(&self.nonces);
        // The length keeps place and content apart.
        context.update(&(place.len() as u64).to_be_bytes());
        context.update(place);
        context.update(plain);
        let hash = context.sign();
        hash.as_ref()[..NONCE_LEN]
            .try_into()
            .expect("a SHA-256 is longer than a nonce")
    }
}

/// Which key sealed this; none if it is not sealed.
#[must_use]
pub fn key_id(sealed: &[u8]) -> Option<u32> {
    let (head, _) = sealed.split_at_checked(HEADER)?;
    let id = u32::from_be_bytes(head[1..].try_into().ok()?);
    (head[0] == LAYOUT).then_some(id)
}

/// What is authenticated beside the content: no sealed value opens at another place.
fn bound(id: u32, place: &[u8]) -> Vec<u8> {
    let mut bound = vec![LAYOUT];
    bound.extend_from_slice(&id.to_be_bytes());
    bound.extend_from_slice(place);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_at_the_same_place_opens() {
        let key = DataKey::new(7, &[1; SECRET_BYTES]);
        let sealed = key.seal(b"/a", b"plain text");
        assert_eq!(key.open(b"/a", &sealed).unwrap(), &b"plain text"[..]);
        assert_eq!(key_id(&sealed), Some(7));
        assert!(!sealed.windows(5).any(|part| part == b"plain"));
        assert_eq!(key.open(b"/b", &sealed), None, "another place");
        let others = [
            DataKey::new(7, &[2; SECRET_BYTES]),
            DataKey::new(8, &[1; SECRET_BYTES]),
        ];
        for other in others {
            assert_eq!(other.open(b"/a", &sealed), None);
        }
        for at in 0..sealed.len() {
            let mut damaged = sealed.to_vec();
            damaged[at] ^= 1;
            assert_eq!(key.open(b"/a", &damaged), None, "byte {at}");
            assert_eq!(key.open(b"/a", &sealed[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn equal_content_gives_equal_bytes_and_other_content_another_nonce() {
        let key = DataKey::new(1, &[1; SECRET_BYTES]);
        assert_eq!(key.seal(b"/a", b"x"), key.seal(b"/a", b"x"));
        let nonce = |place: &[u8], plain: &[u8]| {
            key.seal(place, plain)[HEADER..HEADER + NONCE_LEN].to_vec()
        };
        let mut nonces: Vec<Vec<u8>> =
            vec![nonce(b"/a", b"bx"), nonce(b"/ab", b"x"), nonce(b"/a", b"x")];
        nonces.dedup();
        assert_eq!(nonces.len(), 3);
    }
}
