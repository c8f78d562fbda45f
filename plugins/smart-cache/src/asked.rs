//! What was asked of the gateway about one request, so that nothing is asked twice in one hook, and nothing that no
//! setting needs.

use std::cell::OnceCell;

use portcullis_sdk::{HeaderName, HeaderValue, Request};

use crate::query::Query;

/// A request, and what is known of it.
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request,
    path: OnceCell<String>,
    query: OnceCell<Option<String>>,
    normal: OnceCell<String>,
    cookies: OnceCell<Vec<HeaderValue>>,
}

impl<'a> Asked<'a> {
    /// Asks nothing yet.
    pub(crate) fn new(request: &'a Request) -> Self {
        Self {
            request,
            path: OnceCell::new(),
            query: OnceCell::new(),
            normal: OnceCell::new(),
            cookies: OnceCell::new(),
        }
    }

    /// The path as it came.
    pub(crate) fn path(&self) -> &str {
        self.path.get_or_init(|| self.request.path())
    }

    /// The query as it came.
    pub(crate) fn query(&self) -> Option<&str> {
        self.query.get_or_init(|| self.request.query()).as_deref()
    }

    /// The query as it goes into the key; empty where there is none. Always asked with the same choice.
    pub(crate) fn normal(&self, choice: &Query) -> &str {
        let query = self.query().unwrap_or_default();
        if choice.is_plain() { query } else { self.normal.get_or_init(|| choice.normal(query)) }
    }

    /// The lines of the Cookie header.
    pub(crate) fn cookies(&self, name: HeaderName) -> &[HeaderValue] {
        self.cookies.get_or_init(|| self.request.headers(name))
    }
}
