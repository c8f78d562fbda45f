//! Why a route is not for a request, in words; each part looked at on its own, as slowly as it likes.

use std::fmt;

use super::conditions::{Asked, Unmet};
use super::{Settings, host_name, percent, takes};

/// A part of a route that does not suit a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss<'s> {
    /// Its host.
    Host(&'s Settings),
    /// Its path.
    Path(&'s Settings),
    /// Its methods.
    Method(&'s Settings),
    /// One of its conditions.
    Condition(Unmet<'s>),
}

/// Everything about a route that does not suit a request; nothing if it is for it.
pub fn misses<'s>(route: &'s Settings, asked: &Asked<'_>) -> Vec<Miss<'s>> {
    let mut misses = Vec::new();
    if !route.host.matches(host_name(asked.host)) {
        misses.push(Miss::Host(route));
    }
    let path = match &route.path_regex {
        Some(expression) => expression.matches(&percent::plain(asked.path)),
        None => route.path.rest(asked.path).is_some(),
    };
    if !path {
        misses.push(Miss::Path(route));
    }
    if takes(&route.methods, asked.method).is_none() {
        misses.push(Miss::Method(route));
    }
    misses.extend(route.conditions.unmet(asked).map(Miss::Condition));
    misses
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(route) => write!(f, "the host is not {}", route.host),
            Self::Path(Settings { path_regex: Some(expression), .. }) => {
                write!(f, "the path does not match {expression}")
            }
            Self::Path(route) => write!(f, "the path is not {}", route.path),
            Self::Method(route) => {
                let methods: Vec<&str> = route.methods.iter().map(http::Method::as_str).collect();
                write!(f, "the method is not {}", methods.join(" or "))
            }
            Self::Condition(unmet) => unmet.fmt(f),
        }
    }
}

/// What decides between routes that are for the same request, the weightiest first.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "priority {}, host {}, ", self.priority, self.host)?;
        match &self.path_regex {
            Some(expression) => write!(f, "path_regex {expression}")?,
            None => write!(f, "path {}", self.path)?,
        }
        match self.conditions.count() {
            0 => {}
            1 => f.write_str(", 1 condition")?,
            count => write!(f, ", {count} conditions")?,
        }
        if !self.methods.is_empty() {
            let methods: Vec<&str> = self.methods.iter().map(http::Method::as_str).collect();
            write!(f, ", {}", methods.join(" "))?;
        }
        Ok(())
    }
}
