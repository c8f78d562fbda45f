//! The certificates that were obtained, by host.
//!
//! Read at every handshake and written a few times a year: the lock is held for one look-up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::sign::CertifiedKey;

/// The certificates that were obtained, by host.
#[derive(Debug, Default)]
pub struct Issued {
    hosts: RwLock<HashMap<String, Arc<CertifiedKey>>>,
    version: AtomicU64,
}

impl Issued {
    /// The certificate to show for a host, in lower case: a self-signed one until the first has been obtained. None for hosts
    /// whose certificates are not obtained here.
    pub fn certified(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<(String, Arc<CertifiedKey>)> {
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        hosts.iter().map(|(host, key)| (host.clone(), Arc::clone(key))).collect()
    }

    /// Shows a certificate from now on; handshakes under way keep the one before.
    pub fn put(&self, host: &str, certificate: Arc<CertifiedKey>) {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).insert(host.to_ascii_lowercase(), certificate);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Forgets all hosts but these.
    pub fn keep_only(&self, hosts: &[String]) {
        let known = |host: &String| hosts.iter().any(|kept| kept.eq_ignore_ascii_case(host));
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).retain(|host, _| known(host));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Grows with every change, for whoever keeps something that was made of a certificate.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}
