//! The response on its way to the client, or one that a plugin makes (WIT `types.response`), one method per call into
//! the gateway.

use crate::header::{HeaderName, HeaderSet, HeaderValue};
use crate::raw::types;
use crate::{Invalid, Result};

/// The response on its way to the client, or one that a plugin makes.
///
/// Every method is one call into the gateway, except where it says otherwise.
#[derive(Debug)]
#[repr(transparent)]
pub struct Response(types::Response);

impl Response {
    /// A new response with an empty body. A status outside 200..=599 becomes 500.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self(types::Response::new(status))
    }

    /// A new response with a plain text body; three calls.
    #[must_use]
    pub fn text(status: u16, body: &str) -> Self {
        Self::new(status).with_header("content-type", "text/plain; charset=utf-8").with_body(body)
    }

    /// A new response that says what is wrong, as `application/problem+json` (RFC 9457), and that no cache keeps; four calls. `detail` is for
    /// people.
    #[must_use]
    pub fn problem(status: u16, detail: &str) -> Self {
        let title = match status {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            409 => "Conflict",
            413 => "Content Too Large",
            429 => "Too Many Requests",
            503 => "Service Unavailable",
            status if status < 500 => "Request Refused",
            _ => "Error",
        };
        let body =
            crate::serde_json::json!({ "type": "about:blank", "title": title, "status": status, "detail": detail });
        Self::new(status)
            .with_header("content-type", "application/problem+json")
            .with_header("cache-control", "no-store")
            .with_body(body.to_string())
    }

    /// Wraps what the bindings lend to a hook.
    #[doc(hidden)]
    #[must_use]
    pub fn lent(raw: &types::Response) -> &Self {
        // SAFETY: `Response` is `repr(transparent)` over the raw type, so a reference to one is a reference to the other.
        unsafe { &*std::ptr::from_ref(raw).cast::<Self>() }
    }

    pub(crate) fn into_raw(self) -> types::Response {
        self.0
    }

    /// Sets a header of a response that is being made. A name or value that is not valid is left out; use
    /// [`set_header_named`](Self::set_header_named) where that must be noticed.
    #[must_use]
    pub fn with_header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let _ = self.0.set_header_named(name, value.as_ref());
        self
    }

    /// Carries out a prepared set of edits on a response that is being made.
    #[must_use]
    pub fn with(self, set: HeaderSet) -> Self {
        self.0.apply(set.0);
        self
    }

    /// Sets the body of a response that is being made.
    #[must_use]
    pub fn with_body(self, body: impl AsRef<[u8]>) -> Self {
        self.0.set_body(body.as_ref());
        self
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// Replaces the status code.
    ///
    /// # Errors
    /// A status outside 200..=599.
    pub fn set_status(&self, status: u16) -> Result<(), Invalid> {
        self.0.set_status(status)
    }

    /// The first value of this field.
    #[must_use]
    pub fn header(&self, name: HeaderName) -> Option<HeaderValue> {
        self.0.header(name.0).map(HeaderValue)
    }

    /// All values of this field, in order.
    #[must_use]
    pub fn headers(&self, name: HeaderName) -> Vec<HeaderValue> {
        self.0.headers(name.0).into_iter().map(HeaderValue).collect()
    }

    /// The first value of a field that was not interned.
    #[must_use]
    pub fn header_named(&self, name: &str) -> Option<HeaderValue> {
        self.0.header_named(name).map(HeaderValue)
    }

    /// Every field line, in the order received per name.
    #[must_use]
    pub fn all_headers(&self) -> Vec<(String, HeaderValue)> {
        self.0.all_headers().into_iter().map(|(name, value)| (name, HeaderValue(value))).collect()
    }

    /// Removes all values of this field, then sets this one.
    ///
    /// # Errors
    /// What is not a field value, or over a limit.
    pub fn set_header(&self, name: HeaderName, value: impl AsRef<[u8]>) -> Result<(), Invalid> {
        self.0.set_header(name.0, value.as_ref())
    }

    /// The same for a field that was not interned.
    ///
    /// # Errors
    /// What is not a field name or value, or over a limit.
    pub fn set_header_named(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Invalid> {
        self.0.set_header_named(name, value.as_ref())
    }

    /// Adds a value behind those present.
    ///
    /// # Errors
    /// What is not a field name or value, or over a limit.
    pub fn append_header_named(&self, name: &str, value: impl AsRef<[u8]>) -> Result<(), Invalid> {
        self.0.append_header_named(name, value.as_ref())
    }

    /// Removes all values of this field.
    pub fn remove_header(&self, name: HeaderName) {
        self.0.remove_header(name.0);
    }

    /// Carries out a prepared set of edits.
    pub fn apply(&self, set: HeaderSet) {
        self.0.apply(set.0);
    }

    /// Replaces the body. The gateway computes the framing.
    pub fn set_body(&self, body: impl AsRef<[u8]>) {
        self.0.set_body(body.as_ref());
    }
}
