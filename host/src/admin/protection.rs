//! `GET /api/v1/protection`: what the gateway takes on, who may come, and whom it has refused.
//!
//! What is set up is read from the configuration that serves, what has become of it from those who count; nothing is kept here.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::Status;
use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use crate::config::{Config, Route};
use crate::exchange::Reason;
use crate::names::Name;
use crate::telemetry::accounts::{Owner, ROUTES_MAX};
use crate::telemetry::metrics::{Exposition, Kind};
use crate::telemetry::refusals::Often;
use crate::time;
use crate::traffic::access::{Access, Refusing, Verdict};
use crate::traffic::concurrency::{self, Algorithm, Standing, standings};
use crate::traffic::rate::{self, Listed};
use crate::traffic::{Settings, bans};

/// Keys that are told of each limit.
const GREEDIEST_MAX: usize = 3;
/// Why somebody is refused who has done nothing that is wrong by HTTP.
const REFUSALS: [Reason; 6] = [
    Reason::Forbidden,
    Reason::Banned,
    Reason::HeadTooLarge,
    Reason::RequestTooLarge,
    Reason::ConcurrencyLimited,
    Reason::Overload,
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "What is taken on and who may come: limits, what has become of them, and who was refused";
    vec![Endpoint::get("/api/v1/protection", Role::Read, summary).gives(schema()).by(tell)]
}

async fn tell(context: Context) -> Result<Answer, Trouble> {
    let generation = context.generation()?;
    let config = &generation.config;
    let now = time::now();
    let (limits, bans, refused, workers) = {
        let status = context.status();
        let accounts = &status.instruments.records.accounts;
        (
            status.limits.list(GREEDIEST_MAX, now),
            status.bans.list(now).len(),
            refused(&accounts.sums()),
            accounts.workers(),
        )
    };
    let standings = standings();
    let routes: Vec<Value> = config.routes.iter().filter_map(|route| shown(route, &standings)).collect();
    Ok(Answer::json(&json!({
        "overload": overload(config, &workers),
        "addresses": config.overload.access.as_deref().map(addresses),
        "bans": banning(&config.overload, bans),
        "rate_limits": limits.iter().map(rate_limit).collect::<Vec<_>>(),
        "routes": routes,
        "refused": refused,
    })))
}

fn overload(config: &Config, workers: &[(u64, u64)]) -> Value {
    json!({
        "exchanges_max": config.overload.exchanges_max,
        "requests_in_flight": workers.iter().map(|(in_flight, _)| *in_flight).collect::<Vec<_>>(),
        "memory_bytes_max": config.overload.memory_limit(),
    })
}

fn refusing(refusing: Refusing) -> &'static str {
    match refusing {
        Refusing::Answer => "403",
        Refusing::Close => "close",
    }
}

fn addresses(access: &Access) -> Value {
    let [allow, deny] = access.networks;
    let others = match access.otherwise {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    };
    json!({ "allow": allow, "deny": deny, "others": others, "refuse": refusing(access.refusing) })
}

