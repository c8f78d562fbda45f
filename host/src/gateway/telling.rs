//! What the gateway tells of itself, in step with the configuration: the access log and the log's levels.

use std::sync::Arc;

use super::Gateway;
use crate::generation::Generation;
use crate::names::Name;
use crate::telemetry::access::Opened;
use crate::telemetry::{LogLevels, Records};

/// What is recorded of exchanges from the start. A log that cannot be opened is an error.
pub(super) fn start(generation: &Generation) -> Result<Arc<Records>, String> {
    let records = Records::default();
    let settings = generation.config.access_log.as_ref();
    let opened = records.access().open(settings)?;
    records.access().adopt(settings, opened, plugins(generation)).map_err(|error| error.to_string())?;
    Ok(Arc::new(records))
}

/// Logs what this filter takes. It has been checked with the configuration.
pub(super) fn log_by(filter: &str) {
    let Some(levels) = LogLevels::of_process() else { return };
    match levels.set_filter(filter) {
        Ok(()) => tracing::info!(filter, "log filter takes over"),
        Err(error) => tracing::error!(filter, %error, "log filter refused, the present one stays"),
    }
}

impl Gateway {
    /// Writes the access log as the present configuration says, into what was `opened` for it if that is another output.
    pub(super) fn tell_by(&self, opened: Opened) {
        let settings = self.generation.config.access_log.as_ref();
        if let Err(error) = self.records.access().adopt(settings, opened, plugins(&self.generation)) {
            tracing::error!(%error, "the access log cannot be written");
        }
    }
}

/// The plugins by the numbers that timings name them by.
fn plugins(generation: &Generation) -> Vec<(u32, Name)> {
    generation.plan.plugins.iter().map(|loaded| (loaded.number, loaded.name.clone())).collect()
}
