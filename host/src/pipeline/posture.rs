//! What the mode of the gateway means for a request: what is refused, what is served although it is stale; and the words of health.
//!
//! Pure, but for the words, which are those of the process.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::plan::Plan;
use crate::cache::policy::Asked;
use crate::exchange::{Client, Exchange, Failure, Reason};
use crate::http::Body;
use crate::modes::{Mode, Public, Question, Settings, words};

/// Answers who asks for the health of the gateway, where clients may.
pub(super) fn health(public: &Public, client: &Client, request: &http::Request<Body>) -> Option<http::Response<Body>> {
    let question = public.question(request.uri().path(), client.local)?;
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let (good, word) = match question {
        Question::Alive if words().alive() => (true, "alive\n"),
        Question::Alive => (false, "stuck\n"),
        Question::Started if words().started() => (true, "started\n"),
        Question::Started => (false, "starting\n"),
        Question::Ready => {
            let word = words().ready();
            (word.is_ready(), line(word.as_str()))
        }
    };
    let mut response = http::Response::new(Body::from(Bytes::from_static(word.as_bytes())));
    *response.status_mut() = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

/// The word with its line feed, without making one.
fn line(word: &str) -> &'static str {
    let lines = ["starting\n", "ready\n", "degraded\n", "unhealthy\n", "maintenance\n", "draining\n"];
    lines.into_iter().find(|line| line.trim_end() == word).unwrap_or_default()
}

impl Plan {
    /// Refuses what the gateway does not take on in this mode.
    pub(super) fn admit_in(&self, mode: Mode, exchange: &Exchange) -> Result<(), Failure> {
        let settings = &self.modes;
        match mode {
            Mode::Normal | Mode::ServeStale | Mode::CacheOnly => Ok(()),
            Mode::ReadOnly => match exchange.request.method {
                Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => Ok(()),
                _ => Err(refusal(Reason::ReadOnly, "only reading is allowed at the moment", settings)),
            },
            Mode::Maintenance => {
                let address = exchange.client.address.ip();
                if settings.admitted.iter().any(|network| network.contains(address)) {
                    return Ok(());
                }
                let failure = refusal(Reason::Maintenance, "the gateway is being maintained", settings);
                Err(Failure { page: settings.page.clone(), ..failure })
            }
        }
    }

    /// The refusal of what an upstream would have to answer while none is asked.
    pub(super) fn only_stored(&self) -> Failure {
        refusal(Reason::CacheOnly, "no upstream is asked at the moment, and nothing is stored", &self.modes)
    }
}

/// What a request asks of the cache in a mode: where what is stale does, a client's wish for something newer is not heard. What the
/// origin forbids (`must-revalidate`, `no-cache`) stays forbidden.
pub(super) fn asked(mode: Mode, settings: &Settings, asked: Asked) -> Asked {
    match mode {
        Mode::ServeStale | Mode::CacheOnly => Asked {
            only_if_cached: asked.only_if_cached,
            no_store: asked.no_store && mode == Mode::ServeStale,
            max_stale: Some(settings.stale_max.max(asked.max_stale.unwrap_or_default())),
            ..Asked::default()
        },
        Mode::Normal | Mode::ReadOnly | Mode::Maintenance => asked,
    }
}

fn refusal(reason: Reason, detail: &'static str, settings: &Settings) -> Failure {
    Failure::new(reason, detail).with(header::RETRY_AFTER, HeaderValue::from(settings.retry_after.as_secs()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::policy::{Facts, Reuse, reuse};

    const STALE: Facts = Facts {
        age: Duration::from_secs(100),
        ttl: Duration::ZERO,
        staleness: Duration::from_secs(40),
        validate: false,
        stale_forbidden: false,
        while_revalidate: Duration::ZERO,
    };

    #[test]
    fn what_is_stale_does_within_its_limit_unless_the_origin_forbids_it() {
        let reload = Asked { validate: true, max_age: Some(Duration::ZERO), ..Asked::default() };
        let check = |mode, facts: Facts, stale_max: u64, expected| {
            let settings = Settings { stale_max: Duration::from_secs(stale_max), ..Settings::default() };
            assert_eq!(reuse(&facts, &asked(mode, &settings, reload)), expected, "{mode}");
        };
        for mode in [Mode::ServeStale, Mode::CacheOnly] {
            check(mode, STALE, 40, Reuse::Stale);
            check(mode, STALE, 39, Reuse::Validated);
            check(mode, Facts { stale_forbidden: true, ..STALE }, 40, Reuse::Validated);
            check(mode, Facts { validate: true, ..STALE }, 40, Reuse::Validated);
            check(mode, Facts { ttl: Duration::from_secs(1), ..STALE }, 0, Reuse::Fresh);
        }
        check(Mode::Normal, STALE, 40, Reuse::Validated);
        check(Mode::ReadOnly, STALE, 40, Reuse::Validated);
    }

    #[test]
    fn every_word_has_its_line() {
        use crate::modes::Word;
        for word in [Word::Starting, Word::Ready, Word::Degraded, Word::Unhealthy, Word::Maintenance, Word::Draining] {
            assert_eq!(line(word.as_str()).trim_end(), word.as_str());
        }
    }
}
