//! The signal that the gateway is to end, and the wait for what is still under way.
//!
//! One `Drain` is made per process; everything that must end holds a clone of its receiver.

use tokio::sync::watch;

/// Tells everyone that the gateway drains.
#[derive(Debug, Clone)]
pub struct Drain(watch::Sender<bool>);

/// Learns that the gateway drains.
#[derive(Debug, Clone)]
pub struct Draining(watch::Receiver<bool>);

impl Drain {
    /// A signal that has not been given.
    pub fn new() -> (Self, Draining) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Draining(receiver))
    }

    /// Gives the signal. Once given it stays.
    pub fn start(&self) {
        self.0.send_replace(true);
    }
}

impl Draining {
    /// Whether the signal has been given.
    pub fn started(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the signal is given. A sender that is gone counts as given: nobody could give it any more.
    pub async fn wait(&mut self) {
        let _ = self.0.wait_for(|started| *started).await;
    }
}
