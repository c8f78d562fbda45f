//! One entry of the table of endpoints: what it is called, who may, what it takes and gives, and what does it.
//!
//! Requests are dispatched by the table and the OpenAPI document is written from it, so that they cannot differ. A new endpoint is one
//! more entry in some `endpoints()`:
//!
//! ```text
//! Endpoint::get("/api/v1/things/{thing}", Role::Read, "One thing").gives(schema).by(thing)
//! async fn thing(context: Context) -> Result<Answer, Trouble> { … }
//! ```

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use http::{Method, StatusCode};
use http_body::Body as _;
use serde_json::{Value, json};

use super::answer::{Answer, JSON};
use super::body::{DOCUMENT_BYTES_MAX, JSON_BYTES_MAX};
use super::context::Context;
use super::settings::Role;
use super::trouble::Trouble;
use crate::http::Body;
use crate::plugin::schema::Schema;

/// What does it.
type Handler = Rc<dyn Fn(Context) -> LocalBoxFuture<'static, Result<Answer, Trouble>>>;

/// One entry of the table.
pub(super) struct Endpoint {
    pub(super) method: Method,
    /// The path, in which `{name}` stands for one part that is not empty.
    pub(super) path: &'static str,
    pub(super) role: Role,
    pub(super) summary: &'static str,
    pub(super) query: Vec<Parameter>,
    pub(super) takes: Takes,
    pub(super) gives: Gives,
    /// Statuses of refusals, besides those that any endpoint of its sort has.
    pub(super) refuses: Vec<StatusCode>,
    handler: Handler,
}

/// A parameter in the query. It may stand there once.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) need: Need,
    pub(super) value: Value,
}

/// Whether a parameter must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Required,
    Optional,
}

/// What an endpoint takes.
pub(super) enum Takes {
    /// No body.
    Nothing,
    /// JSON that fits a schema, and is no longer than this.
    Json { source: Value, schema: Option<Box<Schema>>, bytes_max: u64 },
    /// Bytes of a media type.
    Bytes(&'static str),
}

impl Takes {
    /// Whether so much may come that only a few may be read at once.
    pub(super) fn is_large(&self, body: &Body) -> bool {
        match self {
            Self::Nothing => false,
            Self::Bytes(_) => true,
            Self::Json { bytes_max, .. } => {
                *bytes_max > JSON_BYTES_MAX && body.size_hint().exact().is_none_or(|length| length > JSON_BYTES_MAX)
            }
        }
    }
}

/// What an endpoint gives.
pub(super) struct Gives {
    pub(super) status: StatusCode,
    pub(super) media: &'static str,
    pub(super) schema: Option<Value>,
    /// Whether there is an `ETag`.
    pub(super) tagged: bool,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Endpoint {
    fn new(method: Method, path: &'static str, role: Role, summary: &'static str) -> Self {
        let missing = || async { Err(Trouble::unavailable("no_handler", "nobody does this")) };
        Self {
            method,
            path,
            role,
            summary,
            query: Vec::new(),
            takes: Takes::Nothing,
            gives: Gives { status: StatusCode::OK, media: JSON, schema: None, tagged: false },
            refuses: Vec::new(),
            handler: Rc::new(move |_| missing().boxed_local()),
        }
    }

    /// Something to look at. HEAD is answered, too.
    pub(super) fn get(path: &'static str, role: Role, summary: &'static str) -> Self {
        Self::new(Method::GET, path, role, summary)
    }

    /// Something to do or to ask with a body.
    pub(super) fn post(path: &'static str, role: Role, summary: &'static str) -> Self {
        Self::new(Method::POST, path, role, summary)
    }

    /// Something to replace.
    pub(super) fn put(path: &'static str, role: Role, summary: &'static str) -> Self {
        Self::new(Method::PUT, path, role, summary)
    }

    /// Something to change in part.
    pub(super) fn patch(path: &'static str, role: Role, summary: &'static str) -> Self {
        Self::new(Method::PATCH, path, role, summary)
    }

    /// Something to take away.
    pub(super) fn delete(path: &'static str, role: Role, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, role, summary)
    }

    /// With a parameter in the query, of a type that its schema says: `string`, `integer` or `boolean`.
    pub(super) fn asks(mut self, name: &'static str, need: Need, value: Value, summary: &'static str) -> Self {
        self.query.push(Parameter { name, summary, need, value });
        self
    }

    /// With a JSON body that fits this schema.
    pub(super) fn takes(mut self, source: Value) -> Self {
        let schema = Schema::new(source.clone()).ok().map(Box::new);
        self.takes = Takes::Json { source, schema, bytes_max: JSON_BYTES_MAX };
        self
    }

    /// With a JSON body that has a whole configuration in it.
    pub(super) fn takes_document(mut self, source: Value) -> Self {
        self = self.takes(source);
        if let Takes::Json { bytes_max, .. } = &mut self.takes {
            *bytes_max = DOCUMENT_BYTES_MAX;
        }
        self
    }

    /// With a body of bytes.
    pub(super) fn takes_bytes(mut self, media: &'static str) -> Self {
        self.takes = Takes::Bytes(media);
        self
    }

    /// With an answer that fits this schema.
    pub(super) fn gives(mut self, schema: Value) -> Self {
        self.gives.schema = Some(schema);
        self
    }

    /// With an answer of another media type.
    pub(super) fn gives_media(mut self, media: &'static str) -> Self {
        (self.gives.media, self.gives.schema) = (media, Some(json!({ "type": "string" })));
        self
    }

    /// With an answer of another status.
    pub(super) fn gives_status(mut self, status: StatusCode) -> Self {
        self.gives.status = status;
        self
    }

    /// With an `ETag`, or with a look at `If-Match` where it changes something.
    pub(super) fn tagged(mut self) -> Self {
        self.gives.tagged = true;
        if self.changes() {
            self.refuses.push(StatusCode::PRECONDITION_FAILED);
        }
        self
    }

    /// With refusals of this status.
    pub(super) fn refuses(mut self, status: StatusCode) -> Self {
        self.refuses.push(status);
        self
    }

    /// Done by this function. One that changes something runs to its end even if the caller goes away.
    pub(super) fn by<F>(mut self, handler: fn(Context) -> F) -> Self
    where
        F: Future<Output = Result<Answer, Trouble>> + 'static,
    {
        self.handler = Rc::new(move |context| handler(context).boxed_local());
        self
    }

    /// Does it.
    pub(super) fn call(&self, context: Context) -> LocalBoxFuture<'static, Result<Answer, Trouble>> {
        (self.handler)(context)
    }

    /// Whether it changes something, so that it is written down and no other site may ask for it.
    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET && self.role > Role::Read
    }

    /// The names in its path.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}
