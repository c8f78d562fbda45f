//! Native cryptography behind `wit/crypto.wit`: keys are imported once, bound to one algorithm, and then only used.
//!
//! Border: no wasmtime, no clock, no files; what computes is aws-lc. Invariant: a [`Key`] serves exactly the algorithm it
//! was imported for (RFC 8725 section 3.1), and neither a key nor an error shows key material.

mod algorithm;
mod error;

mod der;
mod jwk;
mod password;
mod pem;
mod trials;

use std::fmt;

use aws_lc_rs::digest as lc_digest;
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use aws_lc_rs::{constant_time, hmac, rand};

pub use algorithm::{Algorithm, Hash, Kind};
pub use error::{KeyError, KeyWarning};
pub use password::{Password, PasswordError};
pub use trials::{Busy, Pair, Trials};

/// Shortest RSA modulus (RFC 7518 section 3.3).
const RSA_BITS_MIN: usize = 2048;
/// Longest RSA modulus that aws-lc verifies with.
const RSA_BITS_MAX: usize = 8192;
/// Longest RSA public exponent that aws-lc verifies with.
const RSA_EXPONENT_BITS_MAX: usize = 33;
/// Longest PEM or JWK text. An RSA certificate chain is about 6 KiB; this leaves room and bounds the parsers.
const KEY_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Most random bytes of one call (`wit/crypto.wit`).
pub const RANDOM_BYTES_MAX: usize = 1024;

