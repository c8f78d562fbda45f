//! A certificate with its key, and the names it is for.

use std::time::Duration;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;

use super::{IdentityFiles, Shown, TlsError, pem};

/// How long before its end a certificate deserves a word in the log.
pub const EXPIRY_NEAR: Duration = Duration::from_secs(14 * 24 * 3600);

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// What rustls shows.
    pub shown: Shown,
    /// The DNS names of the certificate, lowercase; one with a wildcard begins with `*.`.
    pub names: Vec<String>,
    /// When it ends, as Unix time.
    pub ends: Duration,
}

impl Identity {
    /// Reads certificate, key and OCSP response.
    pub(super) fn read(files: &IdentityFiles) -> Result<Self, TlsError> {
        let chain = pem::certificates("certificate", &files.certificate)?;
        let key = pem::private_key("key", &files.key)?;
        let wrong = |what: &str, remedy: &str| pem::wrong("certificate", &files.certificate, what, remedy);
        let unknown = || wrong("begins with no X.509 certificate", "put the end-entity certificate first");
        let first = chain.first().ok_or_else(unknown)?;
        let (_, parsed) = parse_x509_certificate(first).map_err(|_| unknown())?;
        let ends = Duration::from_secs(parsed.validity().not_after.timestamp().try_into().unwrap_or(0));
        let alternatives = parsed.subject_alternative_name().ok().flatten();
        let names: Vec<String> = alternatives
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect();
        let signing = any_supported_type(&key).map_err(|error| {
            pem::wrong(
                "key",
                &files.key,
                &format!("cannot sign: {error}"),
                "use an ECDSA P-256/P-384, RSA or Ed25519 key",
            )
        })?;
        let mut certified = CertifiedKey::new(chain, signing);
        certified.keys_match().map_err(|_| {
            let what = format!("does not belong to the certificate in {}", files.certificate.display());
            pem::wrong("key", &files.key, &what, "name the key that the certificate was made for")
        })?;
        if let Some(path) = &files.ocsp {
            certified.ocsp = Some(staple(path)?);
        }
        Ok(Self { shown: Shown::new(certified), names, ends })
    }
}

/// An OCSP response: a DER SEQUENCE whose status is `successful` (RFC 6960 section 4.2.1).
fn staple(path: &std::path::Path) -> Result<Vec<u8>, TlsError> {
    let bytes = pem::read("ocsp", path)?;
    let status = x509_parser::der_parser::parse_der(&bytes).ok().and_then(|(rest, object)| {
        let status = object.as_sequence().ok()?.first()?.as_u32().ok()?;
        rest.is_empty().then_some(status)
    });
    match status {
        Some(0) => Ok(bytes),
        Some(status) => {
            let what = format!("is an OCSP response with the error {status}");
            Err(pem::wrong("ocsp", path, &what, "fetch it again: openssl ocsp -respout FILE"))
        }
        None => Err(pem::wrong("ocsp", path, "is no OCSP response", "name a DER file: openssl ocsp -respout FILE")),
    }
}
