//! HTTP as this gateway speaks of it: bodies, hop-by-hop fields, forwarding fields.
//!
//! Pure values and functions over `http` types; no sockets, no configuration.

mod body;
mod forwarding;

pub use body::{Body, BodyError};
pub use forwarding::{Forwarding, ForwardingFields, IncomingForwarding};
