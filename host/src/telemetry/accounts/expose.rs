//! What was counted of requests, as metrics.

use super::{Accounts, BOUNDS, Exemplar, Methods, Owner, Sum};
use crate::exchange::{Fault, Reason};
use crate::telemetry::metrics::{Bucket, Exposition, Kind};
use crate::telemetry::times::{Spread, nanoseconds};

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const PARTS: [&str; 4] = ["routing", "cache", "upstream", "plugins"];

impl Accounts {
    /// Writes the metrics of requests. `plugin` gives the name of a plugin that has this number.
    pub fn expose(&self, plugin: &dyn Fn(u32) -> Option<String>, out: &mut Exposition) {
        let sums = self.sums();
        requests(&sums, out);
        errors(&sums, out);
        let durations = "portcullis_request_duration_seconds";
        out.family(durations, "Time from the request head to the last byte of the response.", Kind::Histogram);
        for (owner, sum) in &sums {
            let examples = self.examples(owner);
            times(durations, &[("route", owner.as_str())], &sum.duration, Some(&examples), out);
        }
        let heads = "portcullis_response_head_seconds";
        out.family(heads, "Time from the request head to the response head.", Kind::Histogram);
        for (owner, sum) in &sums {
            times(heads, &[("route", owner.as_str())], &sum.head, None, out);
        }
        let name = "portcullis_request_part_seconds_total";
        out.family(name, "Time that requests spent in a part of the gateway.", Kind::Counter);
        for (owner, sum) in &sums {
            for (part, nanoseconds) in PARTS.iter().zip(sum.parts) {
                out.number(name, &[("route", owner.as_str()), ("part", part)], seconds(nanoseconds));
            }
        }
        plugins(&sums, plugin, out);
        type Bytes = fn(&Sum) -> u64;
        let counts: [(&str, &str, Bytes); 3] = [
            ("portcullis_request_bytes_total", "Bytes of request bodies.", |sum| sum.request_bytes),
            ("portcullis_response_bytes_total", "Bytes of response bodies.", |sum| sum.response_bytes),
            ("portcullis_responses_incomplete_total", "Responses that broke off, and requests without one.", |sum| {
                sum.incomplete
            }),
        ];
        for (name, help, value) in counts {
            out.family(name, help, Kind::Counter);
            for (owner, sum) in &sums {
                out.count(name, &[("route", owner.as_str())], value(sum));
            }
        }
    }
}

fn requests(sums: &[(Owner, Sum)], out: &mut Exposition) {
    let name = "portcullis_requests_total";
    out.family(name, "Requests by route, method and status class; 4xx are also those whose client went away before there was a response.", Kind::Counter);
    for (owner, sum) in sums {
        for (method, classes) in Methods::ALL.iter().zip(sum.requests) {
            for (class, count) in CLASSES.iter().zip(classes).filter(|(_, count)| *count > 0) {
                let labels = [("route", owner.as_str()), ("method", method.as_str()), ("status", class)];
                out.count(name, &labels, count);
            }
        }
    }
}

fn errors(sums: &[(Owner, Sum)], out: &mut Exposition) {
    let name = "portcullis_errors_total";
    out.family(name, "Requests that failed, by whose fault and why.", Kind::Counter);
    for (owner, sum) in sums {
        let failures = Reason::ALL.iter().zip(sum.failures);
        let failures = failures.map(|(reason, count)| (reason.fault(), reason.as_str(), count));
        let status = [(Fault::Upstream, "upstream_status", sum.upstream_status)];
        for (fault, reason, count) in failures.chain(status).filter(|(_, _, count)| *count > 0) {
            let labels = [("route", owner.as_str()), ("fault", fault.as_str()), ("reason", reason)];
            out.count(name, &labels, count);
        }
    }
}

fn plugins(sums: &[(Owner, Sum)], plugin: &dyn Fn(u32) -> Option<String>, out: &mut Exposition) {
    // Those who found no place of their own have a number that is no plugin's.
    let name_of = |number| plugin(number).unwrap_or_else(|| "_other".to_owned());
    let name = "portcullis_request_plugin_seconds_total";
    out.family(name, "Time that requests of a route spent in a plugin.", Kind::Counter);
    for (owner, sum) in sums {
        for known in &sum.plugins {
            let labels = [("route", owner.as_str()), ("plugin", &name_of(known.number))];
            out.number(name, &labels, seconds(known.nanoseconds));
        }
    }
    let name = "portcullis_request_plugin_requests_total";
    out.family(name, "Requests of a route for which a plugin was called.", Kind::Counter);
    for (owner, sum) in sums {
        for known in &sum.plugins {
            out.count(name, &[("route", owner.as_str()), ("plugin", &name_of(known.number))], known.calls);
        }
    }
}

/// Writes how long things took, with the bounds of requests.
pub fn times(
    name: &str,
    labels: &[(&str, &str)],
    spread: &Spread,
    exemplars: Option<&[Option<Exemplar>; BOUNDS.len() + 1]>,
    out: &mut Exposition,
) {
    let exemplar = |index: usize| exemplars.and_then(|exemplars| exemplars.get(index)?.as_ref());
    let bounded = BOUNDS.iter().enumerate().map(|(index, bound)| Bucket {
        bound: bound.as_secs_f64(),
        count: spread.at_most(nanoseconds(*bound)),
        exemplar: exemplar(index),
    });
    let last = Bucket { bound: f64::INFINITY, count: spread.count(), exemplar: exemplar(BOUNDS.len()) };
    out.buckets(name, labels, bounded.chain([last]), seconds(spread.nanoseconds));
}

fn seconds(nanoseconds: u64) -> f64 {
    // Exact up to 2^53, which are 104 days.
    nanoseconds as f64 / 1e9
}
