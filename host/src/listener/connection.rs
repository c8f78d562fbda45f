//! One client connection from `accept` on: who the client is, TLS, and then the version of HTTP that it speaks.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::net::{TcpStream, UnixStream};

use super::crowd::Crowd;
use super::handshake::{self, Tls};
use super::http1::{self, Ended};
use super::proxy_protocol::{self, Ends};
use super::registry::{Registry, Ticket};
use super::stream::Stream;
use super::{Handle, Settings, http2};
use crate::exchange::Client;
use crate::time;
use crate::tls::facts;

/// Opens connections.
pub(super) struct Door<H> {
    settings: Rc<Settings>,
    handler: Rc<H>,
    registry: Rc<Registry>,
    crowd: Crowd,
}

impl<H: Handle> Door<H> {
    pub(super) fn new(settings: &Settings, handler: Rc<H>, registry: Rc<Registry>, crowd: Crowd) -> Self {
        Self { settings: Rc::new(settings.clone()), handler, registry, crowd }
    }

    /// Serves a connection in a task of its own.
    pub(super) fn open(self: &Rc<Self>, stream: TcpStream, address: SocketAddr) {
        let (door, ticket) = (Rc::clone(self), self.registry.enter());
        let index = ticket.index();
        let task = tokio::task::spawn_local(async move { door.admit(stream, address, ticket).await });
        self.registry.seat(index, task.abort_handle());
    }

    /// Serves a connection of a Unix socket in a task of its own.
    pub(super) fn open_local(self: &Rc<Self>, stream: UnixStream) {
        let (door, ticket) = (Rc::clone(self), self.registry.enter());
        let index = ticket.index();
        // Only a connection that is gone already has nobody at its other end.
        let Ok(user) = stream.peer_cred().map(|credentials| credentials.uid()) else { return };
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let client = Client { user: Some(user), ..Client::new(nowhere, nowhere, None) };
        let task = tokio::task::spawn_local(async move { door.serve(stream, client, ticket).await });
        self.registry.seat(index, task.abort_handle());
    }

    /// What comes before the first request: who the client is, and TLS.
    async fn admit(&self, mut stream: TcpStream, address: SocketAddr, ticket: Ticket) {
        // Only a connection that is gone already has no address of ours.
        let local = stream.local_addr().unwrap_or(address);
        let mut ends = (address, local);
        if self.settings.proxy_protocol.as_ref().is_some_and(|proxy| proxy.expects(address.ip())) {
            match proxy_protocol::read(&mut stream).await {
                Ok(told) => ends = told.unwrap_or(ends),
                Err(error) => {
                    self.registry.counts.unannounced.add(1);
                    return tracing::warn!(%address, %error, "no PROXY protocol header; the connection is closed");
                }
            }
        }
        if !self.handler.admits(SocketAddr::new(ends.0.ip().to_canonical(), ends.0.port())) {
            self.registry.counts.unwelcome.add(1);
            return tracing::debug!(client = %ends.0, "may not connect");
        }
        let guest = self.settings.connections_per_address_max.map(|max| self.crowd.enter(ends.0.ip(), max));
        if matches!(guest, Some(None)) {
            let counts = &self.registry.counts;
            counts.crowded.add(1);
            counts.crowds.note_client(ends.0.ip(), time::now());
            return tracing::debug!(client = %ends.0, "too many connections of one address");
        }
        match &self.settings.tls {
            None => {
                let mut client = Client::new(ends.0, ends.1, None);
                client.redirect_https = self.settings.redirect_https;
                self.serve(stream, client, ticket).await;
            }
            // Apart, so that a connection without TLS does not need the room for it.
            Some(tls) => Box::pin(self.serve_tls(tls, stream, ends, ticket)).await,
        }
    }

    async fn serve_tls(&self, tls: &Tls, stream: TcpStream, (address, local): Ends, ticket: Ticket) {
        match handshake::accept(tls, stream).await {
            Ok(stream) => {
                // A TLS session takes more than a kilobyte, and is handed on several times.
                let stream = Box::new(stream);
                let client = Client::new(address, local, Some(facts(stream.get_ref().1)));
                if self.settings.http2.enabled && stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    return self.serve_http2(stream, BytesMut::new(), Arc::new(client), ticket).await;
                }
                self.serve(stream, client, ticket).await;
            }
            // Anybody can cause it: a scan, a client that distrusts us.
            Err(error) => {
                // Where the handshake was all that was wanted, it has not failed.
                if error.kind() != ErrorKind::ConnectionAborted {
                    self.registry.counts.handshakes_failed.add(1);
                }
                tracing::debug!(%address, %error, "no TLS");
            }
        }
    }

    async fn serve<S>(&self, stream: S, client: Client, ticket: Ticket)
    where
        S: Stream,
    {
        let client = Arc::new(client);
        match http1::serve(stream, &*self.handler, &client, &self.settings, &ticket).await {
            Ended::Closed => {}
            // Apart, so that a connection without it does not need the room for it.
            Ended::Preface(stream, read) => Box::pin(self.serve_http2(stream, read, client, ticket)).await,
        }
    }

    async fn serve_http2<S>(&self, stream: S, read: BytesMut, client: Arc<Client>, ticket: Ticket)
    where
        S: Stream,
    {
        http2::serve(stream, read, Rc::clone(&self.handler), client, Rc::clone(&self.settings), ticket).await;
    }
}
