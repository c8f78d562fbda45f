//! What the gateway tells about itself: logs and metrics.

mod log;

pub use log::{Log, LogFormat, LogSettings};
