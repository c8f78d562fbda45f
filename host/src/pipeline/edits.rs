//! What a route does to the fields of requests and responses, prepared when the configuration was read.
//!
//! Requests are edited after the `pre-handler` hooks and before the cache, so that nobody the client could be stands in the way;
//! responses after the `post-handler` hooks: the operator has the last word.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::settings::RedirectTarget;
use crate::exchange::Exchange;

/// Edits of fields, done in this order.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// Taken away.
    pub remove: Vec<HeaderName>,
    /// Put in the place of what is there.
    pub set: Vec<(HeaderName, FieldText)>,
    /// Put beside what is there.
    pub append: Vec<(HeaderName, FieldText)>,
}

/// The value of a field.
#[derive(Debug, Clone)]
pub enum FieldText {
    /// Always the same.
    Fixed(HeaderValue),
    /// Made for each exchange.
    Made(Vec<FieldPart>),
}

/// A part of a field's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldPart {
    /// Text.
    Literal(String),
    /// The client's IP address.
    ClientAddress,
    /// `http` or `https`.
    Scheme,
    /// The host with its port, as asked for.
    Host,
    /// The request id.
    RequestId,
    /// The route's name.
    Route,
    /// An attribute of the exchange.
    Attribute(String),
    /// The path, its parameters, and the like.
    Target(RedirectTarget),
}

impl FieldText {
    /// The value for an exchange; none where something that it is made of is not there.
    fn value(&self, exchange: &Exchange) -> Option<HeaderValue> {
        let parts = match self {
            Self::Fixed(value) => return Some(value.clone()),
            Self::Made(parts) => parts,
        };
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                FieldPart::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
                FieldPart::ClientAddress => bytes.extend_from_slice(exchange.client.address_value.as_bytes()),
                FieldPart::Scheme => bytes.extend_from_slice(exchange.client.scheme.as_str().as_bytes()),
                FieldPart::Host => bytes.extend_from_slice(exchange.request.authority.as_bytes()),
                FieldPart::RequestId => bytes.extend_from_slice(exchange.id.as_bytes()),
                FieldPart::Route => bytes.extend_from_slice(exchange.route.as_ref()?.as_str().as_bytes()),
                FieldPart::Attribute(name) => bytes.extend_from_slice(exchange.attributes.find(name)?.as_bytes()),
                FieldPart::Target(target) => bytes.extend_from_slice(target.filled(&exchange.into()).as_bytes()),
            }
        }
        HeaderValue::try_from(bytes).ok()
    }
}

impl Edits {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.append.is_empty()
    }

    /// Edits the fields of a request.
    pub(super) fn edit_request(&self, exchange: &mut Exchange) {
        if self.is_empty() {
            return;
        }
        let mut headers = std::mem::take(&mut exchange.request.headers);
        self.edit(&mut headers, exchange);
        exchange.request.headers = headers;
    }

    /// Edits the fields of the response, if there is one.
    pub(super) fn edit_response(&self, exchange: &mut Exchange) {
        if self.is_empty() {
            return;
        }
        let Some(mut response) = exchange.response.take() else { return };
        self.edit(&mut response.headers, exchange);
        exchange.response = Some(response);
    }

    fn edit(&self, headers: &mut HeaderMap, exchange: &Exchange) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, text) in &self.set {
            match text.value(exchange) {
                Some(value) => drop(headers.insert(name, value)),
                // What the client wrote there must not pass for what is not known.
                None => drop(headers.remove(name)),
            }
        }
        for (name, text) in &self.append {
            if let Some(value) = text.value(exchange) {
                headers.append(name, value);
            }
        }
    }
}
