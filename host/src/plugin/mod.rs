//! The plugin runtime: the only room that knows wasmtime.

pub mod schema;
mod settings;

pub use settings::{Entry, FailurePolicy, InstanceMode, Limits, Scope, Settings, Unlisted};
