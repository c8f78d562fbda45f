//! What was found of the gateway, and what that means for its parts.
//!
//! Pure.

use std::time::Duration;

use super::part::{Part, Status};
use super::pulse::Beat;
use crate::modes::{Mode, Standing, Word};
use crate::upstream::UpstreamReport;

/// Fewer failures one after the other may be chance.
const FAILING_MIN: u64 = 3;
/// Before its end a certificate deserves attention for so long: enough to renew it by hand, after automatic renewals have failed.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 3600);
const DAY_S: u64 = 24 * 3600;

/// A certificate that is shown to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What it is called: where it comes from, and its first names.
    pub name: String,
    /// When it ends, as Unix time; none: it stands in for one that has not been obtained yet.
    pub ends: Option<Duration>,
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FiringAlert {
    /// Its name.
    pub name: String,
    /// What it tells.
    pub summary: String,
    /// Whether something should be done about it; otherwise it is for information.
    pub is_serious: bool,
}

/// What was found of the gateway.
#[derive(Debug, Clone)]
pub struct Findings {
    /// Whether a generation serves.
    pub serving: bool,
    /// Whether it is about to end.
    pub draining: bool,
    /// The workers and their pulses.
    pub workers: Vec<(usize, Beat)>,
    /// The last change that was refused: of what, and why.
    pub refused: Option<(String, String)>,
    /// What of the configuration takes effect at the next start only, as paths.
    pub restart_needed: Vec<String>,
    /// What is wrong with plugin files.
    pub problems: Vec<String>,
    /// The plugins, and for how much longer they are quarantined.
    pub plugins: Vec<(String, Option<Duration>)>,
    /// The upstreams.
    pub upstreams: Vec<UpstreamReport>,
    /// What is wrong with the cache.
    pub cache: Vec<String>,
    /// What is wrong with Redis, and what that means; none: there is none.
    pub redis: Option<Vec<String>>,
    /// Why changes are refused: what is wrong with the folder in which they are written down.
    pub state: Vec<String>,
    /// The certificates.
    pub certificates: Vec<Certificate>,
    /// The alerts that fire.
    pub alerts: Vec<FiringAlert>,
    /// The mode.
    pub mode: Standing,
    /// Now, as Unix time.
    pub now: Duration,
}

/// The whole, made of its parts.
pub fn tree(found: &Findings) -> Part {
    let redis = found.redis.clone().map(|reasons| Part::judged("redis", Status::Degraded, reasons));
    let parts = [
        workers(found),
        configuration(found),
        plugins(found),
        Part::of("upstreams", found.upstreams.iter().map(|report| upstream(report, found.workers.len())).collect()),
        Part::judged("cache", Status::Degraded, found.cache.clone()),
    ];
    let certificates = found.certificates.iter().map(|one| certificate(one, found.now)).collect();
    let rest = [Part::of("certificates", certificates), alerts(found), mode(found)];
    let parts: Vec<Part> = parts.into_iter().chain(redis).chain(rest).collect();
    let no_worker = parts.first().is_some_and(|workers| workers.status == Status::Unhealthy);
    let mut whole = Part::of("gateway", parts);
    whole.status = match whole.status {
        _ if no_worker || !found.serving => Status::Unhealthy,
        Status::Healthy => Status::Healthy,
        Status::Degraded | Status::Unhealthy => Status::Degraded,
    };
    if !found.serving {
        whole = whole.and(Status::Unhealthy, vec!["no generation serves yet".to_owned()]);
    }
    whole
}

/// The whole in a word.
pub fn word(found: &Findings, whole: &Part) -> Word {
    match whole.status {
        _ if found.draining => Word::Draining,
        _ if !found.serving => Word::Starting,
        Status::Unhealthy => Word::Unhealthy,
        _ if found.mode.mode == Mode::Maintenance => Word::Maintenance,
        Status::Degraded => Word::Degraded,
        Status::Healthy => Word::Ready,
    }
}

