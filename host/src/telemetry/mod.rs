//! What the gateway tells about itself: logs and metrics.

mod log;
mod record;

pub mod figures;
pub mod metrics;

pub use log::{Log, LogFormat, LogSettings};
pub use record::{End, Recorder, Records};
