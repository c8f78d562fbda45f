//! One request and its response on their way through the gateway, and every fact that was learned on the way.
//!
//! An [`Exchange`] is owned by exactly one step at a time; the pipeline hands it on. It does no I/O.

mod attributes;
mod delivery;
mod failure;
mod held;
mod presence;
mod trace;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use crate::http::{Body, Upgrade};
use crate::names::Name;
use crate::time::Instant;

pub use attributes::{AttributeError, Attributes};
pub use delivery::Delivery;
pub use failure::{Failure, Fault, Page, Reason};
pub use held::Held;
pub use presence::{Attendance, Entrance, Presence, Received, Waits};
pub use trace::{Asked, Call, Connection, DecidedBy, Digits, Part, Sampled, SpanId, Step, Steps, Trace, TraceId};

/// Facts of the client's connection that every exchange on it shares.
#[derive(Debug)]
pub struct Client {
    /// The client's address.
    pub address: SocketAddr,
    /// The client's IP address as a header value, made once per connection.
    pub address_value: HeaderValue,
    /// How the client connected.
    pub scheme: Scheme,
    /// The address of ours that the client connected to.
    pub local: SocketAddr,
    /// What TLS told, where there is TLS.
    pub tls: Option<Tls>,
    /// Where it is sent instead of being served: to the same site by TLS.
    pub redirect_https: Option<RedirectHttps>,
    /// The user that the client runs as, where it connected by a Unix socket. Its addresses then say nothing.
    pub user: Option<u32>,
}

/// A redirect to the same site by TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedirectHttps {
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
    /// The port.
    pub port: u16,
}

/// What TLS told about a client's connection.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The protocol version, as in `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by its IANA name.
    pub cipher: Box<str>,
    /// The host that the client asked for (RFC 6066 section 3), lowercase.
    pub server_name: Option<Box<str>>,
    /// The client's certificate, where it showed one and it was verified.
    pub certificate: Option<Certificate>,
}

/// A verified client certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The subject's distinguished name (RFC 4514), as in `CN=alice,O=Example`.
    pub subject: Box<str>,
    /// The serial number in hexadecimal digits.
    pub serial: Box<str>,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: Box<str>,
}

impl Client {
    /// The facts of a connection. An IPv4 address that arrived over IPv6 (`::ffff:192.0.2.1`) is told as IPv4.
    pub fn new(address: SocketAddr, local: SocketAddr, tls: Option<Tls>) -> Self {
        let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
        let (address, local) = (canonical(address), canonical(local));
        let scheme = if tls.is_some() { Scheme::Https } else { Scheme::Http };
        let text = address.ip().to_string();
        // The text of an IP address always is a field value.
        let address_value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown"));
        Self { address, address_value, scheme, local, tls, redirect_https: None, user: None }
    }
}

impl Client {
    /// Who asks by this connection, which a proxy has made for it: the same facts, but for the address.
    pub fn behind(&self, address: IpAddr) -> Self {
        let Self { scheme, local, tls, redirect_https, user, .. } = self;
        let told = Self::new(SocketAddr::new(address, self.address.port()), *local, tls.clone());
        Self { scheme: *scheme, redirect_https: *redirect_https, user: *user, ..told }
    }
}

/// How the client connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// The URI scheme.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The request head as the handler will see it.
#[derive(Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Host and port as asked for: the target's authority where it has one (RFC 9112 section 3.2.2), otherwise `Host`.
    pub authority: Arc<str>,
    /// Path and query.
    pub target: PathAndQuery,
    /// The fields, without hop-by-hop ones.
    pub headers: HeaderMap,
    /// The version of HTTP that the client speaks.
    pub version: Version,
    /// What the client wants to speak instead, if anything. The body then is what it says in that protocol.
    pub upgrade: Option<Upgrade>,
}

/// Whether a request came with `Authorization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// It did.
    Sent,
    /// It did not.
    None,
}

/// A response whose head is complete.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The fields, without hop-by-hop ones. Framing is computed from the body when it is sent.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

impl Response {
    /// A response without fields.
    pub fn new(status: StatusCode, body: Body) -> Self {
        Self { status, headers: HeaderMap::new(), body }
    }
}

