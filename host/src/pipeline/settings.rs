//! What a route does with a request, as the configuration says it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};

use crate::router::{Expression, PathPattern};

use crate::files;

/// What a route does.
#[derive(Debug, Clone)]
pub enum Handler {
    /// Asks an upstream.
    Proxy(Proxy),
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

impl Handler {
    /// Whether its answers come from upstreams.
    pub const fn asks_upstreams(&self) -> bool {
        matches!(self, Self::Proxy(_))
    }
}

/// Which upstream is asked, and how. Upstreams are indices into the configuration's.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The upstreams, each with its share of the requests.
    pub shares: Vec<Share>,
    /// What requests have in common that go to the same upstream; none: nothing.
    pub by: Option<SplitBy>,
    /// The protocols that clients may change to.
    pub upgrades: Vec<Box<str>>,
    /// What becomes of the target.
    pub rewrite: Option<Rewrite>,
    /// The host that the upstream is asked for, instead of the client's.
    pub host: Option<Arc<str>>,
    /// Who gets copies of the requests.
    pub mirror: Option<Mirror>,
}

/// An upstream's share of the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Which.
    pub upstream: usize,
    /// How much, beside the weights of the others.
    pub weight: u32,
}

/// What requests have in common that go to the same upstream. Those that have no such thing are dealt out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitBy {
    /// The client's address.
    Client,
    /// The value of a field.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
}

/// What becomes of the target on its way to the upstream. The query stays.
#[derive(Debug, Clone)]
pub enum Rewrite {
    /// A prefix of it goes, and another text comes before the rest.
    Prefix {
        /// What goes, if it is there.
        strip: Option<PathPattern>,
        /// What comes.
        add: String,
    },
    /// Another path.
    Path(RedirectTarget),
    /// What an expression makes of it, if it matches.
    Regex {
        /// Matches the whole path.
        expression: Expression,
        /// The new path, in which `${1}` and `${name}` are the groups.
        to: String,
    },
}

/// Copies of requests for another upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Which.
    pub upstream: usize,
    /// Of a hundred requests, so many.
    pub percent: u8,
    /// Requests with longer bodies are not copied.
    pub body_bytes_max: u64,
}

/// A target, taken apart at its placeholders.
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
    /// A parameter of the route's path, percent-encoded.
    Parameter(Arc<str>),
    /// The rest of the path, as it came.
    Rest(Arc<str>),
}
