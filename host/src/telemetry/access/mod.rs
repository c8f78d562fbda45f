//! The access log: a line for every exchange, as an operator wants it.
//!
//! A worker writes lines into a buffer of its own and hands whole blocks to the one thread that writes them out. Nobody waits for that thread:
//! what it cannot take is dropped and counted. What a client sent cannot look like a line of ours, and secrets are not shown.

mod settings;

mod escape;
mod memory;
mod number;
mod redact;
mod short;
mod stamp;

mod form;
mod line;

mod ebb;
mod log;
mod output;
mod rotation;
mod scribe;
mod writer;

pub use form::Form;
pub use log::{AccessLog, Opened};
pub(super) use scribe::Scribe;
pub use settings::{
    Aside, Field, Format, Only, Part, REDACTED_HEADERS, REDACTED_QUERY, Rotation, Settings, StatusClass, Target,
    UnknownField,
};

#[cfg(test)]
mod tests;
