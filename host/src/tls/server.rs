//! What a listener needs to accept TLS: built whole from its settings, replaced whole when they or the files change.

use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::resolver::Resolver;
use super::{ClientCertificates, Demand, Identity, ServerSettings, TlsError, Version, pem};
use crate::certificates::ACME_TLS_ALPN;

/// TLS 1.2 sessions that are remembered for clients without tickets.
const SESSIONS_MAX: usize = 4096;

/// What tickets are sealed with: one for the process, so that a client may resume on any worker and after a change of
/// configuration. rustls renews its keys by itself.
static TICKETS: LazyLock<Option<Arc<dyn ProducesTickets>>> = LazyLock::new(|| aws_lc_rs::Ticketer::new().ok());

/// How a listener accepts TLS.
#[derive(Clone)]
pub struct Acceptor {
    /// What rustls goes by.
    pub config: Arc<ServerConfig>,
    /// The certificates, in the order of the settings.
    pub identities: Arc<[Identity]>,
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.identities.iter().map(|identity| &identity.names)).finish()
    }
}

/// The acceptor that counts at the moment. Connections look here once each.
#[derive(Debug, Clone)]
pub struct Slot(Arc<Mutex<Acceptor>>);

impl Slot {
    /// A slot with its first acceptor.
    pub fn new(acceptor: Acceptor) -> Self {
        Self(Arc::new(Mutex::new(acceptor)))
    }

    /// From now on new connections are accepted like this. Those that stand are not touched.
    pub fn replace(&self, acceptor: Acceptor) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = acceptor;
    }

    /// The acceptor that counts.
    pub fn acceptor(&self) -> Acceptor {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How a new connection is accepted.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner).config)
    }
}

/// Reads the files of the settings. Everything that is wrong is told at once.
pub fn server(settings: &ServerSettings) -> Result<Acceptor, Vec<TlsError>> {
    let mut wrong = Vec::new();
    let mut identities = Vec::with_capacity(settings.certificates.len());
    for (index, files) in settings.certificates.iter().enumerate() {
        match Identity::read(files) {
            Ok(identity) => identities.push(identity),
            Err(error) => wrong.push(error.below(&["certificates", &index.to_string()])),
        }
    }
    let provider = provider(&settings.ciphers).map_err(|error| wrong.push(error)).ok();
    let clients = settings.clients.as_ref().map(authorities).transpose();
    let clients = clients.map_err(|error| wrong.push(error.below(&["client"]))).ok();
    let (true, Some(provider), Some(clients)) = (wrong.is_empty(), provider, clients) else { return Err(wrong) };
    match config(settings, &identities, provider, clients) {
        Ok(config) => Ok(Acceptor { config: Arc::new(config), identities: identities.into() }),
        Err(error) => Err(vec![error]),
    }
}

fn config(
    settings: &ServerSettings,
    identities: &[Identity],
    provider: Arc<CryptoProvider>,
    clients: Option<RootCertStore>,
) -> Result<ServerConfig, TlsError> {
    let versions: &[&SupportedProtocolVersion] = match settings.version_min {
        Version::Tls12 => &[&version::TLS13, &version::TLS12],
        Version::Tls13 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).map_err(
        |error| {
            TlsError::new(&["ciphers"], format!("does not suit the versions: {error}"), "name suites for each version")
        },
    )?;
    let builder = match (clients, &settings.clients) {
        (Some(authorities), Some(clients)) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
            let verifier = match clients.demand {
                Demand::Required => verifier,
                Demand::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|error| {
                let what = format!("{} cannot verify clients: {error}", clients.authorities.display());
                TlsError::new(&["client", "ca"], what, "name a PEM file with the issuers' certificates")
            })?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Resolver::new(identities, settings.unknown_host)));
    config.alpn_protocols = settings.protocols.iter().map(|protocol| protocol.to_vec()).collect();
    // Behind our own, so that only those get it who offer nothing else: validations.
    config.alpn_protocols.push(ACME_TLS_ALPN.to_vec());
    config.ignore_client_order = !settings.ciphers.is_empty();
    // One ticket per connection is what clients use; each costs a record and its encryption.
    config.send_tls13_tickets = 1;
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    // A ticket carries the client's certificate as it was verified then; under other authorities it must not count.
    let tickets = if settings.clients.is_some() { aws_lc_rs::Ticketer::new().ok() } else { TICKETS.clone() };
    if let Some(tickets) = tickets {
        config.ticketer = tickets;
    }
    Ok(config)
}

/// The cryptography, with these suites alone if any are named.
fn provider(names: &[String]) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    if names.is_empty() {
        return Ok(Arc::new(provider));
    }
    let known = std::mem::take(&mut provider.cipher_suites);
    for (index, name) in names.iter().enumerate() {
        match known.iter().find(|suite| suite_name(suite.suite()) == *name) {
            Some(suite) => provider.cipher_suites.push(*suite),
            None => {
                let names: Vec<_> = known.iter().map(|suite| suite_name(suite.suite())).collect();
                let (what, remedy) = (format!("{name:?} is not a suite that is spoken here"), names.join(", "));
                return Err(TlsError::new(&["ciphers", &index.to_string()], what, format!("write one of {remedy}")));
            }
        }
    }
    Ok(Arc::new(provider))
}

/// The IANA name of a suite. rustls writes `TLS13_` where IANA writes `TLS_`.
pub(super) fn suite_name(suite: rustls::CipherSuite) -> String {
    suite.as_str().unwrap_or("unknown").replacen("TLS13_", "TLS_", 1)
}

fn authorities(clients: &ClientCertificates) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in pem::certificates("ca", &clients.authorities)? {
        store.add(certificate).map_err(|error| {
            let what = format!("has a certificate that cannot issue others: {error}");
            pem::wrong("ca", &clients.authorities, &what, "name the issuers' certificates")
        })?;
    }
    Ok(store)
}
