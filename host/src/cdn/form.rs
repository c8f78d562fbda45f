//! How the CDNs want to be asked: Fastly, Cloudflare, and any other by templates.
//!
//! Pure. Fastly: <https://www.fastly.com/documentation/reference/api/purging/>; Cloudflare:
//! <https://developers.cloudflare.com/api/resources/cache/methods/purge/>.

use std::fmt;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use bytes::Bytes;
use serde_json::json;

use super::Mode;
use super::queue::{Batch, Kind, Room, Subject};
use super::template::{Fill, Template};
use crate::outbound::{Call, Proof};

/// How a CDN is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Like Fastly: surrogate keys in a field, one request per URL.
    Fastly {
        /// Where its API is.
        endpoint: Base,
        /// The service: letters, digits, `_` and `-`.
        service: Box<str>,
        /// Its API token.
        token: Token,
    },
    /// Like Cloudflare: lists as JSON. It purges hard only.
    Cloudflare {
        /// Where its API is.
        endpoint: Base,
        /// The zone: letters, digits, `_` and `-`.
        zone: Box<str>,
        /// Its API token.
        token: Token,
    },
    /// By templates.
    Custom(Box<Custom>),
}

/// Requests of one's own making. What has no template is not forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    /// For tags.
    pub tags: Option<Template>,
    /// For URLs.
    pub urls: Option<Template>,
    /// For everything.
    pub all: Option<Template>,
    /// Most tags or URLs in a request whose template names all of them.
    pub batch_max: usize,
    /// What stands between them.
    pub separator: Box<str>,
}

/// Where an API is: scheme, host, port and perhaps the beginning of a path, without a `/` at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base(pub Box<str>);

/// A secret that may stand in a header field.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub Box<str>);

/// Never shows it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Most surrogate keys in a request to Fastly.
const FASTLY_KEYS_MAX: usize = 256;
/// Longest `Surrogate-Key` that Fastly reads, in bytes.
const FASTLY_KEYS_BYTES_MAX: usize = 16_384;
/// Longest surrogate key, in bytes.
const FASTLY_KEY_BYTES_MAX: usize = 1024;
/// Most tags or URLs in a request to Cloudflare, on all of its plans.
const CLOUDFLARE_NAMES_MAX: usize = 30;

const NOT_ASKED: &str = "this CDN has no request for it";

impl Form {
    /// Its word in the configuration.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Fastly { .. } => "fastly",
            Self::Cloudflare { .. } => "cloudflare",
            Self::Custom(_) => "custom",
        }
    }

    /// Whether this CDN can be asked for this; otherwise why not.
    pub(super) fn admits(&self, subject: &Subject) -> Result<(), &'static str> {
        match (self, subject) {
            (Self::Fastly { .. }, Subject::Tag(tag)) => {
                if tag.is_empty() || tag.len() > FASTLY_KEY_BYTES_MAX || !tag.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err("this is no surrogate key: up to 1024 visible ASCII characters");
                }
            }
            (Self::Cloudflare { .. }, Subject::Tag(tag)) if tag.is_empty() => return Err("this is no tag"),
            (Self::Fastly { .. } | Self::Cloudflare { .. }, Subject::Url(url)) => drop(url_parts(url)?),
            (Self::Fastly { .. } | Self::Cloudflare { .. }, _) => {}
            (Self::Custom(custom), subject) => {
                let template = custom.template(subject.kind()).ok_or(NOT_ASKED)?;
                let names = if *subject == Subject::All { Vec::new() } else { vec![subject.text()] };
                // Once more with the others of its request, but then it must not spoil theirs.
                template.call(&Fill { names, mode: Mode::Hard, separator: &custom.separator })?;
            }
        }
        Ok(())
    }

    /// What it will be in truth: where a CDN knows no soft purge, it is a hard one, and need not be asked for twice.
    pub(super) fn mode(&self, kind: Kind, mode: Mode) -> Mode {
        let tells = match self {
            // Everything cannot be purged softly.
            Self::Fastly { .. } => kind != Kind::All,
            Self::Cloudflare { .. } => false,
            Self::Custom(custom) => custom.template(kind).is_some_and(Template::tells_modes),
        };
        if tells { mode } else { Mode::Hard }
    }

    /// How much fits into one request.
    pub(super) fn room(&self, kind: Kind) -> Room {
        let (subjects, bytes) = match (self, kind) {
            (_, Kind::All) | (Self::Fastly { .. }, Kind::Urls) => (1, usize::MAX),
            // One more for the space that does not stand after the last.
            (Self::Fastly { .. }, Kind::Tags) => (FASTLY_KEYS_MAX, FASTLY_KEYS_BYTES_MAX + 1),
            (Self::Cloudflare { .. }, _) => (CLOUDFLARE_NAMES_MAX, usize::MAX),
            (Self::Custom(custom), kind) => {
                let single = custom.template(kind).is_none_or(Template::is_single);
                (if single { 1 } else { custom.batch_max }, usize::MAX)
            }
        };
        Room { subjects, bytes }
    }

    /// How it says that a purge is done.
    pub(super) const fn proof(&self) -> Proof {
        match self {
            Self::Cloudflare { .. } => Proof::Success,
            Self::Fastly { .. } | Self::Custom(_) => Proof::Status,
        }
    }

    /// The request for a batch whose subjects it admits.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    pub(super) fn call(&self, batch: &Batch) -> Result<Call, &'static str> {
        let names: Vec<&str> = match batch.kind {
            Kind::All => Vec::new(),
            Kind::Tags | Kind::Urls => batch.subjects.iter().map(|(_, subject)| subject.text()).collect(),
        };
        match self {
            Self::Fastly { endpoint, service, token } => fastly((endpoint, service, token), batch, &names),
            Self::Cloudflare { endpoint, zone, token } => cloudflare((endpoint, zone, token), batch, &names),
            Self::Custom(custom) => {
                let fill = Fill { names, mode: batch.mode, separator: &custom.separator };
                custom.template(batch.kind).ok_or(NOT_ASKED)?.call(&fill)
            }
        }
    }
}

