//! What an operator wants of the access log, and the fields that there are.
//!
//! A field is named alike in `fields`, in a template and as a key of JSON.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, StatusCode};

use crate::names::Name;

/// What an operator wants of the access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where lines go.
    pub to: Target,
    /// How they look.
    pub format: Format,
    /// Which exchanges get one; none: all of them.
    pub only: Option<Only>,
    /// Header fields whose values are not shown.
    pub redact_headers: Vec<HeaderName>,
    /// Query parameters whose values are not shown, in lower case.
    pub redact_query: Vec<Box<str>>,
    /// The routes whose exchanges get no line.
    pub without: Vec<Name>,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, to whose end they are written.
    File {
        /// Which.
        path: PathBuf,
        /// When it is laid aside.
        rotation: Rotation,
    },
}

/// When a file is laid aside and a new one begun.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rotation {
    /// Before it would become longer than this.
    pub bytes: Option<u64>,
    /// When so many seconds have begun anew, counted from the Unix epoch.
    pub seconds: Option<u64>,
    /// How many are kept that were laid aside.
    pub keep: usize,
    /// What becomes of those.
    pub aside: Aside,
}

/// What becomes of a file that was laid aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aside {
    /// It stays as it is.
    #[default]
    Plain,
    /// It is compressed.
    Gzip,
}

/// How lines look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A JSON object with these keys, without those that have no value.
    Json(Vec<Field>),
    /// These parts; what has no value is `-`.
    Template(Vec<Part>),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it is written.
    Text(Box<str>),
    /// A field.
    Field(Field),
}

/// Which exchanges get a line: those that any of these picks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Only {
    /// Those with such a status.
    pub status: Vec<StatusClass>,
    /// Those that took longer.
    pub slower_than: Option<Duration>,
    /// Of the others so many percent, and all that failed.
    pub sample_percent: Option<u8>,
}

/// One status, or all that begin with a digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// `404`
    One(StatusCode),
    /// `4xx`
    All(u16),
}

impl StatusClass {
    /// Whether a status is meant.
    pub fn has(self, status: StatusCode) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::All(hundreds) => status.as_u16() / 100 == hundreds,
        }
    }
}

impl FromStr for StatusClass {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.as_bytes() {
            [digit @ b'1'..=b'5', b'x', b'x'] => Ok(Self::All(u16::from(digit - b'0'))),
            _ => text.parse().map(Self::One).map_err(|_| ()),
        }
    }
}

/// Header fields that are secrets wherever they appear.
pub const REDACTED_HEADERS: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-auth-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-amz-security-token",
];

/// Query parameters that are secrets unless an operator says which are.
pub const REDACTED_QUERY: [&str; 22] = [
    "access_token",
    "api_key",
    "apikey",
    "assertion",
    "auth",
    "client_secret",
    "code",
    "id_token",
    "jwt",
    "key",
    "passwd",
    "password",
    "pwd",
    "refresh_token",
    "secret",
    "session",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
];

/// Something that is known of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// When the request head was complete, in UTC (RFC 3339).
    Time,
    /// The same as the common log format writes it.
    TimeCommon,
    /// The request id.
    RequestId,
    /// The distributed trace, in hexadecimal digits.
    TraceId,
    /// The client's IP address.
    ClientAddress,
    /// The client's port.
    ClientPort,
    /// The address of ours that the client connected to.
    Listener,
    /// As in `TLSv1.3`.
    TlsVersion,
    /// The cipher suite.
    TlsCipher,
    /// The host that the client asked for in TLS.
    TlsServerName,
    /// The method.
    Method,
    /// `http` or `https`.
    Scheme,
    /// The host, with the port if it was given.
    Authority,
    /// The path.
    Path,
    /// The query, without `?`.
    Query,
    /// Path and query.
    Target,
    /// As in `HTTP/1.1`.
    Protocol,
    /// The route.
    Route,
    /// The status.
    Status,
    /// Bytes of the response body that were handed on.
    Bytes,
    /// Bytes of the request body that came.
    RequestBytes,
    /// From the request head being complete to the last byte, in milliseconds.
    Duration,
    /// From the request head being complete to the response head being complete, in milliseconds.
    Head,
    /// The time of the upstream, in milliseconds.
    UpstreamTime,
    /// The time of the cache, in milliseconds.
    CacheTime,
    /// The time of all plugins, in milliseconds.
    PluginsTime,
    /// The time of each plugin, in milliseconds.
    Plugins,
    /// `hit`, `miss` or `bypass`.
    Cache,
    /// The upstream that was asked.
    Upstream,
    /// The endpoint that answered.
    Endpoint,
    /// Why the gateway answered with an error.
    Failure,
    /// Whose fault that was.
    Fault,
    /// The plugin that answered instead of the route.
    AnsweredBy,
    /// Whether the client was handed everything.
    Complete,
    /// `true` where the client was not handed everything; of other exchanges it is not known.
    Incomplete,
    /// A field of the request.
    RequestHeader(HeaderName),
    /// A field of the response.
    ResponseHeader(HeaderName),
    /// A fact that a plugin left.
    Attribute(Box<str>),
}

