//! The TLS handshake of a client's connection, within its time.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificates::ACME_TLS_ALPN;
use crate::tls::{ServerSettings, Slot};

/// How a listener accepts TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// What the configuration says.
    pub settings: ServerSettings,
    /// What was made of it; replaced when the files change.
    pub slot: Slot,
    /// Longest time for the handshake.
    pub handshake_timeout: Duration,
}

/// What was made of the settings is not compared: it changes while the listener runs.
impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings && self.handshake_timeout == other.handshake_timeout
    }
}

impl Eq for Tls {}

/// Accepts TLS on a connection.
pub(super) async fn accept(tls: &Tls, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    let accepting = TlsAcceptor::from(tls.slot.config()).accept(stream);
    match tokio::time::timeout(tls.handshake_timeout, accepting).await {
        // The handshake was all that a validation wanted (RFC 8737 section 3).
        Ok(Ok(accepted)) if accepted.get_ref().1.alpn_protocol() == Some(ACME_TLS_ALPN) => {
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        Ok(accepted) => accepted,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
