//! A certificate as it is shown now: its OCSP response may be renewed while it is in use.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::sign::CertifiedKey;

/// A certificate with its key, and what is stapled to it at the moment.
#[derive(Debug, Clone)]
pub struct Shown(Arc<Mutex<Arc<CertifiedKey>>>);

impl Shown {
    pub(super) fn new(certified: CertifiedKey) -> Self {
        Self(Arc::new(Mutex::new(Arc::new(certified))))
    }

    /// The certificate as it is shown to the next client.
    pub fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this OCSP response (DER) goes with it.
    pub fn staple(&self, response: Vec<u8>) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut certified = (**shown).clone();
        certified.ocsp = Some(response);
        *shown = Arc::new(certified);
    }
}
