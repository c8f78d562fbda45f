//! The log of slow requests: one line with the parts. Nothing is asked of the gateway for a request that was not slow.

use portcullis_sdk::log::{self, Level};
use portcullis_sdk::prelude::*;

use crate::config::{SlowLevel, SlowLog};
use crate::duration;

/// When a request is slow, and how loudly that is said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slow {
    threshold_ns: u64,
    level: Level,
}

impl Slow {
    /// None where there is no log of slow requests.
    pub(crate) fn new(config: Option<&SlowLog>) -> Option<Self> {
        let config = config?;
        let level = match config.level {
            SlowLevel::Error => Level::Error,
            SlowLevel::Warn => Level::Warn,
            SlowLevel::Info => Level::Info,
        };
        Some(Self { threshold_ns: config.threshold_ms.saturating_mul(1_000_000), level })
    }

    /// Logs the request if it was slow. The gateway adds the request id.
    pub(crate) fn look_at(&self, request: &Request, response: &Response, summary: &Summary) {
        if summary.duration < self.threshold_ns || !log::enabled(self.level) {
            return;
        }
        let timings = request.timings();
        let fields = [
            ("route", request.route().unwrap_or_default()),
            ("method", request.method()),
            ("path", request.path()),
            ("status", response.status().to_string()),
            ("duration_ms", ms(summary.duration)),
            ("routing_ms", ms(timings.routing)),
            ("plugins_ms", ms(timings.plugins)),
            ("cache_ms", ms(timings.cache)),
            ("upstream_ms", ms(timings.upstream)),
            ("body_bytes", summary.body_bytes.to_string()),
            ("complete", summary.complete.to_string()),
        ];
        log::write(self.level, "slow request", &fields.map(|(name, value)| (name.to_owned(), value)));
    }
}

fn ms(nanoseconds: u64) -> String {
    let mut text = Vec::new();
    duration::push_ms(nanoseconds, &mut text);
    String::from_utf8(text).unwrap_or_default()
}
