//! What a route does with a request, as the configuration says it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::files;

/// What a route does.
#[derive(Debug, Clone)]
pub enum Handler {
    /// Asks an upstream: an index into the configuration's upstreams.
    Proxy {
        /// Which.
        upstream: usize,
        /// The protocols that clients may change to.
        upgrades: Vec<Box<str>>,
    },
    /// Answers itself.
    Respond {
        /// The status.
        status: StatusCode,
        /// The fields.
        headers: HeaderMap,
        /// The body.
        body: Bytes,
    },
    /// Answers with files.
    Files(Arc<files::Settings>),
    /// Sends the client elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: StatusCode,
        /// The target. `{path}`, `{query}`, `{host}` and the route's parameters are filled in.
        location: RedirectTarget,
    },
}

/// A redirect target, taken apart at its placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedirectTarget(pub Vec<RedirectPart>);

/// A part of a redirect target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectPart {
    /// Text.
    Literal(String),
    /// The request's path.
    Path,
    /// The request's query with its `?`, or nothing.
    Query,
    /// The request's host, without port.
    Host,
    /// A parameter of the route's path.
    Parameter(Arc<str>),
}
