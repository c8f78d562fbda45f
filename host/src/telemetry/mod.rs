//! What the gateway tells about itself: logs, metrics and traces.

mod log;
mod record;

pub mod access;
pub mod accounts;
pub mod figures;
pub mod metrics;
pub mod process;
pub mod refusals;
pub mod spans;
pub mod times;

pub use log::{Log, LogFormat, LogLevels, LogSettings};
pub use record::{End, Recorder, Records};
