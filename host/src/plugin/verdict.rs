//! What hooks decide, and what `post-response` is told, in words that know nothing of components.

use std::time::Duration;

use super::contract::exports::portcullis::plugin::cache_admit;
use crate::exchange::Response;

/// What a hook decided.
#[derive(Debug)]
pub enum Verdict {
    /// Go on.
    Next,
    /// Answer with this.
    Respond(Box<Response>),
}

/// What a `cache-key` hook decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyVerdict {
    /// Leave the key.
    Next,
    /// Append to the key.
    Extend(String),
    /// Use this key.
    Replace(String),
    /// Go around the cache.
    Bypass,
}

/// What a `cache-admit` hook decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdmitVerdict {
    /// No opinion.
    Next,
    /// Do not store.
    NoStore,
    /// Store.
    Store(Admission),
}

/// How a response is to be stored. A duration of zero means that there is no such thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// For how long it is fresh.
    pub ttl: Duration,
    /// Names under which it can be purged.
    pub tags: Vec<String>,
    /// For how long after that it may be shown while it is fetched anew (RFC 5861 section 3).
    pub stale_while_revalidate: Duration,
    /// For how long after that it may be shown where the upstream fails (RFC 5861 section 4).
    pub stale_if_error: Duration,
    /// A hit that finds less than this of its freshness left has it renewed in the background.
    pub refresh_ahead: Duration,
}

impl From<cache_admit::Admission> for Admission {
    fn from(admission: cache_admit::Admission) -> Self {
        Self {
            ttl: Duration::from_millis(admission.ttl_ms),
            tags: admission.tags,
            stale_while_revalidate: Duration::from_millis(admission.stale_while_revalidate_ms),
            stale_if_error: Duration::from_millis(admission.stale_if_error_ms),
            refresh_ahead: Duration::from_millis(admission.refresh_ahead_ms),
        }
    }
}

/// What `post-response` is told.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    /// Bytes of the body that were sent.
    pub body_bytes: u64,
    /// From the request head to the last byte.
    pub duration: Duration,
    /// Whether the response went out whole.
    pub complete: bool,
}
