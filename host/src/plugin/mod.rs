//! The plugin runtime: the only room that knows wasmtime.

mod settings;

pub use settings::{Entry, FailurePolicy, InstanceMode, Limits, Settings, Unlisted};
