//! Finds the route of a request: by host, path and method.
//!
//! Pure: values in, a decision out. Precedence does not depend on the order in the file: an exact host before the longest
//! wildcard before any; then a whole path before a prefix (`/*`), a longer prefix before a shorter one, and a text before a
//! `{param}` where two differ first; then a route that names the method before one for all. A route that does not take
//! the method is passed over; only when no other takes it, the answer is "method not allowed".

mod pattern;
mod percent;
mod tree;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::Method;

use crate::names::Name;

pub use pattern::{HostPattern, HostPatternError, PathPattern, PathPatternError, Segment, Tail};

use tree::Tree;

/// What one route matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The route's name.
    pub name: Name,
    /// Which hosts.
    pub host: HostPattern,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; empty for all. GET includes HEAD.
    pub methods: Vec<Method>,
}

/// What became of looking for a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Routed {
    /// There is one.
    Found {
        /// Its position in the settings.
        route: usize,
        /// What the `{name}` parts of its path matched, percent-decoded.
        parameters: Vec<(Arc<str>, String)>,
    },
    /// No route has this host and path.
    NotFound,
    /// There are routes, but none takes the method.
    MethodNotAllowed {
        /// The methods that they take, for `Allow` (RFC 9110 section 10.2.1).
        allow: String,
    },
}

/// Two routes that match the same requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("matches the same requests as the route `{first}`; give it another host, path or method, or remove it")]
pub struct Conflict {
    /// The route that came first.
    pub first: Name,
    /// The route that came later.
    pub second: Name,
}

/// All routes, ready to be looked up.
#[derive(Debug, Default)]
pub struct Router {
    /// By host, sorted.
    exact: Vec<(Box<str>, Paths)>,
    /// By suffix with its leading dot, sorted.
    suffix: Vec<(Box<str>, Paths)>,
    any: Paths,
    /// The path of each route, to find its parameters; none where it has no parameter.
    patterns: Vec<Option<PathPattern>>,
}

type Paths = Tree<Vec<Candidate>>;

/// A route with a host and path that others may have, too.
#[derive(Debug)]
struct Candidate {
    route: usize,
    methods: Vec<Method>,
}

impl Router {
    /// A router for these routes. Fails with all pairs of routes of which one could never be chosen.
    pub fn new(routes: &[Settings]) -> Result<Self, Vec<Conflict>> {
        let mut router = Self::default();
        let (mut exact, mut suffix) = (BTreeMap::<String, Paths>::new(), BTreeMap::<String, Paths>::new());
        let mut conflicts = Vec::new();
        for (index, route) in routes.iter().enumerate() {
            let paths = match &route.host {
                HostPattern::Any => &mut router.any,
                HostPattern::Exact(name) => exact.entry(name.to_ascii_lowercase()).or_default(),
                HostPattern::Suffix(name) => suffix.entry(name.to_ascii_lowercase()).or_default(),
            };
            let candidates = paths.entry(&route.path);
            let rival = candidates.iter().find(|known| overlap(&known.methods, &route.methods));
            if let Some(first) = rival.and_then(|rival| routes.get(rival.route)) {
                conflicts.push(Conflict { first: first.name.clone(), second: route.name.clone() });
            }
            candidates.push(Candidate { route: index, methods: route.methods.clone() });
            // Stable: those that name methods first.
            candidates.sort_by_key(|candidate| candidate.methods.is_empty());
            let has_parameter = route.path.segments.iter().any(|segment| matches!(segment, Segment::Parameter(_)));
            router.patterns.push(has_parameter.then(|| route.path.clone()));
        }
        let sorted =
            |hosts: BTreeMap<String, Paths>| hosts.into_iter().map(|(name, paths)| (name.into(), paths)).collect();
        (router.exact, router.suffix) = (sorted(exact), sorted(suffix));
        if conflicts.is_empty() { Ok(router) } else { Err(conflicts) }
    }

    /// The route of a request. `host` is what the client asked for, with or without port, in any case, or empty; `path` is
    /// as it came, without query.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Routed {
        let host = host_name(host);
        let found = self.visit(host, path, &mut |candidates| match choose(candidates, method) {
            Some(route) => ControlFlow::Break(route),
            None => ControlFlow::Continue(()),
        });
        match found {
            ControlFlow::Break(route) => Routed::Found { route, parameters: self.parameters(route, path) },
            ControlFlow::Continue(()) => self.refuse(host, path),
        }
    }

    fn visit<'r, B>(
        &'r self,
        host: &str,
        path: &str,
        visit: &mut impl FnMut(&'r Vec<Candidate>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if let Some(paths) = named(&self.exact, host) {
            paths.visit(path, visit)?;
        }
        if !self.suffix.is_empty() {
            // From the longest suffix to the shortest; the first dot of `.a` has no name before it.
            for (at, _) in host.match_indices('.').filter(|(at, _)| *at > 0) {
                let suffix = host.split_at_checked(at).and_then(|(_, suffix)| named(&self.suffix, suffix));
                if let Some(paths) = suffix {
                    paths.visit(path, visit)?;
                }
            }
        }
        self.any.visit(path, visit)
    }

    #[cold]
    fn refuse(&self, host: &str, path: &str) -> Routed {
        let mut methods = Vec::new();
        let _: ControlFlow<()> = self.visit(host, path, &mut |candidates| {
            methods.extend(candidates.iter().flat_map(|candidate| &candidate.methods).map(Method::as_str));
            ControlFlow::Continue(())
        });
        if methods.is_empty() {
            return Routed::NotFound;
        }
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.dedup();
        Routed::MethodNotAllowed { allow: methods.join(", ") }
    }

    fn parameters(&self, route: usize, path: &str) -> Vec<(Arc<str>, String)> {
        let Some(Some(pattern)) = self.patterns.get(route) else { return Vec::new() };
        let mut parameters = Vec::new();
        let mut rest = path;
        for segment in &pattern.segments {
            let Some((text, after)) = tree::split(rest) else { break };
            if let Segment::Parameter(name) = segment {
                parameters.push((Arc::clone(name), percent::decode_text(text)));
            }
            rest = after;
        }
        parameters
    }
}

/// The name in `host[:port]`, without a dot that may end it.
fn host_name(authority: &str) -> &str {
    let name = match authority.rfind(':') {
        // The colons of an IPv6 address are within its brackets.
        Some(at) if !authority.ends_with(']') => authority.split_at_checked(at).map_or(authority, |(name, _)| name),
        _ => authority,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// Compares a lowercase name with one in any case.
fn compare(known: &str, asked: &str) -> Ordering {
    known.bytes().cmp(asked.bytes().map(|byte| byte.to_ascii_lowercase()))
}

fn named<'p>(all: &'p [(Box<str>, Paths)], name: &str) -> Option<&'p Paths> {
    if all.is_empty() {
        return None;
    }
    let at = all.binary_search_by(|(known, _)| compare(known, name)).ok()?;
    all.get(at).map(|(_, paths)| paths)
}

/// Among routes with the same host and path: one that names the method, one that takes GET for HEAD, one for all.
fn choose(candidates: &[Candidate], method: &Method) -> Option<usize> {
    let naming = |method: &Method| candidates.iter().find(|candidate| candidate.methods.contains(method));
    let found = naming(method)
        .or_else(|| if *method == Method::HEAD { naming(&Method::GET) } else { None })
        .or_else(|| candidates.iter().find(|candidate| candidate.methods.is_empty()));
    found.map(|candidate| candidate.route)
}

fn overlap(one: &[Method], two: &[Method]) -> bool {
    (one.is_empty() && two.is_empty()) || one.iter().any(|method| two.contains(method))
}
