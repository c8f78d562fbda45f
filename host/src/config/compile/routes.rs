//! Reads the routes and finds those that match the same requests.
//!
//! A route with a mistake in its pattern is not compared with others: what it was meant to match is not known.

use std::path::Path;

use http::Method;

use super::super::file::{self, File};
use super::super::problem::Report;
use super::super::{Route, RouteCache};
use super::plugins::Plugins;
use super::{Unique, handler, name, pattern};
use crate::plugin::schema::JsonPath;
use crate::router::{self, HostPattern, PathPattern, Segment};

/// Compiles `routes`.
pub(super) fn compile((file, folder): (&File, &Path), plugins: &Plugins<'_>, report: &mut Report) -> Vec<Route> {
    let at = JsonPath::root().key("routes");
    let mut names = Unique::default();
    let mut matched: Vec<Matched> = Vec::new();
    let mut routes = Vec::new();
    for (index, written) in file.routes.iter().flatten().enumerate() {
        let Some(written) = written else { continue };
        let at = at.index(index);
        let route_name = written.name.as_deref().and_then(|text| name(text, &at.key("name"), report));
        if let Some(text) = &written.name {
            names.note(text, &at.key("name"), report, "give each route its own name");
        }
        let pattern = matches(written, &at, report);
        let path = pattern.as_ref().map(|pattern| &pattern.path);
        let handler = handler::compile(written, path, (file, folder), &at, report);
        let chain = plugins.chain_of(written, &at.key("plugins"));
        let unlisted = plugins.unlisted_of(written, &at.key("plugins"), report);
        if let Some(pattern) = &pattern {
            same_match(pattern, &matched, &at, report);
            matched.push(Matched { at: at.clone(), pattern: pattern.clone() });
        }
        let (Some(name), Some(pattern), Some(handler)) = (route_name, pattern, handler) else { continue };
        routes.push(Route {
            matches: router::Settings { name, host: pattern.host, path: pattern.path, methods: pattern.methods },
            handler,
            cache: if written.cache.unwrap_or(false) { RouteCache::On } else { RouteCache::Off },
            chain,
            unlisted,
            body_bytes_max: written.body_bytes_max,
        });
    }
    routes
}

/// What a route matches.
#[derive(Clone)]
struct Pattern {
    host: HostPattern,
    path: PathPattern,
    methods: Vec<Method>,
}

struct Matched {
    at: JsonPath,
    pattern: Pattern,
}

/// Compiles `match`; none if a part of it is at fault, here or before.
fn matches(route: &file::Route, at: &JsonPath, report: &mut Report) -> Option<Pattern> {
    let at = at.key("match");
    let whole = !report.is_gone(&at);
    let Some(written) = &route.matches else {
        let any = Pattern { host: HostPattern::Any, path: pattern::any_path(), methods: Vec::new() };
        return whole.then_some(any);
    };
    let (host_at, path_at, methods_at) = (at.key("host"), at.key("path"), at.key("methods"));
    let host = match &written.host {
        Some(text) => pattern::host(text, &host_at, report),
        None => (!report.is_gone(&host_at)).then_some(HostPattern::Any),
    };
    let path = match &written.path {
        Some(text) => pattern::path(text, &path_at, report),
        None => (!report.is_gone(&path_at)).then(pattern::any_path),
    };
    let mut methods = Some(Vec::new()).filter(|_| !report.is_gone(&methods_at));
    for (index, text) in written.methods.iter().flatten().enumerate() {
        let method = text.as_deref().and_then(|text| pattern::method(text, &methods_at.index(index), report));
        match (method, &mut methods) {
            (Some(method), Some(methods)) => methods.push(method),
            _ => methods = None,
        }
    }
    Some(Pattern { host: host?, path: path?, methods: methods? })
}

/// Reports a route that an earlier one leaves nothing to decide by.
fn same_match(pattern: &Pattern, before: &[Matched], at: &JsonPath, report: &mut Report) {
    let same = |other: &&Matched| {
        let other = &other.pattern;
        pattern.host == other.host && same_path(&pattern.path, &other.path) && overlap(&pattern.methods, &other.methods)
    };
    if let Some(other) = before.iter().find(same) {
        let what = format!("matches the same requests as {}", other.at);
        report.add(&at.key("match"), what, "change host, path or methods of one of them");
    }
}

/// Whether two patterns match the same paths. How a parameter is called makes no difference.
fn same_path(one: &PathPattern, other: &PathPattern) -> bool {
    let same = |(one, other): (&Segment, &Segment)| match (one, other) {
        (Segment::Parameter(_), Segment::Parameter(_)) => true,
        (one, other) => one == other,
    };
    one.tail == other.tail
        && one.segments.len() == other.segments.len()
        && one.segments.iter().zip(&other.segments).all(same)
}

/// Whether some method is in both. No methods are all of them, and GET includes HEAD.
fn overlap(one: &[Method], other: &[Method]) -> bool {
    let includes = |methods: &[Method], method: &Method| {
        methods.contains(method) || (method == Method::HEAD && methods.contains(&Method::GET))
    };
    one.is_empty()
        || other.is_empty()
        || one.iter().any(|method| includes(other, method))
        || other.iter().any(|method| includes(one, method))
}