/// Where a key comes from.
#[derive(Clone, Copy)]
pub enum KeySource<'a> {
    /// The bytes of an HMAC secret.
    Secret(&'a [u8]),
    /// One public key or certificate in PEM (RFC 7468); of several certificates the first counts.
    Pem(&'a str),
    /// One JSON Web Key (RFC 7517).
    Jwk(&'a str),
}

/// A key bound to one algorithm, with everything prepared that does not depend on the data.
#[derive(Clone)]
pub struct Key {
    algorithm: Algorithm,
    material: Material,
    warning: Option<KeyWarning>,
}

#[derive(Clone)]
enum Material {
    /// Holds the state after the padded key, so that a MAC costs two compressions less.
    /// Boxed, since it is ten times as large as a public key.
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

/// A public key as the readers of PEM and JWK find it.
enum Public {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8>, kind: Kind },
    Point { bytes: Vec<u8>, kind: Kind },
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Key {
    /// Imports a key for one algorithm. Refuses whatever does not fit it.
    pub fn import(source: KeySource<'_>, algorithm: Algorithm) -> Result<Self, KeyError> {
        match source {
            KeySource::Secret(secret) => {
                refuse_disguised_key(secret)?;
                Self::from_secret(secret, algorithm)
            }
            KeySource::Pem(text) if text.len() <= KEY_TEXT_BYTES_MAX => {
                Self::from_public(&pem::public_key(text)?, algorithm)
            }
            KeySource::Jwk(text) if text.len() <= KEY_TEXT_BYTES_MAX => {
                let (found, warning) = jwk::read(text, algorithm)?;
                let key = match found {
                    jwk::Found::Secret(secret) => Self::from_secret(&secret, algorithm),
                    jwk::Found::Public(public) => Self::from_public(&public, algorithm),
                }?;
                Ok(Self { warning, ..key })
            }
            KeySource::Pem(_) | KeySource::Jwk(_) => Err(KeyError::TooLong),
        }
    }

    /// The algorithm it is bound to.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What should be logged about it.
    pub fn warning(&self) -> Option<KeyWarning> {
        self.warning
    }

    /// Whether `signature` is right for `data`. HMACs are compared in constant time and in full length.
    pub fn verify(&self, data: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hmac(key) => hmac::verify(key, data, signature).is_ok(),
            Material::Public(key) => key.verify_sig(data, signature).is_ok(),
        }
    }

    /// The HMAC of `data`; none for a key that is not an HMAC key.
    pub fn hmac(&self, data: &[u8]) -> Option<impl AsRef<[u8]> + use<>> {
        match &self.material {
            Material::Hmac(key) => Some(hmac::sign(key, data)),
            Material::Public(_) => None,
        }
    }

    fn from_secret(secret: &[u8], algorithm: Algorithm) -> Result<Self, KeyError> {
        let lc = match algorithm {
            Algorithm::Hs256 => hmac::HMAC_SHA256,
            Algorithm::Hs384 => hmac::HMAC_SHA384,
            Algorithm::Hs512 => hmac::HMAC_SHA512,
            _ => return Err(KeyError::WrongKind { found: Kind::Secret, needed: algorithm.needs(), algorithm }),
        };
        if secret.len() < lc.tag_len() {
            return Err(KeyError::SecretTooShort { algorithm, needed: lc.tag_len(), bytes: secret.len() });
        }
        Ok(Self { algorithm, material: Material::Hmac(Box::new(hmac::Key::new(lc, secret))), warning: None })
    }

    fn from_public(public: &Public, algorithm: Algorithm) -> Result<Self, KeyError> {
        let needed = algorithm.needs();
        let (Public::Rsa { kind, .. } | Public::Point { kind, .. }) = *public;
        // A plain RSA key may sign with either padding; a PSS key only with PSS.
        if kind != needed && !(kind == Kind::Rsa && needed == Kind::RsaPss) {
            return Err(KeyError::WrongKind { found: kind, needed, algorithm });
        }
        let parsed = match public {
            Public::Rsa { modulus, exponent, .. } => rsa_key(modulus, exponent, algorithm)?,
            Public::Point { bytes, .. } => point_key(bytes, algorithm)?,
        };
        Ok(Self { algorithm, material: Material::Public(parsed), warning: None })
    }
}

/// Refuses a secret that is a public key in disguise.
fn refuse_disguised_key(secret: &[u8]) -> Result<(), KeyError> {
    let text = secret.trim_ascii();
    if text.starts_with(b"-----BEGIN ") {
        return Err(KeyError::SecretIsAKey("PEM"));
    }
    let is_object = serde_json::from_slice::<serde_json::Value>(text).is_ok_and(|value| value.is_object());
    if is_object { Err(KeyError::SecretIsAKey("a JSON object")) } else { Ok(()) }
}

/// `modulus` and `exponent` are big-endian without leading zeros.
fn rsa_key(modulus: &[u8], exponent: &[u8], algorithm: Algorithm) -> Result<ParsedPublicKey, KeyError> {
    let parameters = match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return Err(KeyError::WrongKind { found: Kind::Rsa, needed: algorithm.needs(), algorithm }),
    };
    // aws-lc checks these with every signature; an operator wants to hear it once, at load.
    let size = bits(modulus);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&size) {
        return Err(KeyError::RsaSize(size));
    }
    if modulus.last().is_none_or(|last| last & 1 == 0) {
        return Err(KeyError::Rsa("the modulus is even"));
    }
    if exponent.last().is_none_or(|last| last & 1 == 0) {
        return Err(KeyError::Rsa("the exponent is even"));
    }
    if exponent == [1] || bits(exponent) > RSA_EXPONENT_BITS_MAX {
        return Err(KeyError::Rsa("the exponent is not between 3 and 2^33"));
    }
    RsaPublicKeyComponents { n: modulus, e: exponent }
        .to_parsed_public_key(parameters)
        .map_err(|_| KeyError::Rsa("the numbers do not fit together"))
}

fn point_key(bytes: &[u8], algorithm: Algorithm) -> Result<ParsedPublicKey, KeyError> {
    let parsed = match algorithm {
        Algorithm::Es256 => ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, bytes),
        Algorithm::Es384 => ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, bytes),
        _ => ParsedPublicKey::new(&signature::ED25519, bytes),
    };
    parsed.map_err(|_| KeyError::Point)
}

/// The length in bits of a big-endian number without leading zeros.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// The digest of `data`.
pub fn digest(hash: Hash, data: &[u8]) -> impl AsRef<[u8]> + use<> {
    let algorithm = match hash {
        Hash::Sha256 => &lc_digest::SHA256,
        Hash::Sha384 => &lc_digest::SHA384,
        Hash::Sha512 => &lc_digest::SHA512,
    };
    lc_digest::digest(algorithm, data)
}

/// Whether both are equal, in a time that depends on the length alone.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// Random bytes from the system's generator, [`RANDOM_BYTES_MAX`] at most. None where the system has none to give.
pub fn random(length: u32) -> Option<Vec<u8>> {
    let length = usize::try_from(length).unwrap_or(RANDOM_BYTES_MAX).min(RANDOM_BYTES_MAX);
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod test_keys;
#[cfg(test)]
mod tests;
