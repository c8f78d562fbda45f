//! What the gateway tells about itself: logs, metrics and traces.

mod log;
mod record;

pub mod figures;
pub mod metrics;
pub mod spans;

pub use log::{Log, LogFormat, LogSettings};
pub use record::{End, Recorder, Records};