/// A text that names no field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField;

impl Field {
    /// Those that have a name of their own.
    pub const PLAIN: [(&'static str, Self); 35] = [
        ("time", Self::Time),
        ("time.common", Self::TimeCommon),
        ("request_id", Self::RequestId),
        ("trace_id", Self::TraceId),
        ("client.address", Self::ClientAddress),
        ("client.port", Self::ClientPort),
        ("listener", Self::Listener),
        ("tls.version", Self::TlsVersion),
        ("tls.cipher", Self::TlsCipher),
        ("tls.server_name", Self::TlsServerName),
        ("method", Self::Method),
        ("scheme", Self::Scheme),
        ("authority", Self::Authority),
        ("path", Self::Path),
        ("query", Self::Query),
        ("target", Self::Target),
        ("protocol", Self::Protocol),
        ("route", Self::Route),
        ("status", Self::Status),
        ("bytes", Self::Bytes),
        ("request_bytes", Self::RequestBytes),
        ("duration_ms", Self::Duration),
        ("head_ms", Self::Head),
        ("upstream_ms", Self::UpstreamTime),
        ("cache_ms", Self::CacheTime),
        ("plugins_ms", Self::PluginsTime),
        ("plugins", Self::Plugins),
        ("cache", Self::Cache),
        ("upstream", Self::Upstream),
        ("endpoint", Self::Endpoint),
        ("failure", Self::Failure),
        ("fault", Self::Fault),
        ("answered_by", Self::AnsweredBy),
        ("complete", Self::Complete),
        ("incomplete", Self::Incomplete),
    ];

    /// The keys of a JSON line unless an operator chooses others: what is asked most, since every byte of a line has to be written and kept.
    pub const DEFAULT: [&'static str; 19] = [
        "time",
        "request_id",
        "trace_id",
        "client.address",
        "method",
        "path",
        "query",
        "route",
        "status",
        "bytes",
        "duration_ms",
        "upstream_ms",
        "plugins_ms",
        "cache",
        "endpoint",
        "failure",
        "fault",
        "answered_by",
        "incomplete",
    ];
}

const REQUEST_HEADER: &str = "request.header.";
const RESPONSE_HEADER: &str = "response.header.";
const ATTRIBUTE: &str = "attribute.";

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Self, UnknownField> {
        let header = |name: &str| name.parse::<HeaderName>().map_err(|_| UnknownField);
        if let Some(name) = text.strip_prefix(REQUEST_HEADER) {
            return header(name).map(Self::RequestHeader);
        }
        if let Some(name) = text.strip_prefix(RESPONSE_HEADER) {
            return header(name).map(Self::ResponseHeader);
        }
        if let Some(name) = text.strip_prefix(ATTRIBUTE) {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
            let sound = !name.is_empty() && name.bytes().all(fits);
            return if sound { Ok(Self::Attribute(name.into())) } else { Err(UnknownField) };
        }
        Self::PLAIN.into_iter().find(|(name, _)| *name == text).map(|(_, field)| field).ok_or(UnknownField)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestHeader(name) => write!(f, "{REQUEST_HEADER}{name}"),
            Self::ResponseHeader(name) => write!(f, "{RESPONSE_HEADER}{name}"),
            Self::Attribute(name) => write!(f, "{ATTRIBUTE}{name}"),
            plain => {
                let named = Self::PLAIN.into_iter().find(|(_, field)| field == plain);
                f.write_str(named.map(|(name, _)| name).unwrap_or_default())
            }
        }
    }
}
