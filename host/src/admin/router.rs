//! The table of endpoints, looked up by method and path.

use std::rc::Rc;

use http::Method;

use super::endpoint::Endpoint;
use super::target::{self, Plus};
use super::trouble::Trouble;

/// Longest part of a path, in characters: nothing has a longer name, the path of a Unix socket included.
pub(super) const PART_LENGTH_MAX: usize = 256;

/// All endpoints.
#[derive(Debug)]
pub(super) struct Router {
    endpoints: Vec<Rc<Endpoint>>,
}

/// What a request is for.
pub(super) enum Found {
    /// This, with these parts of the path.
    Endpoint(Rc<Endpoint>, Vec<(&'static str, String)>),
    /// Something that takes only these methods.
    Methods(String),
    /// Nothing.
    Nothing,
}

impl Router {
    /// All of these. What has fewer names in its path is looked at first.
    pub(super) fn new(mut endpoints: Vec<Endpoint>) -> Self {
        endpoints.sort_by_key(|endpoint| endpoint.parameters().count());
        Self { endpoints: endpoints.into_iter().map(Rc::new).collect() }
    }

    /// The table.
    pub(super) fn endpoints(&self) -> &[Rc<Endpoint>] {
        &self.endpoints
    }

    /// What a request is for. HEAD is for what GET is for.
    pub(super) fn find(&self, method: &Method, path: &str) -> Result<Found, Trouble> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let mut allowed: Vec<&str> = Vec::new();
        let mut template = None;
        for endpoint in &self.endpoints {
            let Some(values) = target::matched(endpoint.path, path) else { continue };
            // A path that is written out is nothing else, whatever names could stand there.
            if *template.get_or_insert(endpoint.path) != endpoint.path {
                continue;
            }
            if endpoint.method == *method {
                return Ok(Found::Endpoint(Rc::clone(endpoint), parts(values)?));
            }
            allowed.push(endpoint.method.as_str());
            if endpoint.method == Method::GET {
                allowed.push("HEAD");
            }
        }
        if allowed.is_empty() {
            return Ok(Found::Nothing);
        }
        allowed.push("OPTIONS");
        Ok(Found::Methods(allowed.join(", ")))
    }
}

fn parts(values: Vec<(&'static str, &str)>) -> Result<Vec<(&'static str, String)>, Trouble> {
    let decoded = |(name, text): (&'static str, &str)| match target::decoded(text, Plus::Plus) {
        Some(value) if value.chars().count() > PART_LENGTH_MAX || value.chars().any(char::is_control) => {
            Err(Trouble::not_found(format!("nothing has such a name as {{{name}}} in the path")))
        }
        Some(value) => Ok((name, value)),
        None => Err(Trouble::bad_request(format!("{{{name}}} in the path is not percent-encoded UTF-8"))),
    };
    values.into_iter().map(decoded).collect()
}
