//! Automatic certificates (ACME, RFC 8555): obtains them, keeps them on disk, renews them in time.
//!
//! Runs on a thread of its own beside the workers and never in their way: until the first certificate is there, clients are shown
//! a self-signed one. What it obtains it puts into [`crate::certificates`]; it knows nothing of listeners. A CA is never
//! asked in a hurry: after a failure the wait grows, and it is kept on disk, so that a restart does not shorten it.

mod certificate;
mod keeper;
mod order;
mod schedule;
mod staple;
mod stapler;
mod storage;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime;
use tokio::sync::watch;

use crate::generation::Generation;
use crate::shutdown::Draining;

/// Which certificates are obtained, and from whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the CA's directory is (RFC 8555 section 7.1.1): an `https` URL.
    pub directory: String,
    /// Whom the CA may tell about problems, as `mailto:` URLs.
    pub contact: Vec<String>,
    /// The folder of account and certificates. What is in it is for us alone.
    pub storage: PathBuf,
    /// How control of a host is proved, in the order in which it is tried. Never empty.
    pub challenges: Vec<Challenge>,
    /// The hosts, in lower case. Each has a certificate of its own, so that one that fails keeps no other waiting.
    pub hosts: Vec<String>,
    /// Who vouches for the CA's own server (PEM); none: the system's authorities.
    pub ca: Option<PathBuf>,
    /// How long before its end a certificate is renewed; of short-lived ones at most a third of their life.
    pub renew_before: Duration,
    /// The account with the CA that ours is bound to (RFC 8555 section 7.3.4).
    pub external_account: Option<ExternalAccount>,
}

/// A way to prove control of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// An answer on port 80 (RFC 8555 section 8.3).
    Http01,
    /// A certificate on port 443 (RFC 8737).
    TlsAlpn01,
}

/// An account with the CA that exists outside of ACME.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    /// Its name.
    pub kid: String,
    /// The key that it is proved with.
    pub hmac: Vec<u8>,
}

impl std::fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExternalAccount({})", self.kid)
    }
}

/// Starts the thread. It follows the generations and ends when the gateway drains.
pub fn start(generations: watch::Receiver<Arc<Generation>>, draining: Draining) -> io::Result<JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("acme".into()).spawn(move || {
        runtime.block_on(async {
            // Apart: neither waits for the other's network.
            tokio::join!(follow(generations.clone(), draining.clone()), stapler::follow(generations, draining));
        });
    })
}

/// Keeps what the present generation wants. What is under way when that changes is given up and begun anew.
async fn follow(mut generations: watch::Receiver<Arc<Generation>>, mut draining: Draining) {
    loop {
        let settings = generations.borrow_and_update().config.acme.clone();
        tokio::select! {
            () = draining.wait() => return,
            changed = another(&mut generations, settings.as_ref()) => if changed.is_err() { return },
            () = keeper::keep(settings.as_ref()) => {}
        }
    }
}

/// Waits for a generation that wants something else.
async fn another(
    generations: &mut watch::Receiver<Arc<Generation>>,
    settings: Option<&Settings>,
) -> Result<(), watch::error::RecvError> {
    generations.wait_for(|generation| generation.config.acme.as_ref() != settings).await.map(|_| ())
}
