//! Why the gateway itself has to answer with an error: what happened, whose fault it is, what the log says.
//!
//! The words of [`Reason`] are stable: plugins (`on-error`), logs and metrics use them.

use std::borrow::Cow;

use http::StatusCode;

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
    /// The upstream has no endpoint that may be asked.
    NoEndpoint,
    /// No connection to the upstream.
    UpstreamConnect,
    /// The upstream closed the connection or broke HTTP before the response head was complete.
    UpstreamProtocol,
    /// The upstream did not accept a connection or answer in time.
    UpstreamTimeout,
    /// A plugin failed.
    PluginFailed,
    /// A plugin failed so often that it is not asked for a while.
    PluginQuarantined,
    /// The gateway is at a limit of its own.
    Overload,
    /// A mistake in the gateway.
    Internal,
}

impl Reason {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::RequestTooLarge => "request_too_large",
            Self::NoEndpoint => "no_endpoint",
            Self::UpstreamConnect => "upstream_connect",
            Self::UpstreamProtocol => "upstream_protocol",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::PluginFailed => "plugin_failed",
            Self::PluginQuarantined => "plugin_quarantined",
            Self::Overload => "overload",
            Self::Internal => "internal",
        }
    }

    /// Whose fault it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::BadRequest | Self::NoRoute | Self::MethodNotAllowed | Self::RequestTooLarge => Fault::Downstream,
            Self::NoEndpoint | Self::UpstreamConnect | Self::UpstreamProtocol | Self::UpstreamTimeout => {
                Fault::Upstream
            }
            Self::PluginFailed | Self::PluginQuarantined => Fault::Plugin,
            Self::Overload | Self::Internal => Fault::Internal,
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
            Self::NoEndpoint | Self::PluginQuarantined | Self::Overload => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamConnect | Self::UpstreamProtocol => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::PluginFailed | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A step failed; the gateway has to answer.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What happened.
    pub reason: Reason,
    /// For the log, never for the client.
    pub detail: Cow<'static, str>,
    /// The methods that would have matched, for `Allow`.
    pub allow: Option<String>,
}

impl Failure {
    /// A failure with a message for the log.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), allow: None }
    }
}
