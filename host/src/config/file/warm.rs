//! The shape of `cache.warm`: what is asked for before clients do.

use schemars::JsonSchema;
use serde::Deserialize;

/// What is asked for at the start, before clients do. Requests come from 127.0.0.1 and meet the plugins of their routes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CacheWarm {
    /// URLs, as clients ask for them.
    #[schemars(extend("examples" = [["https://www.example.com/"]]))]
    pub(in crate::config) urls: Option<Vec<Option<String>>>,
    /// Sitemaps, whose URLs are asked for.
    #[schemars(extend("examples" = [["https://www.example.com/sitemap.xml"]]))]
    pub(in crate::config) sitemaps: Option<Vec<Option<String>>>,
    /// What was asked for most in the last run.
    pub(in crate::config) most_asked: Option<CacheMostAsked>,
    /// How many are asked for at a time.
    #[schemars(range(min = 1, max = 256), extend("default" = 4))]
    pub(in crate::config) concurrency: Option<usize>,
}

/// What was asked for most in the last run, kept in a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CacheMostAsked {
    /// The file. It is readable for nobody else, and folders that are missing are made.
    #[schemars(required, length(min = 1), extend("examples" = ["state/most-asked.txt"]))]
    pub(in crate::config) path: Option<String>,
    /// How many URLs are kept.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 1000))]
    pub(in crate::config) count: Option<usize>,
}
