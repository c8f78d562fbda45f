//! Reads the few DER structures that carry public keys: SubjectPublicKeyInfo, RSAPublicKey, and the key of a certificate.
//!
//! Border: bytes to numbers and points; whether they make a good key is decided in the parent. Only DER is taken: definite,
//! minimal lengths (X.690 section 10.1). A certificate is a container here: neither dates nor signatures are looked at.

use super::{KeyError, Kind, Public};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const NULL: &[u8] = &[0x05, 0x00];
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT`, the version in a certificate (RFC 5280 section 4.1).
const CONTEXT_0: u8 = 0xa0;

/// 1.2.840.113549.1.1.1 (RFC 8017 appendix C)
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 1.2.840.113549.1.1.10 (RFC 8017 appendix C)
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
/// 1.2.840.10045.2.1 (RFC 5480 section 2.1.1)
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// 1.2.840.10045.3.1.7 (RFC 5480 section 2.1.1.1)
const SECP256R1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// 1.3.132.0.34 (RFC 5480 section 2.1.1.1)
const SECP384R1: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// 1.3.101.112 (RFC 8410 section 3)
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

const MALFORMED: KeyError = KeyError::Der("malformed or truncated");

/// The key of an X.509 certificate (RFC 5280 section 4.1).
pub(super) fn certificate(bytes: &[u8]) -> Result<Public, KeyError> {
    let mut outer = Reader(whole(bytes)?);
    let mut tbs = Reader(outer.take(SEQUENCE)?);
    if tbs.next_is(CONTEXT_0) {
        tbs.take(CONTEXT_0)?;
    }
    tbs.take(INTEGER)?; // serial number
    for _ in ["signature", "issuer", "validity", "subject"] {
        tbs.take(SEQUENCE)?;
    }
    key_info(tbs.take(SEQUENCE)?)
}

/// A SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
pub(super) fn subject_public_key_info(bytes: &[u8]) -> Result<Public, KeyError> {
    key_info(whole(bytes)?)
}

/// An RSAPublicKey (RFC 8017 appendix A.1.1).
pub(super) fn rsa_public_key(bytes: &[u8], kind: Kind) -> Result<Public, KeyError> {
    let mut numbers = Reader(whole(bytes)?);
    let modulus = numbers.unsigned()?;
    let exponent = numbers.unsigned()?;
    numbers.end()?;
    Ok(Public::Rsa { modulus, exponent, kind })
}

/// The contents of a SubjectPublicKeyInfo.
fn key_info(contents: &[u8]) -> Result<Public, KeyError> {
    let mut info = Reader(contents);
    let mut algorithm = Reader(info.take(SEQUENCE)?);
    let bits = info.take(BIT_STRING)?;
    info.end()?;
    // The first byte counts unused bits; a key is whole bytes.
    let Some((0, key)) = bits.split_first() else { return Err(MALFORMED) };

    match algorithm.take(OID)? {
        RSA_ENCRYPTION if algorithm.0 == NULL => rsa_public_key(key, Kind::Rsa),
        RSASSA_PSS if algorithm.0.is_empty() => rsa_public_key(key, Kind::RsaPss),
        RSASSA_PSS => Err(KeyError::Der("an RSA-PSS key with parameters is not supported")),
        EC_PUBLIC_KEY => {
            let kind = match algorithm.take(OID)? {
                SECP256R1 => Kind::P256,
                SECP384R1 => Kind::P384,
                _ => return Err(KeyError::Der("the curve is neither P-256 nor P-384")),
            };
            algorithm.end()?;
            if key.first() != Some(&4) {
                return Err(KeyError::Der("the point is compressed; write it uncompressed"));
            }
            Ok(Public::Point { bytes: key.to_vec(), kind })
        }
        ED25519 if algorithm.0.is_empty() && key.len() == 32 => {
            Ok(Public::Point { bytes: key.to_vec(), kind: Kind::Ed25519 })
        }
        RSA_ENCRYPTION | ED25519 => Err(MALFORMED),
        _ => Err(KeyError::Der("the key is neither RSA, P-256, P-384 nor Ed25519")),
    }
}

/// The contents of the one sequence that `bytes` must be.
fn whole(bytes: &[u8]) -> Result<&[u8], KeyError> {
    let mut reader = Reader(bytes);
    let contents = reader.take(SEQUENCE)?;
    reader.end()?;
    Ok(contents)
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    fn end(&self) -> Result<(), KeyError> {
        if self.0.is_empty() { Ok(()) } else { Err(KeyError::Der("bytes behind the end")) }
    }

    /// The contents of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Result<&'a [u8], KeyError> {
        let [found, first, rest @ ..] = self.0 else { return Err(MALFORMED) };
        if *found != tag {
            return Err(MALFORMED);
        }
        let (length, rest) = match (*first, rest) {
            (short @ 0..=0x7f, rest) => (usize::from(short), rest),
            (0x81, [a @ 0x80..=0xff, rest @ ..]) => (usize::from(*a), rest),
            (0x82, [a @ 1..=0xff, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            // Nothing longer than 64 KiB gets here, see `KEY_TEXT_BYTES_MAX`.
            _ => return Err(MALFORMED),
        };
        let (contents, rest) = rest.split_at_checked(length).ok_or(MALFORMED)?;
        self.0 = rest;
        Ok(contents)
    }

    /// The next element as a positive number without leading zeros.
    fn unsigned(&mut self) -> Result<Vec<u8>, KeyError> {
        match self.take(INTEGER)? {
            // A zero byte stands only in front of a set sign bit.
            [0, number @ ..] if number.first().is_some_and(|first| *first >= 0x80) => Ok(number.to_vec()),
            number @ [1..=0x7f, ..] => Ok(number.to_vec()),
            _ => Err(MALFORMED),
        }
    }
}
