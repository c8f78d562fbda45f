//! The configuration as the operator writes it. Its doc comments are the descriptions in the JSON Schema.

use std::collections::BTreeMap;

/// All of it is optional. Each header takes `false` (leave it alone), `true` (its usual value), a string (this value) and,
/// where it has an inner structure, an object.
#[portcullis_sdk::config]
#[derive(Default)]
#[serde(default)]
pub struct Config {
    /// What applies to headers that are not written here.
    pub defaults: Defaults,
    /// Strict-Transport-Security (RFC 6797).
    pub strict_transport_security: Option<Choice<Hsts>>,
    /// Send Strict-Transport-Security over http too: for a gateway behind something that ends TLS.
    pub hsts_over_http: bool,
    /// Content-Security-Policy. In a string, `{nonce}` stands for the nonce.
    pub content_security_policy: Option<Choice<Policy>>,
    /// Content-Security-Policy-Report-Only, beside or instead of the policy that is enforced.
    pub content_security_policy_report_only: Option<Choice<Policy>>,
    /// The request header that tells the upstream the nonce, where a policy has one.
    pub nonce_request_header: Option<String>,
    /// Cross-Origin-Opener-Policy.
    pub cross_origin_opener_policy: Option<Text>,
    /// Cross-Origin-Embedder-Policy. Off unless switched on; `true` is `require-corp`.
    pub cross_origin_embedder_policy: Option<Text>,
    /// Cross-Origin-Resource-Policy.
    pub cross_origin_resource_policy: Option<Text>,
    /// Origin-Agent-Cluster.
    pub origin_agent_cluster: Option<Text>,
    /// Referrer-Policy. Several policies are separated by commas; a browser uses the last that it knows.
    pub referrer_policy: Option<Text>,
    /// Permissions-Policy. Off unless switched on; `true` denies camera, screen capture, location, microphone, payment
    /// and USB.
    pub permissions_policy: Option<Choice<Features>>,
    /// X-Content-Type-Options.
    pub x_content_type_options: Option<Text>,
    /// X-DNS-Prefetch-Control.
    pub x_dns_prefetch_control: Option<Text>,
    /// X-Download-Options.
    pub x_download_options: Option<Text>,
    /// X-Frame-Options.
    pub x_frame_options: Option<Text>,
    /// X-Permitted-Cross-Domain-Policies.
    pub x_permitted_cross_domain_policies: Option<Text>,
    /// X-XSS-Protection. `0` switches off a protection that did harm.
    pub x_xss_protection: Option<Text>,
    /// Reporting-Endpoints: a name and a URL each, for `report-to` in policies.
    pub reporting_endpoints: Option<Choice<Endpoints>>,
    /// Further headers by name: a string sets, `false` removes. They come last and win over everything above.
    pub extra: BTreeMap<String, Text>,
    /// Headers to remove from what the upstream sent. Where it is not written: `server` and `x-powered-by` with the
    /// defaults of helmet, nothing without.
    pub remove: Option<Vec<String>>,
    /// Headers for which the upstream's own value stays where it sent one.
    pub keep: Vec<String>,
}

/// What applies to headers that are not written.
#[portcullis_sdk::config]
#[derive(Default, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Defaults {
    /// What helmet sends.
    #[default]
    Helmet,
    /// Nothing.
    None,
}

/// A header that is one value.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(untagged, expecting = "expected true, false or a string")]
pub enum Text {
    /// `false`: leave it alone; `true`: its usual value.
    Switch(bool),
    /// This value.
    Value(String),
}

/// A header with an inner structure.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(untagged, expecting = "expected true, false, a string or an object with the known keys")]
pub enum Choice<P> {
    /// `false`: leave it alone; `true`: its usual value.
    Switch(bool),
    /// This value.
    Value(String),
    /// Composed from its parts.
    Parts(P),
}

/// The parts of Strict-Transport-Security.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(default)]
pub struct Hsts {
    /// Seconds for which a browser uses https only.
    pub max_age: u64,
    /// For subdomains too.
    pub include_subdomains: bool,
    /// Asks to be put on the browsers' preload list.
    pub preload: bool,
}

impl Default for Hsts {
    fn default() -> Self {
        Self { max_age: 31_536_000, include_subdomains: true, preload: false }
    }
}

/// The parts of a Content-Security-Policy.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(default)]
pub struct Policy {
    /// Start from helmet's directives; what is written below replaces single ones.
    pub use_defaults: bool,
    /// Directives by name: a list of sources, `true` for one without a value, `false` to leave one out.
    pub directives: BTreeMap<String, Sources>,
    /// Directives that get a nonce, for instance `script-src`. One that is not there starts as a copy of `default-src`.
    pub nonce: Vec<String>,
    /// Report only: the same as writing the policy under `content_security_policy_report_only`.
    pub report_only: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { use_defaults: true, directives: BTreeMap::new(), nonce: Vec::new(), report_only: false }
    }
}

/// The value of one directive.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(untagged, expecting = "expected true, false, a string or a list of strings")]
pub enum Sources {
    /// `true`: the directive without a value; `false`: not this directive.
    Switch(bool),
    /// All sources, separated by spaces.
    Text(String),
    /// One source each.
    List(Vec<String>),
}

/// Features of a Permissions-Policy and who may use them: `self`, `src`, `*` or origins; an empty list denies.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(transparent)]
pub struct Features(pub BTreeMap<String, Vec<String>>);

/// Reporting endpoints: URLs by name.
#[portcullis_sdk::config]
#[derive(Debug, Clone)]
#[serde(transparent)]
pub struct Endpoints(pub BTreeMap<String, String>);
