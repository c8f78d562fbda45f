//! What clients are told: the fields of draft-ietf-httpapi-ratelimit-headers and those that were there before, and the refusal.

use std::fmt::Write;

use portcullis_sdk::limits::Decision;

use crate::config::AlgorithmConfig;
use crate::plan::Planned;

/// The value of `RateLimit-Policy`: what may be used (`q`) in how many seconds (`w`). A bucket may give its burst in the time in which it
/// fills.
pub(crate) fn policy(limits: &[Planned]) -> String {
    let mut value = String::new();
    for limit in limits {
        let window_ms = match limit.algorithm {
            AlgorithmConfig::SlidingWindow => limit.window_ms,
            AlgorithmConfig::TokenBucket => {
                let fills = u128::from(limit.window_ms) * u128::from(limit.burst) / u128::from(limit.requests.max(1));
                u64::try_from(fills).unwrap_or(u64::MAX)
            }
        };
        separate(&mut value);
        let _ = write!(value, "\"{}\";q={};w={}", limit.name, limit.quota(), seconds(window_ms).max(1));
    }
    value
}

/// Of the policies of all limits those that a request fell under, of whose `RateLimit` this is the value; none where it fell under all of them.
pub(crate) fn applying(policy: &str, state: &str) -> Option<String> {
    let name = |item: &str| item.split(';').next().map(str::to_owned);
    let applied: Vec<_> = state.split(", ").map(name).collect();
    let kept: Vec<_> = policy.split(", ").filter(|item| applied.contains(&name(item))).collect();
    let kept = kept.join(", ");
    (kept.len() < policy.len()).then_some(kept)
}

/// The value of `RateLimit`: what is left (`r`), and in how many seconds there is more (`t`).
pub(crate) fn state<'a>(decisions: impl Iterator<Item = (&'a str, &'a Decision)>) -> String {
    let mut value = String::with_capacity(48);
    for (name, decision) in decisions {
        separate(&mut value);
        let _ = write!(value, "\"{name}\";r={};t={}", decision.remaining, seconds(decision.reset_ms));
    }
    value
}

fn separate(value: &mut String) {
    if !value.is_empty() {
        value.push_str(", ");
    }
}

/// What the older fields tell of one limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Least {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset: u64,
}

/// The limit with the least left, of a value of `RateLimit` that was made here.
pub(crate) fn least(state: &str, quota: impl Fn(&str) -> Option<u64>) -> Option<Least> {
    let read = |item: &str| {
        let mut parts = item.split(';');
        let limit = quota(parts.next()?.trim_matches('"'))?;
        let remaining = parts.next()?.strip_prefix("r=")?.parse().ok()?;
        let reset = parts.next()?.strip_prefix("t=")?.parse().ok()?;
        Some(Least { limit, remaining, reset })
    };
    state.split(", ").filter_map(read).min_by_key(|least| least.remaining)
}

/// Whole seconds, and none that are not over yet.
pub(crate) fn seconds(milliseconds: u64) -> u64 {
    milliseconds.div_ceil(1_000)
}

/// The body of a refusal (RFC 9457).
pub(crate) fn body(status: u16, limit: &str, retry_after: u64) -> String {
    let title = match status {
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Rate limited",
    };
    format!(
        "{{\"status\":{status},\"title\":\"{title}\",\"reason\":\"rate_limited\",\"limit\":\"{limit}\",\"retry_after\":{retry_after}}}\n"
    )
}