/// Where the cache stands for an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheStatus {
    /// The route does not cache, or the request may not be answered from a cache.
    #[default]
    Unused,
    /// The request or a plugin asked to go around it.
    Bypass,
    /// Nothing usable was stored.
    Miss,
    /// The response comes from the cache.
    Hit,
}

/// How long the parts of an exchange took. A part that did not happen is zero.
#[derive(Debug, Clone, Default)]
pub struct Timings {
    /// Finding the route.
    pub routing: Duration,
    /// Looking up the cache.
    pub cache: Duration,
    /// From sending the request upstream until the response head was complete.
    pub upstream: Duration,
    /// All hooks of all plugins.
    pub plugins: Duration,
    /// The hooks of each plugin that was called, by plugin number.
    pub per_plugin: Vec<(u32, Duration)>,
}

impl Timings {
    /// Adds what one hook took.
    pub fn add_plugin(&mut self, plugin: u32, took: Duration) {
        self.plugins += took;
        match self.per_plugin.iter_mut().find(|(known, _)| *known == plugin) {
            Some((_, sum)) => *sum += took,
            None => self.per_plugin.push((plugin, took)),
        }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Exchange {
    /// The request id as a header value.
    pub id: HeaderValue,
    /// When the request head was complete.
    pub started: Instant,
    /// The client's connection.
    pub client: Arc<Client>,
    /// The request.
    pub request: Request,
    /// Whether the client sent `Authorization`; a plugin may have removed it since.
    pub credentials: Credentials,
    /// The response, from the moment there is one.
    pub response: Option<Response>,
    /// The matched route.
    pub route: Option<Name>,
    /// What the `{name}` parts of the route's path matched.
    pub parameters: Vec<(Arc<str>, String)>,
    /// Facts that plugins left.
    pub attributes: Attributes,
    /// Where the cache stands.
    pub cache: CacheStatus,
    /// How long the parts took.
    pub timings: Timings,
    /// When the last step ended, see [`Self::lap`].
    pub lap: Instant,
    /// Why the gateway itself had to answer with an error, if it had to: the first reason.
    pub failure: Option<Reason>,
    /// The plugin that answered instead of the route, by number.
    pub answered_by: Option<u32>,
    /// Who was asked, if anybody was.
    pub delivery: Delivery,
    /// The distributed trace that it is part of; none where nothing is traced.
    pub trace: Option<Box<Trace>>,
    /// How long the request's head was as the client sent it; zero where no route asks.
    pub head: HeadSize,
    /// What has come of the request's body.
    pub received: Received,
    /// What it waits for, where it waits.
    pub waits: Waits,
    /// That it is under way.
    pub presence: Presence,
}

/// How long the head of a request is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeadSize {
    /// Header fields.
    pub fields: usize,
    /// Their bytes, as HTTP/1.1 writes them.
    pub bytes: usize,
}

impl Exchange {
    /// An exchange that has gone no further than its request.
    pub fn new(id: HeaderValue, started: Instant, client: Arc<Client>, request: Request) -> Self {
        Self {
            id,
            started,
            client,
            request,
            credentials: Credentials::None,
            response: None,
            route: None,
            parameters: Vec::new(),
            attributes: Attributes::default(),
            cache: CacheStatus::Unused,
            timings: Timings::default(),
            lap: started,
            failure: None,
            answered_by: None,
            delivery: Delivery::default(),
            trace: None,
            head: HeadSize::default(),
            received: Received::Nothing,
            waits: Waits::Nothing,
            presence: Presence::default(),
        }
    }

    /// The time since the last step ended; this step ends `now`. Steps that follow one another share one look at the clock.
    pub fn lap(&mut self, now: Instant) -> Duration {
        let took = now.saturating_duration_since(self.lap);
        self.lap = now;
        took
    }

    /// The same, and the trace learns what the step was.
    pub fn lap_of(&mut self, part: Part, now: Instant) -> Duration {
        if let Some(trace) = &mut self.trace {
            trace.note(part, self.lap, now);
        }
        self.lap(now)
    }
}
