//! Reads what a route does with its responses as a cache.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::super::file::{RouteCache, RouteCacheSettings};
use super::super::problem::Report;
use crate::cache::policy::Policy;
use crate::plugin::schema::JsonPath;

/// Compiles `cache` of a route.
pub(super) fn compile(
    written: Option<&RouteCache>,
    route: Option<&str>,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Arc<Policy>> {
    let nothing = RouteCacheSettings::default();
    let written = match written? {
        RouteCache::Switch(false) => return None,
        RouteCache::Switch(true) => &nothing,
        RouteCache::Settings(settings) => settings,
    };
    let defaults = Policy::default();
    let seconds = |written: Option<u64>, default| written.map_or(default, Duration::from_secs);
    Some(Arc::new(Policy {
        heuristic_percent: written.heuristic_percent.unwrap_or(defaults.heuristic_percent),
        heuristic_max: seconds(written.heuristic_max_seconds, defaults.heuristic_max),
        stale_while_revalidate: seconds(written.stale_while_revalidate_seconds, defaults.stale_while_revalidate),
        stale_if_error: seconds(written.stale_if_error_seconds, defaults.stale_if_error),
        stale_if_unreachable: seconds(written.stale_if_unreachable_seconds, defaults.stale_if_unreachable),
        set_cookie: written.set_cookie.map_or(defaults.set_cookie, Into::into),
        authorization: written.authorization.map_or(defaults.authorization, Into::into),
        client_directives: written.client_directives.map_or(defaults.client_directives, Into::into),
        targeted: match &written.targeted {
            Some(names) => targeted(names, &at.key("targeted"), report),
            None => defaults.targeted,
        },
        wait_max: written.wait_max_ms.map_or(defaults.wait_max, Duration::from_millis),
        pass_for: seconds(written.pass_seconds, defaults.pass_for),
        namespace: written.namespace.as_deref().or(route).unwrap_or_default().into(),
    }))
}

fn targeted(written: &[Option<String>], at: &JsonPath, report: &mut Report) -> Vec<HeaderName> {
    let mut names = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let Some(text) = text else { continue };
        match HeaderName::try_from(text) {
            Ok(name) => names.push(name),
            Err(_) => {
                let what = format!("{text:?} is not the name of a field");
                report.add(&at.index(index), what, "write one such as \"cdn-cache-control\"");
            }
        }
    }
    names
}
