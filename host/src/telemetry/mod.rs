//! What the gateway tells about itself: logs and metrics.

pub mod metrics;
