//! The shape of an entry of `cdn`: a CDN in front of us that is told what is purged here.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{HeaderValues, TIMEOUT_MS_MAX};

/// A CDN in front of us that is told what is purged here, in the background.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Cdn {
    /// Its name, unique.
    #[schemars(required, length(min = 1), extend("examples" = ["edge"]))]
    pub(in crate::config) name: Option<String>,
    /// How it is spoken to.
    #[schemars(required)]
    pub(in crate::config) form: Option<CdnForm>,
    /// `fastly`, `cloudflare`: where the API is, if not at the vendor's.
    #[schemars(length(min = 1), extend("examples" = ["https://api.fastly.com"]))]
    pub(in crate::config) endpoint: Option<String>,
    /// `fastly`: the id of the service.
    #[schemars(length(min = 1))]
    pub(in crate::config) service: Option<String>,
    /// `cloudflare`: the id of the zone.
    #[schemars(length(min = 1))]
    pub(in crate::config) zone: Option<String>,
    /// `fastly`, `cloudflare`: the API token. Better taken from a variable: `${FASTLY_TOKEN}`.
    #[schemars(length(min = 1), extend("examples" = ["${FASTLY_TOKEN}"]))]
    pub(in crate::config) token: Option<String>,
    /// `custom`: the request for tags. `{tag}` (one request for each) or `{tags}` is filled in, and `{mode}`: `soft` or `hard`.
    pub(in crate::config) tags: Option<CdnRequest>,
    /// `custom`: the request for URLs. `{url}`, `{host}` and `{path}` (one request for each) or `{urls}` is filled in, and `{mode}`.
    pub(in crate::config) urls: Option<CdnRequest>,
    /// `custom`: the request for everything. `{mode}` is filled in.
    pub(in crate::config) all: Option<CdnRequest>,
    /// `custom`: most tags or URLs in a request with `{tags}` or `{urls}`.
    #[schemars(range(min = 1, max = 10_000), extend("default" = Cdn::BATCH_MAX))]
    pub(in crate::config) batch_max: Option<u64>,
    /// `custom`: what stands between tags or URLs where they are written in one text.
    #[schemars(length(min = 1), extend("default" = Cdn::SEPARATOR))]
    pub(in crate::config) separator: Option<String>,
    /// A file with the certificates (PEM) of those who may vouch for the CDN. Absent: those whom the system trusts.
    #[schemars(length(min = 1))]
    pub(in crate::config) ca: Option<String>,
    /// Longest time for one request, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Cdn::TIMEOUT_MS))]
    pub(in crate::config) timeout_ms: Option<u64>,
    /// How long to wait before a request that failed is made again, in milliseconds; doubled from try to try.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Cdn::RETRY_WAIT_MS))]
    pub(in crate::config) retry_wait_ms: Option<u64>,
    /// Longest wait before a request is made again, in milliseconds, unless the CDN asks for more (`Retry-After`).
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Cdn::RETRY_WAIT_MAX_MS))]
    pub(in crate::config) retry_wait_max_ms: Option<u64>,
    /// How long a purge is tried, in milliseconds. After that it is given up, and the log says so.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = Cdn::GIVE_UP_MS))]
    pub(in crate::config) give_up_ms: Option<u64>,
    /// Most tags and URLs that wait. What comes then is lost, and the log says so.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = Cdn::QUEUE_MAX))]
    pub(in crate::config) queue_max: Option<u64>,
}

impl Cdn {
    /// Where Fastly's API is.
    pub(in crate::config) const FASTLY: &str = "https://api.fastly.com";
    /// Where Cloudflare's API is.
    pub(in crate::config) const CLOUDFLARE: &str = "https://api.cloudflare.com";
    /// A request of a few kilobytes.
    pub(in crate::config) const BATCH_MAX: u64 = 100;
    /// As in most lists of fields.
    pub(in crate::config) const SEPARATOR: &str = ",";
    /// Purges take a second at most.
    pub(in crate::config) const TIMEOUT_MS: u64 = 10_000;
    /// Long enough for a slip, short enough for nobody to notice.
    pub(in crate::config) const RETRY_WAIT_MS: u64 = 1_000;
    /// As often as one may ask without being part of the problem.
    pub(in crate::config) const RETRY_WAIT_MAX_MS: u64 = 60_000;
    /// Longer than most outages of an API. What is older has mostly gone from the CDN by itself.
    pub(in crate::config) const GIVE_UP_MS: u64 = 900_000;
    /// A few megabytes.
    pub(in crate::config) const QUEUE_MAX: u64 = 10_000;
}

/// Never shows tokens, nor what may hold one.
impl fmt::Debug for Cdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cdn({:?}, {:?})", self.name, self.form)
    }
}

/// How a CDN is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum CdnForm {
    /// As Fastly's API wants it. Needs `service` and `token`.
    Fastly,
    /// As Cloudflare's API wants it. Needs `zone` and `token`. Every purge is a hard one.
    Cloudflare,
    /// By requests of your own: `tags`, `urls` and `all`. What has no request is not forwarded.
    Custom,
}

/// A request in which tags or URLs are filled in. In a URL they are percent-encoded.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CdnRequest {
    /// The method.
    #[schemars(length(min = 1), extend("default" = CdnRequest::METHOD))]
    pub(in crate::config) method: Option<String>,
    /// The URL.
    #[schemars(required, length(min = 1), extend("examples" = ["https://cdn.internal/purge?tag={tag}", "http://varnish:6081{path}"]))]
    pub(in crate::config) url: Option<String>,
    /// The header fields.
    pub(in crate::config) headers: Option<BTreeMap<String, Option<HeaderValues>>>,
    /// The body, as any JSON value. A string that is only `"{tags}"` or `"{urls}"` becomes an array of them.
    #[schemars(extend("examples" = [{"keys": "{tags}", "soft": "{mode}"}]))]
    pub(in crate::config) body: Option<Value>,
}

impl CdnRequest {
    /// As most APIs want it.
    pub(in crate::config) const METHOD: &str = "POST";
}
