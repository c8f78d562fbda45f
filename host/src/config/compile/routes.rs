//! Reads the routes and finds those that match the same requests.
//!
//! A route with a mistake in its pattern is not compared with others: what it was meant to match is not known.

use std::path::Path;

use http::Method;

use super::super::Route;
use super::super::file::File;
use super::super::problem::Report;
use super::edits::{self, Side};
use super::matches::{self, Matches};
use super::plugins::Plugins;
use super::{Unique, compression, handler, name, route_cache};
use crate::plugin::schema::JsonPath;
use crate::router::{self, PathPattern, Segment, Tail};

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
        let matches = matches::compile(written, &at, report);
        let priority = written.priority.unwrap_or(0);
        let found = matches.map(|matches| Matched { at: at.clone(), priority, matches });
        let parameters = found.as_ref().map(|found| found.matches.parameters());
        let handler = handler::compile(written, parameters.as_ref(), (file, folder), &at, report);
        let of = |side| (side, parameters.as_ref());
        let (request, response) = (at.key("request_headers"), at.key("response_headers"));
        let request_edits = edits::compile(written.request_headers.as_ref(), of(Side::Request), &request, report);
        let response_edits = edits::compile(written.response_headers.as_ref(), of(Side::Response), &response, report);
        let (whole, own) = (file.compression.as_ref(), written.compression.as_ref());
        let compression = compression::compile(whole, own, &at.key("compression"), report);
        let cache = route_cache::compile(written.cache.as_ref(), written.name.as_deref(), &at.key("cache"), report);
        let chain = plugins.chain_of(written, &at.key("plugins"));
        let unlisted = plugins.unlisted_of(written, &at.key("plugins"), report);
        if let Some(found) = &found {
            same_match(found, &matched, report);
            matched.push(found.clone());
        }
        let (Some(name), Some(found), Some(handler)) = (route_name, found, handler) else { continue };
        let Matches { host, path, path_regex, methods, conditions } = found.matches;
        routes.push(Route {
            matches: router::Settings { name, priority, host, path, path_regex, methods, conditions },
            handler,
            cache,
            chain,
            unlisted,
            body_bytes_max: written.body_bytes_max,
            // Once all routes are there: it reads files.
            protection: Default::default(),
            request_edits,
            response_edits,
            compression,
        });
    }
    routes
}

#[derive(Clone)]
struct Matched {
    at: JsonPath,
    priority: i32,
    matches: Matches,
}

/// Reports a route that an earlier one leaves nothing to decide by.
fn same_match(new: &Matched, before: &[Matched], report: &mut Report) {
    let same = |other: &&Matched| {
        let (one, other, levels) = (&new.matches, &other.matches, (new.priority, other.priority));
        levels.0 == levels.1
            && one.host == other.host
            && one.path_regex == other.path_regex
            && same_path(&one.path, &other.path)
            && one.conditions == other.conditions
            && overlap(&one.methods, &other.methods)
    };
    if let Some(other) = before.iter().find(same) {
        let what = format!("matches the same requests as {}", other.at);
        report.add(
            &new.at.key("match"),
            what,
            "change host, path, methods or conditions of one of them, or its priority",
        );
    }
}

/// Whether two patterns match the same paths. How a parameter is called makes no difference.
fn same_path(one: &PathPattern, other: &PathPattern) -> bool {
    let same = |(one, other): (&Segment, &Segment)| match (one, other) {
        (Segment::Parameter(_), Segment::Parameter(_)) => true,
        (one, other) => one == other,
    };
    (one.tail == Tail::End) == (other.tail == Tail::End)
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
