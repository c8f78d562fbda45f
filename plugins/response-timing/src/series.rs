//! Histograms by route and status. A series is registered when its first response comes and remembered by number.
//!
//! Invariant: a series that the gateway refuses (over the plugin's limit) is not asked for again.

use std::cell::RefCell;
use std::collections::BTreeMap;

use portcullis_sdk::metrics::Histogram;
use portcullis_sdk::prelude::*;

use crate::config::{Histograms, Metrics, StatusLabel};

/// What a route's responses with one status are counted into.
#[derive(Clone, Copy)]
struct Pair {
    total: Option<Histogram>,
    upstream: Option<Histogram>,
}

/// All series of this instance.
pub(crate) struct Series {
    /// In seconds, as Prometheus wants it.
    bounds: Vec<f64>,
    status: StatusLabel,
    upstream: bool,
    /// By route, then by status or its class. A route meets few statuses, so those are searched from the front.
    known: RefCell<BTreeMap<String, Vec<(u16, Pair)>>>,
}

impl Series {
    /// None where there are to be no metrics.
    pub(crate) fn new(config: &Metrics) -> Result<Option<Self>> {
        let histograms = match config {
            Metrics::Switch(false) => return Ok(None),
            Metrics::Switch(true) => &Histograms::default(),
            Metrics::Settings(histograms) => histograms,
        };
        if !histograms.buckets_ms.is_sorted_by(|lower, upper| lower < upper) {
            return Err("metrics.buckets_ms: the bounds do not ascend".into());
        }
        let bounds = histograms.buckets_ms.iter().map(|bound| bound / 1000.0).collect();
        let (status, upstream) = (histograms.status, histograms.upstream);
        Ok(Some(Self { bounds, status, upstream, known: RefCell::default() }))
    }

    /// Counts one response.
    pub(crate) fn observe(&self, request: &Request, response: &Response, summary: &Summary) {
        let status = match self.status {
            StatusLabel::Code => response.status(),
            StatusLabel::Class => response.status() / 100,
        };
        let pair = self.pair(request.route(), status);
        if let Some(total) = pair.total {
            total.observe(seconds(summary.duration));
        }
        if let Some(histogram) = pair.upstream {
            let upstream = request.timings().upstream;
            if upstream > 0 {
                histogram.observe(seconds(upstream));
            }
        }
    }

    fn pair(&self, route: Option<String>, status: u16) -> Pair {
        // What no route matched is counted under the empty name.
        let route = route.unwrap_or_default();
        let mut known = self.known.borrow_mut();
        if let Some((_, pair)) = known.get(&route).and_then(|list| list.iter().find(|(known, _)| *known == status)) {
            return *pair;
        }
        let pair = self.register(&route, status);
        known.entry(route).or_default().push((status, pair));
        pair
    }

    fn register(&self, route: &str, status: u16) -> Pair {
        let status = match self.status {
            StatusLabel::Code => status.to_string(),
            StatusLabel::Class => format!("{status}xx"),
        };
        let labels = [("route", route), ("status", status.as_str())];
        let histogram = |name| Histogram::new(name, &labels, &self.bounds).ok();
        let total = histogram("duration_seconds");
        Pair { total, upstream: if self.upstream { histogram("upstream_seconds") } else { None } }
    }
}

/// Exact to the nanosecond for 104 days, which no request lasts.
#[allow(clippy::cast_precision_loss, reason = "a bucket is wider than the rounding")]
fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
