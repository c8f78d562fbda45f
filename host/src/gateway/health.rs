//! The thread that watches upstreams: one for the process, whatever the number of workers.
//!
//! It follows the generations like a worker does and ends when the gateway drains: who is about to end need not know any more.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::generation::Generation;
use crate::shutdown::Draining;
use crate::upstream::{Board, Overseer};

/// Starts the thread.
pub(super) fn start(
    board: Arc<Board>,
    generations: watch::Receiver<Arc<Generation>>,
    draining: Draining,
) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("health".into()).spawn(move || {
        LocalSet::new().block_on(&runtime, follow(Overseer::new(board), generations, draining));
    })?;
    Ok(())
}

async fn follow(mut overseer: Overseer, mut generations: watch::Receiver<Arc<Generation>>, mut draining: Draining) {
    loop {
        let generation = Arc::clone(&generations.borrow_and_update());
        overseer.adopt(&generation.config.upstreams);
        tokio::select! {
            () = draining.wait() => return,
            changed = generations.changed() => if changed.is_err() { return },
        }
    }
}