/// What is an offence and what comes of it; `held` is how many are banned at the moment.
fn banning(settings: &Settings, held: usize) -> Value {
    let after = settings.bans.as_deref().map(|settings: &bans::Settings| {
        json!({
            "after": settings.after,
            "within_seconds": settings.within.as_secs(),
            "for_seconds": settings.lasts.as_secs(),
            "for_seconds_max": settings.lasts_max.as_secs(),
            "statuses": settings.statuses.iter().map(StatusCode::as_u16).collect::<Vec<_>>(),
            "never": settings.never.len(),
            "refuse": refusing(settings.refusing),
        })
    });
    json!({ "offences": after, "held": held })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn rate_limit(limit: &Listed) -> Value {
    let algorithm = match limit.settings.algorithm {
        rate::Algorithm::SlidingWindow => "sliding_window",
        rate::Algorithm::TokenBucket => "token_bucket",
    };
    json!({
        "plugin": limit.owner.as_str(),
        "limit": limit.name,
        "algorithm": algorithm,
        "requests": limit.settings.requests,
        "window_ms": milliseconds(limit.settings.window),
        "burst": limit.settings.quota(),
        "keys": limit.keys,
        "refused": limit.refused,
        "refused_last_minute": limit.lately.total,
        "greediest": limit.lately.keys.iter().map(greedy).collect::<Vec<_>>(),
    })
}

/// A key that was refused often; what it is nobody is told.
fn greedy(often: &Often) -> Value {
    json!({
        "key": often.alias.to_string(),
        "address": often.whence.address().map(|address| address.to_string()),
        "refused": often.count,
    })
}

/// What a route takes on, if it says anything of that.
fn shown(route: &Route, standings: &BTreeMap<Name, Standing>) -> Option<Value> {
    let (name, protection) = (&route.matches.name, &route.protection);
    let says = protection.access.is_some()
        || protection.headers_max.is_some()
        || protection.header_bytes_max.is_some()
        || protection.concurrency.is_some()
        || route.body_bytes_max.is_some();
    says.then(|| {
        json!({
            "route": name.as_str(),
            "addresses": protection.access.as_deref().map(addresses),
            "headers_max": protection.headers_max,
            "header_bytes_max": protection.header_bytes_max,
            "body_bytes_max": route.body_bytes_max,
            "concurrency": protection.concurrency.map(|settings| concurrency(&settings, standings.get(name))),
        })
    })
}

fn concurrency(settings: &concurrency::Settings, standing: Option<&Standing>) -> Value {
    let standing = standing.cloned().unwrap_or_default();
    let (algorithm, tolerance, latency) = match settings.algorithm {
        Algorithm::Gradient { tolerance } => ("gradient", Some(tolerance), None),
        Algorithm::Aimd { latency } => ("aimd", None, Some(milliseconds(latency))),
    };
    json!({
        "algorithm": algorithm,
        "tolerance": tolerance,
        "latency_ms": latency,
        "min": settings.min,
        "max": settings.max,
        "limits": standing.limits,
        "in_flight": standing.under_way,
        "refused": standing.refused,
    })
}

/// How many requests were refused since the start, by route and why.
fn refused(sums: &[(Owner, crate::telemetry::accounts::Sum)]) -> Vec<Value> {
    let mut all = Vec::new();
    for (owner, sum) in sums {
        let route = match owner {
            Owner::Route(name) => Some(name.as_str()),
            Owner::None | Owner::Other => None,
        };
        for (reason, count) in Reason::ALL.iter().zip(sum.failures) {
            if count > 0 && REFUSALS.contains(reason) {
                all.push(json!({ "route": route, "reason": reason.as_str(), "requests": count }));
            }
        }
    }
    all
}

fn schema() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer", "minimum": 0 }));
    let (maybe, number) = (json!({ "type": ["integer", "null"], "minimum": 0 }), json!({ "type": ["number", "null"] }));
    let counts = json!({ "type": "array", "items": count });
    let object = |properties: Value| {
        let required: Vec<&String> = properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        json!({ "type": "object", "required": required, "properties": properties })
    };
    let list = |properties: Value| json!({ "type": "array", "items": object(properties) });
    let or_null = |mut schema: Value| {
        if let Some(schema) = schema.as_object_mut() {
            schema.insert("type".to_owned(), json!(["object", "null"]));
        }
        schema
    };
    let refuse = json!({ "enum": ["403", "close"] });
    let addresses = or_null(object(
        json!({ "allow": count, "deny": count, "others": { "enum": ["allow", "deny"] }, "refuse": refuse }),
    ));
    let offences = or_null(object(json!({
        "after": count, "within_seconds": count, "for_seconds": count, "for_seconds_max": count, "statuses": counts,
        "never": count, "refuse": refuse,
    })));
    let concurrency = or_null(object(json!({
        "algorithm": { "enum": ["gradient", "aimd"] }, "tolerance": number, "latency_ms": maybe, "min": count,
        "max": count, "limits": counts, "in_flight": count, "refused": count,
    })));
    object(json!({
        "overload": object(json!({ "exchanges_max": count, "requests_in_flight": counts, "memory_bytes_max": maybe })),
        "addresses": addresses,
        "bans": object(json!({ "offences": offences, "held": count })),
        "rate_limits": list(json!({
            "plugin": text, "limit": text, "algorithm": { "enum": ["sliding_window", "token_bucket"] },
            "requests": count, "window_ms": count, "burst": count, "keys": count, "refused": count,
            "refused_last_minute": count,
            "greediest": list(json!({ "key": text, "address": { "type": ["string", "null"] }, "refused": count })),
        })),
        "routes": list(json!({
            "route": text, "addresses": addresses, "headers_max": maybe, "header_bytes_max": maybe,
            "body_bytes_max": maybe, "concurrency": concurrency,
        })),
        "refused": list(json!({ "route": { "type": ["string", "null"] }, "reason": text, "requests": count })),
    }))
}

/// The metrics of what is told here and nowhere else.
pub(super) fn expose(status: &Status, out: &mut Exposition) {
    out.family("portcullis_bans", "Addresses that are banned.", Kind::Gauge);
    out.count::<&str, &str>("portcullis_bans", &[], status.bans.list(time::now()).len() as u64);
    let standings = standings();
    let limits = standings.iter().take(ROUTES_MAX);
    let name = "portcullis_concurrency_limit";
    out.family(name, "Requests of a route that may be under way, in all workers.", Kind::Gauge);
    for (route, standing) in limits.clone() {
        out.count(name, &[("route", route.as_str())], standing.limits.iter().copied().map(u64::from).sum());
    }
    let name = "portcullis_concurrency_in_flight";
    out.family(name, "Requests under way of a route whose number is limited.", Kind::Gauge);
    for (route, standing) in limits {
        out.count(name, &[("route", route.as_str())], standing.under_way);
    }
}
