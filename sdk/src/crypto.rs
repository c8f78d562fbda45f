//! Cryptography at native speed (WIT `crypto`). Grant: `crypto`.
//!
//! Keys are imported once, bound to one algorithm, and used by number; key material never comes back.

use crate::raw::crypto;
use crate::{Error, Result};

pub use crate::raw::crypto::{Algorithm, Hash, KeySource};

/// An imported key. Make it in `init`; it is good for as long as the instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(crypto::Key);

impl Key {
    /// Imports a key for one algorithm.
    ///
    /// # Errors
    /// What does not fit the algorithm, RSA moduli under 2048 bits, HMAC secrets shorter than the hash. The message does
    /// not hold the key.
    pub fn import(source: &KeySource, algorithm: Algorithm) -> Result<Self> {
        crypto::import_key(source, algorithm).map(Self).map_err(Error::new)
    }

    /// Imports the bytes of an HMAC secret.
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub fn secret(secret: impl Into<Vec<u8>>, algorithm: Algorithm) -> Result<Self> {
        Self::import(&KeySource::Secret(secret.into()), algorithm)
    }

    /// Imports a public key or certificate in PEM (SPKI, PKCS#1, X.509).
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub fn pem(pem: impl Into<String>, algorithm: Algorithm) -> Result<Self> {
        Self::import(&KeySource::Pem(pem.into()), algorithm)
    }

    /// Imports one JSON Web Key (RFC 7517) as JSON; `oct` for HMAC.
    ///
    /// # Errors
    /// As [`import`](Self::import).
    pub fn jwk(jwk: impl Into<String>, algorithm: Algorithm) -> Result<Self> {
        Self::import(&KeySource::Jwk(jwk.into()), algorithm)
    }

    /// Whether `signature` is right for `data`. For an HMAC key the signature is the HMAC, compared in constant time.
    #[must_use]
    pub fn verify(self, data: &[u8], signature: &[u8]) -> bool {
        crypto::verify(self.0, data, signature)
    }

    /// The HMAC of `data`. Empty for a key that is not an HMAC key.
    #[must_use]
    pub fn hmac(self, data: &[u8]) -> Vec<u8> {
        crypto::hmac(self.0, data)
    }
}

/// A password as it is kept. Make it in `init`; it is good for as long as the instance lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Password(crypto::Password);

impl Password {
    /// Takes a stored hash: bcrypt, as `htpasswd -B` writes it.
    ///
    /// # Errors
    /// Other kinds of hashes, and hashes that would take a call too long to verify.
    pub fn import(stored: &str) -> Result<Self> {
        crypto::import_password(stored).map(Self).map_err(Error::new)
    }

    /// Whether `given` is that password. Slow by design, and the worker waits: remember what was right, and bound how often it may be wrong.
    #[must_use]
    pub fn verify(self, given: &[u8]) -> bool {
        crypto::verify_password(self.0, given)
    }

    /// The same beside the worker, which goes on meanwhile. In `pre_handler` the first answer is [`Tried::Pending`]: return from the hook with a verdict
    /// that denies. The gateway forgets that verdict, waits, and calls the hook again, where the same question has an answer.
    #[must_use]
    pub fn try_beside(self, given: &[u8]) -> Tried {
        crypto::try_password(self.0, given)
    }
}

/// What comes of trying a password beside the worker.
pub use crate::raw::crypto::Tried;

/// The digest of `data`.
#[must_use]
pub fn digest(hash: Hash, data: &[u8]) -> Vec<u8> {
    crypto::digest(hash, data)
}

/// Whether `a` and `b` are equal, in constant time for equal lengths.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    crypto::equal(a, b)
}

/// Random bytes from the system's generator, 1024 at most per call.
#[must_use]
pub fn random(length: u32) -> Vec<u8> {
    crypto::random(length)
}
