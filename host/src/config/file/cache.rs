//! The shape of `cache`: how much is kept, and what happens to it when it leaves the process.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::warm::CacheWarm;
use crate::cache;

/// The memory cache.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Cache {
    /// Most bytes of all stored responses together.
    #[schemars(range(min = 1, max = 1_u64 << 50), extend("default" = cache::Settings::default().memory_bytes_max))]
    pub(in crate::config) memory_bytes_max: Option<u64>,
    /// Longest response body that is stored, in bytes.
    #[schemars(range(min = 1, max = 1_u64 << 50), extend("default" = cache::Settings::default().object_bytes_max))]
    pub(in crate::config) object_bytes_max: Option<u64>,
    /// Stored responses with more bytes are compressed (Zstandard) before they leave the process, where that makes them smaller.
    #[schemars(range(max = 1_u64 << 50), extend("default" = cache::Settings::default().compress_above_bytes))]
    pub(in crate::config) compress_above_bytes: Option<u64>,
    /// Encrypt stored responses (AES-256-GCM) before they leave the process, and trust only what is encrypted. Absent: no.
    pub(in crate::config) encryption: Option<CacheEncryption>,
    /// Whether and how what is stored is shared with other instances, where there is a `redis`. Purges reach all of them.
    #[schemars(extend("default" = true))]
    pub(in crate::config) shared: Option<CacheShared>,
    /// Keep the memory cache in a file while the gateway restarts. Absent: it starts empty.
    pub(in crate::config) persist: Option<CachePersist>,
    /// What is asked for at the start, before clients do. Absent: nothing.
    pub(in crate::config) warm: Option<CacheWarm>,
    /// Tags that depend on others: `"page-home": ["product-list"]` purges `page-home` wherever `product-list` is purged. Over any number of
    /// steps; circles are no mistake.
    #[schemars(extend("examples" = [{"page-home": ["product-list", "header"]}]))]
    pub(in crate::config) dependencies: Option<BTreeMap<String, Option<Vec<Option<String>>>>>,
}

/// Whether and how what is stored is shared with other instances.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::config) enum CacheShared {
    /// It is, or not.
    Switch(bool),
    /// It is, like this.
    Settings(CacheSharedSettings),
}

/// How instances that share agree on what is purged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CacheSharedSettings {
    /// For how long an instance that hears nothing of the others trusts what it has.
    #[schemars(range(min = 2, max = 86_400), extend("default" = 60))]
    pub(in crate::config) lease_seconds: Option<u64>,
    /// What it does after that.
    #[schemars(extend("default" = "validate"))]
    pub(in crate::config) cut_off: Option<CacheCutOff>,
}

/// What an instance does that has heard nothing of the others for too long.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::config) enum CacheCutOff {
    /// It asks the upstream whether what it has is still right.
    Validate,
    /// It uses what it has, although it may have been purged elsewhere.
    Serve,
}

impl From<CacheCutOff> for cache::shared::CutOff {
    fn from(written: CacheCutOff) -> Self {
        match written {
            CacheCutOff::Validate => Self::Validate,
            CacheCutOff::Serve => Self::Serve,
        }
    }
}

/// With what stored responses are encrypted. To rotate: add a key, make it `current` once every instance has it, remove the old one later.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CacheEncryption {
    /// The keys by an id of your choice: 32 random bytes in base64 (`openssl rand -base64 32`), better taken from a variable. One key is
    /// good for four billion responses.
    #[schemars(required, extend("minProperties" = 1, "examples" = [{"2026-11": "${CACHE_KEY}"}]))]
    pub(in crate::config) keys: Option<BTreeMap<String, Option<String>>>,
    /// The id of the key that new ones are encrypted with.
    #[schemars(required, extend("examples" = ["2026-11"]))]
    pub(in crate::config) current: Option<String>,
}

impl std::fmt::Debug for CacheEncryption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CacheEncryption")
    }
}

/// Where the memory cache is kept while the gateway restarts. It is written when the gateway has drained, and taken away when it starts:
/// after a crash the cache is empty.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct CachePersist {
    /// The file. It is readable for nobody else, and folders that are missing are made.
    #[schemars(required, length(min = 1), extend("examples" = ["state/cache.bin"]))]
    pub(in crate::config) path: Option<String>,
}
