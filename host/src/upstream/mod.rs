//! Sends requests to upstreams: endpoints, kept-alive connections, timeouts.
//!
//! Every worker has its own connections; nothing here is shared between workers.

use std::time::Duration;

use crate::names::Name;

/// One upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: Name,
    /// `host:port` of each endpoint; asked in turn.
    pub endpoints: Vec<Endpoint>,
    /// Longest time for a connection to be established.
    pub connect_timeout: Duration,
    /// Longest time from the request being sent until the response head is complete.
    pub response_timeout: Duration,
    /// Longest time between two pieces of a response body.
    pub idle_timeout: Duration,
    /// Connections that are kept open per worker and endpoint while nobody uses them.
    pub idle_connections_max: usize,
    /// How long such a connection is kept. Below the 60 s after which many servers close.
    pub idle_connection_timeout: Duration,
    /// Connections per worker and endpoint; requests over it are refused with 503.
    pub connections_max: usize,
}

/// Where an upstream can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A DNS name or an IP address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}
