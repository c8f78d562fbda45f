//! Reads what a route matches.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderName, Method};

use super::super::file::{self, MatchScheme, ValueTest};
use super::super::problem::Report;
use super::template::Parameters;
use super::{networks, pattern};
use crate::exchange::Scheme;
use crate::plugin::schema::JsonPath;
use crate::router::{Conditions, Expression, HostPattern, PathPattern, Tail, Test};

/// What a route matches.
#[derive(Clone)]
pub(super) struct Matches {
    pub(super) host: HostPattern,
    pub(super) path: PathPattern,
    pub(super) path_regex: Option<Expression>,
    pub(super) methods: Vec<Method>,
    pub(super) conditions: Conditions,
}

impl Matches {
    /// The names under which parts of the path are kept.
    pub(super) fn parameters(&self) -> Parameters {
        let named = self.path_regex.iter().flat_map(Expression::names).map(Arc::from);
        let rest = match &self.path.tail {
            Tail::Rest(name) => Some(Arc::clone(name)),
            Tail::End | Tail::Anything => None,
        };
        Parameters { names: self.path.parameters().cloned().chain(named).collect(), rest }
    }
}

/// Compiles `match`; none if a part of it is at fault, here or before.
pub(super) fn compile(route: &file::Route, at: &JsonPath, report: &mut Report) -> Option<Matches> {
    let at = at.key("match");
    let whole = !report.is_gone(&at);
    let Some(written) = &route.matches else {
        let (host, path, conditions) = (HostPattern::Any, pattern::any_path(), Conditions::default());
        return whole.then_some(Matches { host, path, path_regex: None, methods: Vec::new(), conditions });
    };
    let (host_at, path_at, regex_at) = (at.key("host"), at.key("path"), at.key("path_regex"));
    let host = match &written.host {
        Some(text) => pattern::host(text, &host_at, report),
        None => (!report.is_gone(&host_at)).then_some(HostPattern::Any),
    };
    if written.path.is_some() && written.path_regex.is_some() {
        report.add(&regex_at, "stands beside \"path\"", "keep one of them");
    }
    let path = match &written.path {
        Some(text) => pattern::path(text, &path_at, report),
        None => (!report.is_gone(&path_at)).then(pattern::any_path),
    };
    let path_regex = match &written.path_regex {
        Some(text) => expression(text, &regex_at, report).map(Some),
        None => (!report.is_gone(&regex_at)).then_some(None),
    };
    let methods = methods(written, &at.key("methods"), report);
    let conditions = conditions(written, &at, report);
    let (host, path, path_regex) = (host?, path?, path_regex?);
    Some(Matches { host, path, path_regex, methods: methods?, conditions: conditions? })
}

fn methods(written: &file::Match, at: &JsonPath, report: &mut Report) -> Option<Vec<Method>> {
    let mut methods = Some(Vec::new()).filter(|_| !report.is_gone(at));
    for (index, text) in written.methods.iter().flatten().enumerate() {
        let method = text.as_deref().and_then(|text| pattern::method(text, &at.index(index), report));
        match (method, &mut methods) {
            (Some(method), Some(methods)) => methods.push(method),
            _ => methods = None,
        }
    }
    methods
}

fn conditions(written: &file::Match, at: &JsonPath, report: &mut Report) -> Option<Conditions> {
    let (headers_at, query_at, clients_at) = (at.key("headers"), at.key("query"), at.key("clients"));
    let whole = [&headers_at, &query_at, &clients_at].into_iter().all(|at| !report.is_gone(at));
    let mut headers = Vec::new();
    let tests = tests(written.headers.as_ref(), &headers_at, report);
    for (name, test) in tests? {
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => headers.push((name, test)),
            Err(_) => {
                let remedy = "use letters, digits and - (RFC 9110 section 5.1)";
                report.add(&headers_at.key(&name), format!("{name:?} is not a header name"), remedy);
                return None;
            }
        }
    }
    let query = self::tests(written.query.as_ref(), &query_at, report)?;
    let scheme = written.scheme.map(|scheme| match scheme {
        MatchScheme::Http => Scheme::Http,
        MatchScheme::Https => Scheme::Https,
    });
    let wanted = written.clients.as_deref();
    let clients = networks(wanted, &clients_at, report);
    let complete = whole && clients.len() == wanted.map_or(0, <[_]>::len);
    complete.then_some(Conditions { headers, query, scheme, clients })
}

fn tests(
    written: Option<&BTreeMap<String, Option<ValueTest>>>,
    at: &JsonPath,
    report: &mut Report,
) -> Option<Vec<(String, Test)>> {
    let mut tests = Some(Vec::new());
    for (name, written) in written.into_iter().flatten() {
        let at = at.key(name);
        let test = match written {
            Some(ValueTest::There(true)) => Some(Test::Present),
            Some(ValueTest::There(false)) => Some(Test::Absent),
            Some(ValueTest::Exact(text)) => Some(Test::Exact(text.clone())),
            Some(ValueTest::Like(like)) => match (&like.prefix, &like.regex) {
                (Some(prefix), _) => Some(Test::Prefix(prefix.clone())),
                (None, Some(regex)) => expression(regex, &at.key("regex"), report).map(Test::Matches),
                (None, None) => None,
            },
            None => None,
        };
        match (test, &mut tests) {
            (Some(test), Some(tests)) => tests.push((name.clone(), test)),
            _ => tests = None,
        }
    }
    tests
}

/// A regular expression.
pub(super) fn expression(text: &str, at: &JsonPath, report: &mut Report) -> Option<Expression> {
    match Expression::new(text) {
        Ok(expression) => Some(expression),
        Err(what) => {
            let remedy = "write one that the crate `regex` understands, without look-around and back references";
            report.add(at, format!("{text:?} is not a regular expression: {what}"), remedy);
            None
        }
    }
}
