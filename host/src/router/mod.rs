//! Finds the route of a request: by host, path, method and whatever else it asks for.
//!
//! Pure: values in, a decision out. Precedence: a higher `priority`; an exact host before the longest wildcard before any; a
//! whole path before a regular expression before a prefix (`/*`), a longer prefix before a shorter one, and a text before a
//! `{param}` where two differ first; more conditions before fewer; a route that names the method before one for all; and only
//! then the order in the file. A route that does not take the method is passed over; only when no other takes it, the answer is
//! "method not allowed".

mod conditions;
mod explain;
mod expression;
mod pattern;
mod percent;
mod tree;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::Method;

use crate::names::Name;

pub use conditions::{Asked, Conditions, Test, Unmet};
pub use explain::{Miss, misses};
pub use expression::Expression;
pub use pattern::{HostPattern, HostPatternError, PathPattern, PathPatternError, Segment, Tail};

use tree::Tree;

/// What one route matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The route's name.
    pub name: Name,
    /// Routes of a higher one come first, whatever else they say.
    pub priority: i32,
    /// Which hosts.
    pub host: HostPattern,
    /// Which paths.
    pub path: PathPattern,
    /// Which paths, beside `path`: those that this matches as they came, with needless percent-encoding taken away.
    pub path_regex: Option<Expression>,
    /// Which methods; empty for all. GET includes HEAD.
    pub methods: Vec<Method>,
    /// What else must hold.
    pub conditions: Conditions,
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
    /// By priority, the highest first.
    levels: Vec<Level>,
    /// What each route keeps of a path; none where that is nothing.
    kept: Vec<Option<Kept>>,
}

/// The routes of one priority.
#[derive(Debug, Default)]
struct Level {
    /// By host, sorted.
    exact: Vec<(Box<str>, Paths)>,
    /// By suffix with its leading dot, sorted.
    suffix: Vec<(Box<str>, Paths)>,
    any: Paths,
}

/// The routes of one host pattern.
#[derive(Debug, Default)]
struct Paths {
    tree: Tree<Vec<Candidate>>,
    expressions: Vec<(Expression, Vec<Candidate>)>,
}

/// A route with a host and path that others may have, too.
#[derive(Debug)]
struct Candidate {
    route: usize,
    methods: Vec<Method>,
    conditions: Conditions,
}

/// How a route's parameters are taken out of a path.
#[derive(Debug)]
enum Kept {
    Pattern(PathPattern),
    Expression(Expression),
}

impl Router {
    /// A router for these routes. Fails with all pairs of routes of which one could never be chosen.
    pub fn new(routes: &[Settings]) -> Result<Self, Vec<Conflict>> {
        let mut router = Self::default();
        let mut levels = BTreeMap::<Reverse<i32>, Vec<usize>>::new();
        for (index, route) in routes.iter().enumerate() {
            levels.entry(Reverse(route.priority)).or_default().push(index);
            let kept = match &route.path_regex {
                Some(expression) => expression.names().next().map(|_| Kept::Expression(expression.clone())),
                None => route.path.parameters().next().map(|_| Kept::Pattern(route.path.clone())),
            };
            router.kept.push(kept);
        }
        let mut conflicts = Vec::new();
        for indices in levels.values() {
            router.levels.push(Level::new(routes, indices, &mut conflicts));
        }
        if conflicts.is_empty() { Ok(router) } else { Err(conflicts) }
    }

    /// The route of a request.
    pub fn find(&self, asked: &Asked<'_>) -> Routed {
        let found = self.visit(asked, &mut |candidates| match choose(candidates, asked) {
            Some(route) => ControlFlow::Break(route),
            None => ControlFlow::Continue(()),
        });
        match found {
            ControlFlow::Break(route) => Routed::Found { route, parameters: self.parameters(route, asked.path) },
            ControlFlow::Continue(()) => self.refuse(asked),
        }
    }

    /// Shows the candidates for host and path in the order of precedence, until `visit` breaks.
    fn visit<'r, B>(
        &'r self,
        asked: &Asked<'_>,
        visit: &mut impl FnMut(&'r Vec<Candidate>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let host = host_name(asked.host);
        self.levels.iter().try_for_each(|level| level.visit(host, asked.path, visit))
    }

