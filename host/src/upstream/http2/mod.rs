//! HTTP/2 towards endpoints (RFC 9113): few connections, many requests on each.
//!
//! A connection is driven by a task of its own on the worker's thread, since no request on it may wait for another's. When one
//! dies only the streams on it fail; what the endpoint says it did not begin with is sent again.

mod ask;
mod connect;
mod multiplex;
mod shared;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

pub(super) use multiplex::Slot;
pub(super) use shared::Shared;
