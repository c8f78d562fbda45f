//! What the gateway tells about itself: logs and metrics.

mod log;

pub mod metrics;

pub use log::{Log, LogFormat, LogSettings};
