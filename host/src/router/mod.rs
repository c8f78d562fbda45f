//! Finds the route of a request: by host, path and method.
//!
//! Pure: values in, a decision out. Precedence does not depend on the order in the file: an exact host before a
//! wildcard before any; an exact path before `{param}` before the longest prefix.

use std::sync::Arc;

use http::Method;

use crate::names::Name;

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

/// Which hosts a route answers to. Names are lowercase and without port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Any, or none.
    Any,
    /// This one.
    Exact(String),
    /// Any name that ends with this suffix, given with its leading dot: `.example.com`.
    Suffix(String),
}

/// Which paths a route answers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// The parts between slashes.
    pub segments: Vec<Segment>,
    /// Whether anything may follow: the pattern ended in `/*`.
    pub tail: Tail,
}

/// One part of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// Any one non-empty part, kept under this name.
    Parameter(Arc<str>),
}

/// What may follow the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tail {
    /// Nothing.
    End,
    /// Nothing, or a slash and anything.
    Anything,
}
