//! Tells how long the parts of a request took.
//!
//! To the client as `Server-Timing` (W3C Server Timing), behind what the upstream sent, and if wanted as
//! `X-Response-Time`; to the operator as histograms by route and status, and as a log line for each request that was slow.
//!
//! ```json
//! {
//!   "server_timing": { "routing": false, "total": "gw", "plugins": "plugin-" },
//!   "response_time": true,
//!   "metrics": { "buckets_ms": [5, 50, 500] },
//!   "slow": { "threshold_ms": 500 }
//! }
//! ```
//!
//! `Server-Timing` then reads `cache;dur=0.004, upstream;dur=12.345, plugin-jwt-auth;dur=0.011, total;dur=12.402`: the names
//! can be chosen, parts can be switched off, and a part that did not happen is left out. `total` is the time until the
//! response head, without the `post-handler` hooks that run after this one.
//!
//! The histograms are `portcullis_plugin_response_timing_duration_seconds` and, where asked for, `…_upstream_seconds`, with the
//! labels `route` and `status`.
//!
//! # What it costs
//!
//! `Server-Timing`: one call to read the times (two where plugins are shown) and one to set the header. Metrics: three calls
//! after the response, and two for the upstream's histogram. The slow log: none unless the request was slow. A hook that
//! the configuration has no use for is not called.

mod config;
mod duration;
mod series;
mod server_timing;
mod slow;

#[cfg(test)]
mod tests;

use std::cell::RefCell;

use portcullis_sdk::prelude::*;

use crate::config::{Config, Existing};
use crate::series::Series;
use crate::server_timing::Line;
use crate::slow::Slow;

/// What an instance prepared.
pub struct ResponseTiming {
    server_timing: Option<(HeaderName, Line)>,
    /// The name of the X-Response-Time header.
    response_time: Option<HeaderName>,
    /// Only for requests with this header.
    only_with: Option<HeaderName>,
    /// What goes with Server-Timing and never changes: Timing-Allow-Origin.
    beside: Option<HeaderSet>,
    existing: Existing,
    series: Option<Series>,
    slow: Option<Slow>,
    /// The text that is being written, kept from response to response so that none has to allocate it.
    text: RefCell<Vec<u8>>,
}

#[portcullis_sdk::plugin(grants = ["log", "metrics"])]
impl Plugin for ResponseTiming {
    type Config = Config;

    fn init(config: Config) -> Result<Self> {
        let server_timing = match Line::new(&config.server_timing)? {
            Some(line) => Some((HeaderName::intern("server-timing")?, line)),
            None => None,
        };
        let beside = match (&config.timing_allow_origin, &server_timing) {
            (Some(origin), Some(_)) => {
                Some(HeaderSet::builder().set("timing-allow-origin", origin.as_str()).prepare()?)
            }
            _ => None,
        };
        Ok(Self {
            server_timing,
            response_time: config.response_time.name("x-response-time").map(HeaderName::intern).transpose()?,
            only_with: config.only_with_request_header.as_deref().map(HeaderName::intern).transpose()?,
            beside,
            existing: config.existing,
            series: Series::new(&config.metrics)?,
            slow: Slow::new(config.slow.as_ref()),
            text: RefCell::default(),
        })
    }

    fn idle_hooks(&self) -> Vec<Hook> {
        let mut idle = Vec::new();
        if self.server_timing.is_none() && self.response_time.is_none() {
            idle.push(Hook::PostHandler);
        }
        if self.series.is_none() && self.slow.is_none() {
            idle.push(Hook::PostResponse);
        }
        idle
    }

    fn post_handler(&self, request: &Request, response: &Response) -> Result<Verdict> {
        if let Some(name) = self.only_with
            && request.header(name).is_none()
        {
            return Ok(Verdict::Next);
        }
        let timings = request.timings();
        let text = &mut *self.text.borrow_mut();
        if let Some((name, line)) = &self.server_timing {
            text.clear();
            line.write(&timings, request, text);
            if !text.is_empty() {
                match self.existing {
                    Existing::Append => response.append_header_named("server-timing", &text)?,
                    Existing::Replace => response.set_header(*name, &text)?,
                }
            }
        }
        if let Some(name) = self.response_time {
            text.clear();
            duration::push_ms(timings.elapsed, text);
            text.extend_from_slice(b"ms");
            response.set_header(name, &text)?;
        }
        if let Some(set) = self.beside {
            response.apply(set);
        }
        Ok(Verdict::Next)
    }

    fn post_response(&self, request: &Request, response: &Response, summary: &Summary) -> Result<()> {
        if let Some(series) = &self.series {
            series.observe(request, response, summary);
        }
        if let Some(slow) = &self.slow {
            slow.look_at(request, response, summary);
        }
        Ok(())
    }
}
