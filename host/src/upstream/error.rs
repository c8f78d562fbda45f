//! Why a request got no response.
//!
//! One variant per thing that an operator would do something different about; the reason says what the client gets.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::Endpoint;
use crate::exchange::Reason;
use crate::http::with_causes;

/// A request that got no response.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The upstream has no endpoint.
    #[error("the upstream has no endpoint")]
    NoEndpoint,
    /// Every endpoint has as many connections as allowed, all of them busy.
    #[error("{endpoint}: all {max} connections are busy")]
    Overload {
        /// The endpoint asked last.
        endpoint: Rc<Endpoint>,
        /// The limit, per worker.
        max: usize,
    },
    /// The name could not be resolved or no address accepted a connection.
    #[error("{endpoint}: no connection: {error}")]
    Connect {
        /// The endpoint asked last.
        endpoint: Rc<Endpoint>,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// It accepted the connection, but not TLS, or we not its certificate.
    #[error("{endpoint}: no TLS: {what}")]
    Tls {
        /// The endpoint asked last.
        endpoint: Rc<Endpoint>,
        /// Why.
        what: String,
    },
    /// No address accepted a connection in time.
    #[error("{endpoint}: no connection within {} ms", .timeout.as_millis())]
    ConnectTimeout {
        /// The endpoint asked last.
        endpoint: Rc<Endpoint>,
        /// How long that was tried.
        timeout: Duration,
    },
    /// The connection broke, or what came was not HTTP, before the response head was complete.
    #[error("{endpoint}: no response: {}", with_causes(.error))]
    Protocol {
        /// The endpoint.
        endpoint: Rc<Endpoint>,
        /// What hyper says.
        #[source]
        error: hyper::Error,
    },
    /// It said that it did not begin with the request, which is whole.
    #[error("{endpoint}: did not begin with the request: {}", with_causes(.error))]
    Unprocessed {
        /// The endpoint.
        endpoint: Rc<Endpoint>,
        /// What hyper says.
        #[source]
        error: hyper::Error,
    },
    /// It ended the connection without having said anything that is HTTP/2.
    #[error("{endpoint}: no response: it does not seem to speak HTTP/2")]
    Mute {
        /// The endpoint.
        endpoint: Rc<Endpoint>,
    },
    /// It speaks HTTP/2 and has not said that it takes extended CONNECT (RFC 8441 section 3).
    #[error("the upstream speaks HTTP/2 and takes no upgrades to other protocols there")]
    NoTunnel,
    /// Its response uses a transfer coding other than `chunked`, which nobody asked for.
    #[error("{endpoint}: answered with a transfer coding other than `chunked`")]
    Coding {
        /// The endpoint.
        endpoint: Rc<Endpoint>,
    },
    /// It changed to another protocol, which nobody asked for.
    #[error("{endpoint}: answered 101 without being asked to switch protocols")]
    Switched {
        /// The endpoint.
        endpoint: Rc<Endpoint>,
    },
    /// No response head in time.
    #[error("{endpoint}: no response within {} ms", .timeout.as_millis())]
    ResponseTimeout {
        /// The endpoint.
        endpoint: Rc<Endpoint>,
        /// How long it had.
        timeout: Duration,
    },
    /// As many requests wait for a connection as may.
    #[error("all connections are busy, and {max} requests wait already")]
    QueueFull {
        /// The limit, per worker.
        max: usize,
    },
    /// No connection became free in time.
    #[error("all connections were busy for {} ms", .timeout.as_millis())]
    QueueTimeout {
        /// How long it waited.
        timeout: Duration,
    },
    /// The upstream failed too often and is left alone for a while.
    #[error("the breaker is open for another {} ms", .retry_after.as_millis())]
    Open {
        /// When it may be asked again.
        retry_after: Duration,
    },
    /// All tries and waits together took too long.
    #[error("no response within {} ms in all", .timeout.as_millis())]
    TotalTimeout {
        /// How long there was.
        timeout: Duration,
    },
    /// The client went away in the middle of its body.
    #[error("the client went away before the request body was complete")]
    RequestGone,
    /// The client's body broke off.
    #[error("the request body broke off")]
    RequestBroken,
    /// The client stopped sending its body.
    #[error("no request body data for {} ms", .timeout.as_millis())]
    RequestStalled {
        /// How long nothing came.
        timeout: Duration,
    },
    /// The client's body is longer than allowed.
    #[error("the request body is too long")]
    RequestTooLarge,
}

impl UpstreamError {
    /// What to tell the client.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::NoEndpoint => Reason::NoEndpoint,
            Self::Overload { .. } | Self::QueueFull { .. } | Self::QueueTimeout { .. } => Reason::Overload,
            Self::Open { .. } => Reason::CircuitOpen,
            Self::Connect { .. } | Self::Tls { .. } => Reason::UpstreamConnect,
            Self::Protocol { .. }
            | Self::Unprocessed { .. }
            | Self::Mute { .. }
            | Self::NoTunnel
            | Self::Coding { .. }
            | Self::Switched { .. } => Reason::UpstreamProtocol,
            Self::ConnectTimeout { .. } | Self::ResponseTimeout { .. } | Self::TotalTimeout { .. } => {
                Reason::UpstreamTimeout
            }
            Self::RequestGone => Reason::ClientGone,
            Self::RequestBroken | Self::RequestStalled { .. } => Reason::BadRequest,
            Self::RequestTooLarge => Reason::RequestTooLarge,
        }
    }

    /// When the client may try again, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Open { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether it speaks against the endpoint: it cannot be reached, breaks off or does not answer.
    pub const fn is_endpoints(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::Tls { .. }
                | Self::ConnectTimeout { .. }
                | Self::Protocol { .. }
                | Self::Mute { .. }
                | Self::ResponseTimeout { .. }
                | Self::TotalTimeout { .. }
        )
    }

    /// The same for another request that waited for the same.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Overload { endpoint, max } => Self::Overload { endpoint: Rc::clone(endpoint), max: *max },
            Self::Tls { endpoint, what } => Self::Tls { endpoint: Rc::clone(endpoint), what: what.clone() },
            Self::ConnectTimeout { endpoint, timeout } => {
                Self::ConnectTimeout { endpoint: Rc::clone(endpoint), timeout: *timeout }
            }
            Self::Connect { endpoint, error } => {
                Self::Connect { endpoint: Rc::clone(endpoint), error: io::Error::new(error.kind(), error.to_string()) }
            }
            Self::Protocol { endpoint, error } => {
                Self::Connect { endpoint: Rc::clone(endpoint), error: io::Error::other(with_causes(error)) }
            }
            _ => Self::NoEndpoint,
        }
    }

    /// Whether another endpoint may be asked: nothing of the request has been sent.
    pub const fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Overload { .. }
                | Self::Connect { .. }
                | Self::Tls { .. }
                | Self::ConnectTimeout { .. }
                | Self::Unprocessed { .. }
        )
    }
}
