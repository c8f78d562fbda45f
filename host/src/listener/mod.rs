//! The door: accepts connections and speaks HTTP/1.1 on them.
//!
//! One listener per worker and address (`SO_REUSEPORT`). It knows nothing of routes or plugins: it hands each request
//! to a handler and sends back what that gives.

use std::net::SocketAddr;
use std::time::Duration;

/// One address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Longest time for a request head to arrive, and for the next request on a kept-alive connection.
    pub head_timeout: Duration,
    /// Longest request head, in bytes; over it the answer is 431.
    pub head_bytes_max: usize,
    /// Most header fields in a request; over it the answer is 431.
    pub headers_max: usize,
    /// Connections per worker; further ones wait in the kernel's backlog.
    pub connections_max: usize,
}
