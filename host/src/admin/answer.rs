//! What an operator gets: status, fields, and a body that is whole.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::http::Body;

/// What an operator gets.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) media: &'static str,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    /// What the audit log says of it, instead of what was sent.
    pub(super) audited: Option<Value>,
}

/// The media type of JSON.
pub(super) const JSON: &str = "application/json";

impl Answer {
    /// A body of any sort.
    pub(super) fn bytes(media: &'static str, body: impl Into<Bytes>) -> Self {
        Self { status: StatusCode::OK, media, fields: Vec::new(), body: body.into(), audited: None }
    }

    /// A JSON value.
    pub(super) fn json(value: &Value) -> Self {
        Self::bytes(JSON, format!("{value}\n"))
    }

    /// A line of text.
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::bytes("text/plain; charset=utf-8", text)
    }

    /// With another status.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With a field.
    pub(super) fn field(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.fields.push((name, value));
        self
    }

    /// With an entity tag, given without its quotes.
    pub(super) fn etag(self, tag: &str) -> Self {
        match HeaderValue::try_from(format!("\"{tag}\"")) {
            Ok(value) => self.field(header::ETAG, value),
            Err(_) => self,
        }
    }

    /// What the audit log is to say of the change, instead of what was sent. Holds no secrets.
    pub(super) fn audited(mut self, detail: Value) -> Self {
        self.audited = Some(detail);
        self
    }

    /// The response.
    pub(super) fn into_response(self) -> http::Response<Body> {
        let empty = self.body.is_empty();
        let mut response = http::Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if !empty {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media));
        }
        for (name, value) in self.fields {
            headers.append(name, value);
        }
        response
    }
}
