//! Opens the way in for operators.

use std::net::SocketAddr;
use std::sync::Arc;

use super::inherited::Inherited;
use super::{Gateway, StartError};
use crate::admin::{self, Equipment, Process, Settings};
use crate::listener::Predecessor;

impl Gateway {
    /// Binds what operators connect to, and starts to answer them.
    pub(super) fn open_admin(
        &mut self,
        settings: &Settings,
        wanted: &[SocketAddr],
        inherited: &mut Inherited,
    ) -> Result<(), StartError> {
        let system = |error: std::io::Error| StartError::System(format!("admin: {error}"));
        let listener = match &settings.listener {
            Some(listener) => {
                let address = listener.address;
                let failed = |error| StartError::Listen { address, error };
                self.tls.extend(listener.tls.as_ref().map(|tls| (address, tls.slot.clone())));
                let handed = inherited.sockets(address, wanted).pop();
                let listener = admin::listener(listener, handed).map_err(failed)?;
                self.sockets.keep(listener.socket().map_err(failed)?);
                Some(listener)
            }
            None => None,
        };
        let local = settings.socket.as_ref().map(|socket| {
            let predecessor = if inherited.succeeds() { Predecessor::Replaced } else { Predecessor::Respected };
            let failed = |error| StartError::Socket { path: socket.path.clone(), error };
            admin::local(socket, predecessor).map_err(failed)
        });
        let local = local.transpose()?;
        let bound = listener.as_ref().map(|listener| listener.address());
        let control = self.control.clone();
        let tls = |address: SocketAddr| {
            let listeners = &self.generation.config.listeners;
            listeners.iter().any(|known| known.tls.is_some() && known.address.port() == address.port())
        };
        let process = Process {
            workers: self.generation.config.workers,
            listeners: self.addresses.iter().map(|address| (*address, tls(*address))).collect(),
            drain: Arc::new(move || control.drain()),
        };
        admin::start(Equipment {
            settings: settings.clone(),
            listener,
            local,
            status: Arc::clone(&self.status),
            process,
            draining: self.draining.clone(),
            leaving: self.leaving.clone(),
        })
        .map_err(system)?;
        if let Some(address) = bound {
            tracing::info!(%address, "admin listening");
        }
        if let Some(socket) = &settings.socket {
            tracing::info!(path = %socket.path.display(), "admin socket listening");
        }
        Ok(())
    }
}
