//! What the gateway tells about itself: logs and metrics.

mod log;
mod record;

pub mod accounts;
pub mod figures;
pub mod metrics;
pub mod process;
pub mod times;

pub use log::{Log, LogFormat, LogSettings};
pub use record::{End, Recorder, Records};
