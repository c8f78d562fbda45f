//! Hints about one endpoint beside the others of its upstream: it fails, or it is slow.
//!
//! Both go by the last seconds: what is over is not spoken of any more.

use std::time::Duration;

use super::hints::REQUESTS_MIN;
use super::{About, Hint, Known, Severity};
use crate::telemetry::figures::EndpointFigures;

/// An endpoint that fails so often, beside others that do not.
const FAILING_MIN: f64 = 0.05;
/// An endpoint that takes so many times as long as the others is not just unlucky.
const SLOWER_MIN: f64 = 2.0;
/// What it takes longer than the others must be worth a look.
const LONGER_MIN: Duration = Duration::from_millis(10);

/// The endpoints of each upstream, each with the others.
fn beside_others<'k>(
    known: &'k Known<'_>,
) -> impl Iterator<Item = (&'k str, &'k EndpointFigures, Vec<&'k EndpointFigures>)> {
    known.live.upstreams.iter().flat_map(|upstream| {
        upstream.endpoints.iter().enumerate().map(|(index, endpoint)| {
            let others = upstream.endpoints.iter().enumerate().filter(move |(other, _)| *other != index);
            (upstream.upstream.as_str(), endpoint, others.map(|(_, other)| other).collect())
        })
    })
}

fn about(upstream: &str, endpoint: &EndpointFigures) -> About {
    let (upstream, endpoint) = (Some(upstream.to_owned()), Some(endpoint.endpoint.clone()));
    About { upstream, endpoint, ..About::default() }
}

/// Endpoints that fail while others of the upstream do not.
pub(super) fn failing(known: &Known<'_>) -> Vec<Hint> {
    let mut hints = Vec::new();
    for (upstream, endpoint, others) in beside_others(known) {
        if endpoint.requests < REQUESTS_MIN || others.is_empty() {
            continue;
        }
        let part = endpoint.failures as f64 / endpoint.requests as f64;
        let (requests, failures) = others
            .iter()
            .fold((0, 0), |(requests, failures), other| (requests + other.requests, failures + other.failures));
        let of_others = failures as f64 / requests.max(1) as f64;
        if part < FAILING_MIN || of_others > part / 2.0 {
            continue;
        }
        let which = &endpoint.endpoint;
        let text = format!(
            "Endpoint {which} of upstream {upstream} has failed {:.1} % of its last {} requests, the others {:.1} %. Drain it and look at it \
             (portcullis ctl endpoint {upstream} {which} --drain), or let it be found out sooner: \"ejection_failures\", \"ejection_errors\" \
             and \"health\" of the upstream.",
            part * 100.0,
            endpoint.requests,
            of_others * 100.0
        );
        hints.push(Hint {
            kind: "failing_endpoint",
            severity: Severity::Warning,
            about: about(upstream, endpoint),
            text,
            figures: vec![
                ("failure_ratio", part),
                ("others_failure_ratio", of_others),
                ("requests", endpoint.requests as f64),
            ],
        });
    }
    hints
}

/// Endpoints that take much longer to answer than others of the upstream.
pub(super) fn slow(known: &Known<'_>) -> Vec<Hint> {
    let mut hints = Vec::new();
    for (upstream, endpoint, others) in beside_others(known) {
        let (Some(usual), Some(of_others)) = (endpoint.usual, together(&others)) else { continue };
        if endpoint.answers < REQUESTS_MIN
            || usual < of_others.mul_f64(SLOWER_MIN)
            || usual.saturating_sub(of_others) < LONGER_MIN
        {
            continue;
        }
        let (which, ms) = (&endpoint.endpoint, |time: Duration| time.as_secs_f64() * 1e3);
        let times = usual.as_secs_f64() / of_others.as_secs_f64().max(f64::MIN_POSITIVE);
        let text = format!(
            "Endpoint {which} of upstream {upstream} usually takes {:.1} ms to answer, the others {:.1} ms (of its last {} answers). Drain it and \
             look at it (portcullis ctl endpoint {upstream} {which} --drain), or let requests go where they are answered sooner: \
             \"balance\": \"p2c\" of the upstream.",
            ms(usual),
            ms(of_others),
            endpoint.answers,
        );
        hints.push(Hint {
            kind: "slow_endpoint",
            severity: Severity::Warning,
            about: about(upstream, endpoint),
            text,
            figures: vec![
                ("usual_ms", ms(usual)),
                ("others_usual_ms", ms(of_others)),
                ("times", times),
                ("answers", endpoint.answers as f64),
            ],
        });
    }
    hints
}

/// What these usually take, those that answered more counting more; none: too little to go by.
fn together(endpoints: &[&EndpointFigures]) -> Option<Duration> {
    let answers: u64 = endpoints.iter().map(|endpoint| endpoint.answers).sum();
    let seconds = |endpoint: &&EndpointFigures| Some(endpoint.usual?.as_secs_f64() * endpoint.answers as f64);
    let all: f64 = endpoints.iter().filter_map(seconds).sum();
    (answers >= REQUESTS_MIN).then(|| Duration::from_secs_f64(all / answers as f64))
}
