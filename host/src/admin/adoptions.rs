//! Notes when all workers have taken a generation over.

use std::io;
use std::sync::{Arc, PoisonError};
use std::thread;

use tokio::sync::mpsc::UnboundedReceiver;

use super::Shared;

/// Notes and logs when all workers have taken a generation over: from then on nothing of the one before is used for new requests.
pub(crate) fn log_adoptions(mut adoptions: UnboundedReceiver<u64>, workers: usize, status: &Shared) -> io::Result<()> {
    let status = Arc::clone(status);
    thread::Builder::new().name("adoptions".into()).spawn(move || {
        let mut counted: Vec<(u64, usize)> = Vec::new();
        while let Some(generation) = adoptions.blocking_recv() {
            let count = match counted.iter_mut().find(|(known, _)| *known == generation) {
                Some((_, count)) => {
                    *count += 1;
                    *count
                }
                None => {
                    counted.push((generation, 1));
                    1
                }
            };
            if count == workers {
                // A worker that was busy may skip a generation; what is older will never be complete.
                counted.retain(|(known, _)| *known > generation);
                let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
                status.adopted = status.adopted.max(generation);
                status.serving.send_replace(status.adopted);
                tracing::info!(generation, "generation serves");
            }
        }
    })?;
    Ok(())
}
