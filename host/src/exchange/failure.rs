//! Why the gateway itself has to answer with an error: what happened, whose fault it is, what the log says.
//!
//! The words of [`Reason`] are stable: plugins (`on-error`), logs and metrics use them.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

/// What nginx calls a request whose client has closed the connection. No client ever sees it; nothing registers it.
const CLIENT_CLOSED_REQUEST: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client asked wrongly.
    Downstream,
    /// The upstream answered wrongly or not at all.
    Upstream,
    /// A plugin failed and its policy is `deny`.
    Plugin,
    /// The gateway.
    Internal,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The request is malformed beyond what HTTP parsing already refuses: no or a bad `Host`, a bad target.
    BadRequest,
    /// No route matches host and path.
    NoRoute,
    /// A route matches, but not for this method.
    MethodNotAllowed,
    /// A request body longer than allowed.
    RequestTooLarge,
    /// The request did not arrive in time (RFC 9110 section 15.5.9).
    RequestTimeout,
    /// The client went away before there was a response. Nobody is answered; the status is the one that nginx has for it in its logs.
    ClientGone,
    /// A target longer than allowed (RFC 9110 section 15.5.15).
    UriTooLong,
    /// A request head longer, or of more fields, than allowed (RFC 6585 section 5).
    HeadTooLarge,
    /// A method or transfer coding that nobody here knows.
    NotImplemented,
    /// A version of HTTP that nobody here speaks.
    VersionNotSupported,
    /// The client may not: its certificate, its address, or what it asked for.
    Forbidden,
    /// The client has done what it should not too often, and is kept out for a while.
    Banned,
    /// No file of that name.
    NoFile,
    /// None of the ranges asked for is within the file (RFC 9110 section 15.5.17).
    RangeNotSatisfiable,
    /// The file is not the version that the client goes by (RFC 9110 section 15.5.13).
    PreconditionFailed,
    /// TLS was made for another host (RFC 9110 section 15.5.20).
    Misdirected,
    /// Only what is stored was wanted, and nothing is that could be used (RFC 9111 section 5.2.1.7).
    NotCached,
    /// The upstream has no endpoint that may be asked.
    NoEndpoint,
    /// No connection to the upstream.
    UpstreamConnect,
    /// The upstream closed the connection or broke HTTP before the response head was complete.
    UpstreamProtocol,
    /// The upstream did not accept a connection or answer in time.
    UpstreamTimeout,
    /// The upstream failed so often that it is not asked for a while.
    CircuitOpen,
    /// As many requests of the route are under way as its latency allows.
    ConcurrencyLimited,
    /// A plugin failed.
    PluginFailed,
    /// A plugin failed so often that it is not asked for a while.
    PluginQuarantined,
    /// The gateway is at a limit of its own.
    Overload,
    /// Requests that may change something are not taken on at the moment, because the operator says so.
    ReadOnly,
    /// No upstream is asked at the moment, because the operator says so, and nothing is stored.
    CacheOnly,
    /// Nothing is taken on at the moment, because the operator says so.
    Maintenance,
    /// The gateway ended before there was a response: draining took too long.
    DrainTimeout,
    /// A mistake in the gateway.
    Internal,
}

