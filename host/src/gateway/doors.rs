//! Opens the way in for clients.

use std::net::SocketAddr;

use super::inherited::Inherited;
use super::{Gateway, StartError};
use crate::config::Config;
use crate::listener::Listener;

impl Gateway {
    /// Binds what clients connect to. Gives each worker its listeners.
    pub(super) fn bind(
        &mut self,
        config: &Config,
        wanted: &[SocketAddr],
        inherited: &mut Inherited,
    ) -> Result<Vec<Vec<Listener>>, StartError> {
        let mut sockets: Vec<Vec<Listener>> = (0..config.workers).map(|_| Vec::new()).collect();
        let mut doors = Vec::new();
        for settings in &config.listeners {
            let address = settings.address;
            let failed = |error| StartError::Listen { address, error };
            self.tls.extend(settings.tls.as_ref().map(|tls| (address, tls.slot.clone())));
            let handed = inherited.sockets(address, wanted);
            let bound = Listener::open_for(settings, config.workers, handed).map_err(failed)?;
            for (index, listener) in bound.into_iter().enumerate() {
                doors.push((listener.address(), listener.counts()));
                if !self.addresses.contains(&listener.address()) {
                    self.addresses.push(listener.address());
                }
                self.sockets.keep(listener.socket().map_err(failed)?);
                // There may be more than workers; none of them may be left without somebody who accepts.
                let worker = index.checked_rem(config.workers).unwrap_or_default();
                if let Some(worker) = sockets.get_mut(worker) {
                    worker.push(listener);
                }
            }
        }
        self.measure(doors);
        Ok(sockets)
    }
}
