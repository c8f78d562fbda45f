//! The configuration, checked and ready to be used: everything that needs no gateway.

use portcullis_sdk::prelude::*;

use crate::config::{AlgorithmConfig, Config, FieldsConfig, LimitConfig, Missing, OnExceed};
use crate::fields;
use crate::key::{self, Facts, Part, Prefixes};
use crate::when::Condition;

/// Longest window, in milliseconds: 31 days.
const WINDOW_MS_MAX: u64 = 31 * 24 * 60 * 60 * 1000;

/// What the plugin does.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) limits: Vec<Planned>,
    /// The header names that keys and conditions read, by their numbers.
    pub(crate) names: Vec<String>,
    pub(crate) status: u16,
    pub(crate) headers: Vec<FieldsConfig>,
    /// The value of `RateLimit-Policy`.
    pub(crate) policy: String,
    prefixes: Prefixes,
}

/// One limit.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) name: String,
    pub(crate) algorithm: AlgorithmConfig,
    pub(crate) requests: u64,
    pub(crate) window_ms: u64,
    pub(crate) burst: u64,
    pub(crate) cost: u32,
    pub(crate) on_exceed: OnExceed,
    pub(crate) offence: bool,
    parts: Vec<Part>,
    missing: Missing,
    when: Condition,
    unless: Option<Condition>,
}

impl Planned {
    fn new(written: &LimitConfig, names: &mut Vec<String>) -> Result<Self> {
        let wrong = |what: String| Err(format!("limit `{}`: {what}", written.name).into());
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if written.name.is_empty() || !written.name.bytes().all(word) {
            return wrong("its name is not made of a-z A-Z 0-9 _ - .".to_owned());
        }
        if written.window.0 == 0 || written.window.0 > WINDOW_MS_MAX {
            return wrong("the window must be 1ms to 31d".to_owned());
        }
        if written.burst.is_some() && written.algorithm == AlgorithmConfig::SlidingWindow {
            return wrong(
                "a sliding window has no burst; remove it or write \"algorithm\": \"token_bucket\"".to_owned(),
            );
        }
        let burst = written.burst.unwrap_or(written.requests);
        let quota = match written.algorithm {
            AlgorithmConfig::SlidingWindow => written.requests,
            AlgorithmConfig::TokenBucket => burst,
        };
        if u64::from(written.cost) > quota {
            return wrong(format!("each request takes {}, of which there never is more than {quota}", written.cost));
        }
        let mut parts = Vec::new();
        for text in &written.key {
            let part = Part::parse(text, names).map_err(|error| error.context(format!("limit `{}`", written.name)))?;
            parts.push(part);
        }
        Ok(Self {
            name: written.name.clone(),
            algorithm: written.algorithm,
            requests: written.requests,
            window_ms: written.window.0,
            burst,
            cost: written.cost,
            on_exceed: written.on_exceed,
            offence: written.offence,
            parts,
            missing: written.missing,
            when: Condition::new(&written.when, names),
            unless: written.unless.as_ref().map(|unless| Condition::new(unless, names)),
        })
    }

    /// How much may be used at once.
    pub(crate) fn quota(&self) -> u64 {
        match self.algorithm {
            AlgorithmConfig::SlidingWindow => self.requests,
            AlgorithmConfig::TokenBucket => self.burst,
        }
    }
}

impl Plan {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let (mut limits, mut names) = (Vec::<Planned>::new(), Vec::new());
        for written in &config.limits {
            let limit = Planned::new(written, &mut names)?;
            if limits.iter().any(|known| known.name == limit.name) {
                return Err(format!("limit `{}` is there twice; give each its own name", limit.name).into());
            }
            limits.push(limit);
        }
        if limits.is_empty() {
            return Err("there is no limit; write at least one".into());
        }
        let policy = fields::policy(&limits);
        let prefixes = Prefixes { ipv4: config.ipv4_prefix, ipv6: config.ipv6_prefix };
        Ok(Self { limits, names, status: config.status, headers: config.headers.clone(), policy, prefixes })
    }

    /// The limits that apply to a request, by number, with its keys: first those that refuse, then those that only note.
    pub(crate) fn asked(&self, facts: &dyn Facts) -> [Vec<(usize, Vec<u8>)>; 2] {
        let mut asked = [Vec::new(), Vec::new()];
        for (number, limit) in self.limits.iter().enumerate() {
            let exempt = || limit.unless.as_ref().is_some_and(|unless| unless.surely_holds(facts));
            let applies = limit.when.may_hold(facts) && !exempt();
            if !applies {
                continue;
            }
            let Some(key) = key::key(&limit.parts, limit.missing, self.prefixes, facts) else { continue };
            let [deny, log] = &mut asked;
            match limit.on_exceed {
                OnExceed::Deny => deny.push((number, key)),
                OnExceed::Log => log.push((number, key)),
            }
        }
        asked
    }
}