impl Fault {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Downstream => "downstream",
            Self::Upstream => "upstream",
            Self::Plugin => "plugin",
            Self::Internal => "internal",
        }
    }
}

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; Self::Internal as usize + 1] = [
        Self::BadRequest,
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::RequestTooLarge,
        Self::RequestTimeout,
        Self::ClientGone,
        Self::UriTooLong,
        Self::HeadTooLarge,
        Self::NotImplemented,
        Self::VersionNotSupported,
        Self::Forbidden,
        Self::Banned,
        Self::NoFile,
        Self::RangeNotSatisfiable,
        Self::PreconditionFailed,
        Self::Misdirected,
        Self::NotCached,
        Self::NoEndpoint,
        Self::UpstreamConnect,
        Self::UpstreamProtocol,
        Self::UpstreamTimeout,
        Self::CircuitOpen,
        Self::ConcurrencyLimited,
        Self::PluginFailed,
        Self::PluginQuarantined,
        Self::Overload,
        Self::ReadOnly,
        Self::CacheOnly,
        Self::Maintenance,
        Self::DrainTimeout,
        Self::Internal,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTooLarge => "request_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::ClientGone => "client_gone",
            Self::UriTooLong => "uri_too_long",
            Self::HeadTooLarge => "head_too_large",
            Self::NotImplemented => "not_implemented",
            Self::VersionNotSupported => "version_not_supported",
            Self::Forbidden => "forbidden",
            Self::Banned => "banned",
            Self::NoFile => "no_file",
            Self::RangeNotSatisfiable => "range_not_satisfiable",
            Self::PreconditionFailed => "precondition_failed",
            Self::Misdirected => "misdirected",
            Self::NotCached => "not_cached",
            Self::NoEndpoint => "no_endpoint",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::CircuitOpen => "circuit_open",
            Self::ConcurrencyLimited => "concurrency_limited",
            Self::PluginFailed => "plugin_failed",
            Self::PluginQuarantined => "plugin_quarantined",
            Self::Overload => "overload",
            Self::ReadOnly => "read_only",
            Self::CacheOnly => "cache_only",
            Self::Maintenance => "maintenance",
            Self::DrainTimeout => "drain_timeout",
            Self::Internal => "internal",
        }
    }

    /// Whose fault it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::BadRequest
            | Self::NoRoute
            | Self::MethodNotAllowed
            | Self::RequestTooLarge
            | Self::RequestTimeout
            | Self::ClientGone
            | Self::UriTooLong
            | Self::HeadTooLarge
            | Self::NotImplemented
            | Self::VersionNotSupported
            | Self::Forbidden
            | Self::Banned
            | Self::NoFile
            | Self::RangeNotSatisfiable
            | Self::PreconditionFailed
            | Self::Misdirected
            | Self::NotCached
            // Nothing has failed: what is asked for is not to be had, and everybody knows why.
            | Self::ReadOnly
            | Self::CacheOnly
            | Self::Maintenance => Fault::Downstream,
            Self::NoEndpoint
            | Self::UpstreamConnect
            | Self::UpstreamProtocol
            | Self::UpstreamTimeout
            | Self::CircuitOpen
            | Self::ConcurrencyLimited => Fault::Upstream,
            Self::PluginFailed | Self::PluginQuarantined => Fault::Plugin,
            Self::Overload | Self::DrainTimeout | Self::Internal => Fault::Internal,
        }
    }

    /// The status the gateway answers with. 502: the upstream is there but wrong or unreachable; 503: nobody can be
    /// asked just now; 504: it took too long (RFC 9110 section 15.6).
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ClientGone => CLIENT_CLOSED_REQUEST,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            Self::VersionNotSupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Forbidden | Self::Banned => StatusCode::FORBIDDEN,
            Self::NoFile => StatusCode::NOT_FOUND,
            Self::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NoEndpoint
            | Self::CircuitOpen
            | Self::ConcurrencyLimited
            | Self::PluginQuarantined
            | Self::Overload
            | Self::ReadOnly
            | Self::CacheOnly
            | Self::Maintenance
            | Self::DrainTimeout => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamConnect | Self::UpstreamProtocol => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout | Self::NotCached => StatusCode::GATEWAY_TIMEOUT,
            Self::PluginFailed | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What a client is shown instead of the usual words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What it is, for `Content-Type`.
    pub content_type: HeaderValue,
    /// It.
    pub body: Bytes,
}

/// A step failed; the gateway has to answer.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What happened.
    pub reason: Reason,
    /// For the log, never for the client.
    pub detail: Cow<'static, str>,
    /// Fields that the answer needs: `Allow` with a 405, `Content-Range` with a 416, `Location` with a redirect.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// What the client is shown instead of the usual words, if anything.
    pub page: Option<Arc<Page>>,
}

impl Failure {
    /// A failure with a message for the log.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), fields: Vec::new(), page: None }
    }

    /// This failure, its answer with one more field.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_as_listed() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.as_str());
        }
    }

    #[test]
    fn who_goes_away_is_not_our_error() {
        let gone = Reason::ClientGone;
        assert_eq!((gone.status().as_u16(), gone.fault(), gone.as_str()), (499, Fault::Downstream, "client_gone"));
        assert_eq!(Reason::DrainTimeout.fault(), Fault::Internal);
    }
}
