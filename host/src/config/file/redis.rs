//! The shape of `redis`: the store that instances share.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{TIMEOUT_MS_MAX, UpstreamTls};
use crate::redis;

/// A Redis (or Valkey) that instances share: one server, the master that sentinels know, or a cluster. Exactly one of `url`, `sentinel`
/// and `cluster` says which. Changes take effect at the next start.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Redis {
    /// One server: `redis://` and its host and port, `rediss://` for TLS, or `unix:` and the path of its socket.
    #[schemars(extend("examples" = ["redis://127.0.0.1:6379", "rediss://cache.internal", "unix:/run/redis.sock"]))]
    pub(in crate::config) url: Option<String>,
    /// Whichever server is the master at the moment.
    pub(in crate::config) sentinel: Option<RedisSentinel>,
    /// Some nodes of a Redis Cluster; they are asked who the others are.
    #[schemars(length(min = 1), extend("examples" = [["redis://cache-1.internal", "redis://cache-2.internal"]]))]
    pub(in crate::config) cluster: Option<Vec<Option<String>>>,
    /// The user (ACL). Absent: `default`.
    #[schemars(length(min = 1))]
    pub(in crate::config) username: Option<String>,
    /// The password. Better taken from a variable: `${REDIS_PASSWORD}`. Empty: none.
    pub(in crate::config) password: Option<Secret>,
    /// How TLS is spoken. Absent: where the URLs are written with `rediss://`, with its defaults.
    pub(in crate::config) tls: Option<UpstreamTls>,
    /// The number of the database. A cluster has only 0.
    #[schemars(range(max = 65_535), extend("default" = 0))]
    pub(in crate::config) database: Option<u32>,
    /// What all keys and channels begin with. Instances that share what they know have the same.
    #[schemars(length(max = 256), extend("default" = redis::Settings::PREFIX))]
    pub(in crate::config) prefix: Option<String>,
    /// Longest time until a command is answered, in milliseconds. Then the request goes on without.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = redis::Settings::TIMEOUT.as_millis() as u64))]
    pub(in crate::config) timeout_ms: Option<u64>,
    /// Connections per node.
    #[schemars(range(min = 1, max = 64), extend("default" = redis::Settings::CONNECTIONS))]
    pub(in crate::config) connections: Option<u64>,
    /// When a node is not asked for a while.
    pub(in crate::config) breaker: Option<RedisBreaker>,
    /// Longest value, in bytes.
    #[schemars(range(min = 1024, max = 536_870_912), extend("default" = redis::Settings::VALUE_BYTES_MAX))]
    pub(in crate::config) value_bytes_max: Option<u64>,
}

/// Who knows which server is the master.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RedisSentinel {
    /// What the sentinels call the master.
    #[schemars(required, length(min = 1), extend("examples" = ["mymaster"]))]
    pub(in crate::config) master: Option<String>,
    /// The sentinels, asked in this order. Their port is 26379 unless written.
    #[schemars(required, length(min = 1), extend("examples" = [["redis://sentinel-1.internal", "redis://sentinel-2.internal"]]))]
    pub(in crate::config) urls: Option<Vec<Option<String>>>,
    /// The user of the sentinels, where they want one.
    #[schemars(length(min = 1))]
    pub(in crate::config) username: Option<String>,
    /// The password of the sentinels, where they want one.
    pub(in crate::config) password: Option<Secret>,
}

/// When a node is not asked for a while. Meanwhile it is looked at now and then, and asked again as soon as it answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RedisBreaker {
    /// Commands in a row that were not answered in time.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = redis::BreakerSettings::default().failures))]
    pub(in crate::config) failures: Option<u32>,
    /// Longest time between two looks, in milliseconds.
    #[schemars(range(min = 1, max = TIMEOUT_MS_MAX), extend("default" = redis::BreakerSettings::default().open_for.as_millis() as u64))]
    pub(in crate::config) open_ms: Option<u64>,
}

/// A text that is not shown.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("writeOnly" = true))]
pub(in crate::config) struct Secret(pub(in crate::config) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(not shown)")
    }
}
