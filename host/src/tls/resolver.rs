//! Chooses a certificate by the host that the client asks for (RFC 6066 section 3): an exact name, then a wildcard, then the first.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{Identity, Shown, UnknownHost};
use crate::certificates::{self, Resolved};

/// All certificates of a listener by name.
#[derive(Debug)]
pub(super) struct Resolver {
    exact: HashMap<String, Shown>,
    /// By what follows the first label, with its dot.
    wildcard: HashMap<String, Shown>,
    otherwise: Option<Shown>,
}

impl Resolver {
    /// Of two certificates for a name the first counts.
    pub(super) fn new(identities: &[Identity], unknown_host: UnknownHost) -> Self {
        let (mut exact, mut wildcard) = (HashMap::new(), HashMap::new());
        for identity in identities {
            for name in &identity.names {
                let (names, name) = match name.strip_prefix('*') {
                    Some(suffix) => (&mut wildcard, suffix),
                    None => (&mut exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_insert_with(|| identity.shown.clone());
            }
        }
        let otherwise = match unknown_host {
            UnknownHost::First => identities.first().map(|identity| identity.shown.clone()),
            UnknownHost::Refuse => None,
        };
        Self { exact, wildcard, otherwise }
    }

    /// The certificate for a host in lowercase. A wildcard stands for one label (RFC 9525 section 6.3).
    pub(super) fn find(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let host = host?;
        let suffix = host.find('.').and_then(|at| host.get(at..));
        self.exact.get(host).or_else(|| self.wildcard.get(suffix?)).map(Shown::current)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match certificates::resolve(&hello) {
            Resolved::Certificate(certificate) => Some(certificate),
            Resolved::Refused => None,
            // rustls gives the name in lowercase.
            Resolved::Unknown => self.find(hello.server_name()).or_else(|| self.otherwise.as_ref().map(Shown::current)),
        }
    }
}
