//! What a route asks of a request beside host, path and method.
//!
//! Conditions are looked at only for routes that have some, after host, path and method have been found to suit.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, Method};

use super::expression::Expression;
use super::percent;
use crate::exchange::Scheme;
use crate::http::Network;

/// What is known of a request when its route is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What the client asked for, with or without port, in any case, or empty.
    pub host: &'a str,
    /// The path as it came, without query.
    pub path: &'a str,
    /// The query as it came, without its `?`.
    pub query: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The fields.
    pub headers: &'a HeaderMap,
    /// How the client is connected.
    pub scheme: Scheme,
    /// Who asks.
    pub client: IpAddr,
}

/// Everything that must hold; nothing, by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Of fields.
    pub headers: Vec<(HeaderName, Test)>,
    /// Of query parameters, by their decoded names.
    pub query: Vec<(String, Test)>,
    /// How the client must be connected.
    pub scheme: Option<Scheme>,
    /// Where it must come from, if that matters: one of these networks.
    pub clients: Vec<Network>,
}

/// What a value must be. Where there are several values, one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// Any, but there.
    Present,
    /// Not there.
    Absent,
    /// This text.
    Exact(String),
    /// A text that begins so.
    Prefix(String),
    /// A text that the expression matches as a whole.
    Matches(Expression),
}

impl Test {
    fn holds<'v>(&self, values: impl Iterator<Item = Cow<'v, str>>) -> bool {
        let mut values = values;
        match self {
            Self::Present => values.next().is_some(),
            Self::Absent => values.next().is_none(),
            Self::Exact(text) => values.any(|value| *value == **text),
            Self::Prefix(text) => values.any(|value| value.starts_with(text)),
            Self::Matches(expression) => values.any(|value| expression.matches(&value)),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("is there"),
            Self::Absent => f.write_str("is not there"),
            Self::Exact(text) => write!(f, "is {text:?}"),
            Self::Prefix(text) => write!(f, "begins with {text:?}"),
            Self::Matches(expression) => write!(f, "matches {:?}", expression.to_string()),
        }
    }
}

/// A condition that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet<'c> {
    /// Of a field.
    Header(&'c HeaderName, &'c Test),
    /// Of a query parameter.
    Query(&'c str, &'c Test),
    /// Of the connection.
    Scheme(Scheme),
    /// Of the client's address.
    Client(&'c [Network]),
}

impl fmt::Display for Unmet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name, test) => write!(f, "not that the header {name} {test}"),
            Self::Query(name, test) => write!(f, "not that the query parameter {name} {test}"),
            Self::Scheme(scheme) => write!(f, "the scheme is not {}", scheme.as_str()),
            Self::Client(networks) => {
                let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
                write!(f, "the client is not in {}", networks.join(", "))
            }
        }
    }
}

impl Conditions {
    /// How many there are: of two routes for the same host and path, the one that asks for more comes first.
    pub fn count(&self) -> usize {
        self.headers.len()
            + self.query.len()
            + usize::from(self.scheme.is_some())
            + usize::from(!self.clients.is_empty())
    }

    /// The first that does not hold.
    pub fn unmet(&self, asked: &Asked<'_>) -> Option<Unmet<'_>> {
        let header = |(name, test): &&(HeaderName, Test)| {
            // A value that is not text is there, but is no text that could be asked for.
            let values = asked.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
            !test.holds(values)
        };
        let query = |(name, test): &&(String, Test)| !test.holds(parameters(asked.query, name));
        if let Some((name, test)) = self.headers.iter().find(header) {
            return Some(Unmet::Header(name, test));
        }
        if let Some((name, test)) = self.query.iter().find(query) {
            return Some(Unmet::Query(name, test));
        }
        if let Some(scheme) = self.scheme.filter(|scheme| *scheme != asked.scheme) {
            return Some(Unmet::Scheme(scheme));
        }
        let known = self.clients.is_empty() || self.clients.iter().any(|network| network.contains(asked.client));
        if known { None } else { Some(Unmet::Client(&self.clients)) }
    }
}

/// The values of a query parameter, decoded (`application/x-www-form-urlencoded`).
fn parameters<'q>(query: Option<&'q str>, name: &str) -> impl Iterator<Item = Cow<'q, str>> {
    let decoded = |text: &'q str| match text.contains(['%', '+']) {
        true => Cow::Owned(percent::decode_text(&text.replace('+', " "))),
        false => Cow::Borrowed(text),
    };
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(value))
        })
        .filter(move |(key, _)| **key == *name)
        .map(|(_, value)| value)
}
