//! AES-256-GCM with keys that have ids, so that a new one can come before the old one goes.
//!
//! A secret is here only as a prepared cipher, which the library wipes, and as a digest, by which configurations are compared; neither
//! is ever shown.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;

use crate::names::Name;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;
/// Bytes of the random number that each encryption needs. With 96 bits, one key is good for 2^32 records
/// (NIST SP 800-38D section 8.3).
pub(super) const NONCE_BYTES: usize = NONCE_LEN;
/// Bytes that show that nothing was changed.
pub(super) const TAG_BYTES: usize = 16;

/// A secret, ready for use. It cannot be shown.
#[derive(Clone)]
pub struct CipherKey {
    cipher: Arc<LessSafeKey>,
    fingerprint: [u8; 32],
}

impl PartialEq for CipherKey {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for CipherKey {}

impl CipherKey {
    /// Prepares a secret. The caller wipes its copy.
    ///
    /// # Errors
    /// [`BadSecret`], if it does not have [`SECRET_BYTES`].
    pub fn new(secret: &[u8]) -> Result<Self, BadSecret> {
        let cipher = UnboundKey::new(&AES_256_GCM, secret).map_err(|Unspecified| BadSecret)?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, secret).as_ref());
        Ok(Self { cipher: Arc::new(LessSafeKey::new(cipher)), fingerprint })
    }

    /// Encrypts in place. What is `bound` is not hidden, but has to be the same when it is decrypted.
    pub(super) fn encrypt(
        &self,
        nonce: [u8; NONCE_BYTES],
        bound: &[u8],
        data: &mut [u8],
    ) -> Result<impl AsRef<[u8]> + use<>, Unspecified> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.cipher.seal_in_place_separate_tag(nonce, Aad::from(bound), data)
    }

    /// Decrypts in place, tag included, and gives the length of what was encrypted.
    pub(super) fn decrypt(
        &self,
        nonce: [u8; NONCE_BYTES],
        bound: &[u8],
        data: &mut [u8],
    ) -> Result<usize, Unspecified> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.cipher.open_in_place(nonce, Aad::from(bound), data).map(|plain| plain.len())
    }
}

/// A secret of the wrong length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a secret has {SECRET_BYTES} bytes")]
pub struct BadSecret;

/// The keys by their ids. What is written is encrypted with the current one, what is read with the one that it names. To rotate: add
/// a key everywhere, make it the current one, and take out the old one when nothing is left that it encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    current: Name,
    all: Vec<(Name, CipherKey)>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("current", &self.current).finish_non_exhaustive()
    }
}

impl Keys {
    /// None if `current` is none of `all`.
    pub fn new(current: Name, all: Vec<(Name, CipherKey)>) -> Option<Self> {
        all.iter().any(|(id, _)| *id == current).then_some(Self { current, all })
    }

    /// The current key's id, and the key.
    pub(super) fn current(&self) -> Option<(&Name, &CipherKey)> {
        Some((&self.current, self.named(&self.current)?))
    }

    /// The key with an id.
    pub(super) fn named(&self, id: &Name) -> Option<&CipherKey> {
        self.all.iter().find(|(known, _)| known == id).map(|(_, key)| key)
    }
}
