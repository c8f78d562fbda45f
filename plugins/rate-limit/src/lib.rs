//! Holds clients to how much they may ask for, and tells them how much is left.
//!
//! ```json
//! {
//!   "limits": [
//!     { "name": "per-client", "requests": 100, "window": "1m" },
//!     { "name": "per-user", "requests": 1000, "window": "1h", "key": ["attribute:auth.subject"], "missing": "skip" },
//!     { "name": "logins", "algorithm": "token_bucket", "requests": 5, "window": "1m", "burst": 10,
//!       "key": ["address", "route"], "when": { "methods": ["POST"], "paths": ["/login"] } }
//!   ]
//! }
//! ```
//!
//! The gateway counts, exactly and over all workers (grant `limits`). All limits that apply to a request are asked at once; where one has no room
//! the answer is 429 with `Retry-After`, and nothing is taken from the others. What is left is told by `RateLimit` and `RateLimit-Policy`
//! (draft-ietf-httpapi-ratelimit-headers), and if wanted by the older fields.
//!
//! For other plugins and logs it leaves the attributes `rate_limit.state` (the value of `RateLimit`) and, where a limit is exceeded,
//! `rate_limit.exceeded` (the names of those limits). The operator sees `portcullis_plugin_rate_limit_limited_total` (refused) and
//! `…_exceeded_total` (only noted), by limit.
//!
//! # What it costs
//!
//! A call per part of a key, one for all limits together, one to leave the attribute; for the response one to read it and one or two to set the
//! fields. Without `headers` there is no call for the response.

mod config;
mod fields;
mod key;
mod plan;
mod plugin;
mod when;

pub use config::Config;
pub use plugin::RateLimit;

#[cfg(test)]
mod tests;
