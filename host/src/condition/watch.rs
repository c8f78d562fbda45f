//! The thread that looks at the whole about once a second, tells clients the words for it, and logs when it changes.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime;

use super::{Monitor, Part, Status};
use crate::admin;
use crate::modes::words;
use crate::shutdown::Draining;
use crate::time;

/// From one look to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// The same while the gateway starts: whoever waits for it does not wait for us.
const STARTING: Duration = Duration::from_millis(20);

/// Starts the thread. It ends with the process: who drains is asked for its health, too.
pub(crate) fn start(
    monitor: Arc<Monitor>,
    status: Arc<Mutex<admin::Status>>,
    mut draining: Draining,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("condition".into()).spawn(move || {
        runtime.block_on(async move {
            let mut before = Status::Healthy;
            loop {
                before = look(&monitor, &status, before);
                let interval = if words().started() { INTERVAL } else { STARTING };
                let drains = draining.started();
                tokio::select! {
                    () = draining.wait(), if !drains => {}
                    () = tokio::time::sleep(interval) => {}
                }
            }
        });
    })?;
    Ok(())
}

fn look(monitor: &Monitor, status: &Mutex<admin::Status>, before: Status) -> Status {
    let (whole, serves) = {
        let status = status.lock().unwrap_or_else(PoisonError::into_inner);
        let (whole, word) = monitor.examine(&status);
        words().tell(word, monitor.is_alive(time::now()), status.adopted > 0);
        (whole, status.adopted > 0)
    };
    // Before, it is not well only because it starts.
    if !serves {
        return before;
    }
    tell(&whole, before);
    whole.status
}

/// Logs a change.
fn tell(whole: &Part, before: Status) {
    if whole.status == before {
        return;
    }
    let (status, reasons) = (whole.status.as_str(), whole.reasons.join("; "));
    match whole.status {
        Status::Healthy => tracing::info!(status, "health changes"),
        Status::Degraded => tracing::warn!(status, reasons, "health changes"),
        Status::Unhealthy => tracing::error!(status, reasons, "health changes"),
    }
}