    #[cold]
    fn refuse(&self, asked: &Asked<'_>) -> Routed {
        let mut methods = Vec::new();
        let _: ControlFlow<()> = self.visit(asked, &mut |candidates| {
            let suitable = candidates.iter().filter(|candidate| candidate.conditions.unmet(asked).is_none());
            methods.extend(suitable.flat_map(|candidate| &candidate.methods).map(Method::as_str));
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
        match self.kept.get(route) {
            Some(Some(Kept::Pattern(pattern))) => pattern_parameters(pattern, path),
            Some(Some(Kept::Expression(expression))) => {
                let path = percent::plain(path);
                let Some(captures) = expression.captures(&path) else { return Vec::new() };
                let named = expression.names().filter_map(|name| Some((name, captures.name(name)?)));
                named.map(|(name, found)| (Arc::from(name), percent::decode_text(found.as_str()))).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn pattern_parameters(pattern: &PathPattern, path: &str) -> Vec<(Arc<str>, String)> {
    let mut parameters = Vec::new();
    let mut rest = path;
    for segment in &pattern.segments {
        let Some((text, after)) = tree::split(rest) else { break };
        if let Segment::Parameter(name) = segment {
            parameters.push((Arc::clone(name), percent::decode_text(text)));
        }
        rest = after;
    }
    if let Tail::Rest(name) = &pattern.tail {
        // As it came: decoded, a slash that was encoded could not be told from one that was not.
        parameters.push((Arc::clone(name), rest.strip_prefix('/').unwrap_or(rest).to_owned()));
    }
    parameters
}

impl Level {
    fn new(routes: &[Settings], indices: &[usize], conflicts: &mut Vec<Conflict>) -> Self {
        let mut level = Self::default();
        let (mut exact, mut suffix) = (BTreeMap::<String, Paths>::new(), BTreeMap::<String, Paths>::new());
        for (index, route) in indices.iter().filter_map(|index| Some((*index, routes.get(*index)?))) {
            let paths = match &route.host {
                HostPattern::Any => &mut level.any,
                HostPattern::Exact(name) => exact.entry(name.to_ascii_lowercase()).or_default(),
                HostPattern::Suffix(name) => suffix.entry(name.to_ascii_lowercase()).or_default(),
            };
            let candidates = paths.entry(route);
            let same =
                |known: &&Candidate| known.conditions == route.conditions && overlap(&known.methods, &route.methods);
            if let Some(first) = candidates.iter().find(same).and_then(|rival| routes.get(rival.route)) {
                conflicts.push(Conflict { first: first.name.clone(), second: route.name.clone() });
            }
            let (methods, conditions) = (route.methods.clone(), route.conditions.clone());
            candidates.push(Candidate { route: index, methods, conditions });
        }
        let sorted =
            |hosts: BTreeMap<String, Paths>| hosts.into_iter().map(|(name, paths)| (name.into(), paths)).collect();
        (level.exact, level.suffix) = (sorted(exact), sorted(suffix));
        level
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
}

impl Paths {
    /// The routes for the same paths as this one.
    fn entry(&mut self, route: &Settings) -> &mut Vec<Candidate> {
        let Some(expression) = &route.path_regex else { return self.tree.entry(&route.path) };
        let at = self.expressions.iter().position(|(known, _)| known == expression).unwrap_or_else(|| {
            self.expressions.push((expression.clone(), Vec::new()));
            self.expressions.len() - 1
        });
        // It stands at `at`, found or just pushed.
        #[allow(clippy::indexing_slicing, reason = "see the line above")]
        &mut self.expressions[at].1
    }

    fn visit<'r, B>(
        &'r self,
        path: &str,
        visit: &mut impl FnMut(&'r Vec<Candidate>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        self.tree.visit_whole(path, visit)?;
        if !self.expressions.is_empty() {
            let path = percent::plain(path);
            for (expression, candidates) in &self.expressions {
                if expression.matches(&path) {
                    visit(candidates)?;
                }
            }
        }
        self.tree.visit_prefixes(path, visit)
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

/// Among routes with the same host and path: the one that asks for most; then one that names the method, one that takes GET for
/// HEAD, one for all; then the first.
fn choose(candidates: &[Candidate], asked: &Asked<'_>) -> Option<usize> {
    let mut best: Option<((usize, u8), usize)> = None;
    for candidate in candidates {
        let Some(naming) = takes(&candidate.methods, asked.method) else { continue };
        let rank = (candidate.conditions.count(), naming);
        if best.is_none_or(|(known, _)| rank > known) && candidate.conditions.unmet(asked).is_none() {
            best = Some((rank, candidate.route));
        }
    }
    best.map(|(_, route)| route)
}

/// How plainly these methods name one; none if they do not take it.
fn takes(methods: &[Method], method: &Method) -> Option<u8> {
    if methods.contains(method) {
        return Some(2);
    }
    if *method == Method::HEAD && methods.contains(&Method::GET) {
        return Some(1);
    }
    methods.is_empty().then_some(0)
}

fn overlap(one: &[Method], two: &[Method]) -> bool {
    (one.is_empty() && two.is_empty()) || one.iter().any(|method| two.contains(method))
}
