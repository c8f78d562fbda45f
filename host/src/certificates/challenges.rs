//! Proofs that a host is ours, while somebody wants to see them (RFC 8555 section 8).
//!
//! A proof is there as long as the [`Shown`] that stands for it: whoever gives up leaves nothing behind.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::sign::CertifiedKey;

/// Where a proof by HTTP-01 is asked for; the token follows (RFC 8555 section 8.3).
const HTTP_PATH: &str = "/.well-known/acme-challenge/";

/// The proofs that can be seen now.
#[derive(Debug, Default)]
pub struct Challenges {
    http: RwLock<HashMap<String, Arc<str>>>,
    alpn: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

impl Challenges {
    /// The body that answers a request for a path, where a proof is shown there. Looks at no lock for any other path.
    pub fn answer(&self, path: &str) -> Option<Arc<str>> {
        let token = path.strip_prefix(HTTP_PATH)?;
        self.http.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    /// The certificate that answers a validation by TLS-ALPN-01 (RFC 8737 section 3). `host` is in lower case.
    pub fn alpn_certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.alpn.read().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// Shows the answer to a token by HTTP-01.
    pub fn show_http(&self, token: &str, answer: &str) -> Shown<'_> {
        self.http.write().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned(), answer.into());
        Shown { of: self, what: What::Http(token.to_owned()) }
    }

    /// Shows a certificate for a host by TLS-ALPN-01.
    pub fn show_alpn(&self, host: &str, certificate: CertifiedKey) -> Shown<'_> {
        let host = host.to_ascii_lowercase();
        self.alpn.write().unwrap_or_else(PoisonError::into_inner).insert(host.clone(), Arc::new(certificate));
        Shown { of: self, what: What::Alpn(host) }
    }
}

/// A proof that can be seen until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Shown<'a> {
    of: &'a Challenges,
    what: What,
}

#[derive(Debug)]
enum What {
    /// By its token.
    Http(String),
    /// By its host.
    Alpn(String),
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        match &self.what {
            What::Http(token) => {
                self.of.http.write().unwrap_or_else(PoisonError::into_inner).remove(token);
            }
            What::Alpn(host) => {
                self.of.alpn.write().unwrap_or_else(PoisonError::into_inner).remove(host);
            }
        }
    }
}
