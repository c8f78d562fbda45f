//! Makes and reads certificates: what a CA gave, what a validation wants to see, and what is shown until there is one.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;

/// A certificate with its key, and its life as Unix times.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) not_before: Duration,
    pub(super) not_after: Duration,
}

/// Why something is not a certificate that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// It is not PEM with a key and certificates.
    #[error("not a key with its certificates in PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// Key and certificate cannot be used, or do not belong together.
    #[error("{0}")]
    Key(#[from] rustls::Error),
    /// The certificate cannot be read.
    #[error("not an X.509 certificate")]
    Format,
    /// It is for others.
    #[error("not for this host")]
    OtherHost,
    /// It could not be made.
    #[error("{0}")]
    Make(#[from] rcgen::Error),
}

impl Certificate {
    /// Reads key and chain, and checks that they belong together and to the host.
    pub(super) fn read(pem: &[u8], host: &str) -> Result<Self, CertificateError> {
        let key = PrivateKeyDer::from_pem_slice(pem)?;
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
        let leaf = chain.first().ok_or(CertificateError::Format)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(leaf).map_err(|_| CertificateError::Format)?;
        let names = parsed.subject_alternative_name().map_err(|_| CertificateError::Format)?;
        let names = names.iter().flat_map(|names| &names.value.general_names);
        let ours =
            |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(name) if name.eq_ignore_ascii_case(host));
        if !names.into_iter().any(ours) {
            return Err(CertificateError::OtherHost);
        }
        let unix = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
        let validity = parsed.validity();
        let (not_before, not_after) = (unix(validity.not_before.timestamp()), unix(validity.not_after.timestamp()));
        let certified = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?;
        Ok(Self { certified: Arc::new(certified), not_before, not_after })
    }
}

/// What is shown for a host until a CA has given something better.
pub(super) fn placeholder(host: &str) -> Result<CertifiedKey, CertificateError> {
    self_signed(CertificateParams::new([host.to_owned()])?)
}

/// What a validation by TLS-ALPN-01 wants to see: a certificate for the host alone, with the digest of the key authorization in
/// an extension (RFC 8737 section 3). `digest` is a SHA-256.
pub(super) fn proof(host: &str, digest: &[u8; 32]) -> Result<CertifiedKey, CertificateError> {
    let mut params = CertificateParams::new([host.to_owned()])?;
    params.custom_extensions.push(CustomExtension::new_acme_identifier(digest));
    self_signed(params)
}

fn self_signed(params: CertificateParams) -> Result<CertifiedKey, CertificateError> {
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    // Not `from_der`: that they belong together is seen above, and it refuses critical extensions that it does not know.
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_must_fit_together() {
        let made = |host: &str| {
            let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
            (made.signing_key.serialize_pem(), made.cert.pem())
        };
        let (key, certificate) = made("a.example");
        let read = |text: String, host: &str| Certificate::read(text.as_bytes(), host);
        let good = read(format!("{key}{certificate}"), "a.example").unwrap();
        assert!(good.not_before < good.not_after);
        assert!(matches!(read(format!("{key}{certificate}"), "b.example"), Err(CertificateError::OtherHost)));
        assert!(matches!(read(certificate.clone(), "a.example"), Err(CertificateError::Pem(_))));
        assert!(matches!(read(key, "a.example"), Err(CertificateError::Format)));
        let (other, _) = made("a.example");
        assert!(matches!(read(format!("{other}{certificate}"), "a.example"), Err(CertificateError::Key(_))));
    }

    #[test]
    fn a_proof_has_a_critical_extension() {
        let proof = proof("a.example", &[7; 32]).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&proof.cert[0]).unwrap();
        // RFC 8737 section 6.1: id-pe-acmeIdentifier.
        let extension = parsed.extensions().iter().find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(extension.critical);
        assert_eq!(extension.value, [&[4, 32][..], &[7; 32][..]].concat());
    }
}