fn workers(found: &Findings) -> Part {
    let part = |(number, beat): &(usize, Beat)| {
        let why = match beat {
            Beat::Beating => None,
            Beat::Stuck(silent) => Some(format!("has done nothing for {} s", silent.as_secs())),
            // That is what workers do then.
            Beat::Ended if found.draining => None,
            Beat::Ended => Some("has ended".to_owned()),
        };
        Part::judged(format!("worker-{number}"), Status::Unhealthy, why.into_iter().collect())
    };
    Part::of("workers", found.workers.iter().map(part).collect())
}

fn configuration(found: &Findings) -> Part {
    let reasons = found.refused.iter().map(|(of, why)| {
        let mut lines = why.lines();
        let first = lines.next().unwrap_or_default();
        match lines.count() {
            0 => format!("a change of the {of} was refused: {first}"),
            more => format!("a change of the {of} was refused: {first} (and {more} more)"),
        }
    });
    let waiting = (!found.restart_needed.is_empty()).then(|| {
        let paths = found.restart_needed.join(", ");
        format!("{paths} changed since the start and will take effect at the next one")
    });
    Part::judged("configuration", Status::Degraded, reasons.chain(waiting).chain(found.state.clone()).collect())
}

fn plugins(found: &Findings) -> Part {
    let part = |(name, quarantined): &(String, Option<Duration>)| {
        let why = quarantined.map(|left| {
            format!("is quarantined for {} s more, because it failed again and again", left.as_secs().max(1))
        });
        Part::judged(name.clone(), Status::Unhealthy, why.into_iter().collect())
    };
    let parts = found.plugins.iter().map(part).collect();
    Part::of("plugins", parts).and(Status::Degraded, found.problems.clone())
}

/// An upstream, asked by so many workers.
fn upstream(report: &UpstreamReport, workers: usize) -> Part {
    let workers = workers as u64;
    let mut reasons = Vec::new();
    let mut down = 0;
    for endpoint in &report.endpoints {
        let name = &endpoint.endpoint;
        if !endpoint.healthy {
            down += 1;
            reasons.push(format!("{name} is unhealthy: its checks fail"));
        } else if endpoint.ejected > 0 {
            down += usize::from(endpoint.ejected >= workers);
            reasons
                .push(format!("{name} is ejected by {} of {workers} workers: requests to it fail", endpoint.ejected));
        } else if endpoint.failing >= FAILING_MIN {
            reasons.push(format!("{name} has failed its last {} requests, all of them", endpoint.failing));
        }
    }
    let all = down > 0 && down == report.endpoints.len();
    if all {
        reasons.insert(0, format!("all of its endpoints are down ({down})"));
    }
    let open = report.breakers_open;
    if open > 0 {
        reasons.push(format!("the breaker is open in {open} of {workers} workers"));
    }
    let worse = if all || open >= workers.max(1) { Status::Unhealthy } else { Status::Degraded };
    Part::judged(report.name.as_str(), worse, reasons)
}

fn certificate(certificate: &Certificate, now: Duration) -> Part {
    let Some(ends) = certificate.ends else {
        let why = "has not been obtained yet; a self-signed one stands in for it";
        return Part::judged(certificate.name.clone(), Status::Degraded, vec![why.to_owned()]);
    };
    let name = certificate.name.clone();
    match ends.checked_sub(now) {
        None => {
            let days = (now - ends).as_secs() / DAY_S;
            Part::judged(name, Status::Unhealthy, vec![format!("has expired {days} days ago")])
        }
        Some(left) if left < EXPIRES_SOON => {
            Part::judged(name, Status::Degraded, vec![format!("expires in {} days", left.as_secs() / DAY_S)])
        }
        Some(_) => Part::healthy(name),
    }
}

fn alerts(found: &Findings) -> Part {
    let serious = found.alerts.iter().filter(|alert| alert.is_serious);
    let reasons = serious.map(|alert| format!("{} fires: {}", alert.name, alert.summary)).collect();
    Part::judged("alerts", Status::Degraded, reasons)
}

fn mode(found: &Findings) -> Part {
    let Standing { mode, by, .. } = &found.mode;
    let reasons = (*mode != Mode::Normal).then(|| format!("{mode}, chosen by {by}"));
    Part::judged("mode", Status::Degraded, reasons.into_iter().collect())
}
