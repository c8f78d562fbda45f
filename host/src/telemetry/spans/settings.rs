//! What the configuration says about traces.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use rustls::pki_types::ServerName;

use super::sampling::Sampling;
use crate::tls::ClientSettings;

/// What is traced, and who is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Who is told.
    pub otlp: Otlp,
    /// Who tells: the attributes of the resource, `service.name` among them.
    pub resource: Vec<(String, Attribute)>,
    /// Which traces are kept.
    pub sampling: Sampling,
    /// What becomes of the context that clients send.
    pub incoming: IncomingTrace,
    /// Most spans that wait, in the whole process; each worker has its share, and room for a request. Further ones are lost.
    pub queue_max: usize,
}

/// What becomes of the context that clients send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncomingTrace {
    /// The trace goes on.
    #[default]
    Trust,
    /// A new trace begins.
    Ignore,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// Another number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

/// A receiver of OTLP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// Its host, a DNS name or an IP address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path that is asked for.
    pub path: String,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// How TLS is spoken; none: cleartext.
    pub tls: Option<Tls>,
    /// What is sent with every request, in most cases a secret.
    pub headers: Secrets,
    /// Longest time for one request, connecting included.
    pub timeout: Duration,
    /// How requests are encoded.
    pub compression: Compression,
}

/// How a receiver is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// OTLP/HTTP: HTTP/1.1 with binary protobuf.
    #[default]
    Http,
    /// OTLP/gRPC: HTTP/2, in cleartext with prior knowledge.
    Grpc,
}

/// How requests are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With gzip.
    Gzip,
}

/// How TLS is spoken. Files are read whenever a connection is made, so that renewed ones are noticed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Whom we trust, and who we are.
    pub client: ClientSettings,
    /// The name that the certificate must have; none for the host.
    pub server_name: Option<ServerName<'static>>,
}

/// Header fields that are not shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secrets(HeaderMap);

impl Secrets {
    /// Keeps them.
    pub fn new(fields: impl IntoIterator<Item = (HeaderName, HeaderValue)>) -> Self {
        Self(fields.into_iter().collect())
    }

    pub(super) fn reveal(&self) -> &HeaderMap {
        &self.0
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl fmt::Display for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl Otlp {
    /// Host and port as a URL has them.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}