impl Custom {
    fn template(&self, kind: Kind) -> Option<&Template> {
        match kind {
            Kind::Tags => self.tags.as_ref(),
            Kind::Urls => self.urls.as_ref(),
            Kind::All => self.all.as_ref(),
        }
    }
}

fn fastly((base, service, token): (&Base, &str, &Token), batch: &Batch, names: &[&str]) -> Result<Call, &'static str> {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("fastly-key"), secret(&token.0)?);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if batch.mode == Mode::Soft {
        headers.insert(HeaderName::from_static("fastly-soft-purge"), HeaderValue::from_static("1"));
    }
    let target = match batch.kind {
        Kind::Tags => {
            let keys = HeaderValue::try_from(names.join(" ")).map_err(|_| "cannot stand in a header field")?;
            headers.insert(HeaderName::from_static("surrogate-key"), keys);
            format!("service/{service}/purge")
        }
        Kind::Urls => {
            let (host, path) = url_parts(names.first().copied().unwrap_or_default())?;
            format!("purge/{host}{path}")
        }
        Kind::All => format!("service/{service}/purge_all"),
    };
    Ok(Call { method: Method::POST, uri: base.uri(&target)?, headers, body: Bytes::new() })
}

fn cloudflare((base, zone, token): (&Base, &str, &Token), batch: &Batch, names: &[&str]) -> Result<Call, &'static str> {
    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, secret(&format!("Bearer {}", token.0))?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    let body = match batch.kind {
        Kind::Tags => json!({ "tags": names }),
        Kind::Urls => json!({ "files": names }),
        Kind::All => json!({ "purge_everything": true }),
    };
    let uri = base.uri(&format!("client/v4/zones/{zone}/purge_cache"))?;
    Ok(Call { method: Method::POST, uri, headers, body: body.to_string().into() })
}

fn secret(text: &str) -> Result<HeaderValue, &'static str> {
    let mut value = HeaderValue::from_str(text).map_err(|_| "cannot be asked for: the token is none")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Host with port, and path with query, of an absolute URL.
fn url_parts(url: &str) -> Result<(String, String), &'static str> {
    let no_url = "is not an absolute URL";
    let uri: Uri = url.parse().map_err(|_| no_url)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(authority)) if !authority.as_str().contains('@') => {
            Ok((authority.as_str().to_owned(), path.to_owned()))
        }
        _ => Err(no_url),
    }
}

impl Base {
    fn uri(&self, target: &str) -> Result<Uri, &'static str> {
        format!("{}/{target}", self.0).parse().map_err(|_| "makes no URL")
    }
}
