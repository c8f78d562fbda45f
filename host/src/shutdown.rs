//! The signals that the gateway is to end, and that it has waited long enough for what is still under way.
//!
//! One `Drain` is made per process; everything that must end holds a clone of its receiver.

use tokio::sync::watch;

/// Tells everyone that the gateway drains.
#[derive(Debug, Clone)]
pub struct Drain(watch::Sender<Phase>);

/// Learns that the gateway drains.
#[derive(Debug, Clone)]
pub struct Draining(watch::Receiver<Phase>);

/// How far the end has come: serving → draining → over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Draining,
    Over,
}

impl Drain {
    /// A signal that has not been given.
    pub fn new() -> (Self, Draining) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (Self(sender), Draining(receiver))
    }

    /// Gives the signal. Once given it stays.
    pub fn start(&self) {
        self.reach(Phase::Draining);
    }

    /// Ends the wait: what is still under way is given up.
    pub fn give_up(&self) {
        self.reach(Phase::Over);
    }

    fn reach(&self, phase: Phase) {
        self.0.send_if_modified(|reached| {
            let further = phase > *reached;
            *reached = phase.max(*reached);
            further
        });
    }
}

impl Draining {
    /// Whether the signal has been given.
    pub fn started(&self) -> bool {
        *self.0.borrow() > Phase::Serving
    }

    /// Whether what is still under way is given up.
    pub fn is_over(&self) -> bool {
        *self.0.borrow() == Phase::Over
    }

    /// Waits until the signal is given. A sender that is gone counts as given: nobody could give it any more.
    pub async fn wait(&mut self) {
        let _ = self.0.wait_for(|phase| *phase > Phase::Serving).await;
    }

    /// Waits until what is still under way is given up. Without anybody who could say so that never happens.
    pub async fn wait_until_over(&mut self) {
        if self.0.wait_for(|phase| *phase == Phase::Over).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_only_comes_nearer() {
        let (drain, draining) = Drain::new();
        assert!(!draining.started() && !draining.is_over());
        drain.start();
        assert!(draining.started() && !draining.is_over());
        drain.give_up();
        drain.start();
        assert!(draining.started() && draining.is_over());
    }
}
