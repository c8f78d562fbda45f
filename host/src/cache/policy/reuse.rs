//! When what is stored may be used (RFC 9111 sections 4 and 5.2.1).

use std::time::Duration;

use http::header::{self, HeaderMap};

use super::directives::{Directives, MaxStale, Seconds, has_pragma_no_cache};
use super::{ClientDirectives, Policy};

/// What a request asks of caches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Nothing is to be used without being validated.
    pub validate: bool,
    /// Nothing of it is to be stored.
    pub no_store: bool,
    /// Only what is stored.
    pub only_if_cached: bool,
    /// No older than this.
    pub max_age: Option<Duration>,
    /// Fresh for so long yet.
    pub min_fresh: Duration,
    /// May be so stale.
    pub max_stale: Option<Duration>,
}

impl Asked {
    /// What these fields ask for.
    pub fn read(policy: &Policy, headers: &HeaderMap) -> Self {
        if policy.client_directives == ClientDirectives::Ignored {
            return Self::default();
        }
        if !headers.contains_key(header::CACHE_CONTROL) {
            // Section 5.4: Pragma counts only without Cache-Control.
            let validate = headers.contains_key(header::PRAGMA) && has_pragma_no_cache(headers);
            return Self { validate, ..Self::default() };
        }
        let said = Directives::read(headers);
        Self {
            validate: said.no_cache,
            no_store: said.no_store,
            only_if_cached: said.only_if_cached,
            max_age: match said.max_age {
                Seconds::Unclear => Some(Duration::ZERO),
                seconds => seconds.given(),
            },
            min_fresh: said.min_fresh.given().unwrap_or_default(),
            max_stale: said.max_stale.map(|most| match most {
                MaxStale::Any => Duration::MAX,
                MaxStale::Seconds(seconds) => Duration::from_secs(seconds),
            }),
        }
    }
}

/// What is known of a stored response at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its age.
    pub age: Duration,
    /// How much longer it is fresh.
    pub ttl: Duration,
    /// For how long it has been stale.
    pub staleness: Duration,
    /// Whether it must be validated even while it is fresh.
    pub validate: bool,
    /// Whether it may not be used stale, whoever asks for it.
    pub stale_forbidden: bool,
    /// For how long after its freshness it may be used while it is fetched anew.
    pub while_revalidate: Duration,
}

/// How a stored response may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// As it is.
    Fresh,
    /// As it is, stale, because the client does not mind.
    Stale,
    /// As it is, stale, while it is fetched anew.
    WhileRevalidating,
    /// Once the upstream has said that it is still right.
    Validated,
}

/// How a stored response may be used for a request.
pub fn reuse(facts: &Facts, asked: &Asked) -> Reuse {
    let too_old = asked.max_age.is_some_and(|most| facts.age > most || most.is_zero());
    if facts.validate || asked.validate || too_old {
        return Reuse::Validated;
    }
    if !facts.ttl.is_zero() {
        return if facts.ttl >= asked.min_fresh { Reuse::Fresh } else { Reuse::Validated };
    }
    if facts.stale_forbidden || !asked.min_fresh.is_zero() {
        return Reuse::Validated;
    }
    if asked.max_stale.is_some_and(|most| facts.staleness <= most) {
        return Reuse::Stale;
    }
    // Section 5.2.1.1: who says how old it may be does not want it stale, unless that is said, too.
    if asked.max_age.is_some() && asked.max_stale.is_none() {
        return Reuse::Validated;
    }
    if facts.staleness < facts.while_revalidate { Reuse::WhileRevalidating } else { Reuse::Validated }
}
