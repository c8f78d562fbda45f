//! Reads PEM files: certificates and private keys.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;
use crate::regular;

/// Longest PEM file, in bytes. All authorities of the world are a quarter of one megabyte.
pub const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The certificates in a file; at least one.
pub(super) fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(key, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(wrong(key, path, "has no certificate", "name a PEM file with \"BEGIN CERTIFICATE\"")),
        // What it says instead is not shown: it may be another file, named by mistake.
        Err(_) => Err(wrong(key, path, "is not PEM", "name a PEM file")),
    }
}

/// The private key in a file.
pub(super) fn private_key(key: &str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(key, path)?;
    if text.windows(9).any(|window| window == b"ENCRYPTED") {
        let remedy = "write it out without a passphrase: openssl pkey -in FILE -out FILE.new";
        return Err(wrong(key, path, "is encrypted", remedy));
    }
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|_| wrong(key, path, "has no private key", "name a PEM file with \"BEGIN PRIVATE KEY\""))
}

/// The bytes of a file.
pub(super) fn read(key: &str, path: &Path) -> Result<Vec<u8>, TlsError> {
    regular::read(path, PEM_BYTES_MAX).map_err(|error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::NotFound => "write the file or name another",
            std::io::ErrorKind::PermissionDenied => "let the gateway's user read it",
            _ => "name a file that can be read",
        };
        wrong(key, path, &error.to_string(), remedy)
    })
}

/// What is wrong with a file.
pub(super) fn wrong(key: &str, path: &Path, what: &str, remedy: &str) -> TlsError {
    TlsError::new(&[key], format!("{} {what}", path.display()), remedy)
}
