//! Why a key was not taken, and what to say about one that was.
//!
//! Invariant: no message contains any part of a key; all texts are fixed or name sizes.

use std::fmt;

use super::{Algorithm, KEY_TEXT_BYTES_MAX, Kind, RSA_BITS_MAX, RSA_BITS_MIN};

/// Why a key was not taken. Messages are for operators and never contain any part of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key is of another kind than the algorithm needs.
    #[error("{algorithm} needs {needed}, but this is {found}")]
    WrongKind {
        /// What the key is for.
        found: Kind,
        /// What the algorithm needs.
        needed: Kind,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// An HMAC secret shorter than the hash (RFC 7518 section 3.2).
    #[error("a secret for {algorithm} must have at least {needed} bytes (RFC 7518 section 3.2), this one has {bytes}")]
    SecretTooShort {
        /// The algorithm.
        algorithm: Algorithm,
        /// Fewest bytes.
        needed: usize,
        /// Bytes found.
        bytes: usize,
    },
    /// A PEM text or a JWK given as secret: the start of every algorithm confusion (RFC 8725 section 2.1).
    #[error("this secret is {0}: give it as such, a public key must never serve as an HMAC secret")]
    SecretIsAKey(&'static str),
    /// An RSA modulus outside 2048 to 8192 bits (RFC 7518 section 3.3).
    #[error("an RSA modulus must have {RSA_BITS_MIN} to {RSA_BITS_MAX} bits, this one has {0}")]
    RsaSize(usize),
    /// The RSA numbers cannot be a public key.
    #[error("not an RSA public key: {0}")]
    Rsa(&'static str),
    /// The bytes are no point on the curve.
    #[error("not a public key on the curve")]
    Point,
    /// The PEM text.
    #[error("PEM: {0}")]
    Pem(&'static str),
    /// The DER inside a PEM text.
    #[error("DER: {0}")]
    Der(&'static str),
    /// The JSON Web Key.
    #[error("JWK: {0}")]
    Jwk(&'static str),
    /// A member of a JWK contradicts the algorithm it is imported for.
    #[error("JWK: \"{member}\" contradicts {algorithm}")]
    Contradiction {
        /// The member.
        member: &'static str,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The text is over its limit.
    #[error("the key text is longer than {KEY_TEXT_BYTES_MAX} bytes")]
    TooLong,
}

/// What an operator should know about a key that was taken nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyWarning {
    /// A JWK that also carries the private key. It is ignored, but whoever only verifies should not have it.
    PrivatePart,
}

impl fmt::Display for KeyWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the JWK carries the private key, which verifying does not need: remove it from the configuration")
    }
}
