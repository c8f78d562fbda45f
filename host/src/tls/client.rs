//! How an upstream is trusted: by the system's authorities or one's own, and by pins where those are not enough.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use x509_parser::parse_x509_certificate;

use super::pem::{self, PEM_BYTES_MAX};
use super::{Identity, IdentityFiles, TlsError};
use crate::regular;

/// How an upstream is spoken to by TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientSettings {
    /// Who may have issued its certificate, as PEM; absent for those whom the system trusts.
    pub authorities: Option<PathBuf>,
    /// The certificate that we show.
    pub identity: Option<IdentityFiles>,
    /// SHA-256 of public keys (SubjectPublicKeyInfo) of which one must be in its chain's first certificate; empty for any.
    pub pins: Vec<[u8; 32]>,
    /// Whether its certificate is verified.
    pub verification: Verification,
    /// The protocols that may follow (RFC 7301), in order of preference.
    pub protocols: Vec<&'static [u8]>,
}

/// Whether an upstream's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verification {
    /// Issuer, name, time and pins.
    #[default]
    Full,
    /// Only the pins, if there are any: anybody on the way could be the upstream.
    Off,
}

/// What tells settings apart, contents of the files included. To be asked for before the files are read for good: if one changes in
/// between, the digest is that of the old one, and what is read the next time differs from it.
pub fn client_digest(settings: &ClientSettings) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(format!("{settings:?}"));
    let identity = settings.identity.iter().flat_map(|files| [&files.certificate, &files.key]);
    for path in settings.authorities.iter().chain(identity) {
        let content = regular::read(path, PEM_BYTES_MAX).unwrap_or_default();
        digest.update((content.len() as u64).to_be_bytes());
        digest.update(content);
    }
    digest.finalize().into()
}

/// Reads the files of the settings.
pub fn client(settings: &ClientSettings) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let authorities = match settings.verification {
        Verification::Full => {
            let store = Arc::new(roots(settings)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(store, Arc::clone(&provider)).build();
            Some(verifier.map_err(|error| {
                TlsError::new(&["ca"], format!("cannot verify anybody: {error}"), "name a PEM file with the issuers")
            })?)
        }
        Verification::Off => None,
    };
    let verifier = Verifier { authorities, pins: settings.pins.clone(), provider: Arc::clone(&provider) };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new(&[], error.to_string(), "report this as a bug of Portcullis"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match &settings.identity {
        Some(files) => {
            let identity = Identity::read(files)?;
            builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity.shown.current())))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = settings.protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(256);
    Ok(Arc::new(config))
}

fn roots(settings: &ClientSettings) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match &settings.authorities {
        Some(path) => {
            for certificate in pem::certificates("ca", path)? {
                store.add(certificate).map_err(|error| {
                    let what = format!("has a certificate that cannot issue others: {error}");
                    pem::wrong("ca", path, &what, "name the issuers' certificates")
                })?;
            }
        }
        None => {
            // Some certificate of the system may be unusable; only none at all is a mistake.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                let remedy = "install ca-certificates, or name a file of your own in \"ca\"";
                return Err(TlsError::new(&[], "the system trusts nobody", remedy));
            }
        }
    }
    Ok(store)
}

/// Verifies by authorities, by pins, or by both.
#[derive(Debug)]
struct Verifier {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(authorities) = &self.authorities {
            authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        }
        if !self.pins.is_empty() {
            let (_, parsed) = parse_x509_certificate(end_entity).map_err(|_| CertificateError::BadEncoding)?;
            let pin: [u8; 32] = Sha256::digest(parsed.public_key().raw).into();
            if !self.pins.contains(&pin) {
                return Err(Error::General("its public key is none of the pinned ones".to_owned()));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
