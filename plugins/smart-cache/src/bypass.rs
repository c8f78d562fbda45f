//! Requests that go around the cache. Asks only for what is named, and stops at the first that applies.

use portcullis_sdk::prelude::*;

use crate::asked::Asked;
use crate::config::{BypassChoice, HeaderMatch};
use crate::cookie;
use crate::query;
use portcullis_sdk::pattern::{self, Pattern};

/// When a request goes around the cache.
pub(crate) struct Bypass {
    /// A header that is there, or whose value matches.
    headers: Vec<(HeaderName, Option<Pattern>)>,
    cookie_header: HeaderName,
    cookies: Vec<Pattern>,
    query: Vec<Pattern>,
}

impl Bypass {
    /// None where no request does.
    pub(crate) fn new(config: &BypassChoice) -> Result<Option<Self>> {
        if !config.authorization && config.headers.is_empty() && config.cookies.is_empty() && config.query.is_empty() {
            return Ok(None);
        }
        let authorization = HeaderMatch { name: "authorization".to_owned(), value: None };
        let headers = config.authorization.then_some(&authorization).into_iter().chain(&config.headers);
        let headers =
            headers.map(|header| Ok((HeaderName::intern(&header.name)?, header.value.as_deref().map(Pattern::new))));
        Ok(Some(Self {
            headers: headers.collect::<Result<_>>()?,
            cookie_header: HeaderName::intern("cookie")?,
            cookies: pattern::all(&config.cookies),
            query: pattern::all(&config.query),
        }))
    }

    /// Whether this request does.
    pub(crate) fn applies(&self, asked: &Asked<'_>) -> bool {
        self.by_header(asked.request) || self.by_cookie(asked) || self.by_query(asked)
    }

    fn by_header(&self, request: &Request) -> bool {
        self.headers.iter().any(|(name, pattern)| match pattern {
            None => request.header(*name).is_some(),
            Some(pattern) => request.headers(*name).iter().any(|value| matches(pattern, value)),
        })
    }

    fn by_cookie(&self, asked: &Asked<'_>) -> bool {
        !self.cookies.is_empty()
            && asked.cookies(self.cookie_header).iter().any(|value| has_cookie(&self.cookies, value))
    }

    fn by_query(&self, asked: &Asked<'_>) -> bool {
        !self.query.is_empty() && asked.query().is_some_and(|query| has_parameter(&self.query, query))
    }
}

/// Patterns are text; bytes that are no text match what stands for anything.
fn matches(pattern: &Pattern, value: &[u8]) -> bool {
    pattern.matches(&String::from_utf8_lossy(value))
}

pub(crate) fn has_cookie(names: &[Pattern], header: &[u8]) -> bool {
    cookie::pairs(header).any(|(name, _)| names.iter().any(|pattern| matches(pattern, name)))
}

pub(crate) fn has_parameter(names: &[Pattern], query: &str) -> bool {
    query.split('&').any(|pair| pattern::any(names, query::name(pair)))
}
