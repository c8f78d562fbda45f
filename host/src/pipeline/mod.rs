//! The path of a request: one function, one line per step.

mod settings;

pub use settings::{Handler, RedirectPart, RedirectTarget};
