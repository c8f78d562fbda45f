//! `GET /api/v1/advice`: hints with numbers, from what has been measured.

use std::time::Duration;

use serde_json::{Value, json};

use super::answer::Answer;
use super::context::Context;
use super::endpoint::Endpoint;
use super::settings::Role;
use super::trouble::Trouble;
use super::{Status, upstreams};
use crate::advice::{Hint, Known, PoolKnown, RouteKnown, advise};
use crate::pipeline::Handler;
use crate::repeats;
use crate::telemetry::refusals::Refused;
use crate::time;

/// Figures of so long are what hints are made of: long enough not to be about a single request.
const WINDOW: Duration = Duration::from_secs(60);
/// So many keys of a limit, or addresses, are looked at for being refused often. With a share of a quarter there are four at most.
const REFUSED_MAX: usize = 8;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let text = json!({ "type": "string" });
    let hint = json!({
        "type": "object",
        "required": ["kind", "severity", "text", "figures"],
        "properties": {
            "kind": text, "severity": { "enum": ["info", "warning"] }, "route": text, "plugin": text, "upstream": text,
            "endpoint": text, "limit": text, "key": text, "address": text,
            "text": text, "figures": { "type": "object", "additionalProperties": { "type": ["number", "null"] } },
        },
    });
    let gives = json!({
        "type": "object", "required": ["advice"], "properties": { "advice": { "type": "array", "items": hint } },
    });
    vec![Endpoint::get("/api/v1/advice", Role::Read, "Hints with numbers, and what to change").gives(gives).by(advice)]
}

async fn advice(context: Context) -> Result<Answer, Trouble> {
    let hints = hints(&context.status());
    Ok(Answer::json(&json!({ "advice": hints.iter().map(Hint::json).collect::<Vec<Value>>() })))
}

fn hints(status: &Status) -> Vec<Hint> {
    let Some(generation) = &status.generation else { return Vec::new() };
    let config = &generation.config;
    let (live, reports, repeats) =
        (status.instruments.figures.live(WINDOW), upstreams::report(status), repeats::seen());
    let pool = |settings: &crate::upstream::Settings| PoolKnown {
        upstream: settings.name.clone(),
        connections_max: settings.connections_max,
        workers: config.workers,
    };
    let route = |route: &crate::config::Route| {
        let shares = match &route.handler {
            Handler::Proxy(proxy) => &proxy.shares[..],
            Handler::Files(_) | Handler::Respond { .. } | Handler::Redirect { .. } => &[],
        };
        let asked = shares.iter().filter_map(|share| config.upstreams.get(share.upstream));
        RouteKnown {
            name: route.matches.name.clone(),
            caches: route.cache.is_some(),
            upstreams: asked.map(|upstream| upstream.name.clone()).collect(),
        }
    };
    let (bans, now) = (&status.bans, time::now());
    // Who has been banned since is spoken of no more: that was the remedy.
    let banned = |address| bans.left(address, now).is_some();
    let mut exceeded = status.limits.refused(REFUSED_MAX, now);
    for limit in &mut exceeded {
        limit.refused = std::mem::take(&mut limit.refused).without(banned);
    }
    let crowds = status.instruments.doors.iter().map(|(_, counts)| counts.crowds.told(REFUSED_MAX, now));
    advise(&Known {
        live: &live,
        routes: config.routes.iter().map(route).collect(),
        pools: config.upstreams.iter().map(pool).collect(),
        upstreams: &reports,
        repeats: &repeats,
        cache_bytes: status.purger.as_ref().map_or(0, |purger| purger.cache().size().1),
        cache_bytes_max: config.cache.memory_bytes_max,
        exceeded,
        turned_away: bans.turned_away.told(REFUSED_MAX, now),
        crowds: crowds.fold(Refused::default(), Refused::with).without(banned),
    })
}
