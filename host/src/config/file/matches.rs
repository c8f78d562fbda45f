//! What a route matches, as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// Which requests a route is for. What is absent matches everything.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Match {
    /// The host, without port: a name, or `*.` and a name for all names below it.
    #[schemars(extend("examples" = ["api.example.com", "*.example.com"]))]
    pub(in crate::config) host: Option<String>,
    /// The path. `{name}` stands for any one part, a final `/*` for nothing or a slash and anything, a final `/{name..}` for the same under a
    /// name.
    #[schemars(extend("examples" = ["/exact", "/users/{id}", "/api/*", "/files/{rest..}"]))]
    pub(in crate::config) path: Option<String>,
    /// A regular expression for the whole path, instead of `path`; its named groups are parameters. Percent-encoding that is not needed is
    /// taken away before.
    #[schemars(extend("examples" = ["/v(?<version>[0-9]+)/.*"]))]
    pub(in crate::config) path_regex: Option<String>,
    /// The methods; GET includes HEAD. Absent: all.
    #[schemars(length(min = 1), extend("uniqueItems" = true, "examples" = [["GET", "POST"]]))]
    pub(in crate::config) methods: Option<Vec<Option<String>>>,
    /// Header fields and what they must be. Of several of one name, one must.
    #[schemars(extend("examples" = [{"x-beta": true, "x-version": "2", "cookie": {"regex": ".*beta=1.*"}}]))]
    pub(in crate::config) headers: Option<BTreeMap<String, Option<ValueTest>>>,
    /// Query parameters and what they must be, decoded. Of several of one name, one must.
    #[schemars(extend("examples" = [{"debug": false, "v": "2"}]))]
    pub(in crate::config) query: Option<BTreeMap<String, Option<ValueTest>>>,
    /// How the client is connected.
    pub(in crate::config) scheme: Option<MatchScheme>,
    /// The networks that the client must be in.
    #[schemars(length(min = 1), extend("examples" = [["10.0.0.0/8", "2001:db8::/32"]]))]
    pub(in crate::config) clients: Option<Vec<Option<String>>>,
}

/// What a value must be: `true` there, `false` not there, a text itself, or an object.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum ValueTest {
    /// Whether it is there at all.
    There(bool),
    /// What it is.
    Exact(String),
    /// What it is like.
    Like(ValueLike),
}

/// What a value is like. Exactly one of the keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["prefix"]}, {"required": ["regex"]}]))]
pub(in crate::config) struct ValueLike {
    /// How it begins.
    #[schemars(length(min = 1))]
    pub(in crate::config) prefix: Option<String>,
    /// A regular expression for the whole value.
    pub(in crate::config) regex: Option<String>,
}

/// How a client is connected.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::config) enum MatchScheme {
    /// In cleartext.
    Http,
    /// By TLS.
    Https,
}
