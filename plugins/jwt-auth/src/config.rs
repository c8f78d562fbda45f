//! The configuration as operators write it. What it means together is decided in `settings.rs`.

use std::collections::BTreeMap;

use portcullis_sdk::serde_json::Value;

/// What operators write.
#[portcullis_sdk::config]
pub struct Config {
    /// The keys that sign tokens.
    #[schemars(length(min = 1))]
    pub keys: Vec<KeyConfig>,
    /// Where tokens are looked for, in this order; the first place that holds one counts. Default: the header
    /// `authorization` with the scheme `Bearer`.
    #[serde(default = "bearer")]
    #[schemars(length(min = 1))]
    pub tokens: Vec<PlaceConfig>,
    /// Whether requests without a token pass. A bad token never does.
    #[serde(default)]
    pub optional: bool,
    /// Whether the token is taken out of the request before the upstream sees it.
    #[serde(default)]
    pub strip_token: bool,
    /// The issuers (`iss`) whose tokens are taken. Empty: any, as far as the keys allow.
    #[serde(default)]
    pub issuers: Vec<String>,
    /// Who we are: a token must name one of these in `aud`. Empty: not checked, which is safe only where the issuer's
    /// keys sign for nobody else.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// Values of `typ` that are taken, for instance `at+jwt`; a token then must have one. Empty: `JWT`, `at+jwt` or none.
    #[serde(default)]
    pub types: Vec<String>,
    /// Seconds by which the clocks of issuer and gateway may differ.
    #[serde(default = "half_a_minute")]
    #[schemars(range(max = 600))]
    pub leeway_seconds: u32,
    /// Whether a token must say when it expires (`exp`).
    #[serde(default = "yes")]
    pub require_exp: bool,
    /// Whether a token must say who it is about (`sub`).
    #[serde(default)]
    pub require_sub: bool,
    /// Whether a token must name its key (`kid`).
    #[serde(default)]
    pub require_kid: bool,
    /// Oldest token that is taken, counted from when it was issued (`iat`), which it then must say.
    #[serde(default)]
    pub max_age_seconds: Option<u32>,
    /// Longest token.
    #[serde(default = "eight_kibibytes")]
    #[schemars(range(min = 64, max = 65536))]
    pub max_token_bytes: usize,
    /// Scopes (`scope`, or `scp`) of which a token must have all.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Roles of which a token must have one.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Where roles are. Default: `roles`.
    #[serde(default = "roles")]
    pub roles_claim: PathConfig,
    /// Claims that must have certain values.
    #[serde(default)]
    pub claims: Vec<DemandConfig>,
    /// Request headers that tell the upstream about the token, by name, and the claim each gets. Lists are joined by
    /// commas. What clients send under these names is always removed.
    #[serde(default)]
    pub headers: BTreeMap<String, PathConfig>,
    /// Attributes of the exchange for later plugins and logs, by name, and the claim each gets. Default: `auth.subject` gets `sub`.
    #[serde(default = "subject")]
    pub attributes: BTreeMap<String, PathConfig>,
    /// The realm in `WWW-Authenticate`.
    #[serde(default = "realm")]
    pub realm: String,
}

/// One key, or one set of keys. Exactly one of `secret`, `secret_base64`, `pem`, `jwk` and `jwks` must be there.
#[portcullis_sdk::config]
#[derive(Default)]
pub struct KeyConfig {
    /// An HMAC secret as text.
    #[serde(default)]
    pub secret: Option<String>,
    /// An HMAC secret in base64 or base64url.
    #[serde(default)]
    pub secret_base64: Option<String>,
    /// A public key or certificate in PEM.
    #[serde(default)]
    pub pem: Option<String>,
    /// A JSON Web Key, as an object or as text.
    #[serde(default)]
    pub jwk: Option<Value>,
    /// A JSON Web Key Set, as an object or as text. Keys in it that are not for signatures, or of kinds that are not
    /// known, are left out.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// The algorithms this key may be used with, for instance `["RS256"]`. May be left out where a JWK says it itself.
    #[serde(default)]
    pub algorithms: Vec<String>,
    /// The key's name. A JWK brings its own.
    #[serde(default)]
    pub kid: Option<String>,
    /// The only issuer (`iss`) whose tokens this key signs.
    #[serde(default)]
    pub issuer: Option<String>,
}

/// One place where a token may be. Exactly one of `header`, `cookie` and `query` must be there.
#[portcullis_sdk::config]
#[derive(Default)]
pub struct PlaceConfig {
    /// The name of a header.
    #[serde(default)]
    pub header: Option<String>,
    /// The scheme in front of the token in a header. Default: `Bearer` for `authorization`, none for others.
    #[serde(default)]
    pub scheme: Option<String>,
    /// The name of a cookie.
    #[serde(default)]
    pub cookie: Option<String>,
    /// The name of a query parameter. Queries end up in logs and histories: only where there is no other way.
    #[serde(default)]
    pub query: Option<String>,
}

/// A claim with the values it may have. Exactly one of `equals`, `one_of` and `contains` must be there.
#[portcullis_sdk::config]
pub struct DemandConfig {
    /// Which claim.
    pub claim: PathConfig,
    /// It is this string, number or boolean.
    #[serde(default)]
    pub equals: Option<Value>,
    /// It is one of these.
    #[serde(default)]
    pub one_of: Option<Vec<Value>>,
    /// It is a list that contains this, or all of these.
    #[serde(default)]
    pub contains: Option<Value>,
}

/// Where a claim is: `realm_access.roles` is the member `roles` of the claim `realm_access`; a name with a slash or a
/// colon, such as `https://example.com/roles`, is one name. A list of names says it without guessing.
#[portcullis_sdk::config]
#[serde(untagged)]
pub enum PathConfig {
    /// Names with dots between them.
    Dotted(String),
    /// One name per level.
    Names(Vec<String>),
}

impl PathConfig {
    /// The name on each level; none where a name is missing.
    pub fn names(&self) -> Option<Vec<String>> {
        let names: Vec<String> = match self {
            Self::Names(names) => names.clone(),
            Self::Dotted(name) if name.contains(['/', ':']) => vec![name.clone()],
            Self::Dotted(name) => name.split('.').map(str::to_owned).collect(),
        };
        (!names.is_empty() && names.iter().all(|name| !name.is_empty())).then_some(names)
    }
}

fn bearer() -> Vec<PlaceConfig> {
    vec![PlaceConfig { header: Some("authorization".to_owned()), ..PlaceConfig::default() }]
}

fn half_a_minute() -> u32 {
    30
}

fn yes() -> bool {
    true
}

fn eight_kibibytes() -> usize {
    8192
}

fn roles() -> PathConfig {
    PathConfig::Dotted("roles".to_owned())
}

fn subject() -> BTreeMap<String, PathConfig> {
    BTreeMap::from([("auth.subject".to_owned(), PathConfig::Dotted("sub".to_owned()))])
}

fn realm() -> String {
    "portcullis".to_owned()
}
